"""What a GPU takes for a kernel and for an op, from the counts of kernels/counts.tsv.

A kernel works in units: turns of its main loop, or passes of a warp through all of it. One that multiplies matrices takes,
for a unit, the clocks of a scheduler that is played (scheduler.py). One that memory bounds takes the root of the sum of two
squares: of its units' clocks on the multiprocessors, where bytes too few in flight show as waiting, and of its bytes at the
speed of a copy. Products are the library's: the longer of their FLOPs and their bytes."""

import csv
import math
import re
from dataclasses import dataclass

from kernel_budget import KERNELS as FOLDER
from kernel_budget import Use, read_budget

COUNTS = FOLDER / "counts.tsv"
ARCHITECTURE = "sm_90a"
WARP, SCHEDULERS = 32, 4  # lanes; of a multiprocessor
FLOPS_OF_HMMA = 4096


@dataclass(frozen=True)
class Device:
    multiprocessors: int
    clock: float  # Hz, at work
    copy: float  # bytes/s
    products: float  # FLOP/s that the library reaches
    peak: float  # FLOP/s, dense, of the data sheet: what MFU divides by

    def flops(self, clocks_of_hmma):
        """FLOP/s of a kernel that takes so many clocks of a scheduler for an HMMA."""
        return FLOPS_OF_HMMA / clocks_of_hmma * SCHEDULERS * self.multiprocessors * self.clock


DEVICES = {  # by their kind (gpu_names.py)
    "h200-141gb": Device(132, 1.755e9, 4.3e12, 680e12, 989.4e12),
    "h100-80gb": Device(132, 1.755e9, 3.0e12, 680e12, 989.4e12),
}
LAUNCH = 2e-6  # s
PAUSE = 300  # clocks

ASSUMED = [  # what, how much, from where, how sure
    (
        "clock",
        "1.755 GHz",
        "A busy H100 stays below the 1.83 GHz of the data sheet's peak. For attention it drops out, since the "
        "figures that it is checked by were turned into clocks with it.",
        "± 5 %",
    ),
    ("copy", "4.3 TB/s on an H200, 3.0 on an H100", "90 % of the data sheets' 4.8 and 3.35.", "± 5 %"),
    (
        "cuBLASLt",
        "680 TFLOP/s, or its bytes at the speed of a copy",
        "Large square products reach 790; these are smaller, and the clock falls under them.",
        "± 8 %",
    ),
    (
        "`mma.sync`",
        "63 % of the dense rate",
        "Reported for Hopper as 62 to 63 % (arXiv 2402.13499); `wgmma` alone has all of it.",
        "± 3 %",
    ),
    (
        "pipes, lanes a clock",
        "fp32 128, integers and conversions 64, f64 64, special functions 16, shuffles 32; shared memory 128 bytes, L2 64",
        "CUDA programming guide for compute capability 9.0; L2 as on earlier GPUs.",
        "sure but for L2",
    ),
    (
        "latency, clocks",
        "fp32 4, integers 5, special functions 28, shuffle 28, shared memory and L1 33, HMMA 33, L2 270, memory 600",
        "Microbenchmarks of Hopper (arXiv 2402.13499). Memory is 480 there, idle.",
        "memory ± 25 %",
    ),
    (
        "blocks side by side",
        "played as if they met at each other's barriers",
        "FA2's forward at head size 128 comes out 30 % too short where their warps take turns freely.",
        "fitted",
    ),
    (
        "where a load comes from",
        "L1: an address that each row or turn repeats, a gain's; L2: single numbers, tiles of keys; memory: the rest",
        "Few numbers lie in few lines, which other blocks have asked for.",
        "± 7 % of attention's backward, less elsewhere",
    ),
    ("a kernel's begin and end", "2 µs", "Launch, first loads, last blocks.", "± 1 µs"),
    ("before the next block", f"{PAUSE} clocks", "A guess.", "± 200"),
    ("memory beside the rest", "root of the sum of the squares", "Neither hides all of the other. A choice.", "± 7 %"),
]

# FlashAttention-2 on an H100, 8192 tokens: what, TFLOP/s as published (arXiv 2407.08608), clocks of a scheduler for an HMMA as
# played, and of which kernel: a part of its mangled name, which no other has in the library that docs/benchmarks/gpu-kernels.md
# names. It has the head size, the tile's queries and keys, the warps, and what is on: dropout, the mask, windows, slopes, whole
# tiles, whole rows.
PUBLISHED = [
    ("forward, head size 64, causal", 295, 12.15, "ILi64ELi128ELi128ELi4ES2_EELb0ELb1ELb0ELb0ELb1ELb1ELb0EE"),
    ("forward, head size 64", 322, 11.91, "ILi64ELi128ELi128ELi4ES2_EELb0ELb0ELb0ELb0ELb1ELb1ELb0EE"),
    ("forward, head size 128, causal", 333, 10.14, "ILi128ELi128ELi64ELi4ES2_EELb0ELb1ELb0ELb0ELb1ELb1ELb0EE"),
    ("backward, head size 64", 287, 12.36, "ILi64ELi128ELi128ELi8ES2_EELb0ELb0ELb0ELb0ELb1ELb1EE"),
    ("backward, head size 128", 318, 11.46, "ILi128ELi64ELi128ELi8ES2_EELb0ELb0ELb0ELb0ELb1ELb1EE"),
]


@dataclass(frozen=True)
class Kernel:
    """A kernel as a step of Yuan 2.0-2.1B launches it, and its work in the elements of the op's shape."""

    name: str  # in kernels/budget.tsv; D is the head size, DROPOUT whether the kernel drops
    threads: int = 256  # of a block
    head_sizes: tuple = (64, 96, 128, 256)  # those that it serves, where D is in its name
    pairs: bool = False  # its work: pairs of a query and a key
    stores: int = 0  # its work: bytes an element that it stores, 16 at a time
    loads: int = 0  # its work, where it stores next to nothing: bytes an element that it loads
    elements: object = None  # of sizes: where they are not those of the shape
    bytes: object = None  # of sizes: memory that it moves; the op's where nothing is said
    blocks: object = None  # of sizes: where a launch has fewer than the GPU holds
    launches: object = None  # of sizes: one after the other, each with its share of the work
    whole: bool = False  # a unit is a pass through the kernel
    turns: tuple = ()  # of loops on its way that no constant says (hot_path.py)
    by_warp: bool = False  # a row of this size is one warp's: no barriers
    skips: bool = False  # its branches skip what lies past the end (hot_path.py)
    dropout: bool = False  # it may drop: DROPOUT in its name, or decided as it runs


def groups(s):
    """Of rows: kernels/workspace.h, row_groups."""
    return min(-(-s["rows"] // 16), 528)


def sorts(s):
    """Of embedding_backward: times that it sorts."""
    return -(-s["rows"] // 4096)


def of_elements(size):
    """So many bytes for each element of the op's shape."""
    return lambda s: size * s["rows"] * s["columns"]


def norm(name, stores, sums=1, dropout=False):
    """A kernel that takes so many sums of a row. A row of 2048 columns is a warp's, whose lanes hold all of it: none of the
    loops for what they do not hold turns, one before each sum and one after the last."""
    return Kernel(name, 128, stores=stores, whole=True, turns=(0,) * (sums + 1), by_warp=True, skips=True, dropout=dropout)


def norm_backward(name):
    """One whose block has a row of 2048 columns, two chunks a thread: neither loop for further chunks turns."""
    return Kernel(name, 128, stores=2, blocks=groups, turns=(0, 0), skips=True)


NOTHING = of_elements(0)
SUMS = Kernel(
    "column_sums_kernel",
    1024,
    loads=4,
    elements=lambda s: groups(s) * s["columns"],
    bytes=NOTHING,
    blocks=lambda s: s["columns"] / 32,
)

OPS = {
    "attention": [Kernel("forward_kernel<D, DROPOUT>", 128, pairs=True, bytes=NOTHING, dropout=True)],
    "attention_backward": [
        Kernel("statistics_kernel<bf16, true>", loads=4, bytes=of_elements(4), whole=True, turns=(1, 0)),
        Kernel("first_keys_kernel<bf16>", 64, stores=12, elements=lambda s: s["rows"], bytes=NOTHING, whole=True, skips=True),
        Kernel("fill_kernel", stores=4, bytes=of_elements(4), blocks=lambda s: 1056),
        Kernel("backward_kernel<D, Sums 0, DROPOUT>", 128, (64, 96, 128), pairs=True, bytes=NOTHING, dropout=True),
        Kernel("backward_kernel<D, Sums 1, DROPOUT>", 128, (256,), pairs=True, bytes=NOTHING, dropout=True),
        Kernel("backward_kernel<D, Sums 2, DROPOUT>", 128, (256,), pairs=True, bytes=NOTHING, dropout=True),
        Kernel("round_kernel", stores=2, bytes=of_elements(6), whole=True),
    ],
    "rotary": [Kernel("rotary_kernel<bf16, 8>", 64, stores=2, whole=True, skips=True)],
    "lfa_taps": [Kernel("lfa_taps_kernel<bf16, 8>", stores=2, skips=True)],
    "lfa_taps_rms_norm": [norm("lfa_taps_rms_norm_kernel<bf16, 8>", stores=4)],
    "lfa_taps_backward": [Kernel("lfa_taps_backward_kernel<bf16, 8>", loads=2, blocks=groups, skips=True), SUMS],
    "rms_norm": [norm("rms_norm_kernel<bf16, 8>", stores=2)],
    "rms_norm_backward": [norm_backward("rms_norm_backward_kernel<bf16, 8, false>"), SUMS],
    "rms_norm_backward, added": [norm_backward("rms_norm_backward_kernel<bf16, 8, true>"), SUMS],
    "layer_norm": [norm("layer_norm_kernel<bf16, 8>", stores=2, sums=2)],
    "layer_norm_backward": [norm_backward("layer_norm_backward_kernel<bf16, 8, false>"), SUMS, SUMS],
    "residual_add": [Kernel("residual_add_kernel<bf16, 8>", stores=2, dropout=True)],
    "residual_rms_norm": [norm("residual_rms_norm_kernel<bf16, 8>", stores=4, dropout=True)],
    "residual_layer_norm": [norm("residual_layer_norm_kernel<bf16, 8>", stores=4, sums=2, dropout=True)],
    "dropout_backward": [Kernel("dropout_backward_kernel<bf16, 8>", stores=2, dropout=True)],
    "add": [Kernel("add_kernel<bf16, bf16, 8>", stores=2)],
    "copy": [Kernel("copy_kernel<bf16, bf16, 8>", stores=2)],
    "swiglu": [Kernel("swiglu_kernel<bf16, 8>", stores=2)],
    "swiglu_backward": [Kernel("swiglu_backward_kernel<bf16, 8>", stores=4)],
    "embedding": [Kernel("embedding_kernel<bf16, 8>", stores=2)],
    "embedding_backward": [
        Kernel(
            "sort_kernel",
            loads=4,
            # Of each token there are eight lanes, and 256 others in a turn.
            elements=lambda s: min(s["rows"], 4096) * s["rows"] / 32,
            bytes=NOTHING,
            blocks=lambda s: min(s["rows"], 4096) / 32,
            launches=sorts,
        ),
        Kernel("embedding_backward_kernel<bf16, 4>", stores=4, whole=True, launches=sorts, skips=True),
    ],
    "softmax_statistics": [Kernel("softmax_statistics_kernel<bf16, 8>", 512, loads=2, blocks=lambda s: s["rows"], skips=True)],
    "cross_entropy_backward": [Kernel("cross_entropy_backward_kernel<bf16, 8>", 512, stores=2, blocks=lambda s: s["rows"])],
    "add_squared_norm": [Kernel("squares_kernel", loads=4, blocks=lambda s: 1056)],
    "adamw": [Kernel("adamw_kernel<bf16>", stores=12, blocks=lambda s: 1056)],
    "zero": [],  # the driver's
}

for activation, function in (("relu", "Relu"), ("gelu", "GeluErf"), ("gelu_tanh", "GeluTanh")):
    OPS[activation] = [Kernel(f"activation_kernel<{function}, bf16, 8>", stores=2)]
    OPS[f"{activation}_backward"] = [Kernel(f"activation_backward_kernel<{function}, bf16, 8>", stores=2)]

# What a step of Yuan's on one rank does not call, so that `bench ops` does not list it: op, columns, bytes an element.
OTHERS = [
    ("copy", "hidden", 4),
    ("layer_norm", "hidden", 4),
    ("residual_layer_norm", "hidden", 8),
    ("layer_norm_backward", "hidden", 6),
    ("dropout_backward", "hidden", 4),
    ("add", "hidden", 6),
    *((activation + pass_, "ffn", moved) for activation in ("relu", "gelu", "gelu_tanh") for pass_, moved in (("", 4), ("_backward", 6))),
]

HEAD_SIZES = (64, 96, 128, 256)  # that have kernels on tensor cores


class Uncounted(Exception):
    """A kernel of the tables that is not in the files."""


def every_kernel():
    """Each of the tables once, at each head size, with and without dropout: [(kernel, its name in the budget, if it drops)]."""
    found = {}
    for kernels in OPS.values():
        for kernel in kernels:
            for size in kernel.head_sizes:
                for drops in (False, True) if kernel.dropout else (False,):
                    found[name_at(kernel, size, drops), drops] = kernel
    return [(kernel, name, drops) for (name, drops), kernel in found.items()]


def name_at(kernel, head_size, drops):
    return re.sub(r"\bD\b", str(head_size), kernel.name.replace("DROPOUT", str(drops).lower()))


# ---- what is counted ----


def read_counts():
    """{(kernel, whether it drops): its line as numbers}, of the architecture."""
    lines = [line for line in COUNTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    number = lambda text: float(text) if re.match(r"[\d.]+$", text) else text  # noqa: E731
    rows = [{column: number(text) for column, text in row.items()} for row in csv.DictReader(lines, delimiter="\t")]
    return {(row["kernel"], row["dropout"] == "yes"): row for row in rows}


def resident_blocks(name, threads):
    """Of a kernel on a multiprocessor, launched with so many threads a block."""
    _, budget = read_budget()
    found = [row for (_, kernel, architecture), row in budget.items() if (kernel, architecture) == (name, ARCHITECTURE)]
    if not found:
        raise Uncounted(f"kernels/budget.tsv has no {name} on {ARCHITECTURE}: scripts/kernel_model.py names kernels of old")
    numbers = {column: int(found[0][column]) for column in ("registers", "spilled", "local", "shared_arrays", "shared_block")}
    return Use(found[0]["source"], name, ARCHITECTURE, threads, **numbers).blocks


# ---- predictions ----


class Model:
    def __init__(self, device, counts=None):
        self.device = device
        self.counts = read_counts() if counts is None else counts

    def kernel_seconds(self, kernel, s, op_bytes, dropout=False):
        """Of its launches at sizes `s`; op_bytes: of memory, where the table gives it all of the op's."""
        drops = dropout and kernel.dropout
        name = name_at(kernel, s["head_dim"], drops)
        row = self.counts.get((name, drops))
        if row is None:
            raise Uncounted(f"kernels/counts.tsv has no {name}: scripts/kernel_counts.py --write")
        launches = kernel.launches(s) if kernel.launches else 1
        busy = self.device.multiprocessors
        warps = row["warps"]  # of a scheduler
        if kernel.blocks:
            blocks = kernel.blocks(s)
            busy = min(busy, blocks)
            warps = min(warps, math.ceil(blocks / busy) * kernel.threads / WARP / SCHEDULERS)
        clocks = max(row["clocks"], row["alone"] / warps) * units(kernel, row, s) / SCHEDULERS / busy
        bytes_moved = op_bytes if kernel.bytes is None else kernel.bytes(s)
        return launches * LAUNCH + math.hypot(clocks / self.device.clock, bytes_moved / self.device.copy)

    def seconds(self, op, sizes):
        """Of an op of `bench ops`; None where its shape asks for kernels that nobody counted."""
        s = sizes_of(op, sizes)
        if op["op"].startswith("linear"):
            return LAUNCH + max(op["flops"] / self.device.products, op["bytes"] / self.device.copy)
        if op["op"].startswith("attention") and s["head_dim"] not in HEAD_SIZES:
            return None
        name = kernels_name(op, s)
        if name not in OPS:
            raise Uncounted(f"scripts/kernel_model.py does not say which kernels {name} launches")
        kernels = OPS[name]
        if not kernels:
            return LAUNCH + op["bytes"] / self.device.copy
        return sum(
            self.kernel_seconds(kernel, s, op["bytes"], op["what"].startswith("dropout"))
            for kernel in kernels
            if s["head_dim"] in kernel.head_sizes or "<D" not in kernel.name
        )

    def others(self, sizes):
        """[(op, shape, bytes, seconds)] of what `bench ops` does not list."""
        for op, columns, bytes_of_element in OTHERS:
            rows = sizes["samples"] * sizes["sequence"]
            s = {**sizes, "rows": rows, "columns": sizes[columns]}
            moved = bytes_of_element * rows * sizes[columns]
            yield op, f"[{rows}, {sizes[columns]}]", moved, sum(self.kernel_seconds(kernel, s, moved) for kernel in OPS[op])
        wide = {**sizes, "head_dim": 256, "heads": sizes["hidden"] // 256}
        for op, matrices in (("attention", 4), ("attention_backward", 8)):
            moved = 2 * matrices * sizes["samples"] * sizes["sequence"] * sizes["hidden"]
            shape = f"{sizes['samples']} x {sizes['sequence']} tokens, {wide['heads']} heads of 256"
            yield op, shape, moved, self.seconds({"op": op, "what": "", "shape": shape, "flops": 0, "bytes": moved}, wide)


def kernels_name(op, s):
    """The key of OPS: a norm's backward that adds the stream's gradient moves 8 bytes an element, one that does not 6."""
    added = op["op"] == "rms_norm_backward" and op["bytes"] > 7 * s["rows"] * s["columns"]
    return "rms_norm_backward, added" if added else op["op"]


def sizes_of(op, sizes):
    """The sizes of a model with the rows and columns of an op's shape."""
    if op["op"].startswith("attention"):
        return {**sizes, "rows": sizes["samples"] * sizes["sequence"], "columns": sizes["heads"] * sizes["head_dim"]}
    first, *rest = map(int, re.match(r"\[([\d, ]+)\]", op["shape"]).group(1).split(","))
    return {**sizes, "rows": first, "columns": math.prod(rest)}


def units(kernel, row, s):
    """Of all warps of all its launches."""
    if kernel.pairs:
        # Of tiles that the mask cuts, of 128 queries and keys, half is done in vain.
        reached = s["samples"] * s["heads"] * s["sequence"] * (s["sequence"] + 1) / 2
        return reached * (1 + 128 / s["sequence"]) / row["pairs"]
    elements = kernel.elements(s) if kernel.elements else s["rows"] * s["columns"]
    bytes_of_unit = WARP * (row["stores"] if kernel.stores else row["loads"])
    return elements * (kernel.stores or kernel.loads) / bytes_of_unit
