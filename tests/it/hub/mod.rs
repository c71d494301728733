//! Models are fetched from a hub on loopback: resumed, checked, and never twice.

pub(crate) mod faults;
mod interop;
mod processes;
mod runs;
pub(crate) mod server;

use std::{fs, path::Path};

use mlxk_harness::cli::Exit;
use serde_json::Value;

use super::{
    harness::{Answer, Harness},
    weights,
};
use server::{COMMIT, Hub, Seen};

/// A header of safetensors and one tensor of `length` bytes, none like the other.
fn tensor(length: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    let mut state = 1_u32;
    bytes.extend((0..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    bytes
}

/// A hub whose model has weights of `length` bytes.
fn hub(length: usize) -> Hub {
    Hub::new()
        .file("config.json", r#"{"model_type":"llama"}"#)
        .file("model.safetensors", tensor(length))
}

/// The program, with the network and `hub`.
fn harness(hub: &Hub) -> Harness {
    Harness::new()
        .variable("HF_HUB_OFFLINE", "0")
        .variable("HF_ENDPOINT", &hub.endpoint())
        .variable("NO_PROXY", "127.0.0.1")
}

fn pull(hub: &Hub) -> Harness {
    harness(hub).args(["pull", "org/name"])
}

#[track_caller]
fn expect(answer: &Answer, exit: Exit) {
    assert_eq!(answer.code, Some(exit as i32), "{}{}", answer.stdout, answer.stderr);
}

fn snapshot(harness: &Harness) -> std::path::PathBuf {
    harness.path(&format!("cache/hub/models--org--name/snapshots/{COMMIT}"))
}

/// Requests for the bytes of files.
fn for_bytes(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.path.contains("/resolve/") || seen.host == "store").count()
}

/// Every file of the blobs that has a final name is what its name says.
#[track_caller]
fn check_blobs(harness: &Harness, whole: &[u8]) {
    let blobs = harness.path("cache/hub/models--org--name/blobs");
    for entry in fs::read_dir(blobs).into_iter().flatten() {
        let path = entry.unwrap().path();
        // Large files are named by 64 digits.
        if path.file_name().unwrap().len() == 64 {
            assert!(fs::read(&path).unwrap() == whole, "{}", path.display());
        }
    }
}

/// The files of a model that can be loaded: its configuration and its weights.
fn loadable() -> [(&'static str, Vec<u8>); 2] {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/llama");
    weights::write(&fixture, weights::FLOAT32, folder.path(), weights::Tweak::default());
    ["config.json", "model.safetensors"]
        .map(|name| (name, fs::read(folder.path().join(name)).unwrap()))
}

#[test]
fn show_fetches_what_is_not_here_and_takes_what_is() {
    let hub = loadable().into_iter().fold(Hub::new(), |hub, (name, bytes)| hub.file(name, bytes));
    let harness = harness(&hub).args(["show", "org/name@v1", "--json"]);
    for requests_wanted in [true, false] {
        let answer = harness.answer();
        expect(&answer, Exit::Ok);
        let shown: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(shown["id"], "org/name");
        assert_eq!(shown["revision"], COMMIT);
        assert_eq!(!hub.take_seen().is_empty(), requests_wanted);
    }
}

#[test]
fn without_the_hub_a_cached_model_that_can_be_loaded_is_taken() {
    let mut harness = harness(&Hub::new()).variable("HF_ENDPOINT", "http://127.0.0.1:9").file(
        &format!("cache/hub/models--org--name/snapshots/{COMMIT}/tokenizer_config.json"),
        "{}",
    );
    for (name, bytes) in loadable() {
        harness =
            harness.file(&format!("cache/hub/models--org--name/snapshots/{COMMIT}/{name}"), bytes);
    }
    let harness = harness.args(["show", "org/name"]);
    let answer = harness.answer();
    expect(&answer, Exit::Ok);
    let expected = "; what is cached is taken, though `tokenizer.json` is missing\n";
    assert!(answer.stderr.ends_with(expected), "{}", answer.stderr);
    // Without weights there is nothing to take.
    fs::remove_file(snapshot(&harness).join("model.safetensors")).unwrap();
    expect(&harness.answer(), Exit::Io);
}

#[test]
fn a_pulled_model_lies_where_every_tool_looks_for_it() {
    let hub = hub(1000).file("sub/more.json", "{}");
    let harness = pull(&hub);
    let answer = harness.answer();
    expect(&answer, Exit::Ok);
    assert!(answer.stdout.starts_with("org/name  01234567  "), "{}", answer.stdout);
    let model = harness.path("cache/hub/models--org--name");
    assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    let weights = snapshot(&harness).join("model.safetensors");
    assert!(fs::read_link(&weights).unwrap().starts_with("../../blobs"));
    assert!(fs::read(weights).unwrap() == tensor(1000));
    assert_eq!(fs::read_to_string(snapshot(&harness).join("sub/more.json")).unwrap(), "{}");
    hub.take_seen();
    expect(&harness.answer(), Exit::Ok);
    assert_eq!(for_bytes(&hub.take_seen()), 0);
}

#[test]
fn a_dry_run_tells_bytes_and_writes_nothing() {
    let hub = hub(1000);
    let harness = harness(&hub).args(["pull", "org/name", "--dry-run"]);
    let answer = harness.answer();
    expect(&answer, Exit::Ok);
    let bytes = tensor(1000).len() + 22;
    let expected = format!("org/name  01234567  2 files, {bytes} bytes (1.06 KiB), {bytes} bytes");
    assert!(answer.stdout.starts_with(&expected), "{}", answer.stdout);
    assert!(!harness.path("cache").exists());
    assert_eq!(for_bytes(&hub.take_seen()), 0);
}

#[test]
fn a_gguf_file_is_fetched_alone_and_only_on_request() {
    let hub = hub(1000).file("q4.gguf", "GGUF and more");
    let harness = harness(&hub).args(["pull", "org/name:q4.gguf"]);
    expect(&harness.answer(), Exit::Ok);
    let names: Vec<_> = fs::read_dir(snapshot(&harness)).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read_to_string(snapshot(&harness).join("q4.gguf")).unwrap(), "GGUF and more");
}

#[test]
fn a_token_goes_to_the_hub_and_nowhere_else() {
    let hub = hub(1000).fault("model.safetensors", server::Fault::Status(500, ""));
    let harness = pull(&hub).variable("HF_TOKEN", "hf_secret");
    let answer = harness.answer();
    expect(&answer, Exit::Ok);
    let seen = hub.take_seen();
    assert!(seen.iter().any(|seen| seen.host == "store"));
    for seen in seen {
        let expected = (seen.host == "hub").then_some("Bearer hf_secret");
        assert_eq!(seen.token.as_deref(), expected, "{}", seen.path);
    }
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("secret"));
}

#[test]
fn a_proxy_is_asked_where_one_is_set() {
    let hub = hub(1000);
    let harness =
        pull(&hub).variable("HF_ENDPOINT", server::PROXIED).variable("http_proxy", &hub.endpoint());
    expect(&harness.answer(), Exit::Ok);
    let seen = hub.take_seen();
    for part in ["/revision/", "/tree/", "/resolve/"] {
        let is_proxied = |seen: &Seen| seen.path.starts_with(server::PROXIED);
        assert!(seen.iter().any(|seen| seen.path.contains(part) && is_proxied(seen)), "{part}");
    }
}

#[test]
fn a_token_may_lie_in_a_file_and_a_refusal_does_not_tell_it() {
    let hub = hub(1000).fault("revision", server::Fault::Status(401, ""));
    let harness = harness(&hub).file("cache/token", "hf_secret\n").args([
        "run",
        "org/name",
        "--report-output",
        "report.jsonl",
    ]);
    let answer = harness.answer();
    expect(&answer, Exit::No);
    assert_eq!(hub.take_seen()[0].token.as_deref(), Some("Bearer hf_secret"));
    let report = harness.read("report.jsonl");
    assert!(report.contains("hub_refused"), "{report}");
    assert!(!format!("{}{}{report}", answer.stdout, answer.stderr).contains("secret"));
}
