//! Every derived figure of a line, with the way from the samples to it.
//!
//! A part of a line that holds figures has a function in [`PARTS`]; numbers that follow from nothing in the line are in
//! [`super::given`]. A test fails where a line of ours holds a number that is in neither.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    evidence::{Evidence, OURS},
    memory::memory,
    number::pointers,
};
use crate::measure::{
    load::union_us,
    rates::{self, FORMULAS, Formula},
    roofline::{Roofline, Utilization, utilization},
    statistics::median,
    trial::Trial,
};
use crate::report::statistics::Statistics;

/// A figure that follows from the samples.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    /// Where it stands, as a JSON pointer.
    pub(super) pointer: String,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Its definition, in symbols or words.
    pub(super) definition: String,
    /// How it follows; none where the samples do not give it.
    pub(super) account: Option<Account>,
}

impl Derived {
    /// A figure that this version would not write.
    pub(super) fn undefined(pointer: &str) -> Self {
        let definition = "no definition is known here".to_owned();
        Self { pointer: pointer.to_owned(), unit: "", definition, account: None }
    }
}

/// How a figure follows.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// The definition with numbers, for each repetition where there are some.
    pub(super) steps: Vec<String>,
    /// What it comes to.
    pub(super) value: f64,
}

/// The parts of a line that hold derived figures.
const PARTS: &[fn(&Evidence<'_>) -> Vec<Derived>] =
    &[performance, timeline, own_figures, formulas, statistics, roofline, load, memory, model];

/// All that follows from `evidence`.
pub(super) fn derived(evidence: &Evidence<'_>) -> Vec<Derived> {
    PARTS.iter().flat_map(|part| part(evidence)).collect()
}

fn performance(evidence: &Evidence<'_>) -> Vec<Derived> {
    let trials = evidence.counted();
    let memory = evidence.load.as_ref().map(|load| load.memory);
    let peak = || trials.iter().filter_map(|trial| trial.memory.allocator_peak()).max();
    let peaks = "the most that MLX's allocator held in any repetition";
    let stable = memory.and_then(|memory| memory.active_bytes);
    let cleanup = evidence.cleanup_us;
    let at = |name: &str| format!("/performance/{name}");
    vec![
        defined(evidence, at("tokens_per_sec"), "tokens_per_sec", &rates::DECODE_RATE),
        sized(at("ram_peak_mb"), "MiB", peaks, peak()),
        of_formula(at("duration_s"), &rates::REQUEST_TIME, trials),
        count(at("prompt_tokens"), "P", trials, |trial| f64::from(trial.prompt_tokens)),
        count(at("completion_tokens"), "n", trials, |trial| trial.visible_us.len() as f64),
        timed(at("model_load_time_s"), "the load", load_us(evidence)),
        defined(
            evidence,
            at("time_to_first_token_s"),
            "time_to_first_token_s",
            &rates::TIME_TO_FIRST_TOKEN,
        ),
        timed(at("cleanup_time_s"), "releasing the model", cleanup),
        sized(at("peak_ram_gb"), "GiB", peaks, peak()),
        sized(at("stable_ram_gb"), "GiB", "what MLX's allocator held after the load", stable),
    ]
}

/// The stages end to end, each of its median length, from the begin of the load.
fn timeline(evidence: &Evidence<'_>) -> Vec<Derived> {
    let load = load_us(evidence).map(|micros| seconds(micros) * 1e3);
    let trials = evidence.counted();
    let first = rates::TIME_TO_FIRST_TOKEN.over(trials).map(|first| first * 1e3);
    let request = rates::REQUEST_TIME.over(trials).map(|request| request * 1e3);
    let cleanup = evidence.cleanup_us.filter(|_| evidence.is_measured);
    let cleanup = cleanup.map(|micros| seconds(micros) * 1e3);
    let end = load.zip(request).map(|(load, request)| load + request);
    let stage = |name: &str, definition: &str, parts: Option<Vec<f64>>| Derived {
        pointer: format!("/timeline/{name}"),
        unit: "ms",
        definition: definition.to_owned(),
        account: parts.map(|parts| Account {
            steps: vec![parts.iter().map(f64::to_string).collect::<Vec<_>>().join(" + ")],
            value: parts.into_iter().reduce(|sum, part| sum + part).unwrap_or_default(),
        }),
    };
    let after = |one: Option<f64>, other: Option<f64>| Some(vec![one?, other?]);
    vec![
        stage("model_load_start_ms", "the zero of all stages", load.map(|_| vec![0.0])),
        stage("model_load_complete_ms", "the load", load.map(|load| vec![load])),
        stage("request_sent_ms", "the load", end.and(load).map(|load| vec![load])),
        stage("first_token_ms", "the load + the median of t1", after(load, first)),
        stage("stream_complete_ms", "the load + the median of te", after(load, request)),
        stage("shutdown_request_ms", "the same", cleanup.and(after(load, request))),
        stage("cleanup_complete_ms", "the same + releasing the model", after(end, cleanup)),
    ]
}

/// The figures of ours beside those by their ids.
fn own_figures(evidence: &Evidence<'_>) -> Vec<Derived> {
    let trials = [&evidence.warmups, &evidence.trials].into_iter().flatten();
    let first = trials.take(1).cloned().collect::<Vec<Trial>>();
    let at = |name: &str| format!("{OURS}/{name}");
    let rate = "prompt_tokens_per_sec";
    let first_request = at("first_request_time_to_first_token_s");
    let of_first = of_formula(first_request, &rates::TIME_TO_FIRST_TOKEN, &first);
    let prompts = evidence.trials.iter().map(|trial| trial.prompt_sha256.as_str());
    let distinct = prompts.collect::<BTreeSet<_>>().len() as f64;
    vec![
        Derived {
            pointer: at("prompts/distinct"),
            unit: "",
            definition: "different hashes of prompts among the samples".to_owned(),
            account: evidence
                .line
                .pointer(&at("prompts"))
                .map(|_| Account { steps: vec![distinct.to_string()], value: distinct }),
        },
        defined(evidence, at(rate), rate, &rates::PROMPT_RATE),
        Derived { definition: "t1 of the first request, warm-ups included".to_owned(), ..of_first },
    ]
}

fn formulas(evidence: &Evidence<'_>) -> Vec<Derived> {
    let at = |formula: &Formula| format!("{OURS}/figures/{}", formula.id);
    let trials = evidence.counted();
    FORMULAS.iter().map(|formula| of_formula(at(formula), formula, trials)).collect()
}

/// What the words of a statistic stand for.
const STATISTICS: [(&str, &str); 10] = [
    ("n", "repetitions that have the figure"),
    ("median", "median of the repetitions"),
    ("median_absolute_deviation", "median distance from the median"),
    ("interval_95", "95 % interval of the median, after Hettmansperger and Sheather"),
    ("min", "the smallest"),
    ("max", "the largest"),
    ("outliers", "repetitions far from all others, counted from 1"),
    ("s", "Mann and Kendall's S"),
    ("critical", "the least |S| that tells of a trend"),
    ("change", "change from the first repetition to the last, over the median"),
];

/// Every number of the statistics, by the function that made them.
fn statistics(evidence: &Evidence<'_>) -> Vec<Derived> {
    let trials = evidence.counted();
    let made = json!(Statistics::of(trials));
    let of = [
        ("time_to_first_token_s", rates::TIME_TO_FIRST_TOKEN),
        ("prompt_tokens_per_sec", rates::PROMPT_RATE),
        ("tokens_per_sec", rates::DECODE_RATE),
    ];
    let numbers = pointers(&made).into_iter().filter_map(|pointer| {
        let value = made.pointer(&pointer)?.as_f64()?;
        let (_, formula) = of.iter().find(|(name, _)| pointer.split('/').nth(1) == Some(name))?;
        let words: Vec<&str> = pointer.split('/').skip(2).collect();
        let (_, what) = STATISTICS.iter().find(|(word, _)| words.contains(word))?;
        let values = trials.iter().filter_map(|trial| formula.of(trial));
        Some(Derived {
            pointer: format!("{OURS}/statistics{pointer}"),
            unit: if words == ["median"] { formula.unit } else { "" },
            definition: format!("{}: {what}", formula.id),
            account: Some(Account {
                steps: values.map(|value| value.to_string()).collect(),
                value,
            }),
        })
    });
    numbers.collect()
}

/// The use of memory and processor, by the function that told it.
fn roofline(evidence: &Evidence<'_>) -> Vec<Derived> {
    let measured = evidence.line.pointer(&format!("{OURS}/roofline/measured")).cloned();
    let measured = measured.and_then(|measured| serde_json::from_value::<Roofline>(measured).ok());
    let Some(measured) = measured else { return Vec::new() };
    let Utilization { decode, prefill } = utilization(&measured, evidence.counted());
    let made = json!({ "decode": decode, "prefill": prefill });
    let numbers = pointers(&made).into_iter().filter_map(|pointer| {
        let value = made.pointer(&pointer)?.as_f64()?;
        Some(Derived {
            pointer: format!("{OURS}/roofline{pointer}"),
            unit: "",
            definition: "from the samples and what stands below `measured`".to_owned(),
            account: Some(Account { steps: Vec::new(), value }),
        })
    });
    numbers.collect()
}

fn load(evidence: &Evidence<'_>) -> Vec<Derived> {
    let phases = evidence.load.as_ref().map_or(&[][..], |load| &load.phases);
    let account = evidence.load.as_ref().map(|load| Account {
        steps: load
            .phases
            .iter()
            .map(|phase| format!("{} to {}", phase.start_us, phase.end_us))
            .collect(),
        value: union_us(&load.phases) as f64,
    });
    let whole = Derived {
        pointer: format!("{OURS}/load/load_us"),
        unit: "µs",
        definition: "the time in which at least one phase ran".to_owned(),
        account,
    };
    let rates = phases.iter().enumerate().map(|(index, phase)| Derived {
        pointer: format!("{OURS}/load/phases/{index}/gigabytes_per_s"),
        unit: "GB/s",
        definition: "bytes / 1000 / microseconds".to_owned(),
        account: phase.gigabytes_per_s().zip(phase.bytes).map(|(value, bytes)| Account {
            steps: vec![format!("{bytes} / 1000 / ({} - {})", phase.end_us, phase.start_us)],
            value,
        }),
    });
    [whole].into_iter().chain(rates).collect()
}

/// The size of a model that was loaded; of another, nothing in the line says what it follows from.
fn model(evidence: &Evidence<'_>) -> Vec<Derived> {
    let size = evidence.line.pointer(&format!("{OURS}/model/size_bytes")).and_then(Value::as_u64);
    let to_hundredths = |value: f64| (value * 100.0).round() / 100.0;
    let derived = size.map(|bytes| Derived {
        pointer: "/model/size_gb".to_owned(),
        unit: "GiB",
        definition: "bytes of its files / 1024³, to hundredths".to_owned(),
        account: Some(Account {
            steps: vec![format!("{bytes} / 1024³")],
            value: to_hundredths(bytes as f64 / GIB),
        }),
    });
    derived.into_iter().collect()
}

/// A figure by the definition that the line names for it, else by the one it has here.
fn defined(
    evidence: &Evidence<'_>,
    pointer: String,
    name: &str,
    usual: &'static Formula,
) -> Derived {
    let named = evidence.line.pointer(&format!("{OURS}/definitions/{name}"));
    match named.and_then(Value::as_str) {
        None => of_formula(pointer, usual, evidence.counted()),
        Some(id) => match rates::formula(id) {
            Some(formula) => of_formula(pointer, formula, evidence.counted()),
            None => Derived {
                pointer,
                unit: usual.unit,
                definition: format!("{id}: not known here"),
                account: None,
            },
        },
    }
}

fn of_formula(pointer: String, formula: &Formula, trials: &[Trial]) -> Derived {
    let Formula { id, unit, .. } = formula;
    Derived {
        pointer,
        unit,
        definition: format!("{id}: {}, {}", formula.definition(), formula.repetitions()),
        account: formula.over(trials).map(|value| Account {
            steps: trials.iter().filter_map(|trial| step(formula, trial)).collect(),
            value,
        }),
    }
}

fn step(formula: &Formula, trial: &Trial) -> Option<String> {
    let numbers = formula.with_numbers(trial)?;
    let value = formula.of(trial)?.to_string();
    Some(if numbers.ends_with(&value) { numbers } else { format!("{numbers} = {value}") })
}

/// The median of a count; between two, the larger.
fn count(pointer: String, symbol: &str, trials: &[Trial], of: fn(&Trial) -> f64) -> Derived {
    let counts: Vec<f64> = trials.iter().map(of).collect();
    Derived {
        pointer,
        unit: "tokens",
        definition: format!("{symbol}, median of the repetitions, rounded up"),
        account: median(&counts).map(|value| Account {
            steps: counts.iter().map(f64::to_string).collect(),
            value: value.ceil(),
        }),
    }
}

fn sized(pointer: String, unit: &'static str, what: &str, bytes: Option<u64>) -> Derived {
    let (divisor, power) = if unit == "GiB" { (GIB, "1024³") } else { (MIB, "1024²") };
    Derived {
        pointer,
        unit,
        definition: format!("{what}, in {unit}"),
        account: bytes.map(|bytes| Account {
            steps: vec![format!("{bytes} / {power}")],
            value: bytes as f64 / divisor,
        }),
    }
}

fn timed(pointer: String, what: &str, micros: Option<u64>) -> Derived {
    Derived {
        pointer,
        unit: "s",
        definition: format!("{what}, in seconds"),
        account: micros.map(|micros| Account {
            steps: vec![format!("{micros} / 10⁶")],
            value: seconds(micros),
        }),
    }
}

const GIB: f64 = 1_073_741_824.0;
const MIB: f64 = 1_048_576.0;

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn load_us(evidence: &Evidence<'_>) -> Option<u64> {
    evidence.load.as_ref().map(|load| union_us(&load.phases))
}
