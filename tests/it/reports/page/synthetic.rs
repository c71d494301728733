//! A report that nobody measured: 12 models with 8 repetitions a record, and an hour of looks at the machine.
//!
//! The figures follow from the sizes of models that are known, the noise from a generator with a fixed seed. Two
//! models have names that a page must not obey.

use std::fmt::Write;

use serde_json::{Value, json};

/// Names of models with their sizes in GiB.
const MODELS: [(&str, f64); 12] = [
    ("mlx-community/gemma-3-270m-it-4bit", 0.18),
    ("mlx-community/Qwen2.5-0.5B-Instruct-4bit", 0.27),
    ("mlx-community/Llama-3.2-3B-Instruct-4bit", 1.7),
    ("mlx-community/Phi-3.5-mini-instruct-4bit", 2.0),
    ("<img src=x onerror=alert(1)>", 2.24),
    ("mlx-community/DeepSeek-R1-Distill-Llama-8B-4bit", 4.22),
    ("mlx-community/Qwen2.5-Coder-7B-Instruct-8bit", 7.55),
    ("mlx-community/gpt-oss-20b-MXFP4-Q8", 11.27),
    ("\"><script>alert(1)</script>", 12.37),
    ("mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit", 16.02),
    ("mlx-community/Mistral-Small-3.2-24B-Instruct-2506-8bit", 23.34),
    ("mlx-community/Qwen3-Coder-30B-A3B-Instruct-6bit-DWQ-lr9e-8", 24.9),
];

/// Tokens of the prompt and in the cache before it.
const CELLS: [(u32, u32); 6] =
    [(128, 0), (512, 0), (2048, 0), (512, 4096), (512, 8192), (512, 16384)];
const REPETITIONS: u32 = 8;
const GENERATED: u32 = 64;

/// Midnight of a day and of one a month before, and how long an hour of looks is.
const DAY: (&str, f64) = ("2026-05-29", 1_780_012_800.0);
const BEFORE: (&str, f64) = ("2026-04-29", 1_777_420_800.0);
const LOOKS: u32 = 18_000;
const EVERY: f64 = 0.2;
/// Memory of the machine in GiB.
const MEMORY: f64 = 64.0;

/// Two reports of the same cells, and the looks at the machine during the second.
pub(crate) struct Synthetic {
    pub(crate) older: String,
    pub(crate) report: String,
    pub(crate) memory: String,
}

/// All of it, the same each time.
pub(crate) fn synthetic() -> Synthetic {
    let mut old = Run::new(BEFORE, 0.93);
    old.models();
    let mut new = Run::new(DAY, 1.0);
    new.models();
    new.others();
    Synthetic { older: old.report.concat(), memory: new.looks(), report: new.report.concat() }
}

/// What is on its way.
struct Run {
    /// Seconds since 1970.
    now: f64,
    day: &'static str,
    began: f64,
    /// How fast the machine is.
    pace: f64,
    seed: u64,
    report: Vec<String>,
    events: Vec<(f64, Value)>,
    /// From when to when so many GiB were held, and whether the processor was busy.
    held: Vec<(f64, f64, f64, bool)>,
}

impl Run {
    fn new((day, now): (&'static str, f64), pace: f64) -> Self {
        let (report, events, held) = (Vec::new(), Vec::new(), Vec::new());
        Self { now, day, began: now, pace, seed: 7, report, events, held }
    }

    /// A number from -1 to 1.
    fn noise(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f64 / f64::from(1_u32 << 23) - 1.0
    }

    fn models(&mut self) {
        for (model, size) in MODELS {
            let loaded = self.now;
            self.event("child_start", model);
            self.event("load", model);
            let load = 0.4 + size / 4.0;
            self.now += load;
            self.event("loaded", model);
            for (cell, sizes) in CELLS.into_iter().enumerate() {
                self.cell((model, size), load, sizes, cell);
            }
            self.chat(model, size);
            self.event("unload", model);
            self.event("child_end", model);
            self.held.push((loaded, self.now, size * 1.05 + 0.3, false));
            self.now += 4.0;
        }
    }

    fn event(&mut self, name: &str, model: &str) {
        let told = json!({"ts": self.now, "elapsed_s": self.now - self.began, "event": name, "model": model});
        self.events.push((self.now, told));
    }

    /// The stamps of a repetition in microseconds, while time goes on.
    fn repetition(&mut self, model: &str, size: f64, (prompt, depth): (u32, u32)) -> Vec<f64> {
        let deep = 1.0 + f64::from(depth) / 30_000.0;
        let prefill = f64::from(prompt) * deep / (9_000.0 / size).min(6_000.0) / self.pace;
        let step = (size / 320.0).max(0.003) * deep / self.pace;
        let prefill = prefill * (1.0 + 0.02 * self.noise());
        let begin = self.now;
        self.event("prefill", model);
        self.now += prefill;
        self.event("decode", model);
        let mut stamps = Vec::new();
        let mut at = prefill;
        for token in 0..GENERATED {
            let slow = if token % 32 == 31 { 1.6 } else { 1.0 };
            at += step * slow * (1.0 + 0.06 * self.noise());
            stamps.push((at * 1e6).round());
        }
        self.now = begin + at;
        self.event("repetition_end", model);
        self.held.push((begin, self.now, 0.0, true));
        stamps
    }

    fn cell(&mut self, (model, size): (&str, f64), load: f64, sizes: (u32, u32), cell: usize) {
        let (prompt, depth) = sizes;
        let start = self.now;
        let stamps: Vec<_> =
            (0..REPETITIONS).map(|_| self.repetition(model, size, sizes)).collect();
        let mut name = format!("p{prompt}-g{GENERATED}");
        if depth > 0 {
            write!(name, "-d{depth}").unwrap();
        }
        let ttft: Vec<f64> = stamps.iter().map(|stamps| stamps[0] / 1e6).collect();
        let decode: Vec<f64> = stamps.iter().map(|stamps| rate(stamps)).collect();
        let read: Vec<f64> = ttft.iter().map(|ttft| f64::from(prompt) / ttft).collect();
        let mut line = self.line(model, size, &format!("throughput[{model}-{name}]"), start);
        line["performance"] = json!({"tokens_per_sec": middle(&decode), "prompt_tokens": prompt,
            "completion_tokens": GENERATED, "time_to_first_token_s": middle(&ttft),
            "model_load_time_s": load, "peak_ram_gb": size * 1.05 + f64::from(depth) / 40_000.0});
        let ours = &mut line["metadata"]["mlxk_harness"];
        ours["cell"] = json!({"scenario": "throughput", "prompt_tokens": prompt, "depth": depth,
            "generation_tokens": GENERATED, "repetitions": REPETITIONS});
        ours["prompt_tokens_per_sec"] = json!(middle(&read));
        ours["statistics"] = json!({"tokens_per_sec": interval(&decode),
            "time_to_first_token_s": interval(&ttft), "prompt_tokens_per_sec": interval(&read)});
        ours["likelihood"] = json!({"mean_nll": 3.4 - 0.3 * (1.0 + size).ln(), "tokens": 512});
        ours["roofline"] = json!({"decode": {"mbu": middle(&decode) * size / 372.0}});
        ours["load"] = load_phases(load);
        ours["memory"] =
            json!({"process": {"bytes": (size * 1.05 + 0.3) * 1024.0 * 1024.0 * 1024.0}});
        ours["flags"] = if cell == 2 && size > 20.0 { json!(["slowing"]) } else { json!([]) };
        ours["samples"] = stamps.iter().map(|stamps| json!({"visible_us": stamps})).collect();
        self.report.push(format!("{line}\n"));
    }

    fn chat(&mut self, model: &str, size: f64) {
        let start = self.now;
        let stamps = self.repetition(model, size, (36, 0));
        let mut line = self.line(model, size, &format!("chat[{model}-c60b12032-g64]"), start);
        line["performance"] = json!({"tokens_per_sec": rate(&stamps), "prompt_tokens": 36,
            "completion_tokens": GENERATED, "time_to_first_token_s": stamps[0] / 1e6});
        line["stop_tokens"] = json!({"configured": ["<|im_end|>"], "detected": ["<|im_end|>"],
            "workaround": "none", "leaked": (11.0..12.0).contains(&size)});
        line["metadata"]["mlxk_harness"]["samples"] = json!([{"visible_us": stamps}]);
        self.report.push(format!("{line}\n"));
    }

    /// What all lines have.
    fn line(&self, model: &str, size: f64, test: &str, start: f64) -> Value {
        json!({
            "schema_version": "0.2.2", "timestamp": format!("{}T{}Z", self.day, clock(self.now - self.began)), "mlx_knife_version": "0.1.0",
            "test": format!("mlxk-harness::{test}"), "outcome": "passed", "duration": self.now - start,
            "test_start_ts": start, "test_end_ts": self.now,
            "model": {"id": model, "size_gb": size, "framework": "MLX", "quantization": "4bit"},
            "system": {"platform": "darwin", "platform_version": "macOS 26.2", "mlx_version": "0.32.2",
                "ram_total_gb": MEMORY, "hardware_profile": {"chip": "Apple M2 Max", "model": "Mac14,13",
                "model_identifier": "Mac14,13", "cores_physical": 12, "gpu_cores": 38}},
            "system_health": {"ram_free_gb": MEMORY - 18.0, "swap_gb": 0.0, "swap_used_mb": 0,
                "zombies_detected": 0, "zombie_processes": 0, "quality_flags": ["clean"]},
            "metadata": {"inference_modality": "text", "mlxk_harness": {"version": "0.1.0",
                "host": {"fitness": {"grade": "B"}}, "warnings": ["these figures were never measured"]}},
        })
    }

    /// A cell that failed and one that was skipped.
    fn others(&mut self) {
        let start = self.now;
        self.now += 3.0;
        let mut failed = self.line(MODELS[4].0, MODELS[4].1, "chat[deep]", start);
        failed["outcome"] = json!("failed");
        failed["metadata"]["mlxk_harness"]["failure"] = json!({"stage": "decode", "kind": "signal",
            "message": "the child was killed by signal 9", "hint": "close <b>other</b> programs",
            "stderr": ["loading", "<script>alert(2)</script>", "\u{1b}[31mout of memory"]});
        let mut skipped = self.line(
            "mlx-community/Llama-3.3-70B-Instruct-4bit",
            37.0,
            "throughput[70b]",
            self.now,
        );
        skipped["outcome"] = json!("skipped");
        skipped["metadata"]["skip_reason"] =
            json!("Skipped: needs 44.4 GB, and 41.2 GB are allowed");
        self.report.extend([failed, skipped].map(|line| format!("{line}\n")));
    }

    /// The sampler's file.
    fn looks(&mut self) -> String {
        let events = std::mem::take(&mut self.events);
        let mut events = events.into_iter().peekable();
        let mut text = String::new();
        for look in 0..LOOKS {
            let elapsed = f64::from(look) * EVERY;
            let at = self.began + elapsed;
            let now = |held: &&(f64, f64, f64, bool)| held.0 <= at && at < held.1;
            let process: f64 = self.held.iter().filter(now).map(|held| held.2).sum();
            let is_busy = self.held.iter().filter(now).any(|held| held.3);
            let mut happened = Vec::new();
            while let Some((_, event)) = events.next_if(|(when, _)| *when <= at) {
                happened.push(event);
            }
            let free = (46.0 - process + self.noise()).max(0.5);
            let (gpu, user) = if is_busy { (93.0 + 6.0 * self.noise(), 14.0) } else { (2.0, 6.0) };
            let mut line = json!({"ram_free_gb": free, "swap_used_mb": if free < 21.0 { 640 } else { 0 },
                "memory_pressure": if free < 20.5 { 2 } else { 1 }, "load_1": 2.4 + self.noise(),
                "cpu_user": user + 4.0 * self.noise(), "cpu_sys": 3.0 + self.noise(), "gpu_device_util": gpu,
                "gpu_power_w": gpu * 0.35, "ts": at, "elapsed_s": elapsed});
            if process > 0.0 {
                line["child_footprint_mb"] = json!(process * 1024.0);
            }
            if !happened.is_empty() {
                line["events"] = json!(happened);
            }
            writeln!(text, "{line}").unwrap();
        }
        writeln!(text, "{}", json!({"summary": {"interval_ms": EVERY * 1e3, "samples": LOOKS}}))
            .unwrap();
        text
    }
}

fn load_phases(load: f64) -> Value {
    let shares = [
        ("open", 0.0, 0.04),
        ("build", 0.04, 0.1),
        ("evaluate", 0.1, 0.85),
        ("tokenizer", 0.85, 1.0),
    ];
    let phase = |(step, from, to): (&str, f64, f64)| json!({"step": step, "start_us": from * load * 1e6, "end_us": to * load * 1e6});
    json!({"load_us": load * 1e6, "phases": shares.map(phase)})
}

/// Tokens a second after the first.
fn rate(stamps: &[f64]) -> f64 {
    let time = (stamps[stamps.len() - 1] - stamps[0]) / 1e6;
    (stamps.len() as f64 - 1.0) / time
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn middle(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

fn interval(values: &[f64]) -> Value {
    let sorted = sorted(values);
    json!({"interval_95": [sorted[0], sorted[sorted.len() - 1]]})
}

/// The time of a day.
fn clock(seconds: f64) -> String {
    let (hours, minutes) = ((seconds / 3600.0).floor(), (seconds / 60.0).floor());
    format!("{hours:02}:{:02}:{:06.3}", minutes % 60.0, seconds % 60.0)
}
