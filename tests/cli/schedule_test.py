"""headwater schedule: bubbles of schedules whose passes take given times."""

import json
import os
import subprocess
import unittest

HEADWATER = os.environ["HEADWATER"]


class Schedule(unittest.TestCase):
    def run_schedule(self, *arguments):
        return subprocess.run([HEADWATER, "schedule", *arguments], capture_output=True, text=True, timeout=60)

    def play(self, *arguments):
        done = self.run_schedule("--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return json.loads(done.stdout)

    def test_bubbles(self):
        run = ["--pipeline", "4", "--micro-batches", "8", "--forward", "2", "--input-gradient", "3", "--weight-gradient", "1"]
        self.assertAlmostEqual(self.play(*run)["step_seconds"], (8 + 3) * 6)
        self.assertAlmostEqual(self.play(*run)["bubble_fraction"], 3 / 11)
        self.assertAlmostEqual(self.play(*run, "--schedule", "interleaved", "--chunks", "2")["step_seconds"], (8 + 3 / 2) * 6)
        self.assertAlmostEqual(self.play(*run, "--schedule", "zb-h1")["step_seconds"], 8 * 6 + 3 * (2 + 3 - 1))
        self.assertGreater(self.play(*run, "--link", "0.1")["step_seconds"], (8 + 3) * 6)
        done = self.run_schedule(*run)
        self.assertIn("bubble = 1 - m(F + B + W)/T = 27.27 %", done.stdout)

    def test_refusals(self):
        for arguments, words in ((["--schedule", "2f2b"], "2f2b"), (["--schedule", "zb-v", "--chunks", "3"], "zb-v")):
            done = self.run_schedule("--pipeline", "2", "--micro-batches", "4", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertRegex(done.stderr, "^headwater: error: .*" + words)


if __name__ == "__main__":
    unittest.main()
