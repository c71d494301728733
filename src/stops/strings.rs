//! Stop strings in a text that is still being written.
//!
//! Each byte moves a pattern on by the rule of Knuth, Morris and Pratt, so nothing is read twice, however the text is cut
//! into tokens. What cannot be the beginning of a stop string is let through at once.

/// Looks for stop strings as text comes.
#[derive(Clone, Debug, Default)]
pub struct StopStrings {
    patterns: Vec<Pattern>,
    /// Text that may be the beginning of a stop string.
    held: String,
    /// Comparisons of bytes until now.
    work: usize,
}

#[derive(Clone, Debug)]
struct Pattern {
    bytes: Vec<u8>,
    /// For each beginning, the length of the longest beginning that it ends with, itself left out.
    fallback: Vec<usize>,
    /// Bytes of it that the text ends with.
    matched: usize,
}

/// A stop string that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its place in the list.
    pub index: usize,
    /// Its length in bytes.
    pub length: usize,
    /// Bytes of the last piece up to its end.
    pub end: usize,
}

impl StopStrings {
    /// Will look for `strings`; empty ones are passed over.
    pub fn new<'a>(strings: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns = strings.into_iter().map(Pattern::new).collect();
        Self { patterns, ..Self::default() }
    }

    /// Takes more text. Gives what of it, and of what was held back, is certain to be shown, and the stop string that
    /// is complete now: the longest, if several end at the same place. What follows it is dropped.
    pub fn push(&mut self, piece: &str) -> (String, Option<Hit>) {
        let mut text = std::mem::take(&mut self.held);
        let before = text.len();
        text.push_str(piece);
        for (end, &byte) in (1..).zip(piece.as_bytes()) {
            if let Some((index, length)) = self.advance(byte) {
                text.truncate((before + end).saturating_sub(length));
                return (text, Some(Hit { index, length, end }));
            }
        }
        // A stop string begins with the first byte of a character, so this cuts between characters.
        let certain = text.len() - self.patterns.iter().map(|it| it.matched).max().unwrap_or(0);
        self.held = text.split_off(certain);
        (text, None)
    }

    /// What was held back, at the end of the text.
    pub fn finish(self) -> String {
        self.held
    }

    /// Comparisons of bytes until now: two for each byte and string at the most.
    pub fn work(&self) -> usize {
        self.work
    }

    fn advance(&mut self, byte: u8) -> Option<(usize, usize)> {
        let mut complete: Option<(usize, usize)> = None;
        for (index, pattern) in self.patterns.iter_mut().enumerate() {
            self.work += pattern.advance(byte);
            let length = pattern.bytes.len();
            let is_longest = complete.is_none_or(|(_, other)| length > other);
            if length > 0 && pattern.matched == length && is_longest {
                complete = Some((index, length));
            }
        }
        complete
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let mut pattern = Self { bytes: text.into(), fallback: vec![0], matched: 0 };
        for &byte in text.as_bytes().iter().skip(1) {
            pattern.advance(byte);
            pattern.fallback.push(pattern.matched);
        }
        pattern.matched = 0;
        pattern
    }

    /// Takes a byte, and tells how many were compared with it.
    fn advance(&mut self, byte: u8) -> usize {
        let mut compared = 1;
        while self.matched > 0 && self.bytes.get(self.matched) != Some(&byte) {
            self.matched = self.fallback.get(self.matched - 1).copied().unwrap_or(0);
            compared += 1;
        }
        self.matched += usize::from(self.bytes.get(self.matched) == Some(&byte));
        compared
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is let through piece by piece, and the string that came.
    fn through(strings: &[&str], pieces: &[&str]) -> (Vec<String>, Option<usize>) {
        let mut stop = StopStrings::new(strings.iter().copied());
        let mut texts = Vec::new();
        for piece in pieces {
            let (text, hit) = stop.push(piece);
            texts.push(text);
            if let Some(hit) = hit {
                return (texts, Some(hit.index));
            }
        }
        texts.push(stop.finish());
        (texts, None)
    }

    #[track_caller]
    fn case(strings: &[&str], pieces: &[&str], texts: &[&str], hit: Option<usize>) {
        assert_eq!(through(strings, pieces), (texts.iter().map(|&t| t.to_owned()).collect(), hit));
    }

    #[test]
    fn a_string_over_several_tokens_is_found_and_not_shown() {
        case(
            &["<|im_end|>"],
            &["Hi", " <", "|im", "_end", "|>x"],
            &["Hi", " ", "", "", ""],
            Some(0),
        );
        case(&["</s>"], &["Hi</s>there"], &["Hi"], Some(0));
    }

    #[test]
    fn a_token_that_cannot_be_part_of_one_is_not_held_back() {
        case(&["<|end|>"], &["a <", "b", "<|e", "x"], &["a ", "<b", "", "<|ex", ""], None);
        case(&["<|end|>"], &["a <|en"], &["a ", "<|en"], None);
    }

    #[test]
    fn a_beginning_inside_of_a_beginning_is_kept() {
        case(&["aab"], &["a", "a", "a", "b"], &["", "", "a", ""], Some(0));
        case(&["abab!"], &["ababab", "!"], &["ab", ""], Some(0));
    }

    #[test]
    fn of_two_that_end_together_the_longer_one_counts() {
        case(&["User:", "\nUser:"], &["x\nUser", ":"], &["x", ""], Some(1));
        case(&[""], &["x", "y"], &["x", "y", ""], None);
    }

    #[test]
    fn characters_of_several_bytes_are_not_torn() {
        // `é` and `è` begin with the same byte.
        case(&["é!"], &["aè", "é", "?"], &["aè", "", "é?", ""], None);
    }

    /// A text of few letters, so that stop strings come, cut into pieces.
    fn pieces() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[ab<é]{0,5}", 0..12)
    }

    proptest! {
        #[test]
        fn the_first_string_to_end_is_cut_off_wherever_the_text_is_cut(
            pieces in pieces(), strings in prop::collection::vec("[ab<é]{1,4}", 1..4),
        ) {
            let strings: Vec<&str> = strings.iter().map(String::as_str).collect();
            let borrowed: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (texts, hit) = through(&strings, &borrowed);
            let whole = pieces.concat();
            // Independently: the shortest beginning that ends with a stop string.
            let ends = whole.char_indices().map(|(at, c)| at + c.len_utf8());
            let first = ends.map(|end| &whole[..end]).find_map(|start| {
                let longest = strings.iter().filter(|s| start.ends_with(**s)).max_by_key(|s| s.len())?;
                Some(&start[..start.len() - longest.len()])
            });
            prop_assert_eq!(texts.concat(), first.unwrap_or(&whole));
            prop_assert_eq!(hit.is_some(), first.is_some());
        }

        #[test]
        fn each_byte_costs_two_comparisons_at_the_most(pieces in pieces()) {
            let mut stop = StopStrings::new(["aaab", "<<<<é"]);
            let mut bytes = 0;
            for piece in &pieces {
                bytes += piece.len();
                if stop.push(piece).1.is_some() { break; }
                prop_assert!(stop.work() <= 2 * 2 * bytes);
                prop_assert!(stop.held.len() < "<<<<é".len());
            }
        }
    }
}
