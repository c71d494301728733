//! What the reference excepts when it casts or packs the weights of a family.
//!
//! Reference: `quant_predicate` and `cast_predicate` of the models in `mlx_lm.models`.

/// What is excepted of a family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exceptions {
    /// Ends of the paths of modules that are packed with 8 bits in groups of 64, whatever the others are; or, after
    /// `*`, any part of them. Most are routers, whose choices small errors would turn.
    wide: &'static [&'static str],
    /// Ends of the paths of modules that are never packed: routers that the reference has no packed form of.
    dense: &'static [&'static str],
    /// Parts of the names of tensors that keep their type.
    exact: &'static [&'static str],
}

impl Exceptions {
    /// What is excepted of models with this `model_type`.
    pub(super) fn of(model_type: &str) -> Self {
        TABLE
            .iter()
            .find(|(names, _)| names.contains(&model_type))
            .map_or_else(Self::default, |(_, exceptions)| *exceptions)
    }

    /// Whether the reference holds a tensor all the same of which no score depends, and which was therefore dropped:
    /// keys and values of layers that borrow them, and the head of a tied model.
    pub(super) fn holds_unused(model_type: &str, name: &str) -> bool {
        match model_type {
            "gemma3n" => name.starts_with("model.language_model."),
            "helium" => name.starts_with("lm_head."),
            _ => false,
        }
    }

    /// Whether the module at `path` is packed with 8 bits in groups of 64.
    pub(super) fn is_wide(&self, path: &str) -> bool {
        self.wide.iter().any(|part| match part.strip_prefix('*') {
            Some(part) => path.contains(part),
            None => path.ends_with(part),
        })
    }

    /// Whether the module at `path` is never packed.
    pub(super) fn is_dense(&self, path: &str) -> bool {
        self.dense.iter().any(|end| path.ends_with(end))
    }

    /// Whether the tensor `name` keeps its type.
    pub(super) fn is_exact(&self, name: &str) -> bool {
        self.exact.iter().any(|part| name.contains(part))
    }
}

const NONE: Exceptions = Exceptions { wide: &[], dense: &[], exact: &[] };

/// The correction that experts are chosen by.
const CORRECTION: &[&str] = &["e_score_correction_bias"];

const TABLE: &[(&[&str], Exceptions)] = &[
    (&["granite"], Exceptions { wide: &["self_attn.o_proj", "mlp.down_proj", "lm_head"], ..NONE }),
    (
        &["granitemoe"],
        Exceptions {
            wide: &[
                "block_sparse_moe.router.layer",
                "self_attn.o_proj",
                "mlp.down_proj",
                "lm_head",
            ],
            ..NONE
        },
    ),
    (&["granitemoehybrid"], Exceptions { wide: &["router.layer"], ..NONE }),
    (&["gemma4", "gemma4_text", "gemma4_unified"], Exceptions { wide: &["router.proj"], ..NONE }),
    (&["gpt_oss", "jamba"], Exceptions { wide: &["router"], ..NONE }),
    (&["mellum", "qwen3_moe", "qwen3_vl_moe"], Exceptions { wide: &["mlp.gate"], ..NONE }),
    (&["qwen3_next"], Exceptions { wide: &["mlp.gate", "shared_expert_gate"], ..NONE }),
    (
        &["qwen3_5", "qwen3_5_moe", "qwen3_5_text", "qwen3_5_moe_text"],
        Exceptions { wide: &["mlp.gate", "shared_expert_gate"], exact: &["A_log"], ..NONE },
    ),
    (&["Klear"], Exceptions { wide: &["mlp.gate"], exact: &["expert_bias"], ..NONE }),
    (
        &["kimi_linear"],
        Exceptions {
            wide: &["mlp.gate"],
            exact: &["e_score_correction_bias", "A_log", "dt_bias"],
            ..NONE
        },
    ),
    (&["lfm2_moe"], Exceptions { wide: &["feed_forward.gate"], exact: &["expert_bias"], ..NONE }),
    (
        &["minimax", "minimax_m2"],
        Exceptions { wide: &["block_sparse_moe.gate"], exact: CORRECTION, ..NONE },
    ),
    (
        &["bailing_moe", "bailing_moe_linear"],
        Exceptions { wide: &["mlp.gate.gate_proj"], exact: &["expert_bias"], ..NONE },
    ),
    (
        &["bailing_hybrid"],
        Exceptions {
            wide: &["mlp.gate.gate_proj"],
            dense: &["attention.embed_q", "attention.unembed_out"],
            exact: &["expert_bias"],
        },
    ),
    (&["afmoe"], Exceptions { wide: &["*router.gate"], exact: &["expert_bias"], ..NONE }),
    (&["laguna"], Exceptions { wide: &["mlp.gate.proj"], exact: CORRECTION, ..NONE }),
    (
        &["longcat_flash", "longcat_flash_ngram"],
        Exceptions { wide: &["classifier"], exact: CORRECTION, ..NONE },
    ),
    (&["step3p5"], Exceptions { wide: &["*mlp.gate.gate"], exact: &["router_bias"], ..NONE }),
    (&["rwkv7"], Exceptions { wide: &["*lora.2", "*embeddings"], ..NONE }),
    (
        &[
            "deepseek_v3",
            "deepseek_v32",
            "exaone_moe",
            "glm4_moe",
            "glm4_moe_lite",
            "joyai_llm_flash",
            "kimi_k2",
            "kimi_k25",
            "kimi_vl",
            "mimo_v2_flash",
        ],
        Exceptions { dense: &["mlp.gate"], exact: CORRECTION, ..NONE },
    ),
    (&["deepseek_v2", "dots1"], Exceptions { dense: &["mlp.gate"], ..NONE }),
    (
        &["nemotron_h"],
        Exceptions { dense: &["mixer.gate"], exact: &["e_score_correction_bias", "A_log"], ..NONE },
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_told_from_the_gates_of_experts() {
        let qwen = Exceptions::of("qwen3_moe");
        assert!(qwen.is_wide("model.layers.0.mlp.gate"));
        assert!(!qwen.is_wide("model.layers.0.mlp.switch_mlp.gate_proj"));
        assert!(Exceptions::of("step3p5").is_wide("model.layers.0.mlp.gate.gate"));
        assert!(Exceptions::of("deepseek_v3").is_dense("model.layers.3.mlp.gate"));
        assert!(!Exceptions::of("deepseek_v3").is_dense("model.layers.3.mlp.gate_proj"));
        assert!(!Exceptions::of("llama").is_wide("lm_head"));
        assert!(Exceptions::of("granite").is_wide("lm_head"));
        assert!(Exceptions::of("lfm2_moe").is_exact("model.layers.2.feed_forward.expert_bias"));
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
