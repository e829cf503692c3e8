#!/usr/bin/env python3
"""What a step on a GPU does around its kernels, in the whole program."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from emulation import CPU, CUDA, ON_A_GPU, emulated  # noqa: E402
from runs import RunTest, curve  # noqa: E402


class Step(RunTest):
    @unittest.skipIf(ON_A_GPU, "only the emulation copies so late, and prints what a profiler sees")
    def test_the_host_waits_for_no_copy_inside_a_step(self):
        micro_batches = ("--training.global_batch_size=24", "--training.train_iters=3")
        for graphs in ("true", "false"):
            job = self.train(self.folder / graphs, CUDA, *micro_batches, f"--training.enable_cuda_graph={graphs}",
                             environment=emulated("streams=late,profiler=on"))
            begun = [line.removeprefix("range: > ") for line in job.stderr.splitlines() if line.startswith("range: > ")]
            self.assertEqual(begun.count("forward m23 s0"), 3)  # six copies of each go before it
            self.assertEqual([name for name in begun if "host waits" in name], [])

    def test_a_head_of_several_blocks_has_the_losses_of_the_cpu(self):
        # 5120 tokens a micro-batch: two blocks of 2560 on a GPU, one on the CPU, whose logits are small.
        tokens = ("--model.num_layers=1", "--model.hidden_size=16", "--model.ffn_hidden_size=16",
                  "--model.num_attention_heads=2", "--training.micro_batch_size=128", "--training.global_batch_size=128",
                  "--training.train_iters=2")
        cpu, gpu = self.folder / "cpu", self.folder / "gpu"
        self.train(cpu, CPU, *tokens)
        self.train(gpu, CUDA, *tokens)
        for step, loss in curve(cpu).items():
            self.assertLessEqual(abs(curve(gpu)[step] - loss), 1e-5 * loss, step)


if __name__ == "__main__":
    unittest.main()
