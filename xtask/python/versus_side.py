"""One request to mlx-lm in a process of its own: `versus_side.py FOLDER PROMPT TOKENS [--steps N]`.

Prints one line of JSON: when the first token was there (seconds since 1970), seconds of loading and from the request to
the first and last token, and the ids; with `--steps`, microseconds that describing a step takes without computing it.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load, load_model

folder, length, tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
steps = int(sys.argv[5]) if "--steps" in sys.argv else 0

began = time.perf_counter()
if (folder / "tokenizer.json").exists():
    model, _ = load(str(folder))
else:
    model, _ = load_model(folder)
told = {"load_s": time.perf_counter() - began}

vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
prompt = mx.array([index % vocabulary for index in range(1, length + 1)])


def describe():
    """Microseconds of the middle step, described as mlx-lm's loop does before it hands one over."""
    cache = make_prompt_cache(model)
    model(prompt[:-1][None], cache=cache)
    mx.eval([layer.state for layer in cache])
    token, took = prompt[-1:], []
    for _ in range(steps):
        start = time.perf_counter()
        with mx.stream(mx.default_device()):
            scores = model(token[None], cache=cache)[:, -1, :]
            log_probabilities = scores - mx.logsumexp(scores, keepdims=True)
            token = mx.argmax(log_probabilities, axis=-1)
        took.append((time.perf_counter() - start) * 1e6)
    return statistics.median(took)


if steps:
    told["describe_us"] = describe()
else:
    start = time.perf_counter()
    told["requested_unix_s"] = time.time()
    ids, stamps = [], []
    for token, _ in generate_step(prompt, model, max_tokens=tokens):
        stamps.append(time.perf_counter() - start)
        ids.append(token)
    told |= {"first_token_s": stamps[0], "last_token_s": stamps[-1], "ids": ids}
print(json.dumps(told))
