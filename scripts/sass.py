"""A kernel's machine code as nvdisasm prints it: functions, their basic blocks, and of each instruction the registers that it
reads and writes."""

import re
from dataclasses import dataclass, field

FUNCTION = re.compile(r"(?m)^//-+ \.text\.(\S+) -+$")
INSTRUCTION = re.compile(r"\s+/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
LABEL = re.compile(r"(\.L_x_\d+):")
TARGET = re.compile(r"`\((\.L_x_\d+)\)")
PREDICATE = re.compile(r"!?(U?P)(?:(\d)|T)$")
REGISTER = re.compile(r"(?<![\w.])(U?R)(\d+)(\.64)?")

# They write no register: their first operand is read, or is none.
WITHOUT_RESULT = (
    "ST",
    "RED",
    "BRA",
    "BRX",
    "EXIT",
    "RET",
    "CALL",
    "BAR",
    "LDGSTS",
    "LDGDEPBAR",
    "DEPBAR",
    "BSSY",
    "BSYNC",
    "NOP",
    "WARPSYNC",
    "MEMBAR",
    "ERRBAR",
    "CCTL",
    "NANOSLEEP",
    "YIELD",
    "BREAK",
    "BMOV",
)
DOUBLE = ("DFMA", "DADD", "DMUL", "DSETP")


@dataclass
class Instruction:
    guard: str  # its predicate, with "!" where it is negated; "" where there is none
    opcode: str  # with modifiers: LDG.E.128.CONSTANT
    operands: str
    again: bool = False  # a load of what the unit of work before has loaded too (repeated_loads.py)
    reads: tuple = field(init=False)
    writes: tuple = field(init=False)

    def __post_init__(self):
        self.reads, self.writes = registers(self)

    @property
    def name(self):
        return self.opcode.partition(".")[0]

    def has(self, *modifiers):
        return any(modifier in modifiers for modifier in self.opcode.split(".")[1:])

    @property
    def bytes(self):
        """Of an access to memory, for a lane."""
        for width in (128, 64, 16, 8):
            if self.has(str(width), f"U{width}", f"S{width}", f"F32x{width // 32}"):
                return width // 8
        return 4

    @property
    def words(self):
        """Registers of its result."""
        if self.name == "LDSM":
            return 4 if self.has("4") else 2 if self.has("2") else 1
        if self.name == "HMMA" or self.has("128"):
            return 4
        wide = self.name in DOUBLE or self.name == "CS2R" or self.has("64", "WIDE") or self.opcode.startswith("F2F.F64")
        return 2 if wide else 1

    def constants(self):
        """Its numbers, as signed ones of 32 bits."""
        numbers = [int(number, 16) for number in re.findall(r"(?<![\w\[])-?0x[0-9a-f]+\b", self.operands)]
        return [number - (1 << 32) if number >> 31 == 1 else number for number in numbers]


def registers(instruction):
    """(those that it reads, those that it writes), by name. Predicates before a result are written, as is a carry after it."""
    name = instruction.name
    reads, writes = [], []
    if instruction.guard:
        reads.append(instruction.guard.lstrip("!"))
    compares = name.endswith(("SETP", "PLOP3"))
    result = -1 if name.startswith(WITHOUT_RESULT) else None  # at which operand; None: it comes yet
    for at, operand in enumerate(re.split(r",\s*(?![^\[]*\])", instruction.operands)):
        predicate = PREDICATE.match(operand)
        if predicate:
            written = (
                at < 2 if compares else not operand.startswith("!") and (result is None or (result >= 0 and at == result + 1))
            )
            if predicate.group(2):
                (writes if written else reads).append("".join(predicate.groups()))
            continue
        found = REGISTER.findall(operand)
        if result is None and not compares:
            result = at
            for kind, number, _ in found:
                writes += [f"{kind}{int(number) + word}" for word in range(instruction.words)]
            continue
        for kind, number, wide in found:
            words = 2 if wide or name in DOUBLE or (at == 3 and name == "IMAD" and instruction.has("WIDE")) else 1
            if name == "HMMA":
                words = (4, 2, 4)[at - 1]
            elif name.startswith("ST") and not operand.startswith(("[", "desc")):
                words = max(1, instruction.bytes // 4)
            reads += [f"{kind}{int(number) + word}" for word in range(words)]
    return tuple(reads), tuple(writes)


@dataclass
class Block:
    instructions: list = field(default_factory=list)
    successors: list = field(default_factory=list)  # numbers of blocks; of a branch its target comes first


def functions(text):
    """{mangled name: disassembly} of what `nvdisasm -c` prints of a cubin."""
    parts = FUNCTION.split(text)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks_of(text):
    """The basic blocks of one function, in the order of their addresses; the first is where it begins."""
    blocks, labels, targets = [Block()], {}, {}
    for line in text.splitlines():
        label, found = LABEL.match(line), INSTRUCTION.match(line)
        if label:
            if blocks[-1].instructions:
                blocks.append(Block())
            labels[label.group(1)] = len(blocks) - 1
        elif found:
            instruction = Instruction(found.group(2) or "", found.group(3), found.group(4))
            blocks[-1].instructions.append(instruction)
            if instruction.name in ("BRA", "EXIT", "RET"):
                if instruction.name == "BRA":
                    targets[len(blocks) - 1] = TARGET.search(instruction.operands).group(1)
                blocks.append(Block())
    for number, block in enumerate(blocks[:-1]):
        last = block.instructions[-1] if block.instructions else None
        ends = last is not None and last.name in ("BRA", "EXIT", "RET")
        # A branch where lanes part ways leads to code that serves them one by one: no way that is meant.
        if number in targets and not last.has("DIV"):
            block.successors.append(labels[targets[number]])
        if not ends or last.guard or last.has("DIV") or not last.operands.startswith("`") and last.name == "BRA":
            block.successors.append(number + 1)
    return blocks
