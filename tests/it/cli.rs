//! What every command answers: exit code, standard output and standard error, to the letter.

use std::path::Path;

use mlxk_harness::{
    cli::Exit,
    plan::{Selection, Source},
};

use super::{harness::Harness, weights};

#[test]
fn no_arguments_are_answered_with_help() {
    let help = "\
Measures language models on MLX and writes mlx-knife v0.2 reports

Usage: mlxk-harness [OPTIONS] <COMMAND>

Commands:
  run       Measures models and appends a line for each cell to a report
  generate  Lets a model answer, to see what it says
  convert   Writes a model as a folder that MLX's programs load, packed if asked
  pull      Downloads models from the Hugging Face hub into the local cache
  list      Lists the architectures that can be run, and the models in the local cache
  show      Shows what a model is and what it will take, before any weight is read
  check     Checks that every line of a report fits its schema, and tells what readers stumble over
  explain   Shows how each figure of a line follows from its samples, and whether it does
  migrate   Writes the lines of reports as lines of another version
  report    Shows reports: as a table, a page, a data frame, and over time
  submit    Seals a report for a pull request, without anything personal; nothing is sent
  monitor   Runs a command and looks at the machine meanwhile
  system    Tells which machine, system and MLX this is, and how fit for timing
  roofline  Measures what memory and processor of this machine can give through MLX
  help      Print this message or the help of the given subcommand(s)

Options:
  -q, --quiet    Says nothing but data and errors
      --offline  Downloads nothing: only what is cached is used, as with `HF_HUB_OFFLINE=1`
  -h, --help     Print help
  -V, --version  Print version
";
    Harness::new().stderr(help).exit(Exit::Usage);
    Harness::new().args(["--help"]).stdout(help).exit(Exit::Ok);
}

#[test]
fn an_unknown_flag_comes_with_the_nearest_known_one() {
    let stderr = "\
error: unexpected argument '--repetition' found

  tip: a similar argument exists: '--repetitions'

Usage: mlxk-harness run --repetitions <N> <MANIFEST|MODEL>...

For more information, try '--help'.
";
    Harness::new()
        .args(["run", "models.toml", "--repetition", "3"])
        .stderr(stderr)
        .exit(Exit::Usage);
}

#[track_caller]
fn refused_manifest(text: &str, stderr: &str) {
    let folder =
        Harness::new().manifest(text).args(["run", "models.toml"]).stderr(stderr).exit(Exit::Usage);
    assert!(!folder.path().join("reports").exists(), "nothing is written");
}

#[test]
fn a_malformed_manifest_is_refused_at_its_place() {
    refused_manifest(
        "[defaults]\nrepetition = 3\n",
        "error: models.toml:2:1: unknown key `repetition` in `[defaults]`\n\n  hint: did you mean `repetitions`?\n",
    );
    refused_manifest(
        "[[model]]\nid = 3\n",
        "error: models.toml:2:6: `id` must be a string, found `3`\n",
    );
    refused_manifest(
        "[[model]]\nid = 'org/name'\ntop_p = 0\n",
        "error: models.toml:3:9: `top_p` must be more than 0, at most 1\n",
    );
    refused_manifest(
        "[[model]]\nid = 'org/name'\n[[model]]\nid = 'org/name'\n",
        "error: models.toml:3:1: another model before is called `org/name`\n",
    );
    refused_manifest(
        "[defaults]\nschema = '0.1.0'\n[[model]]\nid = 'org/name'\n",
        "error: models.toml:2:10: no line can be written in version `0.1.0`, only in `0.2.0` and `0.2.2`\n",
    );
    refused_manifest(
        "[defaults]\nmlx_knife_version = 'two'\n[[model]]\nid = 'org/name'\n",
        "error: models.toml:2:21: `two` does not begin with three numbers, as `2.0.8` does, or is no part of a file name\n",
    );
}

#[test]
fn a_manifest_that_is_not_there_is_refused() {
    Harness::new()
        .args(["run", "models.toml"])
        .stderr(
            "error: cannot read manifest `models.toml`: No such file or directory (os error 2)\n",
        )
        .exit(Exit::Usage);
}

#[test]
fn a_selection_that_selects_nothing_names_what_there_is() {
    let manifest = "[[model]]\nid = 'org/a'\ntags = ['small', 'qwen']\n";
    Harness::new()
        .manifest(manifest)
        .args(["run", "models.toml", "--tag", "large"])
        .stderr("error: no model has the tag `large`\n\n  hint: known tags: qwen, small\n")
        .exit(Exit::Usage);
    Harness::new()
        .manifest(manifest)
        .args(["run", "models.toml", "--only", "llama"])
        .stderr("error: no model is called anything like `llama`\n\n  hint: known models: org/a\n")
        .exit(Exit::Usage);
}

#[test]
fn flags_out_of_range_are_refused() {
    Harness::new()
        .args(["run", "org/name", "--temperature", "-1"])
        .stderr("error: `--temperature` must be 0 or more\n")
        .exit(Exit::Usage);
    Harness::new()
        .args(["run", "org/name", "--repetitions", "0"])
        .stderr("error: `--repetitions` must be 1 or more\n")
        .exit(Exit::Usage);
}

#[test]
fn a_model_that_is_missing_becomes_failed_lines_and_does_not_stop_the_rest() {
    let stdout = "                        load  TTFT  prompt  decode   NLL  MBU  peak
               in  out     s    ms   tok/s   tok/s  nats    %   GiB  outcome
a.gguf
  throughput  512  128     –     –       –       –     –    –     –  failed
  chat          –    –     –     –       –       –     –    –     –  failed
org/name
  throughput  512  128     –     –       –       –     –    –     –  failed
  chat          –    –     –     –       –       –     –    –     –  failed

failed   a.gguf (throughput, chat) while finding the model: `./a.gguf` does not exist
failed   org/name (throughput, chat) while finding the model: `org/name` is not in the local Hugging Face cache
         hint: leave out `--offline` and `HF_HUB_OFFLINE` to have it downloaded

0 passed, 4 failed, 0 skipped
";
    let folder = Harness::new()
        .args(["run", "a.gguf", "org/name", "--quiet", "--report-output", "out/report.jsonl"])
        .stdout(stdout)
        .exit(Exit::No);
    let report = std::fs::read_to_string(folder.path().join("out/report.jsonl")).unwrap();
    assert_eq!(report.lines().count(), 4);
    for line in report.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["outcome"], "failed");
        assert!(line.get("performance").is_none());
    }
}

#[test]
fn lines_can_be_had_instead_of_the_table() {
    let harness = Harness::new().args([
        "run",
        "org/name",
        "--json",
        "--scenario",
        "chat",
        "--schema",
        "0.2.2",
        "--mlx-knife-version",
        "2.0.8",
        "--report-output",
        "report.jsonl",
    ]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::No as i32), "{}", answer.stderr);
    assert_eq!(answer.stdout, harness.read("report.jsonl"));
    let line: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(line["schema_version"], "0.2.2");
    assert_eq!(line["mlx_knife_version"], "2.0.8");
    assert_eq!(line["model"]["id"], "org/name");
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_anything_runs() {
    let harness = Harness::new().file("out", "not a folder").args([
        "run",
        "org/name",
        "--report-output",
        "out/report.jsonl",
    ]);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::Io as i32));
    assert_eq!(answer.stdout, "");
    assert!(
        answer.stderr.starts_with("error: cannot open the report `out/report.jsonl`: "),
        "{}",
        answer.stderr
    );
}

#[test]
fn models_of_the_cache_are_listed_with_size_and_revision() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let model = "cache/hub/models--org--name";
    let answer = Harness::new()
        .file(&format!("{model}/refs/main"), commit)
        .file(&format!("{model}/snapshots/{commit}/config.json"), "{}")
        .args(["list"])
        .answer();
    assert_eq!(answer.code, Some(Exit::Ok as i32), "{}", answer.stderr);
    let (families, models) = answer.stdout.split_once("\n\n").unwrap();
    assert!(families.lines().any(|line| line == "  qwen3"), "{families}");
    assert_eq!(
        models,
        "models in the local Hugging Face cache:\n  org/name     0.00 GiB  01234567\n"
    );
}

#[test]
fn cached_models_are_listed_with_health_and_whether_they_run() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let file = |harness: Harness, model: &str, name: &str, text: &[u8]| {
        harness.file(&format!("cache/hub/models--org--{model}/snapshots/{commit}/{name}"), text)
    };
    let header = br#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let weights = [&[53, 0, 0, 0, 0, 0, 0, 0][..], header, &[0]].concat();
    let mut harness = file(Harness::new(), "bare", "config.json", br#"{"model_type":"llama"}"#);
    harness = file(harness, "odd", "config.json", br#"{"model_type":"oddity"}"#);
    harness = file(harness, "odd", "model.safetensors", &weights);
    let stdout = "\
org/bare     0.00 GiB  01234567  unhealthy: there are no weights
org/odd      0.00 GiB  01234567  healthy, cannot run: no family reads `model_type` `oddity`
";
    harness.args(["list", "--cached"]).stdout(stdout).exit(Exit::Ok);
}

#[test]
fn a_workspace_of_mlx_knife_is_found_by_its_name_and_told_by_it() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    let harness = Harness::new()
        .file("home/tiny/.mlxk_workspace.json", r#"{"managed": true}"#)
        .args(["show", "tiny", "--json"]);
    weights::write(
        &fixture,
        weights::FLOAT32,
        &harness.path("home/tiny"),
        weights::Tweak::default(),
    );
    let home = harness.path("home");
    let answer = harness.variable("MLXK_WORKSPACE_HOME", home.to_str().unwrap()).answer();
    assert_eq!(answer.code, Some(Exit::Ok as i32), "{}", answer.stderr);
    let shown: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(shown["id"], "tiny");
}

#[test]
fn an_empty_cache_is_said_to_be_empty() {
    let answer = Harness::new().args(["list"]).answer();
    assert!(answer.stdout.ends_with("\n\nno model is in the local Hugging Face cache\n"));
}

#[test]
fn the_machine_is_told_as_json_without_what_is_not_known() {
    let answer = Harness::new().args(["system", "--json"]).answer();
    assert_eq!(answer.code, Some(Exit::Ok as i32), "{}", answer.stderr);
    let system: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(system["host"]["memory_bytes"].as_u64().unwrap() > 0);
    assert!(["cpu", "gpu"].contains(&system["mlx"]["device"].as_str().unwrap()));
    assert!(system["probe"]["jitter"]["steps"].as_u64().unwrap() > 0);
    assert!(["A", "B", "C", "D"].contains(&system["fitness"]["grade"].as_str().unwrap()));
    assert!(!answer.stdout.contains("null"));
}

/// The machine's fitness, as the first line of a report tells it.
fn published_fitness(harness: &Harness) -> serde_json::Value {
    let report = harness.read("report.jsonl");
    let line: serde_json::Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    line["metadata"]["mlxk_harness"]["host"]["fitness"].clone()
}

#[test]
fn a_grade_that_is_met_is_told_beside_the_figures() {
    let run = ["run", "org/name", "--report-output", "report.jsonl", "--require-grade", "d"];
    let harness = Harness::new().args(run);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::No as i32), "{}", answer.stderr);
    let fitness = published_fitness(&harness);
    let grade = fitness["grade"].as_str().unwrap();
    let note = format!("note     the machine was of grade {grade}\n");
    assert!(answer.stdout.starts_with(&note), "{}", answer.stdout);
    assert!(!fitness["not_judged"].as_array().unwrap().contains(&"jitter".into()));
}

#[test]
fn a_run_that_asks_for_no_grade_does_not_try_the_machine() {
    let harness = Harness::new().args(["run", "org/name", "--report-output", "report.jsonl"]);
    let answer = harness.answer();
    assert!(!answer.stdout.contains("grade"), "{}", answer.stdout);
    let fitness = published_fitness(&harness);
    assert!(fitness["not_judged"].as_array().unwrap().contains(&"jitter".into()));
}

/// A build for tests is one for debugging, which is no better than a D anywhere.
#[cfg(debug_assertions)]
#[test]
fn a_machine_below_the_grade_is_refused_before_anything_runs() {
    let run = ["run", "org/name", "--report-output", "report.jsonl", "--require-grade", "C"];
    let harness = Harness::new().args(run);
    let answer = harness.answer();
    assert_eq!(answer.code, Some(Exit::Unfit as i32));
    assert_eq!(answer.stdout, "");
    let refusal = "error: this machine is of grade D for timing, not C: the harness was built \
                   without optimization";
    assert!(answer.stderr.starts_with(refusal), "{}", answer.stderr);
    assert!(!harness.path("report.jsonl").exists());
}

#[test]
fn our_own_manifest_begins_with_the_demo() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
    let arguments = vec![manifest.to_str().unwrap().to_owned()];
    let all = Selection { arguments, ..Selection::default() };
    let demo = Selection { tags: vec!["demo".to_owned()], ..all.clone() };
    let all = all.plan().unwrap().models;
    let demo = demo.plan().unwrap().models;
    assert_eq!(demo, all[..1]);
    assert_eq!(demo[0].label, "SmolLM2-135M-Instruct.Q4_1.gguf");
    let is_hub = |model: &_| matches!(model, Source::Hub(_));
    assert!(all[1..].iter().all(|model| is_hub(&model.source)));
}
