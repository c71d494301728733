//! How a configuration asks for rotary positions beyond the trained length.
//!
//! Reference: `initialize_rope` of `mlx_lm.models.rope_utils`.

use serde::Deserialize;

use super::keys::unsupported;
use crate::{
    checkpoint::LoadError,
    nn::{Rope, RopeScaling, single},
};

/// `rope_scaling`, as far as any family here reads it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Scaling {
    pub(super) r#type: Option<String>,
    pub(super) rope_type: Option<String>,
    pub(super) rope_theta: Option<f32>,
    pub(super) factor: Option<f64>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    pub(super) original_max_position_embeddings: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    pub(super) long_factor: Option<Vec<f32>>,
    pub(super) alpha: Option<f64>,
    pub(super) partial_rotary_factor: Option<f64>,
    mrope_section: Option<Vec<u32>>,
}

impl Scaling {
    /// Which scaling it is; `type` goes before `rope_type`.
    pub(super) fn kind(&self) -> &str {
        let named = [&self.r#type, &self.rope_type].into_iter().flatten();
        named.map(String::as_str).find(|kind| !kind.is_empty()).unwrap_or("default")
    }

    fn factor(&self) -> Result<f64, LoadError> {
        self.factor.ok_or_else(|| self.lacks("`factor`"))
    }

    fn lacks(&self, what: &str) -> LoadError {
        unsupported(format!("`rope_scaling` of type `{}` without {what}", self.kind()))
    }

    /// What rotated dimensions are multiplied by under YaRN.
    fn yarn_amplitude(&self, factor: f64) -> f32 {
        let of = |scale: Option<f64>, usual| yarn_growth(factor, scale.unwrap_or(usual));
        single(of(self.mscale, 1.0) / of(self.mscale_all_dim, 0.0))
    }

    /// What scores of latent attention are multiplied by under YaRN, beside the amplitude.
    pub(super) fn yarn_sharpness(&self) -> f64 {
        let scale = self.mscale_all_dim.unwrap_or(0.0);
        yarn_growth(self.factor.unwrap_or(1.0), scale).powi(2)
    }

    /// LongRoPE for a model trained on `original` tokens first and `trained` in the end.
    pub(super) fn long(&self, original: f64, trained: i32) -> Result<RopeScaling, LoadError> {
        let ratio = f64::from(trained) / original;
        let growth = if ratio <= 1.0 { 1.0 } else { (1.0 + ratio.ln() / original.ln()).sqrt() };
        Ok(RopeScaling::Long {
            factors: self.long_factor.clone().ok_or_else(|| self.lacks("`long_factor`"))?,
            amplitude: single(growth),
        })
    }
}

/// How YaRN has something grow with how much longer texts are.
fn yarn_growth(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
}

/// The scaling that a configuration asks for, of `dims` rotated dimensions in a model trained on `trained` tokens.
pub(super) fn scaling(
    asked: Option<&Scaling>,
    dims: i32,
    trained: Option<i32>,
) -> Result<RopeScaling, LoadError> {
    let Some(asked) = asked else {
        return Ok(RopeScaling::None);
    };
    let trained = || trained.ok_or_else(|| asked.lacks("`max_position_embeddings` beside it"));
    match asked.kind() {
        "default" => Ok(RopeScaling::None),
        "mrope" => match asked.mrope_section.as_deref() {
            // Text has the same position in all three.
            Some([_, _, _]) => Ok(RopeScaling::None),
            _ => Err(asked.lacks("three numbers in `mrope_section`")),
        },
        "linear" => Ok(RopeScaling::Linear { factor: single(asked.factor()?) }),
        "dynamic" => Ok(RopeScaling::Dynamic { factor: asked.factor()?, trained: trained()? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: single(asked.factor()?),
            low: asked.low_freq_factor.unwrap_or(1.0),
            high: asked.high_freq_factor.unwrap_or(4.0),
            original: single(asked.original_max_position_embeddings.unwrap_or(8192.0)),
        }),
        "yarn" | "deepseek_yarn" | "telechat3-yarn" => {
            let factor = asked.factor()?;
            Ok(RopeScaling::Yarn {
                factor: single(factor),
                original: asked.original_max_position_embeddings.unwrap_or(4096.0),
                fast: asked.beta_fast.unwrap_or(32.0),
                slow: asked.beta_slow.unwrap_or(1.0),
                amplitude: asked.yarn_amplitude(factor),
            })
        }
        "longrope" => {
            let original = asked
                .original_max_position_embeddings
                .ok_or_else(|| asked.lacks("`original_max_position_embeddings`"))?;
            asked.long(original, trained()?)
        }
        "proportional" => Ok(RopeScaling::Proportional {
            rotated: part(dims, asked.partial_rotary_factor.unwrap_or(1.0)),
            factor: single(asked.factor.unwrap_or(1.0)),
        }),
        kind => Err(unsupported(format!("`rope_scaling` of type `{kind}`"))),
    }
}

/// `rope` on the leading `share` of its dimensions.
pub(super) fn on_part(rope: Option<Rope>, share: f64) -> Option<Rope> {
    rope.map(|rope| Rope { dims: part(rope.dims, share), ..rope })
}

/// The leading `share` of `dims`, rounded down.
pub(super) fn part(dims: i32, share: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding down is what is asked for")]
    let rotated = (f64::from(dims) * share) as i32;
    rotated
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn read(asked: serde_json::Value) -> RopeScaling {
        let asked: Scaling = serde_json::from_value(asked).unwrap();
        scaling(Some(&asked), 64, Some(131_072)).unwrap()
    }

    #[test]
    fn yarn_multiplies_what_it_rotates() {
        // 0.1 ln 40 + 1 = 1.3688879, over the same when `mscale_all_dim` is 1.
        let RopeScaling::Yarn { amplitude, .. } = read(json!({"type": "yarn", "factor": 40}))
        else {
            panic!("it is another scaling");
        };
        assert!((amplitude - 1.368_888).abs() < 1e-6);
        let even = json!({"rope_type": "yarn", "factor": 40, "mscale": 1, "mscale_all_dim": 1});
        let RopeScaling::Yarn { amplitude, .. } = read(even) else {
            panic!("it is another scaling");
        };
        assert!((amplitude - 1.0).abs() < 1e-6);
    }

    #[test]
    fn long_factors_come_with_an_amplitude() {
        // √(1 + ln 32 / ln 4096) = √(1 + 5/12) = 1.1902381.
        let asked = json!({"type": "longrope", "long_factor": [1, 2.5],
            "original_max_position_embeddings": 4096});
        let RopeScaling::Long { factors, amplitude } = read(asked) else {
            panic!("it is another scaling");
        };
        assert_eq!(factors, [1.0, 2.5]);
        assert!((amplitude - 1.190_238).abs() < 1e-6);
    }

    #[test]
    fn a_scaling_that_is_not_known_is_refused() {
        let asked: Scaling = serde_json::from_value(json!({"type": "spiral"})).unwrap();
        let error = scaling(Some(&asked), 64, None).unwrap_err();
        assert!(error.to_string().contains("`spiral`"));
    }
}
