//! What the commands answer that read reports: ours, mlx-knife's with all its quirks, and files that are none.

mod check;
mod examples;
mod many;
mod migrate;
mod page;
mod report;
mod shapes;
mod submit;

/// A line that fits its schema and has little more than that asks for.
pub(crate) const BARE: &str = r#"{"schema_version": "0.2.0", "timestamp": "2026-01-30T10:00:00+00:00", "mlx_knife_version": "2.0.8", "test": "a::b", "outcome": "passed"}"#;

/// A line that readers do not stumble over.
pub(crate) const WHOLE: &str = r#"{"schema_version": "0.2.0", "timestamp": "2026-01-30T10:00:00+00:00", "mlx_knife_version": "2.0.8", "test": "a::b[c]", "outcome": "passed", "duration": 2.5, "system": {"hardware_profile": {"model": "Mac14,13", "model_identifier": "Mac14,13"}}, "system_health": {"ram_free_gb": 20.0, "swap_gb": 0.0, "swap_used_mb": 0, "zombies_detected": 0, "zombie_processes": 0}}"#;

/// Lines as mlx-knife writes them, of four versions, with its memory monitor's among them.
pub(crate) const REAL: &str = include_str!("../fixtures/reports/valid/as-mlx-knife-writes.jsonl");
