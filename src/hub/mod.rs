//! Models of the Hugging Face hub, brought into the cache that every other tool shares.

pub mod cache;
mod client;
mod download;
mod error;
pub mod integrity;
mod listing;
mod lock;
mod partial;
mod reference;
mod retry;
mod settings;
mod sizes;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use error::HubError;
pub use reference::{Reference, is_gguf, is_id};
pub use settings::Network;
pub use sizes::size;

use cache::Repository;
use client::Hub;
use download::Download;

/// Follows a download. Files are told apart by their names in the repository.
pub trait Watch: Sync {
    /// A download begins that has `bytes`, of which `missing` are to come.
    fn planned(&self, bytes: u64, missing: u64);
    /// A file of `size` bytes begins, `have` of which are there; once more where it has to be fetched again.
    fn began(&self, file: &str, size: u64, have: u64);
    /// Bytes of a file came.
    fn received(&self, file: &str, bytes: u64);
    /// A file of `size` bytes is there.
    fn ended(&self, file: &str, size: u64);
    /// Something takes longer, and why.
    fn said(&self, text: &str);
    /// Whether somebody wants an end.
    fn is_stopped(&self) -> bool;
}

/// A model that is in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// The commit that it is at.
    pub commit: String,
    /// Its snapshot, or its GGUF file.
    pub path: PathBuf,
    /// What fetching it took, where anything was fetched.
    pub fetched: Option<Fetched>,
}

/// What fetching took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes of files that came, those that came twice counted twice.
    pub bytes: u64,
    /// From the first question to the last link.
    pub time: Duration,
}

/// What a download would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The commit that the revision is at.
    pub commit: String,
    /// Files that the model needs.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of them that are to come.
    pub missing: u64,
    /// Bytes that are free for the cache, where the system says.
    pub available: Option<u64>,
}

/// What the cache has of a model.
struct Cached {
    provided: Provided,
    /// What is wrong with it.
    flaw: Option<String>,
}

/// What the cache has of `model`; nobody is asked.
fn cached(model: &Reference) -> Result<Option<Cached>, HubError> {
    let cache = cache::folder().ok_or(HubError::NoCacheFolder)?;
    let found = Repository::new(&cache, &model.id).find(model.revision.as_deref());
    let found = found.map(|(snapshot, commit)| (path_in(&snapshot, model), commit));
    Ok(found.filter(|(path, _)| path.exists()).map(|(path, commit)| {
        let flaw = match &model.file {
            Some(file) => integrity::check_weights(&path, file).err(),
            None => integrity::check(&path).err(),
        };
        Cached { provided: Provided { commit, path, fetched: None }, flaw }
    }))
}

/// The model, from the cache where it is whole, else from the hub.
///
/// A whole model in the cache is taken as it is: whether its branch has moved on is not asked. Without the network, so is
/// one with flaws.
///
/// # Errors
///
/// When it is nowhere, or cannot be fetched.
pub fn provide(
    model: &Reference,
    network: Network,
    watch: &dyn Watch,
) -> Result<Provided, HubError> {
    match (cached(model)?, network) {
        (Some(Cached { provided, .. }), Network::Forbidden)
        | (Some(Cached { provided, flaw: None }), Network::Allowed) => Ok(provided),
        (None, Network::Allowed) => pull(model, watch),
        (Some(Cached { provided, flaw: Some(flaw) }), Network::Allowed) => {
            pull(model, watch).or_else(|error| {
                // What can be loaded is better than nothing.
                let is_loadable =
                    model.file.is_none() && integrity::check_loadable(&provided.path).is_ok();
                if !is_loadable || !error.is_io() {
                    return Err(error);
                }
                watch.said(&format!("{error}; what is cached is taken, though {flaw}"));
                Ok(provided)
            })
        }
        (None, Network::Forbidden) => {
            Err(HubError::NotCached { model: model.to_string(), near: cache::near(&model.id) })
        }
    }
}

/// The model as the hub has it now; only what is missing is fetched.
///
/// # Errors
///
/// When it cannot be fetched, or is no whole model.
pub fn pull(model: &Reference, watch: &dyn Watch) -> Result<Provided, HubError> {
    let began = Instant::now();
    with_download(model, watch, |download| {
        let missing = download.missing();
        download.check_room()?;
        watch.planned(download.files.iter().map(|file| file.size).sum(), missing);
        let bytes = download.run()?;
        let path = path_in(&download.repository.snapshot(download.commit), model);
        let checked = match &model.file {
            Some(file) => integrity::check_weights(&path, file),
            None => integrity::check_shards(&path),
        };
        checked.map_err(|reason| HubError::Damaged { id: model.id.clone(), reason })?;
        let fetched = Fetched { bytes, time: began.elapsed() };
        let fetched = (bytes > 0).then_some(fetched);
        Ok(Provided { commit: download.commit.to_owned(), path, fetched })
    })
}

/// What [`pull`] would fetch; nothing is written.
///
/// # Errors
///
/// When the hub does not have it.
pub fn preview(model: &Reference, watch: &dyn Watch) -> Result<Preview, HubError> {
    with_download(model, watch, |download| {
        Ok(Preview {
            commit: download.commit.to_owned(),
            files: download.files.len(),
            bytes: download.files.iter().map(|file| file.size).sum(),
            missing: download.missing(),
            available: download::free(download.repository.root()),
        })
    })
}

/// Asks the hub what `model` is made of.
fn with_download<T>(
    model: &Reference,
    watch: &dyn Watch,
    then: impl FnOnce(&Download<'_>) -> Result<T, HubError>,
) -> Result<T, HubError> {
    let hub = Hub::connect()?;
    let commit = hub.commit(model, watch)?;
    let entries = hub.list(model, &commit, watch)?;
    let files = listing::wanted(&model.id, model.file.as_deref(), &entries)?;
    let repository = Repository::new(&hub.settings.cache, &model.id);
    then(&Download {
        hub: &hub,
        model,
        commit: &commit,
        repository: &repository,
        files: &files,
        watch,
    })
}

fn path_in(snapshot: &Path, model: &Reference) -> PathBuf {
    model.file.as_ref().map_or_else(|| snapshot.to_owned(), |file| snapshot.join(file))
}
