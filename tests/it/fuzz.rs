//! What fuzzers found, and what they began with, is read without harm.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{fs, path::Path};

#[test]
fn the_corpus_is_read_without_harm() {
    for target in targets::TARGETS {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
        let mut files: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        for file in files {
            println!("{}", file.display());
            (target.feed)(&fs::read(file).unwrap());
        }
    }
}
