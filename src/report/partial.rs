//! What a run has measured and not published yet, kept beside its report until it ends.
//!
//! A run that is killed loses no repetition that ended: the next one reads this file. A line of the report names its run
//! and its configuration, so what was published already is found in the report itself.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::identity::sha256;
use crate::measure::{stop_answers::MISBEHAVED, trial::Trial};

/// Runs that may be on their way at one report, or left unfinished there.
const MOST: u32 = 100;

/// How long one is waited for that somebody has.
const PATIENCE: Duration = Duration::from_secs(2);

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// The first one: which run this is.
    Run(String),
    /// A measured repetition.
    Trial { configuration: String, trial: Box<Trial> },
}

/// The file of a run on its way; others keep away from it as long as this lives.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
    run: String,
}

/// What an unfinished run left.
#[derive(Debug, Default)]
pub struct Left {
    /// Measured repetitions by their configuration, in order.
    pub trials: HashMap<String, Vec<Trial>>,
    /// What was published and was not interrupted, by its configuration: the name of its test, and whether it failed.
    pub published: HashMap<String, Published>,
}

/// A line that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The name of its test.
    pub test: String,
    /// Whether it failed.
    pub has_failed: bool,
    /// Whether its stop tokens misbehaved, and nothing else.
    pub has_misbehaved: bool,
}

impl Partial {
    /// Begins the file of a new run that writes to `report`.
    ///
    /// # Errors
    ///
    /// When it cannot be made, locked or written.
    pub fn begin(report: &Path) -> io::Result<Self> {
        for path in paths(report) {
            let Some(file) = locked(&path)? else { continue };
            if file.metadata()?.len() > 0 {
                continue; // An unfinished run left it.
            }
            let mut partial = Self { path, file, run: new_run() };
            partial.append(&Entry::Run(partial.run.clone()))?;
            return Ok(partial);
        }
        Err(io::Error::other("too many runs were left unfinished"))
    }

    /// Goes on with the first run that was left unfinished at `report`; none where there is none.
    ///
    /// # Errors
    ///
    /// When it, or the report, cannot be read.
    pub fn resume(report: &Path) -> io::Result<Option<(Self, Left)>> {
        for path in paths(report).take_while(|path| path.exists()) {
            let Some(file) = locked_soon(&path)? else { continue };
            let mut run = None;
            let mut trials: HashMap<String, Vec<Trial>> = HashMap::new();
            for line in BufReader::new(&file).lines() {
                // A line that was torn, or begins after one, tells of a repetition that has to be measured again.
                match serde_json::from_str(&line?) {
                    Ok(Entry::Run(id)) => run = Some(id),
                    Ok(Entry::Trial { configuration, trial }) => {
                        trials.entry(configuration).or_default().push(*trial);
                    }
                    Err(_) => {}
                }
            }
            let Some(run) = run else { continue };
            let published = published(report, &run)?;
            let mut partial = Self { path, file, run };
            // Ends what may be torn.
            partial.file.write_all(b"\n")?;
            return Ok(Some((partial, Left { trials, published })));
        }
        Ok(None)
    }

    /// Whether a run was left unfinished at `report`.
    pub fn is_left(report: &Path) -> bool {
        let is_left = |path: &PathBuf| {
            let file = locked(path).ok().flatten();
            file.and_then(|file| file.metadata().ok()).is_some_and(|metadata| metadata.len() > 0)
        };
        paths(report).take_while(|path| path.exists()).any(|path| is_left(&path))
    }

    /// The id of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Keeps a measured repetition; it is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep(&mut self, configuration: &str, trial: &Trial) -> io::Result<()> {
        let configuration = configuration.to_owned();
        self.append(&Entry::Trial { configuration, trial: Box::new(trial.clone()) })
    }

    /// Removes the file: all is published.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}

/// Where such a file may lie.
fn paths(report: &Path) -> impl Iterator<Item = PathBuf> {
    let path = move |ending: String| {
        let mut path = OsString::from(report);
        path.push(ending);
        PathBuf::from(path)
    };
    let first = path(".partial".to_owned());
    std::iter::once(first).chain((2..=MOST).map(move |n| path(format!(".partial-{n}"))))
}

/// The file at `path`, made where it is not there; none where another run has it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it may have removed it in between.
        let is_there = fs::metadata(path).is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        });
        if is_there {
            return Ok(Some(file));
        }
    }
}

/// The same with some patience: a run that was just killed may have been about to start a child, which has its files for
/// a moment more.
fn locked_soon(path: &Path) -> io::Result<Option<File>> {
    let began = Instant::now();
    loop {
        match locked(path)? {
            None if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            file => return Ok(file),
        }
    }
}

/// An id that no other run has.
fn new_run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let id = sha256(format!("{now} {}", process::id()).as_bytes());
    id.get(..16).unwrap_or(&id).to_owned()
}

/// What matters of a line that this program wrote.
#[derive(Deserialize)]
struct OwnLine {
    test: String,
    outcome: String,
    metadata: OwnMetadata,
}

#[derive(Deserialize)]
struct OwnMetadata {
    mlxk_harness: OwnMark,
}

#[derive(Deserialize)]
struct OwnMark {
    run: String,
    configuration_sha256: String,
    failure: Option<OwnEnd>,
    skip: Option<OwnEnd>,
}

/// Why a cell was not measured.
#[derive(Deserialize)]
struct OwnEnd {
    kind: String,
}

/// The lines of `run` in `report` that were not interrupted, by their configuration.
fn published(report: &Path, run: &str) -> io::Result<HashMap<String, Published>> {
    let file = match File::open(report) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let mut published = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        // What others wrote may be anything.
        let Ok(OwnLine { test, outcome, metadata }) = serde_json::from_slice(&line?) else {
            continue;
        };
        let OwnMark { run: own, configuration_sha256, failure, skip } = metadata.mlxk_harness;
        let kind = failure.or(skip).map(|end: OwnEnd| end.kind);
        let is_interrupted = kind.as_deref() == Some("interrupted");
        if own == run && !is_interrupted {
            let has_misbehaved = kind.as_deref() == Some(MISBEHAVED);
            let has_failed = outcome == "failed" && !has_misbehaved;
            published.insert(configuration_sha256, Published { test, has_failed, has_misbehaved });
        }
    }
    Ok(published)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(run: &str, configuration: &str, failure: Option<&str>) -> String {
        let failure = failure.map(|kind| json!({"kind": kind}));
        let own = json!({"run": run, "configuration_sha256": configuration, "failure": failure});
        let outcome = if failure.is_none() { "passed" } else { "failed" };
        json!({"test": "t", "outcome": outcome, "metadata": {"mlxk_harness": own}}).to_string()
    }

    #[test]
    fn repetitions_outlive_their_run_and_a_torn_line_is_no_repetition() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.jsonl");
        assert!(Partial::resume(&report).unwrap().is_none());
        let mut partial = Partial::begin(&report).unwrap();
        let run = partial.run().to_owned();
        let trial = Trial::with_stamps(vec![1, 2]);
        partial.keep("a", &trial).unwrap();
        partial.file.write_all(b"{\"trial\": {\"conf").unwrap();
        drop(partial);
        assert!(Partial::is_left(&report));
        let (mut partial, left) = Partial::resume(&report).unwrap().unwrap();
        assert_eq!(partial.run(), run);
        assert_eq!(left.trials["a"], std::slice::from_ref(&trial));
        partial.keep("a", &trial).unwrap();
        drop(partial);
        let (partial, left) = Partial::resume(&report).unwrap().unwrap();
        assert_eq!(left.trials["a"].len(), 2);
        partial.end().unwrap();
        assert!(!Partial::is_left(&report));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_new_run_leaves_what_others_have_or_left() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.jsonl");
        drop(Partial::begin(&report).unwrap());
        let second = Partial::begin(&report).unwrap();
        let third = Partial::begin(&report).unwrap();
        assert!(second.path.ends_with("report.jsonl.partial-2"), "{}", second.path.display());
        assert!(third.path.ends_with("report.jsonl.partial-3"), "{}", third.path.display());
        // The first was left, the others are on their way.
        assert!(
            Partial::resume(&report).unwrap().unwrap().0.path.ends_with("report.jsonl.partial")
        );
    }

    #[test]
    fn what_was_published_is_found_unless_it_was_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("report.jsonl");
        let lines = [
            line("r", "a", None),
            line("other", "b", None),
            line("r", "c", Some("interrupted")),
            line("r", "d", Some("sigkill")),
            line("r", "e", Some("stop_tokens")),
            "{\"torn".to_owned(),
        ];
        fs::write(&report, lines.join("\n")).unwrap();
        let found = published(&report, "r").unwrap();
        let failed = |name: &str| found.get(name).map(|published| published.has_failed);
        assert_eq!(["a", "b", "c", "d"].map(failed), [Some(false), None, None, Some(true)]);
        assert!(found["e"].has_misbehaved && !found["e"].has_failed && !found["d"].has_misbehaved);
    }
}
