//! Events of scripted engines, and of one that reports what it is told to.

use std::time::Duration;

use super::*;
use crate::measure::{
    clock::ManualClock,
    engine::{Prepared, PromptKind},
    rates,
    scripted::{STOP_ID, Script},
    trial::Finish,
};
use crate::plan::{Cell, Sampling, Work};

fn throughput(prompt_tokens: u32, generation_tokens: u32) -> Cell {
    Cell::throughput([prompt_tokens, generation_tokens], 0, 1)
}

fn recorded(script: &Script, cell: &Cell) -> (Trial, Vec<News>) {
    let (mut script, clock) = (script.clone(), script.clock());
    let mut told = Vec::new();
    let ask = Ask { cell, prompt: 0, sampling: &Sampling::default() };
    let trial = record(&mut script, ask, &clock, &mut |news| {
        told.push(news);
    });
    (trial.expect("nothing goes wrong"), told)
}

#[test]
fn a_request_is_stamped_from_its_beginning() {
    let script = Script::new()
        .tokenize(Duration::from_millis(20))
        .prefill(Duration::from_millis(100))
        .token(Duration::from_millis(20));
    script.clock().advance(Duration::from_secs(77));
    let (trial, _) = recorded(&script, &throughput(4, 3));
    insta::assert_json_snapshot!(trial, @r#"
    {
      "prompt": 0,
      "prompt_tokens": 4,
      "prompt_sha256": "baed642339816affb3fe8719792d0e4ce82f12db72b7373d244eaa65445800fe",
      "ids_sha256": "47d507f5e13b16fe0cfd4e58a0291b58a26cbc345d4a2ded84ead27e86f022f4",
      "prompt_ready_us": 20000,
      "submitted_us": [
        120000,
        120000,
        140000
      ],
      "visible_us": [
        140000,
        160000,
        180000
      ],
      "ended_us": 180000,
      "finish": {
        "reason": "length"
      },
      "memory": {
        "active_bytes": 4096,
        "peak_bytes": 4103
      }
    }
    "#);
}

#[test]
fn a_step_that_was_submitted_in_vain_leaves_no_stamp() {
    let work = Work::Chat { prompt: "why is that so".to_owned(), max_tokens: 9 };
    let script = Script::new().token(Duration::from_millis(5)).stop_after(2);
    let (trial, _) = recorded(&script, &Cell { work, ..throughput(1, 1) });
    assert_eq!(trial.finish, Finish::Stop { id: STOP_ID });
    assert_eq!(trial.submitted_us, [0, 0]);
    assert_eq!(trial.visible_us, [5_000, 10_000]);
}

#[test]
fn figures_of_a_scripted_request_are_exact() {
    let script = Script::new()
        .tokenize(Duration::from_millis(20))
        .prefill(Duration::from_millis(460))
        .token(Duration::from_millis(20));
    let (trial, _) = recorded(&script, &throughput(240, 64));
    assert_eq!(rates::time_to_first_token(&trial), Some(0.5));
    assert_eq!(rates::decode_rate(&trial), Some(50.0));
    assert_eq!(rates::prompt_rate(&trial), Some(500.0));
}

#[test]
fn a_short_request_is_disturbed_once() {
    let script = Script::new().token(Duration::from_millis(20));
    let (_, told) = recorded(&script, &throughput(8, 20));
    assert_eq!(told, [News::PromptReady, News::Decoded(1)]);
}

#[test]
fn a_long_request_is_told_of_twice_a_second() {
    let script = Script::new().prefill(Duration::from_secs(2)).token(Duration::from_millis(100));
    let (_, told) = recorded(&script, &throughput(8, 12));
    let news = [News::Prefilled(7), News::Decoded(1), News::Decoded(6), News::Decoded(11)];
    assert_eq!(told[0], News::PromptReady);
    assert_eq!(told[1..], news);
}

#[test]
fn ids_are_hashed_as_little_endian_words() {
    // printf '\x01\x00\x00\x00\x00\x01\x00\x00' | sha256sum
    assert_eq!(
        sha256_of_ids(&[1, 256]),
        "242045e2f1bb37769b514f182fd91b3d215324cb57f187cced1e9c62921dbac3"
    );
    assert_eq!(
        sha256_of_ids(&[]),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

/// An engine that reports what it is told to, and takes no time.
struct Liar {
    events: Vec<Event>,
    answer: Answer,
}

impl Engine for Liar {
    fn prepare(&mut self, _: &Cell) -> Result<Prepared, EngineError> {
        Ok(Prepared { prompt: PromptKind::RandomIds, packed: None, warnings: Vec::new() })
    }

    fn fill(&mut self, _: Ask<'_>, _: &mut dyn FnMut(u32)) -> Result<(), EngineError> {
        Ok(())
    }

    fn generate(&mut self, _: Ask<'_>, seen: &mut dyn FnMut(Event)) -> Result<Answer, EngineError> {
        for event in &self.events {
            seen(*event);
        }
        Ok(self.answer.clone())
    }

    fn canary(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn reset_peak_memory(&mut self) {}

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

const READY: Event = Event::PromptReady { tokens: 2 };

fn honest() -> Liar {
    Liar {
        events: vec![READY, Event::Submitted, Event::Visible(7)],
        answer: Answer {
            prompt_ids: vec![1, 2],
            ids: vec![7],
            answer_from: None,
            finish: Finish::Length,
            text: None,
        },
    }
}

#[test]
fn the_first_token_of_the_answer_is_taken_over_from_the_engine() {
    let mut engine = honest();
    engine.answer.answer_from = Some(0);
    let clock = ManualClock::default();
    let cell = throughput(2, 1);
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    let trial = record(&mut engine, ask, &clock, &mut |_| {});
    assert_eq!(trial.expect("nothing goes wrong").answer_from, Some(0));
}

#[track_caller]
fn case(mut engine: Liar, expected: &str) {
    let clock = ManualClock::default();
    let cell = throughput(2, 1);
    let ask = Ask { cell: &cell, prompt: 0, sampling: &Sampling::default() };
    let result = record(&mut engine, ask, &clock, &mut |_| {});
    match result {
        Err(EngineError::Failed { kind: "events", message, .. }) => assert_eq!(message, expected),
        other => panic!("{other:?}"),
    }
}

fn events(events: &[Event]) -> Liar {
    Liar { events: events.to_vec(), ..honest() }
}

fn answer(change: impl FnOnce(&mut Answer)) -> Liar {
    let mut liar = honest();
    change(&mut liar.answer);
    liar
}

#[test]
fn events_out_of_order_are_a_bug() {
    let visible = Event::Visible(7);
    case(events(&[]), "the prompt was never ready");
    case(events(&[Event::Submitted, READY, visible]), "the prompt was never ready");
    case(events(&[READY, READY]), "the prompt was ready twice");
    case(events(&[READY, visible]), "token 7 was visible before a step was submitted for it");
    case(
        events(&[READY, Event::Submitted, Event::Submitted, Event::Submitted, visible]),
        "2 submitted steps have no visible token",
    );
    case(events(&[READY, Event::Prefilled { tokens: 3 }]), "3 prompt tokens were read out of turn");
    case(
        events(&[READY, Event::Submitted, Event::Prefilled { tokens: 1 }]),
        "1 prompt tokens were read out of turn",
    );
}

#[test]
fn an_answer_that_was_not_reported_is_a_bug() {
    case(
        answer(|answer| answer.ids = vec![8]),
        "the answer is not made of the ids that were reported",
    );
    case(answer(|answer| answer.prompt_ids = vec![1]), "the prompt is not as long as was reported");
}

#[test]
fn an_answer_of_another_length_than_asked_is_a_bug() {
    case(
        answer(|answer| answer.finish = Finish::Stop { id: 7 }),
        "2 prompt tokens and 1 generated ones that end by `stop` are not what was asked for",
    );
    let mut short = events(&[READY]);
    short.answer.ids = vec![];
    case(
        short,
        "2 prompt tokens and 0 generated ones that end by `length` are not what was asked for",
    );
}
