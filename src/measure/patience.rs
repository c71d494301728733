//! How long a child is waited for, stage by stage.

use std::{str::FromStr, time::Duration};

use thiserror::Error;

use super::outcome::Stage;

/// The longest that a child may come no further in a stage; then it is killed.
///
/// A child says twice a second that it lives, and in which stage it is. That is no step forward, for a child that hangs
/// inside MLX says so too. A step is another stage, a chunk of the prompt, or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the start of the child until the model is in memory.
    pub load: Duration,
    /// Between two chunks of a prompt; making its ids counts too.
    pub prefill: Duration,
    /// Between two tokens.
    pub decode: Duration,
    /// From the last answer until the process is gone.
    pub cleanup: Duration,
}

/// Nothing that is waited for reads so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no patience: write seconds, such as `900`, or some for a stage, such as `load=900,decode=120`"
)]
pub struct NotPatience(String);

impl Default for Patience {
    fn default() -> Self {
        Self::of_seconds(900)
    }
}

impl Patience {
    /// So many seconds for whatever a model does; to end, it has ten.
    fn of_seconds(seconds: u32) -> Self {
        let time = Duration::from_secs(seconds.into());
        Self { load: time, prefill: time, decode: time, cleanup: Duration::from_secs(10) }
    }

    /// That of a stage.
    pub fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Resolve | Stage::Load => self.load,
            Stage::Prompt | Stage::Prefill => self.prefill,
            Stage::Decode => self.decode,
            Stage::Cleanup => self.cleanup,
        }
    }
}

impl FromStr for Patience {
    type Err = NotPatience;

    /// Reads `600`, `load=900,decode=120`, or both: `600,decode=60`. A number alone comes first.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotPatience(text.to_owned());
        let seconds =
            |text: &str| text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(wrong);
        let mut patience = Self::default();
        for (place, part) in text.split(',').enumerate() {
            let Some((stage, time)) = part.split_once('=') else {
                if place > 0 {
                    return Err(wrong());
                }
                patience = Self::of_seconds(seconds(part)?);
                continue;
            };
            let time = Duration::from_secs(seconds(time)?.into());
            match stage {
                "load" => patience.load = time,
                "prefill" => patience.prefill = time,
                "decode" => patience.decode = time,
                "cleanup" => patience.cleanup = time,
                _ => return Err(wrong()),
            }
        }
        Ok(patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, seconds: [u64; 4]) {
        let [load, prefill, decode, cleanup] = seconds.map(Duration::from_secs);
        assert_eq!(text.parse(), Ok(Patience { load, prefill, decode, cleanup }), "{text}");
    }

    #[test]
    fn a_number_is_for_all_that_a_model_does_and_a_stage_has_its_own() {
        reads("900", [900, 900, 900, 10]);
        reads("1", [1, 1, 1, 10]);
        reads("load=60,prefill=30,decode=5,cleanup=2", [60, 30, 5, 2]);
        reads("decode=120", [900, 900, 120, 10]);
        reads("600,decode=60", [600, 600, 60, 10]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "0", "-1", "1.5", "load", "load=", "load=0", "warmup=3", "decode=60,600", "60,"]
        {
            assert_eq!(text.parse::<Patience>(), Err(NotPatience(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn every_stage_has_one() {
        let patience: Patience =
            "load=1,prefill=2,decode=3,cleanup=4".parse().expect("well formed");
        let of = |stage| patience.of(stage).as_secs();
        assert_eq!([Stage::Resolve, Stage::Load].map(of), [1, 1]);
        assert_eq!([Stage::Prompt, Stage::Prefill].map(of), [2, 2]);
        assert_eq!([Stage::Decode, Stage::Cleanup].map(of), [3, 4]);
    }
}
