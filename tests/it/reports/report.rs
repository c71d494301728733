//! `report`: views of real files, and mlx-knife's own layout.

use std::{fs, path::Path};

use mlxk_harness::cli::Exit;

use super::{super::harness::Harness, REAL};

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports/rendered");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A page without the lines that name the generator and the moment.
fn timeless(page: &str) -> Vec<&str> {
    let telling =
        |line: &&str| !line.starts_with("**Generated:**") && !line.starts_with("**Generator:**");
    page.lines().filter(telling).collect()
}

const NEW: &str = "2026-02-11-v2.0.4-wet.jsonl";
const OLD: &str = "2026-01-30-v2.0.4b9.jsonl";
const OLD_BENCHMARK: &str = "2026-01-30-v2.0.4b9-benchmark.jsonl";
const NEW_MEMORY: &str = "2026-02-11-v2.0.4-memory.jsonl";
const OLD_MEMORY: &str = "2026-01-30-v2.0.4b9-memory.jsonl";

#[track_caller]
fn is_mlx_knifes(arguments: &[&str], expected: &str) {
    let mut harness = Harness::new().args(["report", "--template", "mlx-knife"]).more(arguments);
    for name in [NEW, OLD, "legacy.jsonl", NEW_MEMORY, OLD_MEMORY] {
        harness = harness.file(name, fixture(name));
    }
    // By its name mlx-knife's script finds the samples of an older report.
    harness = harness.file(OLD_BENCHMARK, fixture(OLD));
    let answer = harness.answer();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let expected = fixture(expected);
    assert_eq!(timeless(&answer.stdout), timeless(&expected));
}

#[test]
fn the_template_says_what_mlx_knifes_report_says() {
    is_mlx_knifes(&[NEW], "alone.md");
    is_mlx_knifes(&[NEW, "--compare", OLD], "compared.md");
    is_mlx_knifes(&["legacy.jsonl"], "legacy.md");
}

/// The samples of each test look alike before and after its end, so that it does not matter that mlx-knife's script
/// looks after it.
#[test]
fn the_template_says_of_the_gpu_what_mlx_knifes_report_says() {
    is_mlx_knifes(&[NEW, "--memory", NEW_MEMORY], "watched.md");
    let compared = [NEW, "--memory", NEW_MEMORY, "--compare", OLD_BENCHMARK];
    is_mlx_knifes(&compared, "watched-compared.md");
}

#[test]
fn the_template_looks_at_the_gpu_during_a_test_and_not_after_it() {
    let test = |minute: u32, model: &str| {
        format!(
            "{{\"timestamp\": \"1970-01-01T00:{minute:02}:00Z\", \"duration\": 10, \"test\": \"a::b[{minute}]\", \
             \"outcome\": \"passed\", \"model\": {{\"id\": \"org/{model}\"}}}}\n"
        )
    };
    let look = |ts: u32, busy: u32| {
        format!("{{\"ts\": {ts}, \"elapsed_s\": {ts}, \"gpu_device_util\": {busy}}}\n")
    };
    // Busy before the end of the first test, idle after it and during the second.
    let looks = [look(52, 90), look(57, 80), look(63, 4), look(112, 6)].concat();
    let answer = Harness::new()
        .file("r.jsonl", test(1, "x") + &test(2, "y"))
        .file("m.jsonl", looks)
        .args(["report", "--template", "mlx-knife", "r.jsonl", "--memory", "m.jsonl"])
        .answer();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    for line in [
        "| b | x | 85.0% | N/A | 2 |",
        "| b | y | 6.0% | N/A | 1 |",
        "| b | x | 85.0% | N/A | OK |",
        "GPU Device avg:       45.5%",
        "GPU Renderer avg:     N/A",
        "Sample interval:      20000ms",
        "- Samples of a test are from before its end, not from after it.",
        "- What a sample does not tell of the GPU is not taken for 0.",
        "- The sample interval is the one that was, not the one that was asked for.",
    ] {
        assert!(answer.stdout.lines().any(|told| told == line), "{line}\n{}", answer.stdout);
    }
}

#[test]
fn the_template_corrects_known_faults_and_names_them() {
    let answer = Harness::new()
        .file("2026-09-30-v2.0.8.jsonl", REAL)
        .args(["report", "--template", "mlx-knife", "2026-09-30-v2.0.8.jsonl"])
        .answer();
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    for line in [
        "**Tests:** 4 total (2 passed, 1 failed, 1 skipped)",
        // 12.5 s of a phase that was written by hand are left out.
        "**Duration:** 2.4s (0.0 min)",
        // Of two lines with health.
        "**Quality:** 50.0% clean (1/2)",
        "- tests_2.0/live/test_stop_tokens_live.py::test_qwen",
        "| pixtral-12b-8bit | 12.6 GB | Vision | 1 | 12.5s | - |",
        "- Failed tests are counted and listed.",
        "- Lines of the memory monitor are not taken for tests.",
        "- Phases that were written by hand add nothing to the total time again.",
        "- Shares of clean tests are of the tests whose health is known.",
    ] {
        assert!(answer.stdout.lines().any(|told| told == line), "{line}\n{}", answer.stdout);
    }
}

#[test]
fn every_view_shows_real_files() {
    for format in ["table", "markdown", "csv", "json"] {
        let answer = Harness::new()
            .file("r.jsonl", REAL)
            .args(["report", "r.jsonl", "--format", format])
            .answer();
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{format}");
        for told in ["Llama-3.2-3B-Instruct-4bit", "pixtral-12b-8bit", "Model needs 49.9 GB"] {
            assert!(answer.stdout.contains(told), "{format}: {}", answer.stdout);
        }
        assert!(!answer.stdout.contains("WORKSPACE"), "{format}: {}", answer.stdout);
    }
}

#[test]
fn a_torn_line_makes_the_answer_no_and_hides_nothing() {
    let text = format!("{}\n{{\"outcome\": \"pas", REAL.trim_end());
    let answer = Harness::new().file("r.jsonl", text).args(["report", "r.jsonl"]).answer();
    assert_eq!(answer.code, Some(Exit::No as i32));
    assert!(answer.stdout.contains("2 passed, 1 failed, 1 skipped"), "{}", answer.stdout);
    assert!(answer.stdout.contains("r.jsonl:7 was left out: no JSON: "), "{}", answer.stdout);
}

#[test]
fn a_report_is_never_written_over_but_a_page_is() {
    let report = |output: &str| {
        Harness::new()
            .file("r.jsonl", REAL)
            .file("page.md", "old")
            .args(["report", "r.jsonl", "--format", "markdown"])
            .more(&["--output", output])
    };
    let folder = report("./r.jsonl")
        .stderr(
            "error: `./r.jsonl` is also read\n\n  \
             hint: name another file: a report is never written over\n",
        )
        .exit(Exit::Usage);
    assert_eq!(fs::read_to_string(folder.path().join("r.jsonl")).unwrap(), REAL);
    let folder = report("page.md").exit(Exit::Ok);
    let page = fs::read_to_string(folder.path().join("page.md")).unwrap();
    assert!(page.starts_with("# Benchmark report\n"), "{page}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    Harness::new()
        .args(["report", "r.jsonl"])
        .stderr("error: cannot read `r.jsonl`: No such file or directory (os error 2)\n")
        .exit(Exit::Io);
}
