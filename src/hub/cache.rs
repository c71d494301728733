//! The hub's cache on this machine, as Python's `huggingface_hub` lays it out.
//!
//! ```text
//! models--org--name/blobs/<etag>                 a file by its content; `.incomplete` until it is whole and right
//! models--org--name/snapshots/<commit>/<name>    a link to a blob
//! models--org--name/refs/<branch>                the commit that the branch was at
//! .locks/models--org--name/<etag>.lock           held while a blob is fetched
//! ```

use std::{
    env, fs,
    io::{self, Write},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
};

use super::{
    HubError,
    reference::{is_inside, is_revision},
};

/// The hub cache: `HF_HUB_CACHE`, else `hub` below `HF_HOME`, else below the user's cache folder.
pub fn folder() -> Option<PathBuf> {
    variable("HF_HUB_CACHE").or_else(|| Some(home()?.join("hub")))
}

/// `HF_HOME`, else `huggingface` below the user's cache folder.
pub fn home() -> Option<PathBuf> {
    variable("HF_HOME").or_else(|| {
        let cache = variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
        Some(cache.join("huggingface"))
    })
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The ids of all models of which the cache has a folder, sorted.
pub fn ids() -> Vec<String> {
    let entries = folder().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<_> = names
        .filter_map(|name| Some(name.strip_prefix("models--")?.replacen("--", "/", 1)))
        .collect();
    ids.sort();
    ids
}

/// Cached models with a name like `id`, at most three, the likeliest first.
pub fn near(id: &str) -> Vec<String> {
    let likeness = |other: &str| strsim::jaro_winkler(&id.to_lowercase(), &other.to_lowercase());
    let mut near: Vec<_> = ids()
        .into_iter()
        .filter(|other| other != id)
        .map(|other| (likeness(&other), other))
        .filter(|(likeness, _)| *likeness > 0.85)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(3).map(|(_, id)| id).collect()
}

/// The folders of one model in the cache; none of them need be there.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
    locks: PathBuf,
}

impl Repository {
    /// That of the model `id` in the cache at `cache`.
    pub fn new(cache: &Path, id: &str) -> Self {
        let name = format!("models--{}", id.replace('/', "--"));
        Self { locks: cache.join(".locks").join(&name), root: cache.join(name) }
    }

    /// The folder of everything of the model but its locks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The snapshot of `revision` (else of `main`, else the only one) and its commit.
    pub fn find(&self, revision: Option<&str>) -> Option<(PathBuf, String)> {
        let commit = match revision {
            Some(revision) => self.commit(revision).unwrap_or_else(|| revision.to_owned()),
            None => self.commit("main").or_else(|| only_entry(&self.root.join("snapshots")))?,
        };
        let path = self.snapshot(&commit);
        // A revision such as `..` must not lead out of the folder.
        let inside = is_inside(&commit) && !commit.contains('/');
        (inside && path.is_dir()).then_some((path, commit))
    }

    /// The commit that `refs` has for a branch or tag.
    pub fn commit(&self, revision: &str) -> Option<String> {
        let path = is_revision(revision).then(|| self.root.join("refs").join(revision))?;
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Makes the folders that a download needs.
    pub(super) fn prepare(&self) -> Result<(), HubError> {
        let blobs = self.root.join("blobs");
        [&blobs, &self.locks].into_iter().try_for_each(|folder| {
            fs::create_dir_all(folder)
                .map_err(|source| HubError::Cache { path: folder.clone(), source })
        })
    }

    /// Makes `name` of the snapshot `commit` a link to the blob `etag`; at no moment is it anything else.
    ///
    /// `name` was checked to stay inside.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(name);
        let unusable = |source| HubError::Cache { path: pointer.clone(), source };
        let up = "../".repeat(name.matches('/').count() + 2);
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        if fs::read_link(&pointer).is_ok_and(|old| old == target) {
            return Ok(());
        }
        let folder = pointer.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(unusable)?;
        let draft = folder.join(format!(".{etag}.{}.link", process::id()));
        let placed = symlink(&target, &draft).and_then(|()| fs::rename(&draft, &pointer));
        placed.map_err(|source| {
            // It may not be there; there is nothing else to do about it.
            let _ = fs::remove_file(&draft);
            unusable(source)
        })
    }

    /// Notes that `revision`, where it is no commit, is at `commit`.
    pub(super) fn note(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        let folder = path.parent().unwrap_or(&self.root);
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let draft = folder.join(format!(".{}.ref", process::id()));
            fs::File::create(&draft)?.write_all(commit.as_bytes())?;
            fs::rename(draft, &path)
        };
        write().map_err(|source| HubError::Cache { path: path.clone(), source })
    }
}

fn only_entry(folder: &Path) -> Option<String> {
    let mut names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    match (names.next(), names.next()) {
        (Some(only), None) => only.into_string().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_found_by_reference_or_commit() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), "org/name");
        let model = cache.path().join("models--org--name");
        for commit in ["abc", "def"] {
            fs::create_dir_all(model.join("snapshots").join(commit)).unwrap();
        }
        let found = |revision| repository.find(revision).map(|(_, commit)| commit);
        assert_eq!(found(None), None, "two snapshots and no `main`");
        repository.note("main", "def").unwrap();
        assert_eq!(fs::read_to_string(model.join("refs/main")).unwrap(), "def");
        assert_eq!(found(None).as_deref(), Some("def"));
        assert_eq!(found(Some("abc")).as_deref(), Some("abc"));
        assert_eq!(found(Some("ghi")), None);
        assert_eq!(found(Some("..")), None);
        assert_eq!(found(Some("../../etc")), None);
    }

    #[test]
    fn a_link_leads_to_its_blob_from_every_depth() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), "org/name");
        repository.prepare().unwrap();
        fs::write(repository.blob("e1"), "one").unwrap();
        fs::write(repository.blob("e2"), "two").unwrap();
        for (name, etag) in [("a", "e1"), ("b/c/d", "e1"), ("a", "e2"), ("a", "e2")] {
            repository.link("abc", name, etag).unwrap();
        }
        let text = |name: &str| fs::read_to_string(repository.snapshot("abc").join(name)).unwrap();
        assert_eq!((text("a").as_str(), text("b/c/d").as_str()), ("two", "one"));
        let target = fs::read_link(repository.snapshot("abc").join("b/c/d")).unwrap();
        assert_eq!(target, Path::new("../../../../blobs/e1"));
    }
}
