//! Numbers of a line that follow from nothing else in it.

/// Where such numbers stand, and what they are. `*` stands for any key or index, and a last `**` for all that is below.
const GIVEN: &[(&str, &str)] = &[
    ("/duration", "wall time of the cell"),
    ("/test_start_ts", "wall clock"),
    ("/test_end_ts", "wall clock"),
    ("/model/size_gb", "told before a load"),
    ("/system/**", "told by the machine"),
    ("/system_health/**", "told by the machine, before the cell"),
    ("/metadata/mlxk_harness/cell/**", "asked for"),
    ("/metadata/mlxk_harness/settings/**", "asked for"),
    ("/metadata/mlxk_harness/model/**", "told by the model"),
    ("/metadata/mlxk_harness/download/**", "measured once"),
    ("/metadata/mlxk_harness/load/phases/*/*", "measured, once a load"),
    ("/metadata/mlxk_harness/load/memory/*", "measured, once a load"),
    ("/metadata/mlxk_harness/load/resident_before", "measured, once a load"),
    ("/metadata/mlxk_harness/memory/prediction/*", "by the headers of the model's files"),
    ("/metadata/mlxk_harness/likelihood/*", "measured, after the repetitions"),
    ("/metadata/mlxk_harness/cleanup/*", "measured, once a load"),
    ("/metadata/mlxk_harness/health/**", "told by the machine"),
    ("/metadata/mlxk_harness/roofline/measured/**", "measured, once a load"),
    ("/metadata/mlxk_harness/likelihood/*", "measured, once a model"),
    ("/metadata/mlxk_harness/reference/**", "told of a comparison"),
    ("/metadata/mlxk_harness/host/**", "told by the machine"),
    ("/metadata/mlxk_harness/stop_answers/**", "told of an answer"),
    ("/metadata/mlxk_harness/warmups/**", "sample"),
    ("/metadata/mlxk_harness/samples/**", "sample"),
];

/// What the number at `pointer` is, where it is one of these.
pub(super) fn given(pointer: &str) -> Option<&'static str> {
    let (_, what) = GIVEN.iter().find(|(pattern, _)| fits(pattern, pointer))?;
    Some(what)
}

fn fits(pattern: &str, pointer: &str) -> bool {
    let mut steps = pointer.split('/');
    for wanted in pattern.split('/') {
        if wanted == "**" {
            return steps.next().is_some();
        }
        if steps.next().is_none_or(|step| wanted != "*" && wanted != step) {
            return false;
        }
    }
    steps.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_keys_and_indexes_and_what_is_below() {
        let case = |pattern: &str, pointer: &str, expected: bool| {
            assert_eq!(fits(pattern, pointer), expected, "{pattern} {pointer}");
        };
        case("/a/b", "/a/b", true);
        case("/a/b", "/a/b/c", false);
        case("/a/b/c", "/a/b", false);
        case("/a/*/c", "/a/7/c", true);
        case("/a/*", "/a/7/c", false);
        case("/a/**", "/a/7/c", true);
        case("/a/**", "/a", false);
        case("/a/**", "/ab/c", false);
    }
}
