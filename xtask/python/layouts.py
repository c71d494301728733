"""How checkpoints look that mlx-lm did not write: what `sanitize` and `load_model` do, run backwards on names and shapes.

`HUGGING_FACE` holds, for a fixture, the steps that turn the tensors of mlx-lm's own model into
those of the layout. A step is a function of a dictionary `name -> shape`. That the steps are right shows when mlx-lm
loads the result: it refuses a tensor that is missing, left over or misshapen.
"""

import re


def matching(tensors, pattern):
    """Tensors whose names end as `pattern` says, with the match."""
    found = [(name, re.search(f"(?:{pattern})$", name)) for name in list(tensors)]
    return [(name, match) for name, match in found if match]


def renamed(pattern, replacement):
    """Every name rewritten by a regular expression."""
    return lambda tensors: {
        re.sub(pattern, replacement, name): value for name, value in tensors.items()
    }


def transposed(pattern, *axes):
    """Tensors with their axes in another order."""

    def step(tensors):
        for name, _ in matching(tensors, pattern):
            shape = tensors[name]
            tensors[name] = [shape[axis] for axis in axes]
        return tensors

    return step


def shaped(pattern, *shape):
    """Tensors of another shape."""

    def step(tensors):
        for name, _ in matching(tensors, pattern):
            tensors[name] = list(shape)
        return tensors

    return step


def spare(name, *shape):
    """One tensor more, which no model needs."""

    def step(tensors):
        tensors.setdefault(name, list(shape))
        return tensors

    return step


def without(pattern):
    """Tensors that are not there."""

    def step(tensors):
        for name, _ in matching(tensors, pattern):
            del tensors[name]
        return tensors

    return step


def experts(stacked, separate, **names):
    """Weights of all experts in one tensor, apart: `stacked.up_proj.weight` as `separate.0.up_proj.weight` and on."""

    def step(tensors):
        pattern = re.escape(stacked) + r"\.(\w+)\.(weight|scales|biases)"
        for name, match in matching(tensors, pattern):
            count, *shape = tensors.pop(name)
            before, part = name[: match.start()], names.get(match[1], match[1])
            for expert in range(count):
                tensors[f"{before}{separate}.{expert}.{part}.{match[2]}"] = shape
        return tensors

    return step


def joined(first, second, whole, axis):
    """Two tensors of one shape in one, along an axis; `first` is a pattern, the others its replacements."""

    def step(tensors):
        for name, match in matching(tensors, first):
            before = name[: match.start()]
            shape = list(tensors.pop(name))
            del tensors[before + match.expand(second)]
            shape[axis] *= 2
            tensors[before + match.expand(whole)] = shape
        return tensors

    return step


def latent_whole(tensors):
    """The absorbed halves of latent attention in `kv_b_proj`."""
    for name, match in matching(tensors, r"embed_q\.weight"):
        before = name[: match.start()]
        heads, rank, keys = tensors.pop(name)
        _, values, _ = tensors.pop(before + "unembed_out.weight")
        tensors[before + "kv_b_proj.weight"] = [heads * (keys + values), rank]
    return tensors


def compact(lines):
    """Lines of a list of tensors, of which those alike but for a number become one: `layers.{0,1,2}.norm.weight 64`."""
    deepest = max(line.count(".") for line in lines)
    for place in range(deepest, -1, -1):
        groups = {}
        for line in lines:
            parts = line.split(".")
            has_number = place < len(parts) - 1 and parts[place].isdigit()
            number = parts[place] if has_number else None
            key = (*parts[:place], None, *parts[place + 1 :]) if has_number else tuple(parts)
            groups.setdefault(key, []).append(number)
        lines = []
        for key, numbers in groups.items():
            several = numbers[0] if len(numbers) == 1 else "{" + ",".join(map(str, numbers)) + "}"
            lines.append(".".join(several if part is None else part for part in key))
    return lines


def expanded(line):
    """The lines that `compact` made one."""
    before, brace, rest = line.partition("{")
    if not brace:
        return [line]
    numbers, _, after = rest.partition("}")
    behind = expanded(after)
    return [f"{before}{number}{tail}" for number in numbers.split(",") for tail in behind]


FREQUENCIES = spare("model.layers.0.self_attn.rotary_emb.inv_freq", 8)
HEAD = spare("lm_head.weight", 64, 64)
DROPPED = [FREQUENCIES, HEAD]
CONVOLUTION = transposed(r"conv1?d?\.weight", 0, 2, 1)
EXPERTS = experts("mlp.switch_mlp", "mlp.experts")
BLOCK_SPARSE = experts(
    "block_sparse_moe.switch_mlp",
    "block_sparse_moe.experts",
    gate_proj="w1",
    down_proj="w2",
    up_proj="w3",
)
NESTED = [
    renamed(r"^language_model\.model\.", "model.language_model."),
    renamed(r"^language_model\.lm_head", "lm_head"),
]
GATE, UP = r"gate_proj\.weight", "up_proj.weight"
EXPERTS_IN_ONE = joined(rf"switch_mlp\.{GATE}", f"switch_mlp.{UP}", "experts.gate_up_proj", -2)
GRANITE = [
    joined(rf"switch_mlp\.{GATE}", f"switch_mlp.{UP}", "input_linear.weight", 1),
    renamed(r"switch_mlp\.down_proj", "output_linear"),
]
GPT_OSS = [
    joined(rf"experts\.{GATE}", f"experts.{UP}", "experts.gate_up_proj.weight", 1),
    joined(r"experts\.gate_proj\.bias", "experts.up_proj.bias", "experts.gate_up_proj_bias", 1),
    renamed(r"experts\.down_proj\.bias", "experts.down_proj_bias"),
]
GEMMA4 = [
    joined(rf"switch_glu\.{GATE}", f"switch_glu.{UP}", "gate_up_proj", -2),
    renamed(r"switch_glu\.down_proj\.weight", "down_proj"),
]
TOWERS = [
    spare("model.vision_tower.patch.weight", 4, 4),
    spare("model.embed_vision.projection.weight", 4, 4),
    spare("model.audio_tower.layer.weight", 4, 4),
    spare("model.embed_audio.projection.weight", 4, 4),
]

# By fixture: what Hugging Face's own files look like.
HUGGING_FACE = {
    "apertus": [shaped(r"alpha_[pn]", 1)],
    "deepseek_v2": [EXPERTS],
    "deepseek_v3": [
        EXPERTS,
        latent_whole,
        FREQUENCIES,
        spare("model.layers.61.eh_proj.weight", 4, 4),
    ],
    "dots1": [experts("mlp.experts", "mlp.experts"), FREQUENCIES],
    "ernie4_5_moe": [
        EXPERTS,
        spare("mtp_block.0.norm.weight", 4),
        spare("mtp_emb_norm.0.weight", 4),
        spare("model.layers.1.mlp.moe_statics.e_score_correction_bias", 1, 6),
    ],
    "falcon_h1": [CONVOLUTION],
    "falcon_h1-untied": [CONVOLUTION],
    "gemma3-wrapped": [
        spare("vision_tower.patch.weight", 4, 4),
        spare("multi_modal_projector.norm.weight", 4),
    ],
    "gemma3n": TOWERS,
    "gemma4": [*NESTED, *TOWERS],
    "gemma4-moe": [*GEMMA4, *NESTED, *TOWERS],
    "gemma4_text": [
        spare("model.layers.0.self_attn.rotary_emb.inv_freq", 8),
        spare("model.layers.0.self_attn.q_proj.input_max", 1),
        spare("model.layers.5.self_attn.k_proj.weight", 64, 64),
    ],
    "glm": DROPPED,
    "glm4_moe": [EXPERTS, spare("model.layers.4.eh_proj.weight", 4, 4)],
    "glm4_moe_lite": [EXPERTS, latent_whole, spare("model.layers.7.eh_proj.weight", 4, 4)],
    "gpt2": [
        transposed(r"(c_attn|c_proj|c_fc)\.weight", 1, 0),
        renamed("^model.", ""),
        spare("h.1.attn.bias", 1, 1, 8, 8),
    ],
    "gpt_neox": [
        renamed(r"^model\.h\.", "gpt_neox.layers."),
        renamed(r"^model\.(embed_in|final_layer_norm)", r"gpt_neox.\1"),
        renamed(r"^model\.embed_out", "embed_out"),
        spare("gpt_neox.layers.0.attention.bias", 1, 1, 8, 8),
        spare("gpt_neox.layers.0.attention.masked_bias", 1),
        spare("gpt_neox.layers.0.attention.rotary_emb.inv_freq", 8),
    ],
    "gpt_oss": GPT_OSS,
    "granitemoe": [*GRANITE, HEAD],
    "granitemoehybrid": [
        CONVOLUTION,
        joined(rf"\.mlp\.{GATE}", f".mlp.{UP}", ".shared_mlp.input_linear.weight", 0),
        renamed(r"\.mlp\.down_proj\.weight", ".shared_mlp.output_linear.weight"),
        HEAD,
    ],
    "granitemoehybrid-moe": [CONVOLUTION, *GRANITE],
    "hunyuan_v1_dense": [HEAD],
    "internlm2": [spare("model.layers.0.attention.rope.inv_freq", 8)],
    "internlm3": [spare("model.layers.0.attention.rope.inv_freq", 8)],
    "kimi_k2": [EXPERTS, latent_whole],
    "lfm2": [transposed(r"conv\.weight", 0, 2, 1)],
    "lfm2_moe": [
        experts("feed_forward.switch_mlp", "feed_forward.experts"),
        renamed(r"feed_forward(.*)\.gate_proj", r"feed_forward\1.w1"),
        renamed(r"feed_forward(.*)\.down_proj", r"feed_forward\1.w2"),
        renamed(r"feed_forward(.*)\.up_proj", r"feed_forward\1.w3"),
        transposed(r"conv\.weight", 0, 2, 1),
    ],
    "lille": [spare("transformer.layers.0.attention.rotary_emb.freqs", 8)],
    "llama-scaled": DROPPED,
    "llama4": [
        transposed(r"experts\.\w+\.weight", 0, 2, 1),
        joined(rf"experts\.{GATE}", f"experts.{UP}", "experts.gate_up_proj", -1),
        renamed(r"experts\.down_proj\.weight", "experts.down_proj"),
        spare("vision_model.patch.weight", 4, 4),
        spare("multi_modal_projector.linear.weight", 4, 4),
    ],
    "mamba2": [CONVOLUTION],
    "mimo": [FREQUENCIES, spare("model.mtp_layers.0.norm.weight", 4)],
    "minicpm": [without(r"lm_head\.weight")],
    "minimax": [BLOCK_SPARSE],
    "ministral3": [FREQUENCIES],
    "mistral3": [
        *NESTED,
        spare("model.vision_tower.patch.weight", 4, 4),
        spare("model.multi_modal_projector.norm.weight", 4),
    ],
    "mistral3-ministral": [
        spare("vision_tower.patch.weight", 4, 4),
        spare("language_model.lm_head.weight", 64, 64),
    ],
    "mistral4": [
        EXPERTS_IN_ONE,
        renamed(r"switch_mlp\.down_proj\.weight", "experts.down_proj"),
        latent_whole,
        FREQUENCIES,
    ],
    "mixtral": [BLOCK_SPARSE],
    "nemotron_h": [CONVOLUTION, spare("mtp.layers.0.weight", 4)],
    "nemotron_h-moe": [
        CONVOLUTION,
        experts("mixer.switch_mlp", "mixer.experts", fc1="up_proj", fc2="down_proj"),
    ],
    "olmo2": [FREQUENCIES],
    "olmoe": [EXPERTS],
    "phimoe": [BLOCK_SPARSE],
    "pixtral": [
        spare("vision_tower.patch.weight", 4, 4),
        spare("multi_modal_projector.norm.weight", 4),
    ],
    "qwen2": [FREQUENCIES],
    "qwen2_moe": [EXPERTS],
    "qwen2_vl": [*NESTED, spare("model.visual.patch.weight", 4, 4)],
    "qwen2_5_vl": [
        renamed(r"^language_model\.", ""),
        spare("visual.patch.weight", 4, 4),
    ],
    "qwen3_5": [*NESTED, CONVOLUTION, spare("model.visual.patch.weight", 4, 4)],
    "qwen3_5_moe": [
        *NESTED,
        CONVOLUTION,
        EXPERTS_IN_ONE,
        renamed(r"switch_mlp\.down_proj\.weight", "experts.down_proj"),
        spare("model.visual.patch.weight", 4, 4),
        spare("mtp.norm.weight", 4),
    ],
    "qwen3_moe": [EXPERTS],
    "qwen3_moe-tied": [EXPERTS, HEAD],
    "qwen3_next": [EXPERTS, CONVOLUTION, spare("mtp.norm.weight", 4)],
    "qwen3_vl": [*NESTED, spare("model.visual.patch.weight", 4, 4)],
    "qwen3_vl_moe": [
        *NESTED,
        transposed(r"switch_mlp\.\w+\.weight", 0, 2, 1),
        joined(rf"switch_mlp\.{GATE}", f"switch_mlp.{UP}", "experts.gate_up_proj", -1),
        renamed(r"switch_mlp\.down_proj\.weight", "experts.down_proj"),
        spare("model.visual.patch.weight", 4, 4),
    ],
    "smollm3": DROPPED,
}
