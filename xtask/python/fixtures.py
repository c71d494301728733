"""Makes the parity fixtures with mlx-lm, the reference: `cargo xtask fixtures` runs this.

A tiny checkpoint of each family gets weights from a generator that is keyed by the tensor's name, so that the
fixture holds only the configuration, the names and shapes, and what mlx-lm computes. `tests/it/weights.rs` is the
same generator.

With `--smollm2 FOLDER` (an MLX folder with SmolLM2-135M-Instruct, packed exactly as in its Q4_1 GGUF) it also
records what mlx-lm answers there in float32.
"""

import argparse
import json
import pathlib
import tempfile

import mlx.core as mx
import mlx.nn as nn
import mlx_lm
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate_step
from mlx_lm.utils import _get_classes, load_model

PROMPT = [1, 5, 9, 2, 7, 30, 11]
STEPS = [[3], [4]]
VARIANTS = {
    "float32": (mx.float32, None),
    "bfloat16": (mx.bfloat16, None),
    "float16": (mx.float16, None),
    "4bit": (mx.float32, dict(group_size=32, bits=4)),
    "8bit-bfloat16": (mx.bfloat16, dict(group_size=32, bits=8)),
    "mxfp4": (mx.float32, dict(group_size=32, bits=4, mode="mxfp4")),
}
BASE = dict(
    hidden_size=64,
    num_hidden_layers=3,
    intermediate_size=96,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    rms_norm_eps=1e-5,
    vocab_size=96,
    max_position_embeddings=512,
    rope_theta=10000.0,
    tie_word_embeddings=False,
)
FAMILIES = {
    "llama": dict(BASE, model_type="llama", head_dim=16),
    "llama-scaled": dict(
        BASE,
        model_type="llama",
        attention_bias=True,
        tie_word_embeddings=True,
        rope_theta=500000.0,
        rope_scaling=dict(
            rope_type="llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=64,
        ),
    ),
    "llama-sliding": dict(
        BASE,
        model_type="llama",
        rope_scaling=dict(type="linear", factor=4.0),
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        sliding_window=8,
    ),
    "qwen2": dict(BASE, model_type="qwen2", rope_theta=1000000.0),
    "qwen3": dict(BASE, model_type="qwen3", rope_theta=1000000.0),
    "gemma3": dict(
        BASE,
        model_type="gemma3_text",
        num_hidden_layers=4,
        num_key_value_heads=1,
        query_pre_attn_scalar=48,
        sliding_window=8,
        sliding_window_pattern=3,
    ),
}


def splitmix(x):
    """SplitMix64 of an array of uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def weights(name, shape):
    """Uniform numbers of a range that suits the tensor: norms near their neutral value, none of them neutral."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        bits = splitmix(np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed))
    uniform = ((bits >> np.uint64(40)).astype(np.float32) / np.float32(2**23)) - np.float32(1)
    if len(shape) == 1:
        values = uniform * np.float32(0.25)
        if name.endswith("norm.weight"):
            values = values + np.float32(1)
    else:
        values = uniform * np.float32(0.25)
    return mx.array(values.reshape(shape))


def build(config, dtype, quantization):
    model_class, args_class = _get_classes(config)
    model = model_class(args_class.from_dict(config))
    if config["model_type"] == "gemma3_text":
        model.sanitize({})
    names = [(name, list(value.shape)) for name, value in tree_flatten(model.parameters())]
    made = [(name, weights(name, shape).astype(dtype)) for name, shape in names]
    model.update(tree_unflatten(made))
    if quantization:
        nn.quantize(model, **quantization)
    mx.eval(model.parameters())
    return model, names


def answers(model, config):
    found = {}
    cache = model.make_cache() if hasattr(model, "make_cache") else None
    if cache is None:
        from mlx_lm.models.cache import make_prompt_cache

        cache = make_prompt_cache(model)
    for index, step in enumerate([PROMPT] + STEPS):
        logits = model(mx.array([step]), cache=cache)[0, -1].astype(mx.float32)
        mx.eval(logits)
        found[f"logits{index}"] = logits
    ids, logprobs = [], []
    # 280 tokens cross a step of the growing cache and many windows of the rotating one.
    for (token, logprob), _ in zip(
        generate_step(mx.array(PROMPT), model, max_tokens=280, prefill_step_size=4), range(280)
    ):
        ids.append(int(token))
        logprobs.append(logprob[int(token)].astype(mx.float32).item())
    found["ids"] = mx.array(ids, dtype=mx.uint32)
    found["log_probabilities"] = mx.array(logprobs)
    return found


def tiny(folder):
    for name, config in FAMILIES.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        expected = {}
        for variant, (dtype, quantization) in VARIANTS.items():
            model, names = build(config, dtype, quantization)
            for key, value in answers(model, config).items():
                expected[f"{variant}.{key}"] = value
        mx.save_safetensors(
            str(target / "expected.safetensors"), expected, {"mlx_lm": mlx_lm.__version__}
        )
        (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        lines = [" ".join([name] + [str(n) for n in shape]) for name, shape in names]
        (target / "tensors.txt").write_text("\n".join(lines) + "\n")
        print(name, len(names), "tensors")


QUESTIONS = [
    "Write one sentence about cats.",
    "What is the capital of France?",
    "def fibonacci(n):",
    "List three primary colours.",
    "Übersetze ins Englische: Guten Morgen, wie geht es dir?",
]


def smollm2(source, folder):
    """What mlx-lm answers in float32, with weights unpacked in float32."""
    source = pathlib.Path(source)
    config = json.loads((source / "config.json").read_text())
    packing = config.pop("quantization")
    config.pop("quantization_config", None)
    loaded = {}
    for shard in source.glob("model*.safetensors"):
        loaded.update(mx.load(str(shard)))
    dense = {}
    for name, value in loaded.items():
        path, _, part = name.rpartition(".")
        if part in ("scales", "biases"):
            continue
        if f"{path}.scales" in loaded:
            how = packing.get(path, packing)
            value = mx.dequantize(
                value,
                loaded[f"{path}.scales"].astype(mx.float32),
                loaded[f"{path}.biases"].astype(mx.float32),
                group_size=how["group_size"],
                bits=how["bits"],
            )
        dense[name] = value.astype(mx.float32)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        (temporary / "config.json").write_text(json.dumps(config))
        mx.save_safetensors(str(temporary / "model.safetensors"), dense)
        model, _ = load_model(temporary)
    tokenizer = mlx_lm.utils.load_tokenizer(source)
    rows = []
    for question in QUESTIONS:
        messages = [{"role": "user", "content": question}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        ids, logprobs = [], []
        steps = generate_step(mx.array(prompt), model, max_tokens=64)
        for token, logprob in steps:
            ids.append(int(token))
            logprobs.append(round(logprob[int(token)].item(), 6))
            if len(ids) == 64:
                break
        rows.append(
            dict(question=question, prompt_ids=list(prompt), ids=ids, log_probabilities=logprobs)
        )
        print(question, "->", tokenizer.decode(ids)[:60])
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "smollm2.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="tests/fixtures/parity")
    parser.add_argument("--smollm2", help="an MLX folder with SmolLM2-135M-Instruct")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    tiny(arguments.folder)
    if arguments.smollm2:
        smollm2(arguments.smollm2, arguments.folder)
