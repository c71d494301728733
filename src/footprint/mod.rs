//! What a model will take, from its configuration and the headers of its files alone.

mod weights;

pub use weights::{Class, PackedAs, Weights};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, Description, LoadError, Outlines, Stored, sentence},
    models::{
        self, Architecture, Keeps, Kept, Unpackable, family_of, first_steps,
        recipe::{Layer, Recipe},
    },
    plan::KvPacking,
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
    /// What each token leaves behind, by how layers keep it; none where the model cannot be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caches: Option<Vec<CacheKind>>,
}

/// Layers that keep alike what they have read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CacheKind {
    /// How they keep it.
    pub keeps: Keeps,
    /// How many layers.
    pub layers: u64,
    /// Bytes that a token adds to all of them together.
    pub bytes_per_token: u64,
    /// Bytes of all of them together that are there from the first token on.
    pub constant_bytes: u64,
}

impl CacheKind {
    /// Bytes after so many rows.
    fn bytes(&self, rows: u64) -> u64 {
        let rows = match self.keeps {
            Keeps::All | Keeps::Latent | Keeps::State => rows,
            Keeps::Window(most) | Keeps::Chunk(most) => most.min(rows),
        };
        rows * self.bytes_per_token + self.constant_bytes
    }
}

/// What is held, estimated, in bytes.
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
    /// Reads the headers of what `description` describes, and asks what it keeps of a token, packed where wanted.
    ///
    /// # Errors
    ///
    /// When a file is unreadable or cut, or the configuration has no `model_type`.
    pub fn of(description: &Description, kv: Option<KvPacking>) -> Result<Self, LoadError> {
        let checkpoint = Checkpoint::outlined(description)?;
        let recipe = described(description, &checkpoint);
        let (recipe, obstacle) = match recipe {
            Ok(recipe) => (recipe, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (caches, obstacle) = match (obstacle, kept(description, kv)) {
            (None, Ok((caches, unused))) => {
                checkpoint.discard(|name| unused.contains(name));
                (Some(caches), None)
            }
            (None, Err(error)) => (None, Some(sentence(&error))),
            (obstacle, _) => (None, obstacle),
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
            caches,
            weights,
        })
    }

    /// Bytes of caches after `context` tokens: they grow in steps of 256, up to a window where they have one, and
    /// states not at all. None where the model cannot be run.
    pub fn cache_bytes(&self, context: u64) -> Option<u64> {
        let rows = context.div_ceil(STEP) * STEP;
        Some(self.caches.as_ref()?.iter().map(|kind| kind.bytes(rows)).sum())
    }

    /// What is held while `context` tokens are read and written: an estimate, not a bound. On a CPU attention holds the
    /// scores of a whole chunk besides.
    ///
    /// The allowance is what a step needs beside weights and cache: eight residual streams of one chunk of the prompt
    /// (2048 tokens), three times the scores of a token, and the widest cache layer once more, which is copied when
    /// it grows.
    pub fn prediction(&self, context: u64) -> Option<Prediction> {
        let cache_bytes = self.cache_bytes(context)?;
        let kinds = self.caches.as_ref()?;
        let layer = |kind: &CacheKind| kind.bytes(context) / kind.layers.max(1);
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
    match family_of(description)?.architecture {
        Architecture::Decoder(recipe) => recipe(checkpoint).map(Some),
        Architecture::Other(_) => Ok(None),
    }
}

/// Why it is not known what a model keeps.
#[derive(Debug, Error)]
enum Unknown {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Packing(#[from] Unpackable),
}

/// What the layers of a model keep, which is made of zeros and asked without computing anything; and the tensors that
/// it does without.
fn kept(
    description: &Description,
    kv: Option<KvPacking>,
) -> Result<(Vec<CacheKind>, BTreeSet<String>), Unknown> {
    let (model, parameters) = models::load(Checkpoint::sketched(description)?.recording())?;
    let unused = parameters.inventory.unwrap_or_default().dropped();
    let mut kinds: BTreeMap<Keeps, CacheKind> = BTreeMap::new();
    for Kept { keeps, bytes_per_token, constant_bytes } in
        first_steps(model.as_ref(), kv.map(Into::into))?.kept()
    {
        let none = CacheKind { keeps, layers: 0, bytes_per_token: 0, constant_bytes: 0 };
        let kind = kinds.entry(keeps).or_insert(none);
        kind.layers += 1;
        kind.bytes_per_token += bytes_per_token;
        kind.constant_bytes += constant_bytes;
    }
    Ok((kinds.into_values().collect(), unused))
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
        let kind = |keeps, layers, bytes_per_token, constant_bytes| CacheKind {
            keeps,
            layers,
            bytes_per_token,
            constant_bytes,
        };
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
            caches: Some(vec![
                kind(Keeps::All, 1, 8, 0),
                kind(Keeps::Window(512), 5, 40, 0),
                kind(Keeps::State, 2, 0, 14),
            ]),
        }
    }

    #[test]
    fn caches_grow_in_steps_up_to_their_window() {
        // 300 tokens take 512 rows in either kind; 1025 take 1280 rows, or the window; states take what they take.
        assert_eq!(footprint().cache_bytes(300), Some(512 * 8 + 512 * 40 + 14));
        assert_eq!(footprint().cache_bytes(1025), Some(1280 * 8 + 512 * 40 + 14));
        let unknown = Footprint { caches: None, ..footprint() };
        assert_eq!(unknown.cache_bytes(300), None);
    }

    #[test]
    fn a_prediction_is_weights_cache_and_allowance() {
        let prediction = footprint().prediction(300).unwrap();
        // Eight streams of 300 tokens, 10 wide, of two bytes; 3 × 100 scores; 300 rows of 8 bytes.
        assert_eq!(prediction.allowance_bytes, 48_000 + 1200 + 2400);
        assert_eq!(prediction.total_bytes, 5000 + 24_590 + 51_600);
    }
}
