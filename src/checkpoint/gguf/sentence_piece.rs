//! SentencePiece vocabularies: pieces with scores, from which the order of merges follows.

use std::{cmp::Reverse, collections::HashMap};

use serde_json::{Map, Value, json};

use super::{
    tokenizer::into_map,
    tokens::{Kind, Tokens},
};

/// The sign for a space inside pieces.
const SIGN: &str = "▁";

/// Where the vocabulary expects the sign for a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Before every word, the first included.
    First,
    /// Only where there is a space.
    Between,
}

/// The parts of a `tokenizer.json` for `tokens` with these `scores`.
pub(super) fn parts(tokens: &Tokens<'_>, scores: &[f32], space: Space) -> Map<String, Value> {
    let (vocabulary, added) = tokens.split();
    let merges = merges(tokens, scores, &vocabulary);
    let signs = json!({"type": "Replace", "pattern": {"String": " "}, "content": SIGN});
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": SIGN}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    let normalizer = match space {
        Space::Between => signs,
        Space::First => {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
            let first = json!({"type": "Prepend", "prepend": SIGN});
            json!({"type": "Sequence", "normalizers": [first, signs]})
        }
    };
    let unknown = tokens.iter().find(|(_, _, kind)| *kind == Kind::Unknown);
    into_map(json!({
        "added_tokens": added,
        "normalizer": normalizer,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "vocab": vocabulary, "merges": merges,
            "unk_token": unknown.map(|(_, text, _)| text), "fuse_unk": true, "byte_fallback": true,
        },
    }))
}

/// The merges that make the pieces, best score first.
///
/// SentencePiece merges whatever gives the best piece. Told as a list, every way to split a piece
/// into two others has that piece's score; among equals the longer left half goes first, then the
/// longer right half, then the order of the pieces' ids.
fn merges<'a>(
    tokens: &Tokens<'a>,
    scores: &[f32],
    vocabulary: &HashMap<&'a str, usize>,
) -> Vec<[&'a str; 2]> {
    let mut found = Vec::new();
    for ((_, piece, kind), &score) in tokens.iter().zip(scores) {
        if !matches!(kind, Kind::Normal | Kind::UserDefined) {
            continue;
        }
        let mut halves: Vec<(usize, usize, [&str; 2])> = piece
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| {
                let (left, right) = piece.split_at(at);
                Some((*vocabulary.get(left)?, *vocabulary.get(right)?, [left, right]))
            })
            .collect();
        halves.sort_unstable();
        let lengths = |[left, right]: [&str; 2]| (left.chars().count(), right.chars().count());
        found.extend(halves.into_iter().map(|(_, _, pair)| (score, lengths(pair), pair)));
    }
    found.sort_by(|left, right| {
        right.0.total_cmp(&left.0).then(Reverse(left.1).cmp(&Reverse(right.1)))
    });
    found.into_iter().map(|(_, _, pair)| pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_follow_the_scores_then_the_lengths_of_the_halves() {
        let texts = vec!["<unk>", "<0x0A>", "a", "b", "c", "ab", "bc", "abc", "▁a"];
        let mut kinds = vec![Kind::Normal; texts.len()];
        kinds[0] = Kind::Unknown;
        kinds[1] = Kind::Byte;
        let tokens = Tokens { texts, kinds };
        let (vocabulary, _) = tokens.split();
        let scores = [0.0, 0.0, 0.0, 0.0, 0.0, -2.0, -3.0, -1.0, -3.0];
        // `▁` alone is no piece, so `▁a` cannot be merged.
        let expected = [["ab", "c"], ["a", "bc"], ["a", "b"], ["b", "c"]];
        assert_eq!(merges(&tokens, &scores, &vocabulary), expected);
    }
}
