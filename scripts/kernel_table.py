#!/usr/bin/env python3
"""Prints docs/benchmarks/gpu-kernels.md: each op of a training step beside its floor, its kernels' occupancy, its measured time
and PyTorch's. What was not measured stays empty, and the page says so.

usage: kernel_table.py OPS.json [--torch TORCH.json] [--step STEP.json] > docs/benchmarks/gpu-kernels.md
  OPS.json    of `headwater bench ops CONFIG --json`, measured or with --floors
  TORCH.json  of scripts/torch_kernels.py, from the same run
  STEP.json   of `headwater bench step CONFIG --json`, from the same run
"""

import argparse
import csv
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUDGET = ROOT / "kernels/budget.tsv"
ARCHITECTURE, THREADS = "sm_90a", 2048  # of a multiprocessor
COPY_AIM, MFU_AIM = 85.0, 45.0  # %

# Which kernels an op's time goes to, in bf16 and with 16-byte accesses; D is the head size. Others are OP_kernel<bf16, 8.
# Products are cuBLASLt's, and zero is the driver's.
KERNELS = {
    "attention": ["forward_kernel<D>"],
    "attention_backward": ["key_gradients_kernel<D, ", "query_gradients_kernel<D>"],
    "embedding_backward": ["embedding_backward_kernel<bf16, 4>"],
    "add_squared_norm": ["squares_kernel"],
    "adamw": ["adamw_kernel<bf16>"],
    "zero": [],
    "linear": [],
    "linear_input_gradient": [],
    "linear_weight_gradient": [],
}


def read_budget():
    if not BUDGET.exists():
        return []
    lines = [line for line in BUDGET.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [row for row in csv.DictReader(lines, delimiter="\t") if row["architecture"] == ARCHITECTURE]


def occupancy(op, head_dim, budget):
    shares = []
    for pattern in KERNELS.get(op, [f"{op}_kernel<bf16, 8"]):
        start = re.sub(r"\bD\b", str(head_dim), pattern)
        found = [int(row["blocks"]) * int(row["threads"]) / THREADS for row in budget if row["kernel"].startswith(start)]
        if not found:
            return "–"
        shares.append(f"{100 * min(found):.3g}")
    return " and ".join(shares) + " %" if shares else "–"


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def name_of(op):
    return f"{op['op']} {op['what']}".strip()


def memory_bounds(op, bench):
    return op["floor_seconds"] > op["flops"] / bench["floor"]["matmul_flops"]


def row(op, bench, budget, torch):
    by_memory = memory_bounds(op, bench)
    cells = [name_of(op), op["shape"], number(op["flops"] / 1e9) if op["flops"] else "–",
             number(op["bytes"] / 1e6), f"{op['floor_seconds'] * 1e6:,.1f}", "memory" if by_memory else "products",
             occupancy(op["op"], bench["sizes"]["head_dim"], budget)]
    seconds, theirs = op.get("seconds"), torch.get((op["op"], op["what"]))
    cells.append(f"{seconds * 1e6:,.1f}" if seconds else "")
    cells.append(f"{100 * op['floor_seconds'] / seconds:.0f} %" if seconds else "")
    cells.append(f"{100 * copy_share(op, bench):.0f} %" if seconds and by_memory else "")
    cells.append(f"{theirs * 1e6:,.1f}" if theirs else "")
    cells.append(f"{theirs / seconds:.2f}" if theirs and seconds else "")
    return "| " + " | ".join(cells) + " |"


def copy_share(op, bench):
    return op["bytes"] / op["seconds"] / bench["measured"]["memory_bandwidth"]


# ---- what was aimed at ----


def attention_aim(bench, torch):
    aim = "Attention, forward and backward, at least as fast as PyTorch's flash kernel: "
    ratios = {name_of(op): torch[op["op"], op["what"]] / op["seconds"] for op in bench["ops"]
              if op["op"].startswith("attention") and "seconds" in op and (op["op"], op["what"]) in torch}
    return aim + (", ".join(f"{name} {ratio:.2f} times as fast" for name, ratio in ratios.items()) if ratios else "not measured")


def memory_aim(bench):
    aim = f"What multiplies no matrices at {COPY_AIM:.0f} % of the speed of a copy: "
    if "measured" not in bench:
        return aim + "not measured"
    shares = {name_of(op): 100 * copy_share(op, bench) for op in bench["ops"] if not op["flops"]}
    below = [f"{name} {share:.0f} %" for name, share in shares.items() if share < COPY_AIM]
    return aim + f"{len(shares) - len(below)} of {len(shares)} ops" + ("; below it " + ", ".join(below) if below else "")


def starved_products(bench):
    names = [name_of(op) for op in bench["ops"] if op["flops"] and memory_bounds(op, bench)]
    return [f"Products that memory bounds at these shapes: {', '.join(names)}.", ""] if names else []


def step_aim(step):
    aim = f"A step of Yuan 2.0-2.1B at {MFU_AIM:.0f} % MFU: "
    return aim + (f"{100 * step['mfu']:.1f} %, {step['tokens_per_second']:,.0f} tokens/s" if step else "not measured")


def where(bench, torch_run):
    if "measured" not in bench:
        return ["**No GPU was present when this page was made: nothing here is measured.** The columns from µs on are empty",
                "until `scripts/gpu_check.sh` has run on a machine that has one."]
    measured = bench["measured"]
    return [f"Measured on {bench['device']}: products {measured['matmul_flops']:.4g} FLOP/s, copies "
            f"{measured['memory_bandwidth']:.4g} bytes/s. "
            + (f"PyTorch {torch_run['torch']} in the same run." if torch_run else "PyTorch was not installed there.")]


def commands(bench):
    if "measured" in bench:
        return ["    scripts/gpu_check.sh benchmarks"]
    return ["    headwater bench ops configs/yuan2-2.1b.json --floors --cluster configs/clusters/h100-80gb.json --json \\",
            "      > ops.json",
            "    scripts/kernel_table.py ops.json > docs/benchmarks/gpu-kernels.md"]


def page(bench, torch_run, step, budget):
    sizes, floor = bench["sizes"], bench["floor"]
    torch = {(op["op"], op["what"]): op["seconds"] for op in torch_run["ops"]} if torch_run else {}
    return "\n".join([
        "# Kernels on a GPU",
        "",
        *commands(bench),
        "",
        f"Each op of a training step in {bench['dtype']} at the shapes of `configs/yuan2-2.1b.json`: {sizes['samples']} samples "
        f"of {sizes['sequence']} tokens,",
        f"H {sizes['hidden']}, {sizes['heads']} heads of {sizes['head_dim']}, F {sizes['ffn']}, V {sizes['vocabulary']}; the head "
        "takes a block of tokens at a time.",
        "Kernels that no op calls yet (LayerNorm, GELU, ReLU) are not among them.",
        "",
        *where(bench, torch_run),
        "",
        f"- Floor: max(FLOPs of its products / {floor['matmul_flops']:.4g} FLOP/s, least bytes moved / "
        f"{floor['memory_bandwidth']:.4g} bytes/s); the device:",
        f"  {bench['floor_source']}. Attention counts the pairs that the causal mask leaves, in two products forward and five",
        "  backward; a backward whose sums have a fixed order makes seven.",
        "- Occupancy: threads of the blocks that a multiprocessor holds, of the 2048 that it could: `kernels/budget.tsv`,",
        f"  {ARCHITECTURE}, a kernel with the most threads that it allows. Of attention's backward: gradients of keys and of queries. Products are",
        "  cuBLASLt's." + ("" if budget else " **That file is not there yet.**"),
        "- µs: median of a call; calls follow one another, on operands that no cache holds. Of floor: floor / µs. Of copy: the",
        "  speed at which what memory bounds moves its bytes, against that of a copy in the same run.",
        "- PyTorch: the same shapes in the same run (`scripts/torch_kernels.py`). Ratio: its time / ours, above 1 where ours is",
        "  shorter. Its AdamW writes no bf16 weights, its products add up nothing in fp32; its norm is the faster of rms_norm and",
        "  layer_norm.",
        "",
        "Aims:",
        "",
        f"- {attention_aim(bench, torch)}.",
        f"- {memory_aim(bench)}.",
        f"- {step_aim(step)}.",
        "",
        *starved_products(bench),
        "| op | shape | GFLOP | MB | floor, µs | bound by | occupancy | µs | of floor | of copy | PyTorch, µs | ratio |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *[row(op, bench, budget, torch) for op in bench["ops"]],
    ])


def read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ops", type=Path)
    parser.add_argument("--torch", type=Path)
    parser.add_argument("--step", type=Path)
    options = parser.parse_args()
    print(page(read(options.ops), read(options.torch), read(options.step), read_budget()))


if __name__ == "__main__":
    main()
