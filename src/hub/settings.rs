//! What the environment says about the hub: address, token, patience, and whether it may be asked at all.

use std::{env, fmt, fs, path::PathBuf, time::Duration};

use reqwest::Url;

use super::{HubError, cache};

/// Whether the network may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Yes.
    Allowed,
    /// No: only what is cached.
    Forbidden,
}

impl Network {
    /// What `HF_HUB_OFFLINE` says, read as Python's client reads it.
    pub fn from_environment() -> Self {
        let is_offline = env::var("HF_HUB_OFFLINE").is_ok_and(|value| {
            matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
        });
        if is_offline { Self::Forbidden } else { Self::Allowed }
    }
}

/// A token. It shows itself to nobody but the hub.
#[derive(Clone)]
pub(super) struct Token(pub(super) String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token")
    }
}

/// What the environment says about the hub.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `HF_ENDPOINT`.
    pub(super) endpoint: Url,
    /// `HF_TOKEN`, else what a file says.
    pub(super) token: Option<Token>,
    /// The cache.
    pub(super) cache: PathBuf,
    /// How long the other side may be silent: `HF_HUB_DOWNLOAD_TIMEOUT`.
    pub(super) patience: Duration,
}

impl Settings {
    pub(super) fn read() -> Result<Self, HubError> {
        let text = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let endpoint = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host().is_some()
                && url.query().is_none()
        });
        let endpoint = endpoint.ok_or_else(|| HubError::Setting {
            what: "`HF_ENDPOINT`",
            reason: "it is no address that begins with `https://` or `http://`".to_owned(),
        })?;
        Ok(Self {
            endpoint,
            token: token(),
            cache: cache::folder().ok_or(HubError::NoCacheFolder)?,
            patience: patience()?,
        })
    }

    /// An address below the endpoint; each of `parts` becomes one part of it.
    pub(super) fn address<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut address = self.endpoint.clone();
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().extend(parts);
        }
        address
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// As Python's client finds it; `HF_HUB_DISABLE_IMPLICIT_TOKEN` keeps it at home.
fn token() -> Option<Token> {
    if text("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some() {
        return None;
    }
    let path =
        text("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(cache::home()?.join("token")));
    let stored = || fs::read_to_string(path?).ok();
    let token = text("HF_TOKEN").or_else(stored)?.trim().to_owned();
    // What could not stand in a header is none.
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then_some(Token(token))
}

fn patience() -> Result<Duration, HubError> {
    let Some(text) = text("HF_HUB_DOWNLOAD_TIMEOUT") else {
        return Ok(Duration::from_secs(10));
    };
    let seconds = text.trim().parse().ok().filter(|seconds: &f64| *seconds > 0.0);
    let patience = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    patience.ok_or_else(|| HubError::Setting {
        what: "`HF_HUB_DOWNLOAD_TIMEOUT`",
        reason: "it is no number of seconds above 0".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show_itself() {
        let settings = Settings {
            endpoint: Url::parse("https://localhost").unwrap(),
            token: Some(Token("hf_secret".to_owned())),
            cache: PathBuf::new(),
            patience: Duration::from_secs(1),
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn what_stands_in_an_address_cannot_change_it() {
        let settings = Settings {
            endpoint: Url::parse("https://localhost/hub/").unwrap(),
            token: None,
            cache: PathBuf::new(),
            patience: Duration::from_secs(1),
        };
        let address = settings.address(["org", "name", "resolve", "a/b", "c?d#e %.json"]);
        assert_eq!(
            address.as_str(),
            "https://localhost/hub/org/name/resolve/a%2Fb/c%3Fd%23e%20%25.json"
        );
    }
}
