#!/usr/bin/env python3
"""Several ranks with training.device cuda, each with a GPU, joined by NCCL: the CPU's losses at every kind of layout, resumes
to the same bits, and how a run ends when a rank dies, runs out of memory or shares a GPU.

In the build `emulated` the CPU executes kernels, host code and NCCL, and each run names how (docs/cuda.md); on a host with
GPUs the names do nothing, and layouts of more ranks than it has GPUs are skipped.
"""

import os
import re
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from emulation import CPU, CUDA, EARLY, LATE, ON_A_GPU, RANDOM, emulated, visible  # noqa: E402
from golden_case import BF16_LOSS, GoldenTest  # noqa: E402
from runs import RunTest, curve, latest, metrics, state, until  # noqa: E402

PIPELINE = ("--parallel.pipeline_model_parallel_size=2", "--parallel.pipeline_layout=[3,1]")
TENSOR = ("--parallel.tensor_model_parallel_size=2",)
CUT = (*TENSOR, "--parallel.sequence_parallel=true")
ZERO = ("--parallel.use_distributed_optimizer=true",)
ZB_V = ("--parallel.pipeline_model_parallel_size=2", "--parallel.pipeline_schedule=zb-v", "--parallel.pipeline_layout=[2,1,1,0]")
# Name: ranks, how the emulation behaves, what the command line says of the layout.
LAYOUTS = {
    "data 2": (2, RANDOM, ()),
    "data 2, sharded optimizer": (2, LATE, ZERO),
    "pipeline 2": (2, EARLY, PIPELINE),
    "zb-v": (2, RANDOM, ZB_V),
    "tensor 2": (2, LATE, TENSOR),
    "tokens cut, filter by channels": (2, RANDOM, (*CUT, "--parallel.lfa_sharding=channels")),
    "tokens cut, filter by tokens": (2, LATE, (*CUT, "--parallel.lfa_sharding=tokens")),
    "tensor 2 x pipeline 2": (4, RANDOM, (*CUT, *PIPELINE)),
}


def gpus():
    """How many the host has, as its driver says."""
    try:
        return len(subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.splitlines())
    except (OSError, subprocess.CalledProcessError):
        return 0


MOST_RANKS = gpus() if ON_A_GPU else 8


def layout_of(test, name):
    """Of LAYOUTS; the test, or its part, is skipped where there are fewer GPUs than ranks."""
    ranks, how, layout = LAYOUTS[name]
    if ranks > MOST_RANKS:
        test.skipTest(f"{ranks} ranks, but {MOST_RANKS} GPUs")
    return ranks, how, layout


class Losses(RunTest):
    def test_are_those_of_the_cpu(self):
        cpu = self.folder / "cpu"
        self.train(cpu, CPU)
        expected = curve(cpu)
        for name in LAYOUTS:
            with self.subTest(layout=name):
                ranks, how, layout = layout_of(self, name)
                save = self.folder / name
                self.train(save, CUDA, *layout, ranks=ranks, environment=emulated(how))
                found = curve(save)
                self.assertEqual(sorted(found), sorted(expected))
                for step, loss in expected.items():
                    self.assertLessEqual(abs(found[step] - loss), 1e-5 * loss, step)

    def test_graphs_change_no_bit(self):
        for name in ("data 2, sharded optimizer", "zb-v"):
            with self.subTest(layout=name):
                ranks, how, layout = layout_of(self, name)
                graphs, calls = self.folder / f"{name}, graphs", self.folder / f"{name}, calls"
                self.train(graphs, CUDA, *layout, ranks=ranks, environment=emulated(how))
                self.train(calls, CUDA, *layout, "--training.enable_cuda_graph=false", ranks=ranks, environment=emulated(how))
                self.assertEqual(curve(graphs), curve(calls))
                self.assert_same_files(state(graphs), state(calls))

    @unittest.skipIf(ON_A_GPU, "takes twelve GPUs")
    def test_communicators_find_room_where_a_rank_has_many(self):
        # Two neighbours in the pipeline, one beside, the embedding's other end, replicas. Bounds: src/comm/cuda/nccl_share.h.
        job = self.train(self.folder / "save", CUDA, *CUT, *ZERO, "--model.num_layers=6", "--training.train_iters=2",
                         "--training.global_batch_size=6", "--parallel.lfa_sharding=tokens",
                         "--parallel.pipeline_model_parallel_size=3", "--parallel.num_chunks=2",
                         "--parallel.pipeline_schedule=interleaved", ranks=12,
                         environment={"HEADWATER_EMULATION": "devices=12," + RANDOM, "HEADWATER_LOG": "debug",
                                      "CUDA_DEVICE_MAX_CONNECTIONS": "8"})
        pattern = r"; (\d+) communicators, (\d+) blocks on 108 multiprocessors"
        found = [(int(count), int(blocks)) for count, blocks in re.findall(pattern, job.stderr)]
        self.assertEqual(max(found), (13, 42))
        self.assertNotIn("keep each other from starting", job.stderr)
        self.assertEqual(job.stderr.count("warning: CUDA_DEVICE_MAX_CONNECTIONS is 8: "), 1)  # where it is not set it is 32

    def test_in_bf16_are_near(self):
        cpu, gpu = self.folder / "cpu", self.folder / "gpu"
        ranks, how, layout = layout_of(self, "tensor 2 x pipeline 2")
        self.train(cpu, CPU, "--training.dtype=bf16")
        self.train(gpu, CUDA, "--training.dtype=bf16", *layout, ranks=ranks, environment=emulated(how))
        for step, loss in curve(cpu).items():
            self.assertLessEqual(abs(curve(gpu)[step] - loss), BF16_LOSS * loss, step)

    def test_a_resumed_run_finds_the_same_bits(self):
        for name in ("tensor 2 x pipeline 2", "data 2, sharded optimizer"):
            with self.subTest(layout=name):
                ranks, how, layout = layout_of(self, name)
                straight, stopped = self.folder / f"{name}, straight", self.folder / f"{name}, stopped"
                self.train(straight, CUDA, *layout, ranks=ranks, environment=emulated(LATE))
                for part in (EARLY, RANDOM):
                    self.train(stopped, CUDA, *layout, "--training.exit_interval=5", ranks=ranks, environment=emulated(part))
                self.assertEqual(latest(stopped).name, latest(straight).name)
                self.assertEqual(curve(straight), curve(stopped))
                self.assert_same_files(state(straight), state(stopped))


class Yuan2(GoldenTest):
    def test_on_tensor_and_pipeline_ranks(self):
        ranks, how, layout = layout_of(self, "tensor 2 x pipeline 2")
        os.environ.update(emulated(how))
        self.addCleanup(os.environ.pop, "HEADWATER_EMULATION")
        self.check_logits("documents", CUDA, *layout, ranks=ranks)
        self.check_gradients("documents", CUDA, *layout, ranks=ranks)
        self.check_curve("documents", CUDA, *layout, ranks=ranks)


class Devices(RunTest):
    def setUp(self):
        super().setUp()
        if MOST_RANKS < 2:
            self.skipTest(f"2 ranks, but {MOST_RANKS} GPUs")

    def test_the_table_says_which_rank_runs_where(self):
        job = self.train(self.folder / "save", CUDA, "--training.train_iters=1", ranks=2, environment=emulated(LATE))
        rows = re.findall(r"^ +(\d)  \S+ +(cuda:\d), (0000:\S+), ", job.stdout, re.MULTILINE)
        self.assertEqual([row[:2] for row in rows], [("0", "cuda:0"), ("1", "cuda:1")], job.stdout)
        self.assertNotEqual(rows[0][2], rows[1][2])

    def test_two_ranks_on_one_gpu_are_refused(self):
        self.refused(3, r"ranks 0 and 1 on host \S+ would share the GPU 0000:\S+: each rank needs one of its own", "train",
                     self.config, CUDA, ranks=2, environment=visible(1))

    def test_auto_takes_the_cpu_where_gpus_are_too_few(self):
        job = self.train(self.folder / "save", "--training.device=auto", "--training.train_iters=1", ranks=2,
                         environment=visible(1))
        self.assertIn("on the CPU", job.stdout)

    def test_no_gpu(self):
        self.refused(3, "this host shows no GPU", "train", self.config, CUDA, ranks=2, environment=visible(0))

    @unittest.skipIf(ON_A_GPU, "a GPU has the memory that it has")
    def test_too_little_memory(self):
        self.refused(3, r"out of memory: cuda:\d refused \d+ bytes for the arena \(.*weights \d+.*are free", "train", self.config,
                     CUDA, *PIPELINE, ranks=2, environment=emulated("memory=200000"))


class Failures(RunTest):
    def test_a_killed_rank_ends_the_run_which_then_goes_on(self):
        ranks, how, layout = layout_of(self, "tensor 2 x pipeline 2")
        run = (CUDA, *layout, "--training.train_iters=30", "--training.save_interval=2")
        save, straight = self.folder / "save", self.folder / "straight"
        job = self.start_training(f"--training.save={save}", *run, ranks=ranks, environment=emulated(how))
        until(lambda: len(metrics(save)) >= 5, job)
        victim = 2
        os.kill(job.processes()[victim], signal.SIGKILL)
        start = time.monotonic()
        code = job.wait(60)
        until(lambda: not job.processes(), seconds=60)
        self.assertLess(time.monotonic() - start, 10.0, job.stderr)
        self.assertNotEqual(code, 0)
        self.train(save, *run, ranks=ranks, environment=emulated(how))
        self.train(straight, *run, ranks=ranks, environment=emulated(how))
        self.assert_same_files(state(save), state(straight))
        self.assertEqual(curve(save), curve(straight))

    def test_a_stopped_rank_is_named(self):
        ranks, how, layout = layout_of(self, "tensor 2")
        run = (CUDA, *layout, "--training.train_iters=500", "--training.comm_timeout_s=3")
        save = self.folder / "save"
        job = self.start_training(f"--training.save={save}", *run, ranks=ranks, environment=emulated(how))
        until(lambda: len(metrics(save)) >= 2, job)
        os.kill(job.processes()[1], signal.SIGSTOP)
        start = time.monotonic()
        self.assertEqual(job.wait(60), 4, job.stderr)
        self.assertLess(time.monotonic() - start, 10.0, job.stderr)
        self.check_error(job, r"waited 3\.0 s: rank 1 \(\S+\) did not come and does not answer")


if __name__ == "__main__":
    unittest.main()
