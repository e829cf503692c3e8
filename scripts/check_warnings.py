#!/usr/bin/env python3
"""Has the compiler of a configured build look at every source for its warnings, and make no code: two thirds of a build's time.
Prints what it says; exit 1 where a source is not taken.

usage: cmake --preset clang && scripts/check_warnings.py build/clang
"""

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


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_warnings.py BUILD, a folder that CMake has configured")
    commands = Path(sys.argv[1], "compile_commands.json")
    if not commands.exists():
        sys.exit(f"check_warnings.py: {commands} is not there; cmake --preset clang configures such a folder, build/clang")
    entries = json.loads(commands.read_text(encoding="utf-8"))
    failed = 0
    with ThreadPoolExecutor(cpu_count()) as pool:
        for code, said in pool.map(check, entries):
            failed += code != 0
            print(said, end="")
    print(f"{len(entries)} sources, {failed} with errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
