"""The launch templates, with programs in the place of mpirun and Slurm's that write down how they were called."""

import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
MPIRUN, SLURM = ROOT / "scripts/launch/mpirun.sh", ROOT / "scripts/launch/slurm.sh"
# mpirun that ends with $CODE; where a signal must come first it waits for it.
FAKE_MPIRUN = """#!/usr/bin/env bash
trap 'echo USR1 >>"$CALLS"; exit "$CODE"' USR1
printf '%s\\n' "$@" >>"$CALLS"
[[ -z "$WAITS" ]] && exit "$CODE"
while :; do sleep 0.02; done
"""
FAKE_SCONTROL = """#!/usr/bin/env bash
echo scontrol "$@" >>"$CALLS"
"""


class Launch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls = self.folder / "calls"
        for name, text in (("mpirun", FAKE_MPIRUN), ("scontrol", FAKE_SCONTROL)):
            program = self.folder / name
            program.write_text(text)
            program.chmod(0o755)
        self.hostfile = self.folder / "hosts"
        self.hostfile.write_text("a slots=8\nb slots=8\n")

    def start(self, *command, code=0, waits="", **environment):
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMP_"))}
        variables |= {"PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(self.calls), "CODE": str(code), "WAITS": waits,
                      "SLURM_SUBMIT_DIR": str(ROOT), **environment}
        process = subprocess.Popen([str(part) for part in command], env=variables, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def finish(self, process, code):
        out, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, out + error)
        return error

    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def wait_for_call(self, line):
        end = time.monotonic() + 30
        while line not in self.called():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_what_mpirun_is_told(self):
        self.finish(self.start(MPIRUN, self.hostfile, "c.json", "--training.seed=7", NETWORK="10.1.0.0/16", TIMEOUT="40"), 0)
        called = self.called()
        settings = dict(zip(called[called.index("--mca") + 1::3], called[called.index("--mca") + 2::3]))
        self.assertEqual(settings["oob_tcp_keepalive_time"], "40")
        self.assertEqual(settings["odls_base_sigkill_timeout"], "10")
        for words in (["--map-by", "slot"], ["--bind-to", "none"], ["--hostfile", str(self.hostfile)],
                      ["--mca", "oob_tcp_if_include", "10.1.0.0/16"], ["--mca", "btl_tcp_if_include", "10.1.0.0/16"]):
            self.assertIn("\n".join(words), "\n".join(called))
        # The run's own options come last, so that they win.
        program = called.index("train")
        self.assertEqual(called[program:], ["train", "c.json", "--training.comm_timeout_s=40", "--training.seed=7"])
        self.assertEqual(called[program - 1], os.environ["HEADWATER"])

    def test_the_exit_code_is_mpiruns(self):
        self.finish(self.start(MPIRUN, self.hostfile, "c.json", code=205), 205)

    def test_a_stop_signal_is_passed_on_as_one_that_mpirun_passes_on(self):
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            self.calls.unlink(missing_ok=True)
            process = self.start(MPIRUN, self.hostfile, "c.json", code=75, waits="yes")
            self.wait_for_call("train")
            process.send_signal(number)
            self.finish(process, 75)
            self.assertEqual(self.called()[-1], "USR1")

    def test_what_is_missing_is_named(self):
        self.assertIn("usage: scripts/launch/mpirun.sh", self.finish(self.start(MPIRUN, self.hostfile), 2))
        self.assertIn("no host file nowhere", self.finish(self.start(MPIRUN, "nowhere", "c.json"), 2))
        self.assertIn("no program /nowhere", self.finish(self.start(MPIRUN, "-", "c.json", HEADWATER="/nowhere"), 2))
        self.assertIn("usage: sbatch", self.finish(self.start(SLURM), 2))
        self.assertIn("not in a Slurm job", self.finish(self.start(SLURM, "c.json"), 2))
        self.assertEqual(self.called(), [])

    def test_a_slurm_job_takes_its_hosts_from_slurm(self):
        self.finish(self.start(SLURM, "c.json", SLURM_JOB_ID="77"), 0)
        self.assertNotIn("--hostfile", self.called())
        self.assertIn("c.json", self.called())

    def test_a_job_whose_time_is_over_goes_back_into_the_queue(self):
        process = self.start(SLURM, "c.json", SLURM_JOB_ID="77", code=75, waits="yes")
        self.wait_for_call("train")
        process.send_signal(signal.SIGUSR1)
        self.finish(process, 0)
        self.assertEqual(self.called()[-2:], ["USR1", "scontrol requeue 77"])

    def test_a_cancelled_job_saves_and_ends(self):
        process = self.start(SLURM, "c.json", SLURM_JOB_ID="77", code=75, waits="yes")
        self.wait_for_call("train")
        process.send_signal(signal.SIGTERM)
        self.finish(process, 75)
        self.assertEqual(self.called()[-1], "USR1")

    def test_a_job_that_fails_is_not_repeated(self):
        self.finish(self.start(SLURM, "c.json", SLURM_JOB_ID="77", code=4), 4)
        self.assertNotIn("scontrol requeue 77", self.called())


if __name__ == "__main__":
    unittest.main()
