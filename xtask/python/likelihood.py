"""The mean negative log-likelihood of a sequence by mlx-lm's own `mlx_lm.perplexity`, or, where keys and values are
packed, by its model, cache and packing, a chunk at a time as its `generate_step` reads a prompt."""

import json
import math

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.generate import maybe_quantize_kv_cache
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.perplexity import eval_ppl

from generator import prompt

# Attention to all and in a window, experts, latent attention, gated deltas and state spaces.
FIXTURES = ["llama", "gemma3", "mixtral", "deepseek_v3", "qwen3_next", "mamba2"]
# One that is read a shipped text with packed keys and values, in so many bits; its tokens are single characters.
PACKED = "llama-wide"
BITS = [8, 4, 2]
GROUP_SIZE = 64
CHARACTERS = "\n '(),-.0123456789:;=?abcdefghijklmnopqrstuvwxyz"
# Two whole chunks of 128 positions and a part of one.
CHUNK = 128
LENGTH = 300
# Tokens of the shipped texts, read in turn.
OF_TEXT = 512


def mean(model, ids):
    return math.log(eval_ppl(model, mx.array([ids]))[0])


def packed_mean(model, ids, bits):
    cache, losses = make_prompt_cache(model), []
    for start in range(0, len(ids) - 1, CHUNK):
        targets = ids[start + 1 : start + CHUNK + 1]
        read = mx.array([ids[start : start + len(targets)]])
        scores = model(read, cache=cache).astype(mx.float32)
        maybe_quantize_kv_cache(cache, 0, GROUP_SIZE, bits)
        losses += nn.losses.cross_entropy(scores, mx.array([targets]))[0].tolist()
    return math.fsum(losses) / len(losses)


def note(file, name, row):
    """Puts what was found under `name` into the file of all."""
    rows = json.loads(file.read_text()) if file.exists() else {}
    rows[name] = row
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(rows[key])}" for key in sorted(rows))
    file.write_text(f"{{\n{lines}\n}}\n")


def tiny(file, name, model, vocabulary):
    note(file, name, {"mean": round(mean(model, prompt(LENGTH, vocabulary)), 7)})


def of_text(file, name, model, tokenizer, text):
    ids = tokenizer.encode(text)[:OF_TEXT]
    note(file, name, {"mean": round(mean(model, ids), 7), "ids": ids})


def of_characters(file, name, model, text):
    ids = [CHARACTERS.index(character) for character in text.lower()[:OF_TEXT]]
    means = {bits: round(packed_mean(model, ids, bits), 7) for bits in BITS}
    note(file, name, {"mean": round(mean(model, ids), 7), "packed": means, "ids": ids})
