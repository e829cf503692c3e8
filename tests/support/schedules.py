"""The names of the pipeline schedules, as the program lists them."""

import os
import re
import subprocess


def schedule_names():
    """Reads the table of schedules that `headwater config-reference` prints."""
    reference = subprocess.run([os.environ["HEADWATER"], "config-reference"], capture_output=True, text=True, check=True).stdout
    table = reference.split("## Pipeline schedules")[1].split("| --- | --- | --- |\n")[1]  # below its head
    names = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert names, reference
    return names
