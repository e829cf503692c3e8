"""scripts/gpu_speed.py with a program that only says what it was asked: what is measured in which order, what becomes of
failures and of too little time; its floors, by the real program; and scripts/gpu_figures.py on what it writes.
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
HEADWATER = os.environ["HEADWATER"]
sys.path.insert(0, str(ROOT / "scripts"))
from kernel_budget import read_budget  # noqa: E402

SIZES = ("--config", "configs/tiny.json", "--head-dims", "64,32", "--sequences", "64,32", "--tokens", "128")

# Its words go to CALLS; one with FAIL_ON or SLEEP_ON in it fails, or does not end. A sample of the plan takes 1 GiB.
STUB = r'''#!/usr/bin/env python3
import json, os, sys, time
words = " ".join(sys.argv[1:])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(words + "\n")
if os.environ.get("FAIL_ON", "nothing") in words:
    sys.exit("headwater: error: " + os.environ.get("REASON", "it fails"))
if os.environ.get("SLEEP_ON", "nothing") in words and "deterministic=false" not in words:
    time.sleep(60)
if os.environ.get("BABBLE_ON", "nothing") in words:
    sys.exit(print("no JSON"))
option = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
if sys.argv[1] == "plan":
    print(json.dumps({"memory": [{"total": int(option["--training.micro_batch_size"]) << 30}]}))
elif sys.argv[2] == "ops":
    measured = {} if "--floors" in words else {"seconds": 2e-3}
    op = {"what": "", "shape": "", "flops": 1e9, "bytes": 1e6}
    ops = [{**op, "op": name, "floor_seconds": floor, **measured}
           for name, floor in (("attention", 1e-3), ("swiglu", 1e-3), ("rms_norm", 1e-4), ("linear", 1e-5))]
    print(json.dumps({"sizes": {"hidden": 128}, "dtype": "bf16", "ops": ops, "device": "A GPU of tests",
                      "measured": {"matmul_flops": 1e15, "memory_bandwidth": 2e12}}))
elif sys.argv[2] == "matmul":
    with open(option["--out"], "w") as file:
        json.dump({"products": {"a": {"rule_microseconds": 3.0, "microseconds": 2.0}}}, file)
else:
    print(json.dumps({"device": "A GPU of tests", "elapsed_ms": 7.0, "tokens_per_second": 1000.0, "mfu": 0.4,
                      "share_of_matmul": 0.5, "peak_bytes": 1 << 30}))
'''

# Stands for a Python with PyTorch: what scripts/torch_kernels.py prints of the first shape, then how it ends.
TORCH = '''#!/bin/sh
echo "torch $*" >>"$CALLS"
echo '{"name": "D 64, S 64", "torch": {"torch": "2", "cudnn": 9, "ops": [], "refused": []}}'
echo "torch_kernels.py: the reason" >&2
exit '''


class SpeedTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file, self.calls = self.folder / "results.json", self.folder / "calls"
        self.script("headwater", STUB)
        self.script("torch", TORCH + "77")
        # 3 GiB are kept; what is left holds two samples.
        self.script("nvidia-smi", '#!/bin/sh\ncase "$*" in *memory*) echo 6000;; *name*) echo NVIDIA H100 80GB HBM3;; '
                                  "*) echo 580;; esac\n")

    def script(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def speed(self, *arguments, code=0, **environment):
        """What it has written, and its last line."""
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(self.calls), **environment}
        command = [sys.executable, ROOT / "scripts/gpu_speed.py", self.file, "--headwater", self.folder / "headwater",
                   "--torch", self.folder / "torch", *SIZES]
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, code, done)
        return json.loads(self.file.read_text()), done.stdout.splitlines()[-1]

    def figures(self, *arguments, code=0):
        done = subprocess.run([sys.executable, ROOT / "scripts/gpu_figures.py", self.file, *arguments], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, code, done)
        return done.stdout.splitlines() if code == 0 else done.stderr


class Measuring(SpeedTest):
    def test_what_tells_most_comes_first(self):
        results, line = self.speed()
        self.assertEqual([entry["name"] for entry in results["ops"]], ["D 64, S 64", "D 64, S 32", "D 32, S 64", "D 32, S 32"])
        self.assertEqual([entry["name"] for entry in results["steps"]],
                         ["S 64, dropout 0", "S 32, dropout 0", "S 64, dropout 0, algorithms", "S 64, dropout 0.1",
                          "S 32, dropout 0.1", "S 32, dropout 0, the largest micro-batch: 2"])
        self.assertEqual(results["device"], "A GPU of tests")
        self.assertEqual(results["driver"], "580")
        self.assertEqual((results["failed"], results["left_out"]), ([], []))
        self.assertEqual(line, "10 results; without PyTorch: torch_kernels.py: the reason")
        calls = self.calls.read_text().splitlines()
        order = [words for words in calls if words.startswith("bench") and "--floors" not in words]
        self.assertIn("bench ops configs/tiny.json --model.kv_channels=64 --model.num_attention_heads=2 --training.seq_length=64 "
                      "--training.micro_batch_size=2 --cluster configs/clusters/h100-80gb.json", order[0])
        self.assertTrue(order[1].startswith("bench step"), order)

    def test_the_algorithms_are_read_from_where_they_were_written(self):
        results, _ = self.speed("--matmul", str(self.folder / "found.json"))
        calls = self.calls.read_text().splitlines()
        self.assertIn(f"--out={self.folder}/found.json", next(words for words in calls if "bench matmul" in words))
        self.assertEqual(sum(f"--training.matmul_algorithms={self.folder}/found.json" in words for words in calls), 1)
        # What is kept names no folder of this machine.
        self.assertIn("--training.matmul_algorithms=found.json", results["steps"][2]["arguments"])
        self.assertNotIn(str(self.folder), json.dumps(results))

    def test_a_failure_is_kept_and_the_rest_goes_on(self):
        results, line = self.speed(code=1, FAIL_ON="attention_dropout=0.1", REASON="out of memory: cuda:0 refused 7 bytes")
        failed = [entry for entry in results["steps"] if entry["step"] is None]
        self.assertEqual([entry["name"] for entry in failed], ["S 64, dropout 0.1", "S 32, dropout 0.1"])
        self.assertIn("out of memory", failed[0]["error"])
        self.assertEqual(len(results["ops"]), 4)
        self.assertIn("failed: step S 64, dropout 0.1, step S 32, dropout 0.1", line)

    def test_ops_that_fail(self):
        results, _ = self.speed(code=1, FAIL_ON="kv_channels=32")
        self.assertEqual(len(results["ops"]), 2)
        self.assertEqual([failure["name"] for failure in results["failed"]], ["ops at D 32, S 64", "ops at D 32, S 32"])

    def test_steps_are_told_where_ops_fail_everywhere(self):
        results, _ = self.speed(code=1, FAIL_ON="bench ops configs/tiny.json --model")
        self.assertEqual((results["ops"], results["device"]), ([], "A GPU of tests"))
        lines = self.figures()
        self.assertTrue(lines[0].startswith("A GPU of tests, driver 580"), lines)
        self.assertTrue(lines[1].startswith("step S 64, dropout 0: 7 ms"), lines)
        self.assertEqual(self.figures("--to-count", code=1),
                         f"gpu_figures.py: {self.file} holds the ops of no shape, of which the slowest would be counted\n")

    def test_without_algorithms_their_step_is_left_out(self):
        results, line = self.speed(code=1, FAIL_ON="bench matmul")
        self.assertEqual(results["left_out"], [{"name": "step S 64, dropout 0, algorithms",
                                                "reason": "there are no algorithms to be read"}])
        self.assertEqual(results["steps"][2]["error"], "there are no algorithms to be read")
        self.assertIn("; there are no algorithms to be read: step S 64, dropout 0, algorithms;", line)

    def torch_calls(self):
        return [words for words in self.calls.read_text().splitlines() if words.startswith("torch ")]

    def test_pytorch_is_looked_for_once(self):
        results, _ = self.speed()
        self.assertEqual(len(self.torch_calls()), 1)
        self.assertEqual(results["without_torch"], "torch_kernels.py: the reason")

    def test_pytorch_measures_what_has_come_since_and_then_compiles(self):
        self.script("torch", TORCH + "0")
        results, line = self.speed()
        self.assertEqual(self.torch_calls(), 2 * [f"torch {ROOT}/scripts/torch_kernels.py {self.file}"]
                         + [f"torch {ROOT}/scripts/torch_kernels.py {self.file} --compiled"])
        self.assertEqual([entry["name"] for entry in results["torch"]], ["D 64, S 64"])
        self.assertEqual(line, "10 results")

    def test_pytorch_that_ends_badly_is_no_failure_of_ours(self):
        self.script("torch", TORCH + "1")
        results, line = self.speed()
        self.assertEqual({entry["reason"] for entry in results["left_out"]}, {"torch_kernels.py: the reason"})
        self.assertIn("; torch_kernels.py: the reason: PyTorch's kernels; PyTorch's kernels; PyTorch's compiler", line)
        self.assertEqual(results["without_torch"], "")

    def test_time_cuts_the_tail(self):
        names = ["ops at D 64, S 64", "step S 64, dropout 0", "step S 32, dropout 0", "ops at D 64, S 32", "ops at D 32, S 64",
                 "PyTorch's kernels", "algorithms of products", "step S 64, dropout 0, algorithms", "step S 64, dropout 0.1",
                 "step S 32, dropout 0.1", "ops at D 32, S 32", "the largest micro-batch"]
        results, line = self.speed("--seconds", "8", SLEEP_ON="attention_dropout=0.1")
        left_out = [entry["name"] for entry in results["left_out"]]
        self.assertGreaterEqual(len(left_out), 4)  # and more on a busy machine
        self.assertEqual(left_out, names[-len(left_out):])
        cut = next(entry for entry in results["steps"] if entry["name"] == "S 64, dropout 0.1")
        self.assertEqual((cut["step"], cut["error"]), (None, "the time did not allow it"))
        self.assertIn("; the time did not allow it: ", line)
        self.assertFalse(self.file.with_name("results.json.new").exists())

    def test_a_bench_that_hangs_is_tried_without_order_and_so_is_what_follows(self):
        results, line = self.speed("--most-seconds", "2", code=1, SLEEP_ON="bench step")
        unordered = "bench step did not end in 2 s with them in order"
        self.assertEqual(results["failed"], [{"name": "gradients in order", "error": unordered}])
        self.assertEqual((results["unordered"], results["left_out"]), (unordered, []))
        self.assertIn("failed: gradients in order", line)
        benches = [words for words in self.calls.read_text().splitlines() if words.startswith(("bench ops", "bench step"))]
        self.assertEqual(["deterministic=false" in words for words in benches if "--floors" not in words],
                         [False, False] + [True] * (len(benches) - 3))
        self.assertIn(f"; attention's gradients in no order: {unordered}", self.figures()[0])
        self.assertTrue(self.figures("--to-count")[1].endswith(" --training.deterministic=false"))
        self.assertEqual(len(results["steps"]), 6)

    def test_what_the_check_has_found_before_is_known(self):
        results, _ = self.speed(GPU_CHECK_UNORDERED="the reason")
        self.assertEqual(results["unordered"], "the reason")

    def test_a_bench_that_hangs_all_the_same_is_a_failure(self):
        self.script("headwater", STUB.replace(' and "deterministic=false" not in words', ""))
        results, _ = self.speed("--most-seconds", "1", code=1, SLEEP_ON="attention_dropout=0.1")
        self.assertEqual([(failure["name"], failure["error"]) for failure in results["failed"]],
                         [(f"step S {s}, dropout 0.1", "it did not end in 1 s") for s in (64, 32)])
        self.assertEqual((len(results["ops"]), results["unordered"]), (4, ""))

    def test_what_is_no_json_is_a_failure_of_one_measurement(self):
        self.script("torch", TORCH.replace("echo '{", "echo a warning\necho '{") + "0")
        results, _ = self.speed(code=1, BABBLE_ON="attention_dropout=0.1")
        self.assertEqual([failure["name"] for failure in results["failed"]],
                         ["step S 64, dropout 0.1", "step S 32, dropout 0.1"])
        self.assertRegex(results["failed"][0]["error"], "^JSONDecodeError: ")
        self.assertEqual((len(results["ops"]), len(results["torch"])), (4, 1))

    def test_nothing_measured_is_a_failure(self):
        results, line = self.speed("--seconds", "1", code=1)
        self.assertEqual((results["device"], results["failed"]), (None, []))
        self.assertTrue(line.startswith("0 results; the time did not allow it: "), line)

    def test_the_largest_micro_batch_goes_down_where_the_plan_was_wrong(self):
        results, _ = self.speed(FAIL_ON="micro_batch_size=2 --training.global_batch_size=4 ", REASON="out of memory")
        self.assertEqual([(entry["name"], entry["error"]) for entry in results["steps"][5:]],
                         [("S 32, dropout 0, the largest micro-batch: 2", "headwater: error: out of memory"),
                          ("S 32, dropout 0, the largest micro-batch: 1", "")])

    def test_without_nvidia_smi_nobody_knows_the_memory(self):
        self.script("nvidia-smi", "#!/bin/sh\nexit 1\n")
        results, _ = self.speed()
        self.assertEqual(results["left_out"], [{"name": "the largest micro-batch",
                                                "reason": "nvidia-smi does not say how much memory there is"}])
        self.assertNotIn("--cluster", results["ops"][0]["arguments"])

    def test_losses_of_the_training_come_along(self):
        training = self.folder / "training.json"
        training.write_text('{"losses": [5.0, 4.001], "cpu": [5.0, 4.0]}')
        results, _ = self.speed("--training", str(training))
        self.assertEqual(results["training"]["cpu"], [5.0, 4.0])
        self.assertIn("training: loss 5.0000 to 4.0010; from the CPU's it differs by 2.5e-04 of it at most", self.figures())
        training.write_text('{"losses": [5.0')
        results, _ = self.speed("--training", str(training), code=1)
        self.assertIsNone(results["training"])
        self.assertEqual([failure["name"] for failure in results["failed"]], ["the small training"])
        self.assertEqual(len(results["ops"]), 4)


class Figures(SpeedTest):
    def test_main_figures(self):
        self.speed()
        results = json.loads(self.file.read_text())
        results["torch"] = [{"name": "D 64, S 64", "torch": {"ops": [
            {"op": "attention", "what": "", "peer": "cuDNN", "seconds": 1e-3}], "refused": []}}]
        self.file.write_text(json.dumps(results))
        lines = self.figures()
        self.assertIn("products 1000 TFLOP/s, copies 2.00 TB/s", lines[0])
        self.assertIn("step S 64, dropout 0: 7 ms, 1,000 tokens/s, MFU 40.0 %, 50 % of products, arena 1.0 GiB", lines)
        self.assertIn("D 64, S 64: attention 2.00 ms, 0 TFLOP/s; cuDNN 1.00", lines)
        self.assertIn("share of the floor: linear 0 %, rms_norm 5 %, swiglu 50 %", lines)
        self.assertIn("products, each once: 3 us by the library's rule, 2 us by the fastest algorithms", lines)

    def test_kernels_that_are_worth_counting(self):
        self.speed()
        kernels, arguments = self.figures("--to-count")
        self.assertTrue(kernels.endswith("|rms_norm_kernel|swiglu_kernel"), kernels)
        self.assertTrue(arguments.startswith("configs/tiny.json --model.kv_channels=64"), arguments)
        self.assertTrue(arguments.endswith("--training.device=cuda"), arguments)

    def test_each_kernel_is_in_the_budget(self):
        _, budget = read_budget()
        names = {kernel.split("<")[0] for _, kernel, _ in budget}
        self.speed()
        for name in self.figures("--to-count")[0].split("|"):
            self.assertIn(name, names)
        self.assertIn("forward_kernel", names)


class Refusals(SpeedTest):
    def refusal(self, *command):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done)
        return done.stderr

    def test_a_program_that_is_not_there(self):
        said = self.refusal(ROOT / "scripts/gpu_speed.py", self.file, "--headwater", "/none")
        self.assertEqual(said, "gpu_speed.py: /none: No such file or directory; scripts/build.sh makes it, --headwater says "
                               "where it is\n")
        said = self.refusal(ROOT / "scripts/gpu_speed.py", self.file, "--headwater", shutil.which("true"))
        self.assertIn("bench ops --json printed no JSON; --headwater says where the program is", said)

    def test_results_that_cannot_be_read(self):
        for script, keys in (("gpu_figures.py", "no device and no ops and"), ("torch_kernels.py", "no ops and no torch;")):
            command = (ROOT / "scripts" / script, self.file)
            self.file.unlink(missing_ok=True)
            self.assertEqual(self.refusal(*command), f"{script}: {self.file}: No such file or directory; scripts/gpu_speed.py "
                                                     "leaves such a file\n")
            self.file.write_text('{"device": ')
            self.assertIn(f"{script}: {self.file} is no whole JSON (Expecting value: ", self.refusal(*command))
            for text in ("{}", "[1]"):
                self.file.write_text(text)
                self.assertIn(f"{script}: {self.file} has {keys}", self.refusal(*command))


class Floors(SpeedTest):
    def test_the_same_file_without_a_device(self):
        done = subprocess.run([sys.executable, ROOT / "scripts/gpu_speed.py", "--headwater", HEADWATER, "--floors",
                               ROOT / "configs/clusters/h100-80gb.json"], capture_output=True, text=True, timeout=100)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.file.write_text(done.stdout)
        results = json.loads(done.stdout)
        self.assertIsNone(results["device"])
        self.assertEqual([entry["name"] for entry in results["ops"]], [f"D {d}, S {s}" for d, s in (
            (64, 8192), (64, 4096), (128, 8192), (96, 8192), (128, 4096), (96, 4096))])
        for entry in results["ops"]:
            sizes = entry["bench"]["sizes"]
            self.assertEqual(f"D {sizes['head_dim']}, S {sizes['sequence']}", entry["name"])
            self.assertEqual(sizes["samples"] * sizes["sequence"], 16384)
            self.assertLess(abs(sizes["heads"] * sizes["head_dim"] - sizes["hidden"]), sizes["head_dim"])
            self.assertNotIn("seconds", entry["bench"]["ops"][0])
        self.assertEqual([entry["name"] for entry in results["steps"]],
                         [f"S {s}, dropout {p}" for p in (0, 0.1) for s in (8192, 4096)])
        self.assertIn("says of no device", self.figures(code=1))


if __name__ == "__main__":
    unittest.main()
