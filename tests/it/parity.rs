//! Every family against mlx-lm: scores and greedy tokens of generated checkpoints, dense and packed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use mlx_rs::{Array, Dtype, ops::indexing::TryIndexOp};
use mlxk_harness::{
    checkpoint::{Checkpoint, Description, LoadError, LoadOptions, Location},
    generate::{Request, Scores, Step, generate},
    models::{self, Cache, FAMILIES, Model},
    plan::{DecodeMode, KvPacking, Sampling},
};

use serde_json::Value;

use crate::weights::{self, FLOAT32, Tweak, VARIANTS, Variant};

/// Prompt lengths, as in `xtask/python/fixtures.py`.
pub(crate) const LENGTHS: [u32; 5] = [1, 2, 8, 9, 20];
pub(crate) const CHUNK: u32 = 8;
pub(crate) const CROSSING: u32 = 252;
pub(crate) const DECODED: u32 = 8;

/// The largest difference of a score in float32, relative to the largest score.
pub(crate) const TOLERANCE: f32 = 1e-4;

/// The reference's tokens may differ where its two best are nearer than two steps of the type that they are in.
fn tie(variant: Variant) -> f32 {
    let step = if variant.dtype == Dtype::Bfloat16 {
        2f32.powi(-8)
    } else if variant.dtype == Dtype::Float16 {
        2f32.powi(-11)
    } else {
        f32::EPSILON
    };
    // Log-probabilities of these models lie below 8.
    2.0 * step * 8.0
}

/// Ids that repeat late and reach all of a small vocabulary.
pub(crate) fn prompt(length: u32, vocabulary: u32) -> Vec<u32> {
    let id = |index: u32| (index * index * 7 + index * 3 + 1) % vocabulary;
    (0..length).map(id).collect()
}

/// Where a fixture lies.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

pub(crate) fn fixtures() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").exists())
        .collect();
    found.sort();
    found
}

pub(crate) fn try_load(
    fixture: &Path,
    variant: Variant,
    tweak: Tweak,
) -> Result<Box<dyn Model>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    weights::write(fixture, variant, folder.path(), tweak);
    open(folder.path(), LoadOptions::default())
}

pub(crate) fn open(folder: &Path, options: LoadOptions) -> Result<Box<dyn Model>, LoadError> {
    let location = Location::find(folder.to_str().unwrap(), None).unwrap();
    let description = Description::read(location)?;
    let checkpoint = Checkpoint::open(&description, options)?;
    let (model, parameters) = models::load(checkpoint)?;
    mlx_rs::transforms::eval(&parameters.arrays).unwrap();
    Ok(model)
}

fn load(fixture: &Path, variant: Variant) -> Box<dyn Model> {
    try_load(fixture, variant, Tweak::default()).unwrap()
}

fn expected(fixture: &Path) -> HashMap<String, Array> {
    Array::load_safetensors(fixture.join("expected.safetensors")).unwrap()
}

/// The scores after the last of `tokens`, `[vocabulary]`.
pub(crate) fn read(model: &dyn Model, tokens: &[u32], cache: &mut Cache) -> Array {
    let input = Array::from_slice(tokens, &[1, i32::try_from(tokens.len()).unwrap()]);
    let scores = model.forward(&input, cache).unwrap();
    let scores = scores.try_index((0, -1)).unwrap();
    let scores = scores.as_dtype(Dtype::Float32).unwrap();
    mlx_rs::transforms::eval(cache.arrays().chain([&scores])).unwrap();
    scores
}

/// Scores after prompts of every length, read at once and in chunks, then of steps: `[23, vocabulary]`.
fn scores(model: &dyn Model) -> Array {
    let vocabulary = model.vocabulary();
    let mut rows = Vec::new();
    for length in LENGTHS {
        rows.push(read(model, &prompt(length, vocabulary), &mut model.new_cache()));
    }
    for (length, chunk) in [(LENGTHS[4], CHUNK), (CROSSING, 2048)] {
        let mut cache = model.new_cache();
        let chunks = prompt(length, vocabulary);
        let chunks = chunks.chunks(chunk as usize);
        rows.extend(chunks.map(|chunk| read(model, chunk, &mut cache)).last());
        for id in &prompt(length + DECODED, vocabulary)[length as usize..] {
            rows.push(read(model, &[*id], &mut cache));
        }
    }
    mlx_rs::ops::stack(&rows, 0).unwrap()
}

/// The largest difference of two tables of scores, relative to the largest score of the second.
pub(crate) fn gap(ours: &Array, theirs: &Array) -> f32 {
    let largest = |x: Array| x.abs().unwrap().max(None).unwrap().try_item_cast::<f32>().unwrap();
    let theirs = theirs.as_dtype(Dtype::Float32).unwrap();
    largest(ours.subtract(&theirs).unwrap()) / largest(theirs)
}

/// So many greedy tokens after a prompt of `length`, with keys and values packed where wanted.
pub(crate) fn greedy(
    model: &dyn Model,
    (length, count): (u32, u32),
    kv: Option<KvPacking>,
) -> Vec<u32> {
    let sampling = Sampling::default();
    let request = Request {
        prompt: &prompt(length, model.vocabulary()),
        max_tokens: count,
        stop: &BTreeSet::new(),
        sampling: &sampling,
        prefill_chunk: CHUNK,
        kv,
        decode: DecodeMode::Pipelined,
        scores: Scores::Unwanted,
    };
    let mut ids = Vec::new();
    generate(model, &request, &mut |step| {
        if let Step::Token { id, .. } = step {
            ids.push(id);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    ids
}

/// One line of the table: what was compared, how far it differs, and what is wrong with that.
fn compare(
    name: &str,
    variant: Variant,
    model: &dyn Model,
    expected: &HashMap<String, Array>,
) -> (String, bool) {
    let of = |what: &str| &expected[&format!("{}.{what}", variant.name)];
    let gap = gap(&scores(model), of("scores"));
    let (ours, theirs) =
        (greedy(model, (LENGTHS[4], 64), None), of("ids").try_as_slice::<u16>().unwrap());
    let theirs: Vec<u32> = theirs.iter().copied().map(u32::from).collect();
    let split = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
    let gaps = of("gaps").as_dtype(Dtype::Float32).unwrap();
    let top = split.map(|at| {
        gaps.try_index(i32::try_from(at).unwrap()).unwrap().try_item_cast::<f32>().unwrap()
    });
    let is_near = variant.name != "float32" || gap <= TOLERANCE;
    let is_same = match top {
        None => ours.len() == theirs.len(),
        Some(top) => variant.name != "float32" && top < tie(variant),
    };
    let ids = match (split, top) {
        (Some(at), Some(top)) => format!("differ at {at}, two best {top:.1e} apart"),
        _ => "equal".to_owned(),
    };
    (format!("{name:<24} {:<14} {gap:.1e}  ids {ids}", variant.name), is_near && is_same)
}

#[test]
fn scores_and_tokens_equal_the_reference() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let expected = expected(&fixture);
        let name = fixture.file_name().unwrap().to_str().unwrap();
        for variant in VARIANTS {
            if !expected.contains_key(&format!("{}.ids", variant.name)) {
                continue;
            }
            let model = load(&fixture, variant);
            let (line, is_right) = compare(name, variant, model.as_ref(), &expected);
            println!("{line}");
            wrong.extend((!is_right).then_some(line));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// How far a checkpoint in the layout of Hugging Face's own files goes astray, and whether its greedy tokens differ.
fn hugging_face(fixture: &Path, rename: fn(&str) -> String) -> (f32, bool) {
    let folder = tempfile::tempdir().unwrap();
    weights::write_hugging_face(fixture, folder.path(), rename);
    let model = open(folder.path(), LoadOptions::default()).unwrap();
    gap_of_short(model.as_ref(), &fixture.join("expected-hf.safetensors"))
}

/// How far scores after nine tokens and one more go astray, and whether the eight greedy tokens are those of `expected`.
pub(crate) fn gap_of_short(model: &dyn Model, expected: &Path) -> (f32, bool) {
    let expected = Array::load_safetensors(expected).unwrap();
    let mut cache = model.new_cache();
    let tokens = prompt(10, model.vocabulary());
    let rows = [&tokens[..9], &tokens[9..]].map(|part| read(model, part, &mut cache));
    let ours = mlx_rs::ops::stack(&rows, 0).unwrap();
    let ids = expected["ids"].try_as_slice::<u32>().unwrap();
    (gap(&ours, &expected["scores"]), greedy(model, (9, 8), None) == ids)
}

#[test]
fn layouts_of_hugging_face_equal_the_reference() {
    let mut wrong = Vec::new();
    for fixture in fixtures().iter().filter(|path| path.join("tensors-hf.txt").exists()) {
        let name = fixture.file_name().unwrap().to_str().unwrap();
        let (gap, is_same) = hugging_face(fixture, str::to_owned);
        let ids = if is_same { "equal" } else { "differ" };
        let line = format!("{name:<24} {:<14} {gap:.1e}  ids {ids}", "hf");
        println!("{line}");
        let is_right = gap <= TOLERANCE && is_same;
        wrong.extend((!is_right).then_some(line));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A control: two experts, and two parts of an expert, that changed places.
#[test]
fn swapped_parts_of_a_layout_are_noticed() {
    fn swap(name: &str, one: &str, other: &str) -> String {
        let swapped = name.replace(one, ".X.").replace(other, one);
        swapped.replace(".X.", other)
    }
    let experts = |name: &str| swap(name, ".experts.0.", ".experts.1.");
    let (gap, _) = hugging_face(&fixture("qwen3_moe"), experts);
    assert!(gap > 100.0 * TOLERANCE, "{gap:e}");
    let (gap, _) = hugging_face(&fixture("mixtral"), |name| swap(name, ".w1.", ".w3."));
    assert!(gap > 100.0 * TOLERANCE, "{gap:e}");
}

/// How far the scores of a fixture go astray when something is wrong with it.
fn astray(fixture: &Path, tweak: Tweak) -> f32 {
    let model = try_load(fixture, FLOAT32, tweak).unwrap();
    gap(&scores(model.as_ref()), &expected(fixture)["float32.scores"])
}

/// A control: what is compared must notice two layers that changed places.
#[test]
fn swapped_layers_are_noticed() {
    let shows_float32 = |fixture: &PathBuf| expected(fixture).contains_key("float32.scores");
    for fixture in fixtures().into_iter().filter(shows_float32) {
        let pair = twins(&fixture).unwrap_or_else(|| panic!("{fixture:?} has no two alike"));
        let gap = astray(&fixture, Tweak { swapped: Some(pair), ..Tweak::default() });
        println!("{}: {pair:?} {gap:.1e}", fixture.file_name().unwrap().display());
        assert!(gap > 100.0 * TOLERANCE, "{fixture:?}: {gap:e}");
    }
}

/// The first two layers of a fixture whose tensors have the same names and shapes.
fn twins(fixture: &Path) -> Option<[u32; 2]> {
    let list = weights::lines(&fixture.join("tensors.txt"));
    let mut layers: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for (_, number, tensor) in list.iter().filter_map(|line| weights::layer(line)) {
        layers.entry(number).or_default().insert(tensor);
    }
    let alike = |(one, tensors): (&u32, &BTreeSet<&str>)| {
        let mut later = layers.range(one + 1..);
        later.find(|(_, others)| *others == tensors).map(|(other, _)| [*one, *other])
    };
    layers.iter().find_map(alike)
}

/// A control: what shifts the choice of experts, or the scores they are chosen by, is not there.
#[test]
fn a_dropped_bias_of_a_router_is_noticed() {
    let is_zeroed = |name: &str| {
        ["router.bias", "e_score_correction_bias", "expert_bias"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    for name in [
        "deepseek_v3",
        "dots1",
        "glm4_moe",
        "glm4_moe_lite",
        "gpt_oss",
        "kimi_k2",
        "lfm2_moe",
        "minimax",
        "nemotron_h-moe",
    ] {
        let gap = astray(&fixture(name), Tweak { is_zeroed, ..Tweak::default() });
        println!("{name}: {gap:.1e}");
        assert!(gap > 10.0 * TOLERANCE, "{name}: {gap:e}");
    }
}

/// A control: a scaling of positions that is passed over.
#[test]
fn an_ignored_rope_scaling_is_noticed() {
    let config = |config: &mut Value| config["rope_scaling"] = Value::Null;
    for name in ["llama-scaled", "llama-sliding"] {
        let gap = astray(&fixture(name), Tweak { config, ..Tweak::default() });
        assert!(gap > 100.0 * TOLERANCE, "{name}: {gap:e}");
    }
}

/// A control: queries that do not grow with their position.
#[test]
fn an_ignored_growth_of_queries_is_noticed() {
    let config = |config: &mut Value| config["rope_parameters"]["llama_4_scaling_beta"] = 0.into();
    for name in ["ministral3", "mistral4"] {
        let gap = astray(&fixture(name), Tweak { config, ..Tweak::default() });
        assert!(gap > 100.0 * TOLERANCE, "{name}: {gap:e}");
    }
}

/// A control: a window that is one token too wide.
#[test]
fn a_window_off_by_one_is_noticed() {
    let config = |config: &mut Value| config["sliding_window"] = 9.into();
    for name in ["gemma3", "llama-sliding"] {
        let gap = astray(&fixture(name), Tweak { config, ..Tweak::default() });
        assert!(gap > 100.0 * TOLERANCE, "{name}: {gap:e}");
    }
}

/// A control: one bias of one projection that is not there.
#[test]
fn a_dropped_bias_is_noticed() {
    let is_zeroed = |name: &str| name == "model.layers.1.self_attn.k_proj.bias";
    let gap = astray(&fixture("qwen2"), Tweak { is_zeroed, ..Tweak::default() });
    assert!(gap > 10.0 * TOLERANCE, "{gap:e}");
}

#[test]
fn a_checkpoint_of_another_family_is_refused_by_the_first_tensor_that_does_not_fit() {
    let refusal = |name: &str, config: fn(&mut Value)| {
        let tweak = Tweak { config, ..Tweak::default() };
        try_load(&fixture(name), FLOAT32, tweak).err().map(|error| error.to_string())
    };
    assert_eq!(
        refusal("qwen3", |config| config["model_type"] = "llama".into()).as_deref(),
        Some("6 tensors were never used, first `model.layers.0.self_attn.k_norm.weight`")
    );
    assert_eq!(
        refusal("llama", |config| config["model_type"] = "qwen3".into()).as_deref(),
        Some("tensor `model.layers.0.self_attn.q_norm.weight` is missing")
    );
    assert_eq!(
        refusal("llama", |config| config["intermediate_size"] = 97.into()).as_deref(),
        Some("tensor `model.layers.0.mlp.gate_proj.weight` is [96, 64] and should be [97, 64]")
    );
}

#[test]
fn every_family_has_a_fixture() {
    let tested: BTreeSet<String> = fixtures()
        .iter()
        .map(|fixture| {
            let config = fs::read_to_string(fixture.join("config.json")).unwrap();
            let config: Value = serde_json::from_str(&config).unwrap();
            config["model_type"].as_str().unwrap().to_owned()
        })
        .collect();
    for family in FAMILIES {
        let known = family.model_types.iter().any(|name| tested.contains(*name));
        assert!(known, "no fixture of {:?}", family.model_types);
    }
    let names: Vec<&str> = FAMILIES.iter().flat_map(|f| f.model_types).copied().collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len(), "a `model_type` belongs to two families");
}
