"""Headwater as processes: starts runs with and without mpirun, watches them, and reads what they leave on disk.

The environment names the binary (HEADWATER) and the sources (HEADWATER_SOURCE_DIR).
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import uuid
from pathlib import Path

HEADWATER = os.environ["HEADWATER"]
SOURCE = Path(os.environ["HEADWATER_SOURCE_DIR"])
GOLDEN = SOURCE / "tests" / "golden" / "yuan2"
ERROR = "headwater: error: "
MARK = "HEADWATER_TEST_JOB"  # in the environment of every process of a job
PATIENCE = 180.0  # seconds; only a test that has failed waits so long

# The sizes of the golden model: a step takes milliseconds. Dropout is on, so that a resume must find its masks too.
CONFIG = {
    "model": {"family": "yuan2", "num_layers": 4, "hidden_size": 48, "ffn_hidden_size": 128, "num_attention_heads": 4,
              "vocab_size": 192, "max_position_embeddings": 40, "attention_dropout": 0.1, "hidden_dropout": 0.1},
    "data": {"train": str(GOLDEN / "data"), "eod": 0},
    "training": {"micro_batch_size": 1, "global_batch_size": 4, "seq_length": 40, "train_iters": 8, "dtype": "fp32"},
    "optimizer": {"lr": 1e-3},
}

PIPELINE = ("--parallel.pipeline_model_parallel_size=2", "--parallel.pipeline_layout=[3,1]")
# Name: ranks and what the command line says of the layout.
LAYOUTS = {
    "one rank": (1, ()),
    "pipeline 2, uneven": (2, PIPELINE),
    "data 2": (2, ()),
    "pipeline 2 x data 2": (4, PIPELINE),
}


def error_lines(stderr):
    return [line.removeprefix(ERROR) for line in stderr.splitlines() if line.startswith(ERROR)]


class Job:
    """A run that was started: by `launcher` where one is given, else under mpirun where it has several ranks."""

    def __init__(self, *arguments, ranks=1, environment=None, wrapper=(), launcher=(), program=HEADWATER):
        self.mark = uuid.uuid4().hex
        command = [*launcher, *wrapper, program, *map(str, arguments)]
        if ranks > 1 and not launcher:
            if shutil.which("mpirun") is None:
                raise RuntimeError("mpirun is missing; scripts/setup.sh installs it")
            command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), *command]
        variables = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.ranks = ranks
        self.process = subprocess.Popen(command, env={**os.environ, **variables, **(environment or {}), MARK: self.mark},
                                        stdin=subprocess.DEVNULL, stdout=self._stdout, stderr=self._stderr)

    def wait(self, seconds=PATIENCE):
        """The exit code; the job is killed where it has not ended in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the job still ran after {seconds} s:\n{self.stdout}{self.stderr}") from None

    def ended(self):
        return self.process.poll() is not None

    @staticmethod
    def _text(file):
        # Without moving the offset, which the job's processes share.
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")

    @property
    def code(self):
        return self.process.returncode

    @property
    def stdout(self):
        return self._text(self._stdout)

    @property
    def stderr(self):
        return self._text(self._stderr)

    @property
    def errors(self):
        return error_lines(self.stderr)

    def processes(self):
        """Rank to process id, of the ranks that live; the launcher is not among them."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                if f"{MARK}={self.mark}".encode() not in environment:
                    continue
                if os.path.basename(os.readlink(entry / "exe")) != os.path.basename(HEADWATER):
                    continue
            except OSError:  # it has ended, or is another user's
                continue
            values = dict(pair.split(b"=", 1) for pair in environment.split(b"\0") if b"=" in pair)
            found[int(values.get(b"OMPI_COMM_WORLD_RANK", b"0"))] = int(entry.name)
        return found

    def kill(self):
        for pid in [*self.processes().values(), *([] if self.ended() else [self.process.pid])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def close(self):
        self.kill()
        self._stdout.close()
        self._stderr.close()


def until(condition, job=None, seconds=PATIENCE, pause=0.002):
    """Waits for the condition; fails where the job ends first or time runs out."""
    end = time.monotonic() + seconds
    while not condition():
        if job is not None and job.ended() and not condition():
            raise AssertionError(f"the job ended first, with {job.code}:\n{job.stdout}{job.stderr}")
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain" + (f":\n{job.stdout}{job.stderr}" if job else ""))
        time.sleep(pause)


def metrics(save):
    """The whole lines of a run's metrics.jsonl."""
    try:
        lines = Path(save, "metrics.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def curve(save):
    """Step to loss; a step that was trained twice must have found the same bits."""
    losses = {}
    for line in metrics(save):
        if "loss" in line and losses.setdefault(line["step"], line["loss"]) != line["loss"]:
            raise AssertionError(f"step {line['step']} had the loss {losses[line['step']]}, then {line['loss']}")
    return losses


def latest(save):
    return Path(save, Path(save, "latest").read_text().strip())


def state_of(checkpoint):
    """Name to bytes of the files with weights and the optimizer's state."""
    return {path.name: path.read_bytes() for path in sorted(checkpoint.glob("*.safetensors"))}


def state(save):
    return state_of(latest(save))


def write_safetensors(path, tensors):
    """`tensors`: name to (shape, values): int32 for whole numbers, fp32 for others."""
    header, body = {}, b""
    for name, (shape, values) in tensors.items():
        whole = all(isinstance(value, int) for value in values)
        data = struct.pack(f"<{len(values)}{'i' if whole else 'f'}", *values)
        header[name] = {"dtype": "I32" if whole else "F32", "shape": list(shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path):
    """Name to (shape, values), of fp32 tensors."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header, tensors = json.loads(content[8:8 + length]), {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", entry
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["shape"], struct.unpack_from(f"<{(end - begin) // 4}f", content, 8 + length + begin))
    return tensors


class RunTest(unittest.TestCase):
    """A folder for each test, with config.json in it; jobs that a test leaves behind are killed."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="headwater-test-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.config = self.folder / "config.json"
        self.config.write_text(json.dumps(CONFIG))

    def start(self, *arguments, **options):
        job = Job(*arguments, **options)
        self.addCleanup(job.close)
        return job

    def start_training(self, *overrides, **options):
        return self.start("train", self.config, *overrides, **options)

    def run_job(self, code, *arguments, **options):
        """A run to its end, which must be `code`."""
        job = self.start(*arguments, **options)
        self.assertEqual(job.wait(), code, job.stdout + job.stderr)
        return job

    def train(self, save, *overrides, code=0, **options):
        return self.run_job(code, "train", self.config, f"--training.save={save}", *overrides, **options)

    def refused(self, code, pattern, *arguments, **options):
        """A run that ends with `code` and one line of error of that pattern."""
        return self.check_error(self.run_job(code, *arguments, **options), pattern)

    def assert_same_files(self, a, b):
        """Of two dictionaries from file names to bytes."""
        self.assertEqual(sorted(a), sorted(b))
        self.assertEqual([name for name in a if a[name] != b[name]], [], "these differ")

    def check_error(self, job, pattern):
        self.assertEqual(len(job.errors), 1, job.stderr)
        self.assertRegex(job.errors[0], pattern)
        if job.ranks == 1:
            self.assertTrue(job.stderr.splitlines()[-1].startswith(ERROR), job.stderr)
        return job
