//! A model in memory with all that belongs to it: tokenizer, stop tokens, facts, and what loading took.

use std::collections::BTreeSet;

use mlx_rs::{
    Dtype,
    memory::{active_memory, cache_memory, clear_cache, peak_memory},
    transforms::eval,
};
use thiserror::Error;

use super::demand::{self, Asked};
use crate::{
    checkpoint::{
        Checkpoint, Description, LoadError, LoadOptions, Location, Parameters, locate::LocateError,
        sentence,
    },
    host::{
        page_cache::{self, Pages},
        process,
    },
    measure::{
        load::{LoadLog, LoadStep},
        message::{Loaded, ModelFacts},
        outcome::{Failure, Stage},
        trial::Memory,
    },
    models::{self, Model},
    nn::MlxError,
    plan::{KvPacking, Settings},
    stops::Token,
    text::{self, Tokenizer},
};

/// The part of a model's files that may be in memory before a load that is called cold.
const COLD: f64 = 0.01;

/// A model in memory with all that belongs to it.
pub struct Opened {
    /// The model, every parameter evaluated.
    pub model: Box<dyn Model>,
    /// Its tokenizer, where there is one that fits.
    pub tokenizer: Option<Tokenizer>,
    /// Why there is no tokenizer, where there is none.
    pub tokenizer_lack: Option<TokenizerLack>,
    /// Ids that end an answer.
    pub stop: BTreeSet<u32>,
    /// What it is, and what loading took.
    pub loaded: Loaded,
    /// What it asks of the machine, where that can be told.
    pub asked: Option<Asked>,
    /// What a reader of every figure of this model must know, a sentence each.
    pub warnings: Vec<String>,
}

/// Why a model has no tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerLack {
    /// A stable name for machines.
    pub kind: &'static str,
    /// Why, for people.
    pub reason: String,
}

/// Why a model could not be brought into memory.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It is not on this machine.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// It could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let (stage, kind, hint) = match &error {
            OpenError::Locate(cause) => (Stage::Resolve, cause.kind(), cause.hint()),
            OpenError::Load(cause) => (Stage::Load, cause.kind(), cause.hint()),
        };
        Self { hint, ..Self::new(stage, kind, sentence(&error)) }
    }
}

/// Asks whether the keys and values of `model` can be packed so.
///
/// # Errors
///
/// Why not, and what can be done about it.
pub fn check_packing(model: &dyn Model, kv: Option<KvPacking>) -> Result<(), Failure> {
    let Some(kv) = kv else { return Ok(()) };
    let refusal = models::first_steps(model, Some(kv.into())).err();
    refusal.map_or(Ok(()), |cause| {
        let hint = Some(cause.hint().to_owned());
        Err(Failure { hint, ..Failure::new(Stage::Load, "kv_packing", sentence(&cause)) })
    })
}

/// Finds, loads and evaluates the model that `argument` names: a path or a hub id.
///
/// # Errors
///
/// When it is not on this machine, or cannot be loaded.
pub fn open(
    argument: &str,
    revision: Option<&str>,
    settings: &Settings,
) -> Result<Opened, OpenError> {
    let location = Location::find(argument, revision)?;
    let resident_before = resident(&location);
    let mut log = LoadLog::begin();
    let description = Description::read(location)?;
    models::family_of(&description)?;
    log.end(LoadStep::Open, None);
    let options = LoadOptions { dtype: settings.dtype, dequantize: settings.dequantize };
    let checkpoint = Checkpoint::open(&description, options)?;
    let mut facts = facts(&checkpoint)?;
    let read = description.gguf().map(|gguf| gguf.size_bytes);
    log.end(LoadStep::Weights, read);
    let (model, parameters) = models::load(checkpoint)?;
    log.end(LoadStep::Build, None);
    eval(&parameters.arrays).map_err(|error| LoadError::Mlx(error.into()))?;
    log.end(LoadStep::Evaluate, read.is_none().then(|| parameters.bytes()));
    let tokenizer = tokenizer(&description, model.vocabulary());
    log.end(LoadStep::Tokenizer, None);
    facts.parameters = parameters.count;
    facts.parameter_bytes = parameters.bytes();
    facts.dtype = activation_type(&parameters);
    facts.vocabulary = model.vocabulary();
    let asked = demand::asked(model.as_ref(), &parameters, None).ok();
    drop(parameters);
    clear_cache().map_err(|error| LoadError::Mlx(MlxError::from(error)))?;
    let (tokenizer, lack) = match tokenizer {
        Ok(tokenizer) => (Some(tokenizer), None),
        Err(lack) => (None, Some(lack)),
    };
    let generation_config = description.generation_config();
    let stop = text::stop_ids(description.config(), generation_config, tokenizer.as_ref());
    facts.stop_tokens = stop
        .iter()
        .map(|&id| Token { id, text: tokenizer.as_ref().and_then(|t| t.token_text(id)) })
        .collect();
    Ok(Opened {
        loaded: Loaded {
            model: facts,
            phases: log.into_phases(),
            resident_before,
            memory: memory(),
            roofline: None,
        },
        asked,
        warnings: lack
            .iter()
            .map(|lack| format!("prompts are random ids: {}", lack.reason))
            .collect(),
        model,
        tokenizer,
        tokenizer_lack: lack,
        stop,
    })
}

/// What is held now, and at the most since the last reset.
pub(super) fn memory() -> Memory {
    let bytes = |reading: Result<usize, _>| reading.ok().map(|bytes: usize| bytes as u64);
    let active = bytes(active_memory());
    // A reset sets the peak to nothing, not to what is in use.
    let peak = bytes(peak_memory()).max(active);
    Memory {
        active_bytes: active,
        peak_bytes: peak,
        cache_bytes: bytes(cache_memory()),
        process_bytes: process::own_footprint(),
        process_peak_bytes: process::peak_bytes(),
    }
}

/// The part of the model's files that is in memory.
fn resident(location: &Location) -> Option<f64> {
    let pages = location.files().into_iter().map(|file| page_cache::pages(&file).ok());
    let pages = pages.collect::<Option<Vec<_>>>()?;
    pages.into_iter().reduce(Pages::and)?.share()
}

/// Asks the system to let go of the files of the model that `argument` names, and says what a reader must know where it
/// did not.
pub(super) fn evict(argument: &str, revision: Option<&str>) -> Option<String> {
    // What is not there is told by the load.
    let location = Location::find(argument, revision).ok()?;
    let failed = location.files().iter().find_map(|file| page_cache::evict(file).err());
    match (failed, resident(&location)) {
        (None, Some(share)) if share < COLD => None,
        (Some(error), _) => Some(format!("cold not verified: {error}")),
        (None, None) => Some("cold not verified: the system does not tell".to_owned()),
        (None, Some(share)) => {
            let percent = share * 100.0;
            Some(format!("cold not verified: {percent:.0} % of the files stayed in memory"))
        }
    }
}

/// The tokenizer, if there is one that fits a model with `vocabulary` rows.
fn tokenizer(description: &Description, vocabulary: u32) -> Result<Tokenizer, TokenizerLack> {
    let found = match description.gguf() {
        None => Tokenizer::from_folder(&description.location().path),
        Some(gguf) => Tokenizer::from_gguf(gguf),
    };
    let found = found.map_err(|error| TokenizerLack {
        kind: "tokenizer_unreadable",
        reason: format!("the tokenizer cannot be used: {}", sentence(&error)),
    })?;
    match found {
        Some(tokenizer) if text::is_usable(&tokenizer, vocabulary) => Ok(tokenizer),
        Some(tokenizer) => Err(TokenizerLack {
            kind: "tokenizer_mismatch",
            reason: format!(
                "the tokenizer has ids up to {}, the model scores {vocabulary}",
                tokenizer.core_bound().saturating_sub(1)
            ),
        }),
        None => Err(TokenizerLack {
            kind: "tokenizer_missing",
            reason: "the model has no `tokenizer.json`".to_owned(),
        }),
    }
}

/// What the files say; what only the loaded model tells is filled in later.
fn facts(checkpoint: &Checkpoint<'_>) -> Result<ModelFacts, LoadError> {
    let description = checkpoint.description();
    let location = description.location();
    let (loaded, stored) = (checkpoint.quantization(), checkpoint.stored_quantization());
    Ok(ModelFacts {
        id: location.id.clone(),
        revision: location.revision.clone(),
        model_type: description.model_type()?.to_owned(),
        size_bytes: location.size_bytes(),
        stored_quantization: stored.filter(|stored| Some(stored) != loaded.as_ref()),
        quantization: loaded,
        format: location.format.name().to_owned(),
        context_length: description.context_length(),
        ..ModelFacts::default()
    })
}

/// The element type of what flows through the model: that of the embedding, or of its scales.
fn activation_type(parameters: &Parameters) -> String {
    let names =
        [(Dtype::Float32, "float32"), (Dtype::Float16, "float16"), (Dtype::Bfloat16, "bfloat16")];
    let name = |dtype| names.iter().find(|(known, _)| *known == dtype);
    let first = parameters.arrays.iter().find_map(|array| name(array.dtype()));
    first.map_or("unknown", |(_, name)| name).to_owned()
}
