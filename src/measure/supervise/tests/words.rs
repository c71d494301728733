//! Children that talk, sensibly or not.

use super::*;
use crate::measure::schedule::Measured;

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
            "cell_started 1",
            "trial_started 0",
            "decoded 0",
            "trial 0",
            "cell_done 0",
            "trial_started 1",
            "decoded 1",
            "trial 1",
            "cell_done 1",
            "done",
        ]
    );
}

#[test]
fn garbage_is_a_failure_and_the_rest_is_done() {
    let first = ready_for(2) + &says(&[turn(0), decoded(0)]) + "echo hello; sleep 60";
    let outcomes = run(2, &[first, work_of(1) + &says(&[left()])]);
    assert_eq!(
        brief(&outcomes),
        ["failed: protocol in Decode, 0 trials", "measured, 1 trials, cleanup 42"]
    );
    assert_eq!(failure(&outcomes[0]).message, "the child printed what is no message: `hello`");
}

#[test]
fn a_message_out_of_turn_is_a_failure() {
    let case = |said: &[Message], expected: &str| {
        let outcomes = run(1, &[ready_for(1) + &says(said)]);
        let message = format!("the child said `{expected}` out of turn");
        assert_eq!(failure(&outcomes[0]).message, message);
    };
    case(&[done(0)], "cell_done");
    case(&[trial(0)], "trial");
    case(&[turn(0), turn(0)], "trial_started");
    case(&[turn(0), done(0)], "cell_done");
    case(&[begun(0)], "cell_started");
    case(&[begun(7)], "cell_started");
    let warmup = Message::TrialStarted { cell: 0, warmup: true, number: 1 };
    case(&[warmup, trial(0)], "trial");
}

#[test]
fn warnings_of_no_cell_belong_to_every_cell_and_others_to_their_own() {
    let warning = |cell, text: &str| Message::Warning { cell, text: text.to_owned() };
    let script = says(&[
        started(),
        warning(None, "load"),
        loaded(),
        begun(0),
        begun(1),
        turn(0),
        trial(0),
        warning(Some(0), "first"),
        done(0),
        turn(1),
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
    // Of the cell that is left, one repetition was measured, and the second child is told so.
    let mut asked = job(2);
    asked.cells[1].cell.repetitions = 2;
    let said = [turn(1), trial(1), turn(0)];
    let first = script.clone() + &ready_for(2) + &says(&said) + "exit 1";
    let second = script + &work_of(1) + &says(&[left()]);
    let (outcomes, _) = run_job(asked.clone(), &[first, second], &Stop::new());
    assert_eq!(
        brief(&outcomes),
        ["failed: exit in Prefill, 0 trials", "measured, 2 trials, cleanup 42"]
    );
    let heard = std::fs::read_to_string(&file).expect("the children heard");
    let jobs: Vec<Job> = heard
        .lines()
        .map(|line| line.strip_prefix("model ").expect("the model is named"))
        .map(|line| serde_json::from_str(line).expect("a job"))
        .collect();
    let mut rest = asked.clone();
    rest.cells.remove(0);
    rest.cells[0].known = vec![Measured { ended_us: 3, rate: Some(1e6) }];
    assert_eq!(jobs, [asked, rest]);
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
