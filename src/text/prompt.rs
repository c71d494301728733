//! Prompts as ids: drawn at random, and checked against the vocabulary of a model.

use std::num::NonZeroU32;

use super::{TextError, Tokenizer};

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
