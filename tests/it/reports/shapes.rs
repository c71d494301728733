//! Every shape that a line of a report is known to have: `check`, `migrate` and `report` take each of them.
//!
//! The lines are our own, after the documentation of mlx-knife, its published example and its sample layouts.

use mlxk_harness::cli::Exit;

use super::super::harness::Harness;

/// The name of a shape, and a line of it.
const SHAPES: [(&str, &str); 14] = [
    (
        "0.1.0 with everything that version has",
        r#"{"schema_version": "0.1.0", "timestamp": "2025-11-16T10:30:00Z", "mlx_knife_version": "2.0.2", "test": "t.py::a[p]", "outcome": "passed", "duration": 12.3, "model": {"id": "org/p", "size_gb": 2.8, "family": "phi-3", "variant": "mini"}, "performance": {"tokens_per_sec": 45.2, "ram_peak_mb": 3200, "duration_s": 12.1, "prompt_tokens": 15, "completion_tokens": 42}, "stop_tokens": {"configured": ["<|end|>"], "detected": ["<|end|>"], "workaround": "eos_token_ids", "leaked": false}, "system": {"platform": "darwin", "python_version": "3.10.11", "mlx_version": "0.20.0", "hardware": "M2 Max", "ram_total_gb": 64}}"#,
    ),
    (
        "0.1.0 with five keys",
        r#"{"schema_version": "0.1.0", "timestamp": "2025-11-20T10:30:00Z", "mlx_knife_version": "2.0.3", "test": "t.py::b", "outcome": "failed"}"#,
    ),
    (
        "0.2.0 with health",
        r#"{"schema_version": "0.2.0", "timestamp": "2025-12-20T10:00:00.123456+00:00", "mlx_knife_version": "2.0.4b3", "test": "t.py::c[discovered_01]", "outcome": "passed", "duration": 3.5, "model": {"id": "org/c", "size_gb": 4.0, "family": "mistral", "variant": "7b"}, "system_health": {"swap_used_mb": 1843, "ram_free_gb": 12.5, "zombie_processes": 14, "quality_flags": ["degraded_swap", "degraded_zombies"]}, "system": {"hardware_profile": {"model": "Mac14,13", "cores_physical": 12, "cores_logical": 12}}}"#,
    ),
    (
        "a text model skipped for its memory, without a name",
        r#"{"schema_version": "0.2.0", "timestamp": "2025-12-20T10:00:00+00:00", "mlx_knife_version": "2.0.4b3", "test": "t.py::d[discovered_07]", "outcome": "skipped", "duration": 0.001, "metadata": {"skip_reason": "Skipped: Model requires 49.9 GB but only 38.4 GB available (60% of 64 GB). See TESTING-DETAILS.md"}}"#,
    ),
    (
        "a vision model skipped for its memory, of infinite size",
        r#"{"schema_version": "0.2.1", "timestamp": "2026-01-15T10:00:00+00:00", "mlx_knife_version": "2.0.4b7", "test": "t.py::e[vision_03]", "outcome": "skipped", "duration": 0.0, "metadata": {"skip_reason": "Skipped: needs inf GB", "inference_modality": "vision"}, "model": {"id": "org/e", "size_gb": Infinity, "family": "llama", "variant": "90b"}}"#,
    ),
    (
        "a phase written by hand",
        r#"{"schema_version": "0.2.1", "timestamp": "2026-01-15T10:00:05+00:00", "mlx_knife_version": "2.0.4b7", "test": "t.py::f[p][vision_phase]", "outcome": "passed", "duration": 12.5, "model": {"id": "$MLXK_WORKSPACE_HOME/pixtral-12b-8bit", "size_gb": 12.6}, "metadata": {"inference_modality": "vision", "phase": "vision"}}"#,
    ),
    (
        "its other phase, of a model of no size",
        r#"{"schema_version": "0.2.1", "timestamp": "2026-01-15T10:00:09+00:00", "mlx_knife_version": "2.0.4b7", "test": "t.py::f[p][text_phase]", "outcome": "passed", "duration": 3.25, "model": {"id": "org/f", "size_gb": 0}, "metadata": {"inference_modality": "text"}}"#,
    ),
    (
        "0.2.2 as mlx-knife really writes it, without its new keys",
        r#"{"schema_version": "0.2.2", "timestamp": "2026-09-30T08:15:12.345678+00:00", "mlx_knife_version": "2.0.8", "test": "t.py::T::g[text_07]", "outcome": "passed", "duration": 2.41, "model": {"id": "org/g", "size_gb": 1.7}, "performance": {"prompt_tokens": 14, "completion_tokens": 50}, "stop_tokens": {"configured": [], "detected": [], "workaround": "none", "leaked": false}, "metadata": {"inference_modality": "text"}, "system_health": {"swap_used_mb": 0, "ram_free_gb": 31.25, "zombie_processes": 0, "quality_flags": ["clean"]}, "system": {"hardware_profile": {"model": "Mac14,13", "cores_physical": 12, "cores_logical": 12}}}"#,
    ),
    (
        "0.2.2 as its schema has it",
        r#"{"schema_version": "0.2.2", "timestamp": "2026-09-30T08:15:12+00:00", "mlx_knife_version": "2.0.8", "test": "t.py::h[audio_00]", "outcome": "passed", "duration": 2.0, "test_start_ts": 1790756110.0, "test_end_ts": 1790756112.0, "model": {"id": "org/h", "size_gb": 0.43, "framework": "MLX", "quantization": "4bit"}, "metadata": {"inference_modality": "audio"}, "system_health": {"swap_gb": 0.0, "ram_free_gb": 30.0, "zombies_detected": 0, "quality_flags": ["degraded_memory"]}, "system": {"hardware_profile": {"model_identifier": "Mac14,13", "chip": "Apple M2 Max", "gpu_cores": 38}}}"#,
    ),
    (
        "a failed test of no model",
        r#"{"schema_version": "0.2.2", "timestamp": "2026-09-30T08:16:00+00:00", "mlx_knife_version": "2.0.8", "test": "t.py::i", "outcome": "failed", "duration": 0.25, "system_health": {"swap_used_mb": 0, "ram_free_gb": 31.0, "zombie_processes": 0, "quality_flags": ["clean"]}}"#,
    ),
    (
        "a test that runs no model",
        r#"{"schema_version": "0.2.2", "timestamp": "2026-09-30T08:16:01+00:00", "mlx_knife_version": "2.0.8", "test": "t.py::j", "outcome": "passed", "duration": 0.01}"#,
    ),
    (
        "a key whose words are escaped, as Python does",
        r#"{"schema_version": "0.2.2", "timestamp": "2026-09-30T08:16:02+00:00", "mlx_knife_version": "2.0.8", "test": "t.py::k[\u00fc]", "outcome": "passed", "duration": 0.75, "metadata": {"note": "\ud83d\ude00"}}"#,
    ),
    (
        "a sample of the memory monitor",
        r#"{"ts": 1790756112.5, "elapsed_s": 0.592, "ram_free_gb": 24.1, "swap_used_mb": 0, "memory_pressure": 1, "load_1": 2.45, "cpu_user": 5.2, "cpu_sys": 1.5, "gpu_device_util": 16.0, "gpu_renderer_util": 9.0}"#,
    ),
    (
        "the summary of the memory monitor",
        r#"{"summary": {"duration_s": 4093.2, "samples": 6918, "interval_ms": 200, "exit_code": 0}}"#,
    ),
];

#[test]
fn every_known_shape_is_checked_migrated_and_shown() {
    for (shape, line) in SHAPES {
        let checked = Harness::new().file("a.jsonl", line).args(["check", "a.jsonl"]).answer();
        assert_eq!(checked.code, Some(0), "{shape}: {}", checked.stdout);
        for version in ["0.2.0", "0.2.2"] {
            let arguments = ["migrate", "a.jsonl", "--to", version];
            let migrated = Harness::new().file("a.jsonl", line).args(arguments).answer();
            assert_eq!(migrated.code, Some(0), "{shape}: {}", migrated.stderr);
            let again = Harness::new().file("b.jsonl", &migrated.stdout).args(["check", "b.jsonl"]);
            assert_eq!(again.answer().code, Some(0), "{shape}: {}", migrated.stdout);
        }
        for view in ["table", "markdown", "csv", "json", "html"] {
            let arguments = ["report", "a.jsonl", "--format", view];
            let shown = Harness::new().file("a.jsonl", line).args(arguments).answer();
            assert_eq!(shown.code, Some(0), "{shape}: {view}: {}", shown.stderr);
        }
    }
}

#[test]
fn all_shapes_stand_in_one_file() {
    let lines: Vec<_> = SHAPES.iter().map(|(_, line)| *line).collect();
    let text = lines.join("\n");
    let checked = Harness::new().file("a.jsonl", &text).args(["check", "a.jsonl"]).answer();
    let told = checked.stdout.lines().last().unwrap_or_default();
    assert!(told.starts_with("a.jsonl: 12 lines fit, 2 are of the memory monitor; "), "{told}");
    let shown = Harness::new().file("a.jsonl", &text).args(["report", "a.jsonl"]).answer();
    assert!(shown.stdout.ends_with("\n8 passed, 2 failed, 2 skipped\n"), "{}", shown.stdout);
    let layout = ["report", "a.jsonl", "--template", "mlx-knife"];
    let shown = Harness::new().file("a.jsonl", &text).args(layout).answer();
    assert_eq!(shown.code, Some(Exit::Ok as i32), "{}", shown.stderr);
    let sent = Harness::new().file("a.jsonl", &text).args(["submit", "a.jsonl", "--dry-run"]);
    assert_eq!(sent.answer().code, Some(Exit::Ok as i32));
}
