"""Sets the harness beside mlx-lm on the same MLX: `versus.py HARNESS GRAPH DEMO WORK [--pairs N] [--only NAME] [--preload LIB]`.

HARNESS and GRAPH are the programs of the release build, DEMO a folder of the demo model in float32, WORK a folder for
generated models. Each figure is a ratio, ours to mlx-lm's, of runs that alternate (ABBA), each in a fresh process; the
middle of the pairs' ratios is printed with the least and the most. `--preload` gives mlx-lm another allocator.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SIDE = Path(__file__).with_name("versus_side.py")

LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 30,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 512,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
MIXTURE = LLAMA | {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 8,
    "hidden_size": 128,
    "intermediate_size": 256,
    "head_dim": 32,
    "num_experts": 16,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "max_position_embeddings": 4096,
}
LONG = LLAMA | {"num_hidden_layers": 4, "hidden_size": 256, "intermediate_size": 512}


@dataclass
class Case:
    """A folder, and what is asked of it."""

    name: str
    config: dict | None
    bits: int
    prompt: int
    tokens: int


CASES = [
    Case("host-float32", LLAMA, 0, 16, 128),
    Case("host-4bit", LLAMA, 4, 16, 128),
    Case("smollm2-float32", None, 0, 64, 32),
    Case("mixture-4bit", MIXTURE, 4, 16, 128),
    Case("long-prompt", LONG, 0, 2048, 8),
]


def make(folder, case):
    """Writes a model of random weights, the same each time."""
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten, tree_map
    from mlx_lm.utils import _get_classes

    model_class, arguments_class = _get_classes(case.config)
    model = model_class(arguments_class.from_dict(case.config))
    mx.random.seed(7)
    model.update(tree_map(lambda w: mx.random.normal(w.shape) * 0.05, model.parameters()))
    config = dict(case.config)
    if case.bits:
        config["quantization"] = {"group_size": 64, "bits": case.bits}
        nn.quantize(model, 64, case.bits)
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(config))


@dataclass
class Run:
    """What one process took."""

    told: dict
    began: float
    wall: float
    cpu: float
    peak: int

    def __init__(self, command, environment):
        self.began = time.time()
        child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{command[0]} ended with {child.returncode}")
        self.told = json.loads(output)
        self.told |= self.told.pop("timings", {})
        self.wall = time.time() - self.began
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024


class Side:
    """How one of the two is asked."""

    def __init__(self, command, environment):
        self.command, self.environment = command, environment

    def ask(self, folder, prompt, tokens):
        return Run(self.command(folder, prompt, tokens), self.environment)

    def figures(self, folder, case, weights):
        """Every figure of one run, and the ids."""
        first = self.ask(folder, case.prompt, 2)
        run = self.ask(folder, case.prompt, case.tokens)
        told = run.told
        more = case.tokens - 2
        return told["ids"], {
            "start to first token, s": first.told["requested_unix_s"] + first.told["first_token_s"] - first.began,
            "load, s": told["load_s"],
            "prompt, tokens/s": case.prompt / told["first_token_s"],
            "decode, tokens/s": (case.tokens - 1) / (told["last_token_s"] - told["first_token_s"]),
            "processor time per token, ms": (run.cpu - first.cpu) / more * 1e3,
            "memory beyond weights, MiB": (run.peak - weights) / 2**20,
        }


def described(command, environment, times=3):
    """Microseconds that describing a step takes: the least of some processes."""
    outputs = (subprocess.run(command, env=environment, capture_output=True, check=True) for _ in range(times))
    told = [json.loads(output.stdout) for output in outputs]
    return min(value if isinstance(value, float) else value["describe_us"] for value in told)


def compare(case, folder, sides, pairs):
    """Both sides' figures of every pair."""
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    found = ([], [])
    for pair in range(pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            found[side].append(sides[side].figures(folder, case, weights))
    return found


def show(case, found):
    """The middle of each, and of the ratios, with least and most."""
    ids = [ids for side in found for ids, _ in side]
    agreed = "the same ids" if all(other == ids[0] for other in ids) else "OTHER IDS"
    print(f"\n{case.name}: {case.prompt} + {case.tokens} tokens, {agreed}")
    for name in found[0][0][1]:
        ours, theirs = ([figures[name] for _, figures in side] for side in found)
        ratios = sorted(a / b for a, b in zip(ours, theirs))
        middle = statistics.median
        print(
            f"  {name:<30}{middle(ours):>10.3f}{middle(theirs):>10.3f}"
            f"{middle(ratios):>8.2f}   {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["harness", "graph", "demo", "work"]:
        parser.add_argument(name, type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", action="append")
    parser.add_argument("--preload", default="")
    given = parser.parse_args()

    reference = dict(os.environ)
    reference["LD_PRELOAD"] = " ".join(filter(None, [given.preload, os.environ.get("VERSUS_BLAS", "")]))
    own = Side(
        lambda folder, prompt, tokens: [
            given.harness, "generate", folder, "--ignore-eos", "--json", "--max-tokens", str(tokens),
            "--prompt-ids", ",".join(str(index % vocabulary(folder)) for index in range(1, prompt + 1)),
        ],
        dict(os.environ),
    )
    other = Side(
        lambda folder, prompt, tokens: [sys.executable, SIDE, folder, str(prompt), str(tokens)], reference
    )
    print(f"{'':<32}{'ours':>10}{'mlx-lm':>10}{'ratio':>8}   least to most")
    for case in CASES:
        if given.only and case.name not in given.only:
            continue
        folder = given.work / case.name if case.config else given.demo
        if not folder.exists():
            make(folder, case)
        show(case, compare(case, folder, (own, other), given.pairs))
        ours = described([given.graph, folder, str(case.prompt), "60"], dict(os.environ))
        theirs = described([sys.executable, SIDE, folder, str(case.prompt), "0", "--steps", "60"], reference)
        print(f"  {'describing a step, ms':<30}{ours / 1e3:>10.3f}{theirs / 1e3:>10.3f}{ours / theirs:>8.2f}")


def vocabulary(folder):
    return json.loads((folder / "config.json").read_text())["vocab_size"]


if __name__ == "__main__":
    main()
