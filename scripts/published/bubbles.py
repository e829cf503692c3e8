"""The zero-bubble paper's Table 5 against our simulator: the share of W and the time of a transfer fitted per model."""

import csv

from published.planner import csv_lines, solve

SCHEDULES = ("1f1b", "interleaved", "zb-h1")
# Both with the fewest micro-batches, where bubbles are largest: 1F1B's says how long transfers take, ZB-H1's how much W is.
FITTED_ON = ("1f1b", "zb-h1")


def read_models():
    models = {}
    for fields in csv.DictReader(csv_lines("bubbles.csv")):
        models.setdefault(fields["model"], []).append(
            {name: float(fields[name]) if name in SCHEDULES else int(fields[name]) for name in fields if name != "model"})
    return models


def bubble(planner, row, schedule, weight_share, link):
    """Of equal stages whose F + B + W is 1, with F = B."""
    rest = (1.0 - weight_share) / 2.0
    chunks = {"chunks": row["chunks"]} if schedule == "interleaved" else {}
    return planner.bubble(schedule=schedule, pipeline=row["ranks"], micro_batches=row["micro_batches"], forward=rest,
                          input_gradient=rest, weight_gradient=weight_share, link=link, **chunks)


def fit(planner, row):
    weight_share, link = 1.0 / 3.0, 0.0
    for _ in range(3):
        link = solve(lambda x: bubble(planner, row, "1f1b", weight_share, x) - row["1f1b"], 0.0, 0.2, 1e-5)
        weight_share = solve(lambda x: bubble(planner, row, "zb-h1", x, link) - row["zb-h1"], 0.05, 0.4, 1e-5)
    return weight_share, link


def table(planner):
    """(model, row, schedule, published, predicted, fitted) of every cell, and each model's fit."""
    cells, fits = [], {}
    for model, rows in read_models().items():
        fits[model] = fit(planner, rows[0])
        for row in rows:
            for schedule in SCHEDULES:
                cells.append((model, row, schedule, row[schedule], bubble(planner, row, schedule, *fits[model]),
                              row is rows[0] and schedule in FITTED_ON))
    return cells, fits
