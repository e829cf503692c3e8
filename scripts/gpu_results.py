"""Reads the files that scripts/gpu_speed.py leaves, or says in one line why that cannot be done."""

import json
from pathlib import Path


class Unreadable(Exception):
    pass


def read(file, *keys):
    """The object in a file of JSON, which must have these keys."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}; scripts/gpu_speed.py leaves such a file") from None
    except ValueError as error:
        raise Unreadable(f"{file} is no whole JSON ({error}); scripts/gpu_speed.py leaves such a file") from None
    missing = [key for key in keys if not isinstance(found, dict) or key not in found]
    if missing:
        raise Unreadable(f"{file} has no {' and no '.join(missing)}; scripts/gpu_speed.py leaves a file that has")
    return found
