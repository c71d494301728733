//! The stamps of one repetition; no derived figure.

use serde::{Deserialize, Serialize};

use super::steadiness::Canary;

/// One repetition of a cell. Stamps are whole microseconds since the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which of the prompts that a cell goes through it was, from 0.
    #[serde(default)]
    pub prompt: u32,
    /// Tokens of the prompt that were timed; what was in the cache before the request is not counted.
    pub prompt_tokens: u32,
    /// SHA-256 of the prompt's ids, each as four little-endian bytes, in lower-case hexadecimal.
    pub prompt_sha256: String,
    /// The same of the generated ids.
    pub ids_sha256: String,
    /// When the prompt was a list of ids.
    pub prompt_ready_us: u64,
    /// For each token, when the step that makes it was handed to the device; a step whose token was never read is not
    /// counted.
    pub submitted_us: Vec<u64>,
    /// For each token, when the host could see it.
    pub visible_us: Vec<u64>,
    /// Which token is the first of the answer, counted from 0, where the model may reason before; absent where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_from: Option<u32>,
    /// When the request was over, its device work had ended and its text was made.
    pub ended_us: u64,
    /// Why it ended.
    pub finish: Finish,
    /// Memory during this repetition.
    pub memory: Memory,
    /// The answer as a user sees it, where there is a tokenizer and the scenario has an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When its turn came among all that was run of its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// How fast the device was right after; warm-ups are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

/// Where a repetition stood among all that was run of its model, warm-ups included: by child, then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// Which child ran it: when that had its model, in milliseconds since 1970.
    pub child_since_ms: u64,
    /// How many requests the child had answered before.
    pub place: u32,
}

#[cfg(test)]
impl Trial {
    /// A trial of which only the stamps of its tokens matter.
    pub(crate) fn with_stamps(visible_us: Vec<u64>) -> Self {
        Self {
            prompt: 0,
            prompt_tokens: 1,
            prompt_sha256: String::new(),
            ids_sha256: String::new(),
            prompt_ready_us: 0,
            submitted_us: Vec::new(),
            answer_from: None,
            ended_us: visible_us.last().copied().unwrap_or_default(),
            visible_us,
            finish: Finish::Length,
            memory: Memory::default(),
            text: None,
            order: None,
            canary: None,
        }
    }
}

/// Why a generation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "lowercase")]
pub enum Finish {
    /// The budget was spent.
    Length,
    /// A stop token came.
    Stop {
        /// Its id.
        id: u32,
    },
}

impl Finish {
    /// The name that mlx-lm gives it: `length` or `stop`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Stop { .. } => "stop",
        }
    }
}

/// Bytes held; absent where it cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In use by MLX's allocator now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_bytes: Option<u64>,
    /// In use by MLX's allocator at the most, since the last reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Kept by MLX's allocator for what comes next, of what nobody uses now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_bytes: Option<u64>,
    /// What the system holds for the process now: see [`crate::host::process::footprint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_bytes: Option<u64>,
    /// The same at the most, since the last reset; absent where the system cannot forget an earlier peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_peak_bytes: Option<u64>,
}

impl Memory {
    /// The most that MLX's allocator held: MLX resets its peak to nothing rather than to what is in use.
    pub fn allocator_peak(&self) -> Option<u64> {
        self.peak_bytes.max(self.active_bytes.filter(|_| self.peak_bytes.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_never_below_what_is_held() {
        let peak = |active_bytes, peak_bytes| {
            Memory { active_bytes, peak_bytes, ..Memory::default() }.allocator_peak()
        };
        assert_eq!(peak(Some(7), Some(3)), Some(7));
        assert_eq!(peak(Some(3), Some(7)), Some(7));
        assert_eq!(peak(Some(3), None), None);
        assert_eq!(peak(None, None), None);
    }
}
