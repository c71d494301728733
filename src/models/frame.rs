//! What stands around the blocks of a model: token vectors, scaled and marked with their places, in front; the last
//! norm, the head and what is done to scores behind.

use half::bf16;
use mlx_rs::{
    Array,
    ops::{arange, tanh},
};

use super::recipe::{EmbeddingScale, Head, Places, Recipe, Scores};
use crate::{
    checkpoint::{Checkpoint, LoadError},
    nn::{self, Embedding, Linear, Norm, NormKind, SoftCap},
};

/// What a recipe asks for beside its layers, with its weights.
pub(super) struct Frame {
    vocabulary: u32,
    tokens: Embedding,
    scale: Scale,
    places: Option<Embedding>,
    norm: Norm,
    head: Option<Linear>,
    scores: Scores,
    /// See [`Scores::CappedAtOnce`].
    cap: Option<SoftCap>,
}

/// See [`EmbeddingScale`].
enum Scale {
    One,
    Times(f32),
    Normalized(Norm),
}

impl Frame {
    /// Takes every tensor that `recipe` asks for beside those of its layers.
    pub(super) fn load<L>(
        recipe: &Recipe<L>,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<Self, LoadError> {
        let (root, model) = (checkpoint.root(), checkpoint.root().at("model"));
        let Recipe { vocabulary, width, eps, .. } = *recipe;
        let table = |name, rows| Embedding::load(&model.at(name), rows, width);
        let norm = |name, kind| Norm::load(&model.at(name), kind, width, eps);
        Ok(Self {
            vocabulary: u32::try_from(vocabulary).unwrap_or(0),
            tokens: table("embed_tokens", vocabulary)?,
            scale: match recipe.embedding_scale {
                EmbeddingScale::One => Scale::One,
                EmbeddingScale::RootOfWidth => Scale::Times(root_of_width(width)),
                EmbeddingScale::Times(scale) => Scale::Times(scale),
                EmbeddingScale::Normalized => {
                    Scale::Normalized(norm("embed_norm", NormKind::RmsPlain)?)
                }
            },
            places: match recipe.places {
                Places::Unmarked => None,
                Places::Learned(count) => Some(table("embed_positions", count)?),
            },
            norm: norm("norm", recipe.norm)?,
            head: match recipe.head {
                Head::Tied => None,
                Head::Separate => Some(Linear::load(&root.at("lm_head"), vocabulary, width)?),
            },
            scores: recipe.scores,
            cap: if let Scores::CappedAtOnce(cap) = recipe.scores {
                Some(SoftCap::new(cap))
            } else {
                None
            },
        })
    }

    /// How many tokens are scored.
    pub(super) fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The vectors of `tokens` (`[batch, n]`), which follow `offset` others: `[batch, n, width]`.
    pub(super) fn read(&self, tokens: &Array, offset: i32) -> nn::Result<Array> {
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

    /// Scores what the last block made of each position, `x` (`[batch, n, width]`): `[batch, n, vocabulary]`.
    pub(super) fn score(&self, x: &Array) -> nn::Result<Array> {
        nn::note_head();
        let x = self.norm.forward(x)?;
        let x = if let Scores::OfStreamOver(divisor) = self.scores {
            x.divide(nn::scalar(divisor, &x))?
        } else {
            x
        };
        let scores = match &self.head {
            Some(head) => head.forward(&x),
            None => self.tokens.as_head(&x),
        }?;
        if let Some(cap) = &self.cap {
            return cap.forward(&scores);
        }
        Ok(match self.scores {
            Scores::Plain | Scores::OfStreamOver(_) | Scores::CappedAtOnce(_) => scores,
            Scores::Times(factor) => scores.multiply(nn::scalar(factor, &scores))?,
            Scores::Over(divisor) => scores.divide(nn::scalar(divisor, &scores))?,
            Scores::Capped(cap) => {
                let cap = nn::scalar(cap, &scores);
                tanh(scores.divide(&cap)?)?.multiply(cap)?
            }
        })
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
