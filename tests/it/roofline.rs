//! Whether the work was done: a loop that evaluates late is refused, the real one is not, and what was made use of is
//! told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mlx_rs::{
    Array,
    ops::indexing::{TryIndexOp, argmax_axis},
    transforms::eval,
};
use mlxk_harness::{
    measure::{
        clock::SystemClock,
        engine::{Answer, Ask, Engine, EngineError, Event, Prepared, PromptKind},
        mlx::{self, Opened},
        recorder::record,
        roofline::{Doubt, Roofline, doubt},
        trial::{Finish, Memory, Trial},
    },
    plan::{Cell, Conditions, Device, Sampling, Settings, Work},
};
use serde_json::Value;

use crate::weights::{self, FLOAT32, Tweak};

/// Tokens that the lazy loop makes before it evaluates any.
const LATE: u32 = 20;

fn cell() -> Cell {
    let work = Work::Throughput { prompt_tokens: 8, generation_tokens: 70 };
    Cell { work, conditions: Conditions::default(), warmup: 1, repetitions: 3 }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

/// A small model of generated weights, and what is measured of it.
fn opened(name: &str) -> (Opened, Roofline) {
    let folder = tempfile::tempdir().unwrap();
    weights::write(&fixture(name), FLOAT32, folder.path(), Tweak::default());
    mlx::use_device(Device::Cpu).unwrap();
    let opened = mlx::open(folder.path().to_str().unwrap(), None, &Settings::default()).unwrap();
    let roofline = mlx::roofline(&opened).unwrap().unwrap();
    (opened, roofline)
}

/// Three repetitions, after one to get warm.
fn trials(engine: &mut dyn Engine) -> Vec<Trial> {
    let clock = SystemClock::new();
    let cell = cell();
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    let mut trial = || record(engine, ask, &clock, &mut |_| {}).expect("it runs");
    trial();
    (0..3).map(|_| trial()).collect()
}

/// Runs a model for real, but waits for its tokens only now and then.
struct Lazy(Opened);

impl Lazy {
    /// The answer, and `seen` as soon as this loop believes to see.
    fn answer(&self, prompt: &[u32], budget: u32, seen: &mut dyn FnMut(Event)) -> Vec<u32> {
        let mut cache = self.0.model.new_cache();
        let length = i32::try_from(prompt.len()).unwrap();
        let mut token = Array::from_slice(prompt, &[1, length]);
        let (mut waiting, mut ids) = (Vec::new(), Vec::new());
        for n in 1..=budget {
            let scores = self.0.model.forward(&token, &mut cache).unwrap();
            let scores = scores.try_index((.., -1, ..)).unwrap();
            token = argmax_axis(scores, -1, true).unwrap();
            waiting.push(token.clone());
            if n % LATE != 0 && n != budget {
                continue;
            }
            eval(&waiting).unwrap();
            for token in waiting.drain(..) {
                let id = token.reshape(&[]).unwrap().try_item_exact::<u32>().unwrap();
                seen(Event::Submitted);
                seen(Event::Visible(id));
                ids.push(id);
            }
        }
        ids
    }
}

impl Engine for Lazy {
    fn prepare(&mut self, _: &Cell) -> Result<Prepared, EngineError> {
        Ok(Prepared { prompt: PromptKind::RandomIds, packed: None, warnings: Vec::new() })
    }

    fn fill(&mut self, _: Ask<'_>, _: &mut dyn FnMut(u32)) -> Result<(), EngineError> {
        Ok(())
    }

    fn generate(
        &mut self,
        ask: Ask<'_>,
        seen: &mut dyn FnMut(Event),
    ) -> Result<Answer, EngineError> {
        let Work::Throughput { prompt_tokens, generation_tokens } = ask.cell.work else {
            panic!("only throughput is asked for");
        };
        let prompt_ids: Vec<u32> = (0..prompt_tokens).collect();
        seen(Event::PromptReady { tokens: prompt_tokens });
        let ids = self.answer(&prompt_ids, generation_tokens, seen);
        Ok(Answer { prompt_ids, ids, answer_from: None, finish: Finish::Length, text: None })
    }

    fn canary(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn roofline(&mut self) -> Result<Option<Roofline>, EngineError> {
        Ok(Some(mlx::roofline(&self.0).unwrap().unwrap()))
    }

    fn reset_peak_memory(&mut self) {}

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

#[test]
fn a_loop_that_evaluates_every_twenty_tokens_is_refused() {
    for name in ["llama", "mixtral"] {
        let (opened, roofline) = opened(name);
        let mut lazy = Lazy(opened);
        let trials = trials(&mut lazy);
        let first = doubt(&roofline, &trials);
        assert!(matches!(first, Some(Doubt::Gaps { .. })), "{name}: {first:?}");
        // Another look does not make up for work that was not done.
        let again = lazy.roofline().unwrap().unwrap();
        let second = doubt(&roofline.or_better(&again), &trials);
        assert!(matches!(second, Some(Doubt::Gaps { .. })), "{name}: {second:?}");
    }
}

#[test]
fn the_real_loop_is_never_refused() {
    for name in ["llama", "mixtral", "deepseek_v3", "gemma3", "gemma3n", "mamba2", "qwen3_next"] {
        let (opened, roofline) = opened(name);
        let mut engine = mlx::engine(opened, &Settings::default());
        assert_eq!(doubt(&roofline, &trials(engine.as_mut())), None, "{name}");
    }
}

/// The line of the throughput of a scripted model, and what the run said in all.
fn scripted(behaviour: &str) -> (Value, String, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["run", &format!("scripted:{behaviour}"), "--scenario", "throughput"])
        .args(["--repetitions", "3", "--warmup", "1"])
        .args(["--prompt-tokens", "8", "--generation-tokens", "16", "--report-output"])
        .arg(&report)
        .output()
        .unwrap();
    let line = fs::read_to_string(&report).unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    (serde_json::from_str(line.trim()).unwrap(), table, output.status.code())
}

#[test]
fn impossible_tokens_a_second_are_refused() {
    let (line, table, code) = scripted("impossible");
    assert_eq!((line["outcome"].as_str(), code), (Some("failed"), Some(1)));
    let harness = &line["metadata"]["mlxk_harness"];
    assert_eq!(harness["failure"]["kind"], "not_evaluated");
    assert!(line["performance"].get("tokens_per_sec").is_none(), "{line}");
    assert!(harness["roofline"].get("decode").is_none(), "{harness}");
    assert_eq!(harness["roofline"]["measured"]["ceilings"]["bandwidths"][0]["bytes_per_s"], 1e11);
    // 14 of 15 steps count of 4 GB in 20 ms, and memory gives 100 GB/s.
    assert!(table.contains("its tokens would need 186.7 GB/s, and memory gives 100.0"), "{table}");
}

#[test]
fn what_a_busy_machine_gave_is_looked_at_again_before_a_cell_is_refused() {
    let (line, table, code) = scripted("hindered");
    assert_eq!((line["outcome"].as_str(), code), (Some("passed"), Some(0)), "{line}");
    let roofline = &line["metadata"]["mlxk_harness"]["roofline"];
    assert_eq!(roofline["measured"]["ceilings"]["bandwidths"][0]["bytes_per_s"], 4e11);
    // 4 GB in 20 ms.
    assert_eq!(roofline["decode"]["mbu"], 0.5);
    assert!(table.contains(" 50.0  2.50   50  "), "{table}");
}

#[test]
fn what_was_made_use_of_is_told() {
    let (line, table, code) = scripted("half");
    assert_eq!(code, Some(0));
    assert!(
        table.contains("decode   NLL  MBU  peak") && table.contains(" 50.0  2.50   50  "),
        "{table}"
    );
    let decode = &line["metadata"]["mlxk_harness"]["roofline"]["decode"];
    assert_eq!(decode["mbu"], 0.5);
    assert_eq!(decode["bytes_per_token"], 1e9);
    assert_eq!(decode["ceiling"]["kernel"], "copy");
}
