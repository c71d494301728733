//! What was said about a run, in layers: flags lie over a model's own keys, these over the defaults.

use thiserror::Error;

use super::{DecodeMode, Device, ElementType, Passages, Prompts, Sampling, Scenario, Settings};

/// The scenarios of a model of which nothing else is said.
pub(super) const USUAL: [Scenario; 2] = [Scenario::Throughput, Scenario::Chat];

/// What was said about a run at one place; what was left open is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choices {
    /// What is asked of the model; throughput and chat where absent.
    pub scenarios: Option<Vec<Scenario>>,
    /// See [`Work::Throughput`](super::Work::Throughput); 512 where absent.
    pub prompt_tokens: Option<Vec<u32>>,
    /// See [`Work::Throughput`](super::Work::Throughput); 128 where absent.
    pub generation_tokens: Option<Vec<u32>>,
    /// See [`Conditions::depth`](super::Conditions::depth); 0 where absent.
    pub depth: Option<Vec<u32>>,
    /// See [`Work::Chat`](super::Work::Chat); a request for one sentence where absent.
    pub prompt: Option<String>,
    /// See [`Work::Chat`](super::Work::Chat); 128 where absent.
    pub max_tokens: Option<u32>,
    /// See [`Cell::repetitions`](super::Cell::repetitions); 8 where absent.
    pub repetitions: Option<u32>,
    /// See [`Cell::warmup`](super::Cell::warmup); 2 where absent.
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
    /// What throughput prompts are cut from; the shipped texts where absent.
    pub prompt_file: Option<Passages>,
    /// Whether throughput prompts are ids drawn at random.
    pub random_ids: Option<bool>,
    /// See [`Settings::nll_tokens`]; 512 where absent.
    pub nll_tokens: Option<u32>,
    /// See [`Settings::dtype`].
    pub dtype: Option<ElementType>,
    /// See [`Settings::dequantize`].
    pub dequantize: Option<bool>,
    /// See [`Settings::device`].
    pub device: Option<Device>,
    /// See [`Conditions::prefill_chunk`](super::Conditions::prefill_chunk); 2048 where absent.
    pub prefill_chunk: Option<Vec<u32>>,
    /// See [`KvPacking::bits`](super::KvPacking::bits); keys and values stay dense where absent or 0.
    pub kv_bits: Option<Vec<u32>>,
    /// See [`KvPacking::group_size`](super::KvPacking::group_size); 64 where absent.
    pub kv_group_size: Option<u32>,
    /// See [`KvPacking::start`](super::KvPacking::start); 0 where absent.
    pub kv_start: Option<u32>,
    /// When steps are handed to the device; one ahead where absent.
    pub decode: Option<Vec<DecodeMode>>,
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

/// What sizes must be.
const EACH_POSITIVE: &str = "1 or more, each once";

/// Whether `list` holds something, and nothing twice.
fn is_set<T: PartialEq>(list: &[T]) -> bool {
    let repeated = |(at, item): (usize, &T)| list.iter().take(at).any(|other| other == item);
    !list.is_empty() && !list.iter().enumerate().any(repeated)
}

impl Choices {
    /// These choices, and where they leave something open, those of `under`.
    #[must_use]
    pub fn over(self, under: &Self) -> Self {
        Self {
            scenarios: self.scenarios.or_else(|| under.scenarios.clone()),
            prompt_tokens: self.prompt_tokens.or_else(|| under.prompt_tokens.clone()),
            generation_tokens: self.generation_tokens.or_else(|| under.generation_tokens.clone()),
            depth: self.depth.or_else(|| under.depth.clone()),
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
            // A file that is named above random ids is meant.
            random_ids: self.random_ids.or(if self.prompt_file.is_some() {
                Some(false)
            } else {
                under.random_ids
            }),
            prompt_file: self.prompt_file.or_else(|| under.prompt_file.clone()),
            nll_tokens: self.nll_tokens.or(under.nll_tokens),
            dtype: self.dtype.or(under.dtype),
            dequantize: self.dequantize.or(under.dequantize),
            device: self.device.or(under.device),
            prefill_chunk: self.prefill_chunk.or_else(|| under.prefill_chunk.clone()),
            kv_bits: self.kv_bits.or_else(|| under.kv_bits.clone()),
            kv_group_size: self.kv_group_size.or(under.kv_group_size),
            kv_start: self.kv_start.or(under.kv_start),
            decode: self.decode.or_else(|| under.decode.clone()),
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
        let all = |counts: &Option<Vec<u32>>, fits: fn(u32) -> bool| {
            let fit = |counts: &Vec<u32>| is_set(counts) && counts.iter().all(|count| fits(*count));
            counts.as_ref().is_none_or(fit)
        };
        let within = |number: Option<f32>, fits: fn(f32) -> bool| number.is_none_or(fits);
        let among =
            |count: Option<u32>, known: &[u32]| count.is_none_or(|count| known.contains(&count));
        let rules = [
            (
                "scenarios",
                "a list that names each scenario once",
                self.scenarios.as_ref().is_none_or(|scenarios| is_set(scenarios)),
            ),
            ("prompt_tokens", EACH_POSITIVE, all(&self.prompt_tokens, |count| count > 0)),
            ("generation_tokens", EACH_POSITIVE, all(&self.generation_tokens, |count| count > 0)),
            ("depth", "0 or more, each once", all(&self.depth, |_| true)),
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
            (
                "random_ids",
                "false where `prompt_file` says what prompts are made of",
                self.random_ids != Some(true) || self.prompt_file.is_none(),
            ),
            ("prefill_chunk", EACH_POSITIVE, all(&self.prefill_chunk, |count| count > 0)),
            (
                "kv_bits",
                "2, 3, 4, 5, 6, 8, or 0 for dense, each once",
                all(&self.kv_bits, |bits| [0, 2, 3, 4, 5, 6, 8].contains(&bits)),
            ),
            (
                "decode",
                "a list that names each mode once",
                self.decode.as_ref().is_none_or(|modes| is_set(modes)),
            ),
            ("kv_group_size", "32, 64 or 128", among(self.kv_group_size, &[32, 64, 128])),
        ];
        match rules.into_iter().find(|(_, _, fits)| !fits) {
            Some((name, rule, _)) => Err(OutOfRange { name, rule }),
            None => Ok(()),
        }
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
            prompts: self.prompts(),
            nll_tokens: self.nll_tokens.unwrap_or(usual.nll_tokens),
        }
    }

    /// What throughput prompts are cut from, where it is not what is shipped.
    pub fn passages(&self) -> Option<Passages> {
        self.prompt_file.clone().filter(|_| self.random_ids != Some(true))
    }

    fn prompts(&self) -> Prompts {
        match (self.random_ids, &self.prompt_file) {
            (Some(true), _) => Prompts::RandomIds,
            (_, Some(passages)) => Prompts::File { sha256: passages.sha256() },
            (_, None) => Prompts::Shipped,
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
        refused("prompt_tokens", |to| to.prompt_tokens = Some(vec![0]));
        refused("generation_tokens", |to| to.generation_tokens = Some(vec![0]));
        refused("max_tokens", |to| to.max_tokens = Some(0));
        refused("repetitions", |to| to.repetitions = Some(0));
        refused("prefill_chunk", |to| to.prefill_chunk = Some(vec![0]));
        refused("kv_bits", |to| to.kv_bits = Some(vec![7]));
        refused("kv_bits", |to| to.kv_bits = Some(vec![4, 8, 4]));
        refused("prompt_tokens", |to| to.prompt_tokens = Some(vec![]));
        refused("depth", |to| to.depth = Some(vec![0, 0]));
        refused("decode", |to| to.decode = Some(vec![DecodeMode::Pipelined; 2]));
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
            prefill_chunk: Some(vec![1]),
            depth: Some(vec![0]),
            kv_bits: Some(vec![0, 8]),
            ..Choices::default()
        };
        assert_eq!(edges.check(), Ok(()));
    }

    #[test]
    fn what_prompts_are_made_of_is_said_by_the_upper_layer() {
        let file = Passages::of_text("one two three four").unwrap();
        let named = Choices { prompt_file: Some(file.clone()), ..Choices::default() };
        let random = Choices { random_ids: Some(true), ..Choices::default() };
        let prompts = |choices: &Choices| (choices.settings().prompts, choices.passages());
        let of_file = (Prompts::File { sha256: file.sha256() }, Some(file));
        assert_eq!(prompts(&Choices::default()), (Prompts::Shipped, None));
        assert_eq!(prompts(&named), of_file);
        assert_eq!(prompts(&named.clone().over(&random)), of_file);
        assert_eq!(prompts(&random.clone().over(&named)), (Prompts::RandomIds, None));
        assert_eq!(random.check(), Ok(()));
        let both = Choices { random_ids: Some(true), ..named };
        assert_eq!(both.check().unwrap_err().name, "random_ids");
    }
}
