//! Files of a commit are fetched into the cache: several at once, resumed, checked, then linked.

use std::{
    collections::VecDeque,
    fs,
    io::Read,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::{
    HubError, Watch,
    cache::Repository,
    client::Hub,
    listing::Listed,
    lock::Lock,
    partial::{BUFFER, Finished, Partial},
    reference::Reference,
    retry::{Setback, pause},
};

/// Files that are fetched at once.
const WORKERS: usize = 4;

/// The files of one commit, and where they go.
pub(super) struct Download<'a> {
    pub(super) hub: &'a Hub,
    pub(super) model: &'a Reference,
    pub(super) commit: &'a str,
    pub(super) repository: &'a Repository,
    pub(super) files: &'a [Listed],
    pub(super) watch: &'a dyn Watch,
}

impl Download<'_> {
    /// Bytes that are still to come.
    pub(super) fn missing(&self) -> u64 {
        self.files.iter().map(|file| missing(self.repository, file)).sum()
    }

    /// Refuses a download that there is no room for.
    pub(super) fn check_room(&self) -> Result<(), HubError> {
        let needed = self.missing();
        match free(self.repository.root()) {
            Some(available) if needed > available => {
                Err(HubError::NoRoom { id: self.model.id.clone(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// Fetches what is missing and links everything; gives the number of bytes that came.
    pub(super) fn run(&self) -> Result<u64, HubError> {
        self.repository.prepare()?;
        let queue: Mutex<VecDeque<&Listed>> = Mutex::new(self.files.iter().collect());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let received = AtomicU64::new(0);
        let has_failed = AtomicBool::new(false);
        let work = || -> Result<(), HubError> {
            while let Some(file) = next() {
                let transfer =
                    Transfer { all: self, file, received: &received, has_failed: &has_failed };
                transfer.run().inspect_err(|_| has_failed.store(true, Ordering::SeqCst))?;
            }
            Ok(())
        };
        let results: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut errors = Vec::new();
        for result in results {
            match result {
                Ok(result) => errors.extend(result.err()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        // Workers that were stopped by the failure of another have nothing to tell.
        errors.sort_by_key(|error| matches!(error, HubError::Interrupted));
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        for file in self.files {
            self.repository.link(self.commit, &file.name, file.digest.etag())?;
        }
        self.repository.note(self.model.revision.as_deref().unwrap_or("main"), self.commit)?;
        Ok(received.into_inner())
    }
}

/// One file on its way.
struct Transfer<'a> {
    all: &'a Download<'a>,
    file: &'a Listed,
    received: &'a AtomicU64,
    has_failed: &'a AtomicBool,
}

impl Transfer<'_> {
    fn run(&self) -> Result<(), HubError> {
        let (repository, watch) = (self.all.repository, self.all.watch);
        let etag = self.file.digest.etag();
        let blob = repository.blob(etag);
        if is_whole(&blob, self.file) {
            watch.ended(&self.file.name, self.file.size);
            return Ok(());
        }
        let what = format!("`{}` of `{}`", self.file.name, self.all.model.id);
        let _lock = Lock::take(&repository.lock(etag), &what, watch)?;
        // Whoever had the lock may have done it all.
        if is_whole(&blob, self.file) {
            watch.ended(&self.file.name, self.file.size);
            return Ok(());
        }
        let path = repository.incomplete(etag);
        let mut reasons = Vec::new();
        while reasons.len() < 2 {
            let mut partial = Partial::open(&path, self.file)?;
            watch.began(&self.file.name, self.file.size, partial.have());
            self.fill(&mut partial)?;
            match partial.finish(self.file, &blob)? {
                Finished::Right => {
                    watch.ended(&self.file.name, self.file.size);
                    return Ok(());
                }
                Finished::Wrong(reason) => {
                    watch.said(&format!("{what} arrived wrong: {reason}"));
                    reasons.push(reason);
                }
            }
        }
        Err(HubError::Corrupt {
            id: self.all.model.id.clone(),
            file: self.file.name.clone(),
            reason: reasons.pop().unwrap_or_default(),
        })
    }

    /// Fetches until all is there, or until the hub has no more.
    fn fill(&self, partial: &mut Partial) -> Result<(), HubError> {
        let mut failures = 0;
        while partial.lack() > 0 {
            let before = partial.have();
            match self.stretch(partial) {
                Ok(()) if partial.have() > before => failures = 0,
                // The answer was whole and had nothing for us: the file is shorter than was promised.
                Ok(()) => return Ok(()),
                // What moves on may go on at once.
                Err(Setback::Passing { pause: None, .. }) if partial.have() > before => {
                    failures = 0;
                }
                Err(setback) => {
                    failures += 1;
                    pause(setback, failures, self.all.watch)?;
                }
            }
        }
        Ok(())
    }

    /// Fetches from where we are, as far as one answer goes.
    fn stretch(&self, partial: &mut Partial) -> Result<(), Setback> {
        let (all, name) = (self.all, &self.file.name);
        let from = partial.have();
        let answer = match all.hub.stretch(all.model, all.commit, name, from) {
            // 416: there is nothing from there on.
            Err(Setback::Final(HubError::Status { status: 416, .. })) if from > 0 => return Ok(()),
            answer => answer?,
        };
        if answer.from != from {
            partial.restart(self.file).map_err(Setback::Final)?;
            all.watch.began(name, self.file.size, 0);
        }
        let mut body = answer.body;
        let mut buffer = vec![0; BUFFER];
        while partial.lack() > 0 {
            if all.watch.is_stopped() || self.has_failed.load(Ordering::SeqCst) {
                return Err(Setback::Final(HubError::Interrupted));
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(all.hub.broken(&error, &format!("`{name}`"))),
            };
            partial.push(buffer.get(..count).unwrap_or_default()).map_err(Setback::Final)?;
            self.received.fetch_add(count as u64, Ordering::SeqCst);
            all.watch.received(name, count as u64);
        }
        Ok(())
    }
}

/// Whether the blob at `path` is there; what has its final name was checked before.
fn is_whole(path: &Path, file: &Listed) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == file.size)
}

/// Bytes of `file` that are still to come.
fn missing(repository: &Repository, file: &Listed) -> u64 {
    let etag = file.digest.etag();
    if is_whole(&repository.blob(etag), file) {
        return 0;
    }
    let have = fs::metadata(repository.incomplete(etag)).map_or(0, |metadata| metadata.len());
    file.size.checked_sub(have).unwrap_or(file.size)
}

/// Bytes that this user may still write where `folder` is or will be.
pub(super) fn free(folder: &Path) -> Option<u64> {
    let existing = folder.ancestors().find(|folder| folder.exists())?;
    let system = rustix::fs::statvfs(existing).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}
