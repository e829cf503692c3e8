"""A golden case (tests/golden/README.md): what it expects, and the commands that must find it."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from runs import SOURCE, RunTest, metrics, read_safetensors  # noqa: E402

# What each mode resets at a document's end.
MODES = {
    "none": (),
    "positions": ("reset_position_ids",),
    "attention": ("reset_position_ids", "reset_attention_mask"),
    "documents": ("reset_position_ids", "reset_attention_mask", "reset_lfa"),
}

# Of the README. A gradient norm sums the errors of all gradients, which are larger than the loss's.
LOGITS, LOSS, GRADIENT, FLOOR = 1e-5, 1e-6, 1e-4, 1e-7
NORM_PER_LOSS = 3

# bf16: between token and logit lie about N = 60 stored tensors, each rounded to nearest, by u = 2^-8 at most and u/√3 on
# average. Like a random walk they make √60 · u/√3 = 1.7 % of the logits' size, and the largest of some 10,000 errors is
# four times the average: 7 %. A logit near 1 is off by 0.02, and so is a token's loss; over the 160 targets of a step that
# averages to 0.02/√160 = 1.6e-3, of a loss near 5: 3e-4. The rounding of the weights is common to all tokens and does not
# average; three times that leaves room for it. Gradients pass twice as many roundings, 2.4 %; their norm is off by less.
BF16_LOGITS, BF16_LOSS, BF16_NORM = 0.07, 1e-3, 0.024


def largest(values):
    return max(map(abs, values))


def largest_difference(found, expected):
    return max(abs(a - b) for a, b in zip(found, expected))


class GoldenTest(RunTest):
    """Tests of the case that NAME names."""

    NAME = "yuan2"

    def setUp(self):
        super().setUp()
        self.path = SOURCE / "tests" / "golden" / self.NAME
        self.expected = json.loads((self.path / "expected.json").read_text())

    def documents(self, mode):
        return [f"--data.eod={self.expected['eod']}", *(f"--data.{key}=true" for key in MODES[mode])]

    def tensors(self, mode):
        return read_safetensors(self.path / f"expected-{mode}.safetensors")

    def find_logits(self, mode, *more, ranks=1):
        out = self.folder / "logits.safetensors"
        self.run_job(0, "logits", "--model", self.path, "--tokens", self.path / "batch.safetensors", "--out", out,
                     *self.documents(mode), *more, ranks=ranks)
        return read_safetensors(out)["logits"]

    def check_logits(self, mode, *more, ranks=1, tolerance=LOGITS):
        shape, found = self.find_logits(mode, *more, ranks=ranks)
        expected_shape, expected = self.tensors(mode)["logits"]
        self.assertEqual(shape, expected_shape)
        self.assertLessEqual(largest_difference(found, expected), tolerance * largest(expected))

    def check_gradients(self, mode, *more, ranks=1):
        out = self.folder / "gradients.safetensors"
        self.run_job(0, "gradients", "--model", self.path, "--batch", self.path / "batch.safetensors", "--out", out,
                     *self.documents(mode), *more, ranks=ranks)
        found, expected = read_safetensors(out), self.tensors(mode)
        del expected["logits"]
        self.assertEqual(sorted(found), sorted(expected))
        (loss,), (expected_loss,) = found["loss"][1], expected["loss"][1]
        self.assertLessEqual(abs(loss - expected_loss), LOSS * expected_loss)
        norm = self.expected["modes"][mode]["grad_norm"]
        for name, (shape, values) in expected.items():
            self.assertEqual(found[name][0], shape, name)
            self.assertLessEqual(largest_difference(found[name][1], values), GRADIENT * largest(values) + FLOOR * norm, name)

    def train_case(self, mode, *more, ranks=1, name="run"):
        """The lines of metrics.jsonl of the case's 20 steps."""
        train, out = self.expected["train"], self.folder / name
        out.mkdir()
        sections = {
            "data": {"train": str(self.path / "data"), "shuffle": False, "eod": self.expected["eod"],
                     **{key: True for key in MODES[mode]}},
            "training": {"micro_batch_size": 1, "global_batch_size": train["global_batch_size"],
                         "seq_length": self.expected["seq_length"], "train_iters": train["steps"], "dtype": "fp32",
                         "init_from": str(self.path), "metrics_file": str(out / "metrics.jsonl")},
            "optimizer": {key: train[key] for key in ("lr", "adam_beta1", "adam_beta2", "adam_eps", "weight_decay",
                                                      "clip_grad")},
        }
        config = out / "config.json"
        config.write_text(json.dumps(sections))
        self.run_job(0, "train", config, *more, ranks=ranks)
        lines = metrics(out)
        self.assertEqual([line["step"] for line in lines], list(range(1, train["steps"] + 1)))
        return lines

    def check_curve(self, mode, *more, ranks=1, tolerance=None, norm_tolerance=None, name="run"):
        expected = self.expected["modes"][mode]
        tolerance = tolerance or expected["curve_tolerance"]
        norm_tolerance = norm_tolerance or NORM_PER_LOSS * tolerance
        lines = self.train_case(mode, *more, ranks=ranks, name=name)
        for line, loss, norm in zip(lines, expected["curve"]["losses"], expected["curve"]["grad_norms"]):
            self.assertLessEqual(abs(line["loss"] - loss), tolerance * loss, line)
            self.assertLessEqual(abs(line["grad_norm"] - norm), norm_tolerance * norm, line)
        return lines

    def check_bf16(self, mode, *more, ranks=1):
        bf16 = ("--training.dtype=bf16", *more)
        self.check_logits(mode, *bf16, ranks=ranks, tolerance=BF16_LOGITS)
        self.check_curve(mode, *bf16, ranks=ranks, tolerance=BF16_LOSS, norm_tolerance=BF16_NORM, name=f"bf16-{mode}")

    def check_greedy(self):
        greedy = self.expected["greedy"]
        job = self.run_job(0, "generate", "--model", self.path, "--prompt-tokens", ",".join(map(str, greedy["prompt"])),
                           "--max-new-tokens", len(greedy["continuation"]), "--temperature", 0, "--print-tokens",
                           "--training.dtype=fp32")
        self.assertEqual([int(text) for text in job.stdout.split(",")], greedy["continuation"])
