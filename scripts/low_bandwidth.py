#!/usr/bin/env python3
"""The same training over slower and slower links, in several layouts: measured, and as `headwater plan` predicts it.

Hosts are network namespaces (hosts.py) with one rank each; `tc tbf` limits their links. Prints docs/benchmarks/low-bandwidth.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import hosts

SOURCE = Path(__file__).resolve().parents[1]
HEADWATER = os.environ.get("HEADWATER", str(SOURCE / "build/release/headwater"))
CONFIG = SOURCE / "configs/low-bandwidth.json"
MBIT = 1e6 / 8  # bytes per second
PAYLOAD = 1448 / 1514  # of a full frame: without the headers of Ethernet, IP and TCP
WARM_UP = 5  # steps: a run times the parts of its first ones, and its links
# What the planned pipeline has in common with the uniform one: all but its layers.
KEPT = ("--parallel.tensor_model_parallel_size=1", "--parallel.pipeline_schedule=1f1b", "--parallel.recompute=none",
        "--training.micro_batch_size=1")


def headwater(*arguments, launcher=()):
    """What the program prints; it must end well."""
    done = subprocess.run([*launcher, HEADWATER, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"low_bandwidth.py: headwater {arguments[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def train(network, steps, folder, options):
    """The lines of metrics, and host to what its link carried: (to it, from it)."""
    file = folder / "metrics.jsonl"
    file.unlink(missing_ok=True)
    before = network.traffic()
    headwater("train", CONFIG, *options, f"--training.train_iters={steps}", f"--training.metrics_file={file}",
              launcher=network.mpirun(1))
    carried = {name: [now - then for now, then in zip(ways, before[name])] for name, ways in network.traffic().items()}
    return [json.loads(line) for line in file.read_text().splitlines()], carried


def measure(network, steps, folder, options):
    """The median step, the losses, and what each host's link carries in a step, to the host and from it."""
    _, first = train(network, WARM_UP, folder, options)  # a run's beginning and its end
    lines, all_steps = train(network, WARM_UP + steps, folder, options)
    received, sent = ([(all_steps[name][way] - first[name][way]) / steps for name in network.names] for way in (0, 1))
    return {"step_seconds": statistics.median(line["elapsed_ms"] / 1e3 for line in lines[WARM_UP:]),
            "received_bytes": received, "sent_bytes": sent, "losses": [line["loss"] for line in lines]}


def layouts(ranks, plan):
    """Name to options; `plan` asks the plan of such hosts, joined by such links."""
    pipeline = f"--parallel.pipeline_model_parallel_size={ranks}"
    layers = [stage["layers"] for stage in plan("--search", pipeline, *KEPT)["stages"]]
    return {"tensor": (f"--parallel.tensor_model_parallel_size={ranks}",),
            "pipeline, uniform": (pipeline,),
            "pipeline, planned": (pipeline, f"--parallel.pipeline_layout={json.dumps(layers)}")}


def predicted(plan, ranks):
    of_rank = plan["ranks"] * (ranks // len(plan["ranks"]))  # as many tensor ranks in each of them
    return {"predicted_seconds": plan["step_seconds"], "layers": [stage["layers"] for stage in plan["stages"]],
            "predicted_bytes": [sum(rank["bytes_sent"].values()) for rank in of_rank]}


def experiment(count, arguments, folder):
    network = hosts.Hosts(count, folder)
    common = (f"--data.train={folder / 'data'}", *arguments.overrides)
    # Costs, while the links are as fast as the machine: all ranks compute, and wait for each other once in 16 micro-batches.
    headwater("bench", "step", CONFIG, f"--training.global_batch_size={16 * count}", *common, "--steps", arguments.steps,
              "--cluster-out", folder / "cluster.json", launcher=network.mpirun(1))
    cluster = json.loads((folder / "cluster.json").read_text())
    link, limited = cluster["inter_node"], folder / "limited.json"

    def plan(*options):
        return json.loads(headwater("plan", CONFIG, "--cluster", limited, "--json", *options, *common))

    rows = []
    for mbit in arguments.rates:
        limited.write_text(json.dumps({**cluster, "inter_node": {**link, "bandwidth": mbit * MBIT * PAYLOAD}}))
        # At once may pass what takes a millisecond, or some frames: less than a message of the pipeline.
        network.limit(mbit * 1e6, burst_bytes=max(16 * 1024, mbit * MBIT * 1e-3))
        for name, layout in layouts(count, plan).items():
            rows.append({"mbit": mbit, "layout": name, **measure(network, arguments.steps, folder, (*common, *layout)),
                         **predicted(plan(*layout), count)})
            print("{} hosts, {mbit:g} Mbit/s, {layout}: {step_seconds:.3f} s a step, the plan {predicted_seconds:.3f} s"
                  .format(count, **rows[-1]), file=sys.stderr)
    network.close()
    return {"hosts": count, "cluster": cluster, "rows": rows}


def page(experiments, arguments):
    cores = len(os.sched_getaffinity(0))
    text = f"""# The same training over slow links

    scripts/low_bandwidth.sh {' '.join(sys.argv[1:])}

Hosts are network namespaces of one machine with {cores} cores, one rank and one thread on each. They are joined by links whose rate
`tc tbf` limits in either direction; `configs/low-bandwidth.json` trains on them in three layouts. A step is the median of
{arguments.steps}. Bytes are those that the busiest host's interface has sent in a step, headers and all; the plan counts data. The plan
knows the hosts from `headwater bench step --cluster-out` with links as fast as the machine, and of the links their rate, less
the headers of full frames ({100 * (1 - PAYLOAD):.1f} %).

Yuan 2.0 (2023, Table 6) says of links four times as slow that its pipeline takes 0.4 % longer, tensor parallelism 85 %. In
kind:
"""
    for found in experiments:
        rows = found["rows"]
        text += f"\n## {found['hosts']} hosts\n\n"
        if found["hosts"] > cores:
            text += (f"More ranks than cores: a rank that waits leaves its core to others, and is the faster for it. The plan "
                     f"takes each\nrank to be as fast as it is while all {found['hosts']} compute.\n\n")
        text += ("| Mbit/s | layout | layers | s a step | plan | against the fastest link | MB a step | plan |\n"
                 "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
        fastest = {row["layout"]: row["step_seconds"] for row in reversed(rows)}
        for row in rows:
            layers = "+".join(map(str, row["layers"]))
            text += (f"| {row['mbit']:g} | {row['layout']} | {layers} | {row['step_seconds']:.3f} | {row['predicted_seconds']:.3f} | "
                     f"x {row['step_seconds'] / fastest[row['layout']]:.2f} | {max(row['sent_bytes']) / 1e6:.2f} | "
                     f"{max(row['predicted_bytes']) / 1e6:.2f} |\n")
        slowest = {row["layout"]: row["step_seconds"] / fastest[row["layout"]] for row in rows}
        text += (f"\nFrom {rows[0]['mbit']:g} to {rows[-1]['mbit']:g} Mbit/s a step takes "
                 + ", ".join(f"{times:.1f} times as long ({name})" for name, times in slowest.items()) + ".\n")
        losses = list(zip(*(row["losses"] for row in rows)))
        apart = max((max(step) - min(step)) / min(step) for step in losses)
        text += f"The losses of all layouts agree to {apart:.1g} relative.\n"
    return text


def parse(arguments):
    numbers = lambda kind: lambda text: [kind(part) for part in text.split(",")]  # noqa: E731
    parser = argparse.ArgumentParser(prog="low_bandwidth.sh", description=__doc__.splitlines()[0], epilog=(
        "Other keys of configs/low-bandwidth.json: --section.key=value. The environment may name another program (HEADWATER). "
        "Ends with 77 where the machine allows no namespaces."))
    parser.add_argument("--rates", type=numbers(float), default=[1000, 200, 50], help="of each link, Mbit/s (1000,200,50)")
    parser.add_argument("--hosts", type=numbers(int), default=[4], help="how many, or several such numbers (4)")
    parser.add_argument("--steps", type=int, default=5, help="steps to measure, after five to warm up (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found, found.overrides = parser.parse_known_args(arguments)
    for other in found.overrides:
        if not (other.startswith("--") and "." in other and "=" in other):
            parser.error(f"unknown argument {other}")
    return found


def main():
    arguments = parse(sys.argv[1:])
    hosts.enter()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory(prefix="headwater-low-bandwidth-") as name:
        folder = Path(name)
        headwater("data", "tokenize", *sorted(SOURCE.glob("docs/*.md")), "--tokenizer", "bytes", "--out", folder / "data")
        experiments = [experiment(count, arguments, folder) for count in arguments.hosts]
    print(json.dumps(experiments) if arguments.json else page(experiments, arguments), end="")


if __name__ == "__main__":
    main()
