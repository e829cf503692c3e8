"""scripts/gpu_bundle.sh on a small checkout whose build is at hand: which libraries it carries, which it leaves to the host,
what is in the archive, and its limit.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
PROGRAMS = ("headwater", "headwater_conformance", "test_backend", "test_kernels_gpu", "test_conformance_gpu")


class Bundle(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.checkout, self.build = self.folder / "checkout", self.folder / "checkout/build/cuda-90a"
        self.build.mkdir(parents=True)
        for name, content in {"configs/a.json": "{}", "kernels/budget.tsv": "x", "tests/cuda/gpu_full_test.py": "x",
                              "tests/golden/yuan2/expected.json": "{}", "docs/not.md": "x", ".gitignore": "/build/\n",
                              "tests/support/small_training.py": "import sys; open(sys.argv[1], 'w').write('[5.0]')"}.items():
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (self.checkout / name).write_text(content)
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["git", "init", "-q", self.checkout], check=True)
        # A library that a host may lack, and one of CUDA's, as CMake would have found it.
        ours, cudas = self.library("libours.so.1", "ours"), self.library("libcudas.so.13", "cudas")
        cudas.with_name("libcudas.so").symlink_to(cudas)
        (self.build / "CMakeCache.txt").write_text(f"CUDA_cudas_LIBRARY:FILEPATH={cudas.with_name('libcudas.so')}\n")
        source = self.folder / "main.cpp"
        source.write_text("#include <cmath>\n#include <iostream>\nextern \"C\" int ours(), cudas();\n"
                          "int main(int n, char**) { std::cout << ours() + cudas() + std::sin(n) << '\\n'; }\n")
        subprocess.run(["g++", source, ours, cudas, f"-Wl,-rpath,{self.folder}", "-o", self.build / "headwater"], check=True)
        for name in PROGRAMS[1:]:
            shutil.copy(self.build / "headwater", self.build / name)
        (self.folder / "path").mkdir()
        cmake = self.folder / "path/cmake"
        cmake.write_text(f"#!/bin/sh\necho \"$@\" >>{self.folder}/cmake\n")
        cmake.chmod(0o755)

    def library(self, soname, function):
        file = self.folder / soname
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", file, f"-Wl,-soname,{soname}"], check=True, text=True,
                       input=f"int {function}(void) {{ return 1; }}")
        return file

    def bundle(self, *arguments, code=0):
        environment = {**os.environ, "PATH": f"{self.folder}/path:{os.environ['PATH']}", "XZ_OPT": "-0"}
        done = subprocess.run([self.checkout / "scripts/gpu_bundle.sh", *arguments], env=environment, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, code, done)
        return done

    def unpack(self):
        archive = self.checkout / "build/gpu-bundle/headwater-gpu-90a.tar.xz"
        subprocess.run(["tar", "-xf", archive, "-C", self.folder], check=True)
        return self.folder / "headwater-gpu-90a"

    def test_what_is_in_it(self):
        self.bundle()
        root = self.unpack()
        self.assertEqual(sorted(file.name for file in (root / "bin").iterdir()),
                         ["headwater", "headwater_conformance", "test_backend", "test_conformance", "test_kernels"])
        self.assertEqual([file.name for file in (root / "lib").glob("*.so*")], ["libours.so.1"])
        compilers_own = {file.name for file in (root / "lib/compiler").iterdir()}
        self.assertIn("libstdc++.so.6", compilers_own)
        self.assertFalse(compilers_own & {"libc.so.6", "libm.so.6"}, "glibc is the host's")
        lines = (root / "BUNDLE").read_text().splitlines()
        self.assertIn("architecture 90a", lines)
        self.assertIn("program bin/test_kernels libcudas.so.13", lines)
        for name in ("configs/a.json", "kernels/budget.tsv", "tests/golden/yuan2/expected.json", "scripts/gpu_check.sh",
                     "scripts/cuda_libraries.sh"):
            self.assertTrue((root / name).exists(), name)
        # With all that they import.
        for name, *words in (("gpu_speed.py", "--floors=a.json", "--headwater=/none"), ("gpu_figures.py", "/none"),
                             ("torch_kernels.py", "/none")):
            done = subprocess.run([sys.executable, root / "scripts" / name, *words], capture_output=True, text=True, timeout=60)
            self.assertTrue(done.stderr.startswith(f"{name}: /none: No such file or directory; "), done)
        self.assertFalse((root / "docs").exists())
        self.assertEqual(json.loads((root / "tests/cuda/cpu_losses.json").read_text()), [5.0])
        said = (self.folder / "cmake").read_text()
        for words in ("-DCMAKE_CUDA_ARCHITECTURES=90a-real", "-DHEADWATER_ARCH=x86-64-v3", "-DHEADWATER_MPI=OFF",
                      "-DHEADWATER_NCCL=OFF", "--target gpu_tests"):
            self.assertIn(words, said)

    def test_it_must_not_be_too_large(self):
        (self.checkout / "configs/large").write_bytes(os.urandom(25_000_000))
        self.assertIn("must be below 25000000", self.bundle(code=1).stderr)
        self.assertEqual(list((self.checkout / "build/gpu-bundle").iterdir()), [])

    def test_unknown_words_print_the_usage(self):
        for words in (["hopper"], ["emulated", "--nccl"]):
            self.assertTrue(self.bundle(*words, code=2).stderr)


if __name__ == "__main__":
    unittest.main()
