#!/usr/bin/env python3
"""What matters of a file that scripts/gpu_speed.py has written.

usage: gpu_figures.py RESULTS.json               prints its main figures, some twenty lines
       gpu_figures.py RESULTS.json --to-count    prints what a profiler is to look at: kernels' names, as a regular expression,
                                                 and the arguments of `headwater bench ops` that launch them
"""

import sys

import gpu_results
from kernel_budget import read_budget

SLOWEST = 14  # ops beside attention whose share of the floor is printed
COUNTED = 3  # kernels beside attention's that are worth counting: those furthest from their floor


def is_attention(op):
    return op["op"].startswith("attention")


def share_of_floor(op):
    return op["floor_seconds"] / op["seconds"]


def name_of(op):
    return f"{op['op']} {op['what']}".strip()


def device_line(results):
    measured = results["ops"][0]["bench"]["measured"] if results["ops"] else None
    return (f"{results['device']}, driver {results['driver']}, commit {results['git']}"
            + (f": products {measured['matmul_flops'] / 1e12:.0f} TFLOP/s, "
               f"copies {measured['memory_bandwidth'] / 1e12:.2f} TB/s" if measured else "")
            + (f"; attention's gradients in no order: {results['unordered']}" if results.get("unordered") else ""))


def attention_lines(results):
    peers = {}
    for entry in results["torch"]:
        for op in entry["torch"]["ops"]:
            if is_attention(op):
                peers.setdefault((entry["name"], name_of(op)), []).append(f"{op['peer']} {op['seconds'] * 1e3:.2f}")
    for entry in results["ops"]:
        for op in filter(is_attention, entry["bench"]["ops"]):
            speed = op["flops"] / op["seconds"]
            yield (f"{entry['name']}: {name_of(op)} {op['seconds'] * 1e3:.2f} ms, {speed / 1e12:.0f} TFLOP/s"
                   + "".join(f"; {peer}" for peer in peers.get((entry["name"], name_of(op)), [])))


def floor_line(bench):
    slowest = sorted((op for op in bench["ops"] if not is_attention(op)), key=share_of_floor)[:SLOWEST]
    return "share of the floor: " + ", ".join(f"{name_of(op)} {100 * share_of_floor(op):.0f} %" for op in slowest)


def step_line(entry):
    step = entry["step"]
    if not step:
        return f"step {entry['name']}: {entry['error']}"
    return (f"step {entry['name']}: {step['elapsed_ms']:.0f} ms, {step['tokens_per_second']:,.0f} tokens/s, "
            + (f"MFU {100 * step['mfu']:.1f} %, " if "mfu" in step else "")
            + f"{100 * step['share_of_matmul']:.0f} % of products, arena {step['peak_bytes'] / 2**30:.1f} GiB")


def matmul_line(matmul):
    rule, fastest = (sum(p[key] for p in matmul["products"].values()) for key in ("rule_microseconds", "microseconds"))
    return f"products, each once: {rule:.0f} us by the library's rule, {fastest:.0f} us by the fastest algorithms"


def training_line(training):
    pairs = list(zip(training["losses"], training["cpu"]))
    worst = max(abs(loss - cpu) / cpu for loss, cpu in pairs)
    return f"training: loss {pairs[0][0]:.4f} to {pairs[-1][0]:.4f}; from the CPU's it differs by {worst:.1e} of it at most"


def figures(results):
    yield device_line(results)
    yield from map(step_line, results["steps"])
    yield from attention_lines(results)
    if results["ops"]:
        yield floor_line(results["ops"][0]["bench"])
    if results["matmul"]:
        yield matmul_line(results["matmul"])
    if results["training"] and results["training"]["losses"]:
        yield training_line(results["training"])


def to_count(results):
    _, budget = read_budget()
    bare = {kernel: kernel.split("<")[0] for _, kernel, _ in budget}
    attention = sorted({bare[kernel] for source, kernel, _ in budget
                        if source.startswith("attention") and "plain" not in source})
    first = results["ops"][0]
    by_share = [f"{op['op']}_kernel" for op in sorted(first["bench"]["ops"], key=share_of_floor)]
    others = [kernel for kernel in dict.fromkeys(by_share) if kernel in bare.values()]
    unordered = ["--training.deterministic=false"] if results.get("unordered") else []
    return "|".join([*attention, *others[:COUNTED]]), " ".join([*first["arguments"], "--training.device=cuda", *unordered])


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--to-count"]):
        sys.exit("usage: gpu_figures.py RESULTS.json [--to-count]")
    try:
        results = gpu_results.read(sys.argv[1], "device", "ops", "steps", "torch", "matmul", "training")
    except gpu_results.Unreadable as error:
        sys.exit(f"gpu_figures.py: {error}")
    if not results["device"]:
        sys.exit(f"gpu_figures.py: {sys.argv[1]} says of no device what was measured on it")
    if sys.argv[2:] and not results["ops"]:
        sys.exit(f"gpu_figures.py: {sys.argv[1]} holds the ops of no shape, of which the slowest would be counted")
    print(*(to_count(results) if sys.argv[2:] else figures(results)), sep="\n")


if __name__ == "__main__":
    main()
