//! Greedy answers that are kept, and what comes of comparing others with them.

use std::{
    io::{self, BufRead, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::files;

/// What a line of a file of greedy answers says that it is.
const FORMAT: &str = "mlxk-harness-reference-1";

/// Bytes that such a file may have.
const LONGEST: u64 = 1 << 30;

/// Steps of the scores' type that two candidates may be apart to be called a tie: they must be nearer.
const TIE: f32 = 2.0;

/// A token of a greedy answer, and what else could have come in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The token.
    pub id: u32,
    /// The likeliest tokens with their log-probabilities in float32, the likeliest first.
    pub best: Vec<(u32, f32)>,
    /// The distance of two neighbouring numbers of the type that scores are in, where those of the likeliest lie.
    pub step: f32,
}

impl Place {
    /// How much likelier `one` was than `other`; unknown where one of them is not among the likeliest.
    fn gap(&self, one: u32, other: u32) -> Option<f32> {
        let of = |id| self.best.iter().find(|(known, _)| *known == id).map(|(_, value)| *value);
        Some(of(one)? - of(other)?)
    }

    /// The largest difference of log-probabilities of tokens that are among the likeliest of both.
    fn difference(&self, other: &Self) -> f32 {
        let both = self.best.iter().filter_map(|(id, value)| {
            let (_, theirs) = other.best.iter().find(|(known, _)| known == id)?;
            Some((value - theirs).abs())
        });
        both.fold(0.0, f32::max)
    }
}

/// A greedy answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Greedy {
    /// SHA-256 of the prompt's ids, each as four little-endian bytes, in lower-case hexadecimal.
    pub prompt_sha256: String,
    /// How many tokens the model scores.
    pub vocabulary: u32,
    /// The answer.
    pub places: Vec<Place>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    format: String,
    /// What the model is called.
    model: String,
    #[serde(flatten)]
    greedy: Greedy,
}

/// Writes a line for `greedy`, an answer of `model`.
///
/// # Errors
///
/// When it cannot be written.
pub fn store(out: &mut dyn Write, model: &str, greedy: &Greedy) -> io::Result<()> {
    let stored =
        Stored { format: FORMAT.to_owned(), model: model.to_owned(), greedy: greedy.clone() };
    writeln!(out, "{}", serde_json::to_string(&stored)?)
}

/// How a cell compares with what was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The worst of what was found of its prompts.
    pub verdict: Likeness,
    /// The first token that is another one, from 0; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
    /// Prompts whose answers were compared.
    pub prompts: usize,
    /// The largest difference of a log-probability up to there, among the likeliest tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_probability_gap: Option<f32>,
    /// The model that it was compared with, where that is called otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why nothing, or not all, could be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How near an answer is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Likeness {
    /// Nothing could be compared.
    NotCompared,
    /// The same tokens.
    Identical,
    /// The first other token was as likely as the one it stands for, as far as the scores' type can tell.
    Tie,
    /// Other tokens.
    Diverged,
}

/// Greedy answers that were kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    stored: Vec<Stored>,
}

impl Reference {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds anything but such answers.
    pub fn read(path: &Path) -> io::Result<Self> {
        let wrong = |line: usize, reason: String| {
            let reason = format!("line {line} is no greedy answer: {reason}");
            io::Error::new(io::ErrorKind::InvalidData, reason)
        };
        let bytes = files::read(path, LONGEST)?;
        let mut stored = Vec::new();
        for (number, line) in (1..).zip(bytes.lines()) {
            let line: Stored =
                serde_json::from_str(&line?).map_err(|error| wrong(number, error.to_string()))?;
            if line.format != FORMAT {
                return Err(wrong(number, format!("its format is `{}`", line.format)));
            }
            stored.push(line);
        }
        if stored.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no greedy answer"));
        }
        Ok(Self { stored })
    }

    /// How the `answers` of `model` compare with what was kept of it, or of the only model of which anything was.
    pub fn compare(&self, model: &str, answers: &[Greedy]) -> Compared {
        let theirs = match self.of(model) {
            Ok(theirs) => theirs,
            Err(reason) => return not_compared(reason),
        };
        let mut worst: Option<Compared> = None;
        let (mut prompts, mut gap, mut lacking) = (0, 0f32, None);
        for ours in answers {
            let Some(stored) =
                theirs.iter().find(|stored| stored.greedy.prompt_sha256 == ours.prompt_sha256)
            else {
                lacking.get_or_insert("the reference has no answer to the same prompt".to_owned());
                continue;
            };
            let found = match compare(ours, &stored.greedy) {
                Ok(found) => found,
                Err(reason) => {
                    lacking.get_or_insert(reason);
                    continue;
                }
            };
            prompts += 1;
            gap = gap.max(found.log_probability_gap.unwrap_or_default());
            let called = Some(stored.model.clone()).filter(|other| other != model);
            if worst.as_ref().is_none_or(|worst| is_worse(&found, worst)) {
                worst = Some(Compared { model: called, ..found });
            }
        }
        let Some(worst) = worst else {
            let nothing = || "nothing was generated to be compared".to_owned();
            return not_compared(lacking.unwrap_or_else(nothing));
        };
        Compared { prompts, log_probability_gap: Some(gap), reason: lacking, ..worst }
    }

    /// What was kept of `model`, or of the only model there is.
    fn of(&self, model: &str) -> Result<Vec<&Stored>, String> {
        let own: Vec<_> = self.stored.iter().filter(|stored| stored.model == model).collect();
        if !own.is_empty() {
            return Ok(own);
        }
        let mut models: Vec<_> = self.stored.iter().map(|stored| stored.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        if models.len() == 1 {
            return Ok(self.stored.iter().collect());
        }
        Err(format!("the reference knows {}, and not this model", models.join(", ")))
    }
}

fn not_compared(reason: String) -> Compared {
    Compared {
        verdict: Likeness::NotCompared,
        at: None,
        prompts: 0,
        log_probability_gap: None,
        model: None,
        reason: Some(reason),
    }
}

/// Whether `one` is of a worse verdict than `other`, or of the same and differs earlier.
fn is_worse(one: &Compared, other: &Compared) -> bool {
    one.verdict > other.verdict || (one.verdict == other.verdict && one.at < other.at)
}

/// How an answer compares with another to the same prompt, up to the end of the shorter one.
fn compare(ours: &Greedy, theirs: &Greedy) -> Result<Compared, String> {
    if ours.vocabulary != theirs.vocabulary {
        let (one, other) = (ours.vocabulary, theirs.vocabulary);
        return Err(format!("the model scores {one} tokens, that of the reference {other}"));
    }
    let pairs = || ours.places.iter().zip(&theirs.places);
    if pairs().next().is_none() {
        return Err("one of the answers is empty".to_owned());
    }
    let split = pairs().position(|(ours, theirs)| ours.id != theirs.id);
    let verdict = match split.and_then(|at| pairs().nth(at)) {
        None => Likeness::Identical,
        Some((ours, theirs)) if is_tie(ours, theirs) => Likeness::Tie,
        Some(_) => Likeness::Diverged,
    };
    let upto = split.map_or(usize::MAX, |at| at + 1);
    let gaps = pairs().take(upto).map(|(ours, theirs)| ours.difference(theirs));
    Ok(Compared {
        verdict,
        at: split,
        prompts: 1,
        log_probability_gap: Some(gaps.fold(0.0, f32::max)),
        model: None,
        reason: None,
    })
}

/// Whether each of two tokens was nearly as likely as the other, in both answers.
fn is_tie(ours: &Place, theirs: &Place) -> bool {
    let limit = TIE * ours.step.max(theirs.step);
    let near = |gap: Option<f32>| gap.is_some_and(|gap| gap < limit);
    near(theirs.gap(theirs.id, ours.id)) && near(ours.gap(ours.id, theirs.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer whose tokens are each first among two, `gap` likelier than the token after it.
    fn greedy(prompt: &str, ids: &[u32], gap: f32) -> Greedy {
        let place =
            |&id: &u32| Place { id, best: vec![(id, -1.0), (id + 1, -1.0 - gap)], step: 0.125 };
        Greedy {
            prompt_sha256: prompt.to_owned(),
            vocabulary: 64,
            places: ids.iter().map(place).collect(),
        }
    }

    fn reference(answers: &[(&str, Greedy)]) -> Reference {
        let mut bytes = Vec::new();
        for (model, greedy) in answers {
            store(&mut bytes, model, greedy).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.jsonl");
        std::fs::write(&path, bytes).unwrap();
        Reference::read(&path).unwrap()
    }

    #[test]
    fn the_same_tokens_are_identical_and_their_log_probabilities_are_told() {
        let kept = reference(&[("m", greedy("p", &[4, 8, 2], 1.0))]);
        let compared = kept.compare("m", &[greedy("p", &[4, 8, 2], 1.5)]);
        assert_eq!(
            (compared.verdict, compared.at, compared.prompts),
            (Likeness::Identical, None, 1)
        );
        assert!((compared.log_probability_gap.unwrap() - 0.5).abs() < 1e-6);
        assert_eq!((compared.model, compared.reason), (None, None));
    }

    #[test]
    fn another_token_that_was_as_likely_is_a_tie() {
        // Both have 8 and 9 among their best; ours prefers 9 by as much as theirs prefers 8.
        let mut ours = greedy("p", &[4, 9, 7], 0.0);
        let verdict = |ours: &Greedy, gap: f32| {
            let kept = reference(&[("m", greedy("p", &[4, 8, 2], gap))]);
            let compared = kept.compare("m", std::slice::from_ref(ours));
            (compared.verdict, compared.at)
        };
        ours.places[1].best = vec![(9, -1.0), (8, -1.2)];
        assert_eq!(verdict(&ours, 0.2), (Likeness::Tie, Some(1)));
        // Two steps of 0.125 are no tie any more, whoever is that far apart.
        assert_eq!(verdict(&ours, 0.25), (Likeness::Diverged, Some(1)));
        ours.places[1].best = vec![(9, -1.0), (8, -1.25)];
        assert_eq!(verdict(&ours, 0.2), (Likeness::Diverged, Some(1)));
        ours.places[1].best = vec![(9, -1.0), (5, -1.1)];
        assert_eq!(verdict(&ours, 0.2), (Likeness::Diverged, Some(1)), "8 is not among our best");
    }

    #[test]
    fn a_cell_is_as_good_as_the_worst_of_its_prompts_and_differs_where_that_first_does() {
        let kept = reference(&[
            ("m", greedy("p", &[1, 2, 3], 1.0)),
            ("m", greedy("q", &[1, 2, 3], 1.0)),
            ("m", greedy("r", &[1, 2, 3], 1.0)),
        ]);
        let ours = [("p", [1, 2, 3]), ("q", [1, 2, 40]), ("r", [1, 40, 3])];
        let ours = ours.map(|(prompt, ids)| greedy(prompt, &ids, 1.0));
        let compared = kept.compare("m", &ours);
        assert_eq!(
            (compared.verdict, compared.at, compared.prompts),
            (Likeness::Diverged, Some(1), 3)
        );
    }

    #[test]
    fn what_cannot_be_compared_says_so() {
        let kept = reference(&[("m", greedy("p", &[1], 1.0))]);
        let reason = |kept: &Reference, model: &str, ours: &[Greedy]| {
            let compared = kept.compare(model, ours);
            assert_eq!((compared.verdict, compared.prompts), (Likeness::NotCompared, 0));
            compared.reason.unwrap()
        };
        let ours = greedy("p", &[1], 1.0);
        assert_eq!(
            reason(&kept, "m", &[greedy("q", &[1], 1.0)]),
            "the reference has no answer to the same prompt"
        );
        assert_eq!(
            reason(&kept, "m", &[Greedy { vocabulary: 65, ..ours.clone() }]),
            "the model scores 65 tokens, that of the reference 64"
        );
        assert_eq!(reason(&kept, "m", &[]), "nothing was generated to be compared");
        let two = reference(&[("m", ours.clone()), ("n", ours.clone())]);
        assert_eq!(
            reason(&two, "other", std::slice::from_ref(&ours)),
            "the reference knows m, n, and not this model"
        );
        // The only model there is stands for another one, which is named; what is lacking is told beside what was found.
        let compared = kept.compare("other", &[ours, greedy("q", &[1], 1.0)]);
        assert_eq!((compared.verdict, compared.prompts), (Likeness::Identical, 1));
        assert_eq!(compared.model.as_deref(), Some("m"));
        assert!(compared.reason.is_some());
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.jsonl");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Reference::read(&path).unwrap_err().to_string()
        };
        assert_eq!(read(""), "it holds no greedy answer");
        assert!(read("{}\n").starts_with("line 1 is no greedy answer: missing field `format`"));
        let other =
            r#"{"format":"x-2","model":"m","prompt_sha256":"p","vocabulary":1,"places":[]}"#;
        assert_eq!(read(other), "line 1 is no greedy answer: its format is `x-2`");
    }
}
