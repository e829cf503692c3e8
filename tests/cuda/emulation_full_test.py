#!/usr/bin/env python3
"""The whole program on the emulated GPU, on one rank: the golden case and resumes in several behaviours of a GPU, and what only
the emulation tells: its profiler's ranges, its three algorithms of a product, a device without memory.

Each run names how the GPU behaves (docs/cuda.md). What a real one can show is in gpu_full_test.py.
"""

import json
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from emulation import CPU, CUDA, EARLY, LATE, RANDOM, emulated  # noqa: E402
from golden_case import MODES, GoldenTest  # noqa: E402
from runs import RunTest, curve, latest, state  # noqa: E402


class Yuan2(GoldenTest):
    def setUp(self):
        super().setUp()
        os.environ.update(emulated(LATE))
        self.addCleanup(os.environ.pop, "HEADWATER_EMULATION")

    def test_logits_and_gradients(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_logits(mode, CUDA)
                self.check_gradients(mode, CUDA)

    def test_curve(self):
        for how in (LATE, EARLY, RANDOM):
            with self.subTest(how=how):
                os.environ.update(emulated(how))
                self.check_curve("documents", CUDA, name=how.partition(",")[0])

    def test_bf16(self):
        self.check_bf16("documents", CUDA)


class Runs(RunTest):
    def test_the_losses_are_those_of_the_cpu(self):
        cpu, gpu = self.folder / "cpu", self.folder / "gpu"
        self.train(cpu, CPU)
        self.train(gpu, CUDA, environment=emulated(RANDOM))
        for step, loss in curve(cpu).items():
            self.assertLessEqual(abs(curve(gpu)[step] - loss), 1e-5 * loss, step)

    def test_a_resumed_run_finds_the_same_bits(self):
        straight, stopped = self.folder / "straight", self.folder / "stopped"
        self.train(straight, CUDA, environment=emulated(LATE))
        for how in (EARLY, RANDOM):
            self.train(stopped, CUDA, "--training.exit_interval=5", environment=emulated(how))
        self.assertEqual(latest(stopped).name, latest(straight).name)
        self.assertEqual(curve(straight), curve(stopped))
        self.assert_same_files(state(straight), state(stopped))

    def test_a_checkpoint_names_the_library(self):
        save, algorithms = self.folder / "save", self.folder / "algorithms.json"
        self.run_job(0, "bench", "matmul", self.config, f"--out={algorithms}", CUDA, environment=emulated(LATE))
        self.train(save, CUDA, "--training.exit_interval=1", environment=emulated(LATE))
        manifest = json.loads((latest(save) / "manifest.json").read_text())
        self.assertEqual(manifest["cublaslt"], json.loads(algorithms.read_text())["cublaslt"])
        for version, warnings in ((120000, 0), (120100, 1), (120100, 0)):
            job = self.train(save, CUDA, "--training.exit_interval=1", environment=emulated(f"{LATE},cublaslt={version}"))
            self.assertEqual(job.stderr.count(f"warning: cuBLASLt is {version}, but was 120000 when"), warnings, version)
        self.train(save, CPU, "--training.exit_interval=1")
        self.assertNotIn("cublaslt", json.loads((latest(save) / "manifest.json").read_text()))

    def test_graphs_change_no_bit(self):
        # Whole backwards and halves, one chunk and two, a batch that grows, recomputation; steps 2 to 4 are timed part by part,
        # and use none.
        for name, more in (("1f1b", ("--parallel.recompute=selective", "--training.rampup_batch_size=[2,2,8]")),
                           ("zb-h1", ()), ("zb-v", ("--parallel.recompute=full",))):
            with self.subTest(schedule=name):
                saves = {how: self.folder / f"{name}-{number}" for number, how in enumerate((None, LATE, EARLY, RANDOM))}
                for how, save in saves.items():
                    graphs = () if how else ("--training.enable_cuda_graph=false",)
                    job = self.train(save, CUDA, f"--parallel.pipeline_schedule={name}", *more, *graphs,
                                     environment=emulated((how or LATE) + ",profiler=on"))
                    self.assertEqual("range: > graph " in job.stderr, how is not None)
                    self.assertEqual(curve(save), curve(saves[None]), how)
                    self.assert_same_files(state(save), state(saves[None]))

    def test_ranges(self):
        lines = self.train(self.folder / "save", CUDA, environment=emulated(RANDOM + ",profiler=on")).stderr.splitlines()
        begun = sorted(line[len("range: > "):] for line in lines if line.startswith("range: > "))
        ended = sorted(line[len("range: < "):] for line in lines if line.startswith("range: < "))
        self.assertEqual(begun, ended)
        for name in ("forward m0 s0", "backward m0 s0", "optimizer begins", "optimizer reduces", "optimizer updates",
                     "optimizer reads"):
            self.assertIn(name, begun)

    def test_algorithms_of_a_file(self):
        algorithms = self.folder / "algorithms.json"
        table = self.run_job(0, "bench", "matmul", self.config, f"--out={algorithms}", CUDA, environment=emulated(RANDOM)).stdout
        found = json.loads(algorithms.read_text())
        self.assertEqual(len(found["products"]), table.count(" -> "))
        for product in found["products"].values():
            self.assertEqual(product["candidates"], 3)
        # By the rule's neighbour: which of the emulation's algorithms is fastest says little.
        for product in found["products"].values():
            product["algorithm"] = product["algorithm"][:48] + f"{1:016x}" + product["algorithm"][64:]
        algorithms.write_text(json.dumps(found))
        rule, first, second = (self.folder / name for name in ("rule", "first", "second"))
        self.train(rule, CUDA, environment=emulated(LATE))
        chosen = (CUDA, f"--training.matmul_algorithms={algorithms}")
        job = self.train(first, *chosen, environment=emulated(LATE))
        self.assertNotIn("says nothing of", job.stderr)  # the step's products, every one
        self.train(second, *chosen, "--training.exit_interval=5", environment=emulated(RANDOM))
        self.train(second, *chosen, environment=emulated(EARLY))
        self.assert_same_files(state(first), state(second))
        self.assertNotEqual(curve(rule), curve(first))
        for step, loss in curve(rule).items():
            self.assertLessEqual(abs(curve(first)[step] - loss), 1e-5 * loss, step)

        found["device"] = "a GPU of another kind"
        algorithms.write_text(json.dumps(found))
        self.refused(2, "was measured on a GPU of another kind, but cuda:0 is emulated GPU", "train", self.config, *chosen,
                     environment=emulated(LATE))

    def test_attention_with_and_without_an_order(self):
        # On tensor cores, and with so many keys that a query's gradient is a sum of three blocks': two have no order.
        tensor_cores = ("--model.num_layers=2", "--model.num_attention_heads=2", "--model.kv_channels=64",
                        "--model.max_position_embeddings=280", "--training.seq_length=280", "--training.train_iters=3",
                        "--training.dtype=bf16", CUDA)
        saves = {name: self.folder / name for name in ("late", "random", "unordered")}
        self.train(saves["late"], *tensor_cores, environment=emulated(LATE))
        self.train(saves["random"], *tensor_cores, environment=emulated(RANDOM))
        self.train(saves["unordered"], *tensor_cores, "--training.deterministic=false", environment=emulated(RANDOM))
        self.assert_same_files(state(saves["late"]), state(saves["random"]))
        self.assertFalse(state(saves["late"]) == state(saves["unordered"]))
        for step, loss in curve(saves["late"]).items():
            self.assertLessEqual(abs(curve(saves["unordered"])[step] - loss), 1e-3 * loss, step)

    def test_too_little_memory(self):
        self.refused(3, r"out of memory: cuda:0 refused \d+ bytes for the arena \(.*weights \d+.*are free", "train",
                     self.config, CUDA, environment=emulated("memory=200000"))


if __name__ == "__main__":
    unittest.main()
