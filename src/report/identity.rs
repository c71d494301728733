//! Names of tests: what was done to which model, readable, and unique within a run.

use std::{collections::HashMap, fmt::Write};

use sha2::{Digest, Sha256};

use super::{assemble::ModelHint, redact};
use crate::plan::{Cell, Conditions, Device, ElementType, Prompts, Sampling, Settings, Work};

/// Hexadecimal digits of a prompt's hash that tell two chat cells apart.
const PROMPT_DIGITS: usize = 8;

/// The name of a test: `mlxk-harness::<scenario>[<model>-<sizes>-<settings>]`.
///
/// Readers group by the scenario, since they cut a name at its bracket. Sizes are `p<prompt tokens>`
/// and `g<generated tokens>`; a chat has `c<start of its prompt's SHA-256>` and `g<most tokens>`,
/// because how long a templated prompt is shows only once the model is loaded. Then come conditions that
/// are not the usual ones, `d<depth>`, `chunk<tokens>`, `kv<bits>` and `sync`, and settings that differ
/// from `defaults`. The scenario `stop` has `s<version of its prompts>`.
///
/// The same cell twice in a run has the same name twice: see [`TestNames`].
pub fn test_name(model: &str, cell: &Cell, settings: &Settings, defaults: &Settings) -> String {
    let Cell { work, conditions, .. } = cell;
    let sizes = match work {
        Work::Throughput { prompt_tokens, generation_tokens } => {
            format!("p{prompt_tokens}-g{generation_tokens}")
        }
        Work::Chat { prompt, max_tokens } => {
            let hash = sha256(prompt.as_bytes());
            let start = hash.get(..PROMPT_DIGITS).unwrap_or(&hash);
            format!("c{start}-g{max_tokens}")
        }
        Work::Stop { set, max_tokens } => format!("s{set}-g{max_tokens}"),
    };
    let scenario = work.scenario().name();
    let model = slug(redact::model_id(model));
    let conditions = unusual(conditions);
    let settings = differences(settings, defaults);
    format!("mlxk-harness::{scenario}[{model}-{sizes}{conditions}{settings}]")
}

/// Gives each test of a run a name of its own.
#[derive(Debug, Default)]
pub struct TestNames {
    uses: HashMap<String, u32>,
}

impl TestNames {
    /// `name`, or from the second time on `name` with its count before the closing bracket.
    pub fn take(&mut self, name: String) -> String {
        let uses = self.uses.entry(name.clone()).or_default();
        *uses = uses.saturating_add(1);
        match *uses {
            0 | 1 => name,
            count => format!("{}-x{count}]", name.trim_end_matches(']')),
        }
    }

    /// Counts a name that was given before.
    pub fn note(&mut self, name: &str) {
        let counted = name.trim_end_matches(']').rsplit_once("-x");
        let counted = counted.filter(|(_, count)| count.bytes().all(|byte| byte.is_ascii_digit()));
        let name = counted.map_or_else(|| name.to_owned(), |(name, _)| format!("{name}]"));
        self.take(name);
    }
}

/// The hash of all that decides what a cell measures: the model as it is called and its commit or size, the settings, the
/// work, the warm-ups and the version of the harness; and how often the run had the same before. How often it is repeated
/// does not count.
pub fn configuration(model: &ModelHint, settings: &Settings, cell: &Cell, before: usize) -> String {
    let ModelHint { id, revision, size_bytes, fetched: _ } = model;
    let all = serde_json::json!({
        "harness": env!("CARGO_PKG_VERSION"),
        "model": id, "revision": revision, "size_bytes": size_bytes,
        "settings": settings, "work": cell.work, "conditions": cell.conditions, "warmup": cell.warmup, "before": before,
    });
    sha256(all.to_string().as_bytes())
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a `String` takes any text");
    }
    text
}

/// Only characters that no reader of names takes for a separator.
fn slug(model: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "._/-".contains(character);
    let plain = |character| if is_plain(character) { character } else { '_' };
    model.chars().map(plain).collect()
}

/// Conditions that are not the usual ones.
fn unusual(conditions: &Conditions) -> String {
    let Conditions { depth, prefill_chunk, kv, decode } = conditions;
    let usual = Conditions::default();
    let mut parts = String::new();
    let mut push = |part: String| parts.extend(["-", &part]);
    if *depth != usual.depth {
        push(format!("d{depth}"));
    }
    if *prefill_chunk != usual.prefill_chunk {
        push(format!("chunk{prefill_chunk}"));
    }
    if let Some(kv) = kv {
        push(format!("kv{}", kv.short()));
    }
    if *decode != usual.decode {
        push(decode.short().to_owned());
    }
    parts
}

fn differences(settings: &Settings, defaults: &Settings) -> String {
    let Settings { dtype, dequantize, device, sampling, prompts, nll_tokens: _ } = settings;
    let mut parts = Vec::new();
    if *dtype != defaults.dtype {
        parts.push(dtype.map_or("as-stored", element_type).to_owned());
    }
    if *dequantize != defaults.dequantize {
        let name = if *dequantize { "dequantized" } else { "packed" };
        parts.push(name.to_owned());
    }
    if *device != defaults.device {
        parts.push(device_name(*device).to_owned());
    }
    if prompts != &defaults.prompts {
        parts.push(prompts_name(prompts));
    }
    parts.extend(sampling_differences(sampling, &defaults.sampling));
    parts.insert(0, String::new());
    parts.join("-")
}

fn prompts_name(prompts: &Prompts) -> String {
    match prompts {
        Prompts::Shipped => "shipped-texts".to_owned(),
        Prompts::File { sha256 } => format!("text{}", sha256.get(..8).unwrap_or(sha256)),
        Prompts::RandomIds => "random-ids".to_owned(),
    }
}

fn sampling_differences(sampling: &Sampling, defaults: &Sampling) -> Vec<String> {
    let Sampling { temperature, top_p, min_p, top_k, repetition_penalty, seed } = sampling;
    let fractions = [
        ("temperature", *temperature, defaults.temperature),
        ("top_p", *top_p, defaults.top_p),
        ("min_p", *min_p, defaults.min_p),
    ];
    let differing =
        fractions.iter().filter(|(_, value, default)| value.to_bits() != default.to_bits());
    let mut parts: Vec<_> = differing.map(|(name, value, _)| format!("{name}{value}")).collect();
    if *top_k != defaults.top_k {
        parts.push(format!("top_k{top_k}"));
    }
    if *repetition_penalty != defaults.repetition_penalty {
        let value = repetition_penalty.map_or_else(|| "none".to_owned(), |value| value.to_string());
        parts.push(format!("repetition_penalty{value}"));
    }
    if *seed != defaults.seed {
        parts.push(format!("seed{seed}"));
    }
    parts
}

fn element_type(dtype: ElementType) -> &'static str {
    match dtype {
        ElementType::Float32 => "float32",
        ElementType::Float16 => "float16",
        ElementType::Bfloat16 => "bfloat16",
    }
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Auto => "auto",
        Device::Cpu => "cpu",
        Device::Gpu => "gpu",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DecodeMode, KvPacking};

    fn throughput() -> Cell {
        Cell::throughput([512, 128], 1, 8)
    }

    #[track_caller]
    fn case(model: &str, cell: &Cell, settings: &Settings, expected: &str) {
        assert_eq!(test_name(model, cell, settings, &Settings::default()), expected);
    }

    #[test]
    fn a_name_tells_scenario_model_and_sizes() {
        case(
            "mlx-community/Qwen3-0.6B-4bit",
            &throughput(),
            &Settings::default(),
            "mlxk-harness::throughput[mlx-community/Qwen3-0.6B-4bit-p512-g128]",
        );
    }

    #[test]
    fn a_chat_is_told_by_the_start_of_its_prompts_hash() {
        // printf %s 'Write one sentence about cats.' | sha256sum
        let work =
            Work::Chat { prompt: "Write one sentence about cats.".to_owned(), max_tokens: 50 };
        case(
            "tiny",
            &Cell { work, ..throughput() },
            &Settings::default(),
            "mlxk-harness::chat[tiny-c60b12032-g50]",
        );
    }

    #[test]
    fn settings_appear_where_they_differ_from_the_default() {
        let settings = Settings {
            dtype: Some(ElementType::Float16),
            dequantize: true,
            device: Device::Cpu,
            prompts: Prompts::RandomIds,
            nll_tokens: 7,
            sampling: Sampling {
                temperature: 0.7,
                repetition_penalty: Some(1.1),
                seed: 3,
                ..Sampling::default()
            },
        };
        case(
            "tiny",
            &throughput(),
            &settings,
            "mlxk-harness::throughput[tiny-p512-g128-float16-dequantized-cpu-random-ids\
             -temperature0.7-repetition_penalty1.1-seed3]",
        );
    }

    #[test]
    fn unusual_conditions_make_another_cell() {
        let case = |conditions, expected: &str| {
            let expected = format!("mlxk-harness::throughput[tiny-p512-g128{expected}]");
            let cell = Cell { conditions, ..throughput() };
            case("tiny", &cell, &Settings::default(), &expected);
            let hint = ModelHint::default();
            let hash = |cell| configuration(&hint, &Settings::default(), cell, 0);
            assert_ne!(hash(&cell), hash(&throughput()));
        };
        let usual = Conditions::default;
        let packed = |bits, group_size, start| Conditions {
            kv: Some(KvPacking { bits, group_size, start }),
            ..usual()
        };
        case(packed(8, 64, 0), "-kv8");
        case(packed(4, 32, 5000), "-kv4-group32-from5000");
        case(Conditions { depth: 1024, ..usual() }, "-d1024");
        case(Conditions { decode: DecodeMode::Synchronous, ..usual() }, "-sync");
        case(Conditions { prefill_chunk: 512, depth: 1, ..packed(8, 64, 0) }, "-d1-chunk512-kv8");
    }

    #[test]
    fn a_default_that_is_set_back_appears_too() {
        let defaults =
            Settings { dtype: Some(ElementType::Float16), dequantize: true, ..Settings::default() };
        let name = test_name("tiny", &throughput(), &Settings::default(), &defaults);
        assert_eq!(name, "mlxk-harness::throughput[tiny-p512-g128-as-stored-packed]");
    }

    #[test]
    fn a_model_cannot_break_the_grammar_of_names() {
        case(
            "/Volumes/Disk/my model::v2[b]",
            &throughput(),
            &Settings::default(),
            "mlxk-harness::throughput[my_model__v2_b_-p512-g128]",
        );
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = TestNames::default();
        let taken: Vec<_> =
            ["a[x]", "b[x]", "a[x]", "a[x]"].map(|name| names.take(name.to_owned())).into();
        assert_eq!(taken, ["a[x]", "b[x]", "a[x-x2]", "a[x-x3]"]);
        let mut names = TestNames::default();
        for name in ["a[x]", "a[x-x2]", "b[y-xl]"] {
            names.note(name);
        }
        assert_eq!(names.take("a[x]".to_owned()), "a[x-x3]");
        assert_eq!(names.take("b[y-xl]".to_owned()), "b[y-xl-x2]");
    }
}
