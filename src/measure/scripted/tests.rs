//! What a script does, event by event.

use super::*;
use crate::plan::Sampling;

#[test]
fn a_scripted_model_is_known_by_its_name() {
    assert_eq!(behaviour("scripted:measured"), Some("measured"));
    assert_eq!(behaviour("./scripted:kill@decode"), Some("kill@decode"));
    assert_eq!(behaviour("org/scripted"), None);
    assert_eq!(behaviour("/a/scripted:measured"), None);
}

#[test]
fn a_script_submits_one_step_ahead() {
    let mut events = Vec::new();
    let cell = Cell::throughput([3, 2], 0, 1);
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    let answer =
        Script::new().generate(ask, &mut |event| events.push(event)).expect("nothing goes wrong");
    assert_eq!(
        events,
        [
            Event::PromptReady { tokens: 3 },
            Event::Prefilled { tokens: 2 },
            Event::Submitted,
            Event::Submitted,
            Event::Visible(101),
            Event::Visible(102),
        ]
    );
    assert_eq!((answer.prompt_ids, answer.ids), (vec![0, 1, 2], vec![101, 102]));
}

#[test]
fn a_synchronous_script_waits_for_each_token() {
    let mut cell = Cell::throughput([1, 2], 0, 1);
    cell.conditions.decode = DecodeMode::Synchronous;
    let mut events = Vec::new();
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    Script::new().generate(ask, &mut |event| events.push(event)).expect("nothing goes wrong");
    assert_eq!(
        events,
        [
            Event::PromptReady { tokens: 1 },
            Event::Submitted,
            Event::Visible(101),
            Event::Submitted,
            Event::Visible(102),
        ]
    );
}
