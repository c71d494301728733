//! Children that die, or are killed.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::*;

#[test]
fn a_death_in_load_fails_every_cell() {
    let script = says(&[started()]) + "echo out of memory >&2; kill -KILL $$";
    let outcomes = run(2, &[script]);
    assert_eq!(
        brief(&outcomes),
        ["failed: sigkill in Load, 0 trials", "failed: sigkill in Load, 0 trials"]
    );
    assert_eq!(failure(&outcomes[0]).stderr, ["out of memory"]);
    assert!(outcomes[0].runtime.is_some() && outcomes[0].loaded.is_none());
}

#[test]
fn a_load_that_fails_is_not_tried_again() {
    let refusal = Message::LoadFailed {
        failure: Failure::new(Stage::Resolve, "model_missing", "there is no such model"),
    };
    let outcomes = run(2, &[says(&[started(), refusal])]);
    assert_eq!(
        brief(&outcomes),
        [
            "failed: model_missing in Resolve, 0 trials",
            "failed: model_missing in Resolve, 0 trials"
        ]
    );
}

#[test]
fn after_a_death_in_prefill_a_fresh_child_does_the_rest() {
    let first = ready_for(2) + &says(&[turn(0)]) + "kill -ABRT $$";
    let second = work_of(1) + &says(&[left()]);
    let (outcomes, seen) = run_until(2, &[first, second], &Stop::new());
    assert_eq!(
        brief(&outcomes),
        ["failed: sigabrt in Prefill, 0 trials", "measured, 1 trials, cleanup 42"]
    );
    assert_eq!(seen.messages.last().map(String::as_str), Some("done"));
    assert_eq!(
        seen.messages[7], "cell_started 1",
        "cells are counted from the first of the request"
    );
}

#[test]
fn a_death_in_decode_leaves_the_repetitions_before_it() {
    let mut request_job = job(1);
    request_job.cells[0].cell.repetitions = 5;
    let stop = Stop::new();
    let request = request(request_job, &stop);
    let said = [turn_of(0, 1), trial(0), turn_of(0, 2), trial(0), turn_of(0, 3), decoded(0)];
    let script = ready_for(1) + &says(&said) + "kill -SEGV $$";
    let mut seen = Seen::default();
    let outcomes = Run::new(&request, &mut seen).all(&mut || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        Ok(command)
    });
    assert_eq!(brief(&outcomes), ["failed: sigsegv in Decode, 2 trials"]);
}

#[test]
fn a_death_in_cleanup_fails_the_last_cell_and_keeps_its_trials() {
    let outcomes = run(2, &[work_of(2) + "kill -ABRT $$"]);
    assert_eq!(brief(&outcomes), ["measured, 1 trials", "failed: sigabrt in Cleanup, 1 trials"]);
}

#[test]
fn a_death_after_all_was_said_is_a_warning() {
    let outcomes = run(1, &[work_of(1) + &says(&[left()]) + "kill -SEGV $$"]);
    assert_eq!(brief(&outcomes), ["measured, 1 trials, cleanup 42"]);
    assert_eq!(
        outcomes[0].warnings,
        [
            "after the last answer, the child was ended by SIGSEGV: it touched memory that is not its own"
        ]
    );
}

#[test]
fn an_exit_without_an_answer_is_a_failure() {
    let outcomes = run(1, &[ready_for(1) + &says(&[turn(0)])]);
    assert_eq!(brief(&outcomes), ["failed: ended_early in Prefill, 0 trials"]);
    let outcomes = run(1, &[ready_for(1) + &says(&[turn(0)]) + "exit 3"]);
    assert_eq!(failure(&outcomes[0]).message, "the child ended with exit status 3");
}

#[test]
fn a_torn_last_line_does_not_hide_the_death() {
    let script = ready_for(1) + &says(&[turn(0)]) + "printf '{\"event\":'; kill -KILL $$";
    assert_eq!(brief(&run(1, &[script])), ["failed: sigkill in Prefill, 0 trials"]);
}

#[test]
fn a_flood_on_standard_error_is_swallowed_but_for_its_end() {
    let script = ready_for(1)
        + &says(&[turn(0)])
        + "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1";
    let outcomes = run(1, &[script]);
    let stderr = &failure(&outcomes[0]).stderr;
    assert_eq!(stderr.len(), 20);
    assert_eq!(stderr[19], "line 19999");
}

#[test]
fn a_program_that_cannot_be_started_fails_every_cell() {
    let stop = Stop::new();
    let request = request(job(2), &stop);
    let mut seen = Seen::default();
    let outcomes = Run::new(&request, &mut seen).all(&mut || Ok(Command::new("/nowhere/at/all")));
    assert_eq!(
        brief(&outcomes),
        ["failed: spawn in Load, 0 trials", "failed: spawn in Load, 0 trials"]
    );
}

#[test]
fn an_interruption_fails_what_was_begun_and_skips_the_rest() {
    let stop = Arc::new(Stop::new());
    let setter = Arc::clone(&stop);
    let timer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(400));
        // The child that sleeps does not hear the first.
        setter.ask();
        setter.ask();
    });
    let said = [turn(0), trial(0), done(0), turn(2), trial(2), turn(1), decoded(1)];
    let script = ready_for(3) + &says(&said) + "exec sleep 60";
    let mut job = job(4);
    job.cells[2].cell.repetitions = 2;
    let began = Instant::now();
    let (outcomes, _) = run_job(job, &[script], &stop);
    timer.join().expect("the timer only sleeps");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(
        brief(&outcomes),
        [
            "measured, 1 trials",
            "failed: interrupted in Decode, 0 trials",
            "failed: interrupted in Prefill, 1 trials",
            "skipped: interrupted, 0 trials",
        ]
    );
}

#[test]
fn an_early_interruption_starts_no_child() {
    let stop = Stop::new();
    stop.ask();
    let (outcomes, _) = run_until(2, &[], &stop);
    assert_eq!(brief(&outcomes), ["skipped: interrupted, 0 trials"; 2]);
}
