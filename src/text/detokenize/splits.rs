//! Any text, cut anywhere: it comes back whole, at a cost that does not grow with what came before.

use proptest::prelude::*;

use crate::text::{Tokenizer, samples};

/// The bytes of `text`, cut at `cuts`.
fn pieces<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &text.as_bytes()[pair[0]..pair[1]])
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// The text of `ids` as it streams, and the most work that any of them took.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> (String, usize, usize) {
    let mut stream = tokenizer.stream();
    let (mut text, mut most) = (String::new(), 0);
    for &id in ids {
        let before = stream.work();
        text.push_str(&stream.push(id).unwrap());
        most = most.max(stream.work() - before);
    }
    let work = stream.work();
    text.push_str(&stream.finish().unwrap());
    (text, most, work)
}

proptest! {
    #[test]
    fn bytes_cut_anywhere_stream_to_their_text(
        text in "\\PC{0,30}", cuts in prop::collection::vec(0usize..200, 0..20),
    ) {
        let pieces = pieces(&text, &cuts);
        let (tokenizer, ids) = samples::byte_level_of(&pieces);
        let (streamed, most, _) = streamed(&tokenizer, &ids);
        prop_assert_eq!(&streamed, &text);
        prop_assert_eq!(&streamed, &tokenizer.decode(&ids).unwrap());
        // Of what came before, three bytes are looked at again at the most.
        let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0);
        prop_assert!(most <= longest + 3, "{} of {}", most, longest);
    }

    #[test]
    fn pieces_with_single_bytes_stream_to_their_text(
        text in "\\PC{0,30}", cuts in prop::collection::vec(0usize..200, 0..20),
    ) {
        // The sign for a space is a space to the decoder.
        let text = text.replace('▁', "_");
        let pieces = pieces(&text, &cuts);
        let (tokenizer, ids) = samples::byte_fallback_of(&pieces);
        let (streamed, _, work) = streamed(&tokenizer, &ids);
        prop_assert_eq!(streamed.as_str(), text.strip_prefix(' ').unwrap_or(&text));
        prop_assert_eq!(&streamed, &tokenizer.decode(&ids).unwrap());
        // A token for a byte has six characters, and its byte is looked at once more; a space has three bytes.
        prop_assert!(work <= text.len() * 7, "{} of {}", work, text.len());
    }
}

#[test]
fn a_token_costs_the_same_after_ten_thousand() {
    let text = "Ünï ".repeat(6_000);
    let cuts: Vec<usize> = (0..text.len()).step_by(3).collect();
    let pieces = pieces(&text, &cuts);
    let (tokenizer, ids) = samples::byte_level_of(&pieces);
    assert!(ids.len() > 10_000);
    let (streamed, most, work) = streamed(&tokenizer, &ids);
    assert_eq!(streamed, text);
    assert!(most <= 6 && work <= ids.len() * 6, "{most} {work}");
    // The same text decoded from the beginning at each token would cost some thousand times that.
}

#[test]
fn a_tokenizer_of_another_kind_costs_a_window_at_the_most() {
    let tokenizer =
        samples::words(&serde_json::json!({"type": "WordPiece", "prefix": "##", "cleanup": true}));
    let ids: Vec<u32> = (0..5_000).map(|at| 3 + at % 7).collect();
    let (text, most, _) = streamed(&tokenizer, &ids);
    assert_eq!(text, tokenizer.decode(&ids).unwrap());
    assert!(most <= 64, "{most}");
}
