"""Records what `mlx_lm.convert` writes for parity fixtures: a hash of every tensor, and the packing it notes.

The checkpoints are those of `fixtures.py`; `tests/it/convert.rs` converts the same ones and compares.
Of every fixture, laid out as another program does, `layouts.txt` has one hash of all tensors and one of the packing;
`tests/it/layouts.rs` compares.
"""

import argparse
import hashlib
import importlib
import json
import pathlib
import shutil
import tempfile

import mlx.core as mx
import numpy as np
from generator import save, weights
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


def written(config, write, arguments):
    """What the reference writes of a checkpoint: a hash of every tensor, the configuration and the index."""
    with tempfile.TemporaryDirectory() as temporary:
        source, target = pathlib.Path(temporary, "source"), pathlib.Path(temporary, "target")
        source.mkdir()
        (source / "config.json").write_text(json.dumps(config))
        write(source)
        convert(source, target, arguments)
        config = json.loads((target / "config.json").read_text())
        index = json.loads((target / "model.safetensors.index.json").read_text())
        hashes = {}
        for name, value in sorted(mx.load(str(target / "model.safetensors")).items()):
            raw = bytes(np.array(value.reshape(-1).view(mx.uint8)))
            digest = hashlib.sha256(raw).hexdigest()[:16]
            hashes[name] = f"{str(value.dtype).split('.')[-1]} {value.shape} {digest}"
    return hashes, config, index["metadata"]


def plain(path, dtype):
    """Writes the tensors that `path` lists, as floats."""

    def write(source):
        tensors = {}
        for line in (line for compact in path.read_text().splitlines() for line in expanded(compact)):
            name, *shape = line.removesuffix(" dense").split()
            tensors[name] = weights(name, [int(n) for n in shape]).astype(getattr(mx, dtype))
        mx.save_safetensors(str(source / "model.safetensors"), tensors)

    return write


def foreign(folder):
    """Writes what another program packed."""

    def write(source):
        shutil.copytree(folder, source, dirs_exist_ok=True)
        lines = (folder / "tensors.txt").read_text().splitlines()
        rows = [line.split() for compact in lines for line in expanded(compact)]
        tensors = {name: [*map(int, shape), kind] for name, *shape, kind in rows}
        save(source / "model.safetensors", tensors)

    return write


def record(folder, fixture, dtype, extra, arguments):
    config = json.loads((folder / fixture / "config.json").read_text()) | extra
    write = plain(folder / fixture / "tensors.txt", dtype)
    tensors, config, sizes = written(config, write, arguments)
    return dict(
        fixture=fixture,
        stored=dtype,
        extra=extra,
        quantization=config.get("quantization"),
        parameters=sizes["total_parameters"],
        bytes=sizes["total_size"],
        tensors=tensors,
    )


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def layouts(folder):
    """A line for every fixture, as another program laid it out where one does: all dense ones are packed."""
    for path in sorted(folder.glob("parity/*/config.json")) + sorted(folder.glob("foreign/*/config.json")):
        target, config = path.parent, json.loads(path.read_text())
        if target.parent.name == "foreign":
            write, arguments = foreign(target), {}
        else:
            original = target / "tensors-hf.txt"
            write = plain(original if original.exists() else target / "tensors.txt", "float32")
            arguments = dict(quantize=True, q_bits=4, q_group_size=32)
        try:
            tensors, config, _ = written(config, write, arguments)
        except ValueError as error:
            # Some families pack routers in groups of 64, whatever the others have, and their widths here are odd.
            assert "group size 64" in str(error), error
            arguments = {}
            tensors, config, _ = written(config, write, arguments)
        packing = config.get("quantization")
        if packing:
            # Of AWQ and GPTQ it is not written, for it is the default.
            packing.setdefault("mode", "affine")
        said = json.dumps(packing, sort_keys=True, separators=(",", ":"))
        all_of_it = digest(f"{name} {tensor}" for name, tensor in tensors.items())
        how = "packed" if arguments else "as-it-is"
        yield f"{target.name} {how} {all_of_it} {digest([said])}"


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
    (target / "layouts.txt").write_text("".join(f"{line}\n" for line in layouts(arguments.folder)))
