"""How checkpoints look that other programs packed, on from the names and shapes of mlx-lm's own model.

A tensor is its shape, and behind it the kind of `generator.KINDS` where that is not float32. `FOREIGN` holds the
steps for each folder of `tests/fixtures/foreign`, whose `config.json` says how the weights are packed.
"""

from layouts import BLOCK_SPARSE, EXPERTS, GPT_OSS, HUGGING_FACE, latent_whole, matching, spare

# Elements of four bits in a word.
PER_WORD = 8


def floats(kind):
    """All that has no kind yet."""

    def step(tensors):
        is_plain = lambda shape: not isinstance(shape[-1], str)
        return {n: [*s, kind] if is_plain(s) else s for n, s in tensors.items()}

    return step


def replaced(pattern, parts):
    """Matrices by what `parts` makes of their sides: endings of a name that take the place of the pattern."""

    def step(tensors):
        for name, match in matching(tensors, pattern):
            before = name[: match.start()]
            for end, tensor in parts(*tensors.pop(name)).items():
                tensors[before + match.expand(end)] = tensor
        return tensors

    return step


def squares(rows, columns):
    """Eight-bit floats with a scale for every square of 128."""
    return {
        r"\1.weight": [rows, columns, "e4m3"],
        r"\1.weight_scale_inv": [-(-rows // 128), -(-columns // 128), "f32"],
    }


def matrices(rows, columns):
    """Eight-bit floats with one scale, and one for what they are multiplied by."""
    return {
        r"\1.weight": [rows, columns, "e4m3"],
        r"\1.weight_scale_inv": ["bf16"],
        r"\1.activation_scale": ["bf16"],
    }


def stacked_matrices(count, rows, columns):
    """The same of stacked experts, with a scale for each."""
    return {
        r"\1": [count, rows, columns, "e4m3"],
        r"\1_scale_inv": [count, 1, 1, "bf16"],
        r"\1_activation_scale": ["bf16"],
    }


def awq(group_size, has_zeros):
    """Eight outputs to a word, and so the zeros."""

    def parts(rows, columns):
        groups = columns // group_size
        zeros = {r"\1.qzeros": [groups, rows // PER_WORD, "i32"]} if has_zeros else {}
        return {
            r"\1.qweight": [columns, rows // PER_WORD, "i32"],
            r"\1.scales": [groups, rows, "f16"],
            **zeros,
        }

    return parts


def integers(rows, columns):
    """`pack-quantized` of compressed-tensors: signed numbers of four bits in groups of 32."""
    return {
        r"\1.weight_packed": [rows, columns // PER_WORD, "i32"],
        r"\1.weight_scale": [rows, columns // 32, "bf16"],
        r"\1.weight_shape": [2, "i32"],
    }


def microscaled(word, bits, scale, group_size):
    """Small floats with a byte of scale for every group, under MLX's own names: mlx-lm knows no others for them."""
    return lambda rows, columns: {
        r"\1.weight": [rows, columns * bits // 32, word],
        r"\1.scales": [rows, columns // group_size, scale],
    }


def blocks(experts, rows, columns):
    """The original layout of gpt-oss: 32 elements in 16 bytes and a power of two."""
    return {
        r"\1_blocks": [experts, rows, columns // 32, 16, "u8"],
        r"\1_scales": [experts, rows, columns // 32, "power"],
    }


PROJECTIONS = r"(_proj|_with_mqa|\.w[123])\.weight"

FOREIGN = {
    "deepseek_v3-fp8": [EXPERTS, latent_whole, replaced(PROJECTIONS, squares), floats("bf16")],
    "gpt_oss-mxfp4": [
        *GPT_OSS,
        replaced(r"(experts\.\w+_proj)\.weight", blocks),
        floats("bf16"),
    ],
    "kimi_k2-integers": [
        EXPERTS,
        latent_whole,
        replaced(r"(experts\.\d+\.\w+)\.weight", integers),
        floats("bf16"),
    ],
    "llama-awq": [replaced(PROJECTIONS, awq(32, True)), floats("f32")],
    "llama-gptq": [replaced(PROJECTIONS, awq(64, False)), floats("f16")],
    "llama-modelopt": [
        replaced(PROJECTIONS, microscaled("u32", 4, "fraction", 16)),
        floats("bf16"),
    ],
    "llama-ue8m0": [replaced(PROJECTIONS, microscaled("e4m3x4", 8, "power", 32)), floats("bf16")],
    "mistral3-fp8": [
        *HUGGING_FACE["mistral4"][:-1],
        replaced(r"(mlp\.experts\.\w+_proj)", stacked_matrices),
        replaced(PROJECTIONS, matrices),
        spare("vision_tower.patch.weight", 4, 4),
        floats("bf16"),
    ],
    "minimax-fp8": [BLOCK_SPARSE, replaced(PROJECTIONS, squares), floats("bf16")],
}
