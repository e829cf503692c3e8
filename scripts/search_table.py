#!/usr/bin/env python3
"""Prints docs/benchmarks/search.md: what the layout search finds beside published layouts.

usage: scripts/search_table.py BUILD_FOLDER > docs/benchmarks/search.md     (BUILD_FOLDER has headwater and test_plan)
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = "configs/clusters/a100-80gb.json"


def run(build, *arguments):
    """The plan as JSON, and the seconds that it took."""
    begin = time.monotonic()
    command = [build / "headwater", "plan", *arguments, "--json"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return json.loads(output), time.monotonic() - begin


def counts(stages):
    """2x10 3x20: runs of equal layer counts."""
    runs = []
    for stage in stages:
        if runs and runs[-1][0] == stage["layers"]:
            runs[-1][1] += 1
        else:
            runs.append([stage["layers"], 1])
    return " ".join(f"{n}×{times}" if times > 1 else str(n) for n, times in runs)


def row(name, plan, reference):
    parallel = plan["parallel"]
    most = max(rank["total"] for rank in plan["memory"]) / 2**30
    schedule = parallel["pipeline_schedule"] + (f" ×{parallel['num_chunks']}" if parallel["num_chunks"] > 1 else "")
    return (
        f"| {name} | {parallel['tensor_model_parallel_size']} × {plan['data_parallel_size']} × "
        f"{parallel['pipeline_model_parallel_size']} | {schedule} | {counts(plan['stages'])} | {most:.1f} | "
        f"{plan['step_seconds']:.2f} | {100 * (plan['step_seconds'] / reference - 1):+.1f} % |"
    )


def published(build, ranks):
    config = ["configs/yuan2-102b.json", "--cluster", CLUSTER, "--ranks", str(ranks)]
    sharded = "--parallel.use_distributed_optimizer=true"
    paper, _ = run(build, *config, sharded)
    same, same_seconds = run(build, *config, "--search", "--parallel.tensor_model_parallel_size=1",
                             "--parallel.pipeline_model_parallel_size=32", "--parallel.pipeline_schedule=1f1b",
                             "--training.micro_batch_size=1")
    free, free_seconds = run(build, *config, "--search")
    reference = paper["step_seconds"]
    assert paper["fits"] and same["fits"] and free["fits"]
    print(f"\n### {ranks} devices\n")
    print("| | tensor × data × pipeline | schedule | layers | GiB of the fullest | s a step | against published |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(row("published", paper, reference))
    print(row(f"the same axes, layers and recomputation searched ({same_seconds:.1f} s)", same, reference))
    print(row(f"everything searched ({free_seconds:.1f} s)", free, reference))
    print("\nWhy the last is not faster:\n")
    for reason in free["reasons"]:
        print(f"- {reason}")


def papers_example(build):
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([build / "test_plan", "--gtest_filter=*PapersExample*", f"--gtest_output=json:{report}"],
                       check=True, capture_output=True)
        tests = [test for suite in json.loads(report.read_text())["testsuites"] for test in suite["testsuite"]]
    print("\n| micro-batches, head in layers | paper's layout to uniform | found to uniform |")
    print("| --- | --- | --- |")
    for test in tests:
        print(f"| {test['value_param'].strip('()')} | {float(test['papers_to_uniform']):.3f} | {float(test['found_to_uniform']):.3f} |")


def main():
    build = Path(sys.argv[1]).resolve()
    print("# What the layout search finds\n")
    print("Made by `scripts/search_table.py BUILD_FOLDER`. Times of a step are the simulator's ([planning](../planning.md)), on the")
    print(f"machines of `{CLUSTER}`; nothing here was measured. Seconds in brackets: how long the search took on two busy cores.\n")
    print("## Yuan 2.0 102B\n")
    print("`configs/yuan2-102b.json` with its 1152 samples of 4096 tokens a step, the optimizer sharded as the paper says. The published")
    print("layout is [2×10, 3×20, 2×2], two layers of each stage recomputed.")
    for ranks in (96, 256):
        published(build, ranks)
    print("\n## The paper's 24 layers on 8 stages\n")
    print("[2,2,3,3,4,4,4,2] of Yuan 2.0 (section 3.4), whose fullest stage keeps 18 layers' activations where equal stages keep 24. Found")
    print("is the best layout under that same peak of 18, recomputation included; 1F1B without links, so it is exact.")
    papers_example(build)


if __name__ == "__main__":
    main()
