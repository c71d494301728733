//! The section `stop_tokens`: what was to end answers, what came, and what a user saw of it.

use crate::{
    measure::{
        outcome::{Outcome, Verdict},
        stop_answers,
        trial::{Finish, Trial},
    },
    plan::{Cell, Scenario},
    report::sections::StopTokens,
    stops::{ENDS, Token},
};

/// What stopped the answers of a chat, or of the scenario `stop`; a throughput cell runs past stop tokens. Of a model that
/// was not loaded, only what its files name.
pub(super) fn stop_tokens(cell: &Cell, outcome: &Outcome) -> Option<StopTokens> {
    let is_skipped = matches!(outcome.verdict, Verdict::Skipped(_));
    let loaded = outcome.loaded.as_ref().map(|loaded| &loaded.model.stop_tokens);
    let configured = loaded.or(outcome.configured.as_ref()).filter(|_| !is_skipped)?;
    let names = Some(configured.iter().map(Token::name).collect());
    match cell.work.scenario() {
        Scenario::Throughput => None,
        Scenario::Chat => {
            let trials = outcome.trials.as_slice();
            let has_answers = !trials.is_empty();
            Some(StopTokens {
                configured: names,
                detected: has_answers.then(|| detected(configured, trials)),
                workaround: loaded.map(|_| "none".to_owned()),
                leaked: leaked(configured, trials),
            })
        }
        Scenario::Stop => {
            let answers = outcome.answers.as_slice();
            let has_answers = !answers.is_empty();
            Some(StopTokens {
                configured: names,
                detected: has_answers.then(|| stop_answers::detected(answers)),
                workaround: has_answers.then(|| stop_answers::workaround(answers).to_owned()),
                leaked: stop_answers::leaked(answers),
            })
        }
    }
}

fn detected(configured: &[Token], trials: &[Trial]) -> Vec<String> {
    let mut names = Vec::new();
    for trial in trials {
        let Finish::Stop { id } = trial.finish else {
            continue;
        };
        let known = configured.iter().find(|token| token.id == id);
        let name = known.map_or_else(|| format!("<id:{id}>"), Token::name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether an answer shows a stop token, of this model or of another; unknown without answers.
fn leaked(configured: &[Token], trials: &[Trial]) -> Option<bool> {
    let texts: Vec<&str> = trials.iter().filter_map(|trial| trial.text.as_deref()).collect();
    // A stop token that reads as a line break or as nothing would be seen everywhere.
    let own = configured.iter().filter_map(|token| token.text.as_deref());
    let own = own.filter(|text| !text.trim().is_empty());
    let markers: Vec<&str> = own.chain(ENDS).collect();
    let shows = |text: &&str| markers.iter().any(|marker| text.contains(marker));
    (!texts.is_empty()).then(|| texts.iter().any(shows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(finish: Finish, text: Option<&str>) -> Trial {
        Trial { finish, text: text.map(str::to_owned), ..Trial::with_stamps(vec![5]) }
    }

    fn answer(text: &str) -> Trial {
        trial(Finish::Length, Some(text))
    }

    fn token(id: u32, text: Option<&str>) -> Token {
        Token { id, text: text.map(str::to_owned) }
    }

    #[test]
    fn stop_tokens_that_came_are_named_once() {
        let configured = [token(2, Some("</s>")), token(7, None)];
        let trials = [2, 7, 2, 9].map(|id| trial(Finish::Stop { id }, None));
        assert_eq!(detected(&configured, &trials), ["</s>", "<id:7>", "<id:9>"]);
    }

    #[test]
    fn an_answer_that_shows_any_marker_has_leaked() {
        let configured = [token(1, Some("<end_of_turn>"))];
        assert_eq!(leaked(&configured, &[answer("Hi<end_of_turn>")]), Some(true));
        assert_eq!(leaked(&configured, &[answer("Hi"), answer("Hi<|im_end|>")]), Some(true));
        assert_eq!(leaked(&configured, &[answer("Hi")]), Some(false));
    }

    #[test]
    fn whether_a_token_leaked_is_unknown_without_an_answer() {
        let silent = [trial(Finish::Length, None)];
        assert_eq!(leaked(&[token(1, Some("</s>"))], &silent), None);
    }

    #[test]
    fn a_stop_token_that_reads_as_nothing_is_no_marker() {
        let configured = [token(1, Some("")), token(2, Some("\n"))];
        assert_eq!(leaked(&configured, &[answer("two\nlines")]), Some(false));
    }
}
