//! The architectures that are read from GGUF files, and how their tensors are called.

/// An architecture, as `general.architecture` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
    Gemma3,
    Phi3,
}

impl Architecture {
    pub(super) const ALL: [Self; 6] =
        [Self::Llama, Self::Qwen2, Self::Qwen3, Self::Gemma2, Self::Gemma3, Self::Phi3];

    /// The name in GGUF files, which also begins the keys of the architecture.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
        }
    }

    /// The `model_type` of the same model elsewhere.
    pub(super) const fn model_type(self) -> &'static str {
        match self {
            Self::Gemma3 => "gemma3_text",
            Self::Llama | Self::Qwen2 | Self::Qwen3 | Self::Gemma2 | Self::Phi3 => self.name(),
        }
    }

    /// Whether its norms multiply by `1 + w`, and a block has four.
    pub(super) fn is_gemma(self) -> bool {
        matches!(self, Self::Gemma2 | Self::Gemma3)
    }

    /// The name that MLX models give to the tensor that a GGUF file calls `name`.
    pub(super) fn mlx_name(self, name: &str) -> Option<String> {
        let (stem, leaf) = name.rsplit_once('.')?;
        if !matches!(leaf, "weight" | "bias") {
            return None;
        }
        let module = match stem {
            "token_embd" => "model.embed_tokens",
            "output_norm" => "model.norm",
            "output" => "lm_head",
            _ => {
                let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
                let layer: u32 = layer.parse().ok()?;
                return Some(format!("model.layers.{layer}.{}.{leaf}", self.part_of_layer(part)?));
            }
        };
        Some(format!("{module}.{leaf}"))
    }

    fn part_of_layer(self, part: &str) -> Option<&'static str> {
        let is_sandwich = self.is_gemma();
        let is_fused = self == Self::Phi3;
        Some(match part {
            "attn_norm" => "input_layernorm",
            "attn_qkv" if is_fused => "self_attn.qkv_proj",
            "attn_q" => "self_attn.q_proj",
            "attn_k" => "self_attn.k_proj",
            "attn_v" => "self_attn.v_proj",
            "attn_output" => "self_attn.o_proj",
            "attn_q_norm" => "self_attn.q_norm",
            "attn_k_norm" => "self_attn.k_norm",
            "post_attention_norm" if is_sandwich => "post_attention_layernorm",
            "ffn_norm" if is_sandwich => "pre_feedforward_layernorm",
            "post_ffw_norm" if is_sandwich => "post_feedforward_layernorm",
            "ffn_norm" => "post_attention_layernorm",
            "ffn_up" if is_fused => "mlp.gate_up_proj",
            "ffn_gate" => "mlp.gate_proj",
            "ffn_up" => "mlp.up_proj",
            "ffn_down" => "mlp.down_proj",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Architecture::{Gemma2, Gemma3, Llama, Phi3, Qwen3};

    #[test]
    fn tensors_get_the_names_of_mlx_models() {
        let case = |architecture: super::Architecture, name: &str, expected: Option<&str>| {
            assert_eq!(architecture.mlx_name(name).as_deref(), expected, "{name}");
        };
        case(Llama, "output.weight", Some("lm_head.weight"));
        case(Llama, "output_norm.weight", Some("model.norm.weight"));
        case(Llama, "blk.0.attn_q.weight", Some("model.layers.0.self_attn.q_proj.weight"));
        case(Llama, "blk.12.attn_q.bias", Some("model.layers.12.self_attn.q_proj.bias"));
        case(
            Llama,
            "blk.3.ffn_norm.weight",
            Some("model.layers.3.post_attention_layernorm.weight"),
        );
        case(Qwen3, "blk.3.attn_k_norm.weight", Some("model.layers.3.self_attn.k_norm.weight"));
        case(
            Gemma3,
            "blk.3.ffn_norm.weight",
            Some("model.layers.3.pre_feedforward_layernorm.weight"),
        );
        case(
            Gemma3,
            "blk.3.post_ffw_norm.weight",
            Some("model.layers.3.post_feedforward_layernorm.weight"),
        );
        case(
            Gemma2,
            "blk.3.post_attention_norm.weight",
            Some("model.layers.3.post_attention_layernorm.weight"),
        );
        case(Phi3, "blk.3.attn_qkv.weight", Some("model.layers.3.self_attn.qkv_proj.weight"));
        case(Phi3, "blk.3.ffn_up.weight", Some("model.layers.3.mlp.gate_up_proj.weight"));
        case(Phi3, "rope_factors_long.weight", None);
        case(Llama, "blk.3.attn_qkv.weight", None);
        case(Llama, "blk.3.post_ffw_norm.weight", None);
        case(Llama, "blk.0.ffn_gate_exps.weight", None);
        case(Llama, "rope_freqs.weight", None);
        case(Llama, "blk.x.attn_q.weight", None);
    }
}
