#!/usr/bin/env python3
"""Runs on a GPU, or on the emulated one, beside runs on the CPU: weights that are rounded by chance, a checkpoint that changes
hands, and a host without a GPU.
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from emulation import CPU, CUDA, visible  # noqa: E402
from runs import RunTest, curve  # noqa: E402


class Runs(RunTest):
    def test_stochastic_rounding(self):
        bf16, chance = "--training.dtype=bf16", "--optimizer.stochastic_rounding=true"
        nearest, cpu, gpu = (self.folder / name for name in ("nearest", "cpu", "gpu"))
        self.train(nearest, bf16, CUDA)
        self.train(cpu, bf16, chance, CPU)
        self.train(gpu, bf16, chance, CUDA)
        self.assertEqual(curve(gpu)[1], curve(nearest)[1])
        self.assertNotEqual(curve(gpu), curve(nearest))
        for step, loss in curve(cpu).items():
            self.assertLessEqual(abs(curve(gpu)[step] - loss), 5e-3 * loss, step)

    def test_the_cpu_goes_on_from_a_gpu(self):
        save = self.folder / "save"
        self.train(save, CUDA, "--training.exit_interval=5")
        self.train(save, CPU)
        self.assertEqual(sorted(curve(save)), list(range(1, 9)))

    def test_no_gpu(self):
        self.refused(3, "this host shows no GPU", "train", self.config, CUDA, environment=visible(0))


if __name__ == "__main__":
    unittest.main()
