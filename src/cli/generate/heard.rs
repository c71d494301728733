//! An answer as it comes: what of it is shown, and how fast it was.

use std::ops::ControlFlow;

use serde::Serialize;

use super::{super::printer::Printer, Ask};
use crate::{
    generate::{End, Step},
    text::{TextError, VisibleText},
};

/// An answer for machines. Times are seconds since the request.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    prompt_ids: &'a [u32],
    /// The stop token included, where one came, or those of the stop string.
    ids: Vec<u32>,
    /// The log-probability of each of `ids`.
    logprobs: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    finish_reason: &'static str,
    /// The text that ended the answer, which `text` leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_string: Option<&'a str>,
    timings: Timings,
}

/// Seconds: when the request came since 1970, what loading took, and when tokens came after the request.
#[derive(Debug, Serialize)]
struct Timings {
    #[serde(rename = "requested_unix_s", skip_serializing_if = "Option::is_none")]
    requested: Option<f64>,
    #[serde(rename = "load_s")]
    load: f64,
    #[serde(rename = "first_token_s", skip_serializing_if = "Option::is_none")]
    first_token: Option<f64>,
    #[serde(rename = "last_token_s", skip_serializing_if = "Option::is_none")]
    last_token: Option<f64>,
}

/// What came so far.
pub(super) struct Heard<'a> {
    ask: &'a Ask<'a>,
    printer: &'a Printer,
    visible: Option<VisibleText<'a>>,
    /// All that is shown, kept where it is printed at the end; none where an id cannot be spelled.
    text: Option<String>,
    ids: Vec<u32>,
    logprobs: Vec<f32>,
    first: Option<f64>,
    last: Option<f64>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(ask: &'a Ask<'a>, printer: &'a Printer) -> Self {
        let tokenizer = ask.opened.tokenizer.as_ref();
        Self {
            ask,
            printer,
            visible: tokenizer.map(|it| VisibleText::new(it, &ask.arguments.stop)),
            text: tokenizer.map(|_| String::new()),
            ids: Vec::new(),
            logprobs: Vec::new(),
            first: None,
            last: None,
        }
    }

    /// Takes what happened, and wants no more once a stop string came.
    pub(super) fn step(&mut self, step: Step<'_>) -> ControlFlow<()> {
        let Step::Token { id, log_probability, .. } = step else {
            return ControlFlow::Continue(());
        };
        let now = self.ask.seconds();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.ids.push(id);
        self.logprobs.extend(log_probability);
        if self.is_stop(id) {
            return ControlFlow::Continue(());
        }
        let text = self.visible.as_mut().map(|visible| visible.push(id));
        self.show(text, Some(id));
        match self.visible.as_ref().and_then(VisibleText::stopped) {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    fn is_stop(&self, id: u32) -> bool {
        !self.ask.arguments.ignore_eos && self.ask.opened.stop.contains(&id)
    }

    /// Prints text, or keeps it. Without a tokenizer, or for an `id` that it cannot spell, the id itself is what can be
    /// shown.
    fn show(&mut self, text: Option<Result<String, TextError>>, id: Option<u32>) {
        match (text, self.ask.arguments.json) {
            (Some(Ok(text)), false) => self.printer.data(&text),
            (Some(Ok(text)), true) => self.text.iter_mut().for_each(|all| all.push_str(&text)),
            (Some(Err(_)) | None, true) => self.text = None,
            (Some(Err(_)) | None, false) => {
                let id = id.map(|id| format!("{id} "));
                self.printer.data(&id.unwrap_or_default());
            }
        }
    }

    pub(super) fn finish(mut self, prompt_ids: &[u32], end: End) {
        let mut stop_string = None;
        if let Some(visible) = self.visible.take() {
            let rest = visible.finish().map(|(rest, stopped)| {
                stop_string = stopped.and_then(|at| self.ask.arguments.stop.get(at));
                rest
            });
            self.show(Some(rest), None);
        }
        if self.ask.arguments.json {
            return self.print_json(prompt_ids, end, stop_string.map(String::as_str));
        }
        self.printer.line("");
        let rate = |count: usize, seconds: f64| format!("{:.3} tokens/s", count as f64 / seconds);
        if let Some(first) = self.first {
            let count = prompt_ids.len();
            self.printer.note(format!("prompt: {count} tokens, first token after {first:.3} s"));
        }
        match (self.first, self.last, self.ids.len()) {
            (Some(first), Some(last), count) if count > 1 && last > first => {
                let rate = rate(count - 1, last - first);
                self.printer.note(format!("generation: {count} tokens, {rate} after the first"));
            }
            _ => {}
        }
    }

    fn print_json(self, prompt_ids: &[u32], end: End, stop_string: Option<&str>) {
        let answer = Answer {
            prompt_ids,
            text: self.text,
            ids: self.ids,
            logprobs: self.logprobs,
            finish_reason: match end {
                End::Length | End::Broken if stop_string.is_none() => "length",
                End::Stop(_) | End::Length | End::Broken => "stop",
            },
            stop_string,
            timings: Timings {
                requested: self.ask.requested,
                load: self.ask.opened.loaded.load_us() as f64 / 1e6,
                first_token: self.first,
                last_token: self.last,
            },
        };
        self.printer.line(serde_json::json!(answer));
    }
}
