#!/usr/bin/env python3
"""Counts what a unit of each kernel's work takes in the machine code, and compares with kernels/counts.tsv. A difference is a
line, and exit status 1; without nvcc or nvdisasm, of which FILE needs only the latter, the status is 77.

The unit is a turn of the main loop or a pass through the kernel, on the way that its time goes (hot_path.py); which kernels,
and what else is known of them, is kernel_model.py's. Columns of the file: `pairs` of a query and a key that a warp makes in a
unit; instructions (`slots`), among them products (`hmma`), `ldmatrix`, loads and stores of shared memory, special functions,
shuffles, barriers and atomic sums; bytes a lane of loads and stores of memory, and of copies from it to shared memory; the
clocks of a scheduler for which the unit holds each pipe; the warps that a scheduler holds; the clocks that a warp needs
`alone`, and that the scheduler needs with all of them (scheduler.py).

Where nvcc is not the one that the file was written with, numbers may differ, but not what a pair of a query and a key costs in
products.

usage: kernel_counts.py [--write]      --write: the file is what is counted
       kernel_counts.py FILE NAME [--whole] [--dropout] [--warps N]
                                       counts the one kernel whose mangled name has NAME in it, in a cubin, or in a library
                                       whose machine code for sm_90 is not compressed; N warps on each scheduler, 2 unless said

nvdisasm comes with the CUDA toolkit, or as the Python package nvidia-cuda-nvdisasm; it is looked for on PATH and in
$CUDA_HOME/bin.
"""

import argparse
import concurrent.futures
import math
import os
import re
import shutil
import struct
import sys
import tempfile
from collections import Counter
from pathlib import Path

import hot_path
import sass
import scheduler
from kernel_budget import SKIPPED, read_budget, run, short_name
from kernel_model import (
    ARCHITECTURE,
    COUNTS,
    FLOPS_OF_HMMA,
    FOLDER,
    PAUSE,
    SCHEDULERS,
    WARP,
    Uncounted,
    every_kernel,
    resident_blocks,
)

FAT_BINARY = struct.pack("<I", 0xBA55ED50)  # with which one begins
CUDA_MACHINE = 190  # of an ELF file
PIPES = ("tensor", "shared", "integer", "fma", "special", "f64", "memory")
COLUMNS = f"""source kernel dropout pairs slots hmma ldmatrix shared_loads shared_stores mufu shuffles barriers loads stores
    copies atomics {" ".join(PIPES)} warps alone clocks""".split()


class Fault(Exception):
    pass


def tool(name):
    return shutil.which(name) or shutil.which(name, path=os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin"))


def compiled(source, nvcc, nvdisasm):
    """{short name: disassembly} of a source's kernels."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = f"{folder}/kernels.cubin"
        run([nvcc, "-O3", "-DNDEBUG", "-std=c++20", f"-arch={ARCHITECTURE}", "-cubin", "-o", cubin, str(source)])
        found = sass.functions(run([nvdisasm, "-c", cubin]))
    return dict(zip(map(short_name, run(["c++filt"], "\n".join(found)).splitlines()), found.values()))


def accesses(run_of_unit, names):
    """Bytes a lane, of those of 16 where there are any: others are for single numbers. Not those that L1 has."""
    found = [i.bytes for i in run_of_unit if i.name in names and not i.again]
    wide = [size for size in found if size == 16]
    return sum(wide or found)


def counted(kernel, way, warps, warps_of_block):
    """The columns of a line from `pairs` on; `way`: what hot_path.Kernel.way() takes."""
    unit, whole = kernel.along(kernel.way(*way)), way[0]
    names = Counter(i.name for i in unit)
    exponentials = sum(i.opcode.startswith("MUFU.EX2") for i in unit)
    products = names["HMMA"]
    # A pair costs one of them in each lane; some more rescale, and tiles are powers of two.
    pairs = WARP * 2 ** int(math.log2(exponentials)) if products and exponentials else 0
    busy = scheduler.busy(unit)
    if products:
        warps_of_block = warps
    pause = PAUSE if whole else 0
    return {
        "pairs": pairs,
        "slots": len(unit),
        "hmma": products,
        "ldmatrix": names["LDSM"],
        "shared_loads": names["LDS"],
        "shared_stores": names["STS"],
        "mufu": names["MUFU"],
        "shuffles": names["SHFL"],
        "barriers": names["BAR"],
        "loads": accesses(unit, ("LDG",)),
        "stores": accesses(unit, ("STG",)),
        "copies": accesses(unit, ("LDGSTS",)),
        "atomics": names["RED"] + names["REDG"] + names["ATOM"] + names["ATOMG"],
        **{pipe: round(busy.get(pipe, 0)) for pipe in PIPES},
        "warps": warps,
        "alone": round(scheduler.clocks(unit, 1, 1, pause=pause)),
        "clocks": round(scheduler.clocks(unit, warps, warps_of_block, pause=pause)),
    }


def products_of_pair(line, head_size):
    return line["hmma"] * FLOPS_OF_HMMA / (2 * head_size * line["pairs"]) if line["pairs"] else None


def line_of(kernel, name, drops, text):
    threads_of_scheduler = WARP * SCHEDULERS
    warps_of_block = max(1, kernel.threads // threads_of_scheduler)
    warps = max(1, resident_blocks(name, kernel.threads) * kernel.threads // threads_of_scheduler)
    try:
        way = kernel.whole, drops, kernel.turns, kernel.by_warp, kernel.skips
        line = counted(hot_path.Kernel(text), way, warps, warps_of_block)
    except hot_path.LostWay as lost:
        raise Fault(f"{name}: {lost}; scripts/kernel_model.py says what is known of it") from lost
    if kernel.pairs:
        size = int(re.search(r"<(\d+)", name).group(1))
        products = products_of_pair(line, size)
        if not products or products % 1:
            raise Fault(
                f"{name}: {line['hmma']} HMMA for {line['pairs']} pairs are {products} products at head size {size}, no whole "
                "number: the kernel does more than its work, or a loop's turns or the way through it are not found"
            )
    elif not line["stores" if kernel.stores else "loads"]:
        raise Fault(f"{name}: no {'stores' if kernel.stores else 'loads'} on the way that its time goes")
    return {"kernel": name, "dropout": "yes" if drops else "no", **line}


def all_lines(nvcc, nvdisasm):
    _, budget = read_budget()
    source_of = {kernel: source for source, kernel, architecture in budget if architecture == ARCHITECTURE}
    wanted = every_kernel()
    missing = sorted({name for _, name, _ in wanted} - source_of.keys())
    if missing:
        raise Fault(f"kernels/budget.tsv has no {', '.join(missing)}: scripts/kernel_model.py names what is not there")
    sources = sorted({source_of[name] for _, name, _ in wanted})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(sources, pool.map(lambda source: compiled(FOLDER / source, nvcc, nvdisasm), sources)))
    for kernel, name, drops in sorted(wanted, key=lambda item: (source_of[item[1]], item[1], item[2])):
        yield {"source": source_of[name], **line_of(kernel, name, drops, found[source_of[name]][name])}


def text_of(line):
    return "\t".join(str(line[column]) for column in COLUMNS)


def compare(version, lines):
    """Faults, one a line."""
    first, _, *rows = COUNTS.read_text(encoding="utf-8").splitlines()
    expected = {tuple(row.split("\t")[1:3]): dict(zip(COLUMNS, row.split("\t"))) for row in rows}
    same = first.split()[-1] == version
    for line in lines:
        name = f"{line['source']}: {line['kernel']}" + (" with dropout" if line["dropout"] == "yes" else "")
        row = expected.pop((line["kernel"], line["dropout"]), None)
        if row is None:
            yield f"{name}: not in kernels/counts.tsv"
            continue
        if line["pairs"] and line["hmma"] * int(row["pairs"]) != int(row["hmma"]) * line["pairs"]:
            yield f"{name}: {line['hmma']} HMMA for {line['pairs']} pairs, {row['hmma']} for {row['pairs']} in the file"
        elif same and text_of(line) != "\t".join(row.values()):
            changed = [f"{column} {line[column]} ({row[column]})" for column in COLUMNS if str(line[column]) != row[column]]
            yield f"{name}: {', '.join(changed)} in the file"
    for name, dropout in expected:
        yield f"{name}{' with dropout' if dropout == 'yes' else ''}: in kernels/counts.tsv, but no such kernel is counted"


def images(file):
    """The cubins for sm_90 in a file: itself, or those in a library's fat binaries."""
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise Fault(f"{file}: {error.strerror}, where a cubin or a library with one is wanted") from error
    if not content.startswith(b"\x7fELF") or struct.unpack_from("<H", content, 18)[0] == CUDA_MACHINE:
        return [content]
    found, at = [], content.find(FAT_BINARY)
    while at >= 0:
        _, _, header, size = struct.unpack_from("<IHHQ", content, at)
        entry, end = at + header, at + header + size
        while entry < end:  # kind 2 is machine code
            kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", content, entry)
            (architecture,) = struct.unpack_from("<I", content, entry + 28)
            if kind == 2 and architecture == 90:
                found.append(content[entry + entry_header : entry + entry_header + entry_size])
            entry += entry_header + entry_size
        at = content.find(FAT_BINARY, end)
    return found


def count_one(arguments, nvdisasm):
    chosen = {}
    for image in images(arguments.file):
        if arguments.name.encode() in image:
            with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
                cubin.write(image)
                cubin.flush()
                functions = sass.functions(run([nvdisasm, "-c", cubin.name]))
            chosen.update((name, text) for name, text in functions.items() if arguments.name in name)
    if len(chosen) != 1:
        raise Fault(
            f"{arguments.file}: {len(chosen)} kernels have {arguments.name} in their names, not one"
            + "".join(f"\n{name}" for name in chosen)
        )
    way = arguments.whole, arguments.dropout
    line = counted(hot_path.Kernel(*chosen.values()), way, arguments.warps, arguments.warps)
    for column, number in line.items():
        of_product = (
            f"{number / line['hmma']:10.2f} for an HMMA"
            if line["hmma"] and column in (*PIPES, "slots", "alone", "clocks")
            else ""
        )
        print(f"{column:14}{number:8}{of_product}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--dropout", action="store_true")
    parser.add_argument("--warps", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.file and not arguments.name:
        parser.error(f"{arguments.file} is given without a NAME, a part of the mangled name of the kernel to be counted")
    nvcc, nvdisasm = tool("nvcc"), tool("nvdisasm")
    if nvdisasm is None or (nvcc is None and not arguments.file):
        missing = "nvcc" if nvdisasm else "nvdisasm (pip install nvidia-cuda-nvdisasm has it, in nvidia/cu*/bin of site-packages)"
        left_out = "FILE is not counted" if arguments.file else "machine code is not compared with kernels/counts.tsv"
        print(f"no {missing} here: {left_out}")
        sys.exit(SKIPPED)
    try:
        if arguments.file:
            return count_one(arguments, nvdisasm)
        version = re.search(r"V([\d.]+)", run([nvcc, "--version"])).group(1)
        lines = list(all_lines(nvcc, nvdisasm))
    except (Fault, Uncounted) as fault:
        sys.exit(f"kernel_counts.py: {fault}")
    if arguments.write:
        head = [
            f"# Written by scripts/kernel_counts.py --write, which says what is what, for {ARCHITECTURE} with nvcc {version}"
        ]
        COUNTS.write_text("\n".join([*head, "\t".join(COLUMNS), *map(text_of, lines)]) + "\n", encoding="utf-8")
    found = list(compare(version, lines))
    print("\n".join(found) or f"{len(lines)} lines of kernels/counts.tsv hold")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
