//! One prompt: first under the model's own configuration, then, where that misbehaved, under the rule that may help.

use serde::{Deserialize, Serialize};

use super::{
    judge::{Finding, Misstep, detected, judge},
    reasoning::Parts,
    remedy::{Rule, remedy},
    terms::{Rules, Terms},
    transcript::{Ending, Transcript},
};

/// An answer and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The ids, the one that ended the answer included.
    pub ids: Vec<u32>,
    /// The text with special tokens.
    pub raw_text: String,
    /// The text as a user sees it.
    pub text: String,
    /// Why it ended.
    pub ending: Ending,
    /// Tokens until then, the one that ended it included.
    pub tokens: u32,
    /// Of these, those that the model thought.
    pub thinking_tokens: u32,
    /// Of these, those that it answered.
    pub answer_tokens: u32,
    /// The place of the first token of the answer, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_answer_token: Option<u32>,
    /// The stop tokens and end markers that came.
    pub detected: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// The second answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedied {
    /// The rule that was tried.
    pub rule: Rule,
    /// What ended answers under it.
    pub stop: Vec<String>,
    /// The line of `generation_config.json` that says the same; none where no line can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation_config_line: Option<String>,
    /// The key of a GGUF file that says the same, with its value; only for such a file, and where a key can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf_key: Option<String>,
    /// Whether the answer differs and is clean.
    pub helps: bool,
    /// The answer.
    pub run: Run,
}

/// What became of one prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// Under the model's own configuration.
    pub own: Run,
    /// Under a rule, where the first answer misbehaved and a rule is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedied: Option<Remedied>,
}

impl Run {
    fn of(terms: &Terms, rules: &Rules, transcript: &Transcript, may_be_empty: bool) -> Self {
        let parts = Parts::of(transcript, terms.dialect.as_ref());
        Self {
            ids: transcript.ids.clone(),
            raw_text: transcript.raw(),
            text: transcript.visible(),
            ending: transcript.ending.clone(),
            tokens: u32::try_from(transcript.ids.len()).unwrap_or(u32::MAX),
            thinking_tokens: parts.thinking_tokens,
            answer_tokens: parts.answer_tokens,
            first_answer_token: parts.first_answer_token,
            detected: detected(terms, rules, transcript),
            findings: judge(terms, rules, transcript, may_be_empty),
        }
    }

    /// Whether stop tokens are to blame for anything.
    pub fn misbehaved(&self) -> bool {
        self.findings.iter().any(|finding| finding.what.is_misbehaviour())
    }

    /// Whether a marker is in the text that a user sees.
    pub fn leaked(&self) -> bool {
        self.findings.iter().any(|finding| finding.what == Misstep::Leaked)
    }
}

impl Examined {
    /// The rule that was needed, if one helped.
    pub fn workaround(&self) -> Option<Rule> {
        self.remedied.as_ref().filter(|remedied| remedied.helps).map(|remedied| remedied.rule)
    }
}

/// Has a prompt answered by `answer`, once or twice.
///
/// # Errors
///
/// Those of `answer`.
pub fn examine<E>(
    terms: &Terms,
    may_be_empty: bool,
    answer: &mut dyn FnMut(&Rules) -> Result<Transcript, E>,
) -> Result<Examined, E> {
    let rules = terms.own_rules();
    let own = Run::of(terms, &rules, &answer(&rules)?, may_be_empty);
    let Some(remedy) = remedy(terms, &own.findings).filter(|_| own.misbehaved()) else {
        return Ok(Examined { own, remedied: None });
    };
    let run = Run::of(terms, &remedy.rules, &answer(&remedy.rules)?, may_be_empty);
    let differs = (&run.ids, &run.text) != (&own.ids, &own.text);
    let remedied = Remedied {
        rule: remedy.rule,
        stop: remedy.rules.names(),
        generation_config_line: remedy.line,
        gguf_key: remedy.gguf_key,
        helps: differs && !run.misbehaved(),
        run,
    };
    Ok(Examined { own, remedied: Some(remedied) })
}
