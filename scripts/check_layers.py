#!/usr/bin/env python3
"""Checks that the house is built as docs/architecture.md says: one line per violation, and a non-zero exit.

- A room includes its own headers and those of the rooms above it in the list, none below.
- include/headwater/ROOM mirrors src/ROOM: a folder of headers exists only where a folder of sources does.
- kernels/ includes nothing of the rooms.
- The top level holds what it should and nothing else.

usage: check_layers.py [--root FOLDER] [--self-test]
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

# From the ground up. CMakeLists.txt links them in this order too, and docs/architecture.md says what lives in each.
ROOMS = ("base tensor schedule config model layout plan data comm backend nn optim checkpoint train cli").split()

TOP_LEVEL = set(
    "CMakeLists.txt src include kernels configs tests scripts docs README.md LICENSE CHANGELOG.md CONTRIBUTING.md "
    "CMakePresets.json .ci .clang-format .clang-tidy .gitignore .git-blame-ignore-revs".split()
)
NOT_OURS = {".git", "build"}

SOURCES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


def sources_below(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in SOURCES)


def includes_of(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def check_includes(root):
    for tree in (root / "include/headwater", root / "src"):
        for path in sources_below(tree):
            room = path.relative_to(tree).parts[0]
            if room not in ROOMS:
                yield f"{path.relative_to(root)}: {room} is not a room"
                continue
            for number, include in includes_of(path):
                place = f"{path.relative_to(root)}:{number}"
                if include.startswith("../") or "/../" in include:
                    yield f"{place}: {include} leaves its folder; rooms are entered by headwater/ROOM/FILE.h"
                if include.startswith(("tests/", "src/")):
                    yield f"{place}: {include} is not a public header"
                if not include.startswith("headwater/"):
                    continue
                other = include.split("/")[1]
                if other not in ROOMS:
                    yield f"{place}: {include}: {other} is not a room"
                elif ROOMS.index(other) > ROOMS.index(room):
                    yield f"{place}: {room} includes {include}, and {other} lies below it"
                elif not (root / "include" / include).is_file():
                    yield f"{place}: {include} does not exist"


def check_mirror(root):
    tree = root / "include/headwater"
    for folder in sorted(path for path in tree.rglob("*") if path.is_dir()):
        inner = folder.relative_to(tree)
        if not (root / "src" / inner).is_dir():
            yield f"include/headwater/{inner}: there is no src/{inner} that it mirrors"


def check_kernels(root):
    for path in sources_below(root / "kernels"):
        for number, include in includes_of(path):
            if include.startswith(("headwater/", "src/", "../src", "../include")):
                yield f"{path.relative_to(root)}:{number}: a kernel includes {include}; kernels know nothing of the rooms"


def check_top_level(root):
    for path in sorted(root.iterdir()):
        if path.name not in TOP_LEVEL | NOT_OURS:
            yield f"{path.name}: not a name of the top level"


def violations(root):
    for check in (check_includes, check_mirror, check_kernels, check_top_level):
        yield from check(root)


def self_test():
    """Plants one violation after the other in a small sound tree; each must be found, and nothing without one."""
    sound = {
        "CMakeLists.txt": "",
        "include/headwater/base/error.h": "#include <string>\n",
        "include/headwater/nn/stage.h": '#include "headwater/base/error.h"\n',
        "src/base/error.cpp": '#include "headwater/base/error.h"\n',
        "src/nn/stage.cpp": '#include "headwater/nn/stage.h"\n#include "headwater/base/error.h"\n',
        "kernels/norm.cu": '#include "kernels.h"\n',
        "tests/base/error_test.cpp": '#include "headwater/nn/stage.h"\n',
    }
    planted = [
        ("src/base/up.cpp", '#include "headwater/nn/stage.h"\n', "nn lies below it"),
        ("include/headwater/base/up.h", '#  include <headwater/nn/stage.h>\n', "nn lies below it"),
        ("src/base/gone.cpp", '#include "headwater/base/gone.h"\n', "does not exist"),
        ("src/nn/odd.cpp", '#include "headwater/attic/x.h"\n', "attic is not a room"),
        ("src/nn/side.cpp", '#include "../base/private.h"\n', "leaves its folder"),
        ("src/nn/helper.cpp", '#include "tests/support/x.h"\n', "not a public header"),
        ("src/attic/x.cpp", "", "attic is not a room"),
        ("include/headwater/nn/cpu/x.h", "", "no src/nn/cpu"),
        ("kernels/bad.cu", '#include "headwater/base/error.h"\n', "a kernel includes"),
        ("notes.txt", "", "not a name of the top level"),
    ]
    failures = []
    for name, text, expected in [(None, None, None)] + planted:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            files = dict(sound) if name is None else {**sound, name: text}
            for file, content in files.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(content, encoding="utf-8")
            found = list(violations(root))
        if name is None and found:
            failures.append(f"the sound tree is refused: {found}")
        if name is not None and not (len(found) == 1 and expected in found[0]):
            failures.append(f"{name} should give one line with '{expected}', gives {found}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true", help="plant violations and see that they are found")
    options = parser.parse_args()
    lines = self_test() if options.self_test else list(violations(options.root))
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
