"""Writes the table of scripts/prediction_table.sh: FOLDER holds N.name and N.RUN.json (of `bench step --json`) per layout N.

usage: prediction_table.py FOLDER OUT.md
"""

import json
import statistics
import sys
from pathlib import Path


def median(values):
    return statistics.median(values)


def one_digit(value):
    return f"{value:.1f}".replace("-0.0", "0.0")


def parts(runs, which):
    """Each part of a step, in ms: the median over runs of the mean over ranks."""
    def mean(run, part):
        ranks = run["prediction"]["ranks"]
        return sum(rank[which][part] for rank in ranks) / len(ranks)
    return {part: 1e3 * median([mean(run, part) for run in runs]) for part in ("compute", "waiting", "communication", "update")}


def layout_rows(name, runs):
    checks = [run["prediction"] for run in runs]
    errors = [100 * check["error"] for check in checks]
    worst = max(errors, key=abs)
    predicted, measured = (1e3 * median([check[f"{key}_seconds"] for check in checks]) for key in ("predicted", "measured"))
    bubbles = [100 * median([check[f"{key}_bubble"] for check in checks]) for key in ("predicted", "measured")]
    row = (f"| {name} | {predicted:.1f} | {measured:.1f} | {median(errors):+.1f} % | {worst:+.1f} % | "
           f"{one_digit(bubbles[0])} / {one_digit(bubbles[1])} % |")
    of_predicted, of_measured = parts(runs, "predicted"), parts(runs, "measured")
    shares = " | ".join(f"{one_digit(of_predicted[part])} / {one_digit(of_measured[part])}" for part in of_predicted)
    return row, f"| {name} | {shares} |", errors


def memory_agrees(runs):
    return all(rank["predicted_bytes"] == rank["measured_bytes"] for run in runs for rank in run["prediction"]["ranks"])


def table(folder):
    rows, part_rows, errors, all_runs = [], [], [], []
    for name_file in sorted(folder.glob("*.name"), key=lambda path: int(path.stem)):
        runs = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{name_file.stem}.*.json"))]
        row, part_row, of_layout = layout_rows(name_file.read_text().strip(), runs)
        rows.append(row)
        part_rows.append(part_row)
        errors.append(median(of_layout))
        all_runs += runs
    typical = median([abs(error) for error in errors])
    memory = "equals the arena's, to the byte, on every rank" if memory_agrees(all_runs) else "DIFFERS FROM THE ARENA'S"
    count = len(all_runs) // len(rows)
    return "\n".join([
        "# Predicted against measured steps",
        "",
        f"Written by `scripts/prediction_table.sh`: `headwater bench step` on two ranks of one thread each, {all_runs[0]['dtype']},"
        f" {all_runs[0]['tokens']} tokens a",
        f"step; medians of {count} runs. The prediction plays the schedule with costs that the same run has measured: each stage's",
        "passes while all ranks compute, without transfers; the links; the end of a step.",
        "",
        "| layout | predicted ms | measured ms | error | worst run | bubble, predicted / measured |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        f"Median over the layouts of the error's size: **{typical:.1f} %**. Predicted memory {memory}.",
        "",
        "The parts of a step, mean over the ranks, predicted / measured ms:",
        "",
        "| layout | compute | waiting for transfers | communication | update |",
        "| --- | --- | --- | --- | --- |",
        *part_rows,
        "",
    ])


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    text = table(folder)
    out.write_text(text)
    print(text)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
