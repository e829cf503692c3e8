"""What a person can get wrong, under mpirun: however many ranks find it, one line says so, the job ends with the right code
and within seconds. tests/cli/bad_input_test.py has more of it on one rank."""

import os
import shutil
import struct
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import GOLDEN, LAYOUTS, PIPELINE, RunTest, latest, until  # noqa: E402

WITHIN = 20.0  # seconds, start-up of a busy machine included; a wait for a lost peer would take 600


class BadInput(RunTest):
    def bad(self, pattern, *arguments, ranks=2):
        start = time.monotonic()
        job = self.refused(2, pattern, *arguments, ranks=ranks)
        self.assertLess(time.monotonic() - start, WITHIN)
        until(lambda: not job.processes(), seconds=10)

    def bad_training(self, pattern, *overrides, ranks=2):
        self.bad(pattern, "train", self.config, *overrides, ranks=ranks)

    def test_config(self):
        self.bad_training(r"unknown key training\.micro_batch_sise", "--training.micro_batch_sise=2")
        self.bad_training(r"training\.train_iters.*ten", "--training.train_iters=ten")
        self.bad(r"cannot open nowhere\.json", "train", "nowhere.json")
        self.bad(r"trane", "trane")
        self.config.write_text('{\n  "model": nul\n}\n')
        self.bad_training(r"config\.json:2:\d+: ")

    def test_layouts(self):
        self.bad_training(r"pipeline_layout \[2,1\].*4", PIPELINE[0], "--parallel.pipeline_layout=[2,1]")
        self.bad_training(r"pipeline_layout \[1,1,2\].*2", PIPELINE[0], "--parallel.pipeline_layout=[1,1,2]")
        self.bad_training(r"pipeline_layout|num_layers", PIPELINE[0], "--model.num_layers=3")
        self.bad_training(r"3 .*2|2 .*3", *PIPELINE, ranks=3)
        self.bad_training(r"training\.global_batch_size is 5: it must be a multiple of .* = 2", "--training.global_batch_size=5")

    def test_tensor_ranks(self):
        tensor = "--parallel.tensor_model_parallel_size={}".format
        self.bad_training(r"tensor_model_parallel_size is 3, .*num_attention_heads 4; 1, 2 or 4 would do", tensor(3), ranks=3)
        self.bad_training(r"tensor_model_parallel_size is 2, .*ffn_hidden_size 127", tensor(2), "--model.ffn_hidden_size=127")
        self.bad_training(r"2 ranks cannot be shared out by parallel\.tensor_model_parallel_size 4", tensor(4))
        cut = "--parallel.sequence_parallel=true"
        self.bad_training(r"tensor_model_parallel_size is 3, .*num_attention_heads 4; 1, 2 or 4 would do", tensor(3), cut, ranks=3)
        self.bad_training(r"2 tensor ranks cannot take equal parts .* of the 39 ", tensor(2), cut, "--training.seq_length=39")
        self.bad_training(r"equal parts of two tokens or more of the 4 ", tensor(4), cut, "--training.seq_length=4", ranks=4)
        self.bad_training(r"lfa_sharding is \"tokens\", which needs parallel\.sequence_parallel", tensor(2),
                          "--parallel.lfa_sharding=tokens")

    def test_one_rank_only(self):
        self.bad(r"headwater checkpoint runs on one rank, without mpirun; found 2 ranks", "checkpoint", "info", self.folder)

    def test_data(self):
        prefix = self.folder / "copy"
        train = f"--data.train={prefix}"
        self.bad_training(rf"{prefix}\.idx does not exist", train)
        for ending in (".bin", ".idx"):
            shutil.copy(f"{GOLDEN}/data{ending}", f"{prefix}{ending}")
        os.truncate(f"{prefix}.idx", 1000)
        self.bad_training(rf"{prefix}\.idx is cut", train, ranks=4)
        shutil.copy(f"{GOLDEN}/data.idx", f"{prefix}.idx")
        os.truncate(f"{prefix}.bin", 7148)
        self.bad_training(rf"{prefix}\.bin is cut", train, *PIPELINE)

    def test_a_token_that_one_rank_finds_in_the_middle_of_the_run(self):
        prefix = self.folder / "copy"
        for ending in (".bin", ".idx"):
            shutil.copy(f"{GOLDEN}/data{ending}", f"{prefix}{ending}")
        # Without shuffling, step k has samples 4(k - 1) and on, of which replica 1 takes every second: 29, at position
        # 1160 and on, in step 8.
        with open(f"{prefix}.bin", "r+b") as file:
            file.seek(2 * 1170)
            file.write(struct.pack("<H", 60_000))
        pattern = rf"^rank \d: dataset {prefix} has token 60000 at position 1170; the vocabulary has 192"
        arguments = (f"--data.train={prefix}", "--data.shuffle=false")
        self.bad_training(pattern, *arguments)
        ranks, layout = LAYOUTS["pipeline 2 x data 2"]
        self.bad_training(pattern, *arguments, *layout, ranks=ranks)

    def test_models(self):
        self.bad_training(r"nowhere", "--training.init_from=nowhere")
        self.bad_training(rf"{GOLDEN} is of another model: .*ffn_hidden_size", f"--training.init_from={GOLDEN}",
                          "--model.ffn_hidden_size=64")
        save = self.folder / "save"
        self.train(save, "--training.train_iters=1")
        train = f"--training.save={save}"
        self.bad_training(r"step-00000001 is of another model: .*lfa", train, "--model.lfa=false", *PIPELINE)
        weights = next(latest(save).glob("weights-*"))
        os.truncate(weights, weights.stat().st_size - 4)
        self.bad_training(rf"{weights} has .* bytes; .*is cut", train, ranks=4)


if __name__ == "__main__":
    unittest.main()
