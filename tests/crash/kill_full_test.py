"""kill -9 of a rank at twenty random moments, half of them while it saves: the job ends everywhere, says why, and goes on
from its newest checkpoint to the bits of a run that nobody disturbed."""

import os
import random
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import LAYOUTS, RunTest, curve, metrics, state, until  # noqa: E402

STEPS = 160
RUN = (f"--training.train_iters={STEPS}", "--training.save_interval=3", "--training.keep=2")
KILLS = 5  # of each of the four runs
WITHIN = 10.0  # seconds, until the last process has ended
# Ours, or that of Open MPI's or MPICH's mpirun.
REASON = r"headwater: error: |exited on signal 9 \(Killed\)|KILLED BY SIGNAL: 9"


class Kill(RunTest):
    hits_in_a_save = 0  # of all tests together

    def kill_once(self, save, random_numbers, ranks, layout, while_saving):
        """Starts or resumes the run of `save`, and kills a random rank of it at a random moment."""
        before = len(metrics(save))
        job = self.start_training(f"--training.save={save}", *RUN, *layout, ranks=ranks)
        # A run resumes at most three steps before the one it was killed in: so all kills find it at work.
        steps = random_numbers.randrange(1, STEPS // KILLS - 4)
        until(lambda: len(metrics(save)) >= before + steps, job)
        victim = random_numbers.randrange(ranks)
        pid = job.processes()[victim]
        if while_saving:
            until(lambda: any(name.endswith(".tmp") for name in os.listdir(save)), job, pause=0.0)
        time.sleep(random_numbers.random() * (0.002 if while_saving else 0.02))
        os.kill(pid, signal.SIGKILL)
        start = time.monotonic()
        code = job.wait(60)
        until(lambda: not job.processes(), seconds=60)
        seconds = time.monotonic() - start
        self.assertLess(seconds, WITHIN, job.stderr)
        self.assertNotEqual(code, 0)
        self.assertLessEqual(len(job.errors), 1, job.stderr)
        self.assertRegex(job.stderr, REASON)
        Kill.hits_in_a_save += any(name.endswith(".tmp") for name in os.listdir(save))

    def check(self, seed, layout_name):
        ranks, layout = LAYOUTS[layout_name]
        random_numbers = random.Random(seed)
        save, undisturbed = self.folder / "save", self.folder / "undisturbed"
        for kill in range(KILLS):
            self.kill_once(save, random_numbers, ranks, layout, while_saving=kill % 2 == 0)
        self.train(save, *RUN, *layout, ranks=ranks)
        self.train(undisturbed, *RUN, *layout, ranks=ranks)
        self.assert_same_files(state(save), state(undisturbed))
        self.assertEqual(curve(save), curve(undisturbed))
        self.assertFalse([name for name in os.listdir(save) if name.endswith(".tmp")])
        self.assertEqual(max(line["run"] for line in metrics(save)), KILLS + 1)

    def test_pipeline(self):
        self.check(1, "pipeline 2, uneven")

    def test_data(self):
        self.check(2, "data 2")

    def test_pipeline_and_data(self):
        self.check(3, "pipeline 2 x data 2")

    def test_pipeline_again(self):
        self.check(4, "pipeline 2, uneven")

    @classmethod
    def tearDownClass(cls):
        print(f"{cls.hits_in_a_save} of {4 * KILLS} kills hit a save", file=sys.stderr)
        assert cls.hits_in_a_save >= 4, "too few kills hit a save"
        super().tearDownClass()


if __name__ == "__main__":
    unittest.main()
