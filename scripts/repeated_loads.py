"""Which loads of a kernel ask again for what the unit of work before has loaded, and find it in L1: a gain that all rows share.

They are those with the same address in each unit. Into an address that differs goes, where a unit is a pass through the
kernel, the number of the block; where it is a turn of a loop, a register that the turn before has left changed."""

import dataclasses


class Differences:
    """Which registers hold what is another in the next unit, as a run goes on."""

    def __init__(self, registers):
        self.registers = set(registers)
        self.where = {}  # (guard, register): whether it differs where the guard holds, if that is known

    def read_by(self, instruction):
        known = ((self.where.get((instruction.guard, register)), register) for register in instruction.reads)
        return "SR_CTAID" in instruction.operands or any(
            register in self.registers if differs is None else differs for differs, register in known
        )

    def write(self, instruction, differs):
        guard, written = instruction.guard, set(instruction.writes)
        opposite = guard.lstrip("!") if guard.startswith("!") else f"!{guard}"
        self.where = {
            (other, register): value
            for (other, register), value in self.where.items()
            if other.lstrip("!") not in written and (register not in written or (guard and other == opposite))
        }
        if guard:
            self.where.update({(guard, register): differs for register in written})
        if differs:
            self.registers |= written
        elif not guard:
            self.registers -= written


def carried(turn):
    """Registers that a turn reads as the one before has left them."""
    before, written = set(), set()
    for instruction in turn:
        before.update(register for register in instruction.reads if register not in written)
        written.update(instruction.writes)
    return before & written


def marked(run, whole):
    """The run of a unit with those loads marked; `whole`: a pass through the kernel."""
    differences = Differences(() if whole else carried(run))
    for _ in range(1 if whole else 2):  # a difference goes from turn to turn
        result = []
        for instruction in run:
            differs = differences.read_by(instruction)
            differences.write(instruction, differs)
            again = instruction.name == "LDG" and not differs
            result.append(dataclasses.replace(instruction, again=True) if again else instruction)
    return result
