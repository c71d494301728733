//! What goes wrong with a hub, a connection or a disk, by message and exit code.

use std::{path::Path, process::Command};

use mlxk_harness::cli::Exit;

use super::{
    check_blobs, expect, harness, hub, pull,
    server::{Fault, Hub},
    snapshot, tensor,
};

/// Weights arrive after `faults`, and the program says `said`.
#[track_caller]
fn recovers(faults: &[Fault], said: &str) {
    let hub = faults.iter().fold(hub(100_000), |hub, fault| hub.fault("model.safetensors", *fault));
    let harness = pull(&hub).variable("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
    let answer = harness.answer();
    expect(&answer, Exit::Ok);
    assert!(answer.stderr.contains(said), "{}", answer.stderr);
    assert!(
        std::fs::read(snapshot(&harness).join("model.safetensors")).unwrap() == tensor(100_000)
    );
}

/// A pull ends with `message`, `hint` and an exit code.
#[track_caller]
fn ends(hub: &Hub, message: &str, hint: &str, exit: Exit) {
    let harness = pull(hub).variable("HF_HUB_DOWNLOAD_TIMEOUT", "0.3");
    let answer = harness.answer();
    expect(&answer, exit);
    let expected = if hint.is_empty() {
        format!("error: {message}\n")
    } else {
        format!("error: {message}\n\n  hint: {hint}\n")
    };
    assert!(answer.stderr.ends_with(&expected), "{}", answer.stderr);
    check_blobs(&harness, &tensor(1000));
}

fn always(hub: Hub, text: &str, fault: Fault) -> Hub {
    (0..12).fold(hub, |hub, _| hub.fault(text, fault))
}

#[test]
fn a_download_that_is_cut_two_hundred_times_fetches_no_byte_twice() {
    let whole = tensor(2_000_000);
    let mut state = 7_u32;
    let mut hub = hub(2_000_000);
    for _ in 0..200 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = 1 + usize::try_from(state >> 8).unwrap() % 9000;
        hub = hub.fault("model.safetensors", Fault::Cut(length));
    }
    let harness = pull(&hub);
    expect(&harness.answer(), Exit::Ok);
    assert!(std::fs::read(snapshot(&harness).join("model.safetensors")).unwrap() == whole);
    let seen = hub.take_seen();
    let parts: Vec<_> = seen.iter().filter(|seen| seen.host == "store").collect();
    assert_eq!(parts.len(), 201);
    for pair in parts.windows(2) {
        assert_eq!(pair[1].from, pair[0].to);
    }
}

#[test]
fn what_passes_is_outlasted() {
    recovers(&[Fault::Status(429, "Retry-After: 1\r\n")], "trying again in 1.0 s");
    recovers(&[Fault::Status(500, ""); 3], "the hub answers 500 for `model.safetensors`");
    recovers(&[Fault::Stall(20_000)], "");
    recovers(&[Fault::Stall(0)], "sent nothing for 0.5 s");
    recovers(&[Fault::Wrong], "arrived wrong: its hash is");
    recovers(&[Fault::Short(50_000), Fault::Short(50_000)], "it ended after 50000 of ");
}

#[test]
fn bytes_that_are_wrong_twice_are_an_error_and_leave_nothing() {
    let hub = always(hub(1000), "model.safetensors", Fault::Wrong);
    let harness = pull(&hub);
    let answer = harness.answer();
    expect(&answer, Exit::No);
    assert!(
        answer.stderr.contains("error: `model.safetensors` of `org/name` arrived wrong twice: "),
        "{}",
        answer.stderr
    );
    assert!(!snapshot(&harness).exists());
    check_blobs(&harness, &tensor(1000));
    let blobs = std::fs::read_dir(harness.path("cache/hub/models--org--name/blobs")).unwrap();
    assert_eq!(blobs.count(), 1, "only the configuration");
}

#[test]
fn what_does_not_pass_is_told() {
    let again = "run it again: what has arrived is kept";
    let failing = always(hub(1000), "model.safetensors", Fault::Status(500, ""));
    ends(&failing, "the hub answers 500 for `model.safetensors`", again, Exit::Io);
    let silent = always(hub(1000), "model.safetensors", Fault::Stall(0));
    let message = "`127.0.0.1` sent nothing for 0.3 s while `model.safetensors` was fetched";
    ends(&silent, message, again, Exit::Io);
    let limited = always(hub(1000), "revision", Fault::Status(429, ""));
    let message =
        "the hub allows no more requests for now (429), asked for revision `main` of `org/name`";
    let hint = "wait some minutes, or set `HF_TOKEN`: what has arrived is kept";
    ends(&limited, message, hint, Exit::Io);
}

#[test]
fn a_gated_model_tells_where_its_licence_is_accepted() {
    for (status, text) in
        [(401, "model.safetensors"), (403, "model.safetensors"), (403, "revision")]
    {
        let hub = hub(1000).fault(text, Fault::Status(status, "X-Error-Code: GatedRepo\r\n"));
        let page = format!("{}/org/name", hub.endpoint());
        let hint = format!("accept it at {page}, then set `HF_TOKEN` or run `hf auth login`");
        ends(&hub, "`org/name` is gated: its licence has to be accepted first", &hint, Exit::No);
    }
    let hub = hub(1000).fault("revision", Fault::Status(403, ""));
    let hint = "see that the token in `HF_TOKEN` or of `hf auth login` may read it";
    ends(&hub, "the hub refuses `org/name` (403)", hint, Exit::No);
}

#[test]
fn a_model_that_is_not_there_is_told_with_cached_names_like_it() {
    let hub = hub(10);
    let harness =
        harness(&hub).file("cache/hub/models--org--nane/refs/main", "x").args(["pull", "org/nam"]);
    let answer = harness.answer();
    expect(&answer, Exit::No);
    let expected = "error: the hub has no model `org/nam`, or it is private\n\n  \
                    hint: did you mean `org/nane`? It is in the local cache\n";
    assert_eq!(answer.stderr, expected);
}

#[test]
fn a_revision_that_is_not_there_is_told() {
    let hub = hub(10);
    let answer = harness(&hub).args(["pull", "org/name@v9"]).answer();
    expect(&answer, Exit::No);
    assert_eq!(answer.stderr, "error: `org/name` has no revision `v9`\n");
}

#[test]
fn without_a_route_the_host_is_named() {
    let harness = pull(&hub(10)).variable("HF_ENDPOINT", "http://127.0.0.1:9");
    let answer = harness.answer();
    expect(&answer, Exit::Io);
    assert!(answer.stderr.contains("error: cannot reach `127.0.0.1`: "), "{}", answer.stderr);
}

#[test]
fn a_network_that_is_down_is_given_up_on_once() {
    let args = ["pull", "org/one", "org/two", "../three"];
    let harness = harness(&hub(10)).args(args).variable("HF_ENDPOINT", "http://127.0.0.1:9");
    let answer = harness.answer();
    expect(&answer, Exit::Io);
    let count = |text| answer.stderr.matches(text).count();
    assert_eq!(count("error: cannot reach `127.0.0.1`: "), 2, "{}", answer.stderr);
    assert_eq!(count("trying again"), 4, "{}", answer.stderr);
    assert_eq!(count("error: `../three` is neither here nor a name of the hub"), 1);
}

#[test]
fn offline_nothing_is_asked() {
    let hub = hub(10);
    let answer = harness(&hub).args(["--offline", "show", "org/name"]).answer();
    expect(&answer, Exit::No);
    let expected = "error: `org/name` is not in the local Hugging Face cache\n\n  \
                    hint: leave out `--offline` and `HF_HUB_OFFLINE` to have it downloaded\n";
    assert_eq!(answer.stderr, expected);
    assert_eq!(hub.take_seen().len(), 0);
}

#[test]
fn there_must_be_room_before_anything_is_fetched() {
    let hub = hub(10).claim(1 << 60);
    let harness = pull(&hub);
    let answer = harness.answer();
    expect(&answer, Exit::Io);
    let needed = 2_u64 << 60;
    let expected =
        format!("error: no room for `org/name`: {needed} bytes (2147483648.00 GiB) are to come");
    assert!(answer.stderr.starts_with(&expected), "{}", answer.stderr);
    assert!(answer.stderr.contains(" bytes are missing\n"), "{}", answer.stderr);
    assert!(!harness.path("cache").exists());
}

/// Has `sh` run `script` where a disk of 200 KiB is at `$HF_HOME`.
pub(crate) fn on_small_disk(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=200k none \"$HF_HOME\"";
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg(format!("{mount} && {script}"))
        .env("HF_HOME", folder);
    command
}

/// What a pull onto a disk of 200 KiB says; nothing where this system lets nobody mount one.
fn pull_onto_small_disk(hub: &Hub) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let can_mount = on_small_disk(folder.path(), "true").output();
    can_mount.ok().filter(|output| output.status.success())?;
    let output = on_small_disk(folder.path(), "exec \"$0\" pull org/name")
        .arg(env!("CARGO_BIN_EXE_mlxk-harness"))
        .env("HF_ENDPOINT", hub.endpoint())
        .env("NO_PROXY", "127.0.0.1")
        .env("NO_COLOR", "1")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(Exit::Io as i32));
    Some(String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_disk_without_room_is_told_before_anything_is_fetched() {
    let hub = hub(300_000);
    if let Some(said) = pull_onto_small_disk(&hub) {
        assert!(said.starts_with("error: no room for `org/name`: 3000"), "{said}");
        assert!(said.contains(" and 204800 bytes (200.00 KiB) are free, 95"), "{said}");
        assert!(!hub.is_asked("resolve"));
    }
}

#[test]
fn a_disk_that_fills_up_on_the_way_is_told() {
    // Both files are smaller than the disk together, but not counted in pages of 4096 bytes.
    let hub = hub(203_900);
    if let Some(said) = pull_onto_small_disk(&hub) {
        assert!(said.contains("error: cannot use `"), "{said}");
        let expected = "` of the Hugging Face cache: No space left on device (os error 28)\n\n  \
                        hint: free some room and run it again: what has arrived is kept\n";
        assert!(said.ends_with(expected), "{said}");
    }
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused_before_anything_is_fetched() {
    for name in ["../../../../evil.json", "/evil.json", "a/../../evil.json"] {
        let hub = hub(10).file(name, "{}");
        let harness = pull(&hub);
        let answer = harness.answer();
        expect(&answer, Exit::No);
        let expected = format!(
            "error: `org/name` lists the file {name:?}, which could lead out of the cache\n"
        );
        assert_eq!(answer.stderr, expected);
        assert!(!harness.path("cache").exists());
        assert!(!harness.path("evil.json").exists());
    }
}

#[test]
fn a_shard_that_the_index_names_must_be_there() {
    let index = r#"{"weight_map":{"w":"model.safetensors","v":"model-2.safetensors"}}"#;
    let hub = hub(1000).file("model.safetensors.index.json", index);
    ends(&hub, "`org/name` is damaged on the hub: `model-2.safetensors` is missing", "", Exit::No);
}

#[test]
fn a_run_without_its_model_has_failed_lines() {
    let hub = hub(10).fault("revision", Fault::Status(404, "X-Error-Code: RepoNotFound\r\n"));
    let harness = harness(&hub).args(["run", "org/name", "--report-output", "report.jsonl"]);
    expect(&harness.answer(), Exit::No);
    let report = harness.read("report.jsonl");
    assert_eq!(report.lines().count(), 2);
    assert!(report.contains("hub_no_such_model"), "{report}");
}
