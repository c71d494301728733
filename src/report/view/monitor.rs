//! What was seen of the machine beside a run: our sampler's file, or one of mlx-knife's memory monitor.

use serde_json::Value;

use super::text::plain;
use crate::report::model_id;

/// A file's looks at the machine, and what ran meanwhile as far as it tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// The file.
    pub(super) name: String,
    pub(super) samples: Vec<Sample>,
    /// Loads, prefills and decodes, in order of their ends.
    pub(super) phases: Vec<Phase>,
    /// Milliseconds between two looks, as the file's last line says.
    pub(super) interval_ms: Option<f64>,
    /// When the file's first look was, for looks that do not tell their time.
    began: Option<f64>,
    /// What began and has not ended.
    open: Option<Phase>,
}

/// What a model is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Load,
    Prefill,
    Decode,
}

/// A step with its model, from and to seconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Phase {
    pub(super) step: Step,
    pub(super) model: String,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// A look at the machine. What it did not tell is absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Seconds since 1970.
    pub(super) at: f64,
    /// Memory in GiB: free, of the process that is watched, and swap in use.
    pub(super) free: Option<f64>,
    pub(super) process: Option<f64>,
    pub(super) swap: Option<f64>,
    /// Shares in percent: of all cores by programs and in all, and of the parts of the GPU.
    pub(super) user: Option<f64>,
    pub(super) cpu: Option<f64>,
    pub(super) gpu: Option<f64>,
    pub(super) renderer: Option<f64>,
    pub(super) tiler: Option<f64>,
    /// Share of the last ten seconds in which some task waited for memory, in percent.
    pub(super) stall: Option<f64>,
    /// Load average of a minute.
    pub(super) load: Option<f64>,
    /// Power of the GPU in watts.
    pub(super) power: Option<f64>,
    /// 1 normal, 2 warning, 4 critical.
    pub(super) pressure: Option<f64>,
}

impl Watch {
    pub(super) fn new(name: &str) -> Self {
        Self { name: plain(name), ..Self::default() }
    }

    /// Whether it has any look at the machine.
    pub(super) fn is_told(&self) -> bool {
        !self.samples.is_empty()
    }

    /// Takes a line of the file.
    pub(super) fn add(&mut self, line: &Value) {
        if let Some(interval) = line.pointer("/summary/interval_ms").and_then(Value::as_f64) {
            self.interval_ms = Some(interval);
        }
        let events = line.get("events").and_then(Value::as_array);
        for event in events.into_iter().flatten() {
            self.happened(event);
        }
        self.samples.extend(Sample::of(line, &mut self.began));
    }

    /// Whatever ends a step ends the one that is open; what is unknown ends none.
    fn happened(&mut self, event: &Value) {
        let at = event.get("ts").and_then(Value::as_f64).filter(|at| at.is_finite());
        let (Some(at), Some(name)) = (at, event.get("event").and_then(Value::as_str)) else {
            return;
        };
        let next = match name {
            "load" => Some(Step::Load),
            "prefill" => Some(Step::Prefill),
            "decode" => Some(Step::Decode),
            "loaded" | "repetition_end" | "cell_end" | "unload" | "child_end" => None,
            _ => return,
        };
        let ended = self.open.take();
        self.phases.extend(ended.map(|phase| Phase { to: at.max(phase.from), ..phase }));
        self.open = next.map(|step| {
            let model = event.get("model").and_then(Value::as_str).unwrap_or("(no model)");
            Phase { step, model: plain(model_id(model)), from: at, to: at }
        });
    }
}

impl Sample {
    /// A line of the memory monitor; `began` is when that began, where an earlier line told it.
    fn of(line: &Value, began: &mut Option<f64>) -> Option<Self> {
        let number =
            |key: &str| line.get(key).and_then(Value::as_f64).filter(|value| value.is_finite());
        let elapsed = number("elapsed_s")?;
        let at = number("ts").or_else(|| Some((*began)? + elapsed))?;
        began.get_or_insert(at - elapsed);
        let gib = |key: &str| Some(number(key)? / 1024.0);
        Some(Self {
            at,
            free: number("ram_free_gb"),
            process: gib("child_footprint_mb").or_else(|| gib("child_resident_mb")),
            swap: gib("swap_used_mb"),
            user: number("cpu_user"),
            cpu: number("cpu_user").map(|user| user + number("cpu_sys").unwrap_or_default()),
            gpu: number("gpu_device_util"),
            renderer: number("gpu_renderer_util"),
            tiler: number("gpu_tiler_util"),
            stall: number("memory_stall"),
            load: number("load_1"),
            power: number("gpu_power_w"),
            pressure: number("memory_pressure"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn samples_without_a_time_follow_from_the_first() {
        let mut began = None;
        let line = json!({"ts": 100.0, "elapsed_s": 0.5, "ram_free_gb": 20.0, "swap_used_mb": 512,
            "cpu_user": 5.0, "cpu_sys": 2.5});
        let sample = Sample::of(&line, &mut began).unwrap();
        assert_eq!(
            (sample.at, sample.swap, sample.user, sample.cpu, sample.gpu),
            (100.0, Some(0.5), Some(5.0), Some(7.5), None)
        );
        let later = Sample::of(&json!({"elapsed_s": 2.5}), &mut began).unwrap();
        assert_eq!(format!("{}", later.at), "102");
        assert_eq!(Sample::of(&json!({"summary": {}}), &mut began), None);
    }

    #[test]
    fn a_process_is_what_the_system_charges_it_for_where_that_is_told() {
        let process =
            |line: Value| Sample::of(&line, &mut Some(0.0)).and_then(|sample| sample.process);
        let both = json!({"elapsed_s": 1, "child_resident_mb": 1024, "child_footprint_mb": 2048});
        assert_eq!(process(both), Some(2.0));
        assert_eq!(process(json!({"elapsed_s": 1, "child_resident_mb": 1024})), Some(1.0));
    }

    #[test]
    fn steps_last_until_the_next_and_none_is_made_up() {
        let event = |at: u32, name: &str| json!({"ts": at, "event": name, "model": "org/x"});
        let mut watch = Watch::new("m.jsonl");
        watch.add(&json!({"ts": 1, "elapsed_s": 0, "events": [event(1, "child_start"),
            event(2, "load"), event(4, "loaded"), event(5, "prefill"), event(7, "decode")]}));
        watch.add(&json!({"ts": 9, "elapsed_s": 8, "events": [event(10, "repetition_end"),
            event(11, "cell_end"), event(12, "prefill"), event(13, "child_end"), event(20, "unload")]}));
        watch.add(&json!({"summary": {"interval_ms": 200}}));
        let phases: Vec<_> =
            watch.phases.iter().map(|phase| (phase.step, phase.from, phase.to)).collect();
        assert_eq!(
            phases,
            [
                (Step::Load, 2.0, 4.0),
                (Step::Prefill, 5.0, 7.0),
                (Step::Decode, 7.0, 10.0),
                (Step::Prefill, 12.0, 13.0),
            ]
        );
        assert_eq!((watch.samples.len(), watch.interval_ms), (2, Some(200.0)));
        assert!(watch.phases.iter().all(|phase| phase.model == "org/x"));
    }
}
