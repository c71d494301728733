//! The texts that prompts are made of: four that are shipped with the harness, or those of a file.

use std::{fmt::Write as _, io, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files;

/// Distinct prompts that the repetitions of a cell go through in turn.
pub const PROMPTS: u32 = 4;

/// The id of the texts that are shipped; another text gets another id. They are the project's own, under its licence.
pub const SHIPPED: &str = "mlxk-harness-passages-1";

/// Bytes that a file of texts may have.
const LONGEST_FILE: u64 = 64 << 20;

/// Four texts, from which prompts of any length are cut.
///
/// Prompt `k` begins with text `k`; the other texts follow in turn, so that no prompt repeats anything before it has had
/// all four. Then all are read again, after a line that says for which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passages {
    texts: Box<[String; PROMPTS as usize]>,
}

impl Passages {
    /// The texts that are shipped: a description, instructions, a conversation, and a book of accounts.
    ///
    /// All are ASCII, which every tokenizer knows.
    pub fn shipped() -> Self {
        let texts = [
            include_str!("passages/harbour.txt"),
            include_str!("passages/sundial.txt"),
            include_str!("passages/observatory.txt"),
            include_str!("passages/ledger.txt"),
        ];
        Self { texts: Box::new(texts.map(str::to_owned)) }
    }

    /// The quarters of the file at `path`, cut between words.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is not UTF-8, is longer than 64 MiB, or has less than four words.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let text = files::read_text(path, LONGEST_FILE)?;
        let reason = "it has less than four words";
        Self::of_text(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    /// The quarters of `text`, cut between words; none where it has less than four.
    pub fn of_text(text: &str) -> Option<Self> {
        let starts: Vec<usize> = word_starts(text).collect();
        let quarter = |k: usize| starts.get(starts.len() * k / PROMPTS as usize).copied();
        let cuts = [Some(0), quarter(1), quarter(2), quarter(3), Some(text.len())];
        let mut texts: Box<[String; PROMPTS as usize]> = Box::default();
        for (place, ends) in texts.iter_mut().zip(cuts.windows(2)) {
            let &[Some(from), Some(to)] = ends else {
                return None;
            };
            text.get(from..to)?.clone_into(place);
        }
        texts.iter().all(|text| !text.trim().is_empty()).then_some(Self { texts })
    }

    /// What prompt `k` is cut from, of at least `bytes` bytes.
    pub fn stretch(&self, k: u32, bytes: usize) -> String {
        let mut stretch = String::with_capacity(bytes);
        let mut reading = 1;
        loop {
            for step in 0..PROMPTS {
                let at = (k % PROMPTS + step) % PROMPTS;
                stretch.extend(self.texts.get(at as usize).map(String::as_str));
                end_paragraph(&mut stretch);
            }
            if stretch.len() >= bytes {
                return stretch;
            }
            reading += 1;
            let _ = write!(stretch, "Read again, for time number {reading}:\n\n");
        }
    }

    /// SHA-256 of all four, one after the other, in lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        let digest = Sha256::digest(self.texts.concat());
        digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn end_paragraph(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push_str("\n\n");
}

/// Where the words of `text` begin.
fn word_starts(text: &str) -> impl Iterator<Item = usize> {
    let mut after_space = true;
    text.char_indices().filter_map(move |(at, symbol)| {
        let begins = after_space && !symbol.is_whitespace();
        after_space = symbol.is_whitespace();
        begins.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_texts_are_those_that_their_id_stands_for() {
        let shipped = Passages::shipped();
        // `cat harbour.txt sundial.txt observatory.txt ledger.txt | sha256sum`
        assert_eq!(
            (SHIPPED, shipped.sha256().as_str()),
            (
                "mlxk-harness-passages-1",
                "3b5ab9c8160b365e358cbc89e8f48576dbf22491983c38ecc173e262a44a04cd"
            )
        );
        for text in shipped.texts.iter() {
            assert!(text.is_ascii());
            assert!(text.split_whitespace().count() >= 400);
        }
    }

    #[test]
    fn prompts_begin_differently_and_repeat_nothing_before_all_was_read() {
        let shipped = Passages::shipped();
        let stretches: Vec<_> = (0..PROMPTS).map(|k| shipped.stretch(k, 1)).collect();
        for (k, stretch) in stretches.iter().enumerate() {
            assert!(stretch.starts_with(&shipped.texts[k][..40]));
            let paragraphs: Vec<_> = stretch.split("\n\n").filter(|one| one.len() > 20).collect();
            let mut distinct = paragraphs.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), paragraphs.len());
        }
        assert_eq!(shipped.stretch(4, 1), stretches[0], "the fifth is the first again");
    }

    #[test]
    fn what_is_read_again_says_so_and_a_longer_stretch_goes_on_where_a_shorter_one_ends() {
        let shipped = Passages::shipped();
        let (once, long) = (shipped.stretch(2, 1), shipped.stretch(2, 25_000));
        assert!(long.len() >= 25_000 && long.starts_with(&once));
        assert!(long[once.len()..].starts_with("Read again, for time number 2:\n\n"));
        assert_eq!(long.matches("Read again").count(), 2);
    }

    #[test]
    fn a_file_is_cut_into_quarters_between_words() {
        let text = "Où va-t-on ?\nTout droit, puis à gauche.";
        let passages = Passages::of_text(text).unwrap();
        assert_eq!(*passages.texts, ["Où va-t-on ", "?\nTout ", "droit, puis ", "à gauche."]);
        assert_eq!(passages.texts.concat(), text);
        assert_eq!(Passages::of_text("only three words"), None);
        assert_eq!(Passages::of_text(""), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.txt");
        std::fs::write(&path, "a b c").unwrap();
        let error = Passages::of_file(&path).unwrap_err();
        assert_eq!(error.to_string(), "it has less than four words");
        let error = Passages::of_file(&folder.path().join("none.txt")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
