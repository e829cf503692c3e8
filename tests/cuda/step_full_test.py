#!/usr/bin/env python3
"""What a step on a GPU does around its kernels, in the whole program."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import RunTest, curve  # noqa: E402

CUDA = "--training.device=cuda"
EMULATED = os.environ.get("HEADWATER_CUDA") == "EMULATED"


class Step(RunTest):
    @unittest.skipUnless(EMULATED, "only the emulation copies so late, and prints what a profiler sees")
    def test_the_host_waits_for_no_copy_inside_a_step(self):
        many = ("--training.global_batch_size=24", "--training.train_iters=3", CUDA)
        for graphs in ("true", "false"):
            job = self.train(self.folder / graphs, *many, f"--training.enable_cuda_graph={graphs}",
                             environment={"HEADWATER_EMULATION": "streams=late,profiler=on"})
            begun = [line.removeprefix("range: > ") for line in job.stderr.splitlines() if line.startswith("range: > ")]
            self.assertEqual(begun.count("forward m23 s0"), 3)  # six copies of each go before it
            self.assertEqual([name for name in begun if "host waits" in name], [])

    def test_a_head_of_several_blocks_has_the_losses_of_the_cpu(self):
        # 5120 tokens a micro-batch: two blocks of 2560 on a GPU, one on the CPU, whose logits are small.
        small = ("--model.num_layers=1", "--model.hidden_size=16", "--model.ffn_hidden_size=16",
                 "--model.num_attention_heads=2", "--training.micro_batch_size=128", "--training.global_batch_size=128", "--training.train_iters=2")
        saves = {device: self.folder / device for device in ("cpu", "cuda")}
        for device, save in saves.items():
            self.train(save, *small, f"--training.device={device}")
        for step, loss in curve(saves["cpu"]).items():
            self.assertLessEqual(abs(curve(saves["cuda"])[step] - loss), 1e-5 * loss, step)


if __name__ == "__main__":
    unittest.main()
