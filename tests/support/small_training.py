#!/usr/bin/env python3
"""A small model whose training takes every path of a large one on a GPU: bf16 with fp32 masters, attention on tensor cores over
more keys than a block takes, two micro-batches a step, dropout. 50 steps take a GPU about a second.

    small_training.py LOSSES.json    trains it on the CPU and writes its losses, to be compared with elsewhere

The environment names the binary (HEADWATER) and the sources (HEADWATER_SOURCE_DIR), as for tests.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from emulation import CPU  # noqa: E402
from golden_case import BF16_LOSS  # noqa: E402
from runs import CONFIG, HEADWATER, curve  # noqa: E402

STEPS = 50
OPTIONS = ("--model.num_layers=2", "--model.num_attention_heads=2", "--model.kv_channels=64", "--training.dtype=bf16",
           "--model.max_position_embeddings=160", "--training.seq_length=160", "--training.global_batch_size=2",
           "--optimizer.lr=3e-3", f"--training.train_iters={STEPS}")

# How far two trainings may be apart that round differently, of the loss. In the first ten steps what a step over 160 targets
# may be (golden_case.py; these have 320). Later steps carry roundings on: the CPU in bf16 is up to 9e-4 from the CPU in fp32,
# and 1.1e-3 from the emulated GPU, and is allowed four times that. Attention without its dropout is 3.5e-3 away in the first
# ten steps and 1.3e-2 in the next.
FIRST_STEPS, FIRST, LATER = 10, BF16_LOSS, 4 * BF16_LOSS


def tolerance(step):
    return FIRST if step <= FIRST_STEPS else LATER


def losses_of(save):
    """Of a run of all steps, in their order."""
    losses = curve(save)
    assert sorted(losses) == list(range(1, STEPS + 1)), sorted(losses)
    return [losses[step] for step in sorted(losses)]


def cpu_losses():
    with tempfile.TemporaryDirectory(prefix="headwater-training-") as folder:
        config = Path(folder, "config.json")
        config.write_text(json.dumps(CONFIG))
        subprocess.run([HEADWATER, "train", config, *OPTIONS, CPU, f"--training.metrics_file={folder}/metrics.jsonl"],
                       stdout=subprocess.DEVNULL, check=True)
        return losses_of(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: small_training.py LOSSES.json, where the losses go")
    Path(sys.argv[1]).write_text(json.dumps(cpu_losses()) + "\n")
