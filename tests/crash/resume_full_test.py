"""What a resumed run owes to one that was never stopped, and which checkpoints it goes on from."""

import json
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import GOLDEN, LAYOUTS, RunTest, curve, latest, metrics, read_safetensors, state, write_safetensors  # noqa: E402

# The epoch ends between the two parts of the run, and the learning rate falls throughout.
STEPS, STOP = 16, 10
RUN = (f"--training.train_iters={STEPS}", "--training.global_batch_size=8", "--optimizer.lr_decay_style=cosine",
       "--optimizer.lr_warmup_iters=4")
STOPPING = f"--training.exit_interval={STOP}"


class SameBits(RunTest):
    def check_layout(self, ranks, layout, *more):
        """The same command twice, which stops by itself on the way, against one run."""
        straight, stopped = self.folder / "straight", self.folder / "stopped"
        self.train(straight, *RUN, *layout, *more, ranks=ranks)
        self.train(stopped, *RUN, *layout, *more, STOPPING, ranks=ranks)
        self.assertEqual(latest(stopped).name, f"step-{STOP:08}")
        with open(stopped / "metrics.jsonl", "a") as file:
            file.write('{"step": 11, "ru')  # as a killed run leaves it
        self.train(stopped, *RUN, *layout, *more, STOPPING, ranks=ranks)
        self.assertEqual([(line["step"], line["run"]) for line in metrics(stopped)],
                         [(step, 1 if step <= STOP else 2) for step in range(1, STEPS + 1)])
        self.assertEqual(curve(straight), curve(stopped))
        for a, b in zip(metrics(straight), metrics(stopped)):
            for key in ("grad_norm", "lr", "tokens", "samples"):
                self.assertEqual(a[key], b[key], key)
        self.assertEqual(latest(straight).name, f"step-{STEPS:08}")
        self.assertEqual(latest(stopped).name, f"step-{STEPS:08}")
        self.assert_same_files(state(straight), state(stopped))
        self.assertGreater(len(state(straight)), 1)
        self.assertEqual(len(set(curve(straight).values())), STEPS, "the loss must move")

    def test_one_rank(self):
        self.check_layout(*LAYOUTS["one rank"])

    def test_pipeline(self):
        self.check_layout(*LAYOUTS["pipeline 2, uneven"])

    def test_data(self):
        self.check_layout(*LAYOUTS["data 2"])

    def test_pipeline_and_data(self):
        self.check_layout(*LAYOUTS["pipeline 2 x data 2"])

    def test_bf16(self):
        self.check_layout(*LAYOUTS["pipeline 2, uneven"], "--training.dtype=bf16")


class FromACheckpoint(RunTest):
    """Tests that share two runs of STOP steps, on one rank and on four, of which they take copies."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = cls("make_runs")
        cls.origin.setUp()
        cls.origin.make_runs()

    @classmethod
    def tearDownClass(cls):
        cls.origin.doCleanups()
        super().tearDownClass()

    def make_runs(self):
        for name in ("one rank", "pipeline 2 x data 2"):
            ranks, layout = LAYOUTS[name]
            self.train(self.folder / name, *RUN, *layout, STOPPING, ranks=ranks)

    def copy(self, name="one rank"):
        save = self.folder / "save"
        shutil.copytree(self.origin.folder / name, save)
        return save

    def resume(self, save, *overrides, **options):
        return self.train(save, *RUN, *overrides, **options)

    def assert_close(self, a, b, tolerance):
        self.assertEqual(len(a), len(b))
        for x, y in zip(a, b):
            self.assertLessEqual(abs(x - y), tolerance * max(1.0, abs(y)), (x, y))

    def test_at_another_layout(self):
        straight = self.copy()
        self.resume(straight)
        for wrote, reads in (("one rank", "pipeline 2 x data 2"), ("pipeline 2 x data 2", "one rank"),
                             ("pipeline 2 x data 2", "data 2")):
            with self.subTest(wrote=wrote, reads=reads):
                ranks, layout = LAYOUTS[reads]
                save = self.folder / f"{wrote} to {reads}"
                shutil.copytree(self.origin.folder / wrote, save)
                self.resume(save, *layout, ranks=ranks)
                self.assert_close(curve(save).values(), curve(straight).values(), 1e-5)
                norms = [[line["grad_norm"] for line in metrics(folder)] for folder in (save, straight)]
                self.assert_close(*norms, 1e-4)

    def test_changed_optimizer_keys_are_taken_and_logged(self):
        save = self.copy()
        job = self.resume(save, "--optimizer.lr=2e-3", "--optimizer.weight_decay=0.2", "--optimizer.lr_decay_style=constant")
        for change in ("optimizer.lr:? .*0.002", "optimizer.weight_decay:? .*0.2", "optimizer.lr_decay_style:? .*constant"):
            self.assertRegex(job.stderr, f"changed since the checkpoint: {change}")
        self.assertEqual({line["lr"] for line in metrics(save) if line["step"] > STOP}, {2e-3})

    def test_a_changed_model_is_refused(self):
        save = self.copy()
        for key, value in (("ffn_hidden_size", 96), ("num_layers", 5), ("lfa", "false"), ("rotary_base", 500)):
            self.refused(2, rf"step-0*{STOP} is of another model: .*{key}", "train", self.config, *RUN,
                         f"--training.save={save}", f"--model.{key}={value}")
        self.assertEqual(latest(save).name, f"step-{STOP:08}")
        self.assertEqual(len(metrics(save)), STOP)

    def test_latest_that_names_no_checkpoint(self):
        save = self.copy()
        train = ("train", self.config, *RUN, f"--training.save={save}")
        (save / "latest").write_text("step-00000099")
        self.refused(2, rf"latest names step-00000099, which cannot be used; the newest complete one is step-0*{STOP}", *train)
        (save / "latest").write_text("step-99")
        self.refused(2, r'latest says "step-99"; it must name a checkpoint', *train)
        shutil.rmtree(save / f"step-{STOP:08}")
        (save / "latest").write_text("step-00000099")
        self.refused(2, r"latest names step-00000099, .*there is no other complete checkpoint", *train)

    def test_without_latest_the_newest_whole_checkpoint_is_taken(self):
        save = self.copy()
        (save / "latest").unlink()
        shutil.copytree(save / f"step-{STOP:08}", save / "step-00000012.tmp")
        self.assertIn(f"after step {STOP}", self.resume(save).stderr)
        self.assertEqual(latest(save).name, f"step-{STEPS:08}")
        self.assertFalse((save / "step-00000012.tmp").exists())

    def test_load(self):
        save = self.folder / "new"
        self.refused(2, r"nowhere does not exist", "train", self.config, f"--training.save={save}",
                     f"--training.load={self.folder}/nowhere")
        self.refused(2, r"neither a checkpoint .* nor a `save` folder", "train", self.config, f"--training.save={save}",
                     f"--training.load={self.folder}")
        straight = self.copy()
        self.resume(straight)
        self.resume(save, f"--training.load={self.origin.folder / 'one rank'}")
        self.assert_same_files(state(save), state(straight))
        self.assertEqual([line["step"] for line in metrics(save)], list(range(STOP + 1, STEPS + 1)))
        # A checkpoint in `save` goes before the one in `load`.
        self.assertIn("nothing to do", self.resume(save, f"--training.load={self.folder}/nowhere").stderr)

    def test_init_from_takes_the_weights_alone(self):
        save = self.folder / "new"
        self.train(save, *RUN, f"--training.init_from={self.origin.folder / 'one rank'}")
        self.assertEqual(len(metrics(save)), STEPS)
        self.assertLess(curve(save)[1], curve(self.origin.folder / "one rank")[1])

    def test_info_and_verify(self):
        save = self.copy("pipeline 2 x data 2")
        info = json.loads(self.run_job(0, "checkpoint", "info", save, "--json").stdout)
        size = sum(path.stat().st_size for path in latest(save).glob("*.safetensors"))
        self.assertEqual({key: info[key] for key in ("step", "samples", "tokens", "parameters", "files", "bytes")},
                         {"step": STOP, "samples": STOP * 8, "tokens": STOP * 8 * 40, "parameters": 139152, "files": 4,
                          "bytes": size})
        self.assertEqual(info["parallel"]["pipeline_model_parallel_size"], 2)
        self.assertEqual(info["parallel"]["pipeline_layout"], [3, 1])
        whole = json.loads(self.run_job(0, "checkpoint", "verify", save, "--json").stdout)
        self.assertEqual(whole["bad"], [])
        self.assertGreaterEqual(whole["files"], 4)

        for name in [path.name for path in sorted(latest(save).iterdir())]:
            path = latest(save) / name
            content = path.read_bytes()
            for what, damaged in (("altered", content[:-1] + bytes([content[-1] ^ 1])), ("cut", content[:-1])):
                with self.subTest(file=name, what=what):
                    path.write_bytes(damaged)
                    job = self.refused(2, "not as they were written", "checkpoint", "verify", save, "--json")
                    bad = json.loads(job.stdout)["bad"]
                    self.assertTrue(bad == [name] or (name == "manifest.xxh3" and bad == ["manifest.json"]), bad)
                    if what == "cut":
                        self.refused(2, name.split(".")[0], "train", self.config, *RUN, f"--training.save={save}")
            path.write_bytes(content)
        (latest(save) / "weights-00001-of-00002.safetensors").unlink()
        self.refused(2, "has no file weights-00001-of-00002.safetensors", "train", self.config, *RUN,
                     f"--training.save={save}")

    def test_other_commands_read_it_on_one_rank(self):
        four, one = (self.origin.folder / name for name in ("pipeline 2 x data 2", "one rank"))
        losses = [json.loads(self.run_job(0, "eval", "--model", save, f"--data.validation={GOLDEN / 'data'}", "--json").stdout)
                  for save in (four, one)]
        self.assertEqual(losses[0]["tokens"], losses[1]["tokens"])
        self.assert_close([losses[0]["loss"]], [losses[1]["loss"]], 1e-5)

        tokens = self.folder / "tokens.safetensors"
        write_safetensors(tokens, {"tokens": ((2, 20), [7 * i % 192 for i in range(40)])})
        logits = []
        for save in (four, one):
            out = self.folder / f"{save.name}.safetensors"
            self.run_job(0, "logits", "--model", save, "--tokens", tokens, "--out", out)
            logits.append(read_safetensors(out)["logits"])
        self.assertEqual(logits[0][0], [2, 20, 192])
        self.assert_close(logits[0][1], logits[1][1], 1e-4)

        generate = ("generate", "--model", four, "--prompt-tokens", "5,6,7", "--max-new-tokens", 8, "--temperature", 0,
                    "--print-tokens")
        ids = [int(text) for text in self.run_job(0, *generate).stdout.split(",")]
        self.assertEqual(len(ids), 8)
        write_safetensors(tokens, {"tokens": ((1, 3), [5, 6, 7])})
        out = self.folder / "prompt.safetensors"
        self.run_job(0, "logits", "--model", four, "--tokens", tokens, "--out", out)
        last = read_safetensors(out)["logits"][1][-192:]
        self.assertEqual(ids[0], last.index(max(last)))


if __name__ == "__main__":
    unittest.main()
