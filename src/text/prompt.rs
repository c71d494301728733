//! Prompts of an exact number of tokens.

use std::num::NonZeroU32;

use super::{TextError, Tokenizer};

/// What prompts are made of, again and again.
const TEXT: &str = "\
The harbour wakes before the town does. Long after midnight the last of the fishing boats has come \
in, and for two or three hours nothing moves but the water and the lamp at the end of the mole. Then \
a door opens in the ice house, somebody coughs, and the day begins with the sound of crates being \
dragged across wet stone. By five o'clock there are forty people on the quay, and each of them knows \
what the other thirty-nine will do next.

Most of the catch is sold standing up. A buyer walks along the row, looks into a crate, lifts one \
fish by the gill, and either nods or goes on. Nobody writes anything down until the end, when a boy \
with a pencil behind his ear asks everyone the same two questions: how many, and how much? He has \
never been wrong. In 1987, so they say, he was out by a single crate of mackerel, and he paid for it \
himself rather than admit that he had not been listening.

Behind the market stands a low brick building that was once a rope works. It is three hundred metres \
long, because a rope can only be as long as the room in which it is laid, and the ships of that time \
wanted long ropes. Today the southern half belongs to a boat builder, the northern half to a school \
of music; on summer evenings, with all the windows open, one hears scales from one end and planing \
from the other. The builder maintains that his apprentices work faster to the sound of a cello. The \
teachers, for their part, claim that nothing trains the ear like a circular saw.

What keeps such a place alive is hard to say. Certainly it is not money, of which there was never \
much; nor is it the scenery, which is mostly grey. Perhaps it is that everything here has to be done \
at its own hour. The tide does not wait, the ice melts, bread must be taken from the oven when it is \
done and not when it is convenient. People who live by such clocks learn early that there is a time \
to hurry and a time to sit on a bollard and do nothing at all. A visitor who asks for the difference \
is told to come back tomorrow, a little before five.

";

/// Ids that are asked for beyond those wanted, so that a closing special token is cut off.
const SPARE: usize = 16;

/// A prompt of exactly `length` ids: English, begun as the tokenizer begins a text.
///
/// The time it takes grows with `length` alone.
///
/// # Errors
///
/// When the tokenizer cannot encode the text or makes nothing of it.
pub fn ids_of_length(tokenizer: &Tokenizer, length: usize) -> Result<Vec<u32>, TextError> {
    let enough = length.saturating_add(SPARE);
    let once = tokenizer.encode_prompt(TEXT)?.len();
    if once == 0 {
        return Err(TextError::NoIds);
    }
    let mut copies = enough.div_ceil(once);
    loop {
        let mut ids = tokenizer.encode_prompt(&TEXT.repeat(copies))?;
        if ids.len() >= enough {
            ids.truncate(length);
            return Ok(ids);
        }
        // Where copies meet, a tokenizer may need fewer ids than `once` promised.
        copies = copies.saturating_mul(2);
    }
}

/// `length` ids drawn from `0..vocabulary`, the same for the same `seed`.
///
/// The draws are `SplitMix64` (Steele, Lea and Flood, 2014), each scaled to the vocabulary by taking
/// the upper 64 bits of its product with it.
pub fn random_ids(vocabulary: NonZeroU32, length: usize, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let scaled = (u128::from(mixed) * u128::from(vocabulary.get())) >> 64;
        // Less than `vocabulary`, so the upper half is empty.
        u32::try_from(scaled).unwrap_or_default()
    };
    (0..length).map(|_| draw()).collect()
}

/// Whether text can be made into ids of a model with `vocabulary` rows.
///
/// A model may have more rows than its tokenizer has tokens. The other way round the two do not
/// belong together, save for added tokens that no ordinary text needs: [`check_ids`] refuses those.
pub fn is_usable(tokenizer: &Tokenizer, vocabulary: u32) -> bool {
    tokenizer.core_bound() <= vocabulary
}

/// Refuses `ids` that a model with `vocabulary` rows would look up beyond its last row.
///
/// # Errors
///
/// [`TextError::BeyondVocabulary`] for the first such id.
pub fn check_ids(ids: &[u32], vocabulary: u32) -> Result<(), TextError> {
    match ids.iter().copied().find(|&id| id >= vocabulary) {
        Some(id) => Err(TextError::BeyondVocabulary { id, vocabulary }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::samples;

    #[test]
    fn a_prompt_has_exactly_the_length_asked_for() {
        let tokenizer = samples::byte_level_wrapped();
        for length in [0, 1, 2, 17, 2430, 2431, 5000] {
            let ids = ids_of_length(&tokenizer, length).unwrap();
            assert_eq!(ids.len(), length);
            assert!(!ids.contains(&1), "a prompt of {length} ids ends as if it were over");
            assert_eq!(ids.first().copied(), (length > 0).then_some(0));
        }
    }

    #[test]
    fn a_longer_prompt_goes_on_where_a_shorter_one_ends() {
        let tokenizer = samples::byte_fallback();
        let long = ids_of_length(&tokenizer, 4000).unwrap();
        assert_eq!(ids_of_length(&tokenizer, 100).unwrap(), long[..100]);
    }

    #[test]
    fn the_text_is_one_that_any_tokenizer_knows() {
        assert!(TEXT.is_ascii());
        assert!(TEXT.split_whitespace().count() > 350);
    }

    #[test]
    fn draws_are_those_of_split_mix() {
        // The generator's first three numbers from seed 0 are e220a8397b1dcdaf, 6e789e6aa1b965f4 and
        // 06c45d188009454f; a vocabulary of 2^32 - 1 keeps nearly their upper halves.
        let all = NonZeroU32::new(u32::MAX).unwrap();
        assert_eq!(random_ids(all, 3, 0), [0xe220_a838, 0x6e78_9e6a, 0x06c4_5d18]);
        assert_eq!(random_ids(NonZeroU32::new(1000).unwrap(), 3, 0), [883, 431, 26]);
    }

    #[test]
    fn draws_stay_inside_the_vocabulary() {
        let ids = random_ids(NonZeroU32::new(3).unwrap(), 1000, 42);
        assert_eq!(ids.iter().max(), Some(&2));
        assert!((250..420).contains(&ids.iter().filter(|&&id| id == 0).count()));
    }

    #[test]
    fn a_vocabulary_may_be_larger_than_the_tokenizer_but_not_smaller() {
        let tokenizer = samples::byte_level();
        assert!(is_usable(&tokenizer, 262));
        assert!(is_usable(&tokenizer, 300));
        assert!(!is_usable(&tokenizer, 261));
    }

    #[test]
    fn an_id_without_a_row_is_refused() {
        assert!(check_ids(&[0, 4, 2], 5).is_ok());
        let error = check_ids(&[0, 5, 9], 5).unwrap_err();
        assert_eq!(error.to_string(), "id 5 lies beyond the model's vocabulary of 5");
    }
}
