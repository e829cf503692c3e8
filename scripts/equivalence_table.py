#!/usr/bin/env python3
"""The table of docs/benchmarks/equivalence.md from the errors of every mix (scripts/equivalence.sh).

usage: equivalence_table.py TABLE.tsv      ends with 1 where a mix is outside its tolerance
"""

import csv
import statistics
import sys

LOSS, GRADIENT = "loss error / allowed", "gradient error / allowed"
AXES = ("tensor ranks", "tokens", "pipeline", "data ranks", "sharded optimizer", "schedule", "recomputation", "filter")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        row[LOSS], row[GRADIENT], row["values"] = float(row[LOSS]), float(row[GRADIENT]), row["mix"].split(", ")
    failed = sum(row[LOSS] > 1 or row[GRADIENT] > 1 for row in rows)
    print("# Every way to share out a run, against one rank\n")
    print(f"`scripts/equivalence.sh`: {len(rows)} mixes, up to 8 ranks as threads; {failed} outside the tolerance. Each trains a "
          "model of 8 layers for 20\nsteps in fp32 with dropout and document borders, and then takes one step's gradients. "
          "Allowed: 1e-5 of each loss; of each\ntensor's gradient `1e-5·‖g*‖ + 1e-7·‖all gradients‖`. Errors are shares of "
          "what is allowed, the worst and the median of\nall mixes that have the value.\n")
    print("| | value | mixes | loss, worst | loss, median | gradient, worst | gradient, median |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for number, axis in enumerate(AXES):
        for value in dict.fromkeys(row["values"][number] for row in rows):
            mine = [row for row in rows if row["values"][number] == value]
            errors = (pick(row[key] for row in mine) for key in (LOSS, GRADIENT) for pick in (max, statistics.median))
            print(f"| {axis} | {value} | {len(mine)} | " + " | ".join(f"{error:.4f}" for error in errors) + " |")
            axis = ""
    worst = max(rows, key=lambda row: max(row[LOSS], row[GRADIENT]))
    print(f"\nThe worst mix: {worst['mix']} (loss {worst[LOSS]:.4f}, gradient {worst[GRADIENT]:.4f}).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
