#!/usr/bin/env python3
"""Every kernel that nvcc makes is started by the tests of kernels, with as much shared memory and as many threads as
kernels/budget.tsv says that it can have, and no more: the emulation refuses what a GPU would.

The environment names the program of those tests (HEADWATER_KERNEL_TESTS).
"""

import csv
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

TESTS = os.environ["HEADWATER_KERNEL_TESTS"]
BUDGET = Path(__file__).resolve().parents[2] / "kernels/budget.tsv"
COLUMNS = ("threads", "shared_arrays", "shared_block")


def budget():
    """Name of a kernel to what it may have."""
    lines = [line for line in BUDGET.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["architecture"] == "sm_80"]
    return {row["kernel"]: tuple(int(row[column]) for column in COLUMNS) for row in rows}


def name_in_budget(name):
    name = re.sub(r"headwater::kernels::|\(anonymous namespace\)::", "", name).replace("__nv_bfloat16", "bf16")
    return re.sub(r"\((\w+)\)(\d+)", r"\1 \2", name).partition("(")[0]  # an enumerator; without parameters


class LimitsTest(unittest.TestCase):
    maxDiff = None

    def test_every_kernel_starts_at_its_largest(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "launches.tsv")
            environment = {**os.environ, "HEADWATER_EMULATION_LAUNCHES": str(file), "HEADWATER_ONE_MODE": "1"}
            done = subprocess.run([TESTS, "--gtest_brief=1"], env=environment, capture_output=True, text=True, timeout=600)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        launched = {name_in_budget(name): tuple(map(int, most)) for name, *most in rows}
        self.assertEqual(launched, budget())


if __name__ == "__main__":
    unittest.main()
