"""The mean negative log-likelihood of a sequence by mlx-lm's own `mlx_lm.perplexity`."""

import json
import math

import mlx.core as mx
from mlx_lm.perplexity import eval_ppl

from generator import prompt

# Attention to all and in a window, experts, latent attention, gated deltas and state spaces.
FIXTURES = ["llama", "gemma3", "mixtral", "deepseek_v3", "qwen3_next", "mamba2"]
# Two whole chunks of 128 positions and a part of one.
LENGTH = 300
# Tokens of the shipped texts, read in turn.
OF_TEXT = 512


def mean(model, ids):
    return math.log(eval_ppl(model, mx.array([ids]))[0])


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
