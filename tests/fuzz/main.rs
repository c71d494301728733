//! The fuzzer: libFuzzer around one of [`targets::TARGETS`], which `MLXK_FUZZ` names. `cargo xtask fuzz` runs it.

#![no_main]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a fuzzer that cannot go on must say so"
)]

mod targets;

use std::{env, sync::LazyLock};

use libfuzzer_sys::fuzz_target;

static FEED: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("MLXK_FUZZ").expect("`MLXK_FUZZ` names no reader");
    let found = targets::TARGETS.iter().find(|target| target.name == name);
    found.expect("no reader has the name in `MLXK_FUZZ`").feed
});

fuzz_target!(|bytes: &[u8]| FEED(bytes));
