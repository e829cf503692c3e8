#!/usr/bin/env python3
"""PyTorch's kernels at the shapes of `headwater bench ops`: flash attention, the norms, fused AdamW, the norm of gradients and
the matrix products, each timed as `bench ops` times its own. Prints JSON for scripts/kernel_table.py.

usage: torch_kernels.py OPS.json > TORCH.json     exit 77 where there is no PyTorch, or no GPU for it
"""

import json
import statistics
import sys
from pathlib import Path

SKIPPED = 77
STRETCH = 5e-3  # seconds of calls between which nobody waits
RUNS = 7
COLD_BYTES = 256 << 20  # calls take turns on so many bytes of operands, so that no cache has them


def skip(reason):
    print(f"torch_kernels.py: {reason}: nothing to compare with", file=sys.stderr)
    sys.exit(SKIPPED)


try:
    import torch
except ImportError:
    skip("PyTorch is not installed")
if not torch.cuda.is_available():
    skip(f"PyTorch {torch.__version__} finds no GPU")

import torch.nn.functional as F  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402


def stretch(calls, count):
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for i in range(count):
        calls[i % len(calls)]()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) * 1e-3 / count


def seconds(make, moved):
    """Of one call, median; `make` gives one with operands of its own, of `moved` bytes."""
    calls = [make() for _ in range(max(1, min(256, int(COLD_BYTES // moved))))]
    stretch(calls, 1)
    count = max(1, min(1000, int(STRETCH / stretch(calls, 1))))
    return statistics.median(stretch(calls, count) for _ in range(RUNS))


def backward(out, inputs):
    gradient = torch.rand_like(out)
    return lambda: torch.autograd.grad(out, inputs, gradient, retain_graph=True)


class Kernels:
    def __init__(self, bench):
        sizes = bench["sizes"]
        self.dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[bench["dtype"]]
        self.batch = [sizes["samples"], sizes["sequence"]]
        self.heads, self.kv_heads, self.head_dim = sizes["heads"], sizes["kv_heads"], sizes["head_dim"]
        self.rows = [sizes["samples"] * sizes["sequence"], sizes["hidden"]]
        self.parameters = sizes["vocabulary"] * sizes["hidden"]

    def random(self, *shape, gradient=False, dtype=None):
        return torch.rand(*shape, device="cuda", dtype=dtype or self.dtype).mul_(0.1).requires_grad_(gradient)

    def attention(self, what, whole_step):
        dropout = float(what.removeprefix("dropout ")) if what else 0.0
        samples, tokens = self.batch
        # [B, S, heads, D] in memory, as a model's product writes them.
        q = self.random(samples, tokens, self.heads, self.head_dim).transpose(1, 2).requires_grad_(whole_step)
        k, v = (self.random(samples, tokens, self.kv_heads, self.head_dim).transpose(1, 2).requires_grad_(whole_step)
                for _ in range(2))
        grouped = {"enable_gqa": True} if self.kv_heads != self.heads else {}

        def forward():
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, **grouped)

        return backward(forward(), (q, k, v)) if whole_step else forward

    def norm(self, function, whole_step):
        x = self.random(*self.rows, gradient=whole_step)
        gain = self.random(self.rows[1], gradient=whole_step)
        forward = lambda: function(x, self.rows[1:], weight=gain)
        return backward(forward(), (x, gain)) if whole_step else forward

    def norms(self):
        return [f for f in (getattr(F, "rms_norm", None), F.layer_norm) if f]

    def adamw(self):
        x = self.random(self.parameters, dtype=torch.float32, gradient=True)
        x.grad = torch.rand_like(x)
        return torch.optim.AdamW([x], lr=1e-4, fused=True).step

    def product(self, op, shape):
        """`shape`: "[T, K] x [N, K]", "[T, N] x [N, K]" or "[T, N] x [T, K]"."""
        a, b = (self.random(*json.loads(part)) for part in shape.split(" x "))
        return {"linear": lambda: torch.matmul(a, b.t()), "linear_input_gradient": lambda: torch.matmul(a, b),
                "linear_weight_gradient": lambda: torch.matmul(a.t(), b)}[op]

    def makers(self, op):
        """What PyTorch has for an op: several where the fastest counts."""
        name, what = op["op"], op["what"]
        if name in ("attention", "attention_backward"):
            return [lambda: self.attention(what, name != "attention")]
        if name in ("rms_norm", "rms_norm_backward"):
            return [lambda f=f: self.norm(f, name != "rms_norm") for f in self.norms()]
        if name == "adamw":
            return [self.adamw]
        if name == "add_squared_norm":
            def norm():
                x = self.random(self.parameters, dtype=torch.float32)
                return lambda: torch.linalg.vector_norm(x)
            return [norm]
        if name.startswith("linear"):
            return [lambda: self.product(name, op["shape"])]
        return []


def main():
    bench = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    kernels = Kernels(bench)
    rows = []
    for op in bench["ops"]:
        times = [seconds(make, op["bytes"]) for make in kernels.makers(op)]
        if times:
            rows.append({"op": op["op"], "what": op["what"], "seconds": min(times)})
        torch.cuda.empty_cache()
    print(json.dumps({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "ops": rows}))


if __name__ == "__main__":
    main()
