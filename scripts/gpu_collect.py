#!/usr/bin/env python3
"""Puts what scripts/gpu_check.sh left in a folder where it belongs in this checkout, and prints what to commit:

  conformance.tsv   tests/conformance/expected.tsv, where that is not there yet
  results.json      docs/benchmarks/gpu/DEVICE.json, and the page docs/benchmarks/gpu-kernels.md made of it
  matmul.json       docs/benchmarks/gpu/DEVICE-matmul.json, for training.matmul_algorithms

usage: gpu_collect.py FOLDER      exit 1 where something was not taken, and why
"""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = ROOT / "tests/conformance/expected.tsv"
RAW = ROOT / "docs/benchmarks/gpu"
PAGE = ROOT / "docs/benchmarks/gpu-kernels.md"


class Refusal(Exception):
    pass


def passed(folder, stage):
    """What the last summary in the folder says of a stage."""
    summary = folder / "summary.txt"
    lines = summary.read_text(encoding="utf-8").splitlines() if summary.exists() else []
    return any(re.match(rf"PASS +{stage} ", line) for line in lines)


def words_of(path):
    """Instruction to what it gives."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: words for name, *words in rows}


def take_conformance(folder):
    found = folder / "conformance.tsv"
    if not passed(folder, "conformance"):
        raise Refusal(f"{found}: summary.txt does not say that the stage conformance has passed")
    if not EXPECTED.exists():
        EXPECTED.write_bytes(found.read_bytes())
        return [EXPECTED]
    before, now = words_of(EXPECTED), words_of(found)
    differ = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if differ:
        raise Refusal(f"{found}: other bits than {EXPECTED.relative_to(ROOT)} for {', '.join(differ)}; that file stays as it is, "
                      "and is removed first where this GPU's bits are to be recorded")
    return []


def slug(device):
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def take_results(folder):
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    device = results["device"]
    if not device or "emulated" in device:
        raise Refusal(f"{folder / 'results.json'}: measured on {device or 'no device'}, and a GPU's figures are wanted")
    RAW.mkdir(parents=True, exist_ok=True)
    raw = RAW / f"{slug(device)}.json"
    raw.write_bytes((folder / "results.json").read_bytes())
    made = subprocess.run([sys.executable, ROOT / "scripts/kernel_table.py", raw.relative_to(ROOT)], cwd=ROOT,
                          capture_output=True, text=True)
    if made.returncode != 0:
        raise Refusal(f"scripts/kernel_table.py {raw.relative_to(ROOT)}: {made.stderr.strip().splitlines()[-1]}")
    PAGE.write_text(made.stdout, encoding="utf-8")
    return [raw, PAGE]


def take_matmul(folder):
    """By the device's name as the results have it: the file's own has the compute capability behind it."""
    content = (folder / "matmul.json").read_text(encoding="utf-8")
    device = json.loads(content)["device"].split(",")[0]
    if "emulated" in device:
        raise Refusal(f"{folder / 'matmul.json'}: measured on {device}, and a GPU's algorithms are wanted")
    RAW.mkdir(parents=True, exist_ok=True)
    path = RAW / f"{slug(device)}-matmul.json"
    path.write_text(content, encoding="utf-8")
    return [path]


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: scripts/gpu_check.sh collect FOLDER, which the stages have left")
    folder, taken, refused = Path(sys.argv[1]), [], 0
    for name, take in (("conformance.tsv", take_conformance), ("results.json", take_results), ("matmul.json", take_matmul)):
        if not (folder / name).exists():
            print(f"{name}: not in {folder}")
            continue
        try:
            taken += take(folder)
        except Refusal as reason:
            print(f"gpu_collect.py: {reason}", file=sys.stderr)
            refused = 1
    if taken:
        print("git add " + " ".join(shlex.quote(str(path.relative_to(ROOT))) for path in taken))
    return refused


if __name__ == "__main__":
    sys.exit(main())
