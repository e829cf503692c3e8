#!/usr/bin/env python3
"""The table of docs/benchmarks/equivalence.md from the errors of every mix (scripts/equivalence.sh).

usage: equivalence_table.py TABLE.tsv      ends with 1 where a mix is outside its tolerance
"""

import csv
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    loss, gradient = "loss error / allowed", "gradient error / allowed"
    for row in rows:
        row[loss], row[gradient] = float(row[loss]), float(row[gradient])
    failed = sum(row[loss] > 1 or row[gradient] > 1 for row in rows)
    print("# Every way to share out a run, against one rank\n")
    print(f"`scripts/equivalence.sh`: {len(rows)} mixes, up to 8 ranks as threads; {failed} outside the tolerance. Each trains a "
          "model of 8 layers for 20\nsteps in fp32 with dropout and document borders, and then takes one step's gradients. "
          "Allowed: 1e-5 of each loss; of each\ntensor's gradient `1e-5·‖g*‖ + 1e-7·‖all gradients‖`. Errors are shares of "
          "what is allowed, the worst and the median of\nall mixes that have the value.\n")
    print("| value | mixes | loss, worst | loss, median | gradient, worst | gradient, median |")
    print("| --- | --- | --- | --- | --- | --- |")
    values = []
    for row in rows:
        for value in row["mix"].split(", "):
            if value not in values:
                values.append(value)
    for value in values:
        mine = [row for row in rows if value in row["mix"].split(", ")]
        print(f"| {value} | {len(mine)} | " + " | ".join(
            f"{pick(sorted(row[key] for row in mine)):.3f}"
            for key in (loss, gradient) for pick in (lambda errors: errors[-1], lambda errors: errors[len(errors) // 2])) + " |")
    worst = max(rows, key=lambda row: max(row[loss], row[gradient]))
    print(f"\nThe worst mix: {worst['mix']} (loss {worst[loss]:.3f}, gradient {worst[gradient]:.3f}).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
