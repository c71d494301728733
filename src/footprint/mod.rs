//! What a model will take, from its configuration and the headers of its files alone.

mod weights;

pub use weights::{Class, PackedAs, Weights};

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, Description, LoadError, Outlines, Stored, sentence},
    models::{
        self, Architecture, Kept, Unpackable, family_of, first_steps,
        recipe::{Layer, Recipe},
    },
    plan::{self, CacheKind, Keeps, KvPacking, Need, Prediction},
};

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

    /// Bytes of caches after `context` tokens: see [`plan::cache_bytes`]. None where the model cannot be run.
    pub fn cache_bytes(&self, context: u64) -> Option<u64> {
        Some(plan::cache_bytes(self.caches.as_ref()?, context))
    }

    /// What is held while `context` tokens are read and written, 2048 tokens of the prompt a step: see [`Need::at`].
    pub fn prediction(&self, context: u64) -> Option<Prediction> {
        Some(self.need(CHUNK)?.at(context))
    }

    /// What a prediction is made of where a step reads `chunk` tokens of the prompt. None where the model cannot be run.
    pub fn need(&self, chunk: u64) -> Option<Need> {
        Some(Need {
            weight_bytes: self.weight_bytes,
            caches: self.caches.clone()?,
            stream_bytes: self.width? * self.element_bytes()?,
            vocabulary: self.vocabulary?,
            chunk,
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
