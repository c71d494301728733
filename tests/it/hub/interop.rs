//! One cache for us and for Python's `huggingface_hub`, which `cargo xtask test` puts into `.mlx/huggingface_hub`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use mlxk_harness::cli::Exit;

use super::{
    expect,
    processes::start,
    pull,
    server::{Fault, Hub},
    snapshot, tensor,
};
use crate::harness::Harness;

/// Long enough for both to be under way.
const LENGTH: usize = 16_000_000;

/// Where Python finds the package, or none where it was not put there; CI does so, and fails without.
fn packages() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".mlx/huggingface_hub");
    (folder.exists() || env::var_os("CI").is_some()).then_some(folder)
}

/// Python's own download of `org/name`; it prints where that lies.
fn download(packages: &Path, harness: &Harness, hub: &Hub, offline: &str) -> Child {
    Command::new("python3")
        .env("PYTHONPATH", packages)
        .args(["-c", "import huggingface_hub as h; print(h.snapshot_download('org/name'))"])
        .env("HF_HOME", harness.path("cache"))
        .env("HF_ENDPOINT", hub.endpoint())
        .env("HF_HUB_OFFLINE", offline)
        .env("NO_PROXY", "127.0.0.1")
        .env_remove("HF_HUB_CACHE")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[track_caller]
fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn sent(hub: &Hub) -> usize {
    let seen = hub.take_seen();
    seen.iter().filter(|seen| seen.host == "store").map(|seen| seen.to - seen.from).sum()
}

#[test]
fn python_loads_what_we_fetched_and_we_what_python_fetched() {
    let Some(packages) = packages() else {
        return;
    };
    let hub = super::hub(1000);
    let ours = pull(&hub);
    expect(&ours.answer(), Exit::Ok);
    hub.take_seen();
    let path = finish(download(&packages, &ours, &hub, "1"));
    assert_eq!(path, snapshot(&ours).to_str().unwrap());
    finish(download(&packages, &ours, &hub, "0"));
    assert_eq!(sent(&hub), 0, "Python fetches nothing that we have");

    let theirs = pull(&hub);
    finish(download(&packages, &theirs, &hub, "0"));
    assert!(sent(&hub) > 0);
    expect(&theirs.answer(), Exit::Ok);
    assert_eq!(sent(&hub), 0, "we fetch nothing that Python has");
    let offline = theirs.variable("HF_HUB_OFFLINE", "1");
    let answer = offline.answer();
    expect(&answer, Exit::Ok);
    assert_eq!(answer.stdout, "org/name: is cached; the hub was not asked\n");
}

#[test]
fn python_and_we_at_once_fetch_a_model_once() {
    let Some(packages) = packages() else {
        return;
    };
    for python_is_first in [true, false] {
        let hub = (0..4).fold(super::hub(LENGTH), |hub, _| hub.fault("/store/", Fault::Slow));
        let harness = pull(&hub);
        let (mut ours, theirs);
        if python_is_first {
            theirs = download(&packages, &harness, &hub, "0");
            while !hub.is_asked("/store/") {
                thread::sleep(Duration::from_millis(5));
            }
            ours = start(&harness, &hub);
        } else {
            ours = start(&harness, &hub);
            while !hub.is_asked("/store/") {
                thread::sleep(Duration::from_millis(5));
            }
            theirs = download(&packages, &harness, &hub, "0");
        }
        finish(theirs);
        assert!(ours.wait().unwrap().success());
        assert_eq!(sent(&hub), tensor(LENGTH).len());
    }
}
