#!/usr/bin/env python3
"""Has the compiler of a configured build look at every source for its warnings, and make no code: two thirds of a build's time.
Prints what it says; exit 1 where a source is not taken.

usage: scripts/check_warnings.py BUILD [--except OTHER]
   BUILD   a folder that CMake has configured, as `cmake --preset clang` configures build/clang
   OTHER   a build by the same compiler with warnings as errors: what it has compiled is not looked at again
"""

import argparse
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path


def looks_only(command):
    """The command of compile_commands.json without what it would write, and without a cache, which keeps objects."""
    words = shlex.split(command)
    if Path(words[0]).name == "ccache":
        words = words[1:]
    out = words.index("-o")
    return [*(word for word in words[:out] + words[out + 2:] if word != "-c"), "-fsyntax-only"]


def check(entry):
    done = subprocess.run(looks_only(entry["command"]), cwd=entry["directory"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def entries_of(folder):
    commands = Path(folder, "compile_commands.json")
    if not commands.exists():
        sys.exit(f"check_warnings.py: {commands} is not there; cmake --preset clang configures such a folder, build/clang")
    return json.loads(commands.read_text(encoding="utf-8"))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("build")
    parser.add_argument("--except", dest="other")
    arguments = parser.parse_args()
    compiled = {entry["file"] for entry in entries_of(arguments.other)
                if Path(entry["directory"], entry["output"]).exists()} if arguments.other else set()
    entries = [entry for entry in entries_of(arguments.build) if entry["file"] not in compiled]
    failed = 0
    with ThreadPoolExecutor(cpu_count()) as pool:
        for code, said in pool.map(check, entries):
            failed += code != 0
            print(said, end="")
    print(f"{len(entries)} sources, {failed} with errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
