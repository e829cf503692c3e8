"""The command line of a check of the repository's tree, and its test: each violation planted in a small sound tree is found."""

import argparse
import sys
import tempfile
from pathlib import Path


def planted_faults(violations, sound, planted):
    """A line for each of `planted`, pairs of files to write into the tree `sound` (name: content) and words of the one line that
    `violations` must then give, of which that is not so; and one where the tree is refused without any."""
    for files, expected in [({}, None)] + planted:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for file, content in {**sound, **files}.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text(content, encoding="utf-8")
            found = list(violations(root))
        if not files and found:
            yield f"the sound tree is refused: {found}"
        if files and not (len(found) == 1 and expected in found[0]):
            yield f"{files} should give one line with '{expected}', gives {found}"


def main(description, violations, sound, planted):
    """Prints the violations of the tree, or with --self-test what is wrong with the check; ends the program, with 1 after a line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true", help="plant violations and see that they are found")
    options = parser.parse_args()
    lines = list(planted_faults(violations, sound, planted) if options.self_test else violations(options.root))
    for line in lines:
        print(line)
    sys.exit(1 if lines else 0)
