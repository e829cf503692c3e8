"""headwater bench step and ops: their JSON's keys and how they hang together, their tables, and what they refuse."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bench_ops import CLUSTER, H100, TINY, OpsTest, bench  # noqa: E402


class Step(unittest.TestCase):
    def step(self, *arguments):
        done = bench("step", *TINY, "--steps", "2", "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return json.loads(done.stdout)

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

    def test_ops_are_those_of_the_step(self):
        result = self.step("--training.dtype=fp32")
        self.assertEqual(result["dtype"], "fp32")
        ops = {op["name"]: op for op in result["ops"]}
        self.assertEqual(len(ops), len(result["ops"]))
        seconds = [op["seconds"] for op in result["ops"]]
        self.assertEqual(seconds, sorted(seconds, reverse=True))
        for op in ops.values():
            self.assertGreaterEqual(op["floor_seconds"], 0.0, op)
            self.assertGreater(op["calls"], 0, op)
        # One micro-batch through 4 layers.
        for name in ("attention", "attention_backward", "swiglu", "swiglu_backward", "lfa_taps_rms_norm"):
            self.assertEqual(ops[name]["calls"], 4, name)
        for name in ("embedding", "embedding_backward", "decide_step"):
            self.assertEqual(ops[name]["calls"], 1, name)
        # The floor of the three kinds of product is at least that of their model FLOPs.
        products = sum(ops[name]["floor_seconds"] for name in ops if name.startswith(("linear", "attention")))
        self.assertGreater(products * 1.0001, result["tokens"] * result["model_flops_per_token"] / result["matmul_flops"])

    def test_model_and_batch_have_defaults_and_a_file_may_give_them(self):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "config.json")
            config.write_text('{"model": {"preset": "yuan2-tiny"}, "data": {"train": "nowhere", "tokenizer": "nowhere"}}')
            done = bench("step", str(config), "--steps", "1", "--json")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(json.loads(done.stdout)["tokens"], 4 * 256)

    def test_prediction_stands_beside_the_measurement(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "trace.json")
            result = self.step("--training.global_batch_size=8", "--trace", str(file))
            events = json.loads(file.read_text())["traceEvents"]
        prediction = result["prediction"]
        self.assertAlmostEqual(prediction["error"], prediction["predicted_seconds"] / prediction["measured_seconds"] - 1.0)
        self.assertEqual(prediction["predicted_bubble"], 0.0)  # one rank waits for nobody
        (rank,) = prediction["ranks"]
        self.assertEqual(rank["predicted_bytes"], rank["measured_bytes"])
        self.assertEqual(rank["measured_bytes"], result["peak_bytes"])
        for side in ("predicted", "measured"):
            self.assertEqual(set(rank[side]), {"compute", "waiting", "communication", "update"})
            self.assertGreater(rank[side]["compute"], 0.0)
            self.assertEqual(rank[side]["waiting"], 0.0)
        # Both timelines hold the same computes: four micro-batches there and back.
        self.assertEqual([e["args"]["name"] for e in events if e["name"] == "process_name"], ["predicted", "measured"])
        for process in (0, 1):
            computes = {e["name"] for e in events if e["ph"] == "X" and e["pid"] == process and "args" in e}
            self.assertEqual(computes, {f"{kind} {m}" for kind in ("forward", "backward") for m in range(4)})

    def test_the_table_names_its_formulas(self):
        done = bench("step", *TINY, "--steps", "1")
        self.assertEqual(done.returncode, 0, done)
        for words in ("linear_weight_gradient", "floor = max(", "share of matmul = model FLOP/s / matmul FLOP/s",
                      "model FLOPs per token x tokens/s", "| measurement", "bubble"):
            self.assertIn(words, done.stdout)


class Ops(OpsTest):
    def test_formulas_and_floors(self):
        self.check_measured("--training.device=cpu")

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

    def test_the_table_names_its_formulas(self):
        done = bench("ops", *TINY, "--runs", "1", "--training.device=cpu")
        self.assertEqual(done.returncode, 0, done)
        for words in ("floor = max(FLOPs", "share = floor / time", "measured in the same run on the CPU", "mlp.gate_up"):
            self.assertIn(words, done.stdout)


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
        self.refused("--steps", "step", "--steps", "0")
        self.refused("model.num_layer", "step", "--model.num_layer=3")
        self.refused("training.seq_length", "step", *TINY, "--training.seq_length=64", "--model.max_position_embeddings=32")
        self.refused("training.global_batch_size", "step", *TINY, "--training.global_batch_size=3")


if __name__ == "__main__":
    unittest.main()
