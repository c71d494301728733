//! What a stranger's file can make the readers do; each must return, whatever the bytes.
//!
//! What they return is not looked at: a fuzzer, and the test that replays its corpus, look for panics, aborts, and work or
//! memory without end.

use std::{fs, hint::black_box, path::Path};

use jiff::civil::date;
use mlxk_harness::{
    checkpoint::{Checkpoint, Description, LoadOptions, Location, gguf},
    footprint::Footprint,
    hub::integrity,
    models,
    text::{
        Tokenizer,
        config::{TemplateSource, TokenizerConfig},
        template::{ChatTemplate, Context},
    },
};
use tempfile::TempDir;

/// A reader that is fuzzed.
pub(crate) struct Target {
    /// Its name, and that of its folder below `corpus`.
    pub(crate) name: &'static str,
    /// Feeds bytes to it.
    pub(crate) feed: fn(&[u8]),
}

/// All readers that are fuzzed.
pub(crate) const TARGETS: [Target; 6] = [
    Target { name: "safetensors", feed: safetensors },
    Target { name: "index", feed: index },
    Target { name: "config", feed: config },
    Target { name: "tokenizer_config", feed: tokenizer_config },
    Target { name: "template", feed: template },
    Target { name: "gguf", feed: gguf },
];

/// The configuration of a model of one layer.
const CONFIG: &[u8] =
    br#"{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 16,
    "num_attention_heads": 2, "rms_norm_eps": 1e-5, "vocab_size": 3, "tie_word_embeddings": true}"#;

/// The header of one of its tensors, for a file with 96 bytes of data.
const HEADER: &[u8] =
    br#"{"model.embed_tokens.weight": {"dtype": "F32", "shape": [3, 8], "data_offsets": [0, 96]}}"#;

/// A header, its length before it, and `data` bytes of zeros behind.
fn shard(header: &[u8], data: usize) -> Vec<u8> {
    let length = u64::try_from(header.len()).unwrap();
    [&length.to_le_bytes()[..], header, &vec![0; data]].concat()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Tells what the model at `path` is, and loads it.
fn tell_and_load(path: &Path) {
    let Ok(location) = Location::find(path.to_str().unwrap(), None) else { return };
    let Ok(description) = Description::read(location) else { return };
    let footprint = Footprint::of(&description, None);
    black_box(footprint.map(|footprint| footprint.prediction(4096))).ok();
    let checkpoint = Checkpoint::open(&description, LoadOptions::default());
    black_box(checkpoint.and_then(models::load)).ok();
}

/// A file of weights: the bytes themselves, or after `{` a header, which gets its length, and after the last `|` the
/// number of bytes of data.
fn safetensors(bytes: &[u8]) {
    let split = bytes.iter().rposition(|&byte| byte == b'|').map(|at| bytes.split_at(at));
    let file = match split {
        Some((header @ [b'{', ..], data)) => {
            let data =
                std::str::from_utf8(&data[1..]).ok().and_then(|data| data.trim().parse().ok());
            shard(header, data.unwrap_or(0_u16).into())
        }
        _ => bytes.to_vec(),
    };
    let folder = folder(&[("config.json", CONFIG), ("model.safetensors", &file)]);
    black_box(integrity::check(folder.path())).ok();
    tell_and_load(folder.path());
}

/// The list of the shards, beside one shard.
fn index(bytes: &[u8]) {
    let shard = shard(HEADER, 96);
    let folder = folder(&[
        ("config.json", CONFIG),
        ("model.safetensors.index.json", bytes),
        ("model-00001-of-00001.safetensors", &shard),
    ]);
    black_box(integrity::check(folder.path())).ok();
    tell_and_load(folder.path());
}

/// A configuration, beside one shard.
fn config(bytes: &[u8]) {
    let folder = folder(&[("config.json", bytes), ("model.safetensors", &shard(HEADER, 96))]);
    tell_and_load(folder.path());
}

/// The configuration of a tokenizer, and the chat template in it.
fn tokenizer_config(bytes: &[u8]) {
    let folder = folder(&[("tokenizer_config.json", bytes)]);
    let Ok(config) = TokenizerConfig::from_folder(folder.path()) else { return };
    if let TemplateSource::Default { source, .. } = &config.chat_template {
        render(source, config.special_tokens.clone().into_iter().collect());
    }
}

/// A chat template.
fn template(bytes: &[u8]) {
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let tokens = tokens.map(|(name, token)| (name.to_owned(), token.to_owned()));
    render(&String::from_utf8_lossy(bytes), tokens.to_vec());
}

fn render(source: &str, special_tokens: Vec<(String, String)>) {
    let Ok(template) = ChatTemplate::new("fuzz", source) else { return };
    let messages = [("system", "Be brief."), ("user", "Cats?"), ("assistant", "<think>a</think>b")];
    let messages = messages.map(|(role, content)| (role.to_owned(), content.to_owned()));
    let now = date(2026, 1, 2).at(3, 4, 5, 0);
    let context = Context {
        messages: messages.to_vec(),
        special_tokens,
        add_generation_prompt: true,
        enable_thinking: true,
        now,
    };
    black_box(template.render(&context)).ok();
}

/// A GGUF file: its header, its tokenizer and its tensors.
fn gguf(bytes: &[u8]) {
    let folder = folder(&[("model.gguf", bytes)]);
    let path = folder.path().join("model.gguf");
    if let Ok(gguf) = gguf::open(&path) {
        black_box(Tokenizer::from_gguf(&gguf)).ok();
        tell_and_load(&path);
    }
}
