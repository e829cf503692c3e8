"""A rank that does not come: the others end with 4 at their deadline, and one line names what they waited for and whom."""

import os
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import LAYOUTS, RunTest, metrics, until  # noqa: E402

DEADLINE = 3.0
SLACK = 7.0  # for asking the others, and for the launcher


class Stop(RunTest):
    def check(self, layout_name, stopped, slack=SLACK, **options):
        ranks, layout = LAYOUTS[layout_name]
        save = self.folder / f"save-{stopped}"
        job = self.start_training(f"--training.save={save}", "--training.train_iters=1000000",
                                  f"--training.comm_timeout_s={DEADLINE}", *layout, ranks=ranks, **options)
        until(lambda: len(metrics(save)) >= 3, job)
        os.kill(job.processes()[stopped], signal.SIGSTOP)
        start = time.monotonic()
        self.assertEqual(job.wait(60), 4, job.stderr)
        seconds = time.monotonic() - start
        self.assertGreater(seconds, DEADLINE - 0.5)
        self.assertLess(seconds, DEADLINE + slack, job.stderr)
        self.check_error(job, rf"^(rank \d: )?(receive|send|all_reduce|all_gather|broadcast|reduce_scatter)[^:]* #\d+ of group "
                              rf"(world|control|data|gradients|pipeline|link|tied embedding) waited 3\.0 s: rank {stopped} \(.+\) did not "
                              r"come and does not answer$")
        self.assertIn("UNFINISHED", job.stderr, "the flight recorder is printed")
        until(lambda: not job.processes(), seconds=10)

    def test_pipeline(self):
        for stopped in (0, 1):
            with self.subTest(stopped=stopped):
                self.check("pipeline 2, uneven", stopped)

    def test_a_patient_launcher(self):
        """It gives the ranks time twice, in which those that do not speak leave, and the one that woke up too."""
        self.check("pipeline 2 x data 2", 1, SLACK + 2 * 4, environment={"OMPI_MCA_odls_base_sigkill_timeout": "4"})

    def test_data(self):
        self.check("data 2", 1)

    def test_pipeline_and_data(self):
        self.check("pipeline 2 x data 2", 2)


if __name__ == "__main__":
    unittest.main()
