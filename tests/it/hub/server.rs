//! A hub on loopback: the calls that the program makes, a second host for large files, and faults on demand.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The commit that every branch is at, to begin with.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub that can only be reached by proxy.
pub(crate) const PROXIED: &str = "http://hub.invalid";

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Only a status, and headers that each end in a line of their own.
    Status(u16, &'static str),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The connection goes silent after so many bytes of the body.
    Stall(usize),
    /// The first byte is another.
    Wrong,
    /// The body is whole and has only so many bytes.
    Short(usize),
    /// The body comes slowly.
    Slow,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `hub` or `store`.
    pub(crate) host: &'static str,
    pub(crate) path: String,
    /// The first byte that was asked for.
    pub(crate) from: usize,
    /// The byte after the last that was sent.
    pub(crate) to: usize,
    pub(crate) token: Option<String>,
}

struct File {
    name: String,
    bytes: Vec<u8>,
}

impl File {
    /// Large files are kept by their SHA-256 on the second host.
    fn is_large(&self) -> bool {
        [".safetensors", ".gguf"].iter().any(|ending| self.name.ends_with(ending))
    }

    fn etag(&self) -> String {
        let digest = if self.is_large() {
            Sha256::digest(&self.bytes).to_vec()
        } else {
            let header = format!("blob {}\0", self.bytes.len());
            Sha1::new_with_prefix(header).chain_update(&self.bytes).finalize().to_vec()
        };
        digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }
}

#[derive(Default)]
struct State {
    files: Vec<File>,
    /// In order; the first whose text is in a path is used up by it.
    faults: Vec<(String, Fault)>,
    seen: Vec<Seen>,
    commit: Option<String>,
    /// What the list says of a size, where it lies.
    claimed: Option<u64>,
    store: u16,
}

/// A hub on loopback with the one model `org/name`.
pub(crate) struct Hub {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self::on(0)
    }

    /// A hub on a port; 0 is any.
    pub(crate) fn on(port: u16) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let store = listen(0, "store", &state);
        state.lock().unwrap().store = store;
        let port = listen(port, "hub", &state);
        Self { state, port }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn file(self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.state.lock().unwrap().files.push(File { name: name.to_owned(), bytes: bytes.into() });
        self
    }

    /// The first answer to a path with `text` in it goes wrong; of several, one after the other.
    pub(crate) fn fault(self, text: &str, fault: Fault) -> Self {
        self.state.lock().unwrap().faults.push((text.to_owned(), fault));
        self
    }

    /// Every listed size is said to be this.
    pub(crate) fn claim(self, size: u64) -> Self {
        self.state.lock().unwrap().claimed = Some(size);
        self
    }

    /// The branch goes on to another commit.
    pub(crate) fn advance(&self, commit: &str) {
        self.state.lock().unwrap().commit = Some(commit.to_owned());
    }

    /// Whether there was a request to a path with `text` in it.
    pub(crate) fn is_asked(&self, text: &str) -> bool {
        self.state.lock().unwrap().seen.iter().any(|seen| seen.path.contains(text))
    }

    /// All requests so far, which are forgotten.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

fn listen(port: u16, host: &'static str, state: &Arc<Mutex<State>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, state) = (stream.unwrap(), Arc::clone(&state));
            thread::spawn(move || answer(stream, host, &state));
        }
    });
    port
}

struct Request {
    method: String,
    path: String,
    from: usize,
    token: Option<String>,
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut request = Request { method, path, from: 0, token: None };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "range" => {
                let value = value.strip_prefix("bytes=")?;
                request.from = value.split_once('-')?.0.parse().ok()?;
            }
            "authorization" => request.token = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

/// What is sent: the whole body is `body`, and the answer begins at `from`.
struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    from: usize,
}

fn answer(mut stream: TcpStream, host: &'static str, shared: &Arc<Mutex<State>>) {
    let Some(request) = read(&stream) else {
        return;
    };
    let (reply, fault, at) = {
        let mut state = shared.lock().unwrap();
        let at = state.seen.len();
        state.seen.push(Seen {
            host,
            path: request.path.clone(),
            from: request.from,
            to: request.from,
            token: request.token.clone(),
        });
        let large = request.path.contains("/resolve/") && host == "hub";
        let mut reply = reply(&state, host, &request);
        // A redirect has no body to go wrong.
        let found = state.faults.iter().position(|(text, fault)| {
            let is_whole = large && reply.status == 302 && !matches!(fault, Fault::Status(..));
            request.method == "GET" && !is_whole && request.path.contains(text)
        });
        let fault = found.map(|at| state.faults.remove(at).1);
        if let Some(Fault::Status(status, header)) = fault {
            reply = Reply { status, headers: header.to_owned(), body: Vec::new(), from: 0 };
        }
        (reply, fault, at)
    };
    let sent = send(&mut stream, &request, reply, fault);
    let mut state = shared.lock().unwrap();
    if let Some(seen) = state.seen.get_mut(at) {
        seen.to = seen.from + sent;
    }
}

fn send(stream: &mut TcpStream, request: &Request, reply: Reply, fault: Option<Fault>) -> usize {
    let Reply { status, headers, body, from } = reply;
    let mut rest = body.get(from..).unwrap_or_default().to_vec();
    let mut total = body.len();
    match fault {
        Some(Fault::Wrong) => rest.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        Some(Fault::Short(length)) => {
            rest.truncate(length.saturating_sub(from));
            total = length;
        }
        _ => {}
    }
    let status = if from > 0 && from >= total { 416 } else { status };
    let range = if status == 206 {
        format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1)
    } else {
        String::new()
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{range}{headers}\r\n",
        rest.len(),
    );
    if stream.write_all(head.as_bytes()).is_err() || request.method == "HEAD" {
        return 0;
    }
    let limit = match fault {
        Some(Fault::Cut(length) | Fault::Stall(length)) => length.min(rest.len()),
        _ => rest.len(),
    };
    let mut sent = 0;
    for piece in rest.get(..limit).unwrap_or_default().chunks(8192) {
        if stream.write_all(piece).is_err() {
            return sent;
        }
        sent += piece.len();
        if matches!(fault, Some(Fault::Slow)) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    if matches!(fault, Some(Fault::Stall(_))) {
        thread::sleep(Duration::from_secs(30));
    }
    sent
}

fn reply(state: &State, host: &str, request: &Request) -> Reply {
    let commit = state.commit.as_deref().unwrap_or(COMMIT);
    let path = request.path.split('?').next().unwrap_or_default();
    // As a proxy is asked.
    let path = path.strip_prefix(PROXIED).unwrap_or(path);
    let ok = |body: Vec<u8>, headers: String| Reply { status: 200, headers, body, from: 0 };
    let missing = |code: &str| Reply {
        status: 404,
        headers: format!("X-Error-Code: {code}\r\n"),
        body: Vec::new(),
        from: 0,
    };
    if host == "store" {
        let name = path.trim_start_matches("/store/");
        return match state.files.iter().find(|file| file.name == name) {
            // The second host has etags of its own.
            Some(file) => part(file.bytes.clone(), "ETag: \"other\"\r\n".to_owned(), request.from),
            None => missing("EntryNotFound"),
        };
    }
    if let Some(revision) = path.strip_prefix("/api/models/org/name/revision/") {
        let known = ["main", "v1", commit, COMMIT];
        if !known.contains(&revision) {
            return missing("RevisionNotFound");
        }
        let siblings: Vec<_> =
            state.files.iter().map(|file| json!({"rfilename": file.name})).collect();
        let info = json!({"_id": "1", "id": "org/name", "sha": commit, "siblings": siblings,
            "private": false, "gated": false, "tags": [], "downloads": 1, "likes": 0});
        return ok(info.to_string().into_bytes(), String::new());
    }
    if path.starts_with("/api/models/org/name/tree/") {
        let list: Vec<_> = state.files.iter().map(|file| listed(file, state.claimed)).collect();
        return ok(json!(list).to_string().into_bytes(), String::new());
    }
    let name = path.strip_prefix("/org/name/resolve/").and_then(|rest| rest.split_once('/'));
    let Some((_, name)) = name else {
        return missing("RepoNotFound");
    };
    let Some(file) = state.files.iter().find(|file| file.name == name) else {
        return missing("EntryNotFound");
    };
    let etag = file.etag();
    let length = file.bytes.len();
    if !file.is_large() {
        let headers = format!("ETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\n");
        return part(file.bytes.clone(), headers, request.from);
    }
    let headers = format!(
        "Location: http://127.0.0.1:{}/store/{name}\r\nETag: \"ignored\"\r\nX-Linked-Etag: \"{etag}\"\r\n\
         X-Linked-Size: {length}\r\nX-Repo-Commit: {commit}\r\n",
        state.store
    );
    Reply { status: 302, headers, body: Vec::new(), from: 0 }
}

fn part(body: Vec<u8>, headers: String, from: usize) -> Reply {
    let status = if from > 0 { 206 } else { 200 };
    Reply { status, headers, body, from }
}

fn listed(file: &File, claimed: Option<u64>) -> serde_json::Value {
    let size = claimed.unwrap_or(file.bytes.len() as u64);
    if file.is_large() {
        let large = json!({"oid": file.etag(), "size": size, "pointerSize": 134});
        json!({"type": "file", "path": file.name, "size": size, "oid": "f".repeat(40), "lfs": large})
    } else {
        json!({"type": "file", "path": file.name, "size": size, "oid": file.etag()})
    }
}
