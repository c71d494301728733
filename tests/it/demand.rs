//! What published architectures ask of a machine, against arithmetic by hand: from headers alone, no weight is made.

use std::{fs, path::Path};

use mlxk_harness::{
    checkpoint::{Checkpoint, Description, Location},
    measure::{
        mlx,
        roofline::{Demand, PackedRows, PerRow},
    },
    models,
    plan::KvPacking,
};
use serde_json::{Map, Value, json};

/// A model of which only the headers are written.
struct Outlined {
    config: Value,
    /// Names, numbers that `{n}` stands for in them, and shapes.
    tensors: Vec<Tensor>,
    /// Whether matrices are packed in four bits and groups of 64.
    is_packed: bool,
}

impl Outlined {
    /// Writes a file of the right length in which nothing but the header was ever written.
    fn write(&self, folder: &Path) {
        let mut header = Map::new();
        let mut end = 0;
        let mut add = |name: String, dtype: &str, shape: &[u64], width: u64| {
            let begin = end;
            end += shape.iter().product::<u64>() * width;
            let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]});
            header.insert(name, entry);
        };
        for (name, layers, shape) in &self.tensors {
            for layer in layers.clone() {
                let name = name.replace("{n}", &layer.to_string());
                let (outer, inner) = shape.split_at(shape.len() - 1);
                let rows = |last: u64| [outer, &[last]].concat();
                match name.strip_suffix(".weight") {
                    Some(path) if self.is_packed && !outer.is_empty() => {
                        add(format!("{path}.scales"), "BF16", &rows(inner[0] / 64), 2);
                        add(format!("{path}.biases"), "BF16", &rows(inner[0] / 64), 2);
                        add(name, "U32", &rows(inner[0] / 8), 4);
                    }
                    _ => add(name, "BF16", shape, 2),
                }
            }
        }
        let header = Value::Object(header).to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        let path = folder.join("model.safetensors");
        fs::write(&path, &file).unwrap();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(file.len() as u64 + end)
            .unwrap();
        let mut config = self.config.clone();
        if self.is_packed {
            config["quantization"] = json!({"group_size": 64, "bits": 4});
        }
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
    }

    fn demand(&self, kv: Option<KvPacking>) -> Demand {
        let folder = tempfile::tempdir().unwrap();
        self.write(folder.path());
        let location = Location::find(folder.path().to_str().unwrap(), None).unwrap();
        let description = Description::read(location).unwrap();
        let checkpoint = Checkpoint::sketched(&description).unwrap();
        let (model, parameters) = models::load(checkpoint).unwrap();
        mlx::asked(model.as_ref(), &parameters, kv).unwrap().demand
    }
}

/// The matrices of a Llama: `width`, `inner`, and the widths of queries and keys.
fn llama(layers: usize, [width, inner, q, k, vocabulary]: [u64; 5]) -> Vec<Tensor> {
    let mut tensors = attention(layers, [width, q, k]);
    tensors.extend([
        ("model.layers.{n}.mlp.gate_proj.weight", 0..layers, vec![inner, width]),
        ("model.layers.{n}.mlp.up_proj.weight", 0..layers, vec![inner, width]),
        ("model.layers.{n}.mlp.down_proj.weight", 0..layers, vec![width, inner]),
        ("model.embed_tokens.weight", 0..1, vec![vocabulary, width]),
        ("model.norm.weight", 0..1, vec![width]),
    ]);
    tensors
}

type Tensor = (&'static str, std::ops::Range<usize>, Vec<u64>);

fn attention(layers: usize, [width, q, k]: [u64; 3]) -> Vec<Tensor> {
    vec![
        ("model.layers.{n}.self_attn.q_proj.weight", 0..layers, vec![q, width]),
        ("model.layers.{n}.self_attn.k_proj.weight", 0..layers, vec![k, width]),
        ("model.layers.{n}.self_attn.v_proj.weight", 0..layers, vec![k, width]),
        ("model.layers.{n}.self_attn.o_proj.weight", 0..layers, vec![width, q]),
        ("model.layers.{n}.input_layernorm.weight", 0..layers, vec![width]),
        ("model.layers.{n}.post_attention_layernorm.weight", 0..layers, vec![width]),
    ]
}

fn everywhere(amount: u64) -> Vec<PerRow> {
    vec![PerRow { limit: None, amount }]
}

/// Llama 3.1 8B in four bits: 4.5 bits for every number of a matrix, scales and biases included.
#[test]
fn a_dense_model_in_four_bits() {
    let mut tensors = llama(32, [4096, 14_336, 4096, 1024, 128_256]);
    tensors.push(("lm_head.weight", 0..1, vec![128_256, 4096]));
    let config = json!({
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
        "intermediate_size": 14_336, "num_attention_heads": 32, "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5, "vocab_size": 128_256, "tie_word_embeddings": false,
    });
    let demand = Outlined { config, tensors, is_packed: true }.demand(None);
    // A layer: q and o 4096², k and v 1024 × 4096, the rest 3 × 14336 × 4096.
    let matrices: u64 = 32 * 218_103_808;
    assert_eq!(matrices, 6_979_321_856);
    let head = 525_336_576;
    let expected = Demand {
        // Norms are 65 × 4096 numbers of two bytes; of the table one row is read.
        weight_bytes: (matrices + head) * 9 / 16 + 532_480 + 2304,
        state_bytes: 0,
        // Two times 8 heads of 128 numbers of two bytes, in 32 layers.
        rows: everywhere(131_072),
        packed: None,
        depth: 0,
        token_flops: 2 * matrices,
        // Two for each of 128 numbers of a key and of a value, for 32 heads in 32 layers.
        row_flops: everywhere(524_288),
        head_flops: 2 * head,
    };
    assert_eq!(demand, expected);
    assert_eq!(demand.step_bytes(1000), 4_221_905_152 + 131_072_000);
}

/// Llama 3.2 1B: eight heads of keys for 32 of queries, and the table of tokens is the head.
#[test]
fn grouped_queries_and_a_tied_head() {
    let config = json!({
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16,
        "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "rms_norm_eps": 1e-5, "vocab_size": 128_256, "tie_word_embeddings": true,
    });
    let tensors = llama(16, [2048, 8192, 2048, 512, 128_256]);
    let model = Outlined { config, tensors, is_packed: false };
    let kv = KvPacking { bits: 8, group_size: 64, start: 100 };
    // All 1,235,814,400 numbers once, in two bytes, and a row of the table.
    let expected = Demand {
        weight_bytes: 2_471_628_800 + 4096,
        state_bytes: 0,
        rows: everywhere(2 * 8 * 64 * 2 * 16),
        // A head's 64 numbers are one group: 64 bytes, and two each for scale and bias.
        packed: Some(PackedRows { start: 100, rows: everywhere(2 * 8 * 68 * 16) }),
        depth: 0,
        token_flops: 2 * 973_078_528,
        row_flops: everywhere(2 * 32 * 128 * 16),
        head_flops: 2 * 262_668_288,
    };
    assert_eq!(model.demand(Some(kv)), expected);
}

/// Qwen 3 30B-A3B in four bits: 8 of 128 experts.
#[test]
fn only_chosen_experts_are_read() {
    const LAYERS: usize = 48;
    let mut tensors = attention(LAYERS, [2048, 4096, 512]);
    tensors.extend([
        ("model.layers.{n}.self_attn.q_norm.weight", 0..LAYERS, vec![128]),
        ("model.layers.{n}.self_attn.k_norm.weight", 0..LAYERS, vec![128]),
        ("model.layers.{n}.mlp.gate.weight", 0..LAYERS, vec![128, 2048]),
        ("model.layers.{n}.mlp.switch_mlp.gate_proj.weight", 0..LAYERS, vec![128, 768, 2048]),
        ("model.layers.{n}.mlp.switch_mlp.up_proj.weight", 0..LAYERS, vec![128, 768, 2048]),
        ("model.layers.{n}.mlp.switch_mlp.down_proj.weight", 0..LAYERS, vec![128, 2048, 768]),
        ("model.embed_tokens.weight", 0..1, vec![151_936, 2048]),
        ("model.norm.weight", 0..1, vec![2048]),
        ("lm_head.weight", 0..1, vec![151_936, 2048]),
    ]);
    let config = json!({
        "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": LAYERS,
        "intermediate_size": 6144, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
        "mlp_only_layers": [], "moe_intermediate_size": 768, "norm_topk_prob": true,
        "rms_norm_eps": 1e-6, "vocab_size": 151_936, "max_position_embeddings": 40_960,
        "rope_theta": 1e6, "tie_word_embeddings": false,
    });
    let demand = Outlined { config, tensors, is_packed: true }.demand(None);
    // A layer: attention 18,874,368, the router 262,144, eight experts 37,748,736.
    let (matrices, head) = (2_730_491_904, 311_164_928);
    let expected = Demand {
        // Norms: 48 × (2 × 2048 + 2 × 128) + 2048 numbers of two bytes.
        weight_bytes: (matrices + head) * 9 / 16 + 421_888 + 1152,
        state_bytes: 0,
        rows: everywhere(98_304),
        packed: None,
        depth: 0,
        token_flops: 2 * matrices,
        row_flops: everywhere(2 * 32 * 256 * 48),
        head_flops: 2 * head,
    };
    assert_eq!(demand, expected);
}

/// Moonlight 16B-A3B: every token leaves 576 numbers behind, whatever the heads.
#[test]
fn latent_attention_reads_its_short_vectors() {
    const LAYERS: usize = 27;
    let tensors = vec![
        ("model.layers.{n}.self_attn.q_proj.weight", 0..LAYERS, vec![3072, 2048]),
        ("model.layers.{n}.self_attn.kv_a_proj_with_mqa.weight", 0..LAYERS, vec![576, 2048]),
        ("model.layers.{n}.self_attn.kv_a_layernorm.weight", 0..LAYERS, vec![512]),
        ("model.layers.{n}.self_attn.embed_q.weight", 0..LAYERS, vec![16, 512, 128]),
        ("model.layers.{n}.self_attn.unembed_out.weight", 0..LAYERS, vec![16, 128, 512]),
        ("model.layers.{n}.self_attn.o_proj.weight", 0..LAYERS, vec![2048, 2048]),
        ("model.layers.{n}.input_layernorm.weight", 0..LAYERS, vec![2048]),
        ("model.layers.{n}.post_attention_layernorm.weight", 0..LAYERS, vec![2048]),
        ("model.layers.{n}.mlp.gate_proj.weight", 0..1, vec![11_264, 2048]),
        ("model.layers.{n}.mlp.up_proj.weight", 0..1, vec![11_264, 2048]),
        ("model.layers.{n}.mlp.down_proj.weight", 0..1, vec![2048, 11_264]),
        ("model.layers.{n}.mlp.gate.weight", 1..LAYERS, vec![64, 2048]),
        ("model.layers.{n}.mlp.gate.e_score_correction_bias", 1..LAYERS, vec![64]),
        ("model.layers.{n}.mlp.switch_mlp.gate_proj.weight", 1..LAYERS, vec![64, 1408, 2048]),
        ("model.layers.{n}.mlp.switch_mlp.up_proj.weight", 1..LAYERS, vec![64, 1408, 2048]),
        ("model.layers.{n}.mlp.switch_mlp.down_proj.weight", 1..LAYERS, vec![64, 2048, 1408]),
        ("model.layers.{n}.mlp.shared_experts.gate_proj.weight", 1..LAYERS, vec![2816, 2048]),
        ("model.layers.{n}.mlp.shared_experts.up_proj.weight", 1..LAYERS, vec![2816, 2048]),
        ("model.layers.{n}.mlp.shared_experts.down_proj.weight", 1..LAYERS, vec![2048, 2816]),
        ("model.embed_tokens.weight", 0..1, vec![163_840, 2048]),
        ("model.norm.weight", 0..1, vec![2048]),
        ("lm_head.weight", 0..1, vec![163_840, 2048]),
    ];
    let config = json!({
        "model_type": "deepseek_v3", "hidden_size": 2048, "num_hidden_layers": LAYERS,
        "intermediate_size": 11_264, "moe_intermediate_size": 1408, "num_attention_heads": 16,
        "num_key_value_heads": 16, "n_shared_experts": 2, "n_routed_experts": 64,
        "routed_scaling_factor": 2.446, "kv_lora_rank": 512, "q_lora_rank": null,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128,
        "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true,
        "n_group": 1, "topk_group": 1, "num_experts_per_tok": 6, "moe_layer_freq": 1,
        "first_k_dense_replace": 1, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
        "rope_theta": 50_000.0, "vocab_size": 163_840,
    });
    let demand = Outlined { config, tensors, is_packed: false }.demand(None);
    // Attention 27 × 13,762,560; the first layer's half 69,206,016; 26 × 69,337,088 of router, six experts and the
    // shared ones.
    let (matrices, head) = (371_589_120 + 69_206_016 + 1_802_764_288, 335_544_320);
    let expected = Demand {
        // Norms 27 × (2 × 2048 + 512) + 2048, corrections 26 × 64, and a row of the table.
        weight_bytes: 2 * (matrices + head + 126_464 + 1664 + 2048),
        state_bytes: 0,
        rows: everywhere(576 * 2 * 27),
        packed: None,
        depth: 0,
        token_flops: 2 * matrices,
        // 16 heads: 64 rotated and 128 plain numbers of a key, 128 of a value.
        row_flops: everywhere(2 * 16 * 320 * 27),
        head_flops: 2 * head,
    };
    assert_eq!(demand, expected);
}

/// Gemma 3 1B: five of six layers see 512 tokens.
#[test]
fn a_window_bounds_what_is_read() {
    const LAYERS: usize = 26;
    let mut tensors = llama(LAYERS, [1152, 6912, 1024, 256, 262_144]);
    tensors.extend([
        ("model.layers.{n}.self_attn.q_norm.weight", 0..LAYERS, vec![256]),
        ("model.layers.{n}.self_attn.k_norm.weight", 0..LAYERS, vec![256]),
        ("model.layers.{n}.pre_feedforward_layernorm.weight", 0..LAYERS, vec![1152]),
        ("model.layers.{n}.post_feedforward_layernorm.weight", 0..LAYERS, vec![1152]),
    ]);
    let config = json!({"model_type": "gemma3_text"});
    let demand = Outlined { config, tensors, is_packed: false }.demand(None);
    // Layers 6, 12, 18 and 24 see everything; a row of a layer has 2 × 256 numbers of two bytes.
    let rows = vec![
        PerRow { limit: None, amount: 4 * 1024 },
        PerRow { limit: Some(512), amount: 22 * 1024 },
    ];
    assert_eq!(demand.rows, rows);
    // All 999,885,952 numbers, and a row of the table.
    assert_eq!(demand.weight_bytes, 1_999_771_904 + 2304);
    assert_eq!(demand.step_bytes(2000) - demand.weight_bytes, 8_192_000 + 512 * 22_528);
}
