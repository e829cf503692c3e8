#!/usr/bin/env python3
"""What was published of step times and bubbles, against what `headwater plan` and `headwater schedule` say of the same runs.

usage: published_tables.py [HEADWATER] [--out FILE]

Writes docs/benchmarks/published.md. Data: scripts/published/*.csv, clusters.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from published import bubbles, steps, yuan2  # noqa: E402
from published.planner import Planner  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def percent(share):
    return f"{100 * share:+.1f} %"


def step_section(planner):
    rows = steps.read_rows()
    fit = steps.fit_both(planner, steps.rows_named(rows, steps.FITTED_ON))
    alone = steps.fit_efficiency(planner, steps.rows_named(rows, steps.FITTED_ALONE_ON))
    errors = steps.errors(planner, rows, fit)
    errors_alone = steps.errors(planner, rows, alone, steps.FITTED_ALONE_ON)
    lines = [STEPS.format(efficiency=100 * fit.efficiency, launch=1e3 * fit.launch_seconds, rows=len(rows),
                          predicted=len(rows) - 2, mean=100 * errors.mean(), worst=percent(errors.worst()),
                          efficiency_alone=100 * alone.efficiency, mean_alone=100 * errors_alone.mean(),
                          worst_alone=percent(errors_alone.worst())),
             "| source | rows predicted | mean of errors | mean of their sizes | worst |", "| --- | --- | --- | --- | --- |"]
    for source in dict.fromkeys(row.source for row in rows):
        lines.append(f"| {source} | {len(errors.predicted(source))} | {percent(errors.bias(source))} | "
                     f"{100 * errors.mean(source):.1f} % | {percent(errors.worst(source))} |")
    lines += ["", STEP_TABLE]
    for row, plan in zip(errors.rows, errors.plans):
        fitted = " (fitted)" if row.run in steps.FITTED_ON else ""
        seconds = plan["seconds"]
        lines.append(f"| {row.source} | {row.run}{fitted} | {row.seconds:.2f} | {plan['step_seconds']:.2f} | "
                     f"{percent(errors.of[row.source + row.run])} | " +
                     " | ".join(f"{100 * seconds[part] / plan['step_seconds']:.1f}" for part in
                                ("compute", "recompute", "pipeline_wait", "tensor_communication", "data_communication")) + " |")
    lines += ["", OTHER_PAIRS]
    for pair in steps.OTHER_PAIRS:
        other = steps.fit_both(planner, steps.rows_named(rows, pair))
        others = steps.errors(planner, rows, other, pair)
        lines.append(f"| {pair[0]} | {pair[1]} | {100 * other.efficiency:.1f} % | {1e3 * other.launch_seconds:.2f} ms | "
                     f"{100 * others.mean():.1f} % | {percent(others.worst())} |")
    return lines + ["", ASSUMED], fit


def bubble_section(planner):
    cells, fits = bubbles.table(planner)
    predicted = [(published, found) for _, _, _, published, found, fitted in cells if not fitted]
    differences = [abs(found - published) for published, found in predicted]
    relative = [abs(found / published - 1) for published, found in predicted]
    lines = [BUBBLES.format(cells=len(cells), predicted=len(predicted), mean=sum(differences) / len(differences),
                            worst=max(differences), relative=100 * sum(relative) / len(relative),
                            worst_relative=100 * max(relative)),
             "| model | W/(F + B + W) | transfer/(F + B + W) |", "| --- | --- | --- |"]
    lines += [f"| {model} | {share:.3f} | {link:.4f} |" for model, (share, link) in fits.items()]
    lines += ["", "| model | ranks | micro-batches | 1F1B | interleaved | ZB-H1 |", "| --- | --- | --- | --- | --- | --- |"]
    for at in range(0, len(cells), len(bubbles.SCHEDULES)):
        group = cells[at:at + len(bubbles.SCHEDULES)]
        model, row = group[0][:2]
        texts = [f"{published:.4f}: {found:.4f}" + (" (fitted)" if fitted else f", {found - published:+.4f}")
                 for _, _, _, published, found, fitted in group]
        lines.append(f"| {model} | {row['ranks']} | {row['micro_batches']} | " + " | ".join(texts) + " |")
    return lines


def table_5_section(planner, fit):
    paper, ours, predicted = yuan2.table_5(planner, fit.efficiency)
    lines = [TABLE_5, "| term | printed, s | from the formulas, s |", "| --- | --- | --- |"]
    lines += [f"| {term} | {yuan2.TABLE_5[term]:.3f} | {paper['paper'][term]:.3f} |" for term in yuan2.TERMS]
    lines += [f"| sum | {yuan2.TABLE_5_TOTAL:.3f} | {paper['step_seconds']:.3f} |", "",
              TABLE_5_OURS.format(seconds=ours["step_seconds"], measured=yuan2.TABLE_5_MEASURED,
                                  error=percent(ours["step_seconds"] / yuan2.TABLE_5_MEASURED - 1),
                                  paper=percent(yuan2.TABLE_5_TOTAL / yuan2.TABLE_5_MEASURED - 1),
                                  efficiency=100 * fit.efficiency, predicted=predicted["step_seconds"],
                                  predicted_error=percent(predicted["step_seconds"] / yuan2.TABLE_5_MEASURED - 1),
                                  **{part: ours["seconds"][part] for part in
                                     ("compute", "recompute", "pipeline_wait", "tensor_communication", "data_communication")})]
    return lines


def table_6_section(planner):
    by_paper, ours = yuan2.table_6(planner, "--cost-model", "paper"), yuan2.table_6(planner)
    lines = [TABLE_6]
    for p2p, printed in yuan2.TABLE_6.items():
        cells = " | ".join(f"{a:.2f}; {b:.2f}; {c:.2f}" for a, b, c in zip(printed, by_paper[p2p], ours[p2p]))
        lines.append(f"| {p2p} | {cells} |")

    def longer(table, column):
        return 100 * (table[100][column] / table[400][column] - 1)

    lines += ["", CLAIM, "| | tensor ranks | none |", "| --- | --- | --- |"]
    for name, table in (("printed", yuan2.TABLE_6), ("from the formulas", by_paper), ("simulated", ours)):
        lines.append(f"| {name} | {longer(table, 0):.1f} % | {longer(table, 1):.2f} % |")
    plans = {96: yuan2.method_2(planner, 96, 100), 256: yuan2.method_2(planner, 256, 100)}
    lines += ["", DIFFERENCE, "| part | 96 devices, s | 256 devices, s |", "| --- | --- | --- |"]
    split = {ranks: yuan2.parts(plan) for ranks, plan in plans.items()}
    lines += [f"| {part} | {split[96][part]:.2f} | {split[256][part]:.2f} |" for part in split[96]]
    lines.append(f"| step | {plans[96]['step_seconds']:.2f} | {plans[256]['step_seconds']:.2f} |")
    return lines


HEAD = """# Published numbers against the planner's

Written by

    scripts/published_tables.py build/release/headwater

from the rows in `scripts/published`. Nothing here was run: published times stand beside what `headwater plan` and
`headwater schedule` say of the same runs.
"""

STEPS = """## Step times of GPT-like models on A100

{rows} runs: Megatron-LM (SC '21, arXiv 2104.04473, Tables 1 and 2), Korthikanti et al. (arXiv 2205.05198, Table 5), MT-NLG
(arXiv 2201.11990) and the sweep that chose BLOOM's layout (BigScience's chronicles). **Two numbers are fitted, each on one
run**, the other {predicted} are predicted: **mean {mean:.1f} %, worst {worst}.**

- Matrix products reach {efficiency:.1f} % of an A100's peak of 312 TFLOP/s: Korthikanti's 175B, recomputed in full.
- BLOOM ran with `CUDA_LAUNCH_BLOCKING=1`, so that the device waits for each launch: {launch:.2f} ms for a layer's forward, twice
  that for its backward. From the run of its sweep that launches most, 181B with micro-batches of one sample.

With launches free and the efficiency alone fitted, on two runs whose errors cancel (Korthikanti's 175B and BLOOM's 176B as it was
trained): {efficiency_alone:.1f} %, and of the others mean {mean_alone:.1f} %, worst {worst_alone}.
"""

STEP_TABLE = """What each row is made of, in percent of the predicted step, on the device that computes longest:

| source | run | published, s | predicted, s | error | compute | again | waiting | tensor | data |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""

OTHER_PAIRS = """The two were chosen knowing the results, for the reasons given. With other pairs:

| efficiency from | launches from | efficiency | a launch | mean | worst |
| --- | --- | --- | --- | --- | --- |"""

ASSUMED = """What was assumed:

- **Models.** GPT's block is planned as Yuan's without LFA: an MLP of width 8/3 H with SwiGLU has the weights, FLOPs and kept
  values of GPT's of width 4 H; RMSNorm for LayerNorm; no biases, no learned positions; dropout 0.1, Megatron-LM's default.
- **Machines.** 85 % of each published peak, the share that Yuan 2.0's paper takes of its links: memory 2.0 TB/s; NVLink 300
  GB/s a direction; Selene 8 ports of 200 Gb/s a node, Jean Zay 4 of 100 Gb/s.
- **Software.** These programs computed and stored whole attention scores, repeated a layer's last product too when they
  recomputed, and let tensor ranks share out what goes to another stage (`software` in
  [cluster files](../formats/cluster.md)).
- **Layouts.** Micro-batches and chunks of Megatron-LM's Table 1 are those of its `examples/sc21/run_table_1.sh`; for Table 2,
  which prints neither, one sample and 1F1B. 182B on 12 stages was 7 layers each and 1 on the last, as the chronicle says.

What it misses:

- Head sizes that tensor cores do not like: 182B with 128 heads has heads of 108 values and took 38 % longer than with 96
  heads. The cost model knows nothing of alignment.
- Programs: SC '21, Korthikanti et al. and MT-NLG ran 530B on the same kind of machine, 8 tensor and 35 pipeline ranks, all of
  it recomputed, at 163, 180 and 126 TFLOP/s; with their bubbles taken out (34/3 of 280, 34/3 of 280, 34 of 240 micro-batches)
  170, 187 and 144. One efficiency cannot be all three.
- Rows before "the PCIe fix" had slower nodes, by 1 to 5 % as the chronicle says.
- Korthikanti's largest models are predicted up to 12 % too slow, SC '21's of the same sizes are not: it is the program again.
"""

BUBBLES = """## Bubbles of the zero-bubble paper

arXiv 2401.10241, Table 5. For each model the share of the weight gradient W and the time of a transfer are fitted on two
cells, 1F1B and ZB-H1 with the fewest micro-batches; F = B. Of {cells} cells {predicted} are predicted: off by {mean:.4f} in the
mean, {worst:.4f} at worst ({relative:.1f} % and {worst_relative:.1f} % of what was published). ZB-1p is ZB-H1 to the digit
there; ZB-H2 and ZB-2p keep more micro-batches in flight and are not among our schedules.
"""

TABLE_5 = """## Yuan 2.0's paper, Table 5

Yuan 1.0 with 245 billion parameters on 2128 A100, by equation 1 as printed (`--cost-model paper`). 55.4 % of peak is rounded,
which is why T0 differs in the second decimal; BW_link is not printed and taken from T3.
"""

TABLE_5_OURS = """Our simulator, with 55.4 % as the share that matrix products reach and one direction of the same links, says {seconds:.2f} s
({error} against the {measured:.2f} s measured; the formulas {paper}): compute {compute:.2f}, again {recompute:.2f}, tensor ranks
{tensor_communication:.2f}, waiting for other stages {pipeline_wait:.2f}, data ranks {data_communication:.2f}. It is longer because the
paper's F is the speed of a whole model on one card, in which attention, memory and head are contained; our efficiency is that
of matrix products alone, and the rest comes on top. **With the {efficiency:.1f} % of the first section, fitted on another run by
another program, it says {predicted:.2f} s, {predicted_error} against what was measured.**
"""

TABLE_6 = """## Yuan 2.0's paper, Table 6

Yuan 2.0 with 102 billion parameters, seconds a step: printed; from the formulas as printed; simulated. Method 1 has 8 tensor
ranks (how many pipeline ranks is not published; here 4), method 2 none and 32 pipeline ranks. F is 55 % of 312 TFLOP/s.

| P2P, GB/s | 96, method 1 | 96, method 2 | 256, method 1 | 256, method 2 |
| --- | --- | --- | --- | --- |"""

CLAIM = """How much longer a step takes at 100 than at 400 GB/s, on 96 devices:
"""

DIFFERENCE = """Why the simulator's steps are others:

- Method 1: 64 in the formulas' T3 is 8 sums a layer, each byte counted for both directions of a link. The simulator counts the
  same 8 sums (3 forward, 3 backward, 2 again) and one direction: what the link's speed changes is half as much, to 2 %.
- Method 2 is longer, as the table below says for 100 GB/s.
- The formulas count 16 H^2 weights a layer and 4 passes, 64 H^2 S: LFA's 2 H^2 are missing, every layer is recomputed, and
  attention is counted whole. The simulator counts 18 H^2, causal attention, the head (0.92 layers' worth), what memory moves,
  and recomputation of two layers of each stage, as was published.
- The formulas divide all layers by all stages, 2.625; the longest stages of [2 x 10, 3 x 20, 2 x 2] have 3.
- Transfers take 42.5 GB/s x 2 ports in the formulas and add up; in the simulator they run beside compute, and only those of the
  first and last micro-batches are seen.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("headwater", nargs="?", default=ROOT / "build/release/headwater")
    parser.add_argument("--out", default=ROOT / "docs/benchmarks/published.md")
    options = parser.parse_args()
    planner = Planner(options.headwater)
    lines = [HEAD]
    section, fit = step_section(planner)
    for section in (section, bubble_section(planner), table_5_section(planner, fit), table_6_section(planner)):
        lines += section + [""]
    Path(options.out).write_text("\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
