#!/usr/bin/env python3
"""The whole program on a GPU, or on the emulated one: the golden cases, a training beside the CPU's, a resume.

scripts/gpu_check.sh runs it where neither sources nor a build are. A process takes two seconds to start there: there are few.
The environment may name CPU_LOSSES, what small_training.py has written elsewhere; else the CPU trains here, in the same binary.
It may name TRAINING_JSON, a file that gets the losses of both.
"""

import json
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from emulation import CUDA  # noqa: E402
from golden_case import BF16_LOGITS, GoldenTest  # noqa: E402
from runs import RunTest, curve, latest, state  # noqa: E402
from small_training import OPTIONS, cpu_losses, losses_of, tolerance  # noqa: E402

MODE = "documents"  # resets all that the others do


class Golden(GoldenTest):
    def test_logits(self):
        self.check_logits(MODE, CUDA)

    def test_loss_and_gradients(self):
        self.check_gradients(MODE, CUDA)

    def test_curve(self):
        self.check_curve(MODE, CUDA)

    def test_logits_in_bf16(self):
        self.check_logits(MODE, CUDA, "--training.dtype=bf16", tolerance=BF16_LOGITS)


class GoldenOdd(Golden):
    """Sizes that are multiples of nothing."""

    NAME = "yuan2-odd"


class Training(RunTest):
    def test_the_losses_are_those_of_the_cpu(self):
        recorded = os.environ.get("CPU_LOSSES")
        expected = json.loads(Path(recorded).read_text()) if recorded else cpu_losses()
        save = self.folder / "gpu"
        self.train(save, CUDA, *OPTIONS)
        found = losses_of(save)
        if "TRAINING_JSON" in os.environ:
            Path(os.environ["TRAINING_JSON"]).write_text(json.dumps({"losses": found, "cpu": expected}) + "\n")
        self.assertEqual(len(found), len(expected))
        self.assertLess(found[-1], 0.8 * found[0])
        for step, (loss, cpu) in enumerate(zip(found, expected), 1):
            self.assertLessEqual(abs(loss - cpu), tolerance(step) * cpu, f"step {step}: {loss} where the CPU has {cpu}")


class Resume(RunTest):
    def test_a_resumed_run_finds_the_same_bits(self):
        straight, stopped = self.folder / "straight", self.folder / "stopped"
        run = (CUDA, *OPTIONS, "--training.train_iters=20")
        self.train(straight, *run)
        self.train(stopped, *run, "--training.exit_interval=10")
        self.assertEqual(sorted(curve(stopped)), list(range(1, 11)))
        self.train(stopped, *run)
        self.assertEqual(latest(stopped).name, latest(straight).name)
        self.assertEqual(curve(straight), curve(stopped))
        self.assert_same_files(state(straight), state(stopped))


if __name__ == "__main__":
    unittest.main()
