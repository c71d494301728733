//! Rules, kept while an answer is written.

use super::{
    reasoning::Dialect,
    repetition::Repetition,
    strings::StopStrings,
    terms::Rules,
    transcript::{Ending, Transcript},
};

/// What begins the answer in Harmony.
const FINAL: &str = "<|channel|>final<|message|>";

/// Takes an answer token by token and tells when it is over.
#[derive(Debug)]
pub struct Watch<'a> {
    rules: &'a Rules,
    strings: StopStrings,
    repetition: Repetition,
    /// Looks for what begins the answer of a model with channels; none once it began.
    begin: Option<StopStrings>,
    ids: Vec<u32>,
    pieces: Vec<String>,
    length: usize,
    shown: Option<usize>,
    ending: Option<Ending>,
    is_thinking_open: bool,
}

impl<'a> Watch<'a> {
    /// Will keep `rules`. `is_thinking_open` says whether the prompt ended inside of thinking.
    pub fn new(rules: &'a Rules, dialect: Option<&Dialect>, is_thinking_open: bool) -> Self {
        let has_channels = dialect == Some(&Dialect::Channels);
        Self {
            rules,
            strings: StopStrings::new(rules.strings.iter().map(String::as_str)),
            repetition: Repetition::default(),
            begin: has_channels.then(|| StopStrings::new([FINAL])),
            ids: Vec::new(),
            pieces: Vec::new(),
            length: 0,
            shown: None,
            ending: None,
            is_thinking_open,
        }
    }

    /// Takes the next id and what it adds to the text; tells whether the answer is over.
    pub fn push(&mut self, id: u32, piece: &str) -> bool {
        let before = self.length;
        self.length += piece.len();
        self.ids.push(id);
        self.pieces.push(piece.to_owned());
        let repeated = self.repetition.push(id);
        let is_answer = self.begin.is_none();
        if self.begin.as_mut().is_some_and(|begin| begin.push(piece).1.is_some()) {
            self.begin = None;
        }
        if let Some(token) = self.rules.token(id)
            && (is_answer || !self.rules.only_in_answer.contains(&id))
        {
            let own = token.text.as_deref().filter(|text| piece.ends_with(text));
            self.shown = Some(self.length - own.map_or(piece.len(), str::len));
            self.ending = Some(Ending::StopToken { id });
        } else if let (_, Some(hit)) = self.strings.push(piece) {
            self.shown = Some((before + hit.end).saturating_sub(hit.length));
            let text = self.rules.strings.get(hit.index).cloned().unwrap_or_default();
            self.ending = Some(Ending::StopString { text });
        } else if let Some(found) = repeated {
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let (period, times) = (number(found.period), number(found.times));
            self.ending = Some(Ending::RepetitionLoop { period, times });
        }
        self.ending.is_some()
    }

    /// The answer, to which the end of the text may add `rest`; it was cut where nothing ended it.
    pub fn finish(mut self, rest: &str) -> Transcript {
        if let Some(last) = self.pieces.last_mut() {
            last.push_str(rest);
            self.length += rest.len();
        }
        Transcript {
            ids: self.ids,
            pieces: self.pieces,
            shown: self.shown.unwrap_or(self.length),
            is_thinking_open: self.is_thinking_open,
            ending: self.ending.unwrap_or(Ending::Length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stops::Token;

    fn rules(tokens: &[(u32, &str)], strings: &[&str]) -> Rules {
        let tokens = tokens.iter().map(|&(id, text)| Token { id, text: Some(text.to_owned()) });
        Rules {
            tokens: tokens.collect(),
            strings: strings.iter().map(|&text| text.to_owned()).collect(),
            ..Rules::default()
        }
    }

    /// How many tokens were taken, why it was over, and what was seen.
    fn watched(
        rules: &Rules,
        dialect: Option<&Dialect>,
        tokens: &[(u32, &str)],
    ) -> (usize, Ending, String) {
        let mut watch = Watch::new(rules, dialect, false);
        let _ = tokens.iter().find(|(id, piece)| watch.push(*id, piece));
        let transcript = watch.finish("");
        (transcript.ids.len(), transcript.ending.clone(), transcript.visible())
    }

    #[test]
    fn a_stop_token_ends_the_answer_and_is_not_shown() {
        let tokens = [(5, "Hi"), (2, "</s>"), (5, "Hi")];
        let (taken, ending, text) = watched(&rules(&[(2, "</s>")], &[]), None, &tokens);
        assert_eq!((taken, ending, text.as_str()), (2, Ending::StopToken { id: 2 }, "Hi"));
        // A character that was held back is shown with the token after it.
        let tokens = [(5, ""), (2, "\u{FFFD}</s>")];
        assert_eq!(watched(&rules(&[(2, "</s>")], &[]), None, &tokens).2, "\u{FFFD}");
    }

    #[test]
    fn a_stop_string_ends_it_wherever_it_is_cut() {
        let tokens = [(5, "Hi<|e"), (6, "nd|>Bye"), (7, "x")];
        let (taken, ending, text) = watched(&rules(&[], &["<|end|>"]), None, &tokens);
        assert_eq!((taken, text.as_str()), (2, "Hi"));
        assert_eq!(ending, Ending::StopString { text: "<|end|>".to_owned() });
    }

    #[test]
    fn a_token_may_end_the_answer_and_no_thinking() {
        let mut rules = rules(&[(7, "<|end|>")], &[]);
        rules.only_in_answer.insert(7);
        let tokens = [
            (1, "<|channel|>"),
            (2, "analysis"),
            (3, "<|message|>"),
            (7, "<|end|>"),
            (1, "<|channel|>"),
            (4, "final"),
            (3, "<|message|>"),
            (5, "Yes"),
            (7, "<|end|>"),
            (9, "x"),
        ];
        let (taken, ending, _) = watched(&rules, Some(&Dialect::Channels), &tokens);
        assert_eq!((taken, ending), (9, Ending::StopToken { id: 7 }));
    }

    #[test]
    fn going_round_in_circles_ends_it() {
        let tokens = [(5, "la "); 90];
        let (taken, ending, _) = watched(&Rules::default(), None, &tokens);
        assert_eq!((taken, ending), (24, Ending::RepetitionLoop { period: 1, times: 24 }));
        assert_eq!(watched(&Rules::default(), None, &tokens[..9]).1, Ending::Length);
    }
}
