"""Records what `mlx_lm.convert` writes for parity fixtures: a hash of every tensor, and the packing it notes.

The checkpoints are those of `fixtures.py`; `tests/it/convert.rs` converts the same ones and compares.
"""

import argparse
import hashlib
import importlib
import json
import pathlib
import tempfile

import mlx.core as mx
import numpy as np
from generator import weights
from layouts import expanded
from mlx_lm.utils import load_model, save_config, save_model

# The package has a function of the module's name.
reference = importlib.import_module("mlx_lm.convert")

CASES = {
    "4bit": ("llama", "float32", {}, dict(quantize=True, q_bits=4, q_group_size=64)),
    "8bit": ("gemma3", "bfloat16", {}, dict(quantize=True, q_bits=8, q_group_size=32)),
    "3bit-half": (
        "qwen3",
        "float32",
        {"torch_dtype": "float16"},
        dict(quantize=True, q_bits=3, q_group_size=32),
    ),
    "mxfp4": ("qwen2", "bfloat16", {}, dict(quantize=True, q_mode="mxfp4")),
    "nvfp4": ("qwen2", "bfloat16", {}, dict(quantize=True, q_mode="nvfp4")),
    "mxfp8": ("qwen2", "bfloat16", {}, dict(quantize=True, q_mode="mxfp8")),
    "mixed": (
        "llama",
        "bfloat16",
        {},
        dict(quantize=True, q_group_size=32, quant_predicate="mixed_3_6"),
    ),
    "cast": ("llama", "float32", {}, dict(dtype="bfloat16")),
}


def convert(source, target, arguments):
    """`mlx_lm.convert` without the tokenizer that the fixtures lack."""

    def load(path, **_):
        model, config = load_model(pathlib.Path(path), lazy=True)
        return model, None, config

    def save(path, _, model, __, config):
        save_model(path, model)
        save_config(config, path / "config.json")

    reference.load, reference.save = load, save
    reference.convert(str(source), str(target), **arguments)


def record(folder, fixture, dtype, extra, arguments):
    config = json.loads((folder / fixture / "config.json").read_text()) | extra
    tensors = {}
    lines = (folder / fixture / "tensors.txt").read_text().splitlines()
    for line in (line for compact in lines for line in expanded(compact)):
        name, *shape = line.split()
        tensors[name] = weights(name, [int(n) for n in shape]).astype(getattr(mx, dtype))
    with tempfile.TemporaryDirectory() as temporary:
        source, target = pathlib.Path(temporary, "source"), pathlib.Path(temporary, "target")
        source.mkdir()
        (source / "config.json").write_text(json.dumps(config))
        mx.save_safetensors(str(source / "model.safetensors"), tensors)
        convert(source, target, arguments)
        written = json.loads((target / "config.json").read_text())
        index = json.loads((target / "model.safetensors.index.json").read_text())
        hashes = {}
        for name, value in sorted(mx.load(str(target / "model.safetensors")).items()):
            raw = bytes(np.array(value.view(mx.uint8)))
            digest = hashlib.sha256(raw).hexdigest()[:16]
            hashes[name] = f"{str(value.dtype).split('.')[-1]} {value.shape} {digest}"
    return dict(
        fixture=fixture,
        stored=dtype,
        extra=extra,
        quantization=written.get("quantization"),
        parameters=index["metadata"]["total_parameters"],
        bytes=index["metadata"]["total_size"],
        tensors=hashes,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="tests/fixtures")
    arguments = parser.parse_args()
    mx.set_default_device(mx.cpu)
    target = arguments.folder / "conversions"
    target.mkdir(exist_ok=True)
    for name, case in CASES.items():
        row = record(arguments.folder / "parity", *case)
        (target / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
        print(name, len(row["tensors"]), "tensors")
