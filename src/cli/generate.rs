//! `generate`: lets a model answer, to look at what it says.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use jiff::ZonedDateTime;
use serde::Serialize;

use super::{
    Exit,
    downloads::{self, Here},
    printer::Printer,
    shared::Shared,
};
use crate::{
    checkpoint::sentence,
    generate::{self, End, GenerateError, Request, Scores, Step},
    hub::Network,
    measure::{
        mlx::{self, Opened},
        outcome::Failure,
    },
    plan::{Choices, Conditions, DecodeMode, KvPacking, OutOfRange, Settings},
    text::{ChatOptions, Detokenizer, Message, TextError, Tokenizer},
};

/// Tokens after which an answer is cut unless the user says otherwise; mlx-lm's default.
const MAX_TOKENS: u32 = 100;

/// What is to be answered.
#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// A model folder, a GGUF file, or the id of a hub model
    model: String,
    /// A branch, tag or commit of a hub model
    #[arg(long)]
    revision: Option<String>,
    /// The prompt as ids, with commas between them; needs no tokenizer
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with = "prompt")]
    prompt_ids: Vec<u32>,
    /// Takes the prompt as it is, without the chat template
    #[arg(long, conflicts_with = "prompt_ids")]
    raw: bool,
    /// Goes on after a stop token
    #[arg(long)]
    ignore_eos: bool,
    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Packs keys and values in so many bits: 2, 3, 4, 5, 6 or 8
    #[arg(long, value_name = "N")]
    kv_bits: Option<u32>,
    #[command(flatten)]
    shared: Shared,
}

/// An answer for machines. Times are seconds since the request.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    prompt_ids: &'a [u32],
    /// The stop token included, where one came.
    ids: Vec<u32>,
    /// The log-probability of each of `ids`.
    logprobs: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    finish_reason: &'static str,
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

/// Loads the model, answers, and says how fast that was.
pub(super) fn run(arguments: &Arguments, printer: &Printer, network: Network) -> Exit {
    let kv_bits = arguments.kv_bits.map(|bits| vec![bits]);
    let choices = Choices { kv_bits, ..arguments.shared.choices() };
    if let Err(OutOfRange { name, rule }) = choices.check() {
        printer.error(format!("`--{}` must be {rule}", name.replace('_', "-")), None);
        return Exit::Usage;
    }
    let settings = choices.settings();
    let revision = arguments.revision.as_deref();
    let here = match downloads::ensure(&arguments.model, revision, printer, network) {
        Ok(here) => here,
        Err(exit) => return exit,
    };
    let kv = choices.packings().first().copied().flatten();
    let opened = match open(&here, &settings, kv, printer) {
        Ok(opened) => opened,
        Err(failure) => {
            printer.error(&failure.message, failure.hint.as_deref());
            return Exit::No;
        }
    };
    for warning in opened.warnings.iter().filter(|_| arguments.prompt_ids.is_empty()) {
        printer.warning(warning);
    }
    let began = Instant::now();
    let requested = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let requested = requested.map(|since| since.as_secs_f64());
    let prompt_ids = match prompt_ids(arguments, &choices.prompt(), &opened) {
        Ok(ids) => ids,
        Err((message, hint)) => {
            printer.error(message, hint);
            return Exit::No;
        }
    };
    let max_tokens = choices.max_tokens.unwrap_or(MAX_TOKENS);
    let request =
        Ask { arguments, opened: &opened, settings: &settings, kv, max_tokens, began, requested };
    match request.answer(&prompt_ids, printer) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            printer.failure(&error, None);
            Exit::No
        }
    }
}

fn open(
    here: &Here,
    settings: &Settings,
    kv: Option<KvPacking>,
    printer: &Printer,
) -> Result<Opened, Failure> {
    mlx::use_device(settings.device)?;
    printer.begin(1);
    printer.flicker(format!("loading {}", here.argument));
    let opened = mlx::open(&here.argument, here.revision.as_deref(), settings);
    printer.end();
    let opened = opened?;
    mlx::check_packing(opened.model.as_ref(), kv)?;
    Ok(opened)
}

/// The prompt's ids, or what is wrong and what can be done about it.
fn prompt_ids(
    arguments: &Arguments,
    prompt: &str,
    opened: &Opened,
) -> Result<Vec<u32>, (String, Option<&'static str>)> {
    if !arguments.prompt_ids.is_empty() {
        return Ok(arguments.prompt_ids.clone());
    }
    let Some(tokenizer) = &opened.tokenizer else {
        let reason = opened.tokenizer_lack.as_ref().map_or("no tokenizer", |lack| &lack.reason);
        let hint = Some("give the prompt as ids: `--prompt-ids 1,2,3`");
        return Err((reason.to_owned(), hint));
    };
    let unwritten = |error: TextError| (sentence(&error), Some("try `--raw`"));
    if arguments.raw || !tokenizer.has_chat_template() {
        return tokenizer.encode_prompt(prompt).map_err(unwritten);
    }
    let options = ChatOptions { enable_thinking: None, now: ZonedDateTime::now().datetime() };
    tokenizer.chat_ids(&[Message::user(prompt)], options).map_err(unwritten)
}

/// One request to a loaded model.
struct Ask<'a> {
    arguments: &'a Arguments,
    opened: &'a Opened,
    settings: &'a Settings,
    kv: Option<KvPacking>,
    max_tokens: u32,
    began: Instant,
    /// The same in seconds since 1970, for who knows when the process began.
    requested: Option<f64>,
}

impl Ask<'_> {
    fn answer(&self, prompt_ids: &[u32], printer: &Printer) -> Result<(), GenerateError> {
        let nothing = BTreeSet::new();
        let request = Request {
            prompt: prompt_ids,
            max_tokens: self.max_tokens,
            stop: if self.arguments.ignore_eos { &nothing } else { &self.opened.stop },
            sampling: &self.settings.sampling,
            prefill_chunk: Conditions::default().prefill_chunk,
            kv: self.kv,
            decode: DecodeMode::Pipelined,
            scores: if self.arguments.json { Scores::OfChosen } else { Scores::Unwanted },
        };
        let mut heard = Heard::new(self, printer);
        let end = generate::generate(self.opened.model.as_ref(), &request, &mut |step| {
            heard.step(step);
            ControlFlow::Continue(())
        })?;
        heard.finish(prompt_ids, end);
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// What came so far.
struct Heard<'a> {
    ask: &'a Ask<'a>,
    printer: &'a Printer,
    text: Option<Detokenizer<'a>>,
    ids: Vec<u32>,
    logprobs: Vec<f32>,
    first: Option<f64>,
    last: Option<f64>,
}

impl<'a> Heard<'a> {
    fn new(ask: &'a Ask<'a>, printer: &'a Printer) -> Self {
        let tokenizer = ask.opened.tokenizer.as_ref();
        let text = tokenizer.filter(|_| !ask.arguments.json).map(Tokenizer::stream);
        Self { ask, printer, text, ids: Vec::new(), logprobs: Vec::new(), first: None, last: None }
    }

    fn step(&mut self, step: Step<'_>) {
        let Step::Token { id, log_probability, .. } = step else {
            return;
        };
        let now = self.ask.seconds();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.ids.push(id);
        self.logprobs.extend(log_probability);
        if self.ask.arguments.json || self.is_stop(id) {
            return;
        }
        match self.text.as_mut().map(|text| text.push(id)) {
            Some(Ok(segment)) => self.printer.data(&segment),
            // Without a tokenizer, or for an id that it cannot spell, the id itself is what can be shown.
            Some(Err(_)) | None => self.printer.data(&format!("{id} ")),
        }
    }

    fn is_stop(&self, id: u32) -> bool {
        !self.ask.arguments.ignore_eos && self.ask.opened.stop.contains(&id)
    }

    fn finish(mut self, prompt_ids: &[u32], end: End) {
        if let Some(Ok(rest)) = self.text.take().map(Detokenizer::finish) {
            self.printer.data(&rest);
        }
        if self.ask.arguments.json {
            return self.print_json(prompt_ids, end);
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

    fn print_json(self, prompt_ids: &[u32], end: End) {
        let shown = match end {
            End::Stop(_) => self.ids.split_last().map_or(&self.ids[..], |(_, rest)| rest),
            End::Length | End::Broken => &self.ids,
        };
        let tokenizer = self.ask.opened.tokenizer.as_ref();
        let answer = Answer {
            prompt_ids,
            text: tokenizer.and_then(|tokenizer| tokenizer.decode(shown).ok()),
            ids: self.ids,
            logprobs: self.logprobs,
            finish_reason: match end {
                End::Stop(_) => "stop",
                End::Length | End::Broken => "length",
            },
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
