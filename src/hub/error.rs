//! Why a model of the hub is not here.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::sizes::size;

/// Why a model of the hub is not here.
///
/// No variant holds an address with its query, nor anything that was sent: a token is never told.
#[derive(Debug, Error)]
pub enum HubError {
    /// Not in the cache, and the network is not to be used.
    #[error("`{model}` is not in the local Hugging Face cache")]
    NotCached {
        /// What was asked for.
        model: String,
        /// Cached models with a name like it.
        near: Vec<String>,
    },
    /// There is neither `HF_HUB_CACHE` nor `HF_HOME` nor a home folder.
    #[error("there is no folder for the Hugging Face cache")]
    NoCacheFolder,
    /// `HF_ENDPOINT` or another setting is no use.
    #[error("{what} cannot be used: {reason}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// No answer at all.
    #[error("cannot reach `{host}`: {reason}")]
    Unreachable {
        /// The host, without user or path.
        host: String,
        /// What the system says.
        reason: String,
    },
    /// The other side went silent.
    #[error("`{host}` sent nothing for {seconds} s while {what} was fetched")]
    Stalled {
        /// The host.
        host: String,
        /// What was fetched.
        what: String,
        /// How long was waited.
        seconds: f64,
    },
    /// The connection broke again and again.
    #[error("the connection broke while {what} was fetched: {reason}")]
    Broken {
        /// What was fetched.
        what: String,
        /// What the system says.
        reason: String,
    },
    /// An answer that says no.
    #[error("the hub answers {status} for {what}")]
    Status {
        /// The status, such as `500`.
        status: u16,
        /// What was fetched.
        what: String,
    },
    /// Too many requests, also after waiting.
    #[error("the hub allows no more requests for now (429), asked for {what}")]
    RateLimited {
        /// What was fetched.
        what: String,
    },
    /// A licence is to be accepted first.
    #[error("`{id}` is gated: its licence has to be accepted first")]
    Gated {
        /// The model.
        id: String,
        /// Where it can be accepted.
        page: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The hub does not let this user in.
    #[error("the hub refuses `{id}` ({status})")]
    Refused {
        /// The model.
        id: String,
        /// 401 or 403.
        status: u16,
    },
    /// There is no such model, or none that this user may see.
    #[error("the hub has no model `{id}`, or it is private")]
    NoSuchModel {
        /// The model.
        id: String,
        /// Cached models with a name like it.
        near: Vec<String>,
    },
    /// There is no such branch, tag or commit.
    #[error("`{id}` has no revision `{revision}`")]
    NoSuchRevision {
        /// The model.
        id: String,
        /// The revision.
        revision: String,
    },
    /// There is no such file.
    #[error("`{id}` has no file `{file}`")]
    NoSuchFile {
        /// The model.
        id: String,
        /// The file.
        file: String,
        /// The GGUF files there are.
        known: Vec<String>,
    },
    /// Nothing in it that could be run.
    #[error("`{id}` has no `model*.safetensors`")]
    NoWeights {
        /// The model.
        id: String,
        /// The GGUF files there are.
        known: Vec<String>,
    },
    /// A name that leads out of the cache.
    #[error("`{id}` lists the file {name:?}, which could lead out of the cache")]
    HostileName {
        /// The model.
        id: String,
        /// The name.
        name: String,
    },
    /// An answer that cannot be understood.
    #[error("the hub's answer for {what} cannot be understood: {reason}")]
    Malformed {
        /// What was fetched.
        what: String,
        /// Why.
        reason: String,
    },
    /// More is to come than there is room for.
    #[error(
        "no room for `{id}`: {needed} bytes ({}) are to come and {available} bytes ({}) are free, {} bytes are missing",
        size(*needed),
        size(*available),
        needed.saturating_sub(*available)
    )]
    NoRoom {
        /// The model.
        id: String,
        /// Bytes that are to come.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The bytes are not those that the hub promised, twice.
    #[error("`{file}` of `{id}` arrived wrong twice: {reason}")]
    Corrupt {
        /// The model.
        id: String,
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The bytes are those that the hub has, and no model.
    #[error("`{id}` is damaged on the hub: {reason}")]
    Damaged {
        /// The model.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache cannot be written or read.
    #[error("cannot use `{}` of the Hugging Face cache", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody wanted an end.
    #[error("the download was interrupted")]
    Interrupted,
}

impl HubError {
    /// A stable name for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotCached { .. } => "not_cached",
            Self::NoCacheFolder => "no_cache_folder",
            Self::Setting { .. } => "hub_setting",
            Self::Unreachable { .. } => "hub_unreachable",
            Self::Stalled { .. } => "hub_stalled",
            Self::Broken { .. } => "hub_connection_broken",
            Self::Status { .. } => "hub_status",
            Self::RateLimited { .. } => "hub_rate_limited",
            Self::Gated { .. } => "hub_gated",
            Self::Refused { .. } => "hub_refused",
            Self::NoSuchModel { .. } => "hub_no_such_model",
            Self::NoSuchRevision { .. } => "hub_no_such_revision",
            Self::NoSuchFile { .. } => "hub_no_such_file",
            Self::NoWeights { .. } => "hub_no_weights",
            Self::HostileName { .. } => "hub_hostile_name",
            Self::Malformed { .. } => "hub_malformed",
            Self::NoRoom { .. } => "disk_full",
            Self::Corrupt { .. } => "hub_corrupt",
            Self::Damaged { .. } => "hub_damaged",
            Self::Cache { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "disk_full"
            }
            Self::Cache { .. } => "cache_unusable",
            Self::Interrupted => "interrupted",
        }
    }

    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotCached { near, .. } => Some(nearest(near).unwrap_or_else(|| {
                "leave out `--offline` and `HF_HUB_OFFLINE` to have it downloaded".to_owned()
            })),
            Self::NoCacheFolder => Some("set `HF_HOME`".to_owned()),
            Self::Unreachable { .. } => {
                Some("check the network, `HF_ENDPOINT` and the proxy's variables".to_owned())
            }
            Self::Stalled { .. } | Self::Broken { .. } | Self::Status { status: 500.., .. } => {
                Some("run it again: what has arrived is kept".to_owned())
            }
            Self::RateLimited { .. } => {
                Some("wait some minutes, or set `HF_TOKEN`: what has arrived is kept".to_owned())
            }
            Self::Gated { page, has_token: true, .. } => {
                Some(format!("accept it at {page} with the account of the token"))
            }
            Self::Gated { page, .. } => {
                Some(format!("accept it at {page}, then set `HF_TOKEN` or run `hf auth login`"))
            }
            Self::Refused { .. } => Some(
                "see that the token in `HF_TOKEN` or of `hf auth login` may read it".to_owned(),
            ),
            Self::NoSuchModel { near, .. } => Some(nearest(near).unwrap_or_else(|| {
                "check its name; for a private model set `HF_TOKEN` or run `hf auth login`"
                    .to_owned()
            })),
            Self::NoSuchFile { id, known, .. } | Self::NoWeights { id, known } => {
                let known: Vec<_> = known.iter().map(|file| format!("`{id}:{file}`")).collect();
                (!known.is_empty()).then(|| format!("ask for one of {}", known.join(", ")))
            }
            Self::NoRoom { .. } => {
                Some("free some room, or set `HF_HOME` to a folder on another disk".to_owned())
            }
            Self::Cache { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some room and run it again: what has arrived is kept".to_owned())
            }
            Self::Corrupt { .. } => {
                Some("a proxy may be changing what it hands on; run it again later".to_owned())
            }
            Self::Setting { .. }
            | Self::Status { .. }
            | Self::NoSuchRevision { .. }
            | Self::HostileName { .. }
            | Self::Malformed { .. }
            | Self::Damaged { .. }
            | Self::Cache { .. }
            | Self::Interrupted => None,
        }
    }

    /// Whether the network or the disk is to blame, and not what was asked for.
    pub fn is_io(&self) -> bool {
        matches!(
            self,
            Self::NoCacheFolder
                | Self::Setting { .. }
                | Self::Unreachable { .. }
                | Self::Stalled { .. }
                | Self::Broken { .. }
                | Self::Status { status: 500.., .. }
                | Self::RateLimited { .. }
                | Self::Malformed { .. }
                | Self::NoRoom { .. }
                | Self::Cache { .. }
        )
    }
}

fn nearest(near: &[String]) -> Option<String> {
    let near: Vec<_> = near.iter().map(|id| format!("`{id}`")).collect();
    let verb = if near.len() == 1 { "is" } else { "are" };
    (!near.is_empty()).then(|| {
        format!("did you mean {}? It {verb} in the local cache", near.join(" or "))
            .replace("It are", "They are")
    })
}
