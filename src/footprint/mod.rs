//! What a model will take, from its configuration and the headers of its files alone.

mod weights;

pub use weights::{Class, PackedAs, Weights};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    checkpoint::{Checkpoint, Description, LoadError, Outlines, Stored},
    models::{
        Architecture, family,
        recipe::{Layer, Reach, Recipe},
    },
};

/// Rows that a cache grows by.
const STEP: u64 = 256;

/// Prompt tokens that one step reads unless the user says otherwise.
const CHUNK: u64 = 2048;

/// What a model will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// The `model_type` of its configuration.
    pub model_type: String,
    /// Why it cannot be run, where that is known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// Blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u64>,
    /// Width of the residual stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u64>,
    /// Query heads of the layers, each number once.
    pub heads: Vec<u64>,
    /// Key and value heads of the layers, each number once.
    pub kv_heads: Vec<u64>,
    /// Tokens it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
    /// Tokens it was made to attend to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// The type that flows through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtype: Option<&'static str>,
    /// How many numbers its weights stand for; packed ones are counted unpacked.
    pub parameters: u64,
    /// The same without the experts that a token does not choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_parameters: Option<u64>,
    /// Bytes of all weights in memory.
    pub weight_bytes: u64,
    /// The weights by what they are for.
    pub weights: Vec<Weights>,
    /// What each token leaves behind, by how far back layers see; none where the family does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caches: Option<Vec<CacheKind>>,
}

/// Layers that keep their keys and values alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheKind {
    /// Tokens that are kept; none where all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// How many layers.
    pub layers: u64,
    /// Bytes of keys and values that a token adds to all of them together.
    pub bytes_per_token: u64,
}

/// What is held at the most, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Tokens read and written.
    pub context: u64,
    /// The weights.
    pub weight_bytes: u64,
    /// Keys and values.
    pub cache_bytes: u64,
    /// What a step needs beside: see [`Footprint::prediction`].
    pub allowance_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl Footprint {
    /// Reads the headers of what `description` describes.
    ///
    /// # Errors
    ///
    /// When a file is unreadable or cut, or the configuration has no `model_type`.
    pub fn of(description: &Description) -> Result<Self, LoadError> {
        let checkpoint = Checkpoint::outlined(description)?;
        let recipe = described(description, &checkpoint);
        let (recipe, obstacle) = match recipe {
            Ok(recipe) => (recipe, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let outlines = checkpoint.outlines();
        let weights = weights::classes(&outlines, |path| checkpoint.packing(path));
        let element = activation_type(&outlines);
        let layers = recipe.as_ref().map(|recipe| recipe.layers.as_slice());
        let each = |keys: &[&str], of: fn(&Layer) -> i32| match layers {
            Some(layers) => distinct(layers.iter().map(of)),
            None => description.count(keys).into_iter().collect(),
        };
        Ok(Self {
            model_type: description.model_type()?.to_owned(),
            obstacle,
            layers: layers
                .map(|layers| layers.len() as u64)
                .or_else(|| description.count(&["num_hidden_layers", "n_layers", "n_layer"])),
            width: description.count(&["hidden_size", "n_embd", "d_model"]),
            heads: each(&["num_attention_heads", "n_head", "n_heads"], |layer| {
                layer.attention.heads
            }),
            kv_heads: each(&["num_key_value_heads"], |layer| layer.attention.kv_heads),
            vocabulary: description.count(&["vocab_size"]),
            context_length: description.context_length(),
            dtype: element.and_then(Stored::float_name),
            parameters: weights.iter().map(|class| class.parameters).sum(),
            active_parameters: weights::active(&weights, &outlines, description),
            weight_bytes: weights.iter().map(|class| class.bytes).sum(),
            caches: recipe.as_ref().zip(element).map(|(recipe, element)| caches(recipe, element)),
            weights,
        })
    }

    /// Bytes of keys and values after `context` tokens: caches grow in steps of 256, up to a window where they have
    /// one. None where the family does not tell.
    pub fn cache_bytes(&self, context: u64) -> Option<u64> {
        let rows = context.div_ceil(STEP) * STEP;
        let held = |kind: &CacheKind| {
            let rows = kind.window.map_or(rows, |window| window.min(rows));
            rows * kind.bytes_per_token
        };
        Some(self.caches.as_ref()?.iter().map(held).sum())
    }

    /// What is held at the most while `context` tokens are read and written.
    ///
    /// The allowance is what a step needs beside weights and cache: eight residual streams of one chunk of the prompt
    /// (2048 tokens), three times the scores of a token, and the widest cache layer once more, which is copied when
    /// it grows.
    pub fn prediction(&self, context: u64) -> Option<Prediction> {
        let cache_bytes = self.cache_bytes(context)?;
        let kinds = self.caches.as_ref()?;
        let layer = |kind: &CacheKind| {
            kind.bytes_per_token / kind.layers.max(1)
                * kind.window.map_or(context, |w| w.min(context))
        };
        let copied = kinds.iter().map(layer).max().unwrap_or(0);
        let element = self.element_bytes()?;
        let stream = context.min(CHUNK) * self.width? * element;
        let allowance_bytes = 8 * stream + 3 * self.vocabulary? * 4 + copied;
        Some(Prediction {
            context,
            weight_bytes: self.weight_bytes,
            cache_bytes,
            allowance_bytes,
            total_bytes: self.weight_bytes + cache_bytes + allowance_bytes,
        })
    }

    fn element_bytes(&self) -> Option<u64> {
        self.dtype.map(|name| if name == "float32" { 4 } else { 2 })
    }
}

/// The recipe of a model, where its family has one.
fn described(
    description: &Description,
    checkpoint: &Checkpoint<'_>,
) -> Result<Option<Recipe>, LoadError> {
    match family(description.model_type()?)?.architecture {
        Architecture::Decoder(recipe) => recipe(checkpoint).map(Some),
        Architecture::Other(_) => Ok(None),
    }
}

/// What the layers of `recipe` keep, those that see everything first.
fn caches(recipe: &Recipe, element: Stored) -> Vec<CacheKind> {
    let mut kinds: BTreeMap<Option<u64>, CacheKind> = BTreeMap::new();
    for layer in &recipe.layers {
        let attention = &layer.attention;
        let window = match attention.reach {
            Reach::Full | Reach::Masked(_) => None,
            Reach::Window(rows) | Reach::Chunk(rows) => Some(u64::from(rows.unsigned_abs())),
        };
        let numbers = 2 * u64::from((attention.kv_heads * attention.head_dim).unsigned_abs());
        let kind =
            kinds.entry(window).or_insert(CacheKind { window, layers: 0, bytes_per_token: 0 });
        kind.layers += 1;
        kind.bytes_per_token += numbers * u64::from(element.bits()) / 8;
    }
    kinds.into_values().collect()
}

/// The type that flows through a model: that of its embedding, or of the embedding's scales.
fn activation_type(outlines: &Outlines) -> Option<Stored> {
    let is_float = |stored: &Stored| stored.float_name().is_some();
    let embedding = outlines.iter().filter(|(name, _)| weights::class(name) == Class::Embedding);
    let found = embedding.map(|(_, outline)| outline.element);
    let any = outlines.values().map(|outline| outline.element);
    found.chain(any).find(is_float)
}

fn distinct(numbers: impl Iterator<Item = i32>) -> Vec<u64> {
    let numbers: BTreeSet<u64> = numbers.map(|n| u64::from(n.unsigned_abs())).collect();
    numbers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint() -> Footprint {
        let kind = |window, layers, bytes_per_token| CacheKind { window, layers, bytes_per_token };
        Footprint {
            model_type: "made_up".to_owned(),
            obstacle: None,
            layers: Some(6),
            width: Some(10),
            heads: vec![4],
            kv_heads: vec![2],
            vocabulary: Some(100),
            context_length: None,
            dtype: Some("bfloat16"),
            parameters: 0,
            active_parameters: None,
            weight_bytes: 5000,
            weights: Vec::new(),
            caches: Some(vec![kind(None, 1, 8), kind(Some(512), 5, 40)]),
        }
    }

    #[test]
    fn caches_grow_in_steps_up_to_their_window() {
        // 300 tokens take 512 rows in either kind; 1025 take 1280 rows, or the window.
        assert_eq!(footprint().cache_bytes(300), Some(512 * 8 + 512 * 40));
        assert_eq!(footprint().cache_bytes(1025), Some(1280 * 8 + 512 * 40));
        let unknown = Footprint { caches: None, ..footprint() };
        assert_eq!(unknown.cache_bytes(300), None);
    }

    #[test]
    fn a_prediction_is_weights_cache_and_allowance() {
        let prediction = footprint().prediction(300).unwrap();
        // Eight streams of 300 tokens, 10 wide, of two bytes; 3 × 100 scores; 300 rows of 8 bytes.
        assert_eq!(prediction.allowance_bytes, 48_000 + 1200 + 2400);
        assert_eq!(prediction.total_bytes, 5000 + 24_576 + 51_600);
    }
}
