"""Tables 5 and 6 of Yuan 2.0's paper: by its own formulas (--cost-model paper), and by our simulator."""

from published.planner import FOLDER

ROOT = FOLDER.parent.parent
A100 = {"memory_bytes": 10 ** 15, "memory_bandwidth": 1.7e12, "peak_flops": {"bf16": 312e12}}
NODE_NETWORK = 2 * 195e9 / 8  # two ports of 200 Gb/s, as measured by the paper
TERMS = ("T0", "T1", "T2", "T3", "T4")

TABLE_5 = {"T0": 36.666, "T1": 2.826, "T2": 2.643, "T3": 2.602, "T4": 0.455}
TABLE_5_TOTAL, TABLE_5_MEASURED = 45.192, 46.20
# P2P in GB/s: with tensor ranks and without, on 96 and on 256 devices.
TABLE_6 = {100: (584.28, 239.06, 224.10, 101.22), 200: (405.45, 238.40, 156.64, 100.92), 400: (316.32, 238.10, 123.21, 100.81)}


def cluster(ranks, efficiency, link):
    return {"name": f"{ranks} A100", "nodes": -(-ranks // 8), "devices_per_node": 8, "network_ports": 2,
            "device": {**A100, "efficiency": {"bf16": efficiency}},
            "intra_node": {"bandwidth": link, "latency_seconds": 5e-6},
            "inter_node": {"bandwidth": NODE_NETWORK / 8, "latency_seconds": 1e-5}}


def table_5(planner, efficiency):
    """Yuan 1.0's 245 billion parameters on 2128 devices: by the formulas, by our simulator, and by that with `efficiency`. The
    paper prints no link bandwidth: T3 gives it."""
    config = {"model": {"family": "yuan2", "lfa": False, "num_layers": 76, "hidden_size": 16384, "ffn_hidden_size": 43696,
                        "num_attention_heads": 128, "vocab_size": 53248},
              "parallel": {"tensor_model_parallel_size": 8, "pipeline_model_parallel_size": 38, "recompute": "full"},
              "training": {"micro_batch_size": 1, "global_batch_size": 3360, "seq_length": 2048, "dtype": "bf16"}}
    machines = cluster(2128, 0.554, 520e9)
    paper = planner.plan(config, machines, 2128, "--cost-model", "paper")
    machines["intra_node"]["bandwidth"] = 260e9  # one direction
    machines["software"] = {"whole_scores": True, "whole_recompute": True, "split_messages": True}
    ours = planner.plan(config, machines, 2128)
    machines["device"]["efficiency"] = {"bf16": efficiency}
    return paper, ours, planner.plan(config, machines, 2128)


# Yuan 2.0's 102 billion parameters, 1152 samples a step. A P2P peak counts both directions; 85 % of one is what is reached.
def method_2(planner, ranks, p2p, *arguments):
    return planner.plan(ROOT / "configs/yuan2-102b.json", cluster(ranks, 0.55, 0.85 * 0.5 * p2p * 1e9), ranks,
                        "--parallel.use_distributed_optimizer=true", *arguments)


# How many pipeline ranks its other method had is not published; 4 is our choice, and changes less than 1 %.
def method_1(planner, ranks, p2p, *arguments):
    return planner.plan(ROOT / "configs/yuan2-102b.json", cluster(ranks, 0.55, 0.85 * 0.5 * p2p * 1e9), ranks,
                        "--parallel.tensor_model_parallel_size=8", "--parallel.pipeline_model_parallel_size=4",
                        "--parallel.pipeline_layout=uniform", "--parallel.recompute=full", *arguments)


def table_6(planner, *arguments):
    """{P2P: seconds as in TABLE_6}"""
    return {p2p: tuple(plan["step_seconds"] for ranks in (96, 256)
                       for plan in (method_1(planner, ranks, p2p, *arguments), method_2(planner, ranks, p2p, *arguments)))
            for p2p in TABLE_6}


def parts(plan):
    """Where the seconds of a simulated step lie; they add up."""
    stages = [stage["forward_seconds"] + stage["input_gradient_seconds"] + stage["weight_gradient_seconds"]
              for stage in plan["stages"]]
    micro_batches, mean, longest = plan["micro_batches"], sum(stages) / len(stages), max(stages)
    schedule = micro_batches * mean / (1.0 - plan["bubble_fraction"])
    return {"compute, if all stages were equal": micro_batches * mean,
            "the longest stage is longer than the mean": micro_batches * (longest - mean),
            "filling and draining, transfers that nothing hides": schedule - micro_batches * longest,
            "sums of gradients, update, gather of weights": plan["step_seconds"] - schedule}
