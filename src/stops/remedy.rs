//! The named rules that published models need, and which of them an answer calls for.

use serde::{Deserialize, Serialize};

use super::{
    judge::{Finding, Misstep},
    reasoning::Dialect,
    terms::{Mark, Rules, Terms, Token},
};

/// A rule that makes up for a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `<|end|>` and `<|endoftext|>` both end an answer, as Phi-3 writes them.
    #[serde(rename = "phi-3-dual-eos")]
    Phi3DualEos,
    /// `<|return|>` ends the answer of gpt-oss, and so does `<|end|>` once the answer began.
    GptOssEnd,
    /// `<end_of_turn>` ends an answer of Gemma.
    GemmaEndOfTurn,
    /// What the chat template writes after a turn ends an answer.
    TemplateEos,
    /// What ends thinking does not end the answer.
    ReasoningEndKept,
}

impl Rule {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phi3DualEos => "phi-3-dual-eos",
            Self::GptOssEnd => "gpt-oss-end",
            Self::GemmaEndOfTurn => "gemma-end-of-turn",
            Self::TemplateEos => "template-eos",
            Self::ReasoningEndKept => "reasoning-end-kept",
        }
    }
}

/// A rule, and what it comes to for one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The rule.
    pub rule: Rule,
    /// What ends an answer under it.
    pub rules: Rules,
    /// The line of `generation_config.json` that says the same; none where no line can.
    pub line: Option<String>,
    /// The key of a GGUF file that says the same, with its value; none for other files, and where no key can.
    pub gguf_key: Option<String>,
}

/// The rule that `findings` under the model's own configuration call for; none where none is known to help.
pub fn remedy(terms: &Terms, findings: &[Finding]) -> Option<Remedy> {
    let own = terms.own_rules();
    let is_found = |what| findings.iter().find(|finding| finding.what == what);
    let (rule, rules) = if let Some(finding) = is_found(Misstep::StoppedWhileThinking) {
        (Rule::ReasoningEndKept, without(&own, finding.marker.as_deref()?, terms))
    } else {
        let blamed = [Misstep::ContinuedPastEnd, Misstep::Leaked, Misstep::SelfConversation];
        let shown = blamed.into_iter().filter_map(is_found).filter_map(|it| it.marker.as_deref());
        let template = terms.turn_end.as_ref().map(|mark| mark.text.as_str());
        let is_blamed =
            findings.iter().any(|it| blamed.contains(&it.what) || it.what == Misstep::NeverStopped);
        let markers = shown.chain(template.filter(|_| is_blamed));
        markers.into_iter().find_map(|marker| adding(&own, marker, terms))?
    };
    (rules != own).then(|| Remedy {
        line: line(&rules),
        gguf_key: gguf_key(&own, &rules).filter(|_| terms.is_gguf),
        rule,
        rules,
    })
}

/// `own` without the token written `marker`. What ends a message of gpt-oss for good comes in its place.
fn without(own: &Rules, marker: &str, terms: &Terms) -> Rules {
    let mut rules = own.clone();
    rules.tokens.retain(|token| token.text.as_deref() != Some(marker));
    rules.strings.retain(|string| string != marker);
    if let (Some(Dialect::Channels), Some(end)) = (&terms.dialect, terms.end("<|return|>")) {
        rules.add(end);
    }
    rules
}

/// The rule by which `marker` ends an answer too.
fn adding(own: &Rules, marker: &str, terms: &Terms) -> Option<(Rule, Rules)> {
    let mut rules = own.clone();
    let mut add = |markers: &[&str]| {
        let tokens = markers.iter().map(|marker| terms.end(marker));
        tokens
            .collect::<Option<Vec<&Token>>>()
            .map(|tokens| tokens.into_iter().for_each(|token| rules.add(token)))
    };
    let rule = match (marker, &terms.dialect) {
        ("<|end|>" | "<|return|>", Some(Dialect::Channels)) => {
            add(&["<|return|>", "<|end|>"])?;
            rules.only_in_answer.extend(terms.end("<|end|>").map(|token| token.id));
            Rule::GptOssEnd
        }
        ("<|end|>" | "<|endoftext|>", _) if add(&["<|end|>", "<|endoftext|>"]).is_some() => {
            Rule::Phi3DualEos
        }
        ("<end_of_turn>", _) => {
            add(&["<end_of_turn>"])?;
            Rule::GemmaEndOfTurn
        }
        _ => {
            match terms.turn_end.as_ref().filter(|mark| mark.text == marker)? {
                Mark { id: Some(id), text } => {
                    rules.add(&Token { id: *id, text: Some(text.clone()) });
                }
                Mark { id: None, text } => rules.strings.push(text.clone()),
            }
            Rule::TemplateEos
        }
    };
    (rules != *own).then_some((rule, rules))
}

/// What a GGUF file would have to say: it has a key for one more token, the one that ends a turn.
fn gguf_key(own: &Rules, rules: &Rules) -> Option<String> {
    let mut added = rules.tokens.iter().filter(|token| own.token(token.id).is_none());
    let (Some(token), None) = (added.next(), added.next()) else { return None };
    let is_all = rules.strings == own.strings && rules.tokens.len() == own.tokens.len() + 1;
    let id = token.id;
    (is_all && rules.only_in_answer.is_empty())
        .then(|| format!("tokenizer.ggml.eot_token_id = {id}"))
}

/// What `generation_config.json` would have to say.
fn line(rules: &Rules) -> Option<String> {
    if !rules.only_in_answer.is_empty() {
        return None;
    }
    let ids: Vec<String> = rules.tokens.iter().map(|token| token.id.to_string()).collect();
    let ids = (!ids.is_empty()).then(|| format!("\"eos_token_id\": [{}]", ids.join(", ")));
    let strings = (!rules.strings.is_empty())
        .then(|| format!("\"stop_strings\": {}", serde_json::json!(rules.strings)));
    let parts: Vec<String> = [ids, strings].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
