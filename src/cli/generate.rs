//! `generate`: lets a model answer, to look at what it says.

mod heard;

use std::{
    collections::BTreeSet,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use clap::{Args, builder::NonEmptyStringValueParser};
use jiff::ZonedDateTime;

use super::{
    Exit,
    downloads::{self, Here},
    printer::Printer,
    shared::Shared,
};
use crate::{
    checkpoint::sentence,
    generate::{self, GenerateError, Request, Scores},
    hub::Network,
    measure::{
        mlx::{self, Opened},
        outcome::Failure,
    },
    plan::{Choices, Conditions, DecodeMode, KvPacking, OutOfRange, Settings},
    text::{ChatOptions, Message, TextError},
};

use heard::Heard;

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
    /// A text that ends the answer and is not shown, as often as wanted; it may span tokens
    #[arg(long, value_name = "STRING", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    /// Prints one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Packs keys and values in so many bits: 2, 3, 4, 5, 6 or 8
    #[arg(long, value_name = "N")]
    kv_bits: Option<u32>,
    #[command(flatten)]
    shared: Shared,
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
    if let (Some(lack), false) = (&opened.tokenizer_lack, arguments.stop.is_empty()) {
        let reason = &lack.reason;
        printer.error(format!("`--stop` needs a tokenizer: {reason}"), Some("leave `--stop` out"));
        return Exit::No;
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
        let end =
            generate::generate(self.opened.model.as_ref(), &request, &mut |step| heard.step(step))?;
        heard.finish(prompt_ids, end);
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}
