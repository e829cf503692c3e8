"""What scripts/gpu_speed.py has left, each op and step beside its prediction: of which scripts/kernel_table.py makes a page."""

import step_model
from gpu_names import KINDS
from kernel_model import DEVICES, Model

ASSUMED_DEVICE = "NVIDIA H200"  # where no device is at hand, or one of which the model knows nothing


def name_of(op):
    return f"{op['op']} {op['what']}".strip()


class Results:
    def __init__(self, results):
        self.shapes = [shape for shape in results["ops"] if shape.get("bench")]
        self.steps = results.get("steps") or []
        self.device_name = results.get("device")
        self.versions = [f"{name} {results[key]}" for name, key in (("driver", "driver"), ("CUDA", "cuda")) if results.get(key)]
        self.torch = {entry["name"]: entry["torch"] for entry in results.get("torch") or [] if entry.get("torch")}
        self.failed, self.left_out = results.get("failed") or [], results.get("left_out") or []
        self.without_torch, self.unordered = results.get("without_torch"), results.get("unordered")
        device = DEVICES.get(KINDS.get(self.device_name or ASSUMED_DEVICE))
        self.known = device is not None
        self.device = device or DEVICES[KINDS[ASSUMED_DEVICE]]
        self.model = Model(self.device)

    def copy(self, bench):
        return bench["measured"]["memory_bandwidth"] if "measured" in bench else self.device.copy

    def peers(self, shape, op):
        """{name: seconds} of PyTorch's for an op."""
        ops = self.torch.get(shape["name"], {}).get("ops", [])
        return {
            peer["peer"]: peer["seconds"]
            for peer in ops
            if peer.get("seconds") and (peer["op"], peer["what"]) == (op["op"], op["what"])
        }

    def measured(self):
        """[(what, predicted seconds, measured seconds)] of ops and steps."""
        for shape, op in fresh_ops(self.shapes):
            predicted = self.model.seconds(op, shape["bench"]["sizes"])
            if op.get("seconds") and predicted:
                yield f"{name_of(op)}, {shape['name']}", predicted, op["seconds"]
        for step in self.steps:
            predicted = predicted_step(self, step)
            if step.get("step") and predicted:
                yield f"step, {step['name']}", predicted.seconds, step_seconds(step["step"])


def fresh_ops(shapes):
    """(shape, op) of all ops, each where its shape comes for the first time."""
    seen = set()
    for shape in shapes:
        for op in shape["bench"]["ops"]:
            key = op["op"], op["what"], op["shape"]
            if key not in seen:
                seen.add(key)
                yield shape, op


def memory_bounds(op, bench):
    return op["bytes"] / bench["floor"]["memory_bandwidth"] > op["flops"] / bench["floor"]["matmul_flops"]


def step_seconds(step):
    return step["tokens"] / step["tokens_per_second"]


def option(step, key, default):
    found = [word.partition("=")[2] for word in step["arguments"] if word.startswith(f"--{key}=")]
    return float(found[-1]) if found else default


def predicted_step(results, step):
    sequence, samples = int(option(step, "training.seq_length", 8192)), int(option(step, "training.micro_batch_size", 2))
    fitting = [
        shape["bench"]
        for shape in results.shapes
        if shape["bench"]["sizes"]["sequence"] == sequence and shape["bench"]["sizes"]["head_dim"] == 64
    ]
    if not fitting:
        return None
    micro_batches = int(option(step, "training.global_batch_size", 384)) // samples
    dropout = option(step, "model.attention_dropout", 0.1)
    return step_model.predict(results.model, fitting[0], dropout=dropout, micro_batches=micro_batches, samples=samples)
