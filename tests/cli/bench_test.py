"""headwater bench step and ops: how the figures of their JSON hang together, and what they refuse."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bench_ops import CLUSTER, H100, TINY, OpsTest, StepTest, bench  # noqa: E402


class Step(StepTest):
    def test_figures_hang_together(self):
        result = self.step("--training.global_batch_size=4")
        self.assertEqual(result["tokens"], 4 * 32)
        self.assertAlmostEqual(result["tokens_per_second"] * result["elapsed_ms"] / 1e3, result["tokens"], places=6)
        # 4 layers of H 128, F 512, C 64, and the head over V 512: a product of m x n weights takes 2mn a token.
        H, F, C, V, S = 128, 512, 64, 512, 32
        layer = 2 * (3 * H * H + H * H + 3 * F * H + 2 * (C * H + H * C)) + 2 * 2 * H * (S + 1) / 2
        self.assertAlmostEqual(result["model_flops_per_token"], 3 * (4 * layer + 2 * V * H))
        self.assertAlmostEqual(result["achieved_flops"] / (result["model_flops_per_token"] * result["tokens_per_second"]), 1.0)
        self.assertAlmostEqual(result["share_of_matmul"], result["achieved_flops"] / result["matmul_flops"])
        self.assertGreater(result["share_of_matmul"], 0.0)
        self.assertLess(result["share_of_matmul"], 1.2)
        self.assertGreater(result["memory_bandwidth"], 1e8)
        # Masters, gradients and two moments in fp32 at least, of the two million parameters and more that yuan2-tiny has.
        parameters = 4 * (4 * H * H + 3 * F * H + 4 * C * H + C + 4 * H) + V * H + H
        self.assertGreater(result["peak_bytes"], 16 * parameters)
        self.assertLess(result["peak_bytes"], 64 * parameters)


class Ops(OpsTest):
    def test_floors_need_no_device(self):
        result = self.ops("--floors", "--cluster", CLUSTER)
        self.assertEqual((result["dtype"], result["floor_source"]), ("bf16", "8 H100-80GB SXM"))
        self.assertEqual(result["floor"], H100)
        self.assertNotIn("measured", result)
        self.check(result, 2)
        self.assertFalse(any("seconds" in op for op in result["ops"]))

    def test_dropout_has_rows_of_its_own(self):
        result = self.ops("--floors", "--cluster", CLUSTER, "--model.attention_dropout=0.1", "--model.hidden_dropout=0.1",
                          "--model.lfa=false")
        rows = {(op["op"], op["what"]) for op in result["ops"]}
        self.assertTrue({("attention", ""), ("attention", "dropout 0.1"), ("dropout_backward", ""),
                         ("linear", "attention.qkv")} <= rows)
        self.assertNotIn(("lfa_taps", "lfa.conv1"), rows)

    def test_what_is_not_trained_has_no_weight_gradient(self):
        result = self.ops("--floors", "--cluster", CLUSTER, '--training.freeze=["layers.*"]')
        products = [op["what"] for op in result["ops"] if op["op"] == "linear_weight_gradient"]
        self.assertEqual(products, ["head"])
        self.assertIn(("linear_input_gradient", "mlp.down"), {(op["op"], op["what"]) for op in result["ops"]})


class Refusals(unittest.TestCase):
    def refused(self, words, *arguments):
        done = bench(*arguments)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        errors = [line for line in done.stderr.splitlines() if line.startswith("headwater: error:")]
        self.assertEqual(len(errors), 1, done)
        self.assertIn(words, errors[0])

    def test_each_in_one_line(self):
        self.refused("subcommand is required")
        self.refused("--cluster CLUSTER.json", "ops", *TINY, "--floors")
        self.refused("parallel.tensor_model_parallel_size is 2", "ops", *TINY, "--parallel.tensor_model_parallel_size=2")
        self.refused("training.freeze", "ops", *TINY, "--training.freeze=[\"layer.*\"]")
        self.refused("--steps", "step", "--steps", "0")
        self.refused("model.num_layer", "step", "--model.num_layer=3")
        self.refused("training.seq_length", "step", *TINY, "--training.seq_length=64", "--model.max_position_embeddings=32")
        self.refused("training.global_batch_size", "step", *TINY, "--training.global_batch_size=3")


if __name__ == "__main__":
    unittest.main()
