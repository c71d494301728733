//! The only door to the terminal: data goes to standard output, all else to standard error.

use std::{
    env,
    error::Error,
    fmt::Display,
    io::{self, IsTerminal, Write},
    iter,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Exit;

/// How much is said beside data and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Nothing.
    Quiet,
    /// A line for each step.
    Plain,
    /// One line that is drawn again and again; only a terminal can show it.
    Live,
}

/// Writes to the terminal.
#[derive(Debug)]
pub(super) struct Printer {
    detail: Detail,
    ink: Ink,
    bar: ProgressBar,
    /// Whether nobody reads standard output any more.
    is_deaf: AtomicBool,
}

/// Whether errors and warnings are coloured; the words say the same without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ink {
    Colour,
    None,
}

impl Printer {
    /// A printer that says as much as standard error can show and the user wants.
    pub(super) fn new(quiet: Quiet) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let is_plain = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let detail = match (quiet, is_terminal && !is_plain) {
            (Quiet::Yes, _) => Detail::Quiet,
            (Quiet::No, true) => Detail::Live,
            (Quiet::No, false) => Detail::Plain,
        };
        let ink = if is_terminal && !is_plain && !no_colour { Ink::Colour } else { Ink::None };
        Self { detail, ink, bar: ProgressBar::hidden(), is_deaf: AtomicBool::new(false) }
    }

    /// Writes `text` to standard output as it is, at once.
    ///
    /// A reader that has gone away, as `head` does, has had enough: what follows is dropped.
    pub(super) fn data(&self, text: &str) {
        if self.is_deaf.load(Ordering::SeqCst) {
            return;
        }
        let written = self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        });
        if written.is_err() {
            self.is_deaf.store(true, Ordering::SeqCst);
        }
    }

    /// Writes a line to standard output.
    pub(super) fn line(&self, text: impl Display) {
        self.data(&format!("{text}\n"));
    }

    /// Says what went wrong, and after an empty line what can be done about it.
    pub(super) fn error(&self, message: impl Display, hint: Option<&str>) {
        let hint = hint.map(|hint| format!("\n\n  {} {hint}", self.paint("hint:", "36")));
        let label = self.paint("error:", "1;31");
        self.say(&format!("{label} {message}{}", hint.unwrap_or_default()));
    }

    /// Says an error with its causes, as [`Self::error`] does.
    pub(super) fn failure(&self, error: &dyn Error, hint: Option<&str>) {
        let causes = iter::successors(Some(error), |&error| error.source());
        let words: Vec<_> = causes.map(ToString::to_string).collect();
        self.error(words.join(": "), hint);
    }

    /// Says what a reader of the figures must know.
    pub(super) fn warning(&self, message: impl Display) {
        if self.detail != Detail::Quiet {
            self.say(&format!("{} {message}", self.paint("warning:", "1;33")));
        }
    }

    /// Says what happens, for people.
    pub(super) fn note(&self, message: impl Display) {
        if self.detail != Detail::Quiet {
            self.say(&message.to_string());
        }
    }

    /// Begins to draw progress through `steps`, where it can be drawn.
    pub(super) fn begin(&self, steps: u64) {
        if self.detail != Detail::Live {
            return;
        }
        let template = "{spinner} {elapsed} {bar:12} {pos}/{len} {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.set_length(steps);
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// Bars that are drawn together, where they can be drawn.
    pub(super) fn bars(&self) -> MultiProgress {
        MultiProgress::with_draw_target(match self.detail {
            Detail::Live => ProgressDrawTarget::stderr(),
            Detail::Quiet | Detail::Plain => ProgressDrawTarget::hidden(),
        })
    }

    /// Says that a step begins or ended: a line of its own, or drawn over the one before.
    pub(super) fn step(&self, message: impl Display) {
        match self.detail {
            Detail::Quiet => {}
            Detail::Plain => self.say(&message.to_string()),
            Detail::Live => self.bar.set_message(message.to_string()),
        }
    }

    /// Draws what happens inside a step, where it can be drawn.
    pub(super) fn flicker(&self, message: impl Display) {
        if self.detail == Detail::Live {
            self.bar.set_message(message.to_string());
        }
    }

    /// Draws `steps` steps more as done.
    pub(super) fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Wipes what was drawn.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, text: &str) {
        // There is nowhere left to complain to when standard error is closed.
        let _ = self.bar.suspend(|| writeln!(io::stderr().lock(), "{text}"));
    }

    fn paint(&self, text: &str, code: &str) -> String {
        match self.ink {
            Ink::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Ink::None => text.to_owned(),
        }
    }
}

/// Whether the user wants to hear of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// Only data and errors.
    Yes,
    /// Progress too.
    No,
}

/// Prints what the parser of arguments answers instead of arguments: help, the version, or what is wrong.
pub(super) fn answer(answer: &clap::Error) -> Exit {
    // As for all output: who does not read it has had enough.
    let _ = answer.print();
    if answer.use_stderr() { Exit::Usage } else { Exit::Ok }
}
