#!/usr/bin/env python3
"""Compares what each kernel takes of a multiprocessor with what kernels/budget.tsv grants it. A difference is a line, and
exit status 1; without nvcc the status is 77.

The compiler says it: nvcc's PTX has the launch bounds and the most that SHARED_BLOCK may be given, ptxas's report the
registers, spills, local memory and arrays in shared memory. How many blocks a multiprocessor holds follows. Where nvcc is
not the one that the budget was written with, registers may differ: faults are then only fewer blocks, and as everywhere
spills and local memory.

usage: kernel_budget.py [--write | --self-test]
  --write      grants what is taken
  --self-test  checks, without a compiler, that faults are found
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
BUDGET = KERNELS / "budget.tsv"
SKIPPED = 77

# Limits of a multiprocessor (CUDA programming guide, "Technical Specifications per Compute Capability"); all but shared
# memory is the same for 8.0 and 9.0.
SHARED_BYTES = {"sm_80": 164 * 1024, "sm_90a": 228 * 1024}
WARPS, BLOCKS, REGISTERS = 64, 32, 64 * 1024
SYSTEM_SHARED_BYTES = 1024  # of each block
# Of a block's shared memory: what it has unasked, arrays and all. A launch that asks for more asks for the block alone.
UNASKED_SHARED_BYTES = 48 * 1024


@dataclass
class Use:
    source: str
    kernel: str
    architecture: str
    threads: int  # of a block, at most
    registers: int  # of a thread
    spilled: int  # bytes of stores and loads
    local: int  # bytes of local memory of a thread
    shared_arrays: int  # bytes of SHARED_ARRAY
    shared_block: int  # bytes of SHARED_BLOCK, at most
    blocks: int = field(init=False)  # on a multiprocessor

    def __post_init__(self):
        """As the toolkit's cuda_occupancy.h has it."""
        warps = -(-self.threads // 32)
        of_warp = round_up(32 * self.registers, 256)
        by_registers = 0  # a warp's lie in one of four partitions
        if of_warp * round_up(warps, 4) <= REGISTERS:
            by_registers = REGISTERS // 4 // of_warp * 4 // warps
        shared = round_up(self.shared_arrays + self.shared_block + SYSTEM_SHARED_BYTES, 128)
        self.blocks = min(BLOCKS, WARPS // warps, by_registers, SHARED_BYTES[self.architecture] // shared)

    def row(self):
        return [str(getattr(self, column)) for column in COLUMNS]


COLUMNS = [column.name for column in fields(Use)]


def round_up(x, unit):
    return -(-x // unit) * unit


def run(command, text=None):
    return subprocess.run(command, input=text, check=True, stdout=subprocess.PIPE, text=True).stdout


# ---- what is taken ----


def uses_of(source, architecture):
    """What the kernels of a source take on an architecture."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["nvcc", "-O3", "-DNDEBUG", "-std=c++20", f"-arch={architecture}", "-cubin", "-Xptxas=-v", "--keep"]
        command += ["--keep-dir", folder, "-o", f"{folder}/kernels.cubin", str(source)]
        compiled = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if compiled.returncode != 0:
            sys.exit(compiled.stderr)
        ptx = Path(folder, source.stem + ".ptx").read_text()
    reports = {part.split("'")[1]: part for part in compiled.stderr.split("Compiling entry function ")[1:]}
    parts = {re.match(r"\w+", part).group(): part for part in re.split(r"(?m)^(?:\.visible )?\.entry ", ptx)[1:]}
    names = map(short_name, run(["c++filt"], "\n".join(parts)).splitlines())
    for (symbol, part), name in zip(parts.items(), names):
        bounds = re.search(r"\.maxntid (\d+), (\d+), (\d+)", part)
        if bounds is None:
            sys.exit(f"{source.name}: {name} has no __launch_bounds__")
        x, y, z = map(int, bounds.groups())
        number = lambda pattern, text: sum(int(n) for n in re.findall(pattern, text))
        report = reports[symbol]
        yield Use(
            source.name,
            name,
            architecture,
            x * y * z,
            number(r"Used (\d+) registers", report),
            number(r"(\d+) bytes spill", report),
            number(r"(\d+) bytes (?:stack frame|lmem)", report),
            number(r"(\d+) bytes smem", report),
            number(r"// SHARED_BLOCK (\d+)", part),
        )


def short_name(name):
    """forward_kernel<64> of a demangled signature: no namespaces, no parameters."""
    name = re.sub(r"headwater::kernels::|\(anonymous namespace\)::", "", name).replace("__nv_bfloat16", "bf16")
    name = re.sub(r"\((\w+)\)(\d+)", r"\1 \2", name).removeprefix("void ")  # an enumerator
    return name.partition("(")[0]


def all_uses():
    jobs = [(source, architecture) for source in sorted(KERNELS.glob("*.cu")) for architecture in SHARED_BYTES]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        uses = [use for of_job in pool.map(lambda job: list(uses_of(*job)), jobs) for use in of_job]
    return sorted(uses, key=Use.row)


# ---- what is granted ----


def read_budget():
    """The compiler's version, and {(source, kernel, architecture): {column: what the file says}}."""
    first, _, *lines = BUDGET.read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(COLUMNS, line.split("\t"))) for line in lines]
    return first.split()[-1], {tuple(row[column] for column in COLUMNS[:3]): row for row in rows}


def write_budget(version, uses):
    lines = [f"# Written by scripts/kernel_budget.py --write, which says what is what, with nvcc {version}", "\t".join(COLUMNS)]
    lines += ["\t".join(use.row()) for use in uses]
    BUDGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def faults(version, uses, budget_version, budget):
    for use in uses:
        name = f"{use.source}: {use.kernel} on {use.architecture}"
        granted = budget.pop((use.source, use.kernel, use.architecture), None)
        if use.spilled or use.local:
            yield f"{name}: spills {use.spilled} bytes, {use.local} bytes of local memory"
        shared = use.shared_arrays + use.shared_block
        if use.shared_block <= UNASKED_SHARED_BYTES < shared:
            yield (f"{name}: {use.shared_arrays} bytes of arrays and a block of {use.shared_block} are more than the "
                   f"{UNASKED_SHARED_BYTES} that a launch has unasked, and the block alone is not: make the arrays a part of it")
        if shared + SYSTEM_SHARED_BYTES > SHARED_BYTES[use.architecture]:
            yield f"{name}: {shared} bytes of shared memory for a block, where a multiprocessor has {SHARED_BYTES[use.architecture]}"
        if granted is None:
            yield f"{name}: not in the budget"
        elif version == budget_version:
            for column, taken in zip(COLUMNS, use.row()):
                if taken != granted[column]:
                    yield f"{name}: {column} {taken}, {granted[column]} in the budget"
        elif use.blocks < int(granted["blocks"]):
            yield f"{name}: {use.blocks} blocks on a multiprocessor, {granted['blocks']} in the budget"
    for source, kernel, architecture in budget:
        yield f"{source}: {kernel} on {architecture}: in the budget, but no such kernel"


def self_test():
    def found(granted, **changed):
        """The faults of a kernel that takes what attention's forward takes, but for what is changed."""
        taken = {"source": "a.cu", "kernel": "k", "architecture": "sm_90a", "threads": 128, "registers": 240, "spilled": 0,
                 "local": 0, "shared_arrays": 0, "shared_block": 49792}
        plain = Use(**taken)
        use = Use(**{**taken, **changed})
        budget = {("a.cu", "k", "sm_90a"): dict(zip(COLUMNS, (use if granted else plain).row()))}
        return [fault.partition(": ")[2].partition(": ")[2] for fault in faults("1", [use], "1", budget)]

    expected = [
        (found(True), ""),
        (found(True, shared_arrays=640, shared_block=49152), "640 bytes of arrays and a block of 49152"),
        (found(True, shared_arrays=640, shared_block=48000), ""),
        (found(True, shared_arrays=640, shared_block=65536), ""),
        (found(True, shared_block=240000), "240000 bytes of shared memory"),
        (found(True, spilled=8), "spills 8 bytes"),
        (found(True, local=16), "spills 0 bytes, 16 bytes of local memory"),
        (found(False, registers=255), "registers 255, 240 in the budget"),
    ]
    for got, wanted in expected:
        assert (len(got) == 1 and got[0].startswith(wanted)) if wanted else not got, (got, wanted)
    print(f"{len(expected)} of {len(expected)} as they should be")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    if shutil.which("nvcc") is None:
        print("no nvcc here: what the kernels take is not compared with kernels/budget.tsv")
        sys.exit(SKIPPED)
    version = re.search(r"V([\d.]+)", run(["nvcc", "--version"])).group(1)
    uses = all_uses()
    if sys.argv[1:]:
        write_budget(version, uses)
    found = list(faults(version, uses, *read_budget()))
    print("\n".join(found) or f"{len(uses)} lines of kernels/budget.tsv hold")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
