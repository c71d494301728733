//! Layers that borrow keys and values from earlier ones (Gemma 3n and 4).
//!
//! A layer that borrows has no keys and values of its own: it looks at those that an earlier layer has just left in
//! its part of the cache, from the position where that layer stood before.

use super::{keys::unsupported, recipe::Layer};
use crate::checkpoint::{Checkpoint, LoadError};

/// How many of `layers`, from the first, have keys and values of their own where the last `shared` borrow them.
pub(super) fn lenders(layers: usize, shared: usize) -> Result<usize, LoadError> {
    layers
        .checked_sub(shared)
        .filter(|lenders| *lenders > 0)
        .ok_or_else(|| unsupported(format!("`num_kv_shared_layers` {shared} of {layers}")))
}

/// Drops what layers from `lenders` on do without.
pub(super) fn discard_lent(checkpoint: &Checkpoint<'_>, lenders: usize) {
    const LENT: [&str; 3] = ["k_norm", "k_proj", "v_proj"];
    checkpoint.discard(|name| {
        let layer = name.strip_prefix("model.layers.");
        let place = layer.and_then(|rest| rest.split_once(".self_attn."));
        place.is_some_and(|(index, part)| {
            LENT.iter().any(|lent| part.starts_with(lent))
                && index.parse::<usize>().is_ok_and(|index| index >= lenders)
        })
    });
}

/// Of each layer, which part of the cache it looks into: its own, or that of the last one before that has its own and
/// reaches as far.
///
/// # Errors
///
/// When no earlier layer reaches as far as one that borrows.
pub(super) fn owners(layers: &[Layer]) -> Result<Vec<usize>, LoadError> {
    let mut lenders = Vec::new();
    let owner = |layer: &Layer| {
        let reach = layer.attention.reach;
        if !layer.attention.borrows() {
            lenders.push(reach);
            return Ok(lenders.len() - 1);
        }
        lenders.iter().rposition(|lender| *lender == reach).ok_or_else(|| {
            unsupported("shared keys and values in `layer_types` that no layer makes")
        })
    };
    layers.iter().map(owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{
        llama,
        recipe::{Projections, Reach},
    };

    /// Layers that see everything, `f`, or a window, `s`; those in capitals borrow.
    fn layers(kinds: &str) -> Vec<Layer> {
        let config = llama::Config { num_attention_heads: 1, ..llama::Config::default() };
        let layer = llama::layer(&config).unwrap();
        let layer = |kind: char| {
            let mut layer = layer.clone();
            if kind.eq_ignore_ascii_case(&'s') {
                layer.attention.reach = Reach::Window(8);
            }
            if kind.is_uppercase() {
                layer.attention.projections = Projections::Borrowed;
            }
            layer
        };
        kinds.chars().map(layer).collect()
    }

    #[test]
    fn borrowers_look_at_the_last_of_their_kind() {
        assert_eq!(owners(&layers("sfsFS")).unwrap(), [0, 1, 2, 1, 2]);
        assert!(owners(&layers("ssF")).is_err());
    }
}
