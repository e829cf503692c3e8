"""Plays the warps of one scheduler of a multiprocessor, instruction by instruction: an SM of compute capability 9.0.

A warp issues in order, one instruction a clock for the whole scheduler, when its operands are there and the pipe is free. Of
what the four schedulers share (shared memory, the way to the L2 cache) this one has a quarter: all four are taken to do the
same. Not played are register banks, caches, and copies that wait for each other in memory."""

from dataclasses import dataclass

TENSOR_SHARE = 0.63  # of the dense rate that mma.sync reaches; wgmma alone reaches all of it
# Clocks: of what L2 has, a tile that other blocks have read too, or one of a few numbers; of what comes from memory, at work.
L2_LATENCY, MEMORY_LATENCY = 270, 600
COMMIT = 4  # groups of asynchronous copies that are kept in mind


@dataclass(frozen=True)
class Cost:
    pipe: str  # "" where only the slot counts
    clocks: float  # that a warp's instruction holds its pipe
    latency: float  # until the result may be read


# Clocks are 32 / (lanes a clock and scheduler): 32 of FFMA, 16 of integers, 4 of special functions, 16 of f64.
COSTS = {
    ("FFMA", "FMUL", "FADD", "HFMA2", "HADD2", "HMUL2", "FFMA32I"): Cost("fma", 1, 4),
    ("IMAD",): Cost("fma", 2, 5),
    ("DFMA", "DADD", "DMUL", "DSETP"): Cost("f64", 2, 10),
    ("MUFU", "F2F", "I2F", "F2I", "FRND", "POPC", "FLO", "BREV", "I2FP", "F2IP"): Cost("special", 8, 20),
    ("LDC",): Cost("", 1, 30),
    ("S2R", "S2UR", "CS2R", "R2UR"): Cost("", 1, 20),
    ("BAR", "BRA", "BRX", "EXIT", "RET", "CALL", "BSSY", "BSYNC", "WARPSYNC", "LDGDEPBAR", "DEPBAR", "NOP"): Cost("", 1, 0),
    ("SHFL",): Cost("shared", 4, 24),
    # The conversions to bf16 are among the integers' instructions.
}
BY_NAME = {name: cost for names, cost in COSTS.items() for name in names}
INTEGER, UNIFORM = Cost("integer", 2, 5), Cost("", 1, 8)
BRANCH, BARRIER = 8, 20  # clocks after which a warp goes on


def cost_of(instruction):
    name = instruction.name
    if name == "HMMA":  # 4096 FLOPs, of 1024 a clock
        return Cost("tensor", 4 / TENSOR_SHARE, 33)
    if name == "LDSM":  # 128 bytes a clock
        return Cost("shared", 4 * instruction.words, 29)
    if name in ("LDS", "STS") or instruction.again:  # L1 is of the same memory
        return Cost("shared", max(4, instruction.bytes), 29)
    if name in ("LDG", "LDGSTS", "STG", "RED", "REDG", "ATOM", "ATOMG"):  # 64 bytes a clock
        few = name == "LDGSTS" or instruction.bytes < 8
        latency = 0 if name == "STG" else L2_LATENCY if few else MEMORY_LATENCY
        return Cost("memory", 2 * instruction.bytes, latency)
    if name in BY_NAME:
        return BY_NAME[name]
    return UNIFORM if name.startswith("U") else INTEGER


def busy(run):
    """Clocks that each pipe needs for a run of instructions; "issue" has their number."""
    pipes = {"issue": len(run)}
    for instruction in run:
        cost = cost_of(instruction)
        if cost.pipe:
            pipes[cost.pipe] = pipes.get(cost.pipe, 0) + cost.clocks
    return pipes


class Warp:
    def __init__(self, block):
        self.block = block
        self.at = self.turn = 0
        self.clock = 0.0
        self.ready = {}  # when a register may be read
        self.groups = []  # when asynchronous copies land
        self.waits = False  # at a barrier


def clocks(run, warps, warps_of_block=1, pause=0, turns=4):
    """Clocks in which one scheduler finishes a turn of `run`, where `warps` of them, in blocks of `warps_of_block`, go through
    it again and again, `pause` clocks after each turn; as they run when all have begun."""
    few, many = (end_of(run, warps, warps_of_block, pause, count) for count in (turns, 2 * turns))
    return (many - few) / (turns * warps)


def end_of(run, warps, warps_of_block, pause, turns):
    """When all warps have gone through their turns."""
    costs = [cost_of(instruction) for instruction in run]
    all_warps = [Warp(number // warps_of_block) for number in range(warps)]
    pipes, issue, last = {}, 0.0, None

    def earliest(warp):
        instruction, cost = run[warp.at], costs[warp.at]
        clock = max(
            [warp.clock, issue, pipes.get(cost.pipe, 0.0)] + [warp.ready.get(register, 0.0) for register in instruction.reads]
        )
        if instruction.name == "DEPBAR" and instruction.operands.startswith("SB0"):
            newest = instruction.constants()[-1]
            clock = max([clock] + warp.groups[: max(0, len(warp.groups) - newest)])
        return clock

    while True:
        able = [warp for warp in all_warps if warp.turn < turns and not warp.waits]
        if not able:
            break
        clock, _, _, warp = min(
            ((earliest(warp), warp is not last, warp.turn, warp) for warp in able), key=lambda choice: choice[:3]
        )
        instruction, cost = run[warp.at], costs[warp.at]
        last, issue = warp, clock + 1
        warp.clock = clock + (BRANCH if instruction.name == "BRA" else 1)
        ended = clock
        if cost.pipe:
            ended = pipes[cost.pipe] = clock + cost.clocks
        for register in instruction.writes:
            warp.ready[register] = (ended if cost.pipe in ("shared", "memory", "special") else clock) + cost.latency
        if instruction.name == "LDGDEPBAR":
            warp.groups = (warp.groups + [max(clock, pipes.get("memory", 0.0)) + L2_LATENCY])[-COMMIT:]
        warp.at += 1
        if warp.at == len(run):
            warp.at, warp.turn = 0, warp.turn + 1
            warp.clock += pause
        if instruction.name == "BAR":
            warp.waits = True
            block = [other for other in all_warps if other.block == warp.block]
            if all(other.waits or other.turn == turns for other in block):
                for other in block:
                    other.waits, other.clock = False, max(other.clock, clock + BARRIER)
    return max([issue, *pipes.values(), *(warp.clock for warp in all_warps)])
