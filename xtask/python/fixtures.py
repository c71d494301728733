"""Makes the parity fixtures with mlx-lm, the reference: `cargo xtask fixtures` runs this.

A fixture begins as a folder with a small `config.json`. Its weights come from a generator that is keyed by the
tensor's name, so that nothing is stored but the configuration, names and shapes, and what mlx-lm computes.
`tests/it/weights.rs` is the same generator.

With `--smollm2 FOLDER` (an MLX folder with SmolLM2-135M-Instruct, packed exactly as in its Q4_1 GGUF) it also
records what mlx-lm answers there in float32.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

import mlx.core as mx
import mlx.nn as nn
import mlx_lm
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.generate import generate_step, maybe_quantize_kv_cache
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.models.switch_layers import SwitchLinear
from mlx_lm.utils import _get_classes, load_model

import likelihood
from generator import prompt, save, weights
from layouts import HUGGING_FACE, compact
from packed import FOREIGN

# Prompt lengths: one token, two, a chunk, one more, past a window of 8, and up to where a cache grows a step.
LENGTHS = [1, 2, 8, 9, 20]
CHUNK = 8
CROSSING = 252
DECODED = 8
# Fixtures that also show packed keys and values, and the size of their groups.
KEYS_VALUES = {"llama-wide": 64, "llama4": 32, "qwen3": 32, "qwen3_next": 32}
# Tokens from which on they are packed: at once, and within the prompt's second chunk.
STARTS = [0, CHUNK + 1]
VARIANTS = {
    "float32": (mx.float32, None),
    "bfloat16": (mx.bfloat16, None),
    "4bit": (mx.float32, dict(group_size=32, bits=4)),
}
# On a CPU, MLX multiplies by dense matrices of experts in float32 alone: mixtures show bfloat16 packed.
MIXTURE = {
    "float32": VARIANTS["float32"],
    "8bit-bfloat16": (mx.bfloat16, dict(group_size=32, bits=8)),
    "4bit": VARIANTS["4bit"],
}
# What one family has to show for all: every other way to pack, apart from its own fixture.
PACKINGS = {
    "llama-packings": {
        "8bit-bfloat16": (mx.bfloat16, dict(group_size=32, bits=8)),
        "mxfp4": (mx.float32, dict(group_size=32, bits=4, mode="mxfp4")),
        "mxfp8": (mx.float32, dict(group_size=32, bits=8, mode="mxfp8")),
        "nvfp4": (mx.float32, dict(group_size=16, bits=4, mode="nvfp4")),
    },
    "llama-widths": {
        "2bit-64": (mx.float32, dict(group_size=64, bits=2)),
        "3bit-32": (mx.float32, dict(group_size=32, bits=3)),
        "4bit-128": (mx.float32, dict(group_size=128, bits=4)),
        "5bit-128": (mx.float32, dict(group_size=128, bits=5)),
        "6bit-64": (mx.float32, dict(group_size=64, bits=6)),
    },
    "mixtral-packings": {
        "mxfp4": (mx.float32, dict(group_size=32, bits=4, mode="mxfp4")),
        "mxfp8": (mx.float32, dict(group_size=32, bits=8, mode="mxfp8")),
        "nvfp4": (mx.float32, dict(group_size=16, bits=4, mode="nvfp4")),
    },
}
# Llama for all, and those with arithmetic of their own in float16.
EXTRA = {name: {"float16": (mx.float16, None)} for name in ["cohere2", "gemma2", "llama"]}


gather_qmm = mx.gather_qmm


def gather_qmm_without_global_scale(*arrays, global_scale=None, **how):
    """mlx-lm passes a `global_scale` of none, of which this MLX knows nothing."""
    assert global_scale is None
    return gather_qmm(*arrays, **how)


mx.gather_qmm = gather_qmm_without_global_scale


def skeleton(config):
    model_class, args_class = _get_classes(config)
    return model_class(args_class.from_dict(config))


def variants(name, config):
    """Which ways to store a model a fixture shows."""
    if name in PACKINGS:
        return PACKINGS[name]
    is_mixture = any(isinstance(module, SwitchLinear) for module in skeleton(config).modules())
    return {**(MIXTURE if is_mixture else VARIANTS), **EXTRA.get(name, {})}


def build(config, dtype, quantization):
    model = skeleton(config)
    if config["model_type"] == "gemma3_text":
        model.sanitize({})
    names = [(name, list(value.shape)) for name, value in tree_flatten(model.parameters())]
    never_packed = {
        name
        for name, shape in names
        if len(shape) > 1 and name.endswith(".weight") and not can_be_packed(model, name)
    }
    made = [(name, weights(name, shape).astype(dtype)) for name, shape in names]
    model.update(tree_unflatten(made))
    if quantization:
        nn.quantize(
            model,
            class_predicate=lambda path, module: packs(path, module, quantization),
            **quantization,
        )
    model.eval()
    mx.eval(model.parameters())
    return model, [(name, shape, name in never_packed) for name, shape in names]


def can_be_packed(model, name):
    """Whether the tensor `name` belongs to a module that mlx-lm can pack."""
    modules = dict(model.named_modules())
    return hasattr(modules[name.rpartition(".")[0]], "to_quantized")


def packs(path, module, quantization):
    """Whether a module is packed: all that can be."""
    weight = getattr(module, "weight", None)
    can = hasattr(module, "to_quantized") and weight is not None
    return can and weight.shape[-1] % quantization["group_size"] == 0


def answers(model, config):
    """Scores after prompts of every length, read at once and in chunks, then of steps; and greedy tokens."""
    vocabulary = config.get("vocab_size") or config["text_config"]["vocab_size"]
    scores = []

    def read(tokens, cache):
        logits = model(mx.array([tokens]), cache=cache)[0, -1].astype(mx.float32)
        mx.eval(logits, [c.state for c in cache])
        return logits

    for length in LENGTHS:
        scores.append(read(prompt(length, vocabulary), make_prompt_cache(model)))
    for length in [LENGTHS[-1], CROSSING]:
        cache = make_prompt_cache(model)
        tokens = prompt(length, vocabulary)
        size = CHUNK if length == LENGTHS[-1] else 2048
        for start in range(0, length, size):
            last = read(tokens[start : start + size], cache)
        scores.append(last)
        for token in prompt(length + DECODED, vocabulary)[length:]:
            scores.append(read([token], cache))
    tokens = prompt(LENGTHS[-1], vocabulary)
    ids, gaps = [], []
    steps = generate_step(mx.array(tokens), model, max_tokens=64, prefill_step_size=CHUNK)
    for (token, logprobs), _ in zip(steps, range(64)):
        ids.append(int(token))
        best = mx.sort(logprobs.astype(mx.float32))[-2:].tolist()
        gaps.append(best[1] - best[0])
    return {
        "scores": mx.stack(scores),
        "ids": mx.array(ids, dtype=mx.uint32),
        "gaps": mx.array(gaps),
    }


def packed_answers(model, config, bits, group_size):
    """Scores after a prompt in chunks and of steps, then of a long one, with packed keys and values; greedy tokens."""
    vocabulary = config.get("vocab_size") or config["text_config"]["vocab_size"]
    scores = []
    for length, start in [(LENGTHS[-1], start) for start in STARTS] + [(CROSSING, 0)]:
        cache = make_prompt_cache(model)

        def read(tokens):
            logits = model(mx.array([tokens]), cache=cache)[0, -1].astype(mx.float32)
            maybe_quantize_kv_cache(cache, start, group_size, bits)
            mx.eval(logits, [c.state for c in cache])
            return logits

        tokens = prompt(length, vocabulary)
        size = CHUNK if length == LENGTHS[-1] else 2048
        for first in range(0, length, size):
            last = read(tokens[first : first + size])
        scores.append(last)
        for token in prompt(length + DECODED, vocabulary)[length:]:
            scores.append(read([token]))
    ids = []
    for length in [LENGTHS[-1], CROSSING]:
        steps = generate_step(
            mx.array(prompt(length, vocabulary)),
            model,
            max_tokens=32,
            prefill_step_size=CHUNK,
            kv_bits=bits,
            kv_group_size=group_size,
            quantized_kv_start=0,
        )
        ids += [int(token) for (token, _), _ in zip(steps, range(32))]
    return {"scores": mx.stack(scores), "ids": mx.array(ids, dtype=mx.uint32)}


def keys_values(target, config):
    """Records what mlx-lm says in float32 when it packs keys and values in 4 and in 8 bits."""
    model, _ = build(config, mx.float32, None)
    expected = {}
    for bits in [4, 8]:
        for key, value in packed_answers(model, config, bits, KEYS_VALUES[target.name]).items():
            expected[f"kv{bits}.{key}"] = value
    apart = target.with_name(f"{target.name}-kv")
    apart.mkdir(exist_ok=True)
    mx.save_safetensors(
        str(apart / "expected.safetensors"), expected, {"mlx_lm": mlx_lm.__version__}
    )


def stored(variant, key):
    """The type that a fixture keeps: exact for scores of dense models, within 2^-11 for those of packed ones."""
    if key == "scores" and variant == "float32":
        return mx.float32
    if key == "scores" and "bfloat16" in variant:
        return mx.bfloat16
    return mx.uint16 if key == "ids" else mx.float16


def shipped():
    """Two of the texts that come with the harness, in turn."""
    root = pathlib.Path(__file__).parents[2]
    passages = [root / f"src/plan/passages/{name}.txt" for name in ("harbour", "sundial")]
    return "\n\n".join(passage.read_text().rstrip() for passage in passages)


def tiny(folder, names):
    """Records what mlx-lm says of every configuration below `folder`, or of those named."""
    for target in sorted(path.parent for path in folder.glob("*/config.json")):
        if names and target.name not in names:
            continue
        config = json.loads((target / "config.json").read_text())
        expected = {}
        for variant, how in variants(target.name, config).items():
            model, tensors = build(config, *how)
            for key, value in answers(model, config).items():
                expected[f"{variant}.{key}"] = value.astype(stored(variant, key))
            if variant == "float32" and target.name in likelihood.FIXTURES:
                likelihood.tiny(folder / "likelihood.json", target.name, model, config["vocab_size"])
            if variant == "float32" and target.name == likelihood.PACKED:
                likelihood.of_characters(folder / "likelihood.json", target.name, model, shipped())
        mx.save_safetensors(
            str(target / "expected.safetensors"), expected, {"mlx_lm": mlx_lm.__version__}
        )
        if target.name in KEYS_VALUES:
            keys_values(target, config)
        lines = [
            " ".join([name] + [str(n) for n in shape] + ["dense"] * is_dense)
            for name, shape, is_dense in tensors
        ]
        (target / "tensors.txt").write_text("\n".join(compact(lines)) + "\n")
        size = (target / "expected.safetensors").stat().st_size
        print(target.name, len(tensors), "tensors", size, "bytes")
        if target.name in HUGGING_FACE:
            hugging_face(target, config, {name: shape for name, shape, _ in tensors})


def hugging_face(target, config, tensors):
    """Records what mlx-lm says of the same model in the layout of Hugging Face's own files."""
    for step in HUGGING_FACE[target.name]:
        tensors = step(tensors)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        (temporary / "config.json").write_text(json.dumps(config))
        made = {name: weights(name, shape) for name, shape in tensors.items()}
        mx.save_safetensors(str(temporary / "model.safetensors"), made)
        model, _ = load_model(temporary)
    vocabulary = config.get("vocab_size") or config["text_config"]["vocab_size"]
    mx.save_safetensors(
        str(target / "expected-hf.safetensors"), short_answers(model, vocabulary)
    )
    lines = [" ".join([name, *map(str, shape)]) for name, shape in sorted(tensors.items())]
    (target / "tensors-hf.txt").write_text("\n".join(compact(lines)) + "\n")


def foreign(folder, names):
    """Records what mlx-lm says in float32 of what other programs packed, for every fixture or those named."""
    for name, steps in FOREIGN.items():
        if names and name not in names:
            continue
        target = folder / name
        config = json.loads((target / "config.json").read_text())
        parameters = tree_flatten(skeleton(config).parameters())
        tensors = {path: list(value.shape) for path, value in parameters}
        for step in steps:
            tensors = step(tensors)
        with tempfile.TemporaryDirectory() as temporary:
            shutil.copytree(target, temporary, dirs_exist_ok=True)
            save(pathlib.Path(temporary, "model.safetensors"), tensors)
            model, _ = load_model(pathlib.Path(temporary))
        model.set_dtype(mx.float32)
        recorded = short_answers(model, config["vocab_size"])
        mx.save_safetensors(str(target / "expected.safetensors"), recorded)
        lines = [" ".join([path, *map(str, tensors[path])]) for path in sorted(tensors)]
        (target / "tensors.txt").write_text("\n".join(compact(lines)) + "\n")
        print(name, len(tensors), "tensors")


def short_answers(model, vocabulary):
    """Scores after nine tokens and one more, and eight greedy tokens after the nine."""
    cache = make_prompt_cache(model)
    scores = [
        model(mx.array([tokens]), cache=cache)[0, -1]
        for tokens in (prompt(9, vocabulary), prompt(10, vocabulary)[9:])
    ]
    steps = generate_step(mx.array(prompt(9, vocabulary)), model, max_tokens=8)
    ids = [int(token) for (token, _), _ in zip(steps, range(8))]
    return {"scores": mx.stack(scores), "ids": mx.array(ids, dtype=mx.uint32)}


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
    likelihood.of_text(folder / "likelihood.json", "smollm2", model, tokenizer, shipped())
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "smollm2.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="tests/fixtures/parity")
    parser.add_argument("names", nargs="*", help="fixtures to make; all by default")
    parser.add_argument("--smollm2", help="an MLX folder with SmolLM2-135M-Instruct")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    if arguments.smollm2:
        smollm2(arguments.smollm2, arguments.folder)
    else:
        tiny(arguments.folder, arguments.names)
        foreign(arguments.folder.with_name("foreign"), arguments.names)
