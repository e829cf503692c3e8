"""The way that a kernel's time goes: a turn of its main loop, or one pass through all of it, without what seldom runs.

A branch that the code does not decide goes to the side that does more of what a kernel is for (`Kernel.works`), where both do
alike to the shorter one. So masks are passed by, and loads of the next tile are not. Where a branch skips what lies past the
end the longer side is the usual one: the caller says of which kernels. What makes dropout's random words (Philox has
constants of its own) is passed through or by, as asked, and so are barriers that not all ways have. A loop inside turns as
often as its constants say, and else once, or as often as the caller says."""

import math
import re

import repeated_loads
import sass

PHILOX = re.compile(r"0x(d2511f53|2daee0ad|cd9e8d57|326172a9)")  # its two multipliers, as such or negated
ADDITIONS = ("VIADD", "IADD3", "UIADD3", "IMAD")
COPIES = ("MOV", "UMOV", "IMAD")


def is_wide(instruction):
    """Products, atomic sums, what moves 8 bytes or more."""
    name = instruction.name
    return (
        name in ("HMMA", "LDSM", "LDGSTS")
        or name.startswith(("RED", "ATOM"))
        or (name in ("LDG", "STG") and instruction.bytes >= 8)
    )


class LostWay(Exception):
    pass


class Kernel:
    """The blocks of a function and its loops: {first block: all its blocks}."""

    def __init__(self, text):
        self.blocks = sass.blocks_of(text)
        self.live = self._reached(0)
        self.before = {block: [other for other in self.live if block in self.next(other)] for block in self.live}
        over = self._dominators()
        self.back = {(block, to) for block in self.live for to in self.next(block) if to in over[block]}
        self.loops = {}
        for block, first in self.back:
            self.loops.setdefault(first, {first}).update(self._leading_to(block, first))
        for first in [
            first for first, loop in self.loops.items() if all(to in loop for block in loop for to in self.next(block))
        ]:
            del self.loops[first]  # nvcc ends a function with a loop that nobody enters
        self.wide = any(map(is_wide, self.instructions(self.live)))

    def works(self, instruction):
        """Whether it is what the kernel is for: what is_wide says, and where there is none of that any access."""
        return is_wide(instruction) if self.wide else instruction.name in ("LDG", "STG", "LDS", "STS")

    def next(self, block):
        return self.blocks[block].successors

    def instructions(self, blocks):
        return [instruction for block in sorted(blocks) for instruction in self.blocks[block].instructions]

    def _reached(self, start):
        reached, todo = set(), [start]
        while todo:
            block = todo.pop()
            if block not in reached:
                reached.add(block)
                todo += self.next(block)
        return reached

    def _leading_to(self, block, first):
        found, todo = {first}, [block]
        while todo:
            at = todo.pop()
            if at not in found:
                found.add(at)
                todo += self.before[at]
        return found

    def _dominators(self):
        """{block: those that every way to it passes, itself among them}."""
        over = {block: set(self.live) for block in self.live}
        over[0] = {0}
        changed = True
        while changed:
            changed = False
            for block in sorted(self.live - {0}):
                found = set.intersection(*(over[other] for other in self.before[block])) | {block}
                changed |= found != over[block]
                over[block] = found
        return over

    # ---- loops ----

    def main_loop(self):
        """Where the kernel streams its operands: the innermost loop with products of matrices and asynchronous copies; of
        kernels without them, the outermost loop with most loads, or stores, of 16 bytes."""

        def count(first, name, *modifiers):
            return sum(i.name == name and (not modifiers or i.has(*modifiers)) for i in self.instructions(self.loops[first]))

        streams = [first for first in self.loops if count(first, "HMMA") and count(first, "LDGSTS")]
        if streams:
            inner = [first for first in streams if not any(self.loops[other] < self.loops[first] for other in streams)]
            most = max(count(first, "HMMA") for first in inner)
            # Of two of a kind one is for tiles that a mask cuts, and has more to do.
            return min(
                (first for first in inner if count(first, "HMMA") == most),
                key=lambda first: len(self.instructions(self.loops[first])),
            )
        outer = [first for first in self.loops if not any(self.loops[first] < self.loops[other] for other in self.loops)]
        if not outer:
            raise LostWay("it has no loop")
        return max(outer, key=lambda first: (count(first, "LDG", "128"), count(first, "STG", "128"), count(first, "LDG")))

    def turns(self, first):
        """How often a loop turns where its constants say so, else None."""
        inside = self.instructions(self.loops[first])
        latches = [block for block in self.loops[first] if (block, first) in self.back]
        for guard in (self.blocks[latch].instructions[-1].guard.lstrip("!") for latch in latches):
            decided = [i for i in inside if guard in i.writes]
            if decided and decided[-1].name == "PLOP3" and len(decided[-1].reads) == 1:  # a copy of another predicate
                decided = [i for i in inside if decided[-1].reads[0] in i.writes]
            if decided and all(i.name == "UPLOP3" and not i.reads for i in decided):
                return 2  # a flag that the first turn finds set and puts out
            compared = [i for i in decided[-1:] if i.name in ("ISETP", "UISETP")]
            if not compared:
                continue
            left, right = (operand.strip().removesuffix(".reuse") for operand in compared[-1].operands.split(",")[2:4])

            def adds(register):
                return [
                    i for i in inside if register in i.writes and len(i.reads) == 1 and i.name in ADDITIONS and i.constants()
                ]

            counter, offset, looked_at, steps = left, 0, compared[-1], adds(left)
            if not steps:
                continue
            base = steps[-1].reads[0]
            if base != left and adds(base):  # compared is what is so much more than the counter
                counter, offset, looked_at, steps = base, steps[-1].constants()[0], steps[-1], adds(base)
            begin, end = self._value(counter, first), self._value(right, first)
            if not end[0] and begin[0]:
                begin = "", 0  # a loop that ends at a number begins at 0, or at the thread's place
            step, distance = steps[-1].constants()[-1], end[1] - begin[1] - offset
            if begin[0] == end[0] and distance * step > 0:
                before_the_step = inside.index(looked_at) < inside.index(steps[-1])
                return math.ceil(distance / step) + before_the_step
        return None

    def _value(self, operand, loop, depth=3):
        """What it is where the loop begins, as (register that it counts from, number); of a plain number the register is ""."""
        if operand in ("RZ", "URZ"):
            return "", 0
        if re.match(r"-?0x[0-9a-f]+$", operand):
            return "", int(operand, 16)
        outside = [i for i in self.instructions(block for block in self.live if block < loop) if operand in i.writes]
        if not outside or depth == 0:
            return operand, 0
        i = outside[-1]
        if i.name == "CS2R" or (i.name == "HFMA2" and i.operands.endswith("-RZ, RZ, 0, 0")):
            return "", 0
        if len(i.reads) == 0 and i.name in COPIES:
            return "", (i.constants() or [0])[-1]
        # What is a copy of another register, or so much more; of a multiple, an "or" is a sum.
        adds = i.name in COPIES + ADDITIONS and (i.name != "IMAD" or i.has("MOV", "IADD"))
        if len(i.reads) != 1 or not (adds or (i.name == "LOP3" and "RZ, 0xfc" in i.operands)):
            return operand, 0
        register, number = self._value(i.reads[0], loop, depth - 1)
        return register, number + (0 if "MOV" in i.opcode else (i.constants() or [0])[0])

    # ---- the way ----

    def way(self, whole, dropout=False, turns=(), by_warp=False, skips=False):
        """[(how often, block)] in the order of a pass through all the kernel, or a turn of its main loop. `turns`: of those
        loops on the way whose constants do not say it, in their order; all once where it is empty. by_warp: warps work alone,
        and pass by a barrier where there is a way without it. skips: the shorter side of a branch is the seldom one."""
        first = None if whole else self.main_loop()
        unknown = []  # loops that `turns` speaks of
        wanted = dropout, by_warp, skips
        way = self._walk(self.live if whole else self.loops[first], first or 0, first, wanted, turns, unknown)
        if turns and len(turns) != len(unknown):
            raise LostWay(f"{len(unknown)} loops on its way have no constant number of turns, and {len(turns)} are expected")
        return way

    def _walk(self, blocks, start, loop, wanted, turns, unknown):
        inner = [first for first in self.loops if first in blocks and first != loop]
        inner = {first for first in inner if not any(self.loops[first] < self.loops[other] for other in inner)}
        way, at = [], start
        while at is not None:
            if len(way) > 2 * len(self.blocks):
                raise LostWay("a way through it does not end")
            if at in inner:
                count = self.turns(at)
                if count is None:
                    count = turns[len(unknown)] if len(unknown) < len(turns) else 1
                    unknown.append(at)
                if count:
                    way += [
                        (count * often, block) for often, block in self._walk(self.loops[at], at, at, wanted, turns, unknown)
                    ]
                leaving = [
                    to
                    for block in sorted(self.loops[at], key=lambda block: (block, at) not in self.back)
                    for to in self.next(block)
                    if to not in self.loops[at]
                ]
                onward = leaving[:1]
            else:
                way.append((1, at))
                onward = self.next(at)
            onward = [to for to in onward if to in blocks]
            at = self._choose(onward, blocks, loop, *wanted) if len(onward) > 1 else next(iter(onward), None)
            if at == loop:
                break
        return way

    def _choose(self, sides, blocks, loop, dropout, by_warp, skips):
        ahead = [self._ahead(side, blocks, loop) for side in sides]
        alone = [self.instructions(ahead[0] - ahead[1]), self.instructions(ahead[1] - ahead[0])]
        work = [sum(map(self.works, side)) for side in alone]
        random = [any(PHILOX.search(i.operands) for i in side) for side in alone]
        for this, other in ((0, 1), (1, 0)):
            if random[this] and not random[other] and work[this] <= work[other]:
                return sides[this if dropout else other]
        meets = [any(i.name == "BAR" for i in side) for side in alone]
        if by_warp and meets[0] != meets[1]:
            return sides[0 if meets[1] else 1]
        calls = [sum(i.name == "CALL" for i in side) for side in alone]  # what a division does with rare operands
        usual = 1 if skips else -1
        return sides[max((0, 1), key=lambda side: (work[side], -calls[side], usual * len(alone[side])))]

    def _ahead(self, start, blocks, loop):
        ahead, todo = set(), [start]
        while todo:
            block = todo.pop()
            if block in blocks and block != loop and block not in ahead:
                ahead.add(block)
                todo += [to for to in self.next(block) if (block, to) not in self.back]
        return ahead

    def along(self, way):
        """The instructions of a way as they run, loops unrolled; loads that are repeated_loads are marked."""
        run, at = [], 0
        while at < len(way):
            end = at
            while end < len(way) and way[end][0] == way[at][0]:
                end += 1
            run += [i for _, block in way[at:end] for i in self.blocks[block].instructions if i.name != "NOP"] * way[at][0]
            at = end
        return repeated_loads.marked(run, whole=way[0][1] == 0)
