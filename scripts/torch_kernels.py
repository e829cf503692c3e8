#!/usr/bin/env python3
"""PyTorch's kernels at the shapes of `headwater bench ops`, each timed as that times its own: attention by cuDNN and by
FlashAttention-2, the norms also as torch.compile fuses them, fused AdamW, the norm of gradients, matrix products.

usage: torch_kernels.py RESULTS.json [--compiled] [--device cpu]      RESULTS.json is of scripts/gpu_speed.py

Prints a line of JSON for each shape that RESULTS.json has nothing for, as soon as it has been measured; --compiled: of
torch.compile, which takes its time, and of nothing else:
  {"name", "torch": {"device", "torch", "cudnn", "ops": [{"op", "what", "peer", "seconds"}],
                     "refused": [{"op", "what", "peer", "reason"}]}}
A peer that refuses an op, or fails, is among `refused` and keeps none of the others from being timed. What two shapes share is
timed once. Exit 77 where there is no PyTorch, or no GPU for it. --device cpu times on the CPU, to see that this program works:
those times mean nothing.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
import warnings

import gpu_results

SKIPPED = 77
STRETCH = 5e-3  # seconds of calls between which nobody waits
RUNS = 7
COLD_BYTES = 256 << 20  # calls take turns on so many bytes of operands, so that no cache has them

CUDNN, FLASH, DETERMINISTIC, COMPILED = "cuDNN", "FA2", ", deterministic", "torch.compile"


def peers_of(op):
    """Who does what an op of ours does. A backward whose sums have a fixed order is another one than one whose have not."""
    if op == "attention":
        return [CUDNN, FLASH]
    if op == "attention_backward":
        return [name + order for name in (CUDNN, FLASH) for order in ("", DETERMINISTIC)]
    if op in ("rms_norm", "rms_norm_backward"):
        return ["rms_norm", "layer_norm", COMPILED]
    if op == "residual_rms_norm":
        return [COMPILED]
    if op == "adamw":
        return ["fused AdamW"]
    if op == "add_squared_norm":
        return ["vector_norm"]
    if op in ("linear", "linear_input_gradient", "linear_weight_gradient"):
        return ["matmul"]
    return []


def key_of(op, peer):
    return op["op"], op["what"], op["shape"], peer


def known(results):
    """Seconds and reasons by key_of(): what RESULTS.json has."""
    ops = {entry["name"]: {(op["op"], op["what"]): op for op in entry["bench"]["ops"]} for entry in results["ops"]}
    found = {}
    for entry in results["torch"]:
        for row in [*entry["torch"]["ops"], *entry["torch"]["refused"]]:
            op = ops.get(entry["name"], {}).get((row["op"], row["what"]))
            if op:
                found[key_of(op, row["peer"])] = {name: row[name] for name in ("seconds", "reason") if name in row}
    return found


def lacking(results, compiled):
    """The entries of `ops` that have nothing of such peers yet."""
    done = {entry["name"] for entry in results["torch"]
            for row in [*entry["torch"]["ops"], *entry["torch"]["refused"]] if (row["peer"] == COMPILED) == compiled}
    return [entry for entry in results["ops"] if entry["name"] not in done]


def measured(results, compiled, timer_of, about):
    """Lines to print. `timer_of(bench)` gives a function from an op and a peer to the seconds of a call."""
    found = known(results)
    for entry in lacking(results, compiled):
        lines = {"ops": [], "refused": []}
        timer = timer_of(entry["bench"])
        for op in entry["bench"]["ops"]:
            for peer in peers_of(op["op"]):
                if (peer == COMPILED) != compiled:
                    continue
                key = key_of(op, peer)
                if key not in found:
                    try:
                        found[key] = {"seconds": timer(op, peer)}
                    except Exception as error:  # whatever it is, the others go on
                        found[key] = {"reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
                where = lines["ops" if "seconds" in found[key] else "refused"]
                where.append({"op": op["op"], "what": op["what"], "peer": peer, **found[key]})
        yield {"name": entry["name"], "torch": {**about, **lines}}


# ---- with PyTorch ----


class Device:
    def __init__(self, torch, name):
        self.torch, self.name = torch, name

    def synchronize(self):
        if self.name == "cuda":
            self.torch.cuda.synchronize()

    def stretch(self, calls, count):
        """Seconds of a call; a GPU's own clock says them."""
        self.synchronize()
        if self.name != "cuda":
            begin = time.perf_counter()
            for i in range(count):
                calls[i % len(calls)]()
            return (time.perf_counter() - begin) / count
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for i in range(count):
            calls[i % len(calls)]()
        end.record()
        self.synchronize()
        return begin.elapsed_time(end) * 1e-3 / count

    def seconds(self, make, moved):
        """Of one call, median; `make` gives one with operands of its own, of `moved` bytes."""
        calls = [make() for _ in range(max(1, min(256, int(COLD_BYTES // moved))))]
        self.stretch(calls, 1)
        count = max(1, min(1000, int(STRETCH / self.stretch(calls, 1))))
        return statistics.median(self.stretch(calls, count) for _ in range(RUNS))


class Kernels:
    """Calls of PyTorch's kernels at the sizes of one bench."""

    def __init__(self, torch, device, bench):
        from torch.nn import functional
        self.torch, self.functional, self.device = torch, functional, device
        sizes = bench["sizes"]
        self.dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[bench["dtype"]]
        self.batch = [sizes["samples"], sizes["sequence"]]
        self.heads, self.kv_heads, self.head_dim = sizes["heads"], sizes["kv_heads"], sizes["head_dim"]
        self.rows = [sizes["samples"] * sizes["sequence"], sizes["hidden"]]
        self.parameters = sizes["vocabulary"] * sizes["hidden"]

    def seconds(self, op, peer):
        with warnings.catch_warnings(record=True) as said:  # a backend that refuses says why in warnings
            warnings.simplefilter("always")
            try:
                with self.as_peer(peer):
                    return self.device.seconds(lambda: self.call(op, peer), op["bytes"])
            except RuntimeError as error:
                reasons = [str(warning.message).split(" (Triggered")[0] for warning in said]
                raise RuntimeError(" ".join([str(error).splitlines()[0], *dict.fromkeys(reasons)])) from error
            finally:
                if self.device.name == "cuda":
                    self.torch.cuda.empty_cache()

    @contextlib.contextmanager
    def as_peer(self, peer):
        """PyTorch set to do as the peer does."""
        from torch.nn.attention import SDPBackend, sdpa_kernel
        with contextlib.ExitStack() as stack:
            if peer.startswith(CUDNN):
                stack.enter_context(sdpa_kernel(SDPBackend.CUDNN_ATTENTION))
            if peer.startswith(FLASH):
                stack.enter_context(sdpa_kernel(SDPBackend.FLASH_ATTENTION))
            if peer.endswith(DETERMINISTIC):
                stack.enter_context(self.deterministic())
            yield

    @contextlib.contextmanager
    def deterministic(self):
        torch = self.torch
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.deterministic = True
        torch.utils.deterministic.fill_uninitialized_memory = False  # else every empty tensor is written once more
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(False)
            torch.backends.cudnn.deterministic = False

    def random(self, *shape, gradient=False, dtype=None):
        """Of both signs: a chip clocks lower where bits toggle, as they do in training."""
        return self.torch.randn(*shape, device=self.device.name, dtype=dtype or self.dtype).mul_(0.1).requires_grad_(gradient)

    def call(self, op, peer):
        name, what = op["op"], op["what"]
        if name in ("attention", "attention_backward"):
            return self.attention(float(what.removeprefix("dropout ") or 0), name != "attention")
        if name in ("rms_norm", "rms_norm_backward"):
            return self.norm(peer, name != "rms_norm")
        if name == "residual_rms_norm":
            return self.residual_norm()
        if name == "adamw":
            return self.adamw()
        if name == "add_squared_norm":
            x = self.random(self.parameters, dtype=self.torch.float32)
            return lambda: self.torch.linalg.vector_norm(x)
        return self.product(name, op["shape"])

    def backward(self, out, inputs):
        gradient = self.torch.randn_like(out)
        return lambda: self.torch.autograd.grad(out, inputs, gradient, retain_graph=True)

    def attention(self, dropout, whole):
        samples, tokens = self.batch
        # [B, S, heads, D] in memory, as a model's product writes them.
        q = self.random(samples, tokens, self.heads, self.head_dim).transpose(1, 2).requires_grad_(whole)
        k, v = (self.random(samples, tokens, self.kv_heads, self.head_dim).transpose(1, 2).requires_grad_(whole)
                for _ in range(2))
        grouped = {"enable_gqa": True} if self.kv_heads != self.heads else {}
        forward = lambda: self.functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, **grouped)
        return self.backward(forward(), (q, k, v)) if whole else forward

    def norm_function(self, peer):
        if peer == "layer_norm":
            return lambda x, gain: self.functional.layer_norm(x, x.shape[-1:], weight=gain)
        return lambda x, gain: self.functional.rms_norm(x, x.shape[-1:], weight=gain)

    def compiled(self, function):
        return self.torch.compile(function, dynamic=False)

    def norm(self, peer, whole):
        x, gain = self.random(*self.rows, gradient=whole), self.random(self.rows[1], gradient=whole)
        function = self.norm_function(peer)
        if peer == COMPILED:
            function = self.compiled_norm = getattr(self, "compiled_norm", None) or self.compiled(function)
        return self.backward(function(x, gain), (x, gain)) if whole else lambda: function(x, gain)

    def residual_norm(self):
        x, branch, gain = self.random(*self.rows), self.random(*self.rows), self.random(self.rows[1])

        def residual_norm(x, branch, gain):
            total = x + branch
            return total, self.functional.rms_norm(total, total.shape[-1:], weight=gain)

        function = self.compiled_residual = getattr(self, "compiled_residual", None) or self.compiled(residual_norm)
        return lambda: function(x, branch, gain)

    def adamw(self):
        x = self.random(self.parameters, dtype=self.torch.float32, gradient=True)
        x.grad = self.torch.randn_like(x)
        return self.torch.optim.AdamW([x], lr=1e-4, fused=True).step

    def product(self, op, shape):
        """`shape`: "[T, K] x [N, K]", "[T, N] x [N, K]" or "[T, N] x [T, K]"."""
        a, b = (self.random(*json.loads(part)) for part in shape.split(" x "))
        return {"linear": lambda: self.torch.matmul(a, b.t()), "linear_input_gradient": lambda: self.torch.matmul(a, b),
                "linear_weight_gradient": lambda: self.torch.matmul(a.t(), b)}[op]


def skip(reason):
    print(f"torch_kernels.py: {reason}: nothing to compare with", file=sys.stderr)
    sys.exit(SKIPPED)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="RESULTS.json")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options = parser.parse_args()
    try:
        results = gpu_results.read(options.results, "ops", "torch")
    except gpu_results.Unreadable as error:
        sys.exit(f"torch_kernels.py: {error}")
    try:
        import torch
    except ImportError as error:
        skip(f"PyTorch is not installed ({error})")
    if options.device == "cuda" and not torch.cuda.is_available():
        skip(f"PyTorch {torch.__version__} finds no GPU")
    about = {"device": torch.cuda.get_device_name() if options.device == "cuda" else "the CPU", "torch": torch.__version__,
             "cudnn": torch.backends.cudnn.version()}
    device = Device(torch, options.device)
    for line in measured(results, options.compiled, lambda bench: Kernels(torch, device, bench).seconds, about):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
