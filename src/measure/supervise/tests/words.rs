//! Children that talk, sensibly or not.

use super::*;

#[test]
fn a_child_that_does_all_is_asked_once() {
    let script = work_of(2) + &says(&[left()]);
    let (outcomes, seen) = run_until(2, &[script], &Stop::new());
    assert_eq!(brief(&outcomes), ["measured, 1 trials", "measured, 1 trials, cleanup 42"]);
    assert_eq!(outcomes[1].warnings, [""; 0]);
    assert!(outcomes[1].loaded.is_some() && outcomes[1].random_ids);
    assert_eq!(
        seen.messages,
        [
            "started",
            "loaded",
            "cell_started 0",
            "decoded 0",
            "trial 0",
            "cell_done 0",
            "cell_started 1",
            "decoded 1",
            "trial 1",
            "cell_done 1",
            "done",
        ]
    );
}

#[test]
fn garbage_is_a_failure_and_the_rest_is_done() {
    let first = says(&[started(), loaded(), begun(0), decoded(0)]) + "echo hello; sleep 60";
    let outcomes = run(2, &[first, work_of(1) + &says(&[left()])]);
    assert_eq!(
        brief(&outcomes),
        ["failed: protocol in Decode, 0 trials", "measured, 1 trials, cleanup 42"]
    );
    assert_eq!(failure(&outcomes[0]).message, "the child printed what is no message: `hello`");
}

#[test]
fn a_message_out_of_turn_is_a_failure() {
    let untold = says(&[started(), loaded(), begun(0), done(0)]);
    let outcomes = run(1, &[untold]);
    assert_eq!(failure(&outcomes[0]).message, "the child said `cell_done` out of turn");
    let other_cell = says(&[started(), loaded(), begun(7)]);
    let outcomes = run(1, &[other_cell]);
    assert_eq!(failure(&outcomes[0]).message, "the child said `cell_started` out of turn");
}

#[test]
fn warnings_before_the_load_belong_to_every_cell_and_later_ones_to_their_own() {
    let warning = |text: &str| Message::Warning { text: text.to_owned() };
    let script = says(&[
        started(),
        warning("load"),
        loaded(),
        begun(0),
        trial(0),
        warning("first"),
        done(0),
        begun(1),
        trial(1),
        done(1),
        left(),
    ]);
    let outcomes = run(2, &[script]);
    assert_eq!(outcomes[0].warnings, ["load", "first"]);
    assert_eq!(outcomes[1].warnings, ["load"]);
}

#[test]
fn a_child_that_cannot_go_on_leaves_the_rest_to_another() {
    let gave_up = says(&[
        started(),
        loaded(),
        begun(0),
        Message::CellFailed {
            cell: 0,
            failure: Failure::new(Stage::Decode, "mlx", "lost the device"),
        },
        left(),
    ]);
    let outcomes = run(2, &[gave_up, work_of(1) + &says(&[left()])]);
    assert_eq!(
        brief(&outcomes),
        ["failed: mlx in Decode, 0 trials", "measured, 1 trials, cleanup 42"]
    );
}

#[test]
fn a_child_that_does_nothing_is_not_asked_for_ever() {
    let idle = says(&[started(), loaded(), left()]);
    let outcomes = run(1, &[idle]);
    assert_eq!(brief(&outcomes), ["failed: ended_early in Prompt, 0 trials"]);
}

#[test]
fn a_child_is_given_its_model_and_the_cells_that_are_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("heard");
    let script = format!("IFS= read -r job; echo \"$0 $job\" >> '{}'\n", file.display());
    let first = script.clone() + &says(&[started(), loaded(), begun(0)]) + "exit 1";
    let second = script + &work_of(1) + &says(&[left()]);
    run(2, &[first, second]);
    let heard = std::fs::read_to_string(&file).expect("the children heard");
    let jobs: Vec<Job> = heard
        .lines()
        .map(|line| line.strip_prefix("model ").expect("the model is named"))
        .map(|line| serde_json::from_str(line).expect("a job"))
        .collect();
    assert_eq!(jobs, [job(2), job(1)]);
}

#[test]
fn a_child_tells_which_mlx_there_is() {
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        describe_by(Ok(command))
    };
    let runtime = shell(&says(&[started()])).expect("it said so");
    assert_eq!(runtime.mlx_version, "0.32.2");
    let failure = shell("echo no Metal >&2; kill -ABRT $$").expect_err("it died");
    assert_eq!((failure.kind.as_str(), failure.stderr), ("sigabrt", vec!["no Metal".to_owned()]));
}
