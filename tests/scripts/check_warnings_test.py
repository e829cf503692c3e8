"""scripts/check_warnings.py on two sources, one with a planted warning."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])


class Warnings(unittest.TestCase):
    def check(self, compiled=(), **sources):
        """`compiled`: those of which another build has an object."""
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
            entries = []
            for name, text in sources.items():
                file = Path(folder, f"{name}.cpp")
                file.write_text(text)
                entries.append({"directory": folder, "file": str(file),
                                "command": f"/usr/bin/ccache g++ -Wall -Werror -o {name}.o -c {file}"})
            Path(folder, "compile_commands.json").write_text(json.dumps(entries))
            Path(other, "compile_commands.json").write_text(json.dumps([{**entry, "directory": other} for entry in entries]))
            for name in compiled:
                Path(other, f"{name}.o").touch()
            done = subprocess.run([sys.executable, ROOT / "scripts/check_warnings.py", folder,
                                   *(["--except", other] if compiled else [])], capture_output=True, text=True, timeout=60)
            self.assertEqual(list(Path(folder).glob("*.o")), [])
        return done

    def test_a_folder_that_is_not_configured(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, ROOT / "scripts/check_warnings.py", folder], capture_output=True, text=True,
                                  timeout=60)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertEqual(done.stderr, f"check_warnings.py: {folder}/compile_commands.json is not there; cmake --preset clang "
                                      "configures such a folder, build/clang\n")

    def test_none(self):
        done = self.check(a="int a() { return 1; }", b="int b() { return 2; }")
        self.assertEqual((done.returncode, done.stdout), (0, "2 sources, 0 with errors\n"), done)

    def test_a_planted_one(self):
        done = self.check(a="int a() { return 1; }", b="int b() { int left_over = 2; return 2; }")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("left_over", done.stdout)
        self.assertTrue(done.stdout.endswith("2 sources, 1 with errors\n"), done)

    def test_what_another_build_has_compiled_is_left_out(self):
        sources = {"a": "int a() { return 1; }", "b": "int b() { int left_over = 2; return 2; }"}
        done = self.check(compiled=["b"], **sources)
        self.assertEqual((done.returncode, done.stdout), (0, "1 sources, 0 with errors\n"), done)
        done = self.check(compiled=["a"], **sources)
        self.assertEqual(done.returncode, 1, done)


if __name__ == "__main__":
    unittest.main()
