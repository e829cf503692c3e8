#!/usr/bin/env python3
"""Checks that what the documents name is there: one line for each name that is not, and a non-zero exit.

In every page (*.md) but docs/config-reference.md, which the program writes:

- a link leads to a file or folder of the repository, and what follows its # is a heading there;
- a path in `backticks` or in a fenced block is a file of the repository; words of capitals stand for any name
  (tests/ROOM/NAME_test.cpp), and the first folders may be left out (nn/block.h);
- `section.key`, and --section.key in a fenced block, are keys of docs/config-reference.md;
- headwater WORD, in either, is a command;
- `CamelCase`, `snake_case` and `call()` are words of the code.

CHANGELOG.md, which tells what was, is checked for its links only. Beside the pages:

- comments of sources and scripts name files that are there, and those of include/ and src/ types and functions that are;
- docs/architecture.md has a row for each room of src/rooms.txt, in that order, and docs/images/rooms.svg is what
  scripts/rooms_drawing.py draws of it.

usage: check_docs.py [--root FOLDER] [--self-test]
"""

import fnmatch
import re
import subprocess
from pathlib import Path

import rooms_drawing
import tree_check

CONFIG_REFERENCE = "docs/config-reference.md"
ARCHITECTURE = "docs/architecture.md"
ROOMS = "src/rooms.txt"
DRAWING = "docs/images/rooms.svg"

# What ends like this lies in the repository, wherever it is named.
OURS = r"(?:h|cpp|cu|cuh|py|sh|md|tsv)"
COMMENTED = {".h": "//", ".cpp": "//", ".cu": "//", ".cuh": "//", ".py": "#", ".sh": "#"}

# Files and words that other projects have; and a file that the first run on a GPU writes.
ELSEWHERE = {"mpi.h", "version_set.h", "run_table_1.sh", "num_microbatches_calculator.py"}
FOREIGN_WORDS = set(
    "FlashAttention LayerNorm NCCL_LAUNCH_ORDER_IMPLICIT NaN NeurIPS OpenMP PipeDream PyTorch RoPE SplitMix64 SwiGLU T TensorFlow "
    "cu_seqlens session_log simple_value".split()
)
WRITTEN_LATER = {"expected.tsv"}

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^\s*```")
PATH = re.compile(rf"(?<![\w./~$*<{{-])((?:[\w*-]+[\w*.-]*/)*[\w*.-]+\.{OURS})(?![\w/])")
FOLDER = re.compile(r"(?<![\w./~$*<{-])((?:src|include/headwater|kernels|tests|scripts|docs|configs)/[\w/*-]+)(?![\w/.*{<-])")
OPTION = re.compile(r"--([a-z]+\.[a-z0-9_]+)")
KEY = re.compile(r"([a-z]+)\.([a-z0-9_]+)")
COMMAND = re.compile(r"(?:^|[\s/])headwater ([a-z][a-z-]*)(?![\w-])")
PLACEHOLDER = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2,}(?![A-Za-z0-9])|(?<=_)[A-Z]{2,}(?![A-Za-z0-9])")
ADDED_COMMAND = re.compile(r'\b(?:add|command)\(\s*"([a-z-]+)",')
CALL = re.compile(r"([A-Za-z_]\w*)\(\)")
CAMEL = re.compile(r"\b[A-Z][a-z0-9]+[A-Z]\w*")
WORD = re.compile(r"[A-Za-z_]\w+")


def files_of(root):
    """The paths of the repository's files: those that git knows, or, where there is no git, all but builds."""
    done = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    if done.returncode == 0:
        return sorted(path for path in done.stdout.split("\n") if path and (root / path).is_file())
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in paths if not path.startswith("build/"))


class Repository:
    def __init__(self, root):
        self.root = root
        self.files = files_of(root)
        self.by_name = {}
        for path in self.files:
            self.by_name.setdefault(path.rsplit("/", 1)[-1], []).append(path)
        self.folders = {"/".join(path.split("/")[:depth]) for path in self.files for depth in range(1, path.count("/") + 1)}
        self.headings = {}
        self.sources = [p for p in self.files if Path(p).suffix in COMMENTED or p.endswith("CMakeLists.txt")]
        self.words = set()  # of the code of all of them
        self.production_words = set()  # of those that are no tests
        for path in self.sources:
            if not path.startswith("scripts/check_docs"):
                for code, _ in self.lines(path):
                    self.words.update(WORD.findall(code))
                    if path.startswith(("include/", "src/", "kernels/")):
                        self.production_words.update(WORD.findall(code))
        for path in self.files:
            if path.endswith((".json", ".tsv", ".csv", ".yml")) or path in (".clang-tidy", ".clang-format", ".ci/run"):
                self.words.update(WORD.findall(self.text(path)))
        self.keys = set()
        for section in re.split(r"^## ", self.text(CONFIG_REFERENCE), flags=re.MULTILINE)[1:]:
            name = section.split("\n", 1)[0].strip()
            self.keys |= {f"{name}.{key}" for key in re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)}
        self.sections = {key.split(".")[0] for key in self.keys}
        self.commands = set()
        for path in self.files:
            if path.startswith("src/cli/"):
                self.commands.update(ADDED_COMMAND.findall(self.text(path)))

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def lines(self, path):
        """(code, comment) of each line of a source."""
        mark = COMMENTED.get(Path(path).suffix, "#")
        for line in self.text(path).splitlines():
            match = re.search(rf"(?:^|\s){mark}(?:\s|$)", line)
            yield (line[: match.start()], line[match.end() :]) if match else (line, "")

    def has(self, path):
        """Whether `path` is a file or a folder of the repository.

        Its first folders may be left out; `*` and words of capitals alone stand for anything within a name.
        """
        path = path.rstrip("/")
        if path.rsplit("/", 1)[-1] not in self.by_name:
            path = PLACEHOLDER.sub("*", path)
        if "*" not in path:
            name = path.rsplit("/", 1)[-1]
            return path in self.folders or any(p == path or p.endswith("/" + path) for p in self.by_name.get(name, []))
        return any(fnmatch.fnmatchcase(p, path) or fnmatch.fnmatchcase(p, "*/" + path) for p in [*self.files, *self.folders])

    def anchors(self, page):
        if page not in self.headings:
            anchors, fenced = set(), False
            for line in self.text(page).splitlines():
                fenced ^= bool(FENCE.match(line))
                match = re.match(r"#+ (.*)", line)
                if match and not fenced:
                    plain = re.sub(r"[^\w\- ]", "", match.group(1).lower())
                    anchors.add(plain.replace(" ", "-"))
            self.headings[page] = anchors
        return self.headings[page]


def check_link(repository, page, target):
    if re.match(r"[a-z]+:", target):
        return None
    file, _, anchor = target.partition("#")
    path = page
    if file:
        folder = Path(repository.root, page).parent
        path = (folder / file).resolve().relative_to(repository.root.resolve()).as_posix()
        if path not in repository.files and path not in repository.folders:
            return f"the link {target} leads nowhere"
    if anchor and path in repository.files and anchor not in repository.anchors(path):
        return f"the link {target}: {path} has no such heading"
    return None


def check_paths(repository, text):
    for path in PATH.findall(text) + FOLDER.findall(text):
        if path.startswith("build/") or path.rsplit("/", 1)[-1] in ELSEWHERE | WRITTEN_LATER:
            continue
        if not repository.has(path):
            yield f"{path} is not a file of the repository"


def check_keys(repository, text, pattern):
    for match in pattern.finditer(text):
        key = match.group(0).removeprefix("--")
        known = key in repository.keys or key.endswith((".safetensors", ".bin", ".idx"))
        if key.split(".")[0] in repository.sections and not known:
            yield f"{key} is not a key of {CONFIG_REFERENCE}"


def check_commands(repository, text):
    for command in COMMAND.findall(text):
        if command not in repository.commands:
            yield f"headwater {command} is not a command"


def check_words(repository, code):
    """Names of the code in a piece between backticks: those whose form no word of the language has."""
    if " " in code.strip() and not code.strip().endswith(")"):
        return
    if "/" in code or re.search(rf"\.{OURS}$", code):
        return
    for word in WORD.findall(code):
        camel = CAMEL.fullmatch(word)
        snake = "_" in word.strip("_") and not (PLACEHOLDER.search(word) and word != word.upper())
        if (camel or snake or word in CALL.findall(code)) and word not in repository.words | FOREIGN_WORDS:
            yield f"`{code}`: {word} is not a word of the sources"


def check_page(repository, page):
    fenced = False
    for number, line in enumerate(repository.text(page).splitlines(), start=1):
        found = []
        if FENCE.match(line):
            fenced = not fenced
            continue
        if not fenced:
            found += filter(None, (check_link(repository, page, target) for target in LINK.findall(line)))
        if page != "CHANGELOG.md":
            for code in [line] if fenced else CODE.findall(line):
                found += check_paths(repository, code)
                found += check_keys(repository, code, OPTION if fenced else re.compile(rf"^(?:--)?{KEY.pattern}(?==|$)"))
                found += check_commands(repository, code)
                found += [] if fenced else check_words(repository, code)
        for message in found:
            yield f"{page}:{number}: {message}"


def check_pages(repository):
    for page in repository.files:
        if page.endswith(".md") and page != CONFIG_REFERENCE:
            yield from check_page(repository, page)


def check_comments(repository):
    for path in repository.sources:
        if path.startswith("scripts/check_docs"):
            continue
        for number, (_, comment) in enumerate(repository.lines(path), start=1):
            found = list(check_paths(repository, comment))
            if path.startswith(("include/", "src/")):
                for word in set(CAMEL.findall(comment)) | set(CALL.findall(comment)):
                    if word not in repository.production_words | FOREIGN_WORDS:
                        found.append(f"{word} is not a word of the sources")
            for message in found:
                yield f"{path}:{number}: {message}"


def check_rooms(repository):
    rooms = list(rooms_drawing.read_rooms(repository.text(ROOMS)))
    rows = re.findall(r"^\| `([a-z]+)` \|", repository.text(ARCHITECTURE), re.MULTILINE)
    if rows != rooms:
        yield f"{ARCHITECTURE}: its table has the rooms {' '.join(rows)}; {ROOMS} has {' '.join(rooms)}"
    if DRAWING not in repository.files or repository.text(DRAWING) != rooms_drawing.draw(repository.text(ROOMS)):
        yield f"{DRAWING} is not what scripts/rooms_drawing.py draws of {ROOMS}: run it"


def violations(root):
    repository = Repository(root)
    for check in (check_pages, check_comments, check_rooms):
        yield from check(repository)


# A small sound tree, and what is planted in it, one after the other: files, and words of the line that they must give.
SOUND_ROOMS = "# The rooms.\nbase:\nnn: base\n"
PAGE = "# A page\n\n## Its second part\n\n"
SOUND = {
    ROOMS: SOUND_ROOMS,
    DRAWING: rooms_drawing.draw(SOUND_ROOMS),
    ARCHITECTURE: "| room | holds |\n| --- | --- |\n| `base` | errors |\n| `nn` | blocks |\n",
    CONFIG_REFERENCE: "## model\n\n| key | type |\n| --- | --- |\n| `lfa` | bool |\n",
    "docs/page.md": PAGE + "[itself](#its-second-part), [rooms](architecture.md), `nn/block.h`, `src/ROOM/FILE.cpp`, `model.lfa`,\n"
    "`model.safetensors`, `BlockContext`, `run_all()`, `headwater train`\n\n```\nheadwater train x.json --model.lfa=true\n```\n",
    "include/headwater/nn/block.h": "// Declared beside BlockContext (nn/block.cpp).\nstruct BlockContext { void run_all(); };\n",
    "src/nn/block.cpp": "",
    "src/cli/train.cpp": 'app.command("train", "Train");\n',
}
PLANTED = [
    ({"docs/new.md": "[gone](gone.md)\n"}, "leads nowhere"),
    ({"docs/new.md": "[part](page.md#third-part)\n"}, "no such heading"),
    ({"docs/new.md": "`nn/gone.h`\n"}, "nn/gone.h is not a file"),
    ({"docs/new.md": "`src/ROOM/FILE.cu`\n"}, "src/ROOM/FILE.cu is not a file"),
    ({"docs/new.md": "`src/gone`\n"}, "src/gone is not a file"),
    ({"docs/new.md": "```\nscripts/gone.sh\n```\n"}, "scripts/gone.sh is not a file"),
    ({"docs/new.md": "`model.lfas`\n"}, "model.lfas is not a key"),
    ({"docs/new.md": "```\nheadwater train --model.lfas=1\n```\n"}, "model.lfas is not a key"),
    ({"docs/new.md": "`headwater trian`\n"}, "trian is not a command"),
    ({"docs/new.md": "`BlockContent`\n"}, "BlockContent is not a word"),
    ({"docs/new.md": "`run_nothing()`\n"}, "run_nothing is not a word"),
    ({"src/nn/new.cpp": "// As nn/gone.h has it.\n"}, "nn/gone.h is not a file"),
    ({"src/nn/new.cpp": "// A BlockContent is given.\n"}, "BlockContent is not a word"),
    ({"src/nn/new.cpp": "// It calls run_nothing().\n"}, "run_nothing is not a word"),
    ({ARCHITECTURE: "| `nn` | blocks |\n| `base` | errors |\n"}, "has the rooms nn base"),
    ({DRAWING: "<svg/>\n"}, "is not what scripts/rooms_drawing.py draws"),
]


if __name__ == "__main__":
    tree_check.main(__doc__, violations, SOUND, PLANTED)
