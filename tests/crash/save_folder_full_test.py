"""Save folders that another run holds, or that may not be written."""

import os
import shutil
import signal
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import LAYOUTS, RunTest, curve, latest, metrics, until  # noqa: E402

# Root without its capabilities: file modes hold for it as for anybody.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


class TwoRuns(RunTest):
    def test_the_second_is_refused_and_the_first_goes_on(self):
        save = self.folder / "save"
        pattern = rf"training\.save {save} is in use: another run holds its lock {save}/lock"
        first = self.start_training(f"--training.save={save}", "--training.train_iters=1000000")
        until(lambda: len(metrics(save)) >= 3, first)
        for ranks, layout in (LAYOUTS["one rank"], LAYOUTS["data 2"]):
            self.refused(2, pattern, "train", self.config, f"--training.save={save}", *layout, ranks=ranks)
        steps = len(metrics(save))
        until(lambda: len(metrics(save)) >= steps + 3, first)
        os.kill(first.process.pid, signal.SIGTERM)
        self.assertEqual(first.wait(), 75, first.stderr)
        lines = metrics(save)
        self.assertEqual({line["run"] for line in lines}, {1})
        self.assertEqual([line["step"] for line in lines], list(range(1, len(lines) + 1)))
        # The lock goes with its run: the folder is free again.
        self.train(save, f"--training.train_iters={len(lines) + 1}")
        self.assertEqual(latest(save).name, f"step-{len(lines) + 1:08}")

    def test_reading_takes_no_lock(self):
        save = self.folder / "save"
        job = self.start_training(f"--training.save={save}", "--training.train_iters=1000000", "--training.save_interval=3")
        until(lambda: (save / "latest").exists(), job)
        self.run_job(0, "checkpoint", "verify", save)
        self.assertFalse(job.ended())


class NoPermission(RunTest):
    def setUp(self):
        super().setUp()
        self.options = {}
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                self.skipTest("setpriv is missing: root is refused nothing here")
            self.options = {"wrapper": POWERLESS}
        self.save = self.folder / "save"

    def check(self, pattern, *overrides, **options):
        self.refused(3, pattern + ": Permission denied$", "train", self.config, f"--training.save={self.save}", *overrides,
                     **self.options, **options)

    def lock_up(self, path, mode=0o555):
        path.chmod(mode)
        self.addCleanup(path.chmod, 0o755)

    def test_a_folder_that_may_not_be_made(self):
        closed = self.folder / "closed"
        closed.mkdir()
        self.lock_up(closed)
        self.save = closed / "save"
        for ranks, layout in (LAYOUTS["one rank"], LAYOUTS["pipeline 2, uneven"]):
            self.check(rf"cannot make folder {self.save}", *layout, ranks=ranks)

    def test_a_folder_that_may_not_be_written(self):
        self.save.mkdir()
        self.lock_up(self.save)
        self.check(rf"cannot open {self.save}/lock")

    def test_no_permission_to_go_on(self):
        self.train(self.save, "--training.train_iters=2")
        self.lock_up(self.save)
        steps = curve(self.save)
        self.check(rf"cannot make folder {self.save}/step-00000004\.tmp", "--training.train_iters=4")
        self.assertEqual(latest(self.save).name, "step-00000002")
        self.assertTrue(steps.items() <= curve(self.save).items())
        self.save.chmod(0o755)
        self.train(self.save, "--training.train_iters=4", **self.options)
        self.assertEqual(latest(self.save).name, "step-00000004")

    def test_files_that_may_not_be_read(self):
        self.config.chmod(0)
        self.check(rf"cannot open {self.config}")
        self.config.chmod(0o644)
        self.train(self.save, "--training.train_iters=2")
        weights = next(latest(self.save).glob("weights-*"))
        self.lock_up(weights, 0)
        self.check(rf"cannot open {weights}", "--training.train_iters=4")


if __name__ == "__main__":
    unittest.main()
