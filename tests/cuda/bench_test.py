"""headwater bench ops on a GPU, or on the emulated one, whose times mean nothing."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bench_ops import OpsTest  # noqa: E402


class Ops(OpsTest):
    def test_formulas_and_floors(self):
        self.check_measured("--training.device=cuda")


if __name__ == "__main__":
    unittest.main()
