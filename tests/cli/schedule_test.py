"""headwater schedule: bubbles of schedules whose passes take given times."""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from schedules import schedule_names  # noqa: E402

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

    def test_v_half_where_passes_differ(self):
        """The figures of docs/pipeline.md."""
        run = ["--pipeline", "8", "--micro-batches", "64"]
        for arguments, percent in ((["--schedule", "v-half", "--input-gradient", "1.2", "--weight-gradient", "0.8"], 6.07),
                                   (["--schedule", "1f1b", "--input-gradient", "1.2", "--weight-gradient", "0.8"], 9.86),
                                   (["--schedule", "v-half", "--input-gradient", "2"], 16.07)):
            self.assertAlmostEqual(100 * self.play(*run, *arguments)["bubble_fraction"], percent, delta=0.005)

    def test_every_schedule_is_played_and_listed(self):
        help_text = self.run_schedule("--help").stdout
        for name in schedule_names():
            with self.subTest(schedule=name):
                played = self.play("--pipeline", "4", "--micro-batches", "16", "--schedule", name)
                self.assertGreaterEqual(played["step_seconds"], 16 * 3)
                self.assertLess(played["bubble_fraction"], 0.16)  # 1F1B's is 3 / 19
                self.assertRegex(help_text, rf"(?m)^  {name} ")

    def test_refusals(self):
        for arguments, words in ((["--schedule", "2f2b"], "2f2b"), (["--schedule", "zb-v", "--chunks", "3"], "zb-v")):
            done = self.run_schedule("--pipeline", "2", "--micro-batches", "4", *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertRegex(done.stderr, "^headwater: error: .*" + words)


if __name__ == "__main__":
    unittest.main()
