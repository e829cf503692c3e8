"""The published tables: what is fitted on what, and that the errors of docs/benchmarks/published.md do not get worse."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["HEADWATER_SOURCE_DIR"]) / "scripts"))

from published import bubbles, steps, yuan2  # noqa: E402
from published.planner import Planner  # noqa: E402

# Of each source, small ones.
SUBSET = ("1.7B", "18.4B", "145.6B", "174.6B on 1536", "22B selective", "175B selective", "181B D4 T8 P12 b4",
          "181B D8 T4 P12 b2", "182B 96 heads batch 512")


class Published(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.planner = Planner(os.environ["HEADWATER"])

    def test_two_rows_are_fitted_and_the_others_predicted(self):
        rows = steps.read_rows()
        self.assertEqual(len(rows), 50)
        self.assertEqual(len({(row.source, row.run) for row in rows}), len(rows))
        fitted = steps.rows_named(rows, steps.FITTED_ON)
        for names in (steps.FITTED_ON, steps.FITTED_ALONE_ON):
            self.assertEqual([row.site for row in steps.rows_named(rows, names)], ["selene", "jean-zay"])
        for fit in (steps.fit_both, steps.fit_efficiency):
            with self.assertRaisesRegex(ValueError, "on two rows, not 3"):
                fit(self.planner, rows[:3])

        asked = set()
        predict = steps.predict
        steps.predict = lambda planner, row, fit: asked.add(row.run) or predict(planner, row, fit)
        self.addCleanup(setattr, steps, "predict", predict)
        fit = steps.fit_both(self.planner, fitted)
        self.assertEqual(asked, set(steps.FITTED_ON))
        self.assertTrue(0.6 < fit.efficiency < 0.8 and 0.0 < fit.launch_seconds < 0.006, fit)

        errors = steps.errors(self.planner, fitted + [row for row in rows if row.run in SUBSET], fit)
        for row in fitted:
            self.assertAlmostEqual(errors.of[row.source + row.run], 0.0, places=3)
        self.assertEqual(len(errors.predicted()), len(SUBSET))
        self.assertLess(errors.mean(), 0.05)
        self.assertLess(abs(errors.worst()), 0.12)

    def test_published_seconds(self):
        rows = {row.run: row for row in steps.read_rows()}
        self.assertAlmostEqual(rows["1.7B"].seconds, 3.53, places=2)  # from 137 TFLOP/s
        self.assertAlmostEqual(rows["1008.0B"].seconds, 102.63, places=1)
        self.assertEqual(rows["530B on 2240"].seconds, 60.1)
        self.assertEqual(sum(rows["182B 96 heads batch 512"].stages), 78)

    def test_bubbles_of_one_model(self):
        rows = bubbles.read_models()["1.5B"]
        fitted = bubbles.fit(self.planner, rows[0])
        for schedule in bubbles.FITTED_ON:
            self.assertAlmostEqual(bubbles.bubble(self.planner, rows[0], schedule, *fitted), rows[0][schedule], places=3)
        for schedule in bubbles.SCHEDULES:
            self.assertAlmostEqual(bubbles.bubble(self.planner, rows[1], schedule, *fitted), rows[1][schedule], delta=0.02)

    # Digits as printed for 100 GB/s, elsewhere within 0.1 s.
    def test_table_6_of_yuan_2(self):
        for p2p, printed in yuan2.TABLE_6.items():
            for ranks, seconds in ((96, printed[1]), (256, printed[3])):
                found = yuan2.method_2(self.planner, ranks, p2p, "--cost-model", "paper")["step_seconds"]
                self.assertAlmostEqual(found, seconds, delta=0.006 if p2p == 100 else 0.1)

    # Tensor parallelism needs the links and the pipeline does not; by the formulas 85 % and 0.4 %.
    def test_slow_links(self):
        def longer(method, *arguments):
            slow, fast = (method(self.planner, 96, p2p, *arguments)["step_seconds"] for p2p in (100, 400))
            return slow / fast - 1

        self.assertAlmostEqual(longer(yuan2.method_1, "--cost-model", "paper"), 0.847, delta=0.006)
        self.assertAlmostEqual(longer(yuan2.method_2, "--cost-model", "paper"), 0.004, delta=0.0005)
        self.assertGreater(longer(yuan2.method_1), 0.3)
        self.assertLess(longer(yuan2.method_2), 0.01)


if __name__ == "__main__":
    unittest.main()
