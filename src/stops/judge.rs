//! What is wrong with an answer, with the evidence.

use serde::{Deserialize, Serialize};

use super::{
    markers::{BEGINS, ENDS, ROLES},
    reasoning::{Part, Parts},
    terms::{Rules, Terms},
    transcript::{Ending, Transcript},
};

/// Characters of evidence on either side of a marker.
const AROUND: usize = 24;

/// What can be found of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misstep {
    /// A marker that ends or begins a turn is in the text that a user sees.
    Leaked,
    /// The model spoke for the user, or began a turn of its own.
    SelfConversation,
    /// An end marker came that is not in force, and the model went on.
    ContinuedPastEnd,
    /// Nothing is in force that could have ended it.
    NeverStopped,
    /// It ended before anything was answered.
    StoppedAtOnce,
    /// The marker that ends thinking ended the answer before it began.
    StoppedWhileThinking,
    /// It said the same again and again: the model's doing, which no stop token would change.
    RepetitionLoop,
}

impl Misstep {
    /// Whether stop tokens are to blame.
    pub fn is_misbehaviour(self) -> bool {
        self != Self::RepetitionLoop
    }

    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::SelfConversation => "self-conversation",
            Self::ContinuedPastEnd => "continued past the end",
            Self::NeverStopped => "never stopped",
            Self::StoppedAtOnce => "stopped at once",
            Self::StoppedWhileThinking => "stopped while thinking",
            Self::RepetitionLoop => "repetition loop",
        }
    }
}

/// Something that was found, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub what: Misstep,
    /// The marker that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The place of the first token that shows it, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u32>,
    /// Tokens that the marker is spelled with: 1 where it is a token of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spelled_with: Option<u32>,
    /// The text around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// All that is to be said of `transcript`, an answer under `rules` to a prompt that may have an empty answer or not.
pub fn judge(
    terms: &Terms,
    rules: &Rules,
    transcript: &Transcript,
    may_be_empty: bool,
) -> Vec<Finding> {
    let case = Case::new(terms, rules, transcript);
    let mut findings = case.leaked();
    findings.extend(case.self_conversation());
    findings.extend(case.continued_past_end());
    findings.extend(case.ending(may_be_empty));
    findings
}

/// The end markers and stop tokens that came, each once, in the order they came.
pub(super) fn detected(terms: &Terms, rules: &Rules, transcript: &Transcript) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for id in &transcript.ids {
        let known = rules.token(*id).or_else(|| terms.ends.iter().find(|token| token.id == *id));
        if let Some(token) = known {
            add(token.name());
        }
    }
    if let Ending::StopString { text } = &transcript.ending {
        add(text.clone());
    }
    let case = Case::new(terms, rules, transcript);
    for found in case.seen(&case.end_markers()) {
        add(found.marker);
    }
    names
}

/// A marker in the text that a user sees.
#[derive(Clone, Debug)]
struct Seen {
    marker: String,
    /// Its first byte.
    at: usize,
}

struct Case<'a> {
    terms: &'a Terms,
    rules: &'a Rules,
    transcript: &'a Transcript,
    parts: Parts,
    text: String,
}

impl<'a> Case<'a> {
    fn new(terms: &'a Terms, rules: &'a Rules, transcript: &'a Transcript) -> Self {
        let parts = Parts::of(transcript, terms.dialect.as_ref());
        Self { terms, rules, transcript, parts, text: transcript.visible() }
    }

    fn leaked(&self) -> Vec<Finding> {
        let mut markers = self.end_markers();
        markers.extend(self.turn_markers());
        let seen = self.seen(&markers);
        seen.iter().map(|seen| self.finding(Misstep::Leaked, seen)).collect()
    }

    /// The headers of the model's own template, and roles as people write them at the beginning of a line.
    fn self_conversation(&self) -> Option<Finding> {
        let roles = ROLES.iter().map(|role| format!("\n{role}"));
        let mut markers: Vec<String> = self.headers().collect();
        markers.extend(self.turn_markers());
        markers.extend(roles);
        let first = self.seen(&markers).into_iter().next()?;
        Some(self.finding(Misstep::SelfConversation, &first))
    }

    /// The first end marker that is not in force, if anything came after it.
    fn continued_past_end(&self) -> Option<Finding> {
        let mut markers = self.end_markers();
        markers.retain(|marker| !self.rules.has(marker));
        let first = self.seen(&markers).into_iter().find(|seen| {
            let end = seen.at + seen.marker.len();
            end < self.transcript.raw().len()
        })?;
        Some(self.finding(Misstep::ContinuedPastEnd, &first))
    }

    fn ending(&self, may_be_empty: bool) -> Option<Finding> {
        let bare =
            |what| Finding { what, marker: None, token: None, spelled_with: None, text: None };
        let dialect = self.terms.dialect.as_ref();
        let is_answered = self.parts.first_answer_token.is_some();
        match &self.transcript.ending {
            Ending::Length if self.rules.tokens.is_empty() && self.rules.strings.is_empty() => {
                Some(bare(Misstep::NeverStopped))
            }
            Ending::Length => None,
            Ending::RepetitionLoop { period, times } => {
                let text = format!("{period} tokens, {times} times");
                Some(Finding { text: Some(text), ..bare(Misstep::RepetitionLoop) })
            }
            Ending::StopToken { .. } | Ending::StopString { .. } if is_answered => None,
            Ending::StopToken { .. } | Ending::StopString { .. } => {
                let marker = self.ended_by();
                let is_thinking_end =
                    dialect.is_some_and(|it| Some(it.thinking_end()) == marker.as_deref());
                let token = u32::try_from(self.transcript.ids.len().saturating_sub(1)).ok();
                if is_thinking_end {
                    return Some(Finding { marker, token, ..bare(Misstep::StoppedWhileThinking) });
                }
                let is_empty = self.text.trim().is_empty();
                (is_empty && !may_be_empty).then(|| Finding {
                    marker,
                    token,
                    ..bare(Misstep::StoppedAtOnce)
                })
            }
        }
    }

    fn ended_by(&self) -> Option<String> {
        match &self.transcript.ending {
            Ending::StopToken { id } => self.rules.token(*id)?.text.clone(),
            Ending::StopString { text } => Some(text.clone()),
            Ending::Length | Ending::RepetitionLoop { .. } => None,
        }
    }

    /// What ends a turn of this model or of any other. A stop token that reads as a line break or as nothing would be
    /// seen everywhere.
    fn end_markers(&self) -> Vec<String> {
        let tokens = self.terms.ends.iter().chain(&self.terms.in_force).chain(&self.rules.tokens);
        let own = tokens.filter_map(|token| token.text.as_deref());
        let own = own.chain(self.terms.turn_end.as_ref().map(|mark| mark.text.as_str()));
        let own = own.chain(self.rules.strings.iter().map(String::as_str));
        own.filter(|text| !text.trim().is_empty()).chain(ENDS).map(str::to_owned).collect()
    }

    fn headers(&self) -> impl Iterator<Item = String> {
        let headers = [&self.terms.user_header, &self.terms.assistant_header];
        // A header in plain words is one only where a line begins with it.
        headers
            .into_iter()
            .flatten()
            .filter(|text| text.chars().count() > 2)
            .map(|text| if is_bracketed(text) { text.clone() } else { format!("\n{text}") })
    }

    /// Markers that begin turns: known ones, and those that the template's headers begin with.
    fn turn_markers(&self) -> Vec<String> {
        let own = self.headers().filter(|text| is_bracketed(text));
        own.chain(BEGINS.map(str::to_owned)).collect()
    }

    /// The first place of each of `markers` outside of the markers of thinking, in order; of two at one place the longer.
    fn seen(&self, markers: &[String]) -> Vec<Seen> {
        let mut found: Vec<Seen> = Vec::new();
        for marker in markers {
            let places = self.parts.spans.iter().filter_map(|span| {
                let text = self.text.get(span.bytes.clone())?;
                let at = span.bytes.start + text.find(marker.as_str())?;
                let is_own = self.terms.dialect.as_ref().is_some_and(|it| it.is_own(marker));
                let is_structure = match span.part {
                    Part::Marker => true,
                    Part::Thinking => is_own,
                    // Of Harmony, nothing more is to come once the answer began.
                    Part::Answer => {
                        is_own
                            && marker != "<|end|>"
                            && marker != "<|return|>"
                            && marker != "<|start|>"
                    }
                };
                (!is_structure).then_some(at)
            });
            found.extend(places.min().map(|at| Seen { marker: marker.clone(), at }));
        }
        found.sort_by_key(|seen| (seen.at, usize::MAX - seen.marker.len()));
        found.dedup_by_key(|seen| seen.at);
        found
    }

    fn finding(&self, what: Misstep, seen: &Seen) -> Finding {
        let marker = seen.marker.trim_start_matches('\n');
        let at = seen.at + seen.marker.len() - marker.len();
        let first = self.transcript.token_at(at);
        let last = self.transcript.token_at(at + marker.len() - 1);
        let number = |count: usize| u32::try_from(count).ok();
        Finding {
            what,
            marker: Some(marker.to_owned()),
            token: first.and_then(number),
            spelled_with: first.zip(last).and_then(|(first, last)| number(last - first + 1)),
            text: Some(self.around(at, at + marker.len())),
        }
    }

    /// The text around `start..end`, cut between characters.
    fn around(&self, start: usize, end: usize) -> String {
        let text = &self.text;
        let from = text.floor_char_boundary(start.saturating_sub(AROUND));
        let to = text.ceil_char_boundary(end.saturating_add(AROUND).min(text.len()));
        text.get(from..to).unwrap_or_default().to_owned()
    }
}

/// Whether a text begins as markers do.
fn is_bracketed(text: &str) -> bool {
    text.starts_with(['<', '['])
}
