"""The names of the pipeline schedules, as the program lists them."""

import os
import re
import subprocess


def schedule_names():
    """Reads the table of schedules that `headwater config-reference` prints."""
    reference = subprocess.run([os.environ["HEADWATER"], "config-reference"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^\| `([^`]+)` \|", reference.split("## Pipeline schedules")[1], re.MULTILINE)
    assert names, reference
    return names
