"""scripts/gpu_check.sh on a made-up archive whose programs are stubs: what each stage says of a program that passes, fails,
hangs or cannot start, what keeps which from running, and what comes back.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
# What the script finds on a host, beside what a test puts there: no tool of CUDA's, no MPI.
TOOLS = ("bash", "cat", "chmod", "cmp", "comm", "cp", "cut", "dirname", "env", "grep", "head", "ln", "mkdir", "mktemp", "mv",
         "paste", "realpath", "rm", "sed", "setsid", "sleep", "sort", "stat", "tail", "tar", "tee", "timeout", "tr", "uniq",
         "wc", "xz")
STAGES = ("conformance", "ordered", "kernels", "ops", "golden", "training", "resume", "bench", "sanitizer", "ncu")

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


def lives(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


class CheckTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.archive, self.out, self.path = (self.folder / name for name in ("archive", "out", "path"))
        self.process, self.temporary = self.folder / "process", self.folder / "temporary"
        tools = self.folder / "tools"
        for folder in (tools, self.temporary, self.folder / "root"):
            folder.mkdir()
        for name in TOOLS:
            (tools / name).symlink_to(shutil.which(name))
        self.environment = {"PATH": f"{self.path}:{tools}", "OUT": str(self.out), "TMPDIR": str(self.temporary),
                            "GPU_CHECK_ROOT": str(self.folder / "root")}
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
        return subprocess.run([script, *arguments], env={**self.environment, **environment}, capture_output=True, text=True,
                              timeout=120)

    def that_waits(self):
        """A line of a program that leaves its number in a file, and then does nothing for long."""
        return f"echo $$ >{self.process}.new; mv {self.process}.new {self.process}; exec sleep 1000"

    def end_early(self, script, *stages):
        """Ends the script when that program waits: what it said, after all that it has started has ended too."""
        check = subprocess.Popen([script, *stages], stdout=subprocess.PIPE, text=True, env=self.environment)
        while not self.process.exists():
            self.assertIsNone(check.poll(), "it has ended by itself")
            time.sleep(0.05)
        process = self.process.read_text().strip()
        self.assertTrue(lives(process))
        check.terminate()
        said, _ = check.communicate(timeout=60)
        self.assertEqual(check.returncode, 1, said)
        self.assertFalse(lives(process), "what it has started goes on")
        self.assertEqual(list(self.temporary.iterdir()), [])
        return said

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
        summary = (self.out / "summary.txt").read_text()
        self.assertTrue(summary.startswith("gpu_check.sh: A GPU, 1.0, architecture 90a, commit abc\n"), summary)
        self.assertIn("D 64: 3 ms", summary)

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
        found = self.check("kernels", "ops", code=1, GPU_CHECK_SECONDS="15")
        self.assertEqual(found["kernels"][0], "TIME")
        self.assertIn("A.Hangs", found["kernels"][1])
        self.assertEqual(found["ops"], ("TIME", "not begun: 15 s were over (GPU_CHECK_SECONDS)"))

    def test_sums_in_order_that_do_not_end_are_not_waited_for_again(self):
        name = "AttentionBackward.OnTensorCores"
        hangs = f'case "$*" in *={name}:*) echo "[ RUN      ] {name}"; sleep 60;; esac'
        asked = self.folder / "asked"
        self.program("test_backend", f'echo "$*" >{asked}\n{PASSES}')
        self.program("headwater", f'echo "$*" >>{asked}')
        self.on_path("python3", PYTHON.replace("*Training)", '*Training) "$HEADWATER" train config.json;'))
        self.assertEqual(self.check("ordered", "kernels", "ops", "training")["ordered"], ("PASS", "3 tests"))
        self.assertEqual(asked.read_text(), "--gtest_filter=*cuda_*\ntrain config.json\n")
        self.program("test_kernels", f'{hangs}\n{PASSES}')
        found = self.check("ordered", "kernels", "ops", "training", code=1, GPU_CHECK_SECONDS="40")
        self.assertEqual(found["ordered"][0], "TIME")
        self.assertIn(name, found["ordered"][1])
        self.assertEqual([found[stage][0] for stage in ("kernels", "ops", "training")], ["PASS"] * 3)
        self.assertEqual(asked.read_text(), "--gtest_filter=*cuda_*-*cuda_bf16_attention_backward\n"
                                            "train config.json --training.deterministic=false\n")

    def test_what_a_stage_has_started_ends_with_it(self):
        self.program("test_kernels", f"timeout 1000 sleep 1000 >/dev/null 2>&1 & echo $! >{self.process}\n{PASSES}")
        self.assertEqual(self.check("kernels")["kernels"][0], "PASS")
        self.assertFalse(lives(self.process.read_text().strip()))

    def test_ended_early_it_says_what_there_is(self):
        self.program("test_backend", self.that_waits())
        said = self.end_early(self.archive / "scripts/gpu_check.sh", "kernels", "ops", "golden")
        self.assertIn("gpu_check.sh: A GPU", said)
        self.assertIn("gpu_check.sh: 1 PASS, 2 TIME", said)
        summary = (self.out / "summary.txt").read_text()
        self.assertIn("PASS  kernels", summary)
        for stage in ("ops", "golden"):
            self.assertRegex(summary, f"TIME  {stage} .* gpu_check.sh was ended before its end")

    def test_killed_it_leaves_what_there_was(self):
        self.program("test_backend", self.that_waits())
        check = subprocess.Popen([self.archive / "scripts/gpu_check.sh", "kernels", "ops"], env=self.environment,
                                 stdout=subprocess.DEVNULL)
        while not self.process.exists():
            time.sleep(0.05)
        check.kill()
        check.wait()
        os.kill(int(self.process.read_text()), signal.SIGKILL)
        self.assertIn("PASS  kernels", (self.out / "summary.txt").read_text())

    def test_whoever_reads_may_go(self):
        subprocess.run(f"{self.archive}/scripts/gpu_check.sh kernels ops | true", shell=True, env=self.environment,
                       executable="/bin/bash", timeout=60)
        self.assertRegex((self.out / "summary.txt").read_text(), "(?s)PASS  kernels .*PASS  ops .*: 2 PASS")

    def test_limits_that_are_no_numbers(self):
        for name, value in (("GPU_CHECK_PATIENCE", "1.5"), ("GPU_CHECK_SECONDS", "0")):
            done = self.run_script(self.archive / "scripts/gpu_check.sh", **{name: value})
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(f"are whole numbers from 1, not {value}\n", done.stderr)

    def test_ended_early_in_a_time_limit_of_its_own(self):
        """A test that is run again has one, and what the sanitizer starts."""
        self.program("test_kernels", FAILS.replace('echo "alone again"; exit 1', self.that_waits()))
        self.end_early(self.archive / "scripts/gpu_check.sh", "kernels")
        self.process.unlink()
        self.program("headwater_conformance", f'[[ -z $WATCHED ]] || {{ {self.that_waits()}; }}')
        self.on_path("compute-sanitizer", 'while [[ $1 != ./bin/* ]]; do shift; done; WATCHED=yes "$@" & wait')
        self.end_early(self.archive / "scripts/gpu_check.sh", "sanitizer")

    def test_ended_early_while_it_looks_for_a_gpu(self):
        self.program("headwater_conformance", self.that_waits())
        self.assertIn("gpu_check.sh: A GPU", self.end_early(self.archive / "scripts/gpu_check.sh", "kernels"))

    def test_what_an_earlier_run_has_left_is_not_this_ones(self):
        files = {"conformance.tsv", "results.json", "matmul.json", "sanitizer.log", "ncu.csv"}
        self.out.mkdir()
        for name in files:
            (self.out / name).write_text("old")
        self.check("kernels")
        self.assertEqual({name for name in files if (self.out / name).exists()}, files)
        self.program("headwater_conformance", "exit 77")
        self.check(code=77)
        self.assertEqual(sorted(file.name for file in self.out.iterdir()), ["log.txt", "summary.txt"])

    def test_figures_that_there_are_not(self):
        self.on_path("python3", """case "$*" in -c*) ;;
          *gpu_figures.py*) echo "gpu_figures.py: no device" >&2; exit 1 ;;
          *) echo "0 results; failed: ops"; exit 1 ;; esac""")
        self.assertEqual(self.check("bench", code=1)["bench"], ("FAIL", "0 results; failed: ops"))
        self.assertIn("-- bench\ngpu_figures.py: no device\n", (self.out / "summary.txt").read_text())

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

    def test_where_all_fails_at_length_no_stage_is_lost(self):
        long = "x" * 400
        lines = f'for i in {{1..20}}; do echo "LINE $i of {long}"; done; '
        tests = lines + f'echo "[  FAILED  ] A.{long} (1 ms)"; exit 1'
        for name in ("test_conformance", "test_kernels", "test_backend"):
            self.program(name, tests)
        self.program("../bin-nccl/headwater", "exit 0")
        self.on_path("mpirun", "exit 0")
        self.on_path("nvidia-smi", 'case "$*" in *name*) echo "A GPU, 1.0";; -L) echo 1; echo 2;; esac')
        failed = lines.replace("LINE", "AssertionError: LINE") + f"echo FAILED {long}; exit 1"
        self.on_path("python3", 'case "$*" in -c*) ;; *--to-count) echo k; echo c ;; '
                                f"*gpu_figures*) {lines} ;; *) {failed} ;; esac")
        self.on_path("compute-sanitizer", lines.replace("LINE", "========= Invalid LINE") + "exit 99")
        self.on_path("ncu", Counters.LOG + f'{{ {lines} }} >"$log"; exit 1')
        stages = (*STAGES[:6], "ranks", *STAGES[6:])
        done = self.run_script(self.archive / "scripts/gpu_check.sh", *stages)
        summary = (self.out / "summary.txt").read_bytes()
        self.assertTrue(done.stdout.encode()[-10000:].endswith(summary), len(summary))
        noted = re.findall(r"(?m)^-- (\w+)\n.*LINE \d+ of x{100}", summary.decode())
        self.assertEqual(tuple(noted), stages)
        self.assertEqual(tuple(re.findall(r"(?m)^FAIL +(\w+) ", summary.decode())), stages)


class Tools(CheckTest):
    def test_a_toolkit_beside_the_path(self):
        says = 'echo "========= ERROR SUMMARY: 0 errors"'
        self.script(self.folder / "root/usr/local/cuda-13/compute-sanitizer/compute-sanitizer", says)
        self.assertEqual(self.check("sanitizer")["sanitizer"][0], "PASS")

    def test_an_old_processor(self):
        cpuinfo = self.folder / "root/proc/cpuinfo"
        cpuinfo.parent.mkdir()
        for flags, code in (("fpu avx", 77), ("fpu avx avx2", 0)):
            cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
            found = self.check("kernels", code=code)["kernels"]
            self.assertEqual(found, ("LACKS", "a processor with AVX2") if code else ("PASS", "3 tests"))


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


class Ranks(CheckTest):
    def setUp(self):
        super().setUp()
        self.program("../bin-nccl/headwater", "exit 0")
        self.on_path("mpirun", "exit 0")
        self.on_path("nvidia-smi", 'case "$*" in *name*) echo "A GPU, 1.0";; -L) echo "GPU 0"; echo "GPU 1";; esac')

    def test_they_pass(self):
        self.on_path("python3", 'case "$*" in -c*) ;; *ranks_full_test.py*) '
                                '[[ $HEADWATER == bin-nccl/headwater ]] && printf "Ran 7 tests in 1.0s\n\nOK\n";; esac')
        self.assertEqual(self.check("ranks")["ranks"], ("PASS", "7 tests"))

    def test_they_are_among_all_where_their_program_is(self):
        done = self.run_script(self.archive / "scripts/gpu_check.sh")
        self.assertRegex(done.stdout, r"PASS  resume .*\nPASS  ranks .*\nPASS  bench ")

    def test_without_their_program(self):
        shutil.rmtree(self.archive / "bin-nccl")
        self.assertEqual(self.check("ranks", code=77)["ranks"],
                         ("LACKS", "programs with NCCL: scripts/gpu_bundle.sh --nccl carries them"))

    def test_without_nccl(self):
        with open(self.archive / "BUNDLE", "a") as bundle:
            bundle.write("program bin-nccl/headwater libno_nccl.so.2\n")
        self.assertIn("libno_nccl.so.2, for bin-nccl/headwater", self.check("ranks", code=77)["ranks"][1])

    def test_without_mpirun(self):
        (self.path / "mpirun").unlink()
        self.assertEqual(self.check("ranks", code=77)["ranks"], ("LACKS", "mpirun"))

    def test_with_one_gpu(self):
        self.on_path("nvidia-smi", 'case "$*" in *name*) echo "A GPU, 1.0";; -L) echo "GPU 0";; esac')
        self.assertEqual(self.check("ranks", code=77)["ranks"], ("LACKS", "a second GPU"))


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
        self.on_path("python3", PYTHON.replace("-c*) exit 0", f'-c*csv*) exec {sys.executable} "$@" ;;\n  -c*) exit 0'))
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

    def test_ended_early_it_leaves_nothing(self):
        self.program("test_backend", self.that_waits())
        self.pack("90a")
        said = self.end_early(self.checkout / "scripts/gpu_check.sh", "kernels", "ops")
        self.assertIn("gpu_check.sh: 1 PASS", said)
        self.assertIn("PASS  kernels", (self.out / "summary.txt").read_text())

    def test_it_is_unpacked_and_run(self):
        self.pack("90a")
        done = self.in_checkout("kernels")
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, "PASS +kernels")
        self.assertTrue((self.out / "summary.txt").exists())
        self.assertEqual(list(self.temporary.iterdir()), [])

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

    def test_the_emulated_archive_is_no_choice_beside_a_gpus(self):
        self.pack("emulated")
        self.program("test_kernels", 'echo "[  PASSED  ] 90 tests."')
        self.pack("90a")
        self.on_path("nvidia-smi", "exit 1")
        self.assertIn("90 tests", self.in_checkout("kernels").stdout)

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
