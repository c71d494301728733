//! How much of what the machine can give a cell made use of.

use serde::Serialize;

use super::{Bandwidth, Compute, Roofline};
use crate::measure::{rates, statistics::median, trial::Trial};

/// How much of memory and processor a cell made use of; medians over its repetitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Utilization {
    /// Of memory while tokens are written; absent for fewer than two tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decode>,
    /// Of the processor while the prompt is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefill: Option<Prefill>,
}

/// Use of memory while tokens are written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decode {
    /// Bytes that a token reads: weights, states, and keys and values at the depth where it stands, in the mean.
    pub bytes_per_token: f64,
    /// These times tokens a second.
    pub bytes_per_s: f64,
    /// The ceiling, and what gave it.
    pub ceiling: Bandwidth,
    /// The part of the ceiling that was reached: memory bandwidth utilization.
    pub mbu: f64,
}

/// Use of the processor while the prompt is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prefill {
    /// Floating-point operations that a token of the prompt takes, in the mean.
    pub flops_per_token: f64,
    /// These times prompt tokens a second.
    pub flops_per_s: f64,
    /// The ceiling, and what gave it.
    pub ceiling: Compute,
    /// The part of the ceiling that was reached: model FLOP/s utilization.
    pub mfu: f64,
}

/// What `trials` made use of.
pub fn utilization(roofline: &Roofline, trials: &[Trial]) -> Utilization {
    Utilization { decode: decode(roofline, trials), prefill: prefill(roofline, trials) }
}

fn decode(roofline: &Roofline, trials: &[Trial]) -> Option<Decode> {
    let ceiling = roofline.ceilings.bandwidth().filter(|one| one.bytes_per_s > 0.0)?;
    let bytes = |trial: &Trial| {
        let tokens = trial.visible_us.len() as u64;
        roofline.demand.decode_bytes(u64::from(trial.prompt_tokens), tokens)
    };
    let bytes_per_token = middle(trials, bytes)?;
    let bytes_per_s = middle(trials, |trial| Some(bytes(trial)? * rates::decode_rate(trial)?))?;
    let mbu = bytes_per_s / ceiling.bytes_per_s;
    Some(Decode { bytes_per_token, bytes_per_s, ceiling: ceiling.clone(), mbu })
}

fn prefill(roofline: &Roofline, trials: &[Trial]) -> Option<Prefill> {
    let ceiling = roofline.ceilings.compute().filter(|one| one.flops_per_s > 0.0)?;
    let flops = |trial: &Trial| {
        let tokens = f64::from(trial.prompt_tokens);
        let all = roofline.demand.prompt_flops(u64::from(trial.prompt_tokens));
        (tokens > 0.0).then(|| all / tokens)
    };
    let flops_per_token = middle(trials, flops)?;
    let flops_per_s = middle(trials, |trial| Some(flops(trial)? * rates::prompt_rate(trial)?))?;
    let mfu = flops_per_s / ceiling.flops_per_s;
    Some(Prefill { flops_per_token, flops_per_s, ceiling: ceiling.clone(), mfu })
}

fn middle(trials: &[Trial], figure: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = trials.iter().filter_map(figure).collect();
    median(&values).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::{Ceilings, Demand, Kernel, PerRow};

    fn roofline() -> Roofline {
        let bandwidth = |kernel, bytes_per_s| Bandwidth {
            kernel,
            format: "bfloat16".to_owned(),
            shape: None,
            working_set_bytes: 1,
            bytes_per_s,
        };
        Roofline {
            demand: Demand {
                weight_bytes: 1000,
                rows: vec![PerRow { limit: None, amount: 10 }],
                token_flops: 90,
                head_flops: 100,
                ..Demand::default()
            },
            ceilings: Ceilings {
                bandwidths: vec![bandwidth(Kernel::Copy, 1e5), bandwidth(Kernel::Add, 2e5)],
                compute: vec![Compute { format: "bfloat16".to_owned(), size: 1, flops_per_s: 1e4 }],
            },
            step_us: None,
        }
    }

    #[test]
    fn shares_are_of_the_best_kernel() {
        // Ten tokens of prompt within 200 ms, then three more at 100 a second that look at 11, 12 and 13 rows.
        let mut trial = Trial::with_stamps(vec![200_000, 210_000, 220_000, 230_000]);
        trial.prompt_tokens = 10;
        let Utilization { decode, prefill } = utilization(&roofline(), &[trial]);
        let decode = decode.unwrap();
        assert_eq!(decode.ceiling.kernel, Kernel::Add);
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
        near(decode.bytes_per_token, 1120.0);
        near(decode.bytes_per_s, 112_000.0);
        near(decode.mbu, 0.56);
        let prefill = prefill.unwrap();
        near(prefill.flops_per_token, 100.0);
        near(prefill.flops_per_s, 5000.0);
        near(prefill.mfu, 0.5);
    }

    #[test]
    fn what_nothing_is_known_of_is_absent() {
        let one_token = Trial::with_stamps(vec![5]);
        assert_eq!(utilization(&roofline(), &[one_token]).decode, None);
        let unknown = Roofline { ceilings: Ceilings::default(), ..roofline() };
        let trial = Trial::with_stamps(vec![5, 6, 7]);
        assert_eq!(utilization(&unknown, &[trial]), Utilization::default());
    }
}
