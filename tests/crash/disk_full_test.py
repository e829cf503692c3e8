"""A disk that is full at any write in turn: the run ends with 3 and one line, its last checkpoint stays whole and named,
and the same command goes on once there is room."""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import LAYOUTS, RunTest, curve, latest, state, state_of  # noqa: E402

FIRST, LAST = 2, 4  # the two checkpoints; the disk is full somewhere between them
RUN = (f"--training.save_interval={FIRST}", f"--training.train_iters={LAST}")
# Counted are writes, syncs, renames and closes; the variable names the one that fails, here on one rank only.
ON_RANK = 'test "$OMPI_COMM_WORLD_RANK" = "$FAULTY_RANK" || unset HEADWATER_FAIL_WRITE; exec "$@"'


class DiskFull(RunTest):
    def prepare(self, ranks, layout):
        """A save folder with the first checkpoint, and the whole run's."""
        self.ranks, self.layout = ranks, layout
        self.first, self.whole = self.folder / "first", self.folder / "whole"
        self.train(self.first, *RUN, *layout, f"--training.exit_interval={FIRST}", ranks=ranks)
        self.train(self.whole, *RUN, *layout, ranks=ranks)
        self.reference = (state(self.whole), state(self.first))

    def check_fault(self, call, go_on, rank=None):
        """The call fails on `rank`; False where the run makes fewer calls."""
        save = self.folder / "save"
        shutil.rmtree(save, ignore_errors=True)
        shutil.copytree(self.first, save)
        options = {} if rank is None else {"wrapper": ("sh", "-c", ON_RANK, "sh")}
        job = self.start_training(f"--training.save={save}", *RUN, *self.layout, ranks=self.ranks, **options,
                                  environment={"HEADWATER_FAIL_WRITE": str(call), "FAULTY_RANK": str(rank)})
        if job.wait() == 0:
            self.assert_same_files(state(save), self.reference[0])
            return False
        self.assertEqual(job.code, 3, job.stderr)
        self.check_error(job, r"cannot (write|sync|close|rename) .*: No space left on device$")
        self.check_left(save)
        if go_on:
            self.train(save, *RUN, *self.layout, ranks=self.ranks)
            self.assert_same_files(state(save), self.reference[0])
            self.assertEqual(curve(save), curve(self.whole))
        return True

    def check_left(self, save):
        """What a full disk leaves: no half-written thing, and `latest` with the checkpoint it names."""
        self.assert_same_files(state_of(save / f"step-{FIRST:08}"), self.reference[1])
        names = sorted(path.name for path in save.iterdir() if path.name.startswith(("step-", "latest")))
        self.assertEqual(names, ["latest"] + sorted({f"step-{FIRST:08}", latest(save).name}))
        if latest(save).name != f"step-{FIRST:08}":  # only the last sync failed
            self.assert_same_files(state(save), self.reference[0])

    def test_every_write_of_one_rank(self):
        self.prepare(*LAYOUTS["one rank"])
        call = 1
        while self.check_fault(call, go_on=call % 4 == 2):
            call += 1
        self.assertGreater(call, 20)

    def test_writes_of_two_ranks(self):
        self.prepare(*LAYOUTS["pipeline 2, uneven"])
        for rank, calls in ((0, (2, 8, 20, 25)), (1, (1, 3, 6))):
            for call in calls:
                with self.subTest(rank=rank, call=call):
                    self.assertTrue(self.check_fault(call, go_on=call == calls[-1], rank=rank))
        self.assertFalse(self.check_fault(100, go_on=False, rank=1))

    def test_a_small_disk(self):
        self.prepare(*LAYOUTS["pipeline 2, uneven"])
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=2560k", "tmpfs", str(disk)]
        if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no file system may be mounted here: the disk that is really full is not tested")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        save = disk / "save"
        job = self.train(save, *RUN, *self.layout, ranks=self.ranks, code=3)
        self.check_error(job, r"cannot write .*: No space left on device$")
        self.check_left(save)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        self.train(save, *RUN, *self.layout, ranks=self.ranks)
        self.assert_same_files(state(save), self.reference[0])


if __name__ == "__main__":
    unittest.main()
