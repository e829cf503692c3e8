#!/usr/bin/env python3
"""Checks that the house is built as docs/architecture.md says: one line per violation, and a non-zero exit.

src/rooms.txt lists the rooms from the ground up, each with the rooms that it uses.

- A room includes its own headers and those of the rooms that it uses, all of which are above it in the list.
- A room uses no room whose headers it does not include.
- include/headwater/ROOM holds the headers that reach another room, and only those: others lie in src/ROOM.
- include/headwater/ROOM mirrors src/ROOM: a folder of headers exists only where a folder of sources does.
- kernels/ includes nothing of the rooms.
- What kind of norm, filter or MLP a layer has is asked in one place: only the files in KINDS name the kinds.
- The top level holds what it should and nothing else.

usage: check_layers.py [--root FOLDER] [--self-test]
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

TABLE = "src/rooms.txt"
TOP_LEVEL = set(
    "CMakeLists.txt src include kernels configs tests scripts docs README.md LICENSE CHANGELOG.md CONTRIBUTING.md "
    "CMakePresets.json .ci .clang-format .clang-tidy .gitignore .git-blame-ignore-revs".split()
)
NOT_OURS = {".git", "build"}

# The files that name each kind: where a config becomes a model, and where a block is made from it. Others ask
# what a block says of itself (nn/unit_description.h).
MAKERS = {"include/headwater/nn/make_blocks.h", "src/nn/make_blocks.cpp"}
CONFIG = {"include/headwater/config/block_kinds.h", "include/headwater/model/model_spec.h", "src/model/model_spec.cpp"}
KINDS = {"NormKind": MAKERS | CONFIG, "FilterKind": MAKERS | CONFIG, "MlpKind": MAKERS | CONFIG}

SOURCES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


def sources_below(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in SOURCES)


def includes_of(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def read_rooms(root):
    """The rooms from the ground up, each with the list of those that it uses."""
    rooms = {}
    for line in (root / TABLE).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            room, uses = line.split(":")
            rooms[room] = uses.split()
    return rooms


def files_of_rooms(root):
    """(room, path) of every source and header of the rooms."""
    for tree in (root / "include/headwater", root / "src"):
        for path in sources_below(tree):
            yield path.relative_to(tree).parts[0], path


def check_table(root):
    rooms = read_rooms(root)
    included = {room: set() for room in rooms}
    for room, path in files_of_rooms(root):
        included.get(room, set()).update(i.split("/")[1] for _, i in includes_of(path) if i.startswith("headwater/"))
    above = []
    for room, uses in rooms.items():
        for other in uses:
            if other not in above:
                yield f"{TABLE}: {room} uses {other}, which is not a room above it"
            elif other not in included[room]:
                yield f"{TABLE}: {room} uses {other}, but includes no header of it"
        above.append(room)


def check_includes(root):
    rooms = read_rooms(root)
    for room, path in files_of_rooms(root):
        if room not in rooms:
            yield f"{path.relative_to(root)}: {room} is not a room of {TABLE}"
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
            if other not in rooms:
                yield f"{place}: {include}: {other} is not a room"
            elif other != room and other not in rooms[room]:
                yield f"{place}: {room} includes {include}, but {TABLE} does not let it use {other}"
            elif not (root / "include" / include).is_file():
                yield f"{place}: {include} does not exist"


def check_public_headers(root):
    """A header reaches another room where that includes it, or includes a header that does in turn."""
    includes, reached = {}, []
    for room, path in files_of_rooms(root):
        for _, include in includes_of(path):
            if include.startswith("headwater/") and include.split("/")[1] != room:
                reached.append(include)
    for path in sources_below(root / "include"):
        includes[path.relative_to(root / "include").as_posix()] = [include for _, include in includes_of(path)]
    seen = set()
    while reached:
        header = reached.pop()
        if header not in seen:
            seen.add(header)
            reached.extend(includes.get(header, []))
    for header in sorted(includes):
        if header not in seen:
            yield f"include/{header}: no other room includes it; it belongs into src/{header.split('/')[1]}"


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


def check_kinds(root):
    for _, path in files_of_rooms(root):
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for kind in re.findall(r"\b(?:" + "|".join(KINDS) + r")\b", line):
                if name not in KINDS[kind]:
                    yield f"{name}:{number}: names {kind}; only {', '.join(sorted(KINDS[kind]))} ask for it"


def check_top_level(root):
    for path in sorted(root.iterdir()):
        if path.name not in TOP_LEVEL | NOT_OURS:
            yield f"{path.name}: not a name of the top level"


def violations(root):
    checks = (check_table, check_includes, check_public_headers, check_mirror, check_kernels, check_kinds)
    for check in (*checks, check_top_level):
        yield from check(root)


def self_test():
    """Plants one violation after the other in a small sound tree; each must be found, and nothing without one."""
    sound = {
        "CMakeLists.txt": "",
        "src/rooms.txt": "# The rooms.\nbase:\nnn: base\ntrain: base nn\n",
        "include/headwater/base/error.h": "#include <string>\n",
        "include/headwater/nn/layer.h": '#include "headwater/base/error.h"\n',
        "include/headwater/nn/stage.h": '#include "headwater/nn/layer.h"\n',
        "src/base/error.cpp": '#include "headwater/base/error.h"\n',
        "src/nn/stage.cpp": '#include "headwater/nn/stage.h"\n#include "private.h"\n',
        "src/nn/private.h": '#include "headwater/base/error.h"\n',
        "src/train/engine.cpp": '#include "headwater/nn/stage.h"\n#include "headwater/base/error.h"\n',
        "kernels/norm.cu": '#include "kernels.h"\n',
        "src/nn/make_blocks.cpp": "switch (layer.filter) { case FilterKind::none: }\n",
        "tests/base/error_test.cpp": '#include "headwater/nn/stage.h"\n',
    }
    planted = [
        ({"src/base/up.cpp": '#include "headwater/nn/stage.h"\n'}, "does not let it use nn"),
        ({"include/headwater/nn/stage.h": '#include "headwater/nn/layer.h"\n#  include <headwater/train/x.h>\n'}, "does not let it use train"),
        ({"src/base/gone.cpp": '#include "headwater/base/gone.h"\n'}, "does not exist"),
        ({"src/nn/odd.cpp": '#include "headwater/attic/x.h"\n'}, "attic is not a room"),
        ({"src/nn/side.cpp": '#include "../base/private.h"\n'}, "leaves its folder"),
        ({"src/nn/helper.cpp": '#include "tests/support/x.h"\n'}, "not a public header"),
        ({"src/attic/x.cpp": ""}, "attic is not a room"),
        ({"src/rooms.txt": "base:\nnn: base train\ntrain: base nn\n"}, "train, which is not a room above it"),
        ({"src/rooms.txt": "base:\ntensor:\nnn: base\ntrain: base tensor nn\n"}, "train uses tensor, but includes no header of it"),
        ({"src/rooms.txt": "base:\nnn: base\ntrain: base\n"}, "does not let it use nn"),
        ({"include/headwater/nn/lonely.h": ""}, "no other room includes it"),
        ({"kernels/bad.cu": '#include "headwater/base/error.h"\n'}, "a kernel includes"),
        ({"src/train/run.cpp": "if (layer.filter == FilterKind::lfa) {}\n"}, "names FilterKind"),
        ({"include/headwater/nn/layer.h": "NormKind norm();\n"}, "names NormKind"),
        ({"src/nn/mlp.cpp": "bool gated(MlpKind kind);\n"}, "names MlpKind"),
        ({"notes.txt": ""}, "not a name of the top level"),
        (
            {"include/headwater/nn/cpu/x.h": "", "src/train/x.cpp": '#include "headwater/nn/cpu/x.h"\n'},
            "no src/nn/cpu",
        ),
    ]
    failures = []
    for files, expected in [({}, None)] + planted:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for file, content in {**sound, **files}.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(content, encoding="utf-8")
            found = list(violations(root))
        if not files and found:
            failures.append(f"the sound tree is refused: {found}")
        if files and not (len(found) == 1 and expected in found[0]):
            failures.append(f"{list(files)} should give one line with '{expected}', gives {found}")
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
