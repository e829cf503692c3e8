"""Losses and gradients that are not finite: the step is skipped and counted, and after too many in a row the run ends and
says which tensor, of which layer, on which rank."""

import json
import shutil
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import GOLDEN, LAYOUTS, RunTest, latest, metrics, state, state_of  # noqa: E402


class NotFinite(RunTest):
    def setUp(self):
        super().setUp()
        self.save = self.folder / "save"

    def spoiled_weights(self, tensor):
        """The golden folder with one NaN in `tensor`."""
        folder = self.folder / "spoiled"
        shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("expected*", "data*"))
        path = folder / "model.safetensors"
        content = bytearray(path.read_bytes())
        (length,) = struct.unpack_from("<Q", content)
        entry = json.loads(content[8:8 + length])[tensor]
        self.assertEqual(entry["dtype"], "F32")
        struct.pack_into("<f", content, 8 + length + entry["data_offsets"][0] + 4, float("nan"))
        path.write_bytes(content)
        return folder

    def test_a_spoiled_weight_is_named(self):
        config = json.loads(self.config.read_text())
        del config["model"]
        self.config.write_text(json.dumps(config))
        folder = self.spoiled_weights("model.layers.3.mlp.gate_proj.weight")  # which is `up` here
        for name, rank in (("one rank", "rank 0"), ("pipeline 2 x data 2", r"rank 2 \(data 0, pipeline 1\)")):
            with self.subTest(layout=name):
                ranks, layout = LAYOUTS[name]
                self.save = self.folder / f"save {name}"
                self.refused(2, r"not finite in 3 steps in a row up to step 3 \(training\.max_bad_steps\); where it began: weight "
                             rf"of layers\.3\.mlp\.up\.weight \(layer 3, {rank}\)", "train", self.config, f"--training.save={self.save}",
                             f"--training.init_from={folder}", "--training.max_bad_steps=3", "--training.train_iters=9",
                             *layout, ranks=ranks)
                lines = metrics(self.save)
                self.assertEqual([(line["step"], line["loss"], line["applied"], line["skipped"]) for line in lines],
                                 [(step, None, False, step) for step in (1, 2, 3)])
                self.assertFalse((self.save / "latest").exists())

    def test_steps_are_skipped_and_counted_over_a_resume(self):
        """A learning rate that throws the weights out of fp32's range; what was saved in between counts on."""
        run = ("--optimizer.lr=1e38", "--optimizer.clip_grad=0", "--training.train_iters=20", "--training.max_bad_steps=6")
        self.train(self.save, *run, "--training.exit_interval=4")
        lines = metrics(self.save)
        applied = [line["applied"] for line in lines]
        first = applied.index(False)
        self.assertGreater(first, 0, "the first step has finite weights")
        self.assertFalse(any(applied[first:]))
        self.assertEqual([line["skipped"] for line in lines], [max(0, step - first) for step in range(1, 5)])
        before = state(self.save)
        job = self.train(self.save, *run, code=2)
        self.check_error(job, rf"not finite in 6 steps in a row up to step {first + 6} .*(weight|gradient) of \S+ \(")
        self.assertEqual(metrics(self.save)[-1]["step"], first + 6)
        self.assertEqual(metrics(self.save)[-1]["skipped"], 6)
        self.assert_same_files(state(self.save), before)

    def test_a_skipped_step_changes_nothing(self):
        run = ("--optimizer.lr=1e38", "--optimizer.clip_grad=0", "--training.save_interval=1", "--training.max_bad_steps=9")
        self.train(self.save, *run, "--training.train_iters=5")
        first = [line["applied"] for line in metrics(self.save)].index(False)
        self.assert_same_files(state(self.save), state_of(self.save / f"step-{first:08}"))
        self.assertGreater(int(latest(self.save).name[5:]), first)


if __name__ == "__main__":
    unittest.main()
