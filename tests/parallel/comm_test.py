#!/usr/bin/env python3
"""Ranks under mpirun: every collective, and how a job ends when a rank stops, dies, fails or does not come.

Runs headwater_comm_ranks (tests/comm/ranks_main.cpp), which lies beside the binary that HEADWATER names.
"""

import os
import shutil
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RANKS = Path(os.environ["HEADWATER"]).parent / "headwater_comm_ranks"
DEADLINE = 3.0  # of the program's communicators
ERROR = "headwater: error: "


class Job:
    """One run, to its end: its exit code, its lines of error and how long it took."""

    def __init__(self, ranks, *arguments):
        if shutil.which("mpirun") is None:
            raise RuntimeError("mpirun is missing; scripts/setup.sh installs it")
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), str(RANKS)]
        environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        start = time.monotonic()
        done = subprocess.run([*command, *map(str, arguments)], env=environment, timeout=120, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.seconds = time.monotonic() - start
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.errors = [line.removeprefix(ERROR) for line in self.stderr.splitlines() if line.startswith(ERROR)]


HAS_MPI = not any("built without MPI" in error for error in Job(2, "check").errors)


class WithoutMpi(unittest.TestCase):
    @unittest.skipIf(HAS_MPI, "this binary has MPI")
    def test_is_refused_in_one_line(self):
        job = Job(3, "check")
        self.assertEqual((job.code, len(job.errors)), (2, 1), job.stderr)
        self.assertIn("Open MPI started 3 ranks", job.errors[0])


@unittest.skipUnless(HAS_MPI, "this binary was built without MPI")
class CommTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # These wait for deadlines, and for the launcher, most of the time: three at once take little longer than one.
        jobs = ((3, "stop", 2), (3, "late", 1), (4, "chain", 3), (3, "kill", 2), (3, "signal", 2), (3, "alive", 2), (3, "mute", 1))
        with ThreadPoolExecutor(3) as pool:
            cls.ended = dict(zip(jobs, pool.map(lambda job: Job(*job), jobs), strict=True))

    def check(self, job, code, pattern, within):
        """One line of error, of that pattern; the job's exit code; and its time."""
        self.assertEqual(job.code, code, job.stderr)
        self.assertEqual(len(job.errors), 1, job.stderr)
        self.assertRegex(job.errors[0], pattern)
        self.assertLess(job.seconds, within, job.stderr)

    def test_every_op(self):
        for ranks in (1, 2, 4):
            job = Job(ranks, "check")
            self.assertEqual((job.code, job.stdout), (0, f"{ranks} ranks checked\n"), job.stderr)

    def test_a_stopped_rank_is_named(self):
        job = self.ended[3, "stop", 2]
        self.check(job, 4, r"all_reduce #4 of group data waited 3\.0 s: rank 2 \(.+\) did not come", DEADLINE + 5)
        self.assertIn("UNFINISHED", job.stderr.split(ERROR)[0], "the flight recorder comes before the error")

    def test_a_late_rank_is_named(self):
        job = self.ended[3, "late", 1]
        self.check(job, 4, r"all_reduce #4 of group data waited 3\.0 s: rank 1 \([^ ]+\) did not come$", DEADLINE + 5)

    def test_a_chain_of_waits_ends_at_the_stopped_rank(self):
        job = self.ended[4, "chain", 3]
        self.check(job, 4, r"receive from \d #1 of group data waited 3\.0 s: rank 3 \(.+\) did not come", DEADLINE + 5)

    def test_a_killed_rank_ends_the_job(self):
        job = self.ended[3, "kill", 2]
        self.assertEqual(job.code, 137, job.stderr)
        self.assertLess(job.seconds, 10)

    def test_a_dead_peer_is_noticed_after_a_stop_signal(self):
        self.check(self.ended[3, "signal", 2], 4, r"rank 2 \(.+\) did not come and does not answer", 10)
        self.check(self.ended[3, "alive", 2], 4, r"rank 2 does not answer", 10)

    def test_a_failed_rank_is_heard_by_rank_zero_at_work(self):
        self.check(Job(3, "fail", 2), 2, r"^rank 2: the answer is 41; it should be 42$", 5)

    def test_ranks_that_all_fail_say_it_once(self):
        self.check(Job(4, "all-fail"), 2, r"^data\.train: no such dataset$", 5)

    def test_rank_one_speaks_where_rank_zero_cannot(self):
        self.check(self.ended[3, "mute", 1], 3, r"^rank 1: the disk is full$", 10)

    def test_a_rank_alone_fails_alike(self):
        self.check(Job(1, "all-fail"), 2, r"^data\.train: no such dataset$", 5)

    def test_another_launcher_is_refused(self):
        # Eight ranks by the environment of a launcher whose library is not this binary's.
        environment = {**os.environ, "PMI_SIZE": "8", "PMI_RANK": "0"}
        done = subprocess.run([str(RANKS), "check"], env=environment, timeout=60, text=True, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"MPICH's PMI started 8 ranks, but this binary.* sees 1: start it with")


if __name__ == "__main__":
    unittest.main()
