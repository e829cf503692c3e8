"""The scripts that people and CI call: what they refuse, the closing line of scripts/test.sh, the table of predictions."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])


def run(*command, folder=ROOT):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CTEST")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


class Refusals(unittest.TestCase):
    def test_presets_are_refused_by_name(self):
        done = run("scripts/build.sh", "fast")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("no preset fast", done.stderr)

    def test_a_target_needs_a_name(self):
        done = run("scripts/build.sh", "release", "-DHEADWATER_MPI=OFF", "--target")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("--target needs a name", done.stderr)

    def test_unknown_words_print_the_usage(self):
        for script in ("test.sh", "setup.sh", "format.sh", "gpu_rehearsal.sh"):
            for word in ("something", "--help"):
                done = run(f"scripts/{script}", word)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(f"usage: scripts/{script}", done.stderr)

    def test_the_small_training_wants_a_file(self):
        done = run("python3", "tests/support/small_training.py")
        self.assertEqual((done.returncode, done.stderr), (1, "usage: small_training.py LOSSES.json, where the losses go\n"), done)

    def test_setup_is_silent_where_all_is_there(self):
        done = run("scripts/setup.sh")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_setup_lists_what_is_missing_where_it_cannot_install(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bash", "g++", "cmake", "ninja", "python3", "mpirun", "mpicc"):
                Path(folder, name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
            script = Path(folder, "setup.sh")
            text = (ROOT / "scripts/setup.sh").read_text()
            script.write_text(text.replace("/etc/os-release", "/nonexistent"))
            done = subprocess.run(["bash", script], env={"PATH": folder}, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("pkg-config", done.stderr)
        self.assertNotIn("ninja-build", done.stderr)


class PredictionTable(unittest.TestCase):
    """scripts/prediction_table.py on made-up runs."""

    @staticmethod
    def bench(predicted, measured, bytes_measured=1024):
        parts = {"compute": predicted / 2, "waiting": predicted / 4, "communication": 0.0, "update": predicted / 4}
        rank = {"predicted": parts, "measured": parts, "predicted_bytes": 1024, "measured_bytes": bytes_measured}
        return {"dtype": "fp32", "tokens": 64, "prediction": {
            "predicted_seconds": predicted, "measured_seconds": measured, "error": predicted / measured - 1,
            "predicted_bubble": 0.1, "measured_bubble": 0.2, "ranks": [rank, rank]}}

    def table(self, layouts):
        with tempfile.TemporaryDirectory() as folder:
            for number, (name, runs) in enumerate(layouts.items()):
                Path(folder, f"{number}.name").write_text(name)
                for i, bench in enumerate(runs):
                    Path(folder, f"{number}.{i}.json").write_text(json.dumps(bench))
            done = run("python3", "scripts/prediction_table.py", folder, f"{folder}/table.md")
            self.assertEqual(done.returncode, 0, done)
            return Path(folder, "table.md").read_text()

    def test_it_has_medians_of_runs_and_of_layouts(self):
        text = self.table({"one": [self.bench(0.09, 0.1), self.bench(0.1, 0.1), self.bench(0.11, 0.1)],
                           "two": [self.bench(0.2, 0.1)] * 3, "three": [self.bench(0.095, 0.1)] * 3})
        self.assertIn("| one | 100.0 | 100.0 | +0.0 % | -10.0 % | 10.0 / 20.0 % |", text)
        self.assertIn("| two | 200.0 | 100.0 | +100.0 % | +100.0 % | 10.0 / 20.0 % |", text)
        self.assertIn("**5.0 %**", text)
        self.assertIn("equals the arena's", text)
        self.assertIn("| one | 50.0 / 50.0 | 25.0 / 25.0 | 0.0 / 0.0 | 25.0 / 25.0 |", text)

    def test_it_says_where_memory_differs(self):
        self.assertIn("DIFFERS", self.table({"one": [self.bench(0.1, 0.1, 2048)]}))


class ClosingLine(unittest.TestCase):
    """Of a small project whose tests end in every way that there is."""

    TESTS = {
        "ok": ("COMMAND true", ""),
        "also_ok": ("COMMAND true", ""),
        "bad": ("COMMAND false", ""),
        "slow": ("COMMAND sleep 60", "TIMEOUT 1"),
        "not_built": ("COMMAND no/such/program", ""),
        "skips": ("COMMAND echo SKIPPED", "SKIP_REGULAR_EXPRESSION SKIPPED"),
        "skips_by_code": ('COMMAND sh -c "exit 77"', "SKIP_RETURN_CODE 77"),  # as tests/*_test.py do
        "disabled": ("COMMAND true", "DISABLED TRUE"),
        "on_a_gpu": ("COMMAND false", "LABELS gpu"),
        "longer": ("COMMAND true", "LABELS full"),
    }

    def closing_line(self, which, names):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(ROOT / "scripts", folder / "scripts")
            shutil.copy(ROOT / "CMakePresets.json", folder)
            lines = ["cmake_minimum_required(VERSION 3.25)", "project(closing_line NONE)", "enable_testing()",
                     "add_custom_target(headwater)", "add_custom_target(quick_tests)"]  # what test.sh builds
            for test in names:
                command, properties = self.TESTS[test]
                label = "" if "LABELS" in properties else "LABELS quick"
                lines.append(f"add_test(NAME {test} {command})")
                if properties or label:
                    lines.append(f"set_tests_properties({test} PROPERTIES {label} {properties})")
            (folder / "CMakeLists.txt").write_text("\n".join(lines))
            done = run("scripts/test.sh", which, folder=folder)
        return done.stdout.splitlines()[-1], done.returncode

    def test_all_passed(self):
        self.assertEqual(self.closing_line("quick", ["ok", "also_ok", "longer"]), ("2 passed, 0 failed", 0))
        self.assertEqual(self.closing_line("full", ["ok", "longer", "on_a_gpu"]), ("2 passed, 0 failed", 0))

    def test_every_kind_of_end_is_counted(self):
        self.assertEqual(self.closing_line("full", self.TESTS), ("3 passed, 3 failed, 3 skipped", 1))

    def test_skipped_tests_are_no_failure(self):
        self.assertEqual(self.closing_line("quick", ["ok", "skips", "skips_by_code"]), ("1 passed, 0 failed, 2 skipped", 0))

    def test_no_tests_at_all_is_a_failure(self):
        self.assertEqual(self.closing_line("quick", ["longer"]), ("0 passed, 0 failed", 1))


if __name__ == "__main__":
    unittest.main()
