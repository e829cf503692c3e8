"""headwater bench on a GPU, or on the emulated one, whose times mean nothing."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bench_ops import TINY, OpsTest, bench  # noqa: E402
from emulation import CUDA  # noqa: E402


class Ops(OpsTest):
    def test_formulas_and_floors(self):
        self.check_measured(CUDA)


class Step(unittest.TestCase):
    def test_figures_hang_together(self):
        done = bench("step", *TINY, CUDA, "--steps", "1", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        result = json.loads(done.stdout)
        self.assertNotEqual(result["device"], "the CPU")
        self.assertEqual((result["dtype"], result["tokens"]), ("bf16", 2 * 32))
        self.assertAlmostEqual(result["share_of_matmul"] * result["matmul_flops"] / result["achieved_flops"], 1.0)
        self.assertEqual({op["name"]: op["calls"] for op in result["ops"]}["attention_backward"], 4)
        self.assertAlmostEqual(result["mfu"] * result["peak_flops"] / result["achieved_flops"], 1.0)
        self.assertRegex(result["peak_source"], r"^(data sheet of |.* FLOPs a clock, bf16)")
        self.assertNotIn("prediction", result)

    def test_what_it_cannot_predict_is_refused(self):
        for option in ("--cluster-out", "--trace"):
            done = bench("step", *TINY, CUDA, option, "/nowhere/file")
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(option, done.stderr)


if __name__ == "__main__":
    unittest.main()
