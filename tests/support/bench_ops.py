"""headwater bench step and ops on a tiny model; and what each op must count, whatever the device."""

import json
import os
import subprocess
import unittest
from pathlib import Path

HEADWATER = os.environ["HEADWATER"]
CLUSTER = str(Path(__file__).resolve().parents[2] / "configs/clusters/h100-80gb.json")
H100 = {"matmul_flops": 989.4e12, "memory_bandwidth": 3.35e12}
TINY = ("--model.preset=yuan2-tiny", "--training.seq_length=32", "--training.micro_batch_size=2")


def bench(*arguments):
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # other tests want the cores too
    return subprocess.run([HEADWATER, "bench", *arguments], env=environment, capture_output=True, text=True, timeout=300)


def expected_ops(c, a, B=2, S=32, H=128, A=4, D=32, F=512, V=512, block=64):
    """FLOPs and bytes of each op at the sizes of TINY; c, a: bytes of an element that is computed in, summed in."""
    T, C, keys = B * S, H // 2, 2 * 4 * B  # an op that knows dropout is given its keys
    pairs = B * A * D * S * (S + 1) / 2  # of a query and a key in its reach, times the channels of a head
    ops = {}

    def product(what, rows, n, k, added=False):
        """`added`: its input gradient is added to one that is there."""
        flops = 2 * rows * n * k
        ops["linear", what] = (flops, c * (rows * k + n * k + rows * n))
        ops["linear_input_gradient", what] = (flops, c * ((2 if added else 1) * rows * k + n * k + rows * n))
        ops["linear_weight_gradient", what] = (flops, c * (rows * k + rows * n) + 2 * a * n * k)

    product("lfa.conv1", T, 2 * C, H, added=True)
    product("lfa.conv2", T, 2 * H, C)
    product("attention.qk", T, 2 * H, H)
    product("attention.v", T, H, H, added=True)
    product("attention.o", T, H, H)
    product("mlp.gate_up", T, 2 * F, H)
    product("mlp.down", T, H, F)
    product("head", block, V, H)
    ops["attention", ""] = (4 * pairs, 4 * c * T * H + a * T * A + 4 * T + keys)
    ops["attention_backward", ""] = (10 * pairs, 8 * c * T * H + a * T * A + 4 * T + keys)
    for op, moved in {
        ("rotary", ""): 2 * c * T * 2 * H + 4 * T,
        ("lfa_taps", ""): c * (3 * T * C + C) + 4 * T,
        ("lfa_taps_rms_norm", ""): c * (5 * T * H + 2 * H) + 4 * T + a * T,
        ("lfa_taps_backward", "lfa.conv1.d_products"): 3 * c * T * C + 4 * T + 2 * a * C,
        ("lfa_taps_backward", "lfa.conv2.d_products"): 3 * c * T * H + 4 * T + 2 * a * H,
        ("rms_norm", ""): c * (2 * T * H + H) + a * T,
        ("rms_norm_backward", "lfa.d_sum"): c * (3 * T * H + H) + a * T + 2 * a * H,
        ("rms_norm_backward", "d_middle"): c * (4 * T * H + H) + a * T + 2 * a * H,  # adds the stream's gradient
        ("residual_add", ""): 3 * c * T * H + keys,
        ("residual_rms_norm", ""): c * (4 * T * H + H) + a * T + keys,
        ("swiglu", ""): 3 * c * T * F,
        ("swiglu_backward", ""): 5 * c * T * F,
        ("embedding", ""): 2 * c * T * H + 4 * T,
        ("embedding_backward", ""): c * T * H + 2 * a * T * H + 4 * T,
        ("softmax_statistics", ""): c * block * V + 4 * block + 3 * a * block,
        ("cross_entropy_backward", ""): 2 * c * block * V + 4 * block + 3 * a * block + 2 * 8 * 7,
        ("zero", ""): a * V * H,
        ("add_squared_norm", ""): a * V * H + 2 * 8,
        ("adamw", ""): 7 * a * V * H + (c * V * H if c != a else 0),
    }.items():
        ops[op] = (0, moved)
    return ops


class StepTest(unittest.TestCase):
    def step(self, *arguments):
        done = bench("step", *TINY, "--steps", "2", "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return json.loads(done.stdout)


class OpsTest(unittest.TestCase):
    def ops(self, *arguments):
        done = bench("ops", *TINY, "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return json.loads(done.stdout)

    def check(self, result, c):
        rows = {(op["op"], op["what"]): op for op in result["ops"]}
        self.assertEqual(len(rows), len(result["ops"]))
        expected = expected_ops(c, 4)
        self.assertEqual(rows.keys(), expected.keys())
        for key, op in rows.items():
            self.assertEqual((op["flops"], op["bytes"]), expected[key], key)
            floor = max(op["flops"] / result["floor"]["matmul_flops"], op["bytes"] / result["floor"]["memory_bandwidth"])
            self.assertAlmostEqual(op["floor_seconds"] / floor, 1.0, msg=key)

    def check_measured(self, *arguments):
        """Floors by what is measured; then by a device that none is faster than at such sizes."""
        result = self.ops("--runs", "1", "--training.dtype=fp32", *arguments)
        self.assertEqual((result["dtype"], result["floor"]), ("fp32", result["measured"]))
        self.check(result, 4)
        result = self.ops("--runs", "1", "--training.dtype=bf16", "--cluster", CLUSTER, *arguments)
        self.assertEqual(result["floor"], H100)
        self.check(result, 2)
        for op in result["ops"]:
            self.assertGreater(op["seconds"], op["floor_seconds"], op)
