//! Rotary positions that are stretched for longer contexts.

use serde_json::{Value, json};

use super::{
    config::decimal,
    keys::{ConfigError, Keys},
};

/// Llama 3's numbers, which its GGUF files no longer have: context before stretching, and the lowest
/// and highest number of turns in it between which a frequency is partly stretched.
const LLAMA3: (f32, f32, f32) = (8192.0, 1.0, 4.0);

/// `rope_scaling` of the model, where there is any.
///
/// Llama 3 files hold a factor for every frequency instead of the rule. The rule is given back where
/// its published numbers yield these factors; any others are refused.
pub(super) fn scaling(
    keys: &Keys<'_>,
    factors: Option<&[f32]>,
) -> Result<Option<Value>, ConfigError> {
    let kind = keys.text("rope.scaling.type")?;
    let factor = match keys.single("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.single("rope.scale_linear")?,
    };
    let factor = factor.filter(|&factor| factor > 0.0 && (factor - 1.0).abs() > f32::EPSILON);
    let is_one = |factor: &f32| (factor - 1.0).abs() <= 1e-6;
    let stretched = factors.filter(|factors| factors.is_empty() || !factors.iter().all(is_one));
    match (kind, factor, stretched) {
        (None | Some("none" | "linear"), None, None) => Ok(None),
        (None | Some("linear"), Some(factor), None) => {
            Ok(Some(json!({"rope_type": "linear", "factor": decimal(factor)})))
        }
        (None | Some("none"), None, Some(factors)) => llama3(keys, factors).map(Some),
        (kind, ..) => {
            Err(keys.unsupported("rope.scaling.type", format!("`{}`", kind.unwrap_or("none"))))
        }
    }
}

fn llama3(keys: &Keys<'_>, factors: &[f32]) -> Result<Value, ConfigError> {
    let (original, low, high) = LLAMA3;
    let factor = factors.last().copied().unwrap_or(1.0);
    let theta = keys.rope_theta()?;
    let head_dim = keys.head_dim()?;
    let expected = (0u16..).take(factors.len()).map(|index| {
        let frequency = theta.powf(-2.0 * f32::from(index) / head_dim as f32);
        let turns = original * frequency / std::f32::consts::TAU;
        let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        1.0 / ((1.0 - share) / factor + share)
    });
    let is_rule = factors.len() as u64 * 2 == head_dim
        && factors.iter().zip(expected).all(|(given, rule)| (given - rule).abs() <= 1e-3 * rule);
    if !is_rule {
        return Err(ConfigError::Unsupported {
            key: "rope_freqs.weight".to_owned(),
            what: "a factor for every frequency that follows no known rule".to_owned(),
        });
    }
    Ok(json!({
        "rope_type": "llama3", "factor": decimal(factor), "low_freq_factor": low,
        "high_freq_factor": high, "original_max_position_embeddings": original,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::gguf::{header::Header, sample::Sample};

    /// What the file of Llama 3.2 1B holds: heads of 64 elements, base 500000, stretched 32-fold.
    const LLAMA_3_2: [f32; 32] = [
        1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.65133,
        3.29226, 9.66673, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0, 32.0,
        32.0, 32.0,
    ];

    fn read(sample: &Sample, factors: Option<&[f32]>) -> Result<Option<Value>, ConfigError> {
        let bytes = sample.bytes();
        let header = Header::read(bytes.as_slice(), bytes.len() as u64).unwrap();
        scaling(&Keys::of(&header)?, factors)
    }

    fn llama() -> Sample {
        Sample::model("llama")
            .count("llama.attention.key_length", 64)
            .single("llama.rope.freq_base", 500_000.0)
    }

    #[test]
    fn the_rule_of_llama_3_is_found_again_in_its_factors() {
        let expected = json!({
            "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192.0,
        });
        assert_eq!(read(&llama(), Some(&LLAMA_3_2)).unwrap(), Some(expected));
    }

    #[test]
    fn other_factors_are_refused() {
        let mut factors = LLAMA_3_2;
        factors[16] = 4.0;
        for factors in [&factors[..], &LLAMA_3_2[1..]] {
            let error = read(&llama(), Some(factors)).unwrap_err();
            assert!(
                error.to_string().starts_with("key `rope_freqs.weight` asks for a factor"),
                "{error}"
            );
        }
    }

    #[test]
    fn factors_of_one_stretch_nothing() {
        assert_eq!(read(&llama(), Some(&[1.0; 32])).unwrap(), None);
    }

    #[test]
    fn a_linear_stretch_is_one_with_a_factor() {
        let linear = |factor| {
            llama()
                .text("llama.rope.scaling.type", "linear")
                .single("llama.rope.scaling.factor", factor)
        };
        assert_eq!(
            read(&linear(8.0), None).unwrap(),
            Some(json!({"rope_type": "linear", "factor": 8.0}))
        );
        assert_eq!(read(&linear(1.0), None).unwrap(), None);
        assert!(read(&linear(8.0), Some(&LLAMA_3_2)).is_err());
    }
}
