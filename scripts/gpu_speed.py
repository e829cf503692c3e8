#!/usr/bin/env python3
"""Measures what docs/benchmarks/gpu-kernels.md shows: ops at several head sizes and lengths, training steps with and without
dropout and with the algorithms that `bench matmul` found, the largest micro-batch that fits, and PyTorch's kernels. What tells
most comes first, each result is in the file as soon as it is there, and what the time does not allow is named there.

usage: gpu_speed.py RESULTS.json [--seconds N] [...]          measures on the GPU of this host
       gpu_speed.py --floors CLUSTER.json > RESULTS.json      the same file for a device that is not here

Exit 1 where a measurement failed; that PyTorch or time is lacking is no failure. RESULTS.json, which gpu_figures.py reads:

  device, driver, cuda, git    of what; device is null where nothing was measured
  ops        [{name, arguments, bench}]          `headwater bench ops ARGUMENTS --json`
  torch      [{name, torch}]                     scripts/torch_kernels.py, at the shapes of the ops of that name
  steps      [{name, arguments, step, error}]    `headwater bench step ARGUMENTS --json`; null and why where it failed
  matmul     what `headwater bench matmul --out` wrote, or null
  training   {losses, cpu}: of the small training beside the CPU's, or null
  failed     [{name, error}]: measurements that ended badly
  left_out   [{name, reason}]: what was not measured and has not failed; most often the time did not allow it
  unordered  why attention's gradients were added in no order (--training.deterministic=false); empty where they were in order
  without_torch    why PyTorch is not there; empty where it is, or where nobody has looked
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gpu_results
import torch_kernels
from gpu_names import KINDS

ROOT = Path(__file__).resolve().parent.parent
MICRO_BATCHES, STEPS = 4, 1  # of a step; `bench step` takes two before, and one more op by op
LEAST_SECONDS = 5  # with less nothing is begun
NO_TIME = "the time did not allow it"
RESERVE = 3 << 30  # bytes of a GPU that are not the arena's: CUDA itself, graphs, cuBLAS


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?")
    parser.add_argument("--floors", type=Path, metavar="CLUSTER.json")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--headwater", type=program, default=str(ROOT / "build/release/headwater"), help="the program")
    parser.add_argument("--matmul", type=Path, help="where the algorithms of products go (matmul.json beside the results)")
    parser.add_argument("--training", type=Path, help="file with the losses of the small training")
    parser.add_argument("--torch", type=program, metavar="PYTHON", help="one that may have PyTorch; looked for unless said")
    parser.add_argument("--most-seconds", type=int, default=45, help="of a bench; what takes longer hangs")
    parser.add_argument("--config", default="configs/yuan2-2.1b.json")
    parser.add_argument("--head-dims", type=whole_numbers, default=[64, 128, 96], help="the first tells most")
    parser.add_argument("--sequences", type=whole_numbers, default=[8192, 4096], help="likewise")
    parser.add_argument("--tokens", type=int, default=16384, help="of a micro-batch")
    options = parser.parse_args()
    if (options.results is None) == (options.floors is None):
        parser.error("either RESULTS.json, where the results go, or --floors")
    return options


def program(name):
    """By its full name: commands run in the folder that has the configs."""
    return str(Path(name).resolve()) if "/" in name else name


def whole_numbers(text):
    return [int(word) for word in text.split(",")]


# ---- what is measured ----


class Shapes:
    """The arguments of `bench ops`, `bench step` and `bench matmul`."""

    def __init__(self, options, hidden):
        self.config, self.tokens, self.hidden = options.config, options.tokens, hidden

    def batch(self, sequence, micro_batch=None):
        return [f"--training.seq_length={sequence}", f"--training.micro_batch_size={micro_batch or self.tokens // sequence}"]

    def ops(self, head_dim, sequence):
        """The heads that are nearest to the hidden size together."""
        return [self.config, f"--model.kv_channels={head_dim}", f"--model.num_attention_heads={round(self.hidden / head_dim)}",
                *self.batch(sequence)]

    def step(self, sequence, dropout, micro_batch=None, micro_batches=MICRO_BATCHES):
        micro_batch = micro_batch or self.tokens // sequence
        return [self.config, "--parallel.recompute=none", *self.batch(sequence, micro_batch),
                f"--training.global_batch_size={micro_batch * micro_batches}", f"--model.attention_dropout={dropout:g}"]


def ops_name(head_dim, sequence):
    return f"D {head_dim}, S {sequence}"


def step_name(sequence, dropout):
    return f"S {sequence}, dropout {dropout:g}"


def in_order(run, head_dims, sequences):
    """Calls of `run`, what tells most first."""
    (head_dim, *head_dims), (sequence, *others) = head_dims, sequences
    run.ops(head_dim, sequence)
    for s in sequences:
        run.step(step_name(s, 0), run.shapes.step(s, 0))
    for d, s in [*((head_dim, s) for s in others), *((d, sequence) for d in head_dims)]:
        run.ops(d, s)
    run.torch()
    run.matmul(run.shapes.step(sequence, 0))
    run.step(f"{step_name(sequence, 0)}, algorithms", run.shapes.step(sequence, 0), algorithms=True)
    for s in sequences:
        run.step(step_name(s, 0.1), run.shapes.step(s, 0.1))
    for d in head_dims:
        for s in others:
            run.ops(d, s)
    run.torch()
    run.torch(compiled=True)
    run.largest(sequences[-1])


# ---- measuring ----


class LeftOut(Exception):
    """Something was not measured, and that is no failure."""


class Failed(Exception):
    """A command ended badly."""


class Hung(Failed):
    """A command did not end."""


def cluster_of(device):
    """The cluster file of a device, where one is known to have its figures."""
    return ROOT / f"configs/clusters/{KINDS[device]}.json" if device in KINDS else None


def nvidia_smi(what):
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"], capture_output=True,
                              text=True)
    except OSError:
        return ""
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else ""


def stated(key):
    """A line of the archive's BUNDLE."""
    bundle = ROOT / "BUNDLE"
    lines = bundle.read_text(encoding="utf-8").splitlines() if bundle.exists() else []
    return next((line.removeprefix(key + " ") for line in lines if line.startswith(key + " ")), "")


def commit():
    if (ROOT / "BUNDLE").exists():
        return stated("commit")
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return done.stdout.strip()


class Measuring:
    def __init__(self, options):
        self.file, self.headwater, self.most_seconds = options.results, options.headwater, options.most_seconds
        self.deadline = time.monotonic() + options.seconds
        self.algorithms = (options.matmul or options.results.with_name("matmul.json")).resolve()
        self.cluster = cluster_of(nvidia_smi("name"))
        self.torch_python = options.torch
        self.results = {"device": None, "driver": nvidia_smi("driver_version"), "cuda": stated("cuda"), "git": commit(),
                        "ops": [], "torch": [], "steps": [], "matmul": None, "training": None,
                        "failed": [], "without_torch": "", "left_out": [],
                        "unordered": os.environ.get("GPU_CHECK_UNORDERED", "")}
        if options.training:
            self.named("the small training", lambda: self.take_training(options.training))
        self.shapes = Shapes(options, hidden_size(options))

    def take_training(self, file):
        try:
            self.results["training"] = gpu_results.read(file, "losses", "cpu")
        except gpu_results.Unreadable as error:
            raise Failed(str(error)) from None

    def left(self):
        return self.deadline - time.monotonic()

    def write(self):
        """So that a reader, and whoever ends this process, finds the whole of it or what was there before."""
        new = self.file.with_name(self.file.name + ".new")
        new.write_text(text_of(self.results), encoding="utf-8")
        os.replace(new, self.file)

    def run(self, command, most=None, **options):
        most = most or self.most_seconds
        if self.left() < LEAST_SECONDS:
            raise LeftOut(NO_TIME)
        try:
            return subprocess.run(command, text=True, timeout=min(self.left(), most, 1e6), **options)
        except subprocess.TimeoutExpired:
            if self.left() > 0:
                raise Hung(f"it did not end in {most} s") from None
            raise LeftOut(NO_TIME) from None
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None

    def output_of(self, command):
        done = self.run(command, cwd=ROOT, capture_output=True)
        if done.returncode != 0:
            raise Failed(last_line(done.stderr) or f"ended with {done.returncode}")
        return done.stdout

    def bench(self, what, arguments):
        command = [self.headwater, "bench", what, *arguments, "--training.device=cuda", "--json"]
        unordered = ["--training.deterministic=false"] if self.results["unordered"] else []
        try:
            output = self.output_of([*command, *unordered])
        except Hung:
            if unordered:
                raise
            # Where gradients are added in order blocks wait for each other. That, or not: all that follows does without.
            output = self.output_of([*command, "--training.deterministic=false"])
            self.results["unordered"] = f"bench {what} did not end in {self.most_seconds} s with them in order"
            self.results["failed"].append({"name": "gradients in order", "error": self.results["unordered"]})
        found = json.loads(output)
        self.results["device"] = found["device"]
        return found

    def named(self, name, measure):
        """One measurement, which may say what became of it; whatever that is, the next may follow."""
        begin = time.monotonic()
        try:
            word = measure() or "measured"
        except LeftOut as reason:
            self.results["left_out"].append({"name": name, "reason": str(reason)})
            word = str(reason)
        except (Failed, ValueError, LookupError, TypeError, OSError) as error:  # a program that says what it should not, too
            reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
            self.results["failed"].append({"name": name, "error": reason})
            word = f"failed: {reason}"
        print(f"{name}: {word} ({time.monotonic() - begin:.1f} s)", flush=True)
        self.write()

    # ---- what in_order() calls ----

    def ops(self, head_dim, sequence):
        name, arguments = ops_name(head_dim, sequence), self.shapes.ops(head_dim, sequence)
        stated_floors = ["--cluster", str(self.cluster.relative_to(ROOT))] if self.cluster else []

        def measure():
            bench = self.bench("ops", [*arguments, *stated_floors])
            self.results["ops"].append({"name": name, "arguments": [*arguments, *stated_floors], "bench": bench})

        self.named(f"ops at {name}", measure)

    def step(self, name, arguments, algorithms=False):
        entry = {"name": name, "arguments": [*arguments, "--steps", str(STEPS)], "step": None, "error": ""}
        given = []
        if algorithms:
            given = [f"--training.matmul_algorithms={self.algorithms}"]
            entry["arguments"].append(f"--training.matmul_algorithms={self.algorithms.name}")
        self.results["steps"].append(entry)

        def measure():
            try:
                if algorithms and self.results["matmul"] is None:
                    raise LeftOut("there are no algorithms to be read")
                entry["step"] = self.bench("step", [*arguments, "--steps", str(STEPS), *given])
            except (LeftOut, Failed) as error:
                entry["error"] = str(error)
                raise

        self.named(f"step {name}", measure)

    def largest(self, sequence):
        """The most samples of that length that the planner finds room for; fewer where they do not fit after all."""
        def measure():
            memory = nvidia_smi("memory.total")
            if not memory.isdigit():
                raise LeftOut("nvidia-smi does not say how much memory there is")
            room = int(memory) * (1 << 20) - RESERVE
            most = self.largest_planned(sequence, room)
            if most == 0:
                raise Failed(f"the plan finds no room for a sample of {sequence} tokens in {room} bytes")
            for micro_batch in range(most, max(most - 3, 0), -1):
                arguments = self.shapes.step(sequence, 0, micro_batch, 2)
                entry = {"name": f"{step_name(sequence, 0)}, the largest micro-batch: {micro_batch}",
                         "arguments": [*arguments, "--steps", str(STEPS)], "step": None, "error": ""}
                try:
                    entry["step"] = self.bench("step", [*arguments, "--steps", str(STEPS)])
                    self.results["steps"].append(entry)
                    return
                except Failed as error:
                    entry["error"] = str(error)
                    self.results["steps"].append(entry)
                    if "out of memory" not in str(error):
                        raise
            raise Failed(f"{most} samples and two less did not fit, though the plan has room for them")

        self.named("the largest micro-batch", measure)

    def largest_planned(self, sequence, room):
        """Memory grows by the same for each sample, or nearly so: from one and two follows a guess."""
        def planned(micro_batch):
            cluster = str(self.cluster or any_cluster())
            plan = json.loads(self.output_of([self.headwater, "plan", *self.shapes.step(sequence, 0, micro_batch, 1),
                                              "--cluster", cluster, "--ranks", "1", "--json"]))
            return max(rank["total"] for rank in plan["memory"])

        one = planned(1)
        most = max(0, 1 + (room - one) // max(1, planned(2) - one))
        while most > 0 and planned(most) > room:
            most -= 1
        return most

    def matmul(self, arguments):
        def measure():
            self.output_of([self.headwater, "bench", "matmul", *arguments, "--training.device=cuda",
                            f"--out={self.algorithms}"])
            self.results["matmul"] = json.loads(self.algorithms.read_text(encoding="utf-8"))

        self.named("algorithms of products", measure)

    def torch(self, compiled=False):
        """Of all ops that have none yet; what keeps it from being measured is no failure of ours."""
        if self.results["without_torch"]:
            return  # it has been looked for
        # Without our libraries: PyTorch brings its own.
        environment = {**os.environ, "LD_LIBRARY_PATH": os.environ.get("HOST_LD_LIBRARY_PATH", "")}

        def measure():
            self.torch_python = self.torch_python or torch_python(environment)
            if not self.torch_python:
                self.results["without_torch"] = "no Python here has it"
                return "it is not there"
            command = [self.torch_python, ROOT / "scripts/torch_kernels.py", self.file, *(["--compiled"] if compiled else [])]
            with tempfile.TemporaryFile("w+") as output:
                try:
                    done = self.run(command, most=self.left(), env=environment, stdout=output, stderr=subprocess.PIPE)
                finally:
                    output.seek(0)
                    for line in output.read().split("\n")[:-1]:  # what was cut off has no end
                        if line.startswith("{"):  # PyTorch says other things too
                            self.add_torch(json.loads(line))
            reason = last_line(done.stderr) or f"it ended with {done.returncode}"
            if done.returncode == torch_kernels.SKIPPED:
                self.results["without_torch"] = reason
                return "it is not there"
            if done.returncode != 0:
                raise LeftOut(reason)

        self.named("PyTorch's compiler" if compiled else "PyTorch's kernels", measure)

    def add_torch(self, line):
        """A shape comes in two lines; it has one entry."""
        for entry in self.results["torch"]:
            if entry["name"] == line["name"]:
                for rows in ("ops", "refused"):
                    entry["torch"][rows] += line["torch"][rows]
                return
        self.results["torch"].append(line)


def text_of(results):
    return json.dumps(results, indent=1) + "\n"


def last_line(text):
    return text.strip().splitlines()[-1] if text.strip() else ""


def any_cluster():
    return min(ROOT.glob("configs/clusters/*.json"))


def floors_of(headwater, arguments, cluster):
    try:
        done = subprocess.run([headwater, "bench", "ops", *arguments, "--floors", "--cluster", cluster.resolve(), "--json"],
                              cwd=ROOT, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"gpu_speed.py: {headwater}: {error.strerror}; scripts/build.sh makes it, --headwater says where it is")
    if done.returncode != 0:
        sys.exit(f"gpu_speed.py: {last_line(done.stderr) or f'{headwater} ended with {done.returncode}'}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        sys.exit(f"gpu_speed.py: {headwater} bench ops --json printed no JSON; --headwater says where the program is")


def hidden_size(options):
    return floors_of(options.headwater, [options.config], options.floors or any_cluster())["sizes"]["hidden"]


def torch_python(environment):
    """A Python that has PyTorch: this one, the one on the path, or one of an environment in the usual places."""
    candidates = [sys.executable, "python3", *sorted(map(str, Path("/opt").glob("*/.venv/bin/python3"))),
                  *sorted(map(str, Path("/opt").glob("*/bin/python3")))]
    has = "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"
    for python in candidates:
        try:
            if subprocess.run([python, "-c", has], env=environment, capture_output=True).returncode == 0:
                return python
        except OSError:
            pass
    return None


def closing_line(results):
    benches = len(results["ops"]) + sum(entry["step"] is not None for entry in results["steps"])
    parts = [f"{benches} results"]
    if results["failed"]:
        parts.append("failed: " + ", ".join(failure["name"] for failure in results["failed"]))
    left_out = {}
    for entry in results["left_out"]:
        left_out.setdefault(entry["reason"], []).append(entry["name"])
    parts += [f"{reason}: {'; '.join(names)}" for reason, names in left_out.items()]
    if results["without_torch"]:
        parts.append(f"without PyTorch: {results['without_torch']}")
    return "; ".join(parts)


def measure(options):
    run = Measuring(options)
    in_order(run, options.head_dims, options.sequences)
    run.write()
    print(closing_line(run.results))
    return 1 if run.results["failed"] or not run.results["device"] else 0


# ---- without a device ----


class Floors:
    """The same entries as Measuring's, with floors by a cluster file and nothing measured."""

    def __init__(self, options):
        self.options = options
        self.shapes = Shapes(options, hidden_size(options))
        self.results = {"device": None, "driver": "", "cuda": "", "git": "",
                        "ops": [], "torch": [], "steps": [], "matmul": None, "training": None}

    def ops(self, head_dim, sequence):
        arguments = self.shapes.ops(head_dim, sequence)
        self.results["ops"].append({"name": ops_name(head_dim, sequence), "arguments": arguments,
                                    "bench": floors_of(self.options.headwater, arguments, self.options.floors)})

    def step(self, name, arguments, algorithms=False):
        if not algorithms:
            self.results["steps"].append({"name": name, "arguments": arguments, "step": None, "error": ""})

    def matmul(self, arguments):
        pass

    def torch(self, compiled=False):
        pass

    def largest(self, sequence):
        pass


def floors(options):
    run = Floors(options)
    in_order(run, options.head_dims, options.sequences)
    print(text_of(run.results), end="")
    return 0


def main():
    options = parse_arguments()
    try:
        return floors(options) if options.floors else measure(options)
    except gpu_results.Unreadable as error:
        sys.exit(f"gpu_speed.py: {error}")


if __name__ == "__main__":
    sys.exit(main())
