"""Calls `headwater plan` and `headwater schedule` for the published tables."""

import json
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


class Planner:
    def __init__(self, binary):
        self.binary = str(binary)
        self.folder = tempfile.TemporaryDirectory()

    def plan(self, config, cluster, ranks, *arguments):
        """`config`: a dict, or the path of a config file."""
        with tempfile.TemporaryDirectory(dir=self.folder.name) as folder:
            if isinstance(config, dict):
                config = self._write(folder, "config.json", config)
            cluster = self._write(folder, "cluster.json", cluster)
            return self._json("plan", str(config), "--cluster", cluster, "--ranks", str(ranks), "--json", *arguments)

    def bubble(self, **options):
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self._json("schedule", "--json", *arguments)["bubble_fraction"]

    def _json(self, *arguments):
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @staticmethod
    def _write(folder, name, value):
        path = Path(folder) / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return str(path)


def csv_lines(name):
    """Of a file beside this one, without comments."""
    with open(FOLDER / name, encoding="utf-8") as file:
        return [line for line in file if not line.startswith("#")]


def solve(f, low, high, tolerance=1e-6):
    """Where the monotonic f is 0, between `low` and `high`: false position, halving the end that stays."""
    f_low, f_high = f(low), f(high)
    if f_low * f_high > 0:
        return low if abs(f_low) < abs(f_high) else high
    kept = 0
    while abs(high - low) > tolerance:
        middle = (low * f_high - high * f_low) / (f_high - f_low)
        f_middle = f(middle)
        if abs(f_middle) < tolerance:
            return middle
        if f_middle * f_high < 0:
            low, f_low, high, f_high = high, f_high, middle, f_middle
            kept = 0
        else:
            high, f_high = middle, f_middle
            kept += 1
            if kept > 1:
                f_low /= 2
    return (low + high) / 2
