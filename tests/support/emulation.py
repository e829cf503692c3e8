"""How tests of the CUDA backend name a device, and how the emulated GPU of the build `emulated` behaves (docs/cuda.md). On a
real one these names of behaviours do nothing.
"""

import os

CPU, CUDA = "--training.device=cpu", "--training.device=cuda"

# Lawful behaviours of a GPU that show different faults.
LATE, EARLY = "copies=late,streams=late", "copies=early,streams=early,order=random,seed=7"
RANDOM = "copies=random,streams=random,order=random,seed=11"

ON_A_GPU = os.environ.get("HEADWATER_CUDA") == "ON"  # built by nvcc


def emulated(how):
    """The environment of a process whose GPU behaves so."""
    return {"HEADWATER_EMULATION": how}


def visible(count):
    """The environment of a process that sees so many GPUs of its host: none or the first."""
    return {"HEADWATER_EMULATION": f"devices={count}", "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(count)))}
