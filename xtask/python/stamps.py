"""Records when each token was submitted and visible inside mlx-lm's own loop, and what mlx-lm prints of the request.

Run by hand, with mlx-lm's Python: `python stamps.py FOLDER > tests/fixtures/stamps/mlx_lm.json`, where `FOLDER` holds a
model with a chat template whose tokens take some milliseconds each. mlx-lm's loop and programs run as they are; its
generator and `mx.async_eval` are only wrapped to look at the clock.
"""

import contextlib
import hashlib
import io
import json
import re
import struct
import sys
import time

import mlx.core as mx
import mlx_lm.benchmark

loop = sys.modules["mlx_lm.generate"]

# Tokens of prompt and answer, and repetitions: usual ones, a prompt of one token, and answers of two and of one.
BENCHMARKS = [(64, 32, 3), (1, 8, 1), (16, 2, 2), (16, 1, 1)]
QUESTION = "What is the capital of France?"

generate_step = loop.generate_step
async_eval = mx.async_eval
requests = []


def sha256(ids):
    return hashlib.sha256(b"".join(struct.pack("<I", id) for id in ids)).hexdigest()


def stamped_step(prompt, *arguments, **options):
    """mlx-lm's generator; its first step is asked for right after mlx-lm has looked at its clock."""
    request = {"began": time.perf_counter_ns(), "submitted": [], "visible": [], "ids": []}
    request["prompt"] = prompt.tolist()
    requests.append(request)
    for token, scores in generate_step(prompt, *arguments, **options):
        request["visible"].append(time.perf_counter_ns())
        request["ids"].append(int(token))
        yield token, scores


def stamped_async_eval(*arrays):
    async_eval(*arrays)
    requests[-1]["submitted"].append(time.perf_counter_ns())


def trial(request, stop):
    """The request as the harness keeps one, in microseconds."""
    micros = lambda stamps: [(stamp - request["began"]) // 1000 for stamp in stamps]
    visible = micros(request["visible"])
    ended_by = request["ids"][-1] in stop
    return {
        "prompt_tokens": len(request["prompt"]),
        "prompt_sha256": sha256(request["prompt"]),
        "ids_sha256": sha256(request["ids"]),
        "prompt_ready_us": 0,
        "submitted_us": micros(request["submitted"])[: len(visible)],
        "visible_us": visible,
        "ended_us": visible[-1],
        "finish": {"reason": "stop", "id": request["ids"][-1]} if ended_by else {"reason": "length"},
        "memory": {},
    }


def printed(run):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run()
    return out.getvalue()


def benchmark(folder, prompt_tokens, generation_tokens, repetitions):
    """Rows of `mlx_lm.benchmark`, whose first request is a warm-up."""
    requests.clear()
    sizes = ["-p", str(prompt_tokens), "-g", str(generation_tokens), "-n", str(repetitions)]
    sys.argv = ["mlx_lm.benchmark", "--model", folder, *sizes]
    text = printed(mlx_lm.benchmark.main)
    rates = re.findall(r"Trial \d+:  prompt_tps=([\d.]+), generation_tps=([\d.]+)", text)
    assert len(rates) == repetitions == len(requests) - 1, text
    return [row("mlx_lm.benchmark", request, [], pair) for request, pair in zip(requests[1:], rates)]


def chat(folder):
    """A row of `mlx_lm.generate`, of an answer that a stop token ends."""
    requests.clear()
    model, tokenizer = mlx_lm.load(folder)
    messages = [{"role": "user", "content": QUESTION}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    text = printed(lambda: loop.generate(model, tokenizer, prompt, verbose=True, max_tokens=64))
    pair = re.findall(r": \d+ tokens, ([\d.]+) tokens-per-sec", text)
    assert len(pair) == 2 and len(requests) == 1, text
    return row("mlx_lm.generate", requests[0], tokenizer.eos_token_ids, pair)


def row(program, request, stop, pair):
    prompt_tps, generation_tps = map(float, pair)
    figures = {"prompt_tps": prompt_tps, "generation_tps": generation_tps}
    return {"program": program, "printed": figures, "trial": trial(request, stop)}


loop.generate_step = stamped_step
mx.async_eval = stamped_async_eval
folder = sys.argv[1]
rows = [row for sizes in BENCHMARKS for row in benchmark(folder, *sizes)]
rows.append(chat(folder))
print("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]")
