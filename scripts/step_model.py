"""What a training step takes on one GPU, from the ops of `headwater bench ops` and how often it says that a step calls each."""

import re
from dataclasses import dataclass

OF_BLOCK = ("softmax_statistics", "cross_entropy_backward")  # of the head's tokens, with its products
UPDATE = ("zero", "add_squared_norm", "adamw")  # a step, over all parameters

PARTS = ("products", "head", "attention", "attention backward", "rest", "update")


@dataclass
class Step:
    parts: dict  # seconds of each of PARTS; all but the update of one micro-batch
    micro_batches: int
    tokens: int  # of a micro-batch
    flops: float  # of the model, for a micro-batch: three times those of a forward

    @property
    def seconds(self):
        return self.micro_batches * sum(self.parts[part] for part in PARTS if part != "update") + self.parts["update"]

    @property
    def tokens_per_second(self):
        return self.micro_batches * self.tokens / self.seconds

    def mfu(self, peak):
        return self.micro_batches * self.flops / self.seconds / peak


def rows_of(op):
    return int(re.match(r"\[(\d+)", op["shape"]).group(1))


def is_head(op):
    return op["op"] in OF_BLOCK or (op["op"].startswith("linear") and op["what"] == "head")


def calls(bench, attention_what):
    """[(op, calls a micro-batch)] of a step without recomputation; `attention_what` is "" or "dropout P". Of the update none.

    Where attention is listed with dropout and without, calls are those of the configured one; the other has none."""
    for op in bench["ops"]:
        name = op["op"]
        if name in UPDATE or (name.startswith("attention") and op["what"] != attention_what):
            continue
        same = [other["calls"] for other in bench["ops"] if other["op"] == name] if name.startswith("attention") else [op["calls"]]
        yield op, max(same)


def part_of(op):
    name = op["op"]
    if is_head(op):
        return "head"
    if name.startswith("linear"):
        return "products"
    return {"attention": "attention", "attention_backward": "attention backward"}.get(name, "rest")


def parameters(bench):
    """Of the products, the embedding being the head's matrix; norms and biases are next to nothing."""

    def of(op):
        n, k = re.search(r" x \[(\d+), (\d+)\]", op["shape"]).groups()
        return int(n) * int(k)

    return sum(of(op) * (1 if op["what"] == "head" else op["calls"]) for op in bench["ops"] if op["op"] == "linear")


def predict(model, bench, dropout=0.0, micro_batches=1, samples=None):
    """A step of `micro_batches` micro-batches of `samples` each, as many as the ops' where nothing is said. None where an op of
    it has no prediction."""
    sizes = bench["sizes"]
    what = f"dropout {dropout:g}" if dropout else ""
    more = (samples or sizes["samples"]) / sizes["samples"]
    parts, flops = dict.fromkeys(PARTS, 0.0), 0.0
    if not any(op["op"] == "attention" and op["what"] == what for op in bench["ops"]):
        return None
    for op, often in calls(bench, what):
        seconds = model.seconds(op, sizes)
        if seconds is None:
            return None
        parts[part_of(op)] += more * often * seconds
        if op["op"] in ("linear", "attention"):
            flops += 3 * more * often * op["flops"]
    for op in bench["ops"]:
        if op["op"] in UPDATE:
            parts["update"] += model.seconds(op, sizes) * parameters(bench) / rows_of(op)
    return Step(parts, micro_batches, round(more * sizes["samples"] * sizes["sequence"]), flops)
