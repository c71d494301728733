//! Why a cell may have made little use of memory: what speaks for each reason is in its figures.

use super::{Decode, Roofline};
use crate::{
    host::{
        Health, Host, Probe,
        fitness::{Grade, fitness},
    },
    measure::{statistics::median, steadiness::flags, trial::Trial},
};

/// The part of the ceiling below which reasons are looked for.
pub const LOW: f64 = 0.5;

/// The part of its time that a token may spend waiting for the host to hand over the next step.
const HOST_SHARE: f64 = 0.5;

/// The part of the ceiling below which products in the model's format are what holds it back.
const SLOW_FORMAT: f64 = 0.6;

/// What was around a cell.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The machine.
    pub host: &'a Host,
    /// How it was doing before the cell.
    pub health: &'a Health,
    /// Whether every token was waited for before the next step was handed over.
    pub is_synchronous: bool,
}

/// What may have kept `trials` from more than they reached, where that was little; a clause each.
pub fn reasons(
    roofline: &Roofline,
    decode: &Decode,
    trials: &[Trial],
    around: Surroundings<'_>,
) -> Vec<String> {
    if decode.mbu >= LOW {
        return Vec::new();
    }
    let mut reasons = Vec::new();
    reasons.extend(slow_format(roofline, decode));
    reasons.extend(host_bound(trials));
    if around.is_synchronous {
        reasons.push("every token was waited for before the next step began".to_owned());
    }
    reasons.extend(flags(trials).into_iter().map(|flag| flag.meaning().to_owned()));
    let fitness = fitness(around.host, around.health, &Probe::default());
    let grave = fitness.reasons.into_iter().filter(|reason| reason.grade >= Grade::C);
    reasons.extend(grave.map(|reason| reason.text));
    reasons
}

fn slow_format(roofline: &Roofline, decode: &Decode) -> Option<String> {
    let products = roofline.ceilings.products();
    let product = products.max_by(|a, b| a.bytes_per_s.total_cmp(&b.bytes_per_s))?;
    let share = product.bytes_per_s / decode.ceiling.bytes_per_s;
    (share < SLOW_FORMAT).then(|| {
        let percent = share * 100.0;
        let format = &product.format;
        format!("matrix-vector products in {format} alone reach {percent:.0} % of the ceiling")
    })
}

/// After a token is visible the host prepares a later step; where that takes most of the time until the next token,
/// the device waits for the host.
fn host_bound(trials: &[Trial]) -> Option<String> {
    let shares: Vec<f64> = trials.iter().filter_map(host_share).collect();
    let share = median(&shares).filter(|share| *share >= HOST_SHARE)?;
    let percent = share * 100.0;
    Some(format!("the model is small: the host prepares steps for {percent:.0} % of the time"))
}

fn host_share(trial: &Trial) -> Option<f64> {
    let (first, last) = (*trial.visible_us.first()?, *trial.visible_us.last()?);
    let mut submitted = trial.submitted_us.iter().copied().peekable();
    let mut preparing = 0;
    for seen in &trial.visible_us {
        while submitted.next_if(|submitted| submitted < seen).is_some() {}
        preparing += submitted.peek().map_or(0, |submitted| submitted - seen);
    }
    (last > first).then(|| preparing as f64 / (last - first) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::{Bandwidth, Ceilings, Demand, Kernel};

    fn bandwidth(kernel: Kernel, bytes_per_s: f64) -> Bandwidth {
        Bandwidth { kernel, format: "bfloat16".to_owned(), working_set_bytes: 1, bytes_per_s }
    }

    /// The reasons for `mbu` of a product that reaches `product` of the ceiling.
    fn found(mbu: f64, product: f64, trial: Trial, health: &Health) -> Vec<String> {
        let roofline = Roofline {
            demand: Demand::default(),
            ceilings: Ceilings {
                bandwidths: vec![
                    bandwidth(Kernel::Copy, 100.0),
                    bandwidth(Kernel::MatrixVector, product * 100.0),
                ],
                compute: Vec::new(),
            },
            step_us: None,
        };
        let decode = Decode {
            bytes_per_token: 1.0,
            bytes_per_s: mbu * 100.0,
            ceiling: bandwidth(Kernel::Copy, 100.0),
            mbu,
        };
        let around = Surroundings { host: &Host::default(), health, is_synchronous: false };
        reasons(&roofline, &decode, &[trial], around)
    }

    /// Tokens every 1000 µs, each after a step that was handed over `after` the token before the last was visible.
    fn trial(after: u64) -> Trial {
        let mut trial = Trial::with_stamps((1..=10).map(|token| token * 1000).collect());
        trial.submitted_us =
            [10, 20].into_iter().chain((1..=8).map(|n| n * 1000 + after)).collect();
        trial
    }

    #[test]
    fn good_use_needs_no_reason() {
        assert!(found(0.5, 0.1, trial(900), &Health::default()).is_empty());
    }

    #[test]
    fn a_slow_format_a_busy_host_and_heat_are_reasons() {
        let health = Health { thermal_level: Some(2), ..Health::default() };
        assert_eq!(
            found(0.2, 0.3, trial(900), &health),
            [
                "matrix-vector products in bfloat16 alone reach 30 % of the ceiling",
                "the model is small: the host prepares steps for 80 % of the time",
                "heat holds the machine back, at level 2",
            ]
        );
    }

    #[test]
    fn no_reason_is_made_up() {
        assert!(found(0.2, 0.9, trial(100), &Health::default()).is_empty());
    }
}
