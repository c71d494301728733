//! What a line tells of the machine's health.

use mlxk_harness::{
    host::{Health, apple::Source},
    report::Context,
};
use serde_json::{Value, json};

use super::{
    as_json, context,
    macs::{MACS, Recorded, told_by},
    measured, published, throughput,
};

fn before(line: &Value) -> Value {
    line["metadata"]["mlxk_harness"]["health"]["before"].clone()
}

#[test]
fn a_silent_source_takes_its_own_part_of_a_lines_health_and_nothing_else() {
    for mac in MACS {
        let all = before(&Recorded::of(mac).line());
        for source in Source::ALL {
            let mut expected = all.clone();
            expected
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !told_by(source).contains(&name.as_str()));
            let told = before(&Recorded { silent: vec![source], ..Recorded::of(mac) }.line());
            assert_eq!(told, expected, "{mac} without {source:?}");
        }
    }
}

#[test]
fn a_mac_tells_of_pages_as_mlx_knife_counts_them_and_of_those_that_are_taken() {
    let before = before(&Recorded::of("m2-max").line());
    // 1310720 free and 65536 speculative pages of 16 KiB; 183456 wired and 914812 anonymous ones.
    assert_eq!(before["free_bytes"], 1_310_720_u64 * 16_384);
    assert_eq!(before["speculative_bytes"], 65_536_u64 * 16_384);
    assert_eq!(before["taken_bytes"], (183_456_u64 + 914_812) * 16_384);
}

#[test]
fn a_look_afterwards_that_told_nothing_is_absent() {
    let line = |health_after| {
        as_json(&published(&Context { health_after, ..context() }, &throughput(), &measured()))
    };
    let health = |line: Value| line["metadata"]["mlxk_harness"]["health"].clone();
    let after = Health { free_bytes: Some(1), ..Health::default() };
    assert_eq!(health(line(Some(after)))["after"], json!({"free_bytes": 1}));
    let silent = health(line(Some(Health::default())));
    assert!(silent.get("after").is_none(), "{silent}");
    assert_eq!(silent, health(line(None)));
}
