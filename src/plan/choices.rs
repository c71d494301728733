//! What was said about a run, in layers: flags lie over a model's own keys, these over the defaults.

use thiserror::Error;

use super::{
    Cell, Device, ElementType, KvPacking, LONGEST_STOP_ANSWER, STOP_SET, Sampling, Scenario,
    Settings, Work,
};

/// The scenarios of a model of which nothing else is said.
const USUAL: [Scenario; 2] = [Scenario::Throughput, Scenario::Chat];

/// What was said about a run at one place; what was left open is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choices {
    /// What is asked of the model; throughput and chat where absent.
    pub scenarios: Option<Vec<Scenario>>,
    /// See [`Work::Throughput`]; 512 where absent.
    pub prompt_tokens: Option<u32>,
    /// See [`Work::Throughput`]; 128 where absent.
    pub generation_tokens: Option<u32>,
    /// See [`Work::Chat`]; a request for one sentence where absent.
    pub prompt: Option<String>,
    /// See [`Work::Chat`]; 128 where absent.
    pub max_tokens: Option<u32>,
    /// See [`Cell::repetitions`]; 8 where absent.
    pub repetitions: Option<u32>,
    /// See [`Cell::warmup`]; 2 where absent.
    pub warmup: Option<u32>,
    /// See [`Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`Sampling::top_k`].
    pub top_k: Option<u32>,
    /// See [`Sampling::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`Sampling::seed`].
    pub seed: Option<u64>,
    /// See [`Settings::dtype`].
    pub dtype: Option<ElementType>,
    /// See [`Settings::dequantize`].
    pub dequantize: Option<bool>,
    /// See [`Settings::device`].
    pub device: Option<Device>,
    /// See [`Settings::prefill_chunk`].
    pub prefill_chunk: Option<u32>,
    /// See [`KvPacking::bits`]; keys and values stay dense where absent.
    pub kv_bits: Option<u32>,
    /// See [`KvPacking::group_size`]; 64 where absent.
    pub kv_group_size: Option<u32>,
    /// See [`KvPacking::start`]; 0 where absent.
    pub kv_start: Option<u32>,
}

/// A value that has the right type and makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("`{name}` must be {rule}")]
pub struct OutOfRange {
    /// The field of [`Choices`], spelled as in a manifest.
    pub name: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl Choices {
    /// These choices, and where they leave something open, those of `under`.
    #[must_use]
    pub fn over(self, under: &Self) -> Self {
        Self {
            scenarios: self.scenarios.or_else(|| under.scenarios.clone()),
            prompt_tokens: self.prompt_tokens.or(under.prompt_tokens),
            generation_tokens: self.generation_tokens.or(under.generation_tokens),
            prompt: self.prompt.or_else(|| under.prompt.clone()),
            max_tokens: self.max_tokens.or(under.max_tokens),
            repetitions: self.repetitions.or(under.repetitions),
            warmup: self.warmup.or(under.warmup),
            temperature: self.temperature.or(under.temperature),
            top_p: self.top_p.or(under.top_p),
            min_p: self.min_p.or(under.min_p),
            top_k: self.top_k.or(under.top_k),
            repetition_penalty: self.repetition_penalty.or(under.repetition_penalty),
            seed: self.seed.or(under.seed),
            dtype: self.dtype.or(under.dtype),
            dequantize: self.dequantize.or(under.dequantize),
            device: self.device.or(under.device),
            prefill_chunk: self.prefill_chunk.or(under.prefill_chunk),
            kv_bits: self.kv_bits.or(under.kv_bits),
            kv_group_size: self.kv_group_size.or(under.kv_group_size),
            kv_start: self.kv_start.or(under.kv_start),
        }
    }

    /// Adds [`Scenario::Stop`] to the scenarios, unless it is among them.
    pub(super) fn ask_where_it_stops(&mut self) {
        let scenarios = self.scenarios.get_or_insert_with(|| USUAL.to_vec());
        if !scenarios.contains(&Scenario::Stop) {
            scenarios.push(Scenario::Stop);
        }
    }

    /// Refuses the first value that makes no sense.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let positive = |count: Option<u32>| count.is_none_or(|count| count > 0);
        let within = |number: Option<f32>, fits: fn(f32) -> bool| number.is_none_or(fits);
        let among =
            |count: Option<u32>, known: &[u32]| count.is_none_or(|count| known.contains(&count));
        let rules = [
            ("scenarios", "a list that names each scenario once", self.scenarios_fit()),
            ("prompt_tokens", "1 or more", positive(self.prompt_tokens)),
            ("generation_tokens", "1 or more", positive(self.generation_tokens)),
            ("prompt", "some text", self.prompt.as_ref().is_none_or(|text| !text.is_empty())),
            ("max_tokens", "1 or more", positive(self.max_tokens)),
            ("repetitions", "1 or more", positive(self.repetitions)),
            ("temperature", "0 or more", within(self.temperature, |t| t >= 0.0 && t.is_finite())),
            ("top_p", "more than 0, at most 1", within(self.top_p, |p| p > 0.0 && p <= 1.0)),
            ("min_p", "0 or more, at most 1", within(self.min_p, |p| (0.0..=1.0).contains(&p))),
            (
                "repetition_penalty",
                "more than 0",
                within(self.repetition_penalty, |penalty| penalty > 0.0 && penalty.is_finite()),
            ),
            ("prefill_chunk", "1 or more", positive(self.prefill_chunk)),
            ("kv_bits", "2, 3, 4, 5, 6 or 8", among(self.kv_bits, &[2, 3, 4, 5, 6, 8])),
            ("kv_group_size", "32, 64 or 128", among(self.kv_group_size, &[32, 64, 128])),
        ];
        match rules.into_iter().find(|(_, _, fits)| !fits) {
            Some((name, rule, _)) => Err(OutOfRange { name, rule }),
            None => Ok(()),
        }
    }

    fn scenarios_fit(&self) -> bool {
        self.scenarios.as_ref().is_none_or(|scenarios| {
            let repeated =
                |(at, scenario)| scenarios.iter().take(at).any(|other| other == scenario);
            !scenarios.is_empty() && !scenarios.iter().enumerate().any(repeated)
        })
    }

    /// How the model is loaded and run.
    pub fn settings(&self) -> Settings {
        let usual = Settings::default();
        let greedy = Sampling::default();
        Settings {
            dtype: self.dtype.or(usual.dtype),
            dequantize: self.dequantize.unwrap_or(usual.dequantize),
            device: self.device.unwrap_or(usual.device),
            sampling: Sampling {
                temperature: self.temperature.unwrap_or(greedy.temperature),
                top_p: self.top_p.unwrap_or(greedy.top_p),
                min_p: self.min_p.unwrap_or(greedy.min_p),
                top_k: self.top_k.unwrap_or(greedy.top_k),
                repetition_penalty: self.repetition_penalty.or(greedy.repetition_penalty),
                seed: self.seed.unwrap_or(greedy.seed),
            },
            prefill_chunk: self.prefill_chunk.unwrap_or(usual.prefill_chunk),
            kv: self.kv_bits.map(|bits| KvPacking {
                bits,
                group_size: self.kv_group_size.unwrap_or(64),
                start: self.kv_start.unwrap_or(0),
            }),
        }
    }

    /// What is measured, in order.
    pub fn cells(&self) -> Vec<Cell> {
        self.scenarios
            .as_deref()
            .unwrap_or(&USUAL)
            .iter()
            .map(|scenario| match scenario {
                // Its prompts are asked once, in an order of their own.
                Scenario::Stop => Cell { work: self.work(*scenario), warmup: 0, repetitions: 0 },
                Scenario::Throughput | Scenario::Chat => Cell {
                    work: self.work(*scenario),
                    warmup: self.warmup.unwrap_or(2),
                    repetitions: self.repetitions.unwrap_or(8),
                },
            })
            .collect()
    }

    fn work(&self, scenario: Scenario) -> Work {
        match scenario {
            Scenario::Throughput => Work::Throughput {
                prompt_tokens: self.prompt_tokens.unwrap_or(512),
                generation_tokens: self.generation_tokens.unwrap_or(128),
            },
            Scenario::Chat => Work::Chat { prompt: self.prompt(), max_tokens: self.max_tokens() },
            Scenario::Stop => Work::Stop {
                set: STOP_SET,
                max_tokens: self.max_tokens.unwrap_or(LONGEST_STOP_ANSWER),
            },
        }
    }

    /// What the user says, in a chat.
    pub fn prompt(&self) -> String {
        // What mlx-knife asks in its own live tests.
        self.prompt.clone().unwrap_or_else(|| "Write one sentence about cats.".to_owned())
    }

    /// Tokens after which an answer is cut.
    pub fn max_tokens(&self) -> u32 {
        self.max_tokens.unwrap_or(128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, set: fn(&mut Choices)) {
        let mut choices = Choices::default();
        set(&mut choices);
        assert_eq!(choices.check().unwrap_err().name, name);
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        refused("prompt_tokens", |to| to.prompt_tokens = Some(0));
        refused("generation_tokens", |to| to.generation_tokens = Some(0));
        refused("max_tokens", |to| to.max_tokens = Some(0));
        refused("repetitions", |to| to.repetitions = Some(0));
        refused("prefill_chunk", |to| to.prefill_chunk = Some(0));
        refused("kv_bits", |to| to.kv_bits = Some(7));
        refused("kv_group_size", |to| to.kv_group_size = Some(16));
        refused("temperature", |to| to.temperature = Some(-0.1));
        refused("temperature", |to| to.temperature = Some(f32::NAN));
        refused("top_p", |to| to.top_p = Some(0.0));
        refused("top_p", |to| to.top_p = Some(1.1));
        refused("min_p", |to| to.min_p = Some(-0.1));
        refused("repetition_penalty", |to| to.repetition_penalty = Some(0.0));
        refused("prompt", |to| to.prompt = Some(String::new()));
        refused("scenarios", |to| to.scenarios = Some(vec![]));
        refused("scenarios", |to| {
            to.scenarios = Some(vec![Scenario::Chat, Scenario::Throughput, Scenario::Chat]);
        });
    }

    #[test]
    fn values_at_the_edges_are_taken() {
        let edges = Choices {
            warmup: Some(0),
            temperature: Some(0.0),
            top_p: Some(1.0),
            min_p: Some(0.0),
            top_k: Some(0),
            prefill_chunk: Some(1),
            ..Choices::default()
        };
        assert_eq!(edges.check(), Ok(()));
    }

    #[test]
    fn an_upper_layer_wins_and_a_lower_one_fills_the_gaps() {
        let flags = Choices { repetitions: Some(9), ..Choices::default() };
        let defaults = Choices {
            repetitions: Some(2),
            scenarios: Some(vec![Scenario::Chat]),
            max_tokens: Some(7),
            prompt: Some("Hi".to_owned()),
            warmup: Some(0),
            ..Choices::default()
        };
        assert_eq!(
            flags.over(&defaults).cells(),
            [Cell {
                work: Work::Chat { prompt: "Hi".to_owned(), max_tokens: 7 },
                warmup: 0,
                repetitions: 9,
            }]
        );
    }

    #[test]
    fn where_a_model_stops_is_asked_once_and_only_on_request() {
        let mut choices = Choices { max_tokens: Some(9), ..Choices::default() };
        choices.ask_where_it_stops();
        choices.ask_where_it_stops();
        let cells = choices.cells();
        let stop = Work::Stop { set: STOP_SET, max_tokens: 9 };
        assert_eq!(cells.len(), 3);
        assert_eq!(cells[2], Cell { work: stop, warmup: 0, repetitions: 0 });
    }

    #[test]
    fn what_is_left_open_becomes_both_scenarios_with_greedy_sampling() {
        let open = Choices::default();
        assert_eq!(
            open.cells().iter().map(|cell| cell.work.clone()).collect::<Vec<_>>(),
            [
                Work::Throughput { prompt_tokens: 512, generation_tokens: 128 },
                Work::Chat { prompt: "Write one sentence about cats.".to_owned(), max_tokens: 128 },
            ]
        );
        assert_eq!(open.settings(), Settings::default());
    }
}
