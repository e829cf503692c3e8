#!/usr/bin/env python3
"""Every kernel that nvcc makes is started by the tests of kernels, with as much shared memory and as many threads as
kernels/budget.tsv says that it can have, and no more: the emulation refuses what a GPU would.

The environment names the program of those tests (HEADWATER_KERNEL_TESTS).
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
from kernel_budget import read_budget, short_name  # noqa: E402

TESTS = os.environ["HEADWATER_KERNEL_TESTS"]
COLUMNS = ("threads", "shared_arrays", "shared_block")


def budget():
    """Name of a kernel to what it may have."""
    _, rows = read_budget()
    return {kernel: tuple(int(row[column]) for column in COLUMNS)
            for (_, kernel, architecture), row in rows.items() if architecture == "sm_80"}


class LimitsTest(unittest.TestCase):
    maxDiff = None

    def test_every_kernel_starts_at_its_largest(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "launches.tsv")
            environment = {**os.environ, "HEADWATER_EMULATION_LAUNCHES": str(file), "HEADWATER_ONE_MODE": "1"}
            done = subprocess.run([TESTS, "--gtest_brief=1"], env=environment, capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        launched = {short_name(name): tuple(map(int, most)) for name, *most in rows}
        self.assertEqual(launched, budget())


if __name__ == "__main__":
    unittest.main()
