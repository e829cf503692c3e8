"""headwater bench step and ops where they measure: the rows of their tables, what is predicted beside them, and the words."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from bench_ops import TINY, OpsTest, StepTest, bench  # noqa: E402


class Step(StepTest):
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

    def test_the_table_names_its_formulas(self):
        done = bench("ops", *TINY, "--runs", "1", "--training.device=cpu")
        self.assertEqual(done.returncode, 0, done)
        for words in ("floor = max(FLOPs", "share = floor / time", "measured in the same run on the CPU", "mlp.gate_up"):
            self.assertIn(words, done.stdout)


if __name__ == "__main__":
    unittest.main()
