//! More than one process at one cache, and processes that die.

use std::{
    ffi::OsString,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    check_blobs, for_bytes, pull,
    server::{COMMIT, Fault, Hub},
    snapshot, tensor,
};
use crate::harness::Harness;

/// Long enough for two processes to be under way at once, and for fifty to be killed before it is done.
const LENGTH: usize = 16_000_000;

/// What leads a process to the cache of `harness`, and to `hub`.
pub(super) fn environment(harness: &Harness, hub: &Hub) -> [(&'static str, OsString); 3] {
    [
        ("HF_HOME", harness.path("cache").into()),
        ("HF_ENDPOINT", hub.endpoint().into()),
        ("NO_PROXY", "127.0.0.1".into()),
    ]
}

pub(super) fn start(harness: &Harness, hub: &Hub) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mlxk-harness"))
        .args(["pull", "org/name"])
        .envs(environment(harness, hub))
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Whether the cache has a blob that is not whole.
fn has_half(harness: &Harness) -> bool {
    half(harness).is_some()
}

/// Bytes of the weights in the cache, where they are not whole.
pub(super) fn half(harness: &Harness) -> Option<u64> {
    let blobs = std::fs::read_dir(harness.path("cache/hub/models--org--name/blobs"));
    let names = blobs.into_iter().flatten().map(|entry| entry.unwrap().path());
    // Large files are named by 64 digits.
    let is_half = |path: &PathBuf| {
        path.file_stem().is_some_and(|name| name.len() == 64)
            && path.extension().is_some_and(|ending| ending == "incomplete")
    };
    let mut halves = names.filter(is_half);
    halves.next()?.metadata().ok().map(|half| half.len())
}

/// A hub that sends slowly, always.
pub(super) fn slow() -> Hub {
    (0..200).fold(super::hub(LENGTH), |hub, _| hub.fault("/store/", Fault::Slow))
}

#[test]
fn two_processes_at_once_fetch_a_model_once() {
    let hub = slow();
    let harness = pull(&hub);
    let children: Vec<_> = (0..2).map(|_| start(&harness, &hub)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let sent: usize =
        hub.take_seen().iter().filter(|seen| seen.host == "store").map(|seen| seen.to).sum();
    assert_eq!(sent, tensor(LENGTH).len());
}

#[test]
fn a_download_that_is_killed_fifty_times_leaves_nothing_wrong_and_completes() {
    let hub = slow();
    let whole = tensor(LENGTH);
    let harness = pull(&hub);
    let mut state = 3_u32;
    let mut halves = 0;
    for round in 0..50 {
        let mut child = start(&harness, &hub);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Every other one dies with bytes on their way for sure, however slow this machine is.
        let is_done = |child: &mut Child| child.try_wait().unwrap().is_some();
        while round % 2 == 0 && !has_half(&harness) && !is_done(&mut child) {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(u64::from(state >> 24) / 2));
        child.kill().unwrap();
        child.wait().unwrap();
        check_blobs(&harness, &whole);
        halves += usize::from(has_half(&harness));
    }
    assert!(halves > 20, "only {halves} were killed on the way");
    assert!(start(&harness, &hub).wait().unwrap().success());
    check_blobs(&harness, &whole);
    assert!(std::fs::read(snapshot(&harness).join("model.safetensors")).unwrap() == whole);
}

#[test]
fn a_branch_that_moves_on_during_a_download_does_no_harm() {
    let hub = slow();
    let harness = pull(&hub);
    let mut child = start(&harness, &hub);
    while !has_half(&harness) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        thread::sleep(Duration::from_millis(5));
    }
    let other = "f".repeat(40);
    hub.advance(&other);
    assert!(child.wait().unwrap().success());
    let seen = hub.take_seen();
    assert!(seen.iter().skip(1).all(|seen| seen.host == "store" || seen.path.contains(COMMIT)));
    assert!(std::fs::read(snapshot(&harness).join("model.safetensors")).unwrap() == tensor(LENGTH));
    // The next pull is of the new commit, and nothing is fetched twice.
    assert!(start(&harness, &hub).wait().unwrap().success());
    let seen = hub.take_seen();
    assert!(seen.iter().any(|seen| seen.path.contains(&other)));
    assert_eq!(for_bytes(&seen), 0);
}
