#!/usr/bin/env python3
"""Puts what scripts/gpu_check.sh left in a folder where it belongs in this checkout, and prints what to commit:

  conformance.tsv   tests/conformance/expected.tsv, where that is not there yet
  results.json      docs/benchmarks/gpu/DEVICE.json, and the page docs/benchmarks/gpu-kernels.md made of it
  matmul.json       docs/benchmarks/gpu/DEVICE-matmul.json, for training.matmul_algorithms

Nothing is taken from a folder in which any of these, or summary.txt, says that the GPU was emulated.

usage: gpu_collect.py FOLDER      exit 1 where something was not taken, and why
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import gpu_results

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = ROOT / "tests/conformance/expected.tsv"
RAW = ROOT / "docs/benchmarks/gpu"
PAGE = ROOT / "docs/benchmarks/gpu-kernels.md"


class Refusal(Exception):
    pass


def said(folder, pattern):
    """Whether the last run's summary has a line that begins so."""
    summary = folder / "summary.txt"
    return summary.exists() and re.search(f"(?m)^{pattern}", summary.read_text(encoding="utf-8", errors="replace"))


def says_emulated(folder):
    """What in the folder says that it is of no GPU; None where nothing does."""
    if said(folder, r"gpu_check\.sh: .*\barchitecture emulated\b"):
        return "summary.txt says architecture emulated"
    for name in ("results.json", "matmul.json"):
        try:
            device = gpu_results.read(folder / name, "device")["device"]
        except gpu_results.Unreadable:
            continue  # which is told where it would be taken
        if "emulated" in str(device):
            return f"{name} says {device}"
    return None


def words_of(path):
    """Instruction to what it gives."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: words for name, *words in rows}


def take_conformance(folder):
    found = folder / "conformance.tsv"
    if not said(folder, "PASS +conformance "):
        raise Refusal(f"{found}: summary.txt does not say that the stage conformance has passed")
    if not said(folder, r"gpu_check\.sh: .*\barchitecture "):
        raise Refusal(f"{found}: summary.txt does not say for which architecture the program was built")
    if not EXPECTED.exists():
        EXPECTED.write_bytes(found.read_bytes())
        yield EXPECTED
        return
    before, now = words_of(EXPECTED), words_of(found)
    differ = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if differ:
        raise Refusal(f"{found}: other bits than {EXPECTED.relative_to(ROOT)} for {', '.join(differ)}; that file stays as it "
                      "is, and is removed first where this GPU's bits are to be recorded")


def slug(device):
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def device_of(file):
    device = gpu_results.read(file, "device")["device"]
    if not device or not isinstance(device, str):
        raise Refusal(f"{file}: measured on no device, and a GPU's figures are wanted")
    return device


def take_results(folder):
    device = device_of(folder / "results.json")
    RAW.mkdir(parents=True, exist_ok=True)
    raw = RAW / f"{slug(device)}.json"
    raw.write_bytes((folder / "results.json").read_bytes())
    yield raw
    made = subprocess.run([sys.executable, ROOT / "scripts/kernel_table.py", raw.relative_to(ROOT)], cwd=ROOT,
                          capture_output=True, text=True)
    if made.returncode != 0:
        reason = made.stderr.strip().splitlines() or [f"ended with {made.returncode}"]
        raise Refusal(f"scripts/kernel_table.py {raw.relative_to(ROOT)}: {reason[-1]}; {PAGE.relative_to(ROOT)} stays as it is")
    PAGE.write_text(made.stdout, encoding="utf-8")
    yield PAGE


def take_matmul(folder):
    """By the device's name as the results have it: the file's own has the compute capability behind it."""
    device = device_of(folder / "matmul.json").split(",")[0]
    RAW.mkdir(parents=True, exist_ok=True)
    path = RAW / f"{slug(device)}-matmul.json"
    path.write_bytes((folder / "matmul.json").read_bytes())
    yield path


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: scripts/gpu_check.sh collect FOLDER, which the stages have left")
    folder, taken, refused = Path(sys.argv[1]), [], 0
    emulated = says_emulated(folder)
    if emulated:
        sys.exit(f"gpu_collect.py: {folder}: {emulated}, and what a GPU has given is wanted: nothing is taken")
    for name, take in (("conformance.tsv", take_conformance), ("results.json", take_results), ("matmul.json", take_matmul)):
        if not (folder / name).exists():
            print(f"{name}: not in {folder}")
            continue
        try:
            for path in take(folder):
                taken.append(path)
        except (Refusal, gpu_results.Unreadable) as reason:
            print(f"gpu_collect.py: {reason}", file=sys.stderr)
            refused = 1
    if taken:
        print("git add " + " ".join(shlex.quote(str(path.relative_to(ROOT))) for path in taken))
    return refused


if __name__ == "__main__":
    sys.exit(main())
