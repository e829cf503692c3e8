"""Runs that are told to stop: what they save, how they end, and that nothing is lost by it."""

import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import GOLDEN, HEADWATER, LAYOUTS, PATIENCE, RunTest, curve, latest, metrics, state, until  # noqa: E402

LONG = "--training.train_iters=1000000"


class Signals(RunTest):
    def setUp(self):
        super().setUp()
        self.save = self.folder / "save"

    def start_long(self, *overrides, steps=3, **options):
        """A run that would not end by itself, `steps` steps old."""
        job = self.start_training(f"--training.save={self.save}", LONG, *overrides, **options)
        until(lambda: len(metrics(self.save)) >= steps, job)
        return job

    def check_stop(self, job, number, *layout, ranks=1):
        """Stops the job, and holds its state five steps later against a run that was never stopped."""
        steps_before = len(metrics(self.save))
        os.kill(job.process.pid, number)
        self.assertEqual(job.wait(), 75, job.stdout + job.stderr)
        self.assertEqual(job.errors, [])
        step = metrics(self.save)[-1]["step"]
        self.assertEqual(latest(self.save).name, f"step-{step:08}", "saved at the step where it stopped")
        self.assertGreaterEqual(step, steps_before)
        self.assertIn(f"stopped by signal {int(number)} after step {step}", job.stdout)
        end = f"--training.train_iters={step + 5}"
        self.train(self.save, end, *layout, ranks=ranks)
        straight = self.folder / "straight"
        self.train(straight, end, *layout, ranks=ranks)
        self.assertEqual(curve(self.save), curve(straight))
        self.assert_same_files(state(self.save), state(straight))

    def test_sigterm_alone(self):
        self.check_stop(self.start_long(), signal.SIGTERM)

    def test_sigusr1_alone(self):
        self.check_stop(self.start_long(), signal.SIGUSR1)

    def test_sigusr1_to_mpirun(self):
        ranks, layout = LAYOUTS["pipeline 2 x data 2"]
        self.check_stop(self.start_long(*layout, ranks=ranks), signal.SIGUSR1, *layout, ranks=ranks)

    def test_sigterm_to_mpirun(self):
        """Which takes no more output, waits, passes SIGTERM on, waits again and kills: in between the ranks save."""
        ranks, layout = LAYOUTS["pipeline 2, uneven"]
        job = self.start_long(*layout, ranks=ranks, environment={"OMPI_MCA_odls_base_sigkill_timeout": "3"})
        os.kill(job.process.pid, signal.SIGTERM)
        job.wait(30)
        lines = metrics(self.save)
        self.assertGreater(lines[-1]["step"], 50, "the run went on with its output full, until it was told")
        self.assertEqual(latest(self.save).name, f"step-{lines[-1]['step']:08}")
        until(lambda: not job.processes(), seconds=10)
        self.train(self.save, f"--training.train_iters={lines[-1]['step'] + 1}", *layout, ranks=ranks)
        self.assertEqual(metrics(self.save)[-1]["run"], 2)

    def test_output_that_nobody_reads(self):
        steps = 300  # more lines than a pipe holds
        command = [HEADWATER, "train", str(self.config), f"--training.save={self.save}", f"--training.train_iters={steps}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertTrue(process.stdout.read().startswith(b"stage "))
        self.assertEqual(len(metrics(self.save)), steps)

    def test_one_rank_alone_is_told(self):
        ranks, layout = LAYOUTS["data 2"]
        job = self.start_long(*layout, ranks=ranks)
        os.kill(job.processes()[1], signal.SIGUSR1)
        self.assertEqual(job.wait(), 75, job.stdout + job.stderr)
        self.assertEqual(latest(self.save).name, f"step-{metrics(self.save)[-1]['step']:08}")

    def test_a_signal_ends_an_evaluation(self):
        evaluation = ("--training.eval_interval=1000000", f"--data.validation={GOLDEN / 'data'}",
                      "--training.global_batch_size=1")
        job = self.start_training(f"--training.save={self.save}", LONG, *evaluation)
        until(lambda: "MFU" in job.stdout, job)  # the first evaluation is about to begin
        os.kill(job.process.pid, signal.SIGTERM)
        self.assertEqual(job.wait(), 75, job.stderr)
        self.assertTrue(latest(self.save).is_dir())

    def test_without_a_save_folder(self):
        file = self.folder / "metrics.jsonl"
        for number in (signal.SIGTERM, signal.SIGUSR1):
            with self.subTest(signal=number):
                job = self.start_training(LONG, f"--training.metrics_file={file}")
                until(lambda: metrics(self.folder), job)
                os.kill(job.process.pid, number)
                self.assertEqual(job.wait(), 128 + number, job.stderr)
                self.assertEqual(job.errors, [])
                file.unlink()

    def test_ranks_without_a_save_folder(self):
        job = self.start_training(LONG, f"--training.metrics_file={self.folder}/metrics.jsonl", ranks=2)
        until(lambda: metrics(self.folder), job)
        os.kill(job.process.pid, signal.SIGUSR1)
        self.assertEqual(job.wait(), 128 + signal.SIGUSR1, job.stderr)

    def test_nothing_is_saved_while_a_peer_does_not_answer(self):
        for stopped in (0, 1):
            with self.subTest(stopped=stopped):
                self.save = self.folder / f"save-{stopped}"
                ranks, layout = LAYOUTS["pipeline 2, uneven"]
                job = self.start_long(*layout, ranks=ranks)
                os.kill(job.processes()[stopped], signal.SIGSTOP)
                start = time.monotonic()
                os.kill(job.process.pid, signal.SIGUSR1)
                self.assertEqual(job.wait(30), 4, job.stderr)
                self.assertLess(time.monotonic() - start, 15)  # long before the deadline of 600 s
                self.check_error(job, rf"rank {stopped} ")
                self.assertEqual([path for path in self.save.iterdir() if path.name.startswith(("step-", "latest"))], [])
                until(lambda: not job.processes(), seconds=10)


if __name__ == "__main__":
    unittest.main()
