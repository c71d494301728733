//! Questions to the hub, asked again where that can help.
//!
//! `hf_hub` is asked for the commit of a revision. It resumes nothing, verifies nothing and ignores `Retry-After`, so
//! files, and their list, are fetched here, with the client that it is built on.

use std::{error::Error, io::Read, time::Duration};

use hf_hub::{HFClient, HFError};
use reqwest::{
    StatusCode, Url,
    blocking::{Client, RequestBuilder, Response},
    header::{ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, LINK, RANGE},
};

use super::{
    HubError, Watch, cache,
    listing::Entry,
    reference::{Reference, is_commit},
    retry::{Setback, persist, retry_after},
    settings::Settings,
};

/// Bytes that a page of a list may have.
const LONGEST_PAGE: u64 = 64 << 20;
/// Pages that a list may have.
const MOST_PAGES: usize = 100;

/// What is sent from a certain byte on.
pub(super) struct Stretch {
    /// The first byte of `body` within the file.
    pub(super) from: u64,
    /// The rest of the file, from there.
    pub(super) body: Response,
}

/// Talks to the hub.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) settings: Settings,
    http: Client,
}

impl Hub {
    pub(super) fn connect() -> Result<Self, HubError> {
        let settings = Settings::read()?;
        // The time limit of a blocking client is one for the headers, and one for each piece of the body.
        let http = Client::builder()
            .user_agent(concat!("mlxk-harness/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.patience)
            .timeout(settings.patience)
            .build()
            .map_err(|error| unusable_client(&error))?;
        Ok(Self { settings, http })
    }

    /// The commit that `model` is at.
    pub(super) fn commit(&self, model: &Reference, watch: &dyn Watch) -> Result<String, HubError> {
        let revision = model.revision.as_deref().unwrap_or("main");
        if is_commit(revision) {
            return Ok(revision.to_owned());
        }
        let what = format!("revision `{revision}` of `{}`", model.id);
        let http = reqwest::Client::builder()
            .user_agent(concat!("mlxk-harness/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.settings.patience)
            .read_timeout(self.settings.patience)
            .build()
            .map_err(|error| unusable_client(&error))?;
        let mut client = HFClient::builder()
            .client(http)
            .endpoint(self.settings.endpoint.as_str())
            .cache_dir(&self.settings.cache)
            .retry_max_attempts(0);
        if let Some(token) = &self.settings.token {
            client = client.token(&token.0);
        }
        let malformed = |reason: String| HubError::Malformed { what: what.clone(), reason };
        let client = client.build_sync().map_err(|error| malformed(error.to_string()))?;
        let (owner, name) = hf_hub::split_id(&model.id);
        let repository = client.model(owner, name);
        let info = persist(watch, || {
            let answer = repository.info().revision(revision).send();
            answer.map_err(|error| self.hf_setback(error, model, &what))
        })?;
        let commit = info.sha.filter(|commit| is_commit(commit));
        commit.ok_or_else(|| malformed("there is no commit in it".to_owned()))
    }

    /// All files and folders of `model` at `commit`.
    pub(super) fn list(
        &self,
        model: &Reference,
        commit: &str,
        watch: &dyn Watch,
    ) -> Result<Vec<Entry>, HubError> {
        let what = format!("the files of `{}`", model.id);
        let malformed = |reason: String| HubError::Malformed { what: what.clone(), reason };
        let (owner, name) = hf_hub::split_id(&model.id);
        let mut address = self.settings.address(["api", "models", owner, name, "tree", commit]);
        address.set_query(Some("recursive=true"));
        let mut entries = Vec::new();
        for _ in 0..MOST_PAGES {
            let (page, next) = persist(watch, || {
                let response = self.send(self.http.get(address.clone()), &what, model)?;
                let next = next_page(response.headers());
                let mut page = Vec::new();
                let read = response.take(LONGEST_PAGE + 1).read_to_end(&mut page);
                read.map_err(|error| self.broken(&error, &what))?;
                Ok((page, next))
            })?;
            if page.len() as u64 > LONGEST_PAGE {
                return Err(malformed("it is too long".to_owned()));
            }
            let page: Vec<Entry> =
                serde_json::from_slice(&page).map_err(|error| malformed(error.to_string()))?;
            entries.extend(page);
            match next {
                None => return Ok(entries),
                // The token must not follow a link to somebody else.
                Some(next) if next.origin() == self.settings.endpoint.origin() => address = next,
                Some(_) => return Err(malformed("its next page is elsewhere".to_owned())),
            }
        }
        Err(malformed("it has too many pages".to_owned()))
    }

    /// The bytes of the file `name` at `commit`, from the byte `from` on, or from the first where the hub wants that.
    ///
    /// The etag is not sent along: the content of a commit never changes, the second host has etags of its own, and what
    /// has arrived is hashed.
    pub(super) fn stretch(
        &self,
        model: &Reference,
        commit: &str,
        name: &str,
        from: u64,
    ) -> Result<Stretch, Setback> {
        let (owner, repository) = hf_hub::split_id(&model.id);
        let parts = [owner, repository, "resolve", commit].into_iter().chain(name.split('/'));
        let mut request = self.http.get(self.settings.address(parts));
        request = request.header(ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let body = self.send(request, &format!("`{name}`"), model)?;
        let is_rest = body.status() == StatusCode::PARTIAL_CONTENT
            && range_start(body.headers()) == Some(from);
        if is_rest || from == 0 {
            return Ok(Stretch { from, body });
        }
        Ok(Stretch { from: 0, body })
    }

    /// Sends `request` with the token, which `reqwest` takes off again where a redirect leads to another host.
    fn send(
        &self,
        request: RequestBuilder,
        what: &str,
        model: &Reference,
    ) -> Result<Response, Setback> {
        let request = match &self.settings.token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        };
        let response = request.send().map_err(|error| self.transport(&error, what))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        let pause = retry_after(response.headers());
        Err(self.refusal(status, code, pause, &Question { model, what }))
    }

    fn refusal(
        &self,
        status: StatusCode,
        code: Option<&str>,
        pause: Option<Duration>,
        question: &Question<'_>,
    ) -> Setback {
        let (id, what) = (question.model.id.clone(), question.what.to_owned());
        let missing = || HubError::NoSuchModel { near: cache::near(&id), id: id.clone() };
        let has_token = self.settings.token.is_some();
        let number = status.as_u16();
        let error = match (number, code) {
            (408 | 500.., _) => {
                return Setback::Passing {
                    error: HubError::Status { status: number, what },
                    pause,
                };
            }
            (429, _) => return Setback::Passing { error: HubError::RateLimited { what }, pause },
            (401 | 403, Some("GatedRepo")) => {
                let (owner, name) = hf_hub::split_id(&id);
                let page = self.settings.address([owner, name]).to_string();
                HubError::Gated { id, page, has_token }
            }
            (401 | 404, Some("RepoNotFound")) => missing(),
            // The hub does not tell strangers what is private and what is not there.
            (401, _) if !has_token => missing(),
            (401 | 403, _) => HubError::Refused { id, status: number },
            (404, Some("EntryNotFound")) => HubError::Status { status: number, what },
            (404, _) => match (&question.model.revision, code) {
                (Some(revision), _) => HubError::NoSuchRevision { id, revision: revision.clone() },
                (None, Some("RevisionNotFound")) => {
                    HubError::NoSuchRevision { id, revision: "main".to_owned() }
                }
                (None, _) => missing(),
            },
            _ => HubError::Status { status: number, what },
        };
        Setback::Final(error)
    }

    /// What `hf_hub` says, in our words: its own tell addresses.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open: more may come")]
    fn hf_setback(&self, error: HFError, model: &Reference, what: &str) -> Setback {
        let question = Question { model, what };
        let (context, pause) = match error {
            HFError::RateLimited { retry_after, context } => (Some(context), retry_after),
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context } => (Some(context), None),
            HFError::RepoNotFound { context, .. }
            | HFError::RevisionNotFound { context, .. }
            | HFError::EntryNotFound { context, .. } => (context, None),
            HFError::Request { source, .. } => return self.transport(&source, what),
            other => {
                let reason = other.to_string();
                return Setback::Final(HubError::Malformed { what: what.to_owned(), reason });
            }
        };
        match context {
            Some(context) => {
                self.refusal(context.status, context.error_code.as_deref(), pause, &question)
            }
            None => self.refusal(StatusCode::NOT_FOUND, None, pause, &question),
        }
    }

    fn transport(&self, error: &reqwest::Error, what: &str) -> Setback {
        let host = error.url().unwrap_or(&self.settings.endpoint).host_str().unwrap_or_default();
        let (host, what) = (host.to_owned(), what.to_owned());
        let reason = root_cause(error);
        let error = if error.is_connect() {
            HubError::Unreachable { host, reason }
        } else if error.is_timeout() {
            HubError::Stalled { host, what, seconds: self.settings.patience.as_secs_f64() }
        } else if error.is_decode() {
            return Setback::Final(HubError::Malformed { what, reason });
        } else {
            HubError::Broken { what, reason }
        };
        Setback::Passing { error, pause: None }
    }

    /// What became of a body that could not be read to its end.
    pub(super) fn broken(&self, error: &std::io::Error, what: &str) -> Setback {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>());
        let is_stalled = inner.is_some_and(reqwest::Error::is_timeout)
            || error.kind() == std::io::ErrorKind::TimedOut;
        let what = what.to_owned();
        let error = if is_stalled {
            let host = inner.and_then(reqwest::Error::url).unwrap_or(&self.settings.endpoint);
            let host = host.host_str().unwrap_or_default().to_owned();
            HubError::Stalled { host, what, seconds: self.settings.patience.as_secs_f64() }
        } else {
            HubError::Broken { what, reason: root_cause(error) }
        };
        Setback::Passing { error, pause: None }
    }
}

/// What was asked about whom.
struct Question<'a> {
    model: &'a Reference,
    what: &'a str,
}

/// The first byte of a part, and `bytes 5-9/10` begins with 5.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    text.split_once('-')?.0.trim().parse().ok()
}

fn next_page(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Url::parse(next.split_once('<')?.1.split_once('>')?.0).ok()
}

/// The last of an error's causes, which names no address.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<reqwest::Error>() {
        Some(_) => "the answer was cut".to_owned(),
        None => cause.to_string(),
    }
}

fn unusable_client(error: &reqwest::Error) -> HubError {
    HubError::Setting { what: "the HTTP client", reason: root_cause(error) }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(name: reqwest::header::HeaderName, text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(text))])
    }

    #[test]
    fn a_part_tells_where_it_begins() {
        assert_eq!(range_start(&headers(CONTENT_RANGE, "bytes 5-9/10")), Some(5));
        assert_eq!(range_start(&headers(CONTENT_RANGE, "bytes */10")), None);
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let text = "<http://a/b?p=1>; rel=\"first\", <http://a/b?p=2>; rel=\"next\"";
        assert_eq!(next_page(&headers(LINK, text)).unwrap().as_str(), "http://a/b?p=2");
        assert_eq!(next_page(&headers(LINK, "<http://a/b>; rel=\"first\"")), None);
    }
}
