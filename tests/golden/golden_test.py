#!/usr/bin/env python3
"""Yuan 2.0's golden case in the two modes that differ most, on one rank; golden_full_test.py takes all of them."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from golden_case import GoldenTest  # noqa: E402


class Yuan2(GoldenTest):
    def check(self, mode):
        self.check_logits(mode)
        self.check_gradients(mode)
        self.check_curve(mode)

    def test_none(self):
        self.check("none")

    def test_documents(self):
        self.check("documents")

    def test_greedy(self):
        self.check_greedy()


if __name__ == "__main__":
    unittest.main()
