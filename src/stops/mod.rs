//! Stop tokens: what is in force, what came, what leaked, and which rule would have helped.
//!
//! Everything here is judged from ids and text. A model answers twice at the most: under its own configuration, and, only
//! where that misbehaved, under a named rule. The rule is named only where the second answer differs and is clean.

mod examine;
mod judge;
mod markers;
mod reasoning;
mod remedy;
mod repetition;
mod strings;
mod terms;
mod transcript;
mod watch;

#[cfg(test)]
mod replay;

pub use examine::{Examined, Remedied, Run, examine};
pub use judge::{Finding, Misstep, judge};
pub use markers::{BEGINS, ENDS};
pub use reasoning::{Dialect, Part, Parts, Span};
pub use remedy::{Remedy, Rule, remedy};
pub use strings::{Hit, StopStrings};
pub use terms::{Mark, Rules, Terms, Token};
pub use transcript::{Ending, Transcript};
pub use watch::Watch;
