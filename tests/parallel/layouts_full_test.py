#!/usr/bin/env python3
"""A dozen layouts as processes under mpirun: the golden curve and gradients at each, and the same bits twice."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from golden_case import GoldenTest  # noqa: E402
from runs import latest, state  # noqa: E402

MODE = "documents"


def pipeline(stages, layers, schedule="1f1b"):
    return (f"--parallel.pipeline_model_parallel_size={stages}", f"--parallel.pipeline_layout={layers}",
            f"--parallel.pipeline_schedule={schedule}")


def tensor(ranks, filter_cut_by=None):
    """Tokens are cut where the filter's sharding is named."""
    cut = ("--parallel.sequence_parallel=true", f"--parallel.lfa_sharding={filter_cut_by}") if filter_cut_by else ()
    return (f"--parallel.tensor_model_parallel_size={ranks}", *cut)


def recompute(what):
    return (f"--parallel.recompute={what}",)


ZERO = ("--parallel.use_distributed_optimizer=true",)
# Ranks and what the command line says of the layout.
LAYOUTS = {
    "one": (1, ()),
    "data 4": (4, ()),
    "data 2, sharded optimizer": (2, ZERO),
    "pipeline 4+0, gpipe": (2, pipeline(2, "[4,0]", "gpipe")),
    "ends alone": (4, (*pipeline(4, "[0,3,1,0]"), *recompute('["none",2,"selective","none"]'))),
    "a layer each, ends alone, zb-h1": (6, pipeline(6, "[0,1,1,1,1,0]", "zb-h1")),
    "interleaved, uneven, data 2": (4, pipeline(2, "[0,2,1,1]", "interleaved")),
    "zb-v, uneven, data 2, sharded optimizer": (4, (*pipeline(2, "[2,1,1,0]", "zb-v"), *ZERO)),
    "pipeline 3 x data 2": (6, (*pipeline(3, "[0,4,0]"), *recompute("selective"))),
    "tensor 2, all recomputed": (2, (*tensor(2), *recompute("full"))),
    "tensor 4, tokens cut": (4, (*tensor(4, "channels"), *recompute("selective"))),
    "tensor 2, filter by tokens, pipeline 2": (4, (*tensor(2, "tokens"), *pipeline(2, "[1,3]"), *recompute("full"))),
    "tensor 2 x pipeline 2 x data 2": (8, (*tensor(2, "channels"), *pipeline(2, "[3,1]", "zb-h1"), *ZERO)),
}


class Layouts(GoldenTest):
    def for_layouts(self, check):
        for name, (ranks, layout) in LAYOUTS.items():
            with self.subTest(layout=name):
                check(name, ranks, layout)

    def test_curves(self):
        """Against the golden curve, and closer than that to the curve of one rank."""
        one = self.check_curve(MODE, name="first")

        def check(name, ranks, layout):
            lines = self.check_curve(MODE, *layout, ranks=ranks, name=name)
            for line, alone in zip(lines, one):
                for key in ("loss", "grad_norm"):
                    self.assertLessEqual(abs(line[key] - alone[key]), 1e-5 * alone[key], line)
                self.assertEqual((line["tokens"], line["samples"]), (alone["tokens"], alone["samples"]))

        self.for_layouts(check)

    def test_gradients(self):
        # Two samples: as many replicas at most.
        self.for_layouts(lambda name, ranks, layout: name == "data 4" or self.check_gradients(MODE, *layout, ranks=ranks))

    def test_the_same_bits_twice(self):
        dropout = ("--model.attention_dropout=0.1", "--model.hidden_dropout=0.1")
        model = [f"--model.{key}={value}" for key, value in (
            ("family", "yuan2"), ("num_layers", 4), ("hidden_size", 48), ("ffn_hidden_size", 128),
            ("num_attention_heads", 4), ("vocab_size", 192), ("max_position_embeddings", 40))]

        def check(name, ranks, layout):
            runs = []
            for turn in ("a", "b"):
                save = self.folder / f"save {name} {turn}"
                lines = self.train_case(MODE, *model, *dropout, *layout, f"--training.save={save}", ranks=ranks,
                                        name=f"{name} {turn}")
                runs.append(([(line["loss"], line["grad_norm"]) for line in lines], state(save)))
                self.assertEqual(latest(save).name, "step-00000020")
            self.assertEqual(runs[0][0], runs[1][0])
            self.assertTrue(runs[0][1] == runs[1][1], "the checkpoints differ")

        for name in ("data 4", "zb-v, uneven, data 2, sharded optimizer", "tensor 2, filter by tokens, pipeline 2"):
            with self.subTest(layout=name):
                check(name, *LAYOUTS[name])

    def test_bf16(self):
        self.check_bf16(MODE, *LAYOUTS["interleaved, uneven, data 2"][1], ranks=4)


if __name__ == "__main__":
    unittest.main()
