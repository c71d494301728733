//! `models.toml` as it is written: every key known, every value of its type and in its range.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Choices, Source};

mod field;
mod problem;
mod tables;

pub use field::{Place, Written};
pub use problem::Problem;

/// A manifest as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What `[defaults]` says about every model.
    pub defaults: Choices,
    /// `schema` of `[defaults]`: the version of the lines to write.
    pub schema: Option<Written<String>>,
    /// `mlx_knife_version` of `[defaults]`: the version that the lines name.
    pub mlx_knife_version: Option<Written<String>>,
    /// The models, in order.
    pub models: Vec<Entry>,
}

/// One `[[model]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where the model comes from.
    pub source: Source,
    /// What it can be selected by.
    pub tags: Vec<String>,
    /// Size of its files in GiB, for people and for models that cannot be loaded.
    pub size_gb: Option<f32>,
    /// What it says differently from the defaults.
    pub choices: Choices,
}

impl Entry {
    /// A model of which nothing else is said.
    pub fn of(source: Source) -> Self {
        Self { source, tags: Vec::new(), size_gb: None, choices: Choices::default() }
    }
}

/// Why a manifest is refused.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read manifest `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{}:{}: {problem}", path.display(), place.line, place.column)]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// What.
        problem: Problem,
    },
}

impl ManifestError {
    /// What can be done about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Wrong { problem, .. } => problem.hint(),
        }
    }
}

impl Manifest {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads `text`, which stands in the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        tables::parse(path, text).map_err(|wrong| ManifestError::Wrong {
            path: path.to_owned(),
            place: Place::of(wrong.offset, text),
            problem: wrong.problem,
        })
    }

    /// The error that something written at `place` is not acceptable to its reader.
    pub fn refuse(&self, place: Place, reason: String) -> ManifestError {
        ManifestError::Wrong { path: self.path.clone(), place, problem: Problem::Other(reason) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DecodeMode, Device, ElementType, Scenario};

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(Path::new("benches/models.toml"), text)
    }

    /// Checks the message, without the file's name, and the hint.
    #[track_caller]
    fn refused(text: &str, message: &str, hint: Option<&str>) {
        let error = parse(text).unwrap_err();
        let expected = format!("benches/models.toml:{message}");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint().as_deref(), hint);
    }

    const EVERY_KEY: &str = r#"
        [defaults]
        scenarios = ["chat", "throughput"]
        prompt_tokens = [64, 128]
        generation_tokens = 32
        depth = [0, 1024]
        decode = ["pipelined", "synchronous"]
        prompt = "Hi"
        max_tokens = 48
        repetitions = 3
        warmup = 0
        temperature = 0.5
        top_p = 0.9
        min_p = 0.1
        top_k = 40
        repetition_penalty = 1.1
        seed = 18446744073709551615
        random_ids = true
        nll_tokens = 64
        dtype = "float32"
        dequantize = true
        device = "cpu"
        prefill_chunk = 256
        kv_bits = [4, 8]
        kv_group_size = 32
        kv_start = 5000
        schema = "0.2.2"
        mlx_knife_version = "2.0.8"

        [[model]]
        id = "org/name"
        revision = "main"
        size_gb = 2
        tags = ["small"]
        temperature = 0

        [[model]]
        path = "../tiny.gguf"
    "#;

    #[test]
    fn every_default_is_read() {
        let manifest = parse(EVERY_KEY).unwrap();
        assert_eq!(
            manifest.defaults,
            Choices {
                scenarios: Some(vec![Scenario::Chat, Scenario::Throughput]),
                prompt_tokens: Some(vec![64, 128]),
                generation_tokens: Some(vec![32]),
                depth: Some(vec![0, 1024]),
                prompt: Some("Hi".to_owned()),
                max_tokens: Some(48),
                repetitions: Some(3),
                warmup: Some(0),
                temperature: Some(0.5),
                top_p: Some(0.9),
                min_p: Some(0.1),
                top_k: Some(40),
                repetition_penalty: Some(1.1),
                seed: Some(u64::MAX),
                prompt_file: None,
                random_ids: Some(true),
                nll_tokens: Some(64),
                dtype: Some(ElementType::Float32),
                dequantize: Some(true),
                device: Some(Device::Cpu),
                prefill_chunk: Some(vec![256]),
                kv_bits: Some(vec![4, 8]),
                kv_group_size: Some(32),
                kv_start: Some(5000),
                decode: Some(vec![DecodeMode::Pipelined, DecodeMode::Synchronous]),
            }
        );
        let schema = manifest.schema.unwrap();
        assert_eq!(schema.value, "0.2.2");
        assert_eq!((schema.place.line, schema.place.column), (27, 18));
        assert_eq!(manifest.mlx_knife_version.unwrap().value, "2.0.8");
    }

    #[test]
    fn every_model_is_read() {
        let temperature = Some(0.0);
        let hub = Entry {
            source: Source::Hub(crate::hub::Reference::new("org/name").at(Some("main"))),
            tags: vec!["small".to_owned()],
            size_gb: Some(2.0),
            choices: Choices { temperature, ..Choices::default() },
        };
        let file = Entry::of(Source::Path("benches/../tiny.gguf".into()));
        assert_eq!(parse(EVERY_KEY).unwrap().models, [hub, file]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        refused(
            "[defaults]\n  temprature = 1",
            "2:3: unknown key `temprature` in `[defaults]`",
            Some("did you mean `temperature`?"),
        );
        refused(
            "[[models]]\nid = 'a/b'",
            "1:3: unknown key `models` in a manifest",
            Some("did you mean `model`?"),
        );
        refused(
            "[[model]]\nid = 'a/b'\nschema = '0.2.2'",
            "3:1: unknown key `schema` in a `[[model]]`",
            Some("`schema` belongs in `[defaults]`"),
        );
        refused(
            "[[model]]\nid = 'a/b'\nxyzzy = 1",
            "3:1: unknown key `xyzzy` in a `[[model]]`",
            None,
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused_at_its_place() {
        refused(
            "[defaults]\nwarmup = 'one'",
            "2:10: `warmup` must be a whole number, found a string",
            None,
        );
        refused(
            "[defaults]\nwarmup = -1",
            "2:10: `warmup` must be a whole number of 0 or more, found `-1`",
            None,
        );
        refused(
            "[defaults]\nscenarios = ['chat', 'talk']",
            "2:22: `scenarios` knows no `talk`",
            Some("it knows `throughput`, `chat`, `stop`"),
        );
        refused(
            "[defaults]\nwarmup = 5000000000",
            "2:10: `warmup` must be a smaller number, found `5000000000`",
            None,
        );
        refused(
            "[model]\nid = 'a/b'",
            "1:1: `model` must be a list, found a table",
            Some("each model begins with `[[model]]`"),
        );
    }

    #[test]
    fn a_value_out_of_range_is_refused_at_its_place() {
        refused(
            "[[model]]\nid = 'a/b'\ntop_p = 1.5",
            "3:9: `top_p` must be more than 0, at most 1",
            None,
        );
        refused(
            "[defaults]\nprompt_tokens = [128, 0]",
            "2:17: `prompt_tokens` must be 1 or more, each once",
            None,
        );
        refused(
            "[defaults]\nkv_bits = [8, 'x']",
            "2:15: `kv_bits` must be a whole number, found a string",
            None,
        );
        refused(
            "[defaults]\nbatch = 4",
            "2:9: `batch` is not supported yet: requests run one at a time",
            None,
        );
        refused("[defaults]\nrepetitions = 0", "2:15: `repetitions` must be 1 or more", None);
        refused(
            "[[model]]\nid = 'a/b'\nsize_gb = inf",
            "3:11: `size_gb` must be more than 0",
            None,
        );
    }

    #[test]
    fn a_model_has_one_source_and_its_own_name() {
        let one = "a model needs either `id` or `path`";
        refused("[[model]]\ntags = []", &format!("1:1: {one}"), None);
        refused("[[model]]\nid = 'a/b'\npath = 'c'", &format!("1:1: {one}"), None);
        refused(
            "[[model]]\npath = 'a'\nrevision = 'main'",
            "3:12: `revision` belongs to a model with an `id`",
            None,
        );
        refused(
            "[[model]]\npath = 'a/c'\n\n[[model]]\npath = 'b/c'",
            "4:1: another model before is called `c`",
            None,
        );
        refused(
            "[[model]]\nid = './a'",
            "2:6: `./a` is not the id of a hub model",
            Some("an id reads `organization/name`; a file or folder goes under `path`"),
        );
        refused("", "1:1: there is no `[[model]]`", None);
    }

    #[test]
    fn a_file_of_prompts_is_read_beside_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("words.txt"), "one two three four").unwrap();
        let read = |file: &str| {
            let text = format!("[[model]]\nid = 'a/b'\nprompt_file = '{file}'");
            Manifest::parse(&folder.path().join("models.toml"), &text)
        };
        let manifest = read("words.txt").unwrap();
        let expected = crate::plan::Passages::of_text("one two three four");
        assert_eq!(manifest.models[0].choices.prompt_file, expected);
        let error = read("none.txt").unwrap_err().to_string();
        assert!(error.contains("models.toml:3:15: cannot use `"), "{error}");
    }

    #[test]
    fn broken_toml_is_refused_at_its_place() {
        refused(
            "[defaults]\nwarmup = ",
            "2:10: string values must be quoted, expected literal string",
            None,
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Manifest::read(Path::new("nowhere/models.toml")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read manifest `nowhere/models.toml`");
    }
}
