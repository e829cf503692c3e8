"""headwater plan: the keys of its JSON, its report, its files, and what it refuses."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

HEADWATER = os.environ["HEADWATER"]
CONFIG = {"model": {"preset": "yuan2-tiny"},
          "parallel": {"pipeline_model_parallel_size": 2},
          "training": {"micro_batch_size": 2, "global_batch_size": 16, "seq_length": 64}}
CLUSTER = {"name": "a node", "nodes": 1, "devices_per_node": 4,
           "device": {"kind": "cpu", "memory_bytes": 1 << 30, "memory_bandwidth": 1e10,
                      "peak_flops": {"bf16": 2e11, "fp32": 1e11}, "efficiency": {"bf16": 0.5, "fp32": 0.6}},
           "intra_node": {"bandwidth": 5e9, "latency_seconds": 1e-5}}


class Plan(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.config = self.write("config.json", CONFIG)
        self.cluster = self.write("cluster.json", CLUSTER)

    def write(self, name, value):
        path = self.folder / name
        path.write_text(json.dumps(value))
        return str(path)

    def run_plan(self, *arguments, cluster=None):
        return subprocess.run([HEADWATER, "plan", self.config, "--cluster", cluster or self.cluster, *arguments],
                              capture_output=True, text=True, timeout=60)

    def plan(self, *arguments, cluster=None):
        done = self.run_plan("--json", *arguments, cluster=cluster)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return json.loads(done.stdout)

    def refused(self, pattern, *arguments, cluster=None):
        done = self.run_plan(*arguments, cluster=cluster)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertRegex(done.stderr, "^headwater: error: .*" + pattern)
        self.assertEqual(done.stderr.count("\n"), 1, done)

    def test_json(self):
        plan = self.plan("--ranks", "4")
        self.assertAlmostEqual(plan["tokens_per_second"] * plan["step_seconds"], 16 * 64, places=6)
        self.assertAlmostEqual(sum(plan["seconds"].values()), plan["step_seconds"])
        self.assertEqual(set(plan["seconds"]), {"compute", "recompute", "pipeline_wait", "tensor_communication",
                                                "data_communication", "optimizer"})
        self.assertEqual(plan["bytes_sent"]["pipeline"], 4 * 2 * 64 * 128 * 2)  # 4 micro-batches of 2 x 64 x 128 in bf16
        self.assertEqual(set(plan["bytes_sent"]), {"pipeline", "tensor", "data"})
        self.assertGreater(plan["bytes_sent"]["data"], 0)
        self.assertGreater(plan["bubble_fraction"], 0.0)
        self.assertLess(plan["mfu"], 0.5)
        self.assertEqual(plan["mfu"], plan["hfu"])
        self.assertIs(plan["fits"], True)
        self.assertEqual(plan["parallel"]["pipeline_layout"], "uniform")
        self.assertEqual([(s["stage"], s["pipeline_rank"], s["layers"], s["recompute"]) for s in plan["stages"]],
                         [(0, 0, 2, "none"), (1, 1, 2, "none")])
        for memory in plan["memory"]:
            total = memory.pop("total")
            self.assertEqual(total, sum(memory.values()))
            self.assertLessEqual({"weights", "gradients", "optimizer", "activations"}, set(memory))

    def test_memory_is_that_of_the_clusters_kind_of_device(self):
        # 1024 tokens a micro-batch and 60032 words, on two stages: a CPU's head takes 256 tokens at a time, a GPU's all.
        large = ("--ranks", "2", "--model.vocab_size=60000", "--training.micro_batch_size=16")
        gpu = json.loads(json.dumps(CLUSTER))
        del gpu["device"]["kind"]
        cpu, cuda = (self.plan(*large, cluster=self.write(f"{name}.json", cluster))["memory"]
                     for name, cluster in (("cpu", CLUSTER), ("cuda", gpu)))
        more = [b["workspace"] - a["workspace"] for a, b in zip(cpu, cuda)]
        self.assertGreater(more[0], 28 << 20)  # what cuBLASLt is given
        self.assertAlmostEqual((more[1] - more[0]) / (2 * 768 * 60032), 1.0, delta=0.1)

    def test_by_the_paper(self):
        plan = self.plan("--ranks", "4", "--cost-model", "paper")
        terms = plan["paper"]
        self.assertAlmostEqual(sum(terms.values()), plan["step_seconds"])
        self.assertAlmostEqual(sum(plan["seconds"].values()), plan["step_seconds"])
        self.assertAlmostEqual(plan["tokens_per_second"] * plan["step_seconds"], 16 * 64, places=6)
        self.assertAlmostEqual(terms["T1"] / terms["T0"], 1 / 4)  # one of two stages idle, 4 micro-batches
        self.assertAlmostEqual(terms["T3"], 2 * terms["T4"])      # gradients in fp32, weights in bf16
        self.assertEqual(plan["parallel"]["pipeline_model_parallel_size"], 2)
        self.assertNotEqual(plan["step_seconds"], self.plan("--ranks", "4")["step_seconds"])
        done = self.run_plan("--ranks", "4", "--cost-model", "paper")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        for words in ("equation 4", "A 4, B 2, L 4", "sum of gradients", "not in these formulas"):
            self.assertIn(words, done.stdout)
        self.refused("--cost-model paper has no timeline for --trace", "--cost-model", "paper", "--trace", "t.json")

    def test_report_and_files(self):
        trace, picture = self.folder / "trace.json", self.folder / "picture.svg"
        done = self.run_plan("--ranks", "2", "--trace", str(trace), "--svg", str(picture))
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        for words in ("2 ranks of a node", "MFU = model FLOPs / (time x peak)", "bubble = 1 - m(F + B + W)/T", "links between",
                      "memory, MiB", "fits into 1.0 GiB"):
            self.assertIn(words, done.stdout)
        names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
        self.assertLessEqual({"forward 0", "backward 7", "activation 3", "update"}, names)
        self.assertTrue(picture.read_text().startswith("<svg "))

    def test_what_does_not_fit(self):
        small = json.loads(json.dumps(CLUSTER))
        small["device"]["memory_bytes"] = 10 << 20
        file = self.write("small.json", small)
        plan = self.plan("--ranks", "4", cluster=file)
        self.assertIs(plan["fits"], False)
        self.assertIn("short", plan["shortages"][0]["text"])
        done = self.run_plan("--ranks", "4", cluster=file)
        self.assertRegex(done.stdout, r"DOES NOT FIT\n  stage \d needs .* of 10\.0 MiB: .* short")
        self.assertRegex(done.stdout, r"training\.micro_batch_size 1: needs ")

    def test_what_is_not_trained_takes_less(self):
        freeze = '--training.freeze=["embedding.*", "layers.0.*", "layers.1.*"]'
        all, some = self.plan("--ranks", "2"), self.plan("--ranks", "2", freeze)
        self.assertLess(some["step_seconds"], all["step_seconds"])
        self.assertLess(max(rank["total"] for rank in some["memory"]), max(rank["total"] for rank in all["memory"]))

    def test_every_device_is_used_unless_said(self):
        self.assertEqual(self.plan()["rank_count"], 4)

    def test_refusals(self):
        self.refused(r"cluster a node has 4 devices .*; 8 ranks need 2 nodes", "--ranks", "8")
        self.refused(r"3 ranks cannot be shared out", "--ranks", "3")
        self.refused(r"pipeline_layout \[3,2\] adds up to 5", "--ranks", "4", "--parallel.pipeline_layout=[3,2]")
        self.refused(r"global_batch_size is 17", "--ranks", "4", "--training.global_batch_size=17")
        for search in ([], ["--search"]):
            self.refused(r'training\.freeze has "layers\.9\.\*", which is the name of no parameter; the nearest is layers\.',
                         *search, '--training.freeze=["layers.9.*"]')
        self.refused(r"formulas are of a model of which everything is trained; leave out training\.freeze",
                     "--cost-model", "paper", '--training.freeze=["layers.0.*"]')
        self.refused(r"nowhere\.json", cluster=str(self.folder / "nowhere.json"))
        self.refused(r"efficiency says nothing of fp32", "--training.dtype=fp32",
                     cluster=self.write("no-fp32.json", CLUSTER | {"device": CLUSTER["device"] | {"efficiency": {"bf16": 0.5}}}))
        self.refused(r"device\.efficiency\.bf16 is 50; it must be",
                     cluster=self.write("percent.json", CLUSTER | {"device": CLUSTER["device"] | {"efficiency": {"bf16": 50}}}))
        done = subprocess.run([HEADWATER, "plan", self.config], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--cluster CLUSTER.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
