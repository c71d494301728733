//! Every family against mlx-lm: scores and greedy tokens of generated checkpoints, dense and packed.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use mlx_rs::{Array, Dtype, ops::indexing::TryIndexOp};
use mlxk_harness::{
    checkpoint::{Checkpoint, Description, LoadOptions, Location},
    generate::{Request, Scores, Step, generate},
    models::{self, FAMILIES, Model},
    plan::Sampling,
};

use crate::weights::{self, FLOAT32, VARIANTS, Variant};

const PROMPT: [u32; 7] = [1, 5, 9, 2, 7, 30, 11];

/// The largest difference of a score in float32, and of a log-probability.
const TOLERANCE: f32 = 1e-4;

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn load(fixture: &Path, variant: Variant, rename: impl Fn(&str) -> String) -> Box<dyn Model> {
    let folder = tempfile::tempdir().unwrap();
    weights::write(fixture, variant, folder.path(), rename);
    let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
    let description = Description::read(location).unwrap();
    let checkpoint = Checkpoint::open(&description, LoadOptions::default()).unwrap();
    let (model, parameters) = models::load(checkpoint).unwrap();
    mlx_rs::transforms::eval(&parameters.arrays).unwrap();
    model
}

fn expected(fixture: &Path) -> HashMap<String, Array> {
    Array::load_safetensors(fixture.join("expected.safetensors")).unwrap()
}

/// The largest difference between our scores and the reference's, after a prompt and two more tokens.
fn score_gap(model: &dyn Model, expected: &HashMap<String, Array>, variant: &str) -> f32 {
    let mut cache = model.new_cache();
    let steps: [&[u32]; 3] = [&PROMPT, &[3], &[4]];
    let mut worst = 0f32;
    for (index, step) in steps.into_iter().enumerate() {
        let tokens = Array::from_slice(step, &[1, i32::try_from(step.len()).unwrap()]);
        let scores = model.forward(&tokens, &mut cache).unwrap();
        let scores = scores
            .try_index((0, -1))
            .unwrap()
            .as_dtype(Dtype::Float32)
            .unwrap();
        let reference = &expected[&format!("{variant}.logits{index}")];
        let gap = scores
            .subtract(reference)
            .unwrap()
            .abs()
            .unwrap()
            .max(None)
            .unwrap();
        worst = worst.max(gap.try_item_exact::<f32>().unwrap());
    }
    worst
}

/// Greedy tokens after the prompt, with their log-probabilities.
fn greedy(model: &dyn Model, max_tokens: u32) -> (Vec<u32>, Vec<f32>) {
    let request = Request {
        prompt: &PROMPT,
        max_tokens,
        stop: &BTreeSet::new(),
        sampling: &Sampling::default(),
        prefill_chunk: 4,
        scores: Scores::OfChosen,
    };
    let (mut ids, mut log_probabilities) = (Vec::new(), Vec::new());
    generate(model, &request, &mut |step| {
        if let Step::Token {
            id,
            log_probability,
        } = step
        {
            ids.push(id);
            log_probabilities.push(log_probability.unwrap());
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    (ids, log_probabilities)
}

#[test]
fn scores_and_tokens_equal_the_reference() {
    for fixture in fixtures() {
        let expected = expected(&fixture);
        for variant in VARIANTS {
            let at = format!(
                "{} {}",
                fixture.file_name().unwrap().display(),
                variant.name
            );
            let model = load(&fixture, variant, str::to_owned);
            let gap = score_gap(model.as_ref(), &expected, variant.name);
            assert!(gap <= TOLERANCE, "{at}: scores differ by {gap:e}");
            let ids = &expected[&format!("{}.ids", variant.name)];
            let reference = &expected[&format!("{}.log_probabilities", variant.name)];
            let (ours, log_probabilities) = greedy(model.as_ref(), 280);
            let theirs = ids.try_as_slice::<u32>().unwrap();
            let split = ours
                .iter()
                .zip(theirs)
                .position(|(ours, theirs)| ours != theirs);
            assert_eq!(split, None, "{at}: the first token that differs");
            assert_eq!(ours.len(), theirs.len(), "{at}");
            let gap = log_probabilities
                .iter()
                .zip(reference.try_as_slice::<f32>().unwrap())
                .map(|(ours, theirs)| (ours - theirs).abs())
                .fold(0.0, f32::max);
            assert!(
                gap <= TOLERANCE,
                "{at}: log-probabilities differ by {gap:e}"
            );
        }
    }
}

/// The control: what the test above measures must notice two layers that changed places.
#[test]
fn swapped_layers_are_noticed() {
    for fixture in fixtures() {
        let model = load(&fixture, FLOAT32, |name| {
            let swapped = name
                .replace("layers.0.", "layers.X.")
                .replace("layers.1.", "layers.0.");
            swapped.replace("layers.X.", "layers.1.")
        });
        let gap = score_gap(model.as_ref(), &expected(&fixture), "float32");
        assert!(gap > 100.0 * TOLERANCE, "{}: {gap:e}", fixture.display());
    }
}

#[test]
fn every_family_has_a_fixture() {
    let tested: BTreeSet<String> = fixtures()
        .iter()
        .map(|fixture| {
            let config = fs::read_to_string(fixture.join("config.json")).unwrap();
            let config: serde_json::Value = serde_json::from_str(&config).unwrap();
            config["model_type"].as_str().unwrap().to_owned()
        })
        .collect();
    for family in FAMILIES {
        let known = family.model_types.iter().any(|name| tested.contains(*name));
        assert!(known, "no fixture of {:?}", family.model_types);
    }
    let names: Vec<&str> = FAMILIES
        .iter()
        .flat_map(|f| f.model_types)
        .copied()
        .collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(
        names.len(),
        unique.len(),
        "a `model_type` belongs to two families"
    );
}
