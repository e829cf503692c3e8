"""scripts/gpu_check.sh on a made-up archive whose programs are stubs: what each stage says of a program that passes, fails,
hangs or cannot start, what keeps which from running, and what comes back.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
STAGES = ("conformance", "kernels", "ops", "golden", "training", "resume", "bench", "sanitizer", "ncu")

PASSES = 'echo "[  PASSED  ] 3 tests."'
FAILS = """
case "$*" in
  *--gtest_filter=A.Alone*) echo "alone again"; exit 1 ;;
  *--gtest_filter=B.Follows*) exit 0 ;;
esac
echo "[ RUN      ] A.Alone"
echo "kernels/a.cu:7: 1 where 2 is expected"
echo "[  FAILED  ] A.Alone (12 ms)"
echo "[  FAILED  ] B.Follows (3 ms)"
echo "[  PASSED  ] 1 test."
echo "[  FAILED  ] 2 tests, listed below:"
echo "[  FAILED  ] A.Alone"
exit 1
"""
# Stands for the Python of an archive: the tests, gpu_speed.py and gpu_figures.py.
PYTHON = """
case "$*" in
  -c*) exit 0 ;;
  *gpu_figures.py*--to-count) echo "forward_kernel"; echo "config.json" ;;
  *gpu_figures.py*) echo "D 64: 3 ms" ;;
  *gpu_speed.py*) echo '{}' >"$2"; echo "5 results" ;;
  *Training) echo "Ran 1 test in 1.0s"; echo; echo OK ;;
  *) echo "Ran 2 tests in 1.0s"; echo; echo "OK (skipped=1)" ;;
esac
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.archive, self.out, self.path = (self.folder / name for name in ("archive", "out", "path"))
        shutil.copytree(ROOT / "scripts", self.archive / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        (self.archive / "lib/compiler").mkdir(parents=True)
        (self.archive / "BUNDLE").write_text("architecture 90a\ncommit abc\nprogram bin/headwater\n")
        self.program("headwater", "exit 0")
        self.program("headwater_conformance", 'printf "mma\\t0001\\n"')
        for name in ("test_conformance", "test_kernels", "test_backend"):
            self.program(name, PASSES)
        self.on_path("nvidia-smi", 'case "$*" in *name*) echo "A GPU, 1.0";; esac')
        self.on_path("python3", PYTHON)

    @staticmethod
    def script(file, text):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/bash\n" + text + "\n")
        file.chmod(0o755)

    def program(self, name, text):
        self.script(self.archive / "bin" / name, text)

    def on_path(self, name, text):
        self.script(self.path / name, text)

    def run_script(self, script, *arguments, **environment):
        environment = {"PATH": f"{self.path}:/usr/bin:/bin", "OUT": str(self.out), **environment}
        return subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, timeout=120)

    def check(self, *stages, code=0, **environment):
        """Stage to what its line says, as (word, text)."""
        done = self.run_script(self.archive / "scripts/gpu_check.sh", *stages, **environment)
        self.assertEqual(done.returncode, code, done)
        lines = done.stdout[-10000:].split("\n\n")[-1].splitlines()[:-1]
        self.assertEqual(len(lines), len(stages or STAGES), done.stdout)
        return {fields[1]: (fields[0], fields[4]) for fields in (line.split(None, 4) for line in lines)}


class Stages(CheckTest):
    def test_all_in_order(self):
        found = self.check()
        self.assertEqual(tuple(found), STAGES)
        self.assertEqual(found["conformance"],
                         ("PASS", "1 instructions mean what the manual says; no GPU's bits were recorded before"))
        self.assertEqual(found["kernels"], ("PASS", "3 tests"))
        self.assertEqual(found["golden"], ("PASS", "2 tests, skipped=1"))
        self.assertEqual(found["training"], ("PASS", "1 test"))
        self.assertEqual(found["bench"], ("PASS", "5 results"))
        self.assertEqual(found["sanitizer"][0], "LACKS")
        self.assertEqual(sorted(file.name for file in self.out.iterdir()),
                         ["conformance.tsv", "log.txt", "results.json", "summary.txt"])
        self.assertIn("D 64: 3 ms", (self.out / "summary.txt").read_text())

    def test_a_failure_is_named_and_keeps_nothing_else_from_running(self):
        self.program("test_kernels", FAILS)
        found = self.check("kernels", "ops", code=1)
        self.assertEqual(found["kernels"],
                         ("FAIL", "1 tests passed, 2 failed; by themselves too, of the first ten: A.Alone"))
        self.assertEqual(found["ops"][0], "PASS")
        self.assertIn("kernels/a.cu:7: 1 where 2 is expected", (self.out / "summary.txt").read_text())
        self.assertIn("alone again", (self.out / "log.txt").read_text())

    def test_a_program_that_crashes(self):
        self.program("test_backend", 'echo "[ RUN      ] Ops/swiglu"; kill -SEGV $$')
        word, text = self.check("ops", code=1)["ops"]
        self.assertEqual((word, text), ("FAIL", "bin/test_backend ended with 139 in Ops/swiglu"))

    def test_a_program_that_tests_nothing_has_not_passed(self):
        self.program("test_backend", 'echo "[  PASSED  ] 0 tests."')
        self.assertEqual(self.check("ops", code=1)["ops"], ("FAIL", "bin/test_backend has run no test"))

    def test_a_stage_that_does_not_end(self):
        self.program("test_kernels", 'echo "[ RUN      ] A.Hangs"; sleep 60')
        found = self.check("kernels", "ops", code=1, GPU_CHECK_SECONDS="7")
        self.assertEqual(found["kernels"][0], "TIME")
        self.assertIn("A.Hangs", found["kernels"][1])
        self.assertEqual(found["ops"], ("TIME", "not begun: 7 s were over (GPU_CHECK_SECONDS)"))

    def test_ended_early_it_says_what_there_is(self):
        self.program("test_backend", "sleep 60")
        check = subprocess.Popen([self.archive / "scripts/gpu_check.sh", "kernels", "ops"], stdout=subprocess.PIPE, text=True,
                                 env={"PATH": f"{self.path}:/usr/bin:/bin", "OUT": str(self.out)})
        self.assertIn("gpu_check.sh: A GPU", check.stdout.readline())
        self.assertIn("PASS  kernels", check.stdout.readline())
        check.terminate()
        said, _ = check.communicate(timeout=30)
        self.assertEqual(check.returncode, 1)
        self.assertIn("gpu_check.sh: 1 PASS", said)
        self.assertIn("PASS  kernels", (self.out / "summary.txt").read_text())

    def test_python_tests_that_fail(self):
        self.on_path("python3", 'case "$*" in -c*) exit 0;; esac\n'
                                'echo "FAIL: test_curve (__main__.Golden.test_curve)"; echo "AssertionError: 2 != 1"; '
                                'echo "FAILED (failures=1)"; exit 1')
        self.assertEqual(self.check("golden", code=1)["golden"], ("FAIL", "FAILED (failures=1): Golden.test_curve"))
        self.assertIn("AssertionError: 2 != 1", (self.out / "summary.txt").read_text())

    def test_other_bits_than_were_recorded(self):
        recorded = self.archive / "tests/conformance/expected.tsv"
        recorded.parent.mkdir(parents=True)
        recorded.write_text("mma\t0001\n")
        self.assertEqual(self.check("conformance")["conformance"], ("PASS", "1 instructions give the bits that were recorded"))
        recorded.write_text("mma\t0002\n")
        self.assertIn("than recorded for: mma", self.check("conformance")["conformance"][1])
        self.program("headwater_conformance", 'echo "an illegal address" >&2; exit 1')
        self.assertEqual(self.check("conformance", code=1)["conformance"],
                         ("FAIL", "headwater_conformance ended with 1: an illegal address"))

    def test_much_output_goes_to_the_log_alone(self):
        self.program("test_kernels", f'for i in {{1..20000}}; do echo "line $i of much output"; done; {FAILS}')
        self.check("kernels", code=1)
        self.assertLess((self.out / "summary.txt").stat().st_size, 10000)
        self.assertIn("line 20000 of", (self.out / "log.txt").read_text())


class Lacks(CheckTest):
    def test_no_gpu(self):
        self.program("headwater_conformance", 'echo "headwater_conformance: no GPU: none is visible" >&2; exit 77')
        found = self.check(code=77)
        for stage in STAGES[:7]:
            self.assertEqual(found[stage], ("LACKS", "a GPU that CUDA can use: no GPU: none is visible"))

    def test_a_library_for_a_program(self):
        (self.archive / "BUNDLE").write_text("program bin/test_kernels libno.so.1\nprogram bin/test_backend\n")
        found = self.check("kernels", "ops", code=77)
        self.assertEqual(found["kernels"][0], "LACKS")
        self.assertIn("libno.so.1, for bin/test_kernels", found["kernels"][1])
        self.assertEqual(found["ops"], ("LACKS", "libcuda.so.1, the GPU's driver"))

    def headwater_linked_to(self, soname, version):
        """A program that needs a library by that name, with a version of symbols; gives the library."""
        library, symbols, source = self.folder / soname, self.folder / "symbols", self.folder / "source.c"
        source.write_text("int answer(void) { return 42; }")
        symbols.write_text(f"{version} {{ global: answer; }};")
        subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library, f"-Wl,-soname,{soname}",
                        f"-Wl,--version-script={symbols}"], check=True)
        source.write_text("int answer(void); int main(void) { return answer() - 42; }")
        subprocess.run(["gcc", source, "-o", self.archive / "bin/headwater", library], check=True)
        return library

    def test_what_the_linker_misses_is_taken_from_the_archive(self):
        library = self.headwater_linked_to("libour_gomp.so.1", "GOMP_1.0")
        library.rename(self.archive / "lib/compiler" / library.name)
        (self.archive / "lib/compiler/libstdc++.so.6").touch()
        self.on_path("python3", 'case "$*" in -c*) ;; *) bin/headwater && printf "Ran 1 test in 1.0s\n\nOK\n";; esac')
        done = self.run_script(self.archive / "scripts/gpu_check.sh", "golden")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("libour_gomp.so.1 from the archive", done.stdout)
        self.assertNotIn("libstdc++.so.6 from the archive", done.stdout)

    def test_an_old_glibc(self):
        library = self.headwater_linked_to("libc_of_another_time.so", "GLIBC_2.99")
        symbols = self.folder / "symbols"
        symbols.write_text(symbols.read_text().replace("2.99", "2.98"))
        (self.folder / "source.c").write_text("int answer(void) { return 42; }")
        subprocess.run(["gcc", "-shared", "-fPIC", self.folder / "source.c", "-o", self.archive / "lib" / library.name,
                        f"-Wl,-soname,{library.name}", f"-Wl,--version-script={symbols}"], check=True)
        self.assertEqual(self.check("ops", code=77)["ops"], ("LACKS", "glibc: symbols of GLIBC_2.99"))

    def test_python(self):
        self.on_path("python3", "exit 1")
        found = self.check("ops", "golden", "bench")
        self.assertEqual(found["ops"][0], "PASS")
        for stage in ("golden", "bench"):
            self.assertEqual(found[stage], ("LACKS", "python3, 3.9 or newer, with its standard library"))


class Sanitizer(CheckTest):
    def memcheck(self, text, code):
        self.on_path("compute-sanitizer", text)
        return self.check("sanitizer", code=code)["sanitizer"]

    def test_nothing_found(self):
        self.assertEqual(self.memcheck('echo "========= ERROR SUMMARY: 0 errors"', 0),
                         ("PASS", "bin/headwater_conformance: nothing found; bin/test_kernels: nothing found"))

    def test_an_error(self):
        self.assertEqual(self.memcheck('echo "========= Invalid __global__ write of size 4 bytes"; exit 99', 1),
                         ("FAIL", "bin/headwater_conformance: ========= Invalid __global__ write of size 4 bytes"))

    def test_a_program_that_fails_under_it(self):
        word, text = self.memcheck('echo "========= Error: process didn\'t terminate successfully"; '
                                   'echo "========= ERROR SUMMARY: 0 errors"; exit 1', 1)
        self.assertEqual(word, "FAIL")
        self.assertIn("terminate successfully", text)

    def test_silence_is_no_success(self):
        self.assertEqual(self.memcheck("exit 0", 1), ("FAIL", "bin/headwater_conformance: ended with 0"))

    def test_where_it_does_not_work(self):
        word, text = self.memcheck('echo "========= Error: Device not supported. Please refer to the manual"; exit 1', 77)
        self.assertEqual(word, "LACKS")
        self.assertIn("Device not supported", text)


class Counters(CheckTest):
    LOG = 'for word in "$@"; do [[ $last != --log-file ]] || log=$word; last=$word; done\n'

    def setUp(self):
        super().setUp()
        self.on_path("python3", PYTHON.replace("-c*) exit 0", '-c*csv*) exec /usr/bin/python3 "$@" ;;\n  -c*) exit 0'))
        self.out.mkdir()
        (self.out / "results.json").write_text("{}")

    def test_kernels_are_named(self):
        self.on_path("ncu", self.LOG + 'echo "==PROF== 1" >$log; echo \'"0","1","2","3","forward_kernel"\' >>$log')
        self.assertEqual(self.check("ncu")["ncu"], ("PASS", "forward_kernel"))

    def test_without_leave(self):
        self.on_path("ncu", self.LOG + 'echo "==ERROR== ERR_NVGPUCTRPERM - The user has no permission" >$log; exit 1')
        self.assertEqual(self.check("ncu", code=77)["ncu"][0], "LACKS")

    def test_nothing_counted_is_a_failure(self):
        self.on_path("ncu", self.LOG + 'echo "==WARNING== No kernels were profiled." >$log')
        self.assertEqual(self.check("ncu", code=1)["ncu"], ("FAIL", "nothing of forward_kernel was counted; ncu ended with 0"))


class Checkout(CheckTest):
    """Where there is no archive yet, or one that is packed."""

    def setUp(self):
        super().setUp()
        self.checkout = self.folder / "checkout"
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.bundles = self.checkout / "build/gpu-bundle"

    def pack(self, architecture):
        self.bundles.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-cJf", self.bundles / f"headwater-gpu-{architecture}.tar.xz", "-C", self.folder,
                        f"--transform=s,^archive,headwater-gpu-{architecture},", "archive"], check=True)

    def in_checkout(self, *arguments, **environment):
        return self.run_script(self.checkout / "scripts/gpu_check.sh", *arguments, **environment)

    def test_it_is_unpacked_and_run(self):
        self.pack("90a")
        done = self.in_checkout("kernels")
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, "PASS +kernels")
        self.assertTrue((self.out / "summary.txt").exists())

    def test_the_gpu_chooses_among_several(self):
        self.pack("80")
        self.program("test_kernels", 'echo "[  PASSED  ] 90 tests."')
        self.pack("90a")
        for capability, tests in (("9.0", "90 tests"), ("8.0", "3 tests")):
            self.on_path("nvidia-smi", f"echo {capability}")
            self.assertIn(tests, self.in_checkout("kernels").stdout)
        self.on_path("nvidia-smi", "echo 12.0")
        done = self.in_checkout("kernels")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("this GPU is 120, and build/gpu-bundle has headwater-gpu-80.tar.xz headwater-gpu-90a.tar.xz", done.stderr)
        done = self.in_checkout("kernels", GPU_BUNDLE=str(self.bundles / "headwater-gpu-80.tar.xz"))
        self.assertIn("3 tests", done.stdout)

    def test_no_archive(self):
        done = self.in_checkout()
        self.assertEqual((done.returncode, done.stdout), (2, ""), done)
        self.assertIn("build/gpu-bundle has no archive; scripts/gpu_bundle.sh makes one", done.stderr)

    def test_unknown_words_print_the_usage(self):
        for words in (["speed"], ["collect"], ["--stage", "kernels"]):
            done = self.in_checkout(*words)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn("usage: scripts/gpu_check.sh", done.stderr)


if __name__ == "__main__":
    unittest.main()
