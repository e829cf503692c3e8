"""Published step times against the planner's: two numbers are fitted, on two rows, and all others predicted."""

import csv
import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from published.planner import FOLDER, csv_lines, solve

SEQUENCE = 2048
# What matrix products reach: on the run nearest to GPT-3 of a site whose launches nothing waits for. What launches cost where
# the device waits for them: on the run of the other site that launches most.
FITTED_ON = ("175B full", "181B D4 T8 P12 b1")
# Others that might have been chosen, to see how much the choice matters.
OTHER_PAIRS = (("145.6B", "181B D4 T8 P12 b1"), ("529.6B", "181B D4 T8 P12 b1"), ("1T full", "181B D4 T8 P12 b1"),
               ("175B full", "181B D8 T8 P6 b1"), ("175B full", "176B 112 heads D8 T4 P12 b2"))
# Where launches are taken to be free: the runs nearest to GPT-3, one of each site.
FITTED_ALONE_ON = ("175B full", "176B 112 heads D8 T4 P12 b2")


class Fit(NamedTuple):
    efficiency: float
    launch_seconds: float = 0.0


class Row:
    def __init__(self, fields):
        for name in ("source", "run", "site", "recompute"):
            setattr(self, name, fields[name])
        for name in ("layers", "hidden", "heads", "vocabulary", "ranks", "tensor", "pipeline", "chunks", "batch", "micro"):
            setattr(self, name, int(fields[name]))
        self.sequence_parallel = fields["sequence"] == "yes"
        self.stages = layer_counts(fields["stages"])
        self.seconds = self.seconds_at(fields["published"])

    def seconds_at(self, published):
        if not published.endswith("T"):
            return float(published)
        h, layers = self.hidden, self.layers
        flops = 96 * self.batch * SEQUENCE * layers * h * h * (1 + SEQUENCE / (6 * h) + self.vocabulary / (16 * layers * h))
        return flops / (float(published[:-1]) * 1e12 * self.ranks)

    def config(self):
        # GPT's MLP has 8 H^2 weights and keeps 8 H values a token; with two products into it and one out, 8/3 H wide, ours has
        # the same weights, FLOPs and values.
        ffn = math.ceil(8 * self.hidden / 3 / self.tensor) * self.tensor
        parallel = {"tensor_model_parallel_size": self.tensor, "sequence_parallel": self.sequence_parallel,
                    "pipeline_model_parallel_size": self.pipeline, "recompute": self.recompute,
                    "use_distributed_optimizer": self.site == "jean-zay"}
        if self.chunks > 1:
            parallel.update(pipeline_schedule="interleaved", num_chunks=self.chunks)
        if self.stages:
            parallel["pipeline_layout"] = self.stages
        return {"model": {"family": "yuan2", "lfa": False, "num_layers": self.layers, "hidden_size": self.hidden,
                          "ffn_hidden_size": ffn, "num_attention_heads": self.heads, "vocab_size": self.vocabulary,
                          "make_vocab_size_divisible_by": 1, "attention_dropout": 0.1, "hidden_dropout": 0.1},
                "parallel": parallel,
                "training": {"micro_batch_size": self.micro, "global_batch_size": self.batch, "seq_length": SEQUENCE,
                             "dtype": "bf16"}}

    def cluster(self, fit):
        cluster = json.loads((FOLDER / "clusters.json").read_text(encoding="utf-8"))[self.site]
        cluster["nodes"] = -(-self.ranks // cluster["devices_per_node"])
        cluster["device"]["efficiency"] = {"bf16": fit.efficiency}
        if "launch_seconds" in cluster["software"]:
            cluster["software"]["launch_seconds"] = fit.launch_seconds
        # Whether our tensors would fit is not asked here.
        cluster["device"]["memory_bytes"] = 10 ** 15
        return cluster


def layer_counts(text):
    """"5+6*10+5": 5, ten times 6, 5."""
    counts = []
    for part in text.split("+") if text else []:
        layers, _, times = part.partition("*")
        counts += [int(layers)] * int(times or 1)
    return counts


def read_rows():
    return [Row(fields) for fields in csv.DictReader(csv_lines("steps.csv"))]


def predict(planner, row, fit):
    return planner.plan(row.config(), row.cluster(fit), row.ranks)


def log_error(planner, row, fit):
    return math.log(predict(planner, row, fit)["step_seconds"] / row.seconds)


def check_two(rows):
    if len(rows) != 2:
        raise ValueError(f"the fit is on two rows, not {len(rows)}")


def fit_both(planner, rows):
    check_two(rows)
    free, waiting = rows
    efficiency = solve(lambda x: log_error(planner, free, Fit(x)), 0.3, 0.99, 1e-4)
    return Fit(efficiency, solve(lambda x: log_error(planner, waiting, Fit(efficiency, x)), 0.0, 0.01, 1e-6))


def fit_efficiency(planner, rows):
    """Alone, launches free: the errors of the two rows cancel."""
    check_two(rows)
    return Fit(solve(lambda x: sum(log_error(planner, row, Fit(x)) for row in rows), 0.3, 0.99, 1e-4))


def rows_named(rows, names):
    return [row for name in names for row in rows if row.run == name]


class Errors:
    """Of predictions, as shares of what was published; the fitted rows are not counted."""

    def __init__(self, rows, plans, fitted_on):
        self.rows, self.plans, self.fitted_on = rows, plans, fitted_on
        self.of = {row.source + row.run: plan["step_seconds"] / row.seconds - 1 for row, plan in zip(rows, plans)}

    def predicted(self, source=None):
        return [self.of[row.source + row.run] for row in self.rows
                if row.run not in self.fitted_on and source in (None, row.source)]

    def mean(self, source=None):
        errors = self.predicted(source)
        return sum(map(abs, errors)) / len(errors)

    def worst(self, source=None):
        return max(self.predicted(source), key=abs)

    def bias(self, source=None):
        errors = self.predicted(source)
        return sum(errors) / len(errors)


def errors(planner, rows, fit, fitted_on=FITTED_ON, workers=2):
    with ThreadPoolExecutor(workers) as pool:
        return Errors(rows, list(pool.map(lambda row: predict(planner, row, fit), rows)), fitted_on)
