#!/usr/bin/env python3
"""Prints docs/benchmarks/gpu-kernels.md: a step, and each op of it, as predicted from the machine code (kernel_model.py) and,
where a GPU was there, as measured, beside PyTorch's. What was not measured stays empty, and the page says so.

usage: kernel_table.py RESULTS.json > docs/benchmarks/gpu-kernels.md      RESULTS.json: of scripts/gpu_speed.py
"""

import re
import statistics
import sys
import textwrap

import gpu_results
import step_model
from kernel_model import ASSUMED, FLOPS_OF_HMMA, PUBLISHED, SCHEDULERS, WARP, Uncounted
from kernel_results import ASSUMED_DEVICE, Results, fresh_ops, memory_bounds, name_of, predicted_step, step_seconds

COPY_AIM, MFU_AIM = 85.0, 45.0  # %
COMMAND = """\
    scripts/gpu_speed.py --floors configs/clusters/h200-141gb.json > results.json    # without a GPU
    scripts/gpu_check.sh && scripts/gpu_check.sh collect FOLDER                      # with one: results.json is in the folder
    scripts/kernel_table.py results.json > docs/benchmarks/gpu-kernels.md
"""


# ---- cells ----


def number(value, digits=1):
    return "" if value is None else f"{value:,.{digits}f}"


def microseconds(seconds):
    return "" if seconds is None else number(seconds * 1e6, 1 if seconds < 1e-3 else 0)


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def ratio(of, to):
    return None if of is None or not to else of / to


def table(head, rows):
    """`head`: names of columns; those that begin with ">" hold numbers."""
    lines = [
        "| " + " | ".join(name.lstrip(">") for name in head) + " |",
        "| " + " | ".join("---:" if name.startswith(">") else "---" for name in head) + " |",
    ]
    return lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows] + [""]


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def wrapped(paragraphs):
    """Lines of 128 columns; those of a list's point after the first are indented."""
    indent = {True: "  ", False: ""}
    return [line for text in paragraphs for line in textwrap.wrap(text, 128, subsequent_indent=indent[text.startswith("- ")])]


# ---- a step ----


def step_part(results):
    rows, parts = [], []
    for step in results.steps:
        predicted, measured = predicted_step(results, step), step.get("step")
        row = [step["name"]]
        if predicted:
            row += [
                number(predicted.seconds * 1e3, 0),
                number(predicted.tokens_per_second, 0),
                f"**{100 * predicted.mfu(results.device.peak):.1f} %**",
            ]
            parts.append([step["name"]] + [number(predicted.parts[part] * 1e3) for part in step_model.PARTS])
        else:
            row += [""] * 3
        if measured:
            row += [
                number(step_seconds(measured) * 1e3, 0),
                number(measured["tokens_per_second"], 0),
                f"{100 * measured['mfu']:.1f} %" if "mfu" in measured else "",
            ]
            row.append(number(ratio(predicted.seconds if predicted else None, step_seconds(measured)), 2))
        else:
            row += ["", "", step.get("error", "") if results.device_name else "", ""]
        rows.append(row)
    lines = [
        "## A step of Yuan 2.0-2.1B",
        "",
        *wrapped(
            [
                "One GPU, bf16, recomputation none. MFU is 3 times the FLOPs of a forward, causal attention counted by half, "
                f"over the data sheet's dense peak, {results.device.peak / 1e12:.1f} TFLOP/s."
            ]
        ),
        "",
    ]
    if not rows:
        return lines + ["The results hold no step.", ""]
    head = ["step", ">predicted ms", ">tokens/s", ">MFU", ">measured ms", ">tokens/s", ">MFU", ">predicted / measured"]
    lines += table(head, rows)
    if parts:
        lines += ["The predicted milliseconds of a micro-batch, and of the update at the end of a step:", ""]
        lines += table(["step", *(f">{part}" for part in step_model.PARTS)], parts)
    return lines


# ---- attention ----


def attention_part(results):
    """TFLOP/s, at each shape."""
    lines = [
        "## Attention",
        "",
        "TFLOP/s, where forward is two products of the pairs that the causal mask leaves and backward five,",
        "whatever is really done.",
        "",
    ]
    peers = sorted(
        {
            peer
            for shape in results.shapes
            for op in shape["bench"]["ops"]
            if op["op"].startswith("attention")
            for peer in results.peers(shape, op)
        }
    )
    rows = []
    for shape in results.shapes:
        sizes = shape["bench"]["sizes"]
        for op in shape["bench"]["ops"]:
            if not op["op"].startswith("attention"):
                continue
            predicted = results.model.seconds(op, sizes)
            speed = lambda seconds: number(ratio(op["flops"] / 1e12, seconds), 0)  # noqa: E731
            theirs = results.peers(shape, op)
            rows.append(
                [
                    name_of(op),
                    str(sizes["head_dim"]),
                    str(sizes["sequence"]),
                    speed(predicted),
                    speed(op.get("seconds")),
                    *(speed(theirs.get(peer)) for peer in peers),
                ]
            )
    return lines + table(["op", ">D", ">S", ">predicted", ">measured", *(f">{peer}" for peer in peers)], rows)


# ---- ops ----


def op_row(results, shape, op):
    bench = shape["bench"]
    by_memory, seconds = memory_bounds(op, bench), op.get("seconds")
    predicted = results.model.seconds(op, bench["sizes"])
    shares = []
    for time, copy in ((predicted, results.device.copy), (seconds, results.copy(bench))):
        shares.append(percent(ratio(op["bytes"] / copy, time)) if by_memory else percent(ratio(op["floor_seconds"], time)))
    peers = ", ".join(
        f"{name} {time * 1e6:,.1f} ({time / seconds:.2f})" if seconds else f"{name} {time * 1e6:,.1f}"
        for name, time in results.peers(shape, op).items()
    )
    return [
        name_of(op),
        op["shape"],
        "memory" if by_memory else "products",
        microseconds(op["floor_seconds"]),
        microseconds(predicted),
        shares[0],
        microseconds(seconds),
        shares[1],
        number(ratio(predicted, seconds), 2),
        peers,
    ]


HEAD = [
    "op",
    "shape",
    "bound by",
    ">floor, µs",
    ">predicted, µs",
    ">its share",
    ">measured, µs",
    ">its share",
    ">predicted / measured",
    "PyTorch, µs (its time / ours)",
]


def ops_part(results):
    floor = results.shapes[0]["bench"]["floor"]
    lines = [
        "## Ops",
        "",
        f"Floor: the longer of FLOPs / {floor['matmul_flops']:.4g} and least bytes / {floor['memory_bandwidth']:.4g}"
        f" ({results.shapes[0]['bench']['floor_source']}).",
        "Share: of the floor where products bound, of a copy's speed where memory does. An op stands where its shape comes",
        "first.",
        "",
    ]
    for shape in results.shapes:
        sizes = shape["bench"]["sizes"]
        rows = [op_row(results, of, op) for of, op in fresh_ops(results.shapes) if of is shape]
        if rows:
            lines += [
                f"### {shape['name']}",
                "",
                f"{sizes['samples']} samples of {sizes['sequence']} tokens, H {sizes['hidden']}, {sizes['heads']} heads of "
                f"{sizes['head_dim']}, F {sizes['ffn']}, V {sizes['vocabulary']}",
                "",
            ]
            lines += table(HEAD, rows)
    return lines


def others_part(results):
    rows = [
        [op, shape, number(moved / 1e6, 0), microseconds(seconds), percent(moved / results.device.copy / seconds)]
        for op, shape, moved, seconds in results.model.others(results.shapes[0]["bench"]["sizes"])
    ]
    return [
        "### What is not among the ops above",
        "",
        "A step calls the first two of them.",
        "",
        *table(["op", "shape", ">MB", ">predicted, µs", ">of a copy"], rows),
        "Not predicted are the plain attention kernels (fp32, and head sizes without tensor cores), and what takes",
        "microseconds: the decision on a step, the sums of losses and norms.",
        "",
    ]


# ---- the counts ----


COUNTED = """\
## What the machine code takes

From `kernels/counts.tsv`, which `scripts/kernel_counts.py --write` takes from what nvcc makes for sm_90a. Of the kernels that
multiply matrices: products of a pair of a query and a key, and for each HMMA (16 x 8 x 16, 4096 FLOPs) of a warp its
`ldmatrix` and instructions; then clocks of a scheduler, of which a multiprocessor has four: those for which each pipe is held,
those of one warp alone, and those that the scheduler needs with the warps that it holds, which are what is predicted.
TFLOP/s are of all the products that the kernel makes.
"""
COUNTED_BY_BYTES = """\
Of the others, for a turn of the main loop, or a pass of a warp: bytes a lane that are loaded, without what L1 has, and stored;
instructions for 16 bytes; barriers; the warps that a multiprocessor holds; the clocks of a warp alone, and of a scheduler with
all its warps; and the bytes a clock that come of that on a multiprocessor. A copy moves {:.1f}.
"""


def products_row(results, name, dropout, row):
    of_product = lambda column: number(row[column] / row["hmma"], 2)  # noqa: E731
    size = int(re.search(r"<(\d+)", name).group(1))
    products = row["hmma"] * FLOPS_OF_HMMA / (2 * size * row["pairs"])
    speed = results.device.flops(row["clocks"] / row["hmma"])
    columns = ("ldmatrix", "slots", "tensor", "shared", "integer", "fma", "special", "alone")
    return [
        code(name, dropout),
        number(products, 0),
        *map(of_product, columns),
        f"**{of_product('clocks')}**",
        number(speed / 1e12, 0),
    ]


def bytes_row(name, dropout, row):
    moved = row["loads"] + row["stores"]
    return [
        code(name, dropout),
        f"{row['loads']:.0f} + {row['stores']:.0f}",
        number(row["slots"] * 16 / moved),
        *(number(value, 0) for value in (row["barriers"], row["warps"] * SCHEDULERS, row["alone"], row["clocks"])),
        number(WARP * moved * SCHEDULERS / row["clocks"], 0),
    ]


def code(name, dropout):
    return f"`{name}`" + (" with dropout" if dropout else "")


def counts_part(results):
    lines = sorted(results.model.counts.items())
    products = [products_row(results, *key, row) for key, row in lines if row["pairs"]]
    others = [bytes_row(*key, row) for key, row in lines if not row["pairs"]]
    pipes = [">ldmatrix", ">instructions", ">tensor", ">shared", ">integer", ">fp32", ">special"]
    copy = results.device.copy / results.device.multiprocessors / results.device.clock
    return [
        COUNTED,
        *table(["kernel", ">products", *pipes, ">alone", ">played", ">TFLOP/s"], products),
        COUNTED_BY_BYTES.format(copy),
        *table(["kernel", ">bytes", ">instructions", ">barriers", ">warps", ">alone", ">played", ">bytes a clock"], others),
    ]


# ---- aims, and what came of the prediction ----


def copy_shares(results):
    """Of what multiplies no matrices, at the first shape: {op: (predicted, measured or None)}, in parts of a copy's speed."""
    bench = results.shapes[0]["bench"]
    shares = {}
    for op in bench["ops"]:
        if not op["flops"] and op["op"] != "zero":
            predicted = op["bytes"] / results.device.copy / results.model.seconds(op, bench["sizes"])
            shares[name_of(op)] = predicted, ratio(op["bytes"] / results.copy(bench), op.get("seconds"))
    return shares


def reached(shares):
    low = [f"{name} {percent(share)}" for name, share in shares.items() if 100 * share < COPY_AIM]
    return f"{len(shares) - len(low)} of {len(shares)} ops" + (f", below it {', '.join(low)}" if low else "")


def aims(results):
    ratios = {}
    for shape in results.shapes:
        for op in shape["bench"]["ops"]:
            if op["op"].startswith("attention") and op.get("seconds"):
                for peer, theirs in results.peers(shape, op).items():
                    ratios.setdefault(peer, []).append(theirs / op["seconds"])
    attention = ", ".join(f"{min(of):.2f} to {max(of):.2f} times as fast as {peer}" for peer, of in ratios.items())
    shares = copy_shares(results)
    measured = {name: share for name, (_, share) in shares.items() if share}
    mfu = [
        f"{100 * step['step']['mfu']:.1f} % ({step['name']})" for step in results.steps if (step.get("step") or {}).get("mfu")
    ]
    predicted = reached({name: share for name, (share, _) in shares.items()})
    return [
        "Aims:",
        "",
        *wrapped(
            [
                f"- Attention, forward and backward, at least as fast as PyTorch's: {attention or 'not measured'}.",
                f"- What multiplies no matrices at {COPY_AIM:.0f} % of a copy's speed: "
                f"{reached(measured) if measured else 'not measured'}; predicted {predicted}.",
                f"- A step of Yuan 2.0-2.1B at {MFU_AIM:.0f} % MFU: {', '.join(mfu) or 'not measured'}; predicted below.",
            ]
        ),
        "",
    ]


def against_part(results):
    lines = ["## Prediction against measurement", ""]
    found = [(what, predicted, measured, predicted / measured) for what, predicted, measured in results.measured()]
    if not found:
        return lines + [
            "Nothing is measured, so nothing is known of how the predictions of these kernels hold. What the model says of",
            "kernels whose speed others have published is [below](#how-far-off-it-is).",
            "",
        ]
    size = lambda entry: max(entry[3], 1 / entry[3])  # noqa: E731
    rows = [
        [what, microseconds(predicted), microseconds(measured), number(share, 2)]
        for what, predicted, measured, share in sorted(found, key=size, reverse=True)[:15]
    ]
    groups = {"attention": [], "products": [], "memory": [], "steps": []}
    kinds = {"attention": "attention", "linear": "products", "step,": "steps"}
    for what, _, _, share in found:
        groups[next((kind for start, kind in kinds.items() if what.startswith(start)), "memory")].append(share)
    medians = ", ".join(
        f"{kind} {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
        for kind, shares in groups.items()
        if shares
    )
    return lines + [
        *wrapped([f"Predicted / measured, median and range of {len(found)}: {medians}. The largest deviations:"]),
        "",
        *table(["what", ">predicted, µs", ">measured, µs", ">predicted / measured"], rows),
    ]


METHOD = """\
## How it is predicted

*A kernel with products.* One scheduler of a multiprocessor is played with its warps, instruction by instruction, through the
main loop: each warp in order, one instruction a clock for all, each when its operands are there and its pipe is free; of what
the four schedulers share it has a quarter. Masked tiles and other seldom ways are passed by. The clocks of a turn, the pairs
of a query and a key that it makes, and the number of pairs give the time. Tiles that the causal mask cuts are done whole:
128 / S more. That blocks wait for their turn to add, where gradients are summed in order, is not in it.

*A kernel that memory bounds.* The same play, with caches and memory that answer after a fixed time and never tire, gives the
clocks in which its warps could move their bytes: Little's law, with barriers and dependent loads in it. The bytes of the op at
the speed of a copy give another time; the root of the sum of both squares is predicted, and 2 µs for a begin and an end.

*A product* is cuBLASLt's: FLOPs or bytes, whichever takes longer. *A step* is the sum of its ops, as often as they are called:
the host, caches from one op to the next and what a graph saves are not in it.

### What is assumed
"""
CHECKED = """\
### How far off it is

The same play of FlashAttention-2's own machine code, against what the FlashAttention-3 paper (arXiv 2407.08608) measured of
it on an H100 at 8192 tokens. Its kernels have the same instructions as ours: `mma.sync`, `ldmatrix`, `cp.async`, eight warps a
multiprocessor.
"""
COMPARED = """\
The clocks are counted in a library that holds FlashAttention 2.5.7 for sm_90, whole tiles without dropout; the forward's are
128 x 128 and 128 x 64, the backward's 128 x 128 and 64 x 128. These commands print them, in the line `clocks`:

    pip download --no-deps --only-binary :all: --python-version 3.11 xformers==0.0.26.post1
    python3 -m zipfile -e xformers-*.whl .
    counts() {{ scripts/kernel_counts.py xformers/_C_flashattention.so "bfloat16_tE19Flash_kernel_traits$1"; }}
{}
"""


def method_part(results):
    rows = []
    for what, published, clocks, _ in PUBLISHED:
        predicted = results.device.flops(clocks) / 1e12
        rows.append([what, number(clocks, 2), number(predicted, 0), number(published, 0), number(predicted / published, 2)])
    return [
        METHOD,
        *table(["what", "how much", "from where", "how sure"], [list(row) for row in ASSUMED]),
        CHECKED,
        *table(["FlashAttention-2", ">clocks of an HMMA", ">TFLOP/s, predicted", ">published", ">predicted / published"], rows),
        COMPARED.format("\n".join(f"    counts {name:57}  # {what}" for what, _, _, name in PUBLISHED)),
    ]


def not_measured(results):
    """What is absent from a page of measurements, and why."""
    lines = []
    if not results.torch:
        lines.append(
            f"PyTorch was not there to compare with: {results.without_torch}."
            if results.without_torch
            else "Nothing of PyTorch's was measured."
        )
    for word, entries, why in (("Failed", results.failed, "error"), ("Left out", results.left_out, "reason")):
        if entries:
            lines.append(f"{word}: " + "; ".join(f"{entry['name']} ({entry[why]})" for entry in entries) + ".")
    return wrapped(lines)


def where(results):
    if not results.device_name:
        return [
            "**No GPU was present when this page was made: nothing here is measured.** "
            f"Predicted is one {ASSUMED_DEVICE}; columns named",
            "measured are empty until `scripts/gpu_check.sh` has run on a machine that has a GPU.",
        ]
    benches = [shape["bench"] for shape in results.shapes if "measured" in shape["bench"]]
    speed = benches[0]["measured"] if benches else None
    lines = [
        f"Measured on {results.device_name}"
        + (f" ({', '.join(results.versions)})" if results.versions else "")
        + (f": products {speed['matmul_flops']:.4g} FLOP/s, copies {speed['memory_bandwidth']:.4g} bytes/s." if speed else ".")
    ]
    torch = next(iter(results.torch.values()), None)
    if torch:
        versions = f"PyTorch {torch['torch']}, cuDNN {torch.get('cudnn')}"
        lines.append(f"{versions} in the same run: its time / ours is above 1 where ours is less.")
    if results.unordered:
        lines.append(f"**Attention's gradients were added in no order**: {results.unordered}.")
    lines += not_measured(results)
    if not results.known:
        lines.append(f"**The predictions are for one {ASSUMED_DEVICE}**: scripts/kernel_model.py does not know this GPU.")
    return lines


def page(results):
    return (
        "\n".join(
            [
                "# Kernels on a GPU",
                "",
                COMMAND,
                *where(results),
                "",
                *aims(results),
                *step_part(results),
                *attention_part(results),
                *ops_part(results),
                *others_part(results),
                *against_part(results),
                *counts_part(results),
                *method_part(results),
            ]
        ).rstrip()
        + "\n"
    )


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        results = gpu_results.read(sys.argv[1], "device", "ops")
    except gpu_results.Unreadable as error:
        sys.exit(f"kernel_table.py: {error}")
    if not any(shape.get("bench") for shape in results["ops"]):
        sys.exit(f"kernel_table.py: {sys.argv[1]} holds the ops of no shape: nothing to predict or to compare")
    try:
        sys.stdout.write(page(Results(results)))
    except Uncounted as uncounted:
        sys.exit(f"kernel_table.py: {uncounted}")


if __name__ == "__main__":
    main()
