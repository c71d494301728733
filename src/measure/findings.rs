//! What is known of a cell beside its stamps: found before its first repetition, or after its last one.

use serde::{Deserialize, Serialize};

use super::{
    engine::PromptKind,
    reference::{Compared, Greedy},
    roofline::Roofline,
};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// What its prompts are made of.
    Prompts(PromptKind),
    /// How well the model foretells the shipped text.
    Likelihood(TextLikelihood),
    /// A greedy answer to one of its prompts.
    Greedy(Greedy),
    /// What another look at model and machine found, since tokens came faster than the first one allows for; it counts
    /// for all cells of the child that have not ended.
    Roofline(Box<Roofline>),
}

/// All that was found of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What its prompts are made of.
    pub prompts: Option<PromptKind>,
    /// How well the model foretells the shipped text.
    pub likelihood: Option<TextLikelihood>,
    /// A greedy answer to each of its prompts, where they are wanted.
    pub greedy: Vec<Greedy>,
    /// How those compare with what was kept of another run.
    pub compared: Option<Compared>,
}

impl Findings {
    /// Adds what was found.
    pub fn add(&mut self, finding: Finding) {
        match finding {
            Finding::Prompts(kind) => self.prompts = Some(kind),
            Finding::Likelihood(likelihood) => self.likelihood = Some(likelihood),
            Finding::Greedy(greedy) => self.greedy.push(greedy),
            // It belongs to what was loaded.
            Finding::Roofline(_) => {}
        }
    }
}

/// How well a model foretells a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextLikelihood {
    /// The mean negative log-likelihood of each token but the first, in nats; mlx-lm's perplexity is its exponential.
    pub mean_nll: f64,
    /// Tokens that were read, the first one included.
    pub tokens: u32,
    /// The id of the text that they begin.
    pub text: String,
    /// SHA-256 of their ids, each as four little-endian bytes, in lower-case hexadecimal: means of other ids say nothing
    /// about each other.
    pub ids_sha256: String,
}
