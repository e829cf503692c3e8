"""scripts/cuda_libraries.sh in a made-up root: where it looks, and in which order."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
NAME = "libcublasLt.so.13"

# From the first place to the last.
PLACES = ("by/path", "usr/local/cuda-13.1/targets/x86_64-linux/lib", "usr/local/cuda-13.0/lib64", "usr/local/cuda-9/lib",
          "of/python/nvidia/cublas/lib", "usr/local/lib/python3.12/dist-packages/nvidia/cublas/lib",
          "home/.venv/lib/python3.12/site-packages/nvidia/cu13/lib",
          "opt/torch/.venv/lib/python3.12/site-packages/nvidia/cu13/lib", "opt/miniconda3/lib", "usr/local/nvidia/lib64",
          "usr/lib/x86_64-linux-gnu", "lib64")


class Search(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        # Of the host's tools those that the script needs, and a Python that says where it has packages.
        (self.root / "path").mkdir()
        for name in ("bash", "env", "sed", "sort"):
            (self.root / "path" / name).symlink_to(shutil.which(name))
        python = self.root / "path/python3"
        python.write_text("#!/bin/bash\necho; echo /of/python; echo of/nothing\n")
        python.chmod(0o755)

    def search(self, *names):
        environment = {"PATH": str(self.root / "path"), "HOME": str(self.root / "home"),
                       "LD_LIBRARY_PATH": str(self.root / "by/path")}
        done = subprocess.run([ROOT / "scripts/cuda_libraries.sh", "--root", self.root, *names], env=environment,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return dict(line.split("\t") for line in done.stdout.splitlines())

    def put(self, place, name=NAME):
        (self.root / place).mkdir(parents=True, exist_ok=True)
        (self.root / place / name).touch()

    def test_every_place_is_looked_at_and_the_first_one_counts(self):
        self.assertEqual(self.search(NAME), {NAME: ""})
        for place in reversed(PLACES):
            self.put(place)
            self.assertEqual(self.search(NAME), {NAME: str(self.root / place / NAME)})

    def test_each_name_by_itself(self):
        self.put("opt/torch/.venv/lib/python3.12/site-packages/nvidia/cuda_runtime/lib", "libcudart.so.12")
        self.put("opt/torch/.venv/lib/python3.12/site-packages/nvidia/cublas/lib", "libcublas.so.12")
        found = self.search("libcudart.so.12", "libcublas.so.12", "libcublas.so.13")
        self.assertTrue(found["libcudart.so.12"].endswith("cuda_runtime/lib/libcudart.so.12"))
        self.assertTrue(found["libcublas.so.12"].endswith("cublas/lib/libcublas.so.12"))
        self.assertEqual(found["libcublas.so.13"], "")

    def test_what_the_linker_knows(self):
        done = subprocess.run([ROOT / "scripts/cuda_libraries.sh", "libc.so.6"], env={"PATH": "/usr/bin:/bin"},
                              capture_output=True, text=True, timeout=60)
        name, file = done.stdout.rstrip("\n").split("\t")
        self.assertEqual(name, "libc.so.6")
        self.assertTrue(Path(file).exists(), done)

    def test_without_a_name_it_prints_the_usage(self):
        done = subprocess.run([ROOT / "scripts/cuda_libraries.sh"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("usage: scripts/cuda_libraries.sh", done.stderr)


if __name__ == "__main__":
    unittest.main()
