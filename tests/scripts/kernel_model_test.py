"""How times of kernels, ops and steps are predicted from counts, and the page that says it (scripts/kernel_model.py,
step_model.py, kernel_table.py)."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "scripts"))

import kernel_model  # noqa: E402
import kernel_results  # noqa: E402
import step_model  # noqa: E402
from kernel_budget import read_budget  # noqa: E402


SIZES = {
    "samples": 2,
    "sequence": 1024,
    "hidden": 2048,
    "heads": 32,
    "kv_heads": 32,
    "head_dim": 64,
    "ffn": 8192,
    "vocabulary": 512,
}


def counts(**changed):
    """Lines of every kernel of the tables: units of 1024 pairs, or of 16 bytes in and out, 100 clocks each with 8 warps."""
    line = {
        "pairs": 1024,
        "hmma": 32,
        "loads": 16,
        "stores": 16,
        "warps": 8,
        "alone": 800,
        "clocks": 100,
        "slots": 50,
        "ldmatrix": 8,
        "barriers": 0,
        "tensor": 200,
        "shared": 100,
        "integer": 10,
        "fma": 10,
        "special": 10,
    }
    lines = {}
    for kernel, name, drops in kernel_model.every_kernel():
        lines[name, drops] = {
            **line,
            **({} if kernel.pairs else {"pairs": 0, "hmma": 0}),
            **changed.get(name.partition("_kernel")[0], {}),
        }
    return lines


class Predictions(unittest.TestCase):
    DEVICE = kernel_model.Device(multiprocessors=100, clock=1e9, copy=1e12, products=5e14, peak=1e15)

    def model(self, **changed):
        return kernel_model.Model(self.DEVICE, counts(**changed))

    def test_products_take_flops_or_bytes(self):
        op = {"op": "linear", "what": "head", "shape": "[256, 2048] x [512, 2048]", "flops": 1e12, "bytes": 1e9}
        self.assertAlmostEqual(self.model().seconds(op, SIZES), 2e-3 + kernel_model.LAUNCH)
        self.assertAlmostEqual(self.model().seconds({**op, "bytes": 3e9}, SIZES), 3e-3 + kernel_model.LAUNCH)

    def test_memory_and_clocks_of_a_kernel(self):
        op = {"op": "swiglu", "what": "", "shape": "[2048, 8192]", "flops": 0, "bytes": 3e6}
        units = 2048 * 8192 * 2 / (32 * 16)
        self.assertAlmostEqual(
            self.model().seconds(op, SIZES), kernel_model.LAUNCH + (9e-12 + (units * 100 / 400 / 1e9) ** 2) ** 0.5
        )
        slow = self.model(swiglu={"clocks": 0.0, "alone": 0.0}).seconds(op, SIZES)
        self.assertAlmostEqual(slow, kernel_model.LAUNCH + 3e-6)

    def test_few_blocks_leave_multiprocessors_idle(self):
        """A row of softmax_statistics is a block: of 16 warps, four a scheduler where the multiprocessor has one block."""
        op = {"op": "softmax_statistics", "what": "", "shape": "[50, 1024]", "flops": 0, "bytes": 0}
        units = 50 * 1024 * 2 / (32 * 16)
        self.assertAlmostEqual(self.model().seconds(op, SIZES), kernel_model.LAUNCH + units * (800 / 4) / (4 * 50) / 1e9)

    def test_pairs_of_attention(self):
        op = {"op": "attention", "what": "", "shape": "2 x 1024 tokens, 32 heads of 64, 32 of keys", "flops": 0, "bytes": 0}
        pairs = 2 * 32 * 1024 * 1025 / 2 * (1 + 128 / 1024)
        self.assertAlmostEqual(self.model().seconds(op, SIZES), kernel_model.LAUNCH + pairs / 1024 * 100 / 400 / 1e9)
        self.assertIsNone(self.model().seconds(op, {**SIZES, "head_dim": 80}))

    def test_an_op_without_kernels_is_named(self):
        op = {"op": "norm", "what": "", "shape": "[64, 128]", "flops": 0, "bytes": 32768}
        with self.assertRaisesRegex(kernel_model.Uncounted, "which kernels norm launches"):
            self.model().seconds(op, SIZES)

    def test_kernels_of_other_head_sizes_do_not_count(self):
        op = {
            "op": "attention_backward",
            "what": "",
            "shape": "2 x 1024 tokens, 8 heads of 256, 8 of keys",
            "flops": 0,
            "bytes": 0,
        }
        at = {size: self.model().seconds(op, {**SIZES, "head_dim": size, "heads": 8}) for size in (64, 256)}
        self.assertGreater(at[256], 1.2 * at[64])  # a pass more

    def test_the_tables_name_kernels_that_are_there(self):
        """Whoever renames a kernel renames it in scripts/kernel_model.py, and counts it again: kernel_counts.py --write."""
        _, budget = read_budget()
        there = {kernel for _, kernel, architecture in budget if architecture == kernel_model.ARCHITECTURE}
        wanted = {(name, drops) for _, name, drops in kernel_model.every_kernel()}
        self.assertEqual({name for name, _ in wanted} - there, set())
        self.assertEqual(wanted ^ kernel_model.read_counts().keys(), set())

    def test_a_kernel_that_was_not_counted_is_named(self):
        model = kernel_model.Model(self.DEVICE, {})
        with self.assertRaisesRegex(kernel_model.Uncounted, "no swiglu_kernel<bf16, 8>: scripts/kernel_counts.py --write"):
            model.seconds({"op": "swiglu", "what": "", "shape": "[8, 8]", "flops": 0, "bytes": 1}, SIZES)


TINY = (
    "--model.preset=yuan2-tiny",
    "--training.seq_length=64",
    "--training.micro_batch_size=2",
    "--training.global_batch_size=4",
    "--training.dtype=fp32",
    "--json",
)


def headwater(*arguments):
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [os.environ["HEADWATER"], "bench", *arguments, *TINY], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done
    return json.loads(done.stdout)


class Steps(unittest.TestCase):
    def test_a_step_calls_each_op_so_often(self):
        """As the program itself counts them, on two micro-batches of four layers."""
        ops = headwater("ops", "--floors", "--cluster", str(ROOT / "configs/clusters/h100-80gb.json"))
        measured = headwater("step", "--steps", "1")
        called = {op["name"]: op["calls"] for op in measured["ops"]}
        expected = {}
        for op, often in step_model.calls(ops, ""):
            expected[op["op"]] = expected.get(op["op"], 0) + 2 * often
        self.assertEqual(expected, {name: called[name] for name in expected})
        others = {
            "zero",
            "add_squared_norm",
            "adamw",
            "decide_step",
            "to_device",
            "to_host",
        }  # the update's, and no kernels
        self.assertEqual(set(called) - set(expected) - others, set())
        model = kernel_model.Model(Predictions.DEVICE, counts())
        bench = {**ops, "sizes": {**ops["sizes"], "head_dim": 64}}
        step = step_model.predict(model, bench, micro_batches=2)
        self.assertAlmostEqual(step.flops / step.tokens / measured["model_flops_per_token"], 1.0)

    def test_time_and_mfu(self):
        step = step_model.Step(
            {**dict.fromkeys(step_model.PARTS, 0.0), "products": 0.2, "head": 0.1, "update": 0.4}, 2, 1000, 1.5e14
        )
        self.assertAlmostEqual(step.seconds, 1.0)
        self.assertAlmostEqual(step.tokens_per_second, 2000)
        self.assertAlmostEqual(step.mfu(1e15), 0.3)


class Page(unittest.TestCase):
    """kernel_table.py on made-up results."""

    SIZES = {**SIZES, "sequence": 8192, "vocabulary": 135040}
    ATTENTION = {
        "op": "attention",
        "what": "",
        "shape": "2 x 8192 tokens, 32 heads of 64, 32 of keys",
        "flops": 550e9,
        "bytes": 271e6,
        "floor_seconds": 556e-6,
        "calls": 24,
    }
    OPS = [
        ATTENTION,
        {**ATTENTION, "op": "attention_backward", "flops": 1375e9},
        {"op": "rms_norm", "what": "", "shape": "[16384, 2048]", "flops": 0.0, "bytes": 134e6, "floor_seconds": 28e-6, "calls": 49},
        {
            "op": "linear",
            "what": "mlp.down",
            "shape": "[16384, 8192] x [2048, 8192]",
            "flops": 550e9,
            "bytes": 369e6,
            "floor_seconds": 556e-6,
            "calls": 24,
        },
    ]
    BENCH = {
        "dtype": "bf16",
        "floor": {"matmul_flops": 989.4e12, "memory_bandwidth": 4.8e12},
        "floor_source": "a GPU",
        "sizes": SIZES,
        "ops": OPS,
    }
    STEP = {
        "name": "S 8192, dropout 0",
        "step": None,
        "arguments": ["--training.seq_length=8192", "--training.global_batch_size=16", "--model.attention_dropout=0"],
    }

    def page(self, **more):
        results = {
            "device": None,
            "driver": "",
            "cuda": "",
            "git": "",
            "ops": [{"name": "D 64, S 8192", "arguments": [], "bench": self.BENCH}],
            "torch": [],
            "steps": [self.STEP],
            "matmul": None,
            "training": {},
            **more,
        }
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "results.json")
            file.write_text(json.dumps(results))
            done = subprocess.run(
                [sys.executable, str(ROOT / "scripts/kernel_table.py"), str(file)], capture_output=True, text=True, timeout=60
            )
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    @staticmethod
    def rows(text, start):
        return [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(f"| {start} |")
        ]

    def test_nothing_measured(self):
        text = self.page()
        self.assertIn("**No GPU was present when this page was made: nothing here is measured.**", text)
        self.assertIn("Nothing is measured, so nothing is known of how the predictions of these kernels hold.", text)
        self.assertEqual(text.count("not measured"), 3)
        row = self.rows(text, "rms_norm")[0]
        self.assertEqual((row[1:4], row[6:]), (["[16384, 2048]", "memory", "28.0"], ["", "", "", ""]))
        self.assertGreater(float(row[4]), 134e6 / 4.3e12 * 1e6)
        step = self.rows(text, "S 8192, dropout 0")[0]
        self.assertEqual(step[4:], ["", "", "", ""])
        self.assertTrue(step[3].endswith("%**"), step)
        for what, _, clocks, name in kernel_model.PUBLISHED:
            self.assertIn(f"| {what} | {clocks} |", text)
            self.assertRegex(text, f"\n    counts {name} +# {what}\n")
        for what, *_ in kernel_model.ASSUMED:
            self.assertIn(f"| {what} |", text)

    def measured(self, factor):
        """Results of a GPU on which everything takes `factor` as long as is predicted, and rms_norm three times that."""
        model = kernel_model.Model(kernel_model.DEVICES["h200-141gb"])
        times = [model.seconds(op, self.SIZES) * factor * (3 if op["op"] == "rms_norm" else 1) for op in self.OPS]
        bench = {
            **self.BENCH,
            "device": "NVIDIA H200",
            "measured": {"matmul_flops": 7e14, "memory_bandwidth": 4e12},
            "ops": [{**op, "seconds": seconds} for op, seconds in zip(self.OPS, times)],
        }
        peers = [{"op": "attention", "what": "", "peer": peer, "seconds": 2 * times[0]} for peer in ("cuDNN", "FA2")]
        step = {"tokens": 131072, "tokens_per_second": 30000.0, "mfu": 0.453}
        return {
            "device": "NVIDIA H200",
            "driver": "580.1",
            "cuda": "13.0",
            "ops": [{"name": "D 64, S 8192", "arguments": [], "bench": bench}],
            "torch": [
                {"name": "D 64, S 8192", "torch": {"device": "NVIDIA H200", "torch": "2.11", "cudnn": "9.19", "ops": peers}}
            ],
            "steps": [{**self.STEP, "step": step}],
        }

    def test_measured_columns(self):
        text = self.page(**self.measured(1.25))
        self.assertIn("Measured on NVIDIA H200 (driver 580.1, CUDA 13.0): products 7e+14 FLOP/s, copies 4e+12 bytes/s.", text)
        self.assertIn("PyTorch 2.11, cuDNN 9.19 in the same run", text)
        rows = {
            row[0]: row
            for row in self.rows(text, "attention") + self.rows(text, "linear mlp.down") + self.rows(text, "rms_norm")
            if len(row) == 10
        }
        self.assertEqual(
            {name: row[8] for name, row in rows.items()}, {"attention": "0.80", "linear mlp.down": "0.80", "rms_norm": "0.27"}
        )
        self.assertIn("(2.00), FA2 ", rows["attention"][9])
        self.assertIn("2.00 to 2.00 times as fast as FA2", " ".join(text.split()))
        self.assertIn(f"0 of 1 ops, below it rms_norm {rows['rms_norm'][7]}; predicted", " ".join(text.split()))
        step = self.rows(text, "S 8192, dropout 0")[0]
        self.assertEqual(step[4:7], ["4,369", "30,000", "45.3 %"])
        self.assertIn("45.3 % (S 8192, dropout 0)", text)

    def test_deviations_come_in_their_order(self):
        text = (
            self.page(**self.measured(1.25))
            .partition("## Prediction against measurement")[2]
            .partition("## What the machine code")[0]
        )
        self.assertIn(
            "attention 0.80 (0.80 to 0.80), products 0.80 (0.80 to 0.80), memory 0.27 (0.27 to 0.27), steps",
            " ".join(text.split()),
        )
        shares = [float(line.split("|")[-2]) for line in text.splitlines() if re.search(r"\| [\d.]+ \|$", line)]
        self.assertEqual(len(shares), 5)
        self.assertEqual(shares, sorted(shares, key=lambda share: -max(share, 1 / share)))
        self.assertLess(text.index("| rms_norm, D 64, S 8192 |"), text.index("| attention, D 64, S 8192 |"))

    def test_what_could_not_be_measured_says_why(self):
        results = self.measured(1.0)
        text = self.page(**{**results, "steps": [{**self.STEP, "error": "out of memory"}]})
        self.assertIn("| out of memory |", text)
        text = self.page(**{**results, "steps": [{**self.STEP, "error": "one line | and\nanother"}]})
        self.assertIn("| one line \\| and another |", text)

    def test_gradients_in_no_order_are_told(self):
        text = self.page(**{**self.measured(1.0), "unordered": "the stage ordered did not end"})
        self.assertIn("**Attention's gradients were added in no order**: the stage ordered did not end.", text)
        self.assertNotIn("in no order**", self.page(**self.measured(1.0)))

    def test_what_failed_or_was_left_out_is_named(self):
        results = {
            **self.measured(1.0),
            "torch": [],
            "without_torch": "PyTorch is not installed",
            "failed": [{"name": "algorithms of products", "error": "it fails"}],
            "left_out": [{"name": f"step S {s}, dropout 0.1", "reason": "the time did not allow it"} for s in (8192, 4096)],
        }
        text = " ".join(self.page(**results).split())
        self.assertIn("PyTorch was not there to compare with: PyTorch is not installed.", text)
        self.assertIn("Failed: algorithms of products (it fails).", text)
        self.assertIn("Left out: step S 8192, dropout 0.1 (the time did not allow it); step S 4096, dropout 0.1 (the ", text)
        self.assertNotIn("Left out", self.page(**self.measured(1.0)))
        self.assertIn("Nothing of PyTorch's was measured.", self.page(**{**self.measured(1.0), "torch": []}))

    def refusal(self, content):
        """Of a file with this content, or of one that is not there."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "results.json")
            if content is not None:
                file.write_text(content)
            script = str(ROOT / "scripts/kernel_table.py")
            done = subprocess.run([sys.executable, script, str(file)], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done)
        return done.stderr

    def test_results_that_are_no_results_are_refused(self):
        self.assertIn("holds the ops of no shape", self.refusal('{"device": "a GPU", "ops": [{"name": "a", "bench": null}]}'))
        self.assertIn("results.json: No such file or directory; scripts/gpu_speed.py leaves", self.refusal(None))
        self.assertIn("results.json is no whole JSON", self.refusal('{"device": "a G'))

    def test_a_gpu_that_the_model_does_not_know(self):
        text = self.page(**{**self.measured(1.0), "device": "NVIDIA B200"})
        self.assertIn("scripts/kernel_model.py does not know this GPU", text)

    def test_a_name_that_resembles_a_known_one_is_another_gpu(self):
        for name in ("NVIDIA GH200 480GB", "NVIDIA H200 NVL", "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA A100-SXM4-40GB"):
            self.assertFalse(kernel_results.Results({"ops": [], "device": name}).known, name)

    def test_a_copy_of_the_measured_run_is_the_measure_of_shares(self):
        bench = {"measured": {"memory_bandwidth": 2e12}}
        results = kernel_results.Results({"ops": [], "device": "NVIDIA H100 80GB HBM3"})
        self.assertEqual((results.copy(bench), results.copy({}), results.known), (2e12, 3e12, True))


if __name__ == "__main__":
    unittest.main()
