//! The names that the reference has for what a family holds, where a checkpoint of another exporter had others.
//!
//! Reference: `sanitize` of the models in `mlx_lm.models`. A name of the reference stays as it is.

use std::collections::BTreeMap;

use mlx_rs::ops::indexing::TryIndexOp;

use super::{ConvertError, work::failed};
use crate::checkpoint::{Inventory, numbers};

/// Parts of names and what takes their place, in this order; after `^` only where a name begins so.
type Parts = &'static [(&'static str, &'static str)];

/// Models whose text half lies below `language_model`.
const WRAPPERS: &[&str] = &[
    "gemma3",
    "gemma4",
    "gemma4_unified",
    "llama4",
    "llava",
    "mistral3",
    "pixtral",
    "qwen2_5_vl",
    "qwen2_vl",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_vl",
    "qwen3_vl_moe",
];

const WRAPPED: Parts = &[
    ("^model.language_model.", "language_model.model."),
    ("^model.", "language_model.model."),
    ("^lm_head.", "language_model.lm_head."),
];

const BLOCK_SPARSE: (&str, &str) = (".mlp.switch_mlp.", ".block_sparse_moe.switch_mlp.");

const GRANITE: Parts = &[
    BLOCK_SPARSE,
    (".block_sparse_moe.output_linear.", ".block_sparse_moe.switch_mlp.down_proj."),
];

const TABLE: &[(&[&str], Parts)] = &[
    (&["dots1"], &[(".mlp.switch_mlp.", ".mlp.experts.")]),
    (
        &["gpt2"],
        &[
            ("^h.", "model.h."),
            ("^ln_f.", "model.ln_f."),
            ("^wpe.", "model.wpe."),
            ("^wte.", "model.wte."),
        ],
    ),
    (
        &["gpt_neox"],
        &[
            ("^gpt_neox.layers.", "model.h."),
            ("^gpt_neox.", "model."),
            ("^embed_out.", "model.embed_out."),
        ],
    ),
    (
        &["gpt_oss"],
        &[
            (".mlp.switch_mlp.", ".mlp.experts."),
            ("_proj_blocks", "_proj.weight"),
            ("_proj_scales", "_proj.scales"),
            ("_proj_bias", "_proj.bias"),
        ],
    ),
    (&["granitemoe", "granitemoehybrid"], GRANITE),
    (&["lfm2_moe"], &[(".w1.", ".gate_proj."), (".w2.", ".down_proj."), (".w3.", ".up_proj.")]),
    (&["llama4"], &[(".mlp.switch_mlp.", ".feed_forward.experts.")]),
    (&["minimax", "mixtral", "phimoe"], &[BLOCK_SPARSE]),
    (
        &["llava", "mistral3", "mistral4", "qwen3_5_moe"],
        &[(".mlp.experts.down_proj", ".mlp.switch_mlp.down_proj.weight")],
    ),
];

/// Gives every tensor and module of `inventory` the name that the reference has for it, and tells how many parameters
/// there are more by that.
///
/// # Errors
///
/// When MLX cannot take stacked norms apart.
pub(super) fn restore(model_type: &str, inventory: &mut Inventory) -> Result<u64, ConvertError> {
    let wrapped = if WRAPPERS.contains(&model_type) { WRAPPED } else { &[] };
    let row = TABLE.iter().find(|(types, _)| types.contains(&model_type));
    let parts: Vec<_> = wrapped.iter().chain(row.map_or(&[][..], |(_, parts)| parts)).collect();
    inventory.rename(|name| parts.iter().fold(name.to_owned(), |name, part| replaced(&name, part)));
    match model_type {
        "granitemoehybrid" => name_dense_half(inventory),
        "minicpm" => return Ok(double_head(inventory)),
        "stablelm" => take_norms_apart(inventory)?,
        _ => {}
    }
    Ok(0)
}

fn replaced(name: &str, (part, by): &(&str, &str)) -> String {
    match part.strip_prefix('^') {
        None => name.replace(part, by),
        Some(start) => {
            name.strip_prefix(start).map_or_else(|| name.to_owned(), |rest| format!("{by}{rest}"))
        }
    }
}

/// Only a model without experts has its feed-forward half under usual names.
fn name_dense_half(inventory: &mut Inventory) {
    if !inventory.tensors.keys().any(|name| name.contains(".switch_mlp.")) {
        let part = (".shared_mlp.output_linear.", ".mlp.down_proj.");
        inventory.rename(|name| replaced(name, &part));
    }
}

/// A model has a head, if only as a copy of the embedding table.
fn double_head(inventory: &mut Inventory) -> u64 {
    let (head, table) = ("lm_head", "model.embed_tokens");
    if inventory.modules.contains_key(head) {
        return 0;
    }
    for part in ["weight", "scales", "biases"] {
        if let Some(tensor) = inventory.tensors.get(&format!("{table}.{part}")).cloned() {
            inventory.tensors.insert(format!("{head}.{part}"), tensor);
        }
    }
    let how = inventory.modules.get(table).copied().flatten();
    inventory.modules.insert(head.to_owned(), how);
    inventory.tensors.get("lm_head.weight").map_or(0, |weight| numbers(weight, how))
}

/// Norms of heads, `[heads, head size]`, are one for each.
fn take_norms_apart(inventory: &mut Inventory) -> Result<(), ConvertError> {
    let mut apart = BTreeMap::new();
    for (name, tensor) in std::mem::take(&mut inventory.tensors) {
        let stacked = ["q", "k"].into_iter().find_map(|kind| {
            let attention = name.strip_suffix(&format!(".{kind}_norm.weight"))?;
            Some(format!("{attention}.{kind}_layernorm.norms"))
        });
        let Some(norms) = stacked else {
            apart.insert(name, tensor);
            continue;
        };
        for head in 0..tensor.dim(0) {
            let norm = tensor.try_index(head).map_err(failed(&name))?;
            apart.insert(format!("{norms}.{head}.weight"), norm);
        }
    }
    inventory.tensors = apart;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn named(model_type: &str, name: &str, expected: &str) {
        let mut inventory = Inventory::default();
        let tensor = mlx_rs::Array::from_slice(&[1i32], &[1]);
        inventory.tensors.insert(name.to_owned(), tensor);
        restore(model_type, &mut inventory).unwrap();
        assert!(inventory.tensors.keys().eq([expected]), "{:?}", inventory.tensors.keys());
    }

    #[test]
    fn names_of_other_exporters_become_those_of_the_reference() {
        let (theirs, ours) = ("language_model.model.norm.weight", "model.norm.weight");
        named("qwen3_vl", "model.language_model.norm.weight", theirs);
        named("qwen3_vl", ours, theirs);
        named("qwen3_vl", theirs, theirs);
        named("llama", ours, ours);
        named("gpt2", "h.0.ln_1.bias", "model.h.0.ln_1.bias");
        named("gpt2", "model.h.0.ln_1.bias", "model.h.0.ln_1.bias");
    }

    #[test]
    fn a_family_has_one_row() {
        let names: Vec<_> = TABLE.iter().flat_map(|(names, _)| *names).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(names.len(), unique.len());
    }
}
