"""Tensors that need not be stored: their numbers follow from their names.

`tests/it/weights.rs` and `tests/it/foreign.rs` are the same generator.
"""

import json
import struct

import mlx.core as mx
import numpy as np

# How tensors lie in files that other programs wrote: the type there, then which random bits are kept and what is
# added to them. None of these is no number.
KINDS = {
    "f32": ("F32", None),
    "f16": ("F16", None),
    "bf16": ("BF16", None),
    "i32": ("I32", (0xFFFFFFFF, 0)),
    "u32": ("U32", (0xFFFFFFFF, 0)),
    "u8": ("U8", (0xFF, 0)),
    "e4m3": ("F8_E4M3", (0xBF, 0)),
    "e4m3x4": ("U32", (0xBFBFBFBF, 0)),
    "power": ("U8", (0x03, 121)),
    "fraction": ("U8", (0x0F, 0x10)),
}


def prompt(length, vocabulary):
    """Ids that repeat late and reach all of a small vocabulary."""
    return [(index * index * 7 + index * 3 + 1) % vocabulary for index in range(length)]


def splitmix(x):
    """SplitMix64 of an array of uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def bits(name, shape):
    """64 random bits for every element of the tensor `name`."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        return splitmix(np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed))


def weights(name, shape):
    """Uniform numbers of a range that suits the tensor: norms near their neutral value, none of them neutral."""
    random = bits(name, shape)
    uniform = ((random >> np.uint64(40)).astype(np.float32) / np.float32(2**23)) - np.float32(1)
    values = uniform * np.float32(0.25)
    if name.endswith("norm.weight"):
        values = values + np.float32(1)
    return mx.array(values.reshape(shape))


def stored_bytes(name, shape, kind):
    """The bytes of a tensor of a kind of `KINDS`."""
    stored, kept = KINDS[kind]
    if kept is None:
        floats = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}
        made = weights(name, shape).astype(floats[stored]).reshape(-1)
        return bytes(np.array(made.view(mx.uint8)))
    mask, offset = kept
    width = np.uint32 if stored in ("I32", "U32") else np.uint8
    high = bits(name, shape) >> np.uint64(64 - 8 * width().itemsize)
    return ((high & np.uint64(mask)) + np.uint64(offset)).astype(width).tobytes()


def save(path, tensors):
    """Writes tensors, `name -> [*shape, kind]`, as safetensors; MLX itself writes none of its foreign types."""
    header, data = {}, b""
    for name, (*shape, kind) in tensors.items():
        made = stored_bytes(name, shape, kind)
        offsets = [len(data), len(data) + len(made)]
        header[name] = {"dtype": KINDS[kind][0], "shape": shape, "data_offsets": offsets}
        data += made
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)
