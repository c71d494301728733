//! What the first block reads: token vectors, scaled and marked with their places.

use half::bf16;
use mlx_rs::{Array, ops::arange};

use super::recipe::{EmbeddingScale, Places, Recipe};
use crate::{
    checkpoint::{LoadError, Scope},
    nn::{self, Embedding, Norm, NormKind},
};

/// The tables that token vectors are made from.
pub(super) struct Front {
    tokens: Embedding,
    scale: Scale,
    places: Option<Embedding>,
}

/// See [`EmbeddingScale`].
enum Scale {
    One,
    Times(f32),
    Normalized(Norm),
}

impl Front {
    /// Takes the tables that `recipe` asks for below `model`.
    pub(super) fn load(model: &Scope<'_>, recipe: &Recipe) -> Result<Self, LoadError> {
        let width = recipe.width;
        Ok(Self {
            tokens: Embedding::load(&model.at("embed_tokens"), recipe.vocabulary, width)?,
            scale: match recipe.embedding_scale {
                EmbeddingScale::One => Scale::One,
                EmbeddingScale::RootOfWidth => Scale::Times(root_of_width(width)),
                EmbeddingScale::Times(scale) => Scale::Times(scale),
                EmbeddingScale::Normalized => Scale::Normalized(Norm::load(
                    &model.at("embed_norm"),
                    NormKind::RmsPlain,
                    width,
                    recipe.eps,
                )?),
            },
            places: match recipe.places {
                Places::Unmarked => None,
                Places::Learned(count) => {
                    Some(Embedding::load(&model.at("embed_positions"), count, width)?)
                }
            },
        })
    }

    /// The vectors of `tokens` (`[batch, n]`), which follow `offset` others: `[batch, n, width]`.
    pub(super) fn forward(&self, tokens: &Array, offset: i32) -> nn::Result<Array> {
        let x = self.tokens.forward(tokens)?;
        let x = match &self.scale {
            Scale::One => x,
            Scale::Times(scale) => x.multiply(nn::scalar(*scale, &x))?,
            Scale::Normalized(norm) => norm.forward(&x)?,
        };
        match &self.places {
            None => Ok(x),
            Some(places) => {
                let at = arange::<i32, i32>(offset, offset + tokens.dim(1), 1)?;
                Ok(x.add(places.forward(&at)?)?)
            }
        }
    }

    /// Scores `x` (`[batch, n, width]`) against every token: `[batch, n, vocabulary]`.
    pub(super) fn as_head(&self, x: &Array) -> nn::Result<Array> {
        self.tokens.as_head(x)
    }
}

/// The root of `width`, rounded to bfloat16 as the reference does.
fn root_of_width(width: i32) -> f32 {
    bf16::from_f64(f64::from(width).sqrt()).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_the_width_is_rounded() {
        // √1152 = 33.94112549…; bfloat16 has steps of 0.25 there.
        assert!((root_of_width(1152) - 34.0).abs() < f32::EPSILON);
    }
}
