"""headwater bench under mpirun: a step's figures of all ranks together, the cluster file, and scaling."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import HEADWATER, PIPELINE, Job  # noqa: E402

TINY = ("--model.preset=yuan2-tiny", "--training.seq_length=32", "--training.micro_batch_size=2", "--training.dtype=fp32")


class Scaling(unittest.TestCase):
    def test_one_and_two_ranks(self):
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        done = subprocess.run([HEADWATER, "bench", "scaling", *TINY, "--ranks", "1,2", "--kind", "weak", "--steps", "2",
                               "--training.global_batch_size=2", "--json"], env=environment, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done)
        result = json.loads(done.stdout)
        one, two = result["rows"]
        self.assertEqual((one["ranks"], one["efficiency"], one["waiting_share"]), (1, 1.0, [0.0]))
        self.assertEqual((two["ranks"], two["global_batch_size"], two["threads"]), (2, 4, one["threads"]))
        self.assertAlmostEqual(two["efficiency"], two["tokens_per_second"] / (2 * one["tokens_per_second"]))
        self.assertAlmostEqual(two["tokens_per_second"] * two["elapsed_ms"] / 1e3, 4 * 32, places=6)
        for share in two["waiting_share"]:
            self.assertTrue(0.0 < share < 1.0, two)
        self.assertEqual(any("oversubscribed" in note for note in result["notes"]), len(os.sched_getaffinity(0)) < 2)


class BenchUnderMpirun(unittest.TestCase):
    def step(self, ranks, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "cluster.json")
            job = Job("bench", "step", *TINY, "--steps", "2", "--json", "--cluster-out", file, *arguments, ranks=ranks)
            self.addCleanup(job.close)
            self.assertEqual(job.wait(), 0, job.stderr)
            return json.loads(job.stdout), json.loads(file.read_text())

    def test_one_rank_has_no_link(self):
        result, cluster = self.step(1)
        self.assertEqual(result["waiting_share"], [0.0])
        self.assertEqual((cluster["nodes"], cluster["devices_per_node"]), (1, 1))
        self.assertTrue(cluster["name"])
        self.assertEqual(cluster["device"]["kind"], "cpu")
        self.assertEqual(set(cluster["device"]["peak_flops"]), {"fp32", "bf16"})
        self.assertEqual(cluster["device"]["efficiency"], {"fp32": result["share_of_matmul"]})
        self.assertGreater(cluster["device"]["memory_bandwidth"], 1e8)
        self.assertGreater(cluster["device"]["memory_bytes"], 1 << 28)
        self.assertNotIn("intra_node", cluster)
        self.assertNotIn("inter_node", cluster)

    def test_two_replicas_do_twice_the_tokens(self):
        result, cluster = self.step(2)
        self.assertEqual((result["ranks"], result["tokens"]), (2, 2 * 2 * 32))
        calls = {op["name"]: op["calls"] for op in result["ops"]}
        self.assertEqual((calls["attention"], calls["embedding"]), (4, 1))
        self.assertEqual((cluster["nodes"], cluster["devices_per_node"]), (1, 2))
        self.assertEqual(set(cluster["intra_node"]), {"bandwidth", "latency_seconds"})
        self.assertGreater(cluster["intra_node"]["bandwidth"], 1e6)
        self.assertLess(cluster["intra_node"]["latency_seconds"], 1.0)
        self.assertNotIn("inter_node", cluster)

    def test_ops_of_a_pipeline_are_the_mean_of_its_stages(self):
        result, _ = self.step(2, *PIPELINE, "--training.global_batch_size=8")
        self.assertEqual(result["tokens"], 8 * 32)
        calls = {op["name"]: op["calls"] for op in result["ops"]}
        # Four micro-batches through 3 + 1 layers; the embedding is on one of two stages.
        self.assertEqual((calls["attention"], calls["embedding"]), (8, 2))
        prediction = result["prediction"]
        self.assertEqual(len(prediction["ranks"]), 2)
        for rank in prediction["ranks"]:
            self.assertEqual(rank["predicted_bytes"], rank["measured_bytes"])
            self.assertGreater(rank["predicted"]["compute"], 0.0)
        # By its measured costs one of the two may never wait; both never cannot be.
        self.assertGreater(sum(rank["predicted"]["waiting"] for rank in prediction["ranks"]), 0.0)
        # Three layers against one and the head: the first rank computes longer. A pipeline of two is never full.
        self.assertGreater(prediction["predicted_bubble"], 0.0)
        self.assertGreater(prediction["measured_bubble"], 0.0)
        self.assertEqual(len(result["waiting_share"]), 2)
        for share in result["waiting_share"]:  # the first stage at least in the backward's bubble, the last in the forward's
            self.assertTrue(0.0 < share < 1.0, result)


if __name__ == "__main__":
    unittest.main()
