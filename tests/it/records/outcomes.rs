//! A machine, cells and outcomes to make records of.

use std::time::{Duration, SystemTime};

use mlxk_harness::{
    host::{Health, Host},
    measure::{
        engine::PromptKind,
        findings::{Findings, TextLikelihood},
        load::{LoadPhase, LoadStep},
        message::{Loaded, ModelFacts, Runtime},
        outcome::{Failure, Outcome, Skip, Stage, Verdict},
        trial::{Finish, Memory, Trial},
    },
    plan::{CacheKind, Cell, Conditions, Keeps, Need, Settings, Work},
    report::{Context, MemoryBack, ModelHint, SchemaVersion},
    stops::Token,
};

const GIB: u64 = 1 << 30;

pub(super) fn context() -> Context {
    Context {
        schema: SchemaVersion::V0_2_0,
        mlx_knife_version: "2.0.8".parse().unwrap(),
        host: Host {
            platform: Some("macOS".to_owned()),
            platform_version: Some("macOS 26.2".to_owned()),
            architecture: Some("arm64".to_owned()),
            model: Some("Mac14,13".to_owned()),
            chip: Some("Apple M2 Max".to_owned()),
            physical_cores: Some(12),
            logical_cores: Some(12),
            performance_cores: Some(8),
            efficiency_cores: Some(4),
            gpu_cores: Some(38),
            metal: Some("Metal 4".to_owned()),
            memory_bytes: Some(64 * GIB),
            ..Host::default()
        },
        health: Health {
            free_bytes: Some(20 * GIB),
            swap_used_bytes: Some(3 * GIB / 2),
            zombies: Some(2),
            load_average: Some(1.5),
            memory_pressure: Some(1),
            gpu_busy_percent: Some(3),
            ..Health::default()
        },
        health_after: Some(Health {
            free_bytes: Some(19 * GIB),
            load_average: Some(2.5),
            ..Health::default()
        }),
        memory_back: Some(MemoryBack { us: 250_000, within_bytes: 64 << 20 }),
        model: ModelHint { id: "mlx-community/Qwen3-0.6B-4bit".to_owned(), ..ModelHint::default() },
        defaults: Settings::default(),
        mark: None,
    }
}

pub(super) fn throughput() -> Cell {
    Cell {
        work: Work::Throughput { prompt_tokens: 320, generation_tokens: 3 },
        conditions: Conditions::default(),
        warmup: 1,
        repetitions: 2,
    }
}

pub(super) fn chat() -> Cell {
    Cell {
        work: Work::Chat { prompt: "Write one sentence about cats.".to_owned(), max_tokens: 50 },
        conditions: Conditions::default(),
        warmup: 0,
        repetitions: 1,
    }
}

fn runtime() -> Runtime {
    Runtime {
        mlx_version: "0.32.2".to_owned(),
        mlx_rs_version: "0.33.0".to_owned(),
        device: "gpu".to_owned(),
        device_name: Some("Apple M2 Max".to_owned()),
        working_set_bytes: Some(48 * GIB),
    }
}

pub(super) fn loaded() -> Loaded {
    Loaded {
        model: ModelFacts {
            id: "mlx-community/Qwen3-0.6B-4bit".to_owned(),
            revision: Some("73e3e38d981303bc594367cd910ea6eb48349da8".to_owned()),
            model_type: "qwen3".to_owned(),
            size_bytes: 351_000_000,
            parameters: 596_049_920,
            parameter_bytes: 335_000_000,
            quantization: Some("4-bit affine, group 64".to_owned()),
            stored_quantization: None,
            dtype: "bfloat16".to_owned(),
            format: "safetensors".to_owned(),
            vocabulary: 151_936,
            context_length: Some(40_960),
            stop_tokens: vec![
                Token { id: 151_645, text: Some("<|im_end|>".to_owned()) },
                Token { id: 151_643, text: None },
            ],
        },
        phases: vec![
            phase(LoadStep::Open, 0, 50_000, None),
            phase(LoadStep::Evaluate, 50_000, 950_000, Some(450_000_000)),
            phase(LoadStep::Tokenizer, 950_000, 1_250_000, None),
        ],
        resident_before: Some(0.25),
        memory: Memory {
            active_bytes: Some(GIB / 2),
            peak_bytes: Some(335_000_000),
            ..Memory::default()
        },
        roofline: None,
    }
}

/// Tokens that are visible at these microseconds, each submitted 500 before.
fn trial(visible_us: &[u64], peak_bytes: u64, finish: Finish) -> Trial {
    Trial {
        prompt: 0,
        prompt_tokens: 320,
        prompt_sha256: "aa".repeat(32),
        ids_sha256: "bb".repeat(32),
        prompt_ready_us: 62_500,
        submitted_us: visible_us.iter().map(|visible| visible - 500).collect(),
        visible_us: visible_us.to_vec(),
        answer_from: None,
        ended_us: visible_us.last().unwrap() + 62_500,
        finish,
        memory: Memory {
            active_bytes: Some(GIB / 2),
            peak_bytes: Some(peak_bytes),
            cache_bytes: Some(GIB / 4),
            process_bytes: Some(GIB),
            process_peak_bytes: None,
        },
        text: None,
        order: None,
        canary: None,
    }
}

/// 28 layers with 8 heads of 128 numbers in bfloat16, 1024 wide.
fn need() -> Need {
    let kind = CacheKind {
        keeps: Keeps::All,
        layers: 28,
        bytes_per_token: 28 * 2 * 8 * 128 * 2,
        constant_bytes: 0,
    };
    Need {
        weight_bytes: 335_000_000,
        caches: vec![kind],
        stream_bytes: 2048,
        vocabulary: 151_936,
        chunk: 2048,
    }
}

pub(super) fn at(time: &str) -> SystemTime {
    time.parse::<jiff::Timestamp>().unwrap().try_into().unwrap()
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome {
        verdict,
        started: at("2026-01-30T09:59:57.5Z"),
        ended: at("2026-01-30T10:00:00Z"),
        spent: Duration::from_millis(2_500),
        runtime: Some(runtime()),
        need: Some(need()),
        configured: None,
        loaded: Some(loaded()),
        warmups: Vec::new(),
        trials: Vec::new(),
        answers: Vec::new(),
        random_ids: false,
        findings: Findings::default(),
        cleanup_us: Some(40_000),
        warnings: Vec::new(),
    }
}

pub(super) fn measured() -> Outcome {
    Outcome {
        findings: Findings {
            prompts: Some(PromptKind::ChatTurn),
            likelihood: Some(TextLikelihood {
                mean_nll: 3.25,
                tokens: 512,
                text: "mlxk-harness-passages-1".to_owned(),
                ids_sha256: "cc".repeat(32),
            }),
            ..Findings::default()
        },
        warmups: vec![trial(&[750_000, 781_250, 812_500], GIB, Finish::Length)],
        trials: vec![
            trial(&[125_000, 156_250, 187_500], GIB, Finish::Length),
            trial(&[375_000, 437_500, 500_000], 2 * GIB, Finish::Length),
        ],
        warnings: vec!["the tokenizer of `/Users/byron/models/x` has no normalizer".to_owned()],
        ..outcome(Verdict::Measured)
    }
}

pub(super) fn answered() -> Outcome {
    let mut answer = trial(&[125_000, 187_500], GIB, Finish::Stop { id: 151_645 });
    answer.text = Some("Cats sleep.".to_owned());
    Outcome { trials: vec![answer], ..outcome(Verdict::Measured) }
}

pub(super) fn failed() -> Outcome {
    Outcome {
        runtime: None,
        loaded: None,
        cleanup_us: None,
        ..outcome(Verdict::Failed(Failure {
            stage: Stage::Load,
            kind: "tensor_missing".to_owned(),
            message: "tensor `lm_head.weight` of `/Volumes/Disk/x/model.safetensors` is missing"
                .to_owned(),
            hint: Some("look into `/Users/byron/models/x`".to_owned()),
            stderr: vec!["libc++abi: terminating [/opt/mlx/src/metal.cpp:7]".to_owned()],
        }))
    }
}

pub(super) fn skipped() -> Outcome {
    Outcome {
        runtime: None,
        loaded: None,
        cleanup_us: None,
        ..outcome(Verdict::Skipped(Skip {
            kind: "too_large".to_owned(),
            reason: "`/home/byron/x` needs 44.4 GiB and 38.4 GiB are there".to_owned(),
        }))
    }
}

/// A machine that tells nothing.
pub(super) fn bare_context() -> Context {
    Context { host: Host::default(), health: Health::default(), health_after: None, ..context() }
}

fn phase(step: LoadStep, start_us: u64, end_us: u64, bytes: Option<u64>) -> LoadPhase {
    LoadPhase { step, start_us, end_us, bytes }
}
