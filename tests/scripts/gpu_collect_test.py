"""scripts/gpu_check.sh collect: what came back from a GPU goes where it belongs, and nothing else does."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
BITS = "mma\t0001\t0002\nex2\t0003\n"
RESULTS = {"device": "NVIDIA H200", "ops": []}
SUMMARY = """gpu_check.sh: NVIDIA H200, 580.1, 143771 MiB, architecture 90a, commit abc

PASS  conformance   3 s  2 instructions
FAIL  kernels       1 s  one
"""


class Collect(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.checkout, self.back = Path(folder.name, "checkout"), Path(folder.name, "back")
        (self.checkout / "scripts").mkdir(parents=True)
        for name in ("gpu_check.sh", "gpu_collect.py", "gpu_results.py"):
            shutil.copy(ROOT / "scripts" / name, self.checkout / "scripts")
        (self.checkout / "scripts/kernel_table.py").write_text("import sys\nprint('# page of', sys.argv[1])\n")
        for name in ("tests/conformance", "docs/benchmarks"):
            (self.checkout / name).mkdir(parents=True)
        self.back.mkdir()
        self.put("summary.txt", SUMMARY)
        self.put("conformance.tsv", BITS)
        self.put("results.json", json.dumps(RESULTS))
        self.put("matmul.json", json.dumps({"device": "NVIDIA H200, compute capability 9.0"}))

    def put(self, name, text):
        (self.back / name).write_text(text)

    def read(self, name):
        return (self.checkout / name).read_text()

    def collect(self, code=0):
        done = subprocess.run([self.checkout / "scripts/gpu_check.sh", "collect", self.back], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, code, done)
        return done

    def test_each_file_has_its_place(self):
        done = self.collect()
        self.assertEqual(done.stdout, "git add tests/conformance/expected.tsv docs/benchmarks/gpu/nvidia-h200.json "
                                      "docs/benchmarks/gpu-kernels.md docs/benchmarks/gpu/nvidia-h200-matmul.json\n")
        self.assertEqual(self.read("tests/conformance/expected.tsv"), BITS)
        self.assertEqual(json.loads(self.read("docs/benchmarks/gpu/nvidia-h200.json")), RESULTS)
        self.assertEqual(self.read("docs/benchmarks/gpu-kernels.md"), "# page of docs/benchmarks/gpu/nvidia-h200.json\n")
        self.assertIn("capability", self.read("docs/benchmarks/gpu/nvidia-h200-matmul.json"))
        self.assertNotIn("expected.tsv", self.collect().stdout)  # the same bits again

    def test_other_bits_are_named_and_not_taken(self):
        (self.checkout / "tests/conformance/expected.tsv").write_text(BITS.replace("0003", "0004"))
        self.assertIn("for ex2; that file stays as it is", self.collect(code=1).stderr)
        self.assertIn("0004", self.read("tests/conformance/expected.tsv"))
        self.assertTrue((self.checkout / "docs/benchmarks/gpu-kernels.md").exists())

    def test_bits_of_a_stage_that_has_not_passed(self):
        self.put("summary.txt", SUMMARY.replace("PASS", "FAIL"))
        self.assertIn("does not say that the stage conformance has passed", self.collect(code=1).stderr)
        self.assertFalse((self.checkout / "tests/conformance/expected.tsv").exists())

    def test_bits_of_nobody_knows_what(self):
        self.put("summary.txt", SUMMARY.partition("\n")[2])
        self.assertIn("does not say for which architecture the program was built", self.collect(code=1).stderr)
        self.assertFalse((self.checkout / "tests/conformance/expected.tsv").exists())

    def test_nothing_is_taken_of_the_emulated_gpu(self):
        for name, text, says in (
                ("summary.txt", SUMMARY.replace("90a", "emulated"), "summary.txt says architecture emulated"),
                ("results.json", json.dumps({"device": "emulated GPU", "ops": []}), "results.json says emulated GPU"),
                ("matmul.json", json.dumps({"device": "emulated GPU, cc 9.0"}), "matmul.json says emulated GPU, cc 9.0")):
            with self.subTest(name=name):
                before = (self.back / name).read_text()
                self.put(name, text)
                done = self.collect(code=1)
                self.assertEqual(done.stdout, "")
                self.assertIn(f"{self.back}: {says}", done.stderr)
                self.assertFalse((self.checkout / "tests/conformance/expected.tsv").exists())
                self.assertFalse((self.checkout / "docs/benchmarks/gpu").exists())
                self.put(name, before)

    def test_the_emulated_gpu_without_measurements(self):
        self.put("summary.txt", SUMMARY.replace("90a", "emulated"))
        for name in ("results.json", "matmul.json"):
            (self.back / name).unlink()
        self.assertIn("nothing is taken", self.collect(code=1).stderr)
        self.assertFalse((self.checkout / "tests/conformance/expected.tsv").exists())

    def test_a_file_that_is_cut_off_keeps_no_other_from_being_taken(self):
        self.put("results.json", '{"device": "NVID')
        done = self.collect(code=1)
        self.assertEqual(done.stderr.count("\n"), 1, done)
        self.assertIn(f"gpu_collect.py: {self.back}/results.json is no whole JSON", done.stderr)
        self.assertEqual(done.stdout, "git add tests/conformance/expected.tsv docs/benchmarks/gpu/nvidia-h200-matmul.json\n")

    def test_a_file_of_no_device(self):
        for device in (None, 5):
            for name in ("results.json", "matmul.json"):
                self.put(name, json.dumps({"device": device, "ops": []}))
            done = self.collect(code=1)
            self.assertEqual(done.stderr.count(": measured on no device, and a GPU's figures are wanted\n"), 2, done)
            self.assertEqual(done.stderr.count("\n"), 2, done)

    def test_a_page_that_cannot_be_made(self):
        (self.checkout / "scripts/kernel_table.py").write_text("raise SystemExit('no such thing')")
        done = self.collect(code=1)
        self.assertIn("kernel_table.py docs/benchmarks/gpu/nvidia-h200.json: no such thing; docs/benchmarks/gpu-kernels.md ",
                      done.stderr)
        self.assertFalse((self.checkout / "docs/benchmarks/gpu-kernels.md").exists())
        self.assertIn(" docs/benchmarks/gpu/nvidia-h200.json ", done.stdout)  # which has the steps' figures

    def test_what_is_not_there(self):
        for name in ("results.json", "matmul.json"):
            (self.back / name).unlink()
        done = self.collect()
        self.assertIn("results.json: not in", done.stdout)
        self.assertIn("git add tests/conformance/expected.tsv\n", done.stdout)


if __name__ == "__main__":
    unittest.main()
