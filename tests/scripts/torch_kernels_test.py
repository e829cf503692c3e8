"""scripts/torch_kernels.py without PyTorch: who is compared with what, what is timed once, and what becomes of a refusal."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "scripts"))
import torch_kernels  # noqa: E402


def op(name, what="", shape="2 x 8"):
    return {"op": name, "what": what, "shape": shape, "bytes": 64.0}


OPS = [op("attention"), op("attention_backward"), op("attention", "dropout 0.1"), op("linear", "head", "[8, 4] x [2, 4]"),
       op("swiglu"), op("rms_norm"), op("residual_rms_norm")]


def entry(name, ops):
    return {"name": name, "bench": {"ops": ops}}


class Peers(unittest.TestCase):
    def test_both_attentions_in_both_orders(self):
        self.assertEqual(torch_kernels.peers_of("attention"), ["cuDNN", "FA2"])
        self.assertEqual(torch_kernels.peers_of("attention_backward"),
                         ["cuDNN", "cuDNN, deterministic", "FA2", "FA2, deterministic"])

    def test_the_norms_have_a_compiler_too(self):
        for name in ("rms_norm", "rms_norm_backward", "residual_rms_norm"):
            self.assertIn("torch.compile", torch_kernels.peers_of(name))
        self.assertEqual(torch_kernels.peers_of("swiglu"), [])


class Measured(unittest.TestCase):
    def setUp(self):
        self.timed = []

    def lines(self, ops, torch=(), refused=(), compiled=False):
        def timer(op, peer):
            self.timed.append((op["op"], op["what"], op["shape"], peer))
            if peer in refused:
                raise RuntimeError("No available kernel.\nAborting.")
            return 1e-3

        results = {"ops": ops, "torch": list(torch)}
        return list(torch_kernels.measured(results, compiled, lambda bench: timer, {"torch": "2.11"}))

    def test_a_line_for_each_shape(self):
        lines = self.lines([entry("a", OPS), entry("b", [op("attention", shape="1 x 16")])])
        self.assertEqual([line["name"] for line in lines], ["a", "b"])
        self.assertEqual(lines[1]["torch"]["ops"], [{"op": "attention", "what": "", "peer": peer, "seconds": 1e-3}
                                                    for peer in ("cuDNN", "FA2")])
        self.assertEqual(lines[0]["torch"]["torch"], "2.11")

    def test_the_compiler_by_itself(self):
        ops = [entry("a", OPS)]
        before = self.lines(ops)
        self.assertNotIn("torch.compile", {row["peer"] for row in before[0]["torch"]["ops"]})
        (line,) = self.lines(ops, torch=before, compiled=True)
        self.assertEqual([(row["op"], row["peer"]) for row in line["torch"]["ops"]],
                         [("rms_norm", "torch.compile"), ("residual_rms_norm", "torch.compile")])
        self.assertEqual(self.lines(ops, torch=[line], compiled=True), [])

    def test_what_shapes_share_is_timed_once(self):
        lines = self.lines([entry("a", OPS), entry("b", OPS)])
        self.assertEqual(len(self.timed), len(set(self.timed)))
        self.assertEqual(lines[0]["torch"], lines[1]["torch"])
        # Nor what an earlier run has timed; its shapes are left as they are.
        before, self.timed = [line for line in lines if line["name"] == "a"], []
        later = self.lines([entry("a", OPS), entry("c", [*OPS, op("attention", shape="another")])], torch=before)
        self.assertEqual({line["name"] for line in later}, {"c"})
        self.assertEqual(self.timed, [("attention", "", "another", "cuDNN"), ("attention", "", "another", "FA2")])

    def test_a_refusal_is_kept_with_its_reason_and_alone(self):
        (line,) = self.lines([entry("a", OPS[:3])], refused=("cuDNN, deterministic",))
        self.assertEqual(line["torch"]["refused"], [{"op": "attention_backward", "what": "", "peer": "cuDNN, deterministic",
                                                     "reason": "RuntimeError: No available kernel."}])
        self.assertEqual(len(line["torch"]["ops"]), 7)


class WithoutPyTorch(unittest.TestCase):
    def test_help_says_what_it_does(self):
        done = subprocess.run([sys.executable, ROOT / "scripts/torch_kernels.py", "-h"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("What two shapes share is\ntimed once.", done.stdout)

    def test_it_says_so_and_skips(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "torch.py").write_text("raise ImportError('none here')")
            Path(folder, "results.json").write_text(json.dumps({"ops": [], "torch": []}))
            done = subprocess.run([sys.executable, ROOT / "scripts/torch_kernels.py", f"{folder}/results.json"],
                                  env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (77, ""), done)
        self.assertIn("PyTorch is not installed (none here): nothing to compare with", done.stderr)


if __name__ == "__main__":
    unittest.main()
