//! Why a cell may have made little use of memory: what speaks for each reason is in its figures.

use super::{Decode, Roofline};
use crate::{
    host::{
        Health, Host, Probe,
        fitness::{Grade, fitness},
    },
    measure::{steadiness::flags, trial::Trial},
    plan::{Conditions, DecodeMode},
};

/// The part of the ceiling below which reasons are looked for.
pub const LOW: f64 = 0.5;

/// Milliseconds for a token's bytes below which what a step costs beside them counts as much.
const SMALL_MS: f64 = 1.0;

/// The part of the ceiling below which products in the model's format are what holds it back.
const SLOW_FORMAT: f64 = 0.6;

/// What was around a cell.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The machine.
    pub host: &'a Host,
    /// How it was doing before the cell.
    pub health: &'a Health,
    /// What the cell was measured under.
    pub conditions: &'a Conditions,
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
    reasons.extend(small_model(decode));
    if around.conditions.decode == DecodeMode::Synchronous {
        reasons.push("every token was waited for before the next step began".to_owned());
    }
    reasons.extend(
        flags(trials, around.conditions.depth).into_iter().map(|flag| flag.meaning().to_owned()),
    );
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

/// Beside what memory takes, every step costs the host and the device some tenths of a millisecond, whatever the model.
fn small_model(decode: &Decode) -> Option<String> {
    let milliseconds = decode.bytes_per_token / decode.ceiling.bytes_per_s * 1e3;
    (milliseconds < SMALL_MS).then(|| {
        format!("the model is small: memory would take {milliseconds:.2} ms for a token, a step as such is no shorter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::roofline::{Bandwidth, Ceilings, Demand, Kernel};

    fn bandwidth(kernel: Kernel, bytes_per_s: f64) -> Bandwidth {
        let format = "bfloat16".to_owned();
        Bandwidth { kernel, format, shape: None, working_set_bytes: 1, bytes_per_s }
    }

    /// The reasons for `mbu` of a product that reaches `product` of the ceiling, and of tokens that take `ms` at it.
    fn found(mbu: f64, product: f64, ms: f64, health: &Health) -> Vec<String> {
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
            bytes_per_token: ms / 10.0,
            bytes_per_s: mbu * 100.0,
            ceiling: bandwidth(Kernel::Copy, 100.0),
            mbu,
        };
        let (host, conditions) = (&Host::default(), &Conditions::default());
        let around = Surroundings { host, health, conditions };
        reasons(&roofline, &decode, &[], around)
    }

    #[test]
    fn good_use_needs_no_reason() {
        assert!(found(0.5, 0.1, 0.2, &Health::default()).is_empty());
    }

    #[test]
    fn a_slow_format_a_small_model_and_heat_are_reasons() {
        let health = Health { thermal_level: Some(2), ..Health::default() };
        assert_eq!(
            found(0.2, 0.3, 0.25, &health),
            [
                "matrix-vector products in bfloat16 alone reach 30 % of the ceiling",
                "the model is small: memory would take 0.25 ms for a token, a step as such is no shorter",
                "heat holds the machine back, at level 2",
            ]
        );
    }

    #[test]
    fn no_reason_is_made_up() {
        assert!(found(0.2, 0.9, 5.0, &Health::default()).is_empty());
    }
}
