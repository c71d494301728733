//! The memory that a model needs, told by arithmetic from what its headers say.

use serde::{Deserialize, Serialize};

/// Rows that a cache grows by.
const STEP: u64 = 256;

/// How a layer keeps what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// Keys and values of every token.
    All,
    /// A short vector of every token, which keys and values are grown from.
    Latent,
    /// Keys and values of so many of the newest tokens, in a ring.
    Window(u64),
    /// Keys and values of the tokens that a chunk of so many can see.
    Chunk(u64),
    /// A state of always the same size.
    State,
}

/// Layers that keep alike what they have read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKind {
    /// How they keep it.
    pub keeps: Keeps,
    /// How many layers.
    pub layers: u64,
    /// Bytes that a token adds to all of them together.
    pub bytes_per_token: u64,
    /// Bytes of all of them together that are there from the first token on.
    pub constant_bytes: u64,
}

impl CacheKind {
    /// Bytes after so many rows.
    fn bytes(&self, rows: u64) -> u64 {
        let rows = match self.keeps {
            Keeps::All | Keeps::Latent | Keeps::State => rows,
            Keeps::Window(most) | Keeps::Chunk(most) => most.min(rows),
        };
        rows * self.bytes_per_token + self.constant_bytes
    }
}

/// Bytes of caches after `context` tokens: they grow in steps of 256, up to a window where they have one, and states not
/// at all.
pub fn cache_bytes(caches: &[CacheKind], context: u64) -> u64 {
    let rows = context.div_ceil(STEP) * STEP;
    caches.iter().map(|kind| kind.bytes(rows)).sum()
}

/// What is held, estimated, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Tokens read and written.
    pub context: u64,
    /// The weights.
    pub weight_bytes: u64,
    /// Keys and values.
    pub cache_bytes: u64,
    /// What a step needs beside: see [`Need::at`].
    pub allowance_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

/// All that a prediction for any length is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Bytes of all weights in memory.
    pub weight_bytes: u64,
    /// What each token leaves behind, by how layers keep it.
    pub caches: Vec<CacheKind>,
    /// Bytes of the residual stream of a token.
    pub stream_bytes: u64,
    /// Tokens that the model knows.
    pub vocabulary: u64,
    /// Prompt tokens that one step reads.
    pub chunk: u64,
}

impl Need {
    /// What is held while `context` tokens are read and written: an estimate, not a bound. On a CPU attention holds the
    /// scores of a whole chunk besides.
    ///
    /// The allowance is what a step needs beside weights and cache: eight residual streams of one chunk of the prompt,
    /// three times the scores of a token, and the widest cache layer once more, which is copied when it grows.
    pub fn at(&self, context: u64) -> Prediction {
        let cache_bytes = cache_bytes(&self.caches, context);
        let layer = |kind: &CacheKind| kind.bytes(context) / kind.layers.max(1);
        let copied = self.caches.iter().map(layer).max().unwrap_or(0);
        let stream = context.min(self.chunk) * self.stream_bytes;
        let allowance_bytes = 8 * stream + 3 * self.vocabulary * 4 + copied;
        Prediction {
            context,
            weight_bytes: self.weight_bytes,
            cache_bytes,
            allowance_bytes,
            total_bytes: self.weight_bytes + cache_bytes + allowance_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need() -> Need {
        let kind = |keeps, layers, bytes_per_token, constant_bytes| CacheKind {
            keeps,
            layers,
            bytes_per_token,
            constant_bytes,
        };
        Need {
            weight_bytes: 5000,
            caches: vec![
                kind(Keeps::All, 1, 8, 0),
                kind(Keeps::Window(512), 5, 40, 0),
                kind(Keeps::State, 2, 0, 14),
            ],
            stream_bytes: 20,
            vocabulary: 100,
            chunk: 2048,
        }
    }

    #[test]
    fn caches_grow_in_steps_up_to_their_window() {
        // 300 tokens take 512 rows in either kind; 1025 take 1280 rows, or the window; states take what they take.
        assert_eq!(cache_bytes(&need().caches, 300), 512 * 8 + 512 * 40 + 14);
        assert_eq!(cache_bytes(&need().caches, 1025), 1280 * 8 + 512 * 40 + 14);
    }

    #[test]
    fn a_prediction_is_weights_cache_and_allowance() {
        let prediction = need().at(300);
        // Eight streams of 300 tokens, 10 wide, of two bytes; 3 × 100 scores; 300 rows of 8 bytes.
        assert_eq!(prediction.allowance_bytes, 48_000 + 1200 + 2400);
        assert_eq!(prediction.total_bytes, 5000 + 24_590 + 51_600);
    }

    #[test]
    fn a_step_reads_no_more_than_its_chunk() {
        let short = Need { chunk: 100, ..need() };
        assert_eq!(short.at(300).allowance_bytes, 16_000 + 1200 + 2400);
    }
}
