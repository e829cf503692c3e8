#!/usr/bin/env python3
"""Every golden case in every mode, in fp32 and in bf16: logits, loss, gradients, the curve of training, greedy tokens."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from golden_case import MODES, GoldenTest  # noqa: E402


class Yuan2(GoldenTest):
    def test_logits(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_logits(mode)

    def test_gradients(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_gradients(mode)

    def test_curve(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_curve(mode, name=mode)

    def test_curve_in_larger_micro_batches(self):
        for size in (2, 4):
            with self.subTest(micro_batch_size=size):
                self.check_curve("documents", f"--training.micro_batch_size={size}", name=f"micro-{size}")

    def test_bf16(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_bf16(mode)

    def test_the_modes_differ(self):
        """By more than the tolerances, or they would show nothing."""
        losses = [self.expected["modes"][mode]["loss"] for mode in MODES]
        for i, a in enumerate(losses):
            for b in losses[:i]:
                self.assertGreater(abs(a - b), 1e-4 * b)

    def test_greedy(self):
        self.check_greedy()


class Yuan2Odd(Yuan2):
    """Sizes that are no multiple of anything, and a vocabulary of 77."""

    NAME = "yuan2-odd"


if __name__ == "__main__":
    unittest.main()
