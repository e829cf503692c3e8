"""The way through machine code and the scheduler that is played (scripts/sass.py, hot_path.py, scheduler.py), and what
scripts/kernel_counts.py says of one file."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(os.environ["HEADWATER_SOURCE_DIR"])
sys.path.insert(0, str(ROOT / "scripts"))

import hot_path  # noqa: E402
import sass  # noqa: E402
import scheduler  # noqa: E402


def listing(*lines):
    """Machine code as nvdisasm prints it, of instructions and labels."""
    text, address = "", 0
    for line in lines:
        if line.startswith("."):
            text += f"{line}:\n"
        else:
            guard, _, rest = line.rpartition("| ")
            text += f"        /*{address:04x}*/              {guard and '@' + guard} {rest} ;\n"
            address += 16
    return text


# A loop over tiles: its loads of the next tile are skipped in the last turn, its mask in most, and its parts are two.
STREAM = listing(
    "MOV R1, RZ",
    ".L_x_0",
    "DEPBAR.LE SB0, 0x0",
    "BAR.SYNC 0x0",
    "ISETP.GE.AND P0, PT, R2, R3, PT",
    "P0| BRA `(.L_x_1)",
    "LDGSTS.E.128 [R4], desc[UR4][R6.64]",
    "LDGDEPBAR",
    ".L_x_1",
    "MOV R20, RZ",
    ".L_x_2",
    "LDSM.16.M88.4 R8, [R20]",
    "HMMA.16816.F32.BF16 R12, R8, R16, R12",
    "HMMA.16816.F32.BF16 R24, R8, R18, R24",
    "P1| BRA `(.L_x_3)",
    "ISETP.GE.AND P2, PT, R2, R5, PT",
    "FSEL R12, R12, -INF, !P2",
    "LDG.E R13, desc[UR4][R6.64]",
    ".L_x_3",
    "MUFU.EX2 R12, R12",
    "P3| BRA `(.L_x_4)",
    "IMAD.WIDE.U32 R30, R30, -0x2daee0ad, RZ",
    "LOP3.LUT R31, R30, R31, RZ, 0x3c, !PT",
    ".L_x_4",
    "VIADD R20, R20, 0x20",
    "ISETP.NE.AND P4, PT, R20, 0x40, PT",
    "P4| BRA `(.L_x_2)",
    "VIADD R2, R2, 0x40",
    "ISETP.GE.AND P5, PT, R2, R3, PT",
    "!P5| BRA `(.L_x_0)",
    "EXIT",
)


class MachineCode(unittest.TestCase):
    def test_registers(self):
        def of(line):
            instruction = sass.blocks_of(listing(line))[0].instructions[0]
            return set(instruction.reads), set(instruction.writes)

        self.assertEqual(of("FFMA R0, R1.reuse, R2, -R3"), ({"R1", "R2", "R3"}, {"R0"}))
        self.assertEqual(of("!P1| IADD3 R0, P2, R4, R5, RZ"), ({"P1", "R4", "R5"}, {"R0", "P2"}))
        self.assertEqual(of("IADD3.X R1, R2, UR3, RZ, P2, !PT"), ({"R2", "UR3", "P2"}, {"R1"}))
        self.assertEqual(of("ISETP.GE.AND.EX P0, PT, R0, R7, PT, P0"), ({"R0", "R7", "P0"}, {"P0"}))
        self.assertEqual(of("PLOP3.LUT P0, PT, PT, PT, UP1, 0x80, 0x0"), ({"UP1"}, {"P0"}))
        self.assertEqual(of("LDG.E.128.CONSTANT R8, desc[UR10][R14.64]"), ({"UR10", "R14", "R15"}, {"R8", "R9", "R10", "R11"}))
        self.assertEqual(of("STG.E.64 desc[UR8][R18.64+0x10], R14"), ({"UR8", "R18", "R19", "R14", "R15"}, set()))
        self.assertEqual(of("HMMA.16816.F32.BF16 R4, R8, R12, R4")[0], {f"R{n}" for n in (4, 5, 6, 7, 8, 9, 10, 11, 12, 13)})
        self.assertEqual(of("IMAD.WIDE.U32 R2, R8, UR5, R2"), ({"R8", "UR5", "R2", "R3"}, {"R2", "R3"}))
        self.assertEqual(of("LDSM.16.MT88.2 R6, [R9+UR4]"), ({"R9", "UR4"}, {"R6", "R7"}))

    def names(self, dropout):
        kernel = hot_path.Kernel(STREAM)
        return [i.name for i in kernel.along(kernel.way(False, dropout))]

    def test_the_way_of_the_time(self):
        names = self.names(False)
        self.assertEqual((names.count("LDGSTS"), names.count("BAR")), (1, 1))  # the next tile is loaded
        self.assertEqual((names.count("HMMA"), names.count("LDSM"), names.count("MUFU")), (4, 2, 2))  # 0x40 / 0x20 turns
        self.assertEqual((names.count("FSEL"), names.count("LDG")), (0, 0))  # nothing is masked
        self.assertEqual(names.count("IMAD"), 0)

    def test_dropout_is_passed_through_where_asked(self):
        self.assertEqual((self.names(True).count("IMAD"), self.names(True).count("LOP3")), (2, 2))

    def test_turns_that_constants_say(self):
        def turns(*lines):
            kernel = hot_path.Kernel(listing(*lines, "EXIT"))
            return {first: kernel.turns(first) for first in kernel.loops}.popitem()[1]

        up = ("VIADD R0, R0, 0x10", "ISETP.NE.AND P0, PT, R0, 0x40, PT", "P0| BRA `(.L_x_0)")
        self.assertEqual(turns("MOV R0, RZ", ".L_x_0", *up), 4)
        self.assertEqual(turns("MOV R0, 0x20", ".L_x_0", *up), 2)
        # From a register on, to so much more than it; looked at before it grows.
        begin = ("IMAD.SHL.U32 R9, R4, 0x40, RZ", "VIADD R1, R9, 0x30", "IMAD.MOV.U32 R0, RZ, RZ, R9")
        late = ("ISETP.GE.AND P0, PT, R0, R1, PT", "VIADD R0, R0, 0x10", "!P0| BRA `(.L_x_0)")
        self.assertEqual(turns(*begin, ".L_x_0", *late), 4)
        # What is compared is less than what grows, and a sum is an "or".
        begin = ("LOP3.LUT R2, R9, 0x30, RZ, 0xfc, !PT", "LOP3.LUT R1, R9, 0x40, RZ, 0xfc, !PT")
        late = ("VIADD R0, R2, 0xffffffd0", "ISETP.GE.AND P0, PT, R0, R1, PT", "VIADD R2, R2, 0x40", "!P0| BRA `(.L_x_0)")
        self.assertEqual(turns(*begin, ".L_x_0", *late), 2)
        # Of two turns nvcc keeps a flag; and what is compared may be a copy.
        flag = ("PLOP3.LUT P0, PT, PT, PT, UP0, 0x80, 0x0", "UPLOP3.LUT UP0, UPT, UPT, UPT, UPT, 0x40, 0x0", "P0| BRA `(.L_x_0)")
        self.assertEqual(turns("UPLOP3.LUT UP0, UPT, UPT, UPT, UPT, 0x80, 0x0", ".L_x_0", *flag), 2)
        copied = ("UIADD3 UR4, UPT, UPT, UR4, 0x10, URZ", "UISETP.NE.AND UP0, UPT, UR4, 0x40, UPT",
                  "PLOP3.LUT P0, PT, PT, PT, UP0, 0x80, 0x0", "P0| BRA `(.L_x_0)")
        self.assertEqual(turns("UMOV UR4, URZ", ".L_x_0", *copied), 4)
        # Down to zero from nobody knows where.
        self.assertIsNone(turns(".L_x_0", "VIADD R0, R0, 0xffffffff", "ISETP.NE.AND P0, PT, R0, RZ, PT", "P0| BRA `(.L_x_0)"))

    def test_the_caller_says_what_constants_do_not(self):
        kernel = hot_path.Kernel(
            listing(
                "LDG.E.128 R4, desc[UR4][R2.64]",
                ".L_x_0",
                "FADD R0, R0, R4",
                "IADD3 R8, R8, R9, RZ",
                "ISETP.GE.AND P0, PT, R8, R10, PT",
                "!P0| BRA `(.L_x_0)",
                "STG.E.128 desc[UR4][R2.64], R4",
                "EXIT",
            )
        )
        count = lambda *turns: sum(i.name == "FADD" for i in kernel.along(kernel.way(True, turns=turns)))  # noqa: E731
        self.assertEqual((count(), count(3), count(0)), (1, 3, 0))
        with self.assertRaisesRegex(
            hot_path.LostWay, "1 loops on its way have no constant number of turns, and 2 are expected"
        ):
            count(1, 2)

    def test_what_lies_past_the_end_is_skipped_seldom(self):
        kernel = hot_path.Kernel(
            listing(
                "LDG.E.128 R4, desc[UR4][R2.64]",
                "P0| BRA `(.L_x_0)",
                "FFMA R0, R4, R4, R0",
                "FFMA R0, R5, R5, R0",
                ".L_x_0",
                "STG.E.128 desc[UR4][R2.64], R4",
                "EXIT",
            )
        )
        count = lambda skips: sum(i.name == "FFMA" for i in kernel.along(kernel.way(True, skips=skips)))  # noqa: E731
        self.assertEqual((count(True), count(False)), (2, 0))

    def test_a_warp_that_works_alone_passes_by_a_barrier(self):
        kernel = hot_path.Kernel(
            listing(
                "SHFL.BFLY PT, R1, R0, 0x1, 0x1f",
                "!P0| BRA `(.L_x_0)",
                "STS [R2], R1",
                "BAR.SYNC.DEFER_BLOCKING 0x0",
                "LDS.128 R4, [R2]",
                ".L_x_0",
                "STG.E.128 desc[UR4][R2.64], R4",
                "EXIT",
            )
        )
        count = lambda **more: sum(i.name == "BAR" for i in kernel.along(kernel.way(True, **more)))  # noqa: E731
        self.assertEqual((count(by_warp=True, skips=True), count(skips=True)), (0, 1))

    def test_single_numbers_are_the_work_where_nothing_wide_is(self):
        loads = (".L_x_0", "P0| BRA `(.L_x_1)", "LDG.E R4, desc[UR4][R2.64]", ".L_x_1")
        rest = ("VIADD R2, R2, 0x4", "ISETP.NE.AND P1, PT, R2, R3, PT", "P1| BRA `(.L_x_0)")

        def count(*lines):
            kernel = hot_path.Kernel(listing(*lines))
            return sum(i.opcode == "LDG.E" for i in kernel.along(kernel.way(False)))

        self.assertEqual(count(*loads, *rest, "EXIT"), 1)
        self.assertEqual(count(*loads, *rest, "STG.E.128 desc[UR4][R2.64], R4", "EXIT"), 0)

    def repeated(self, *lines, whole=True):
        """Numbers of the loads that are marked."""
        kernel = hot_path.Kernel(listing(*lines))
        loads = [i for i in kernel.along(kernel.way(whole)) if i.name == "LDG"]
        return [number for number, load in enumerate(loads) if load.again]

    def test_what_all_blocks_load_is_loaded_again(self):
        row = ("S2R R0, SR_CTAID.X", "IMAD R2, R0, 0x10, RZ", "MOV R4, R2", "LDG.E.128 R8, desc[UR4][R4.64]")
        gain = ("S2R R0, SR_TID.X", "IMAD R4, R0, 0x10, RZ", "LDG.E.128 R12, desc[UR4][R4.64]")
        end = ("STG.E.128 desc[UR4][R2.64], R8", "EXIT")
        self.assertEqual(self.repeated(*row, *gain, *end), [1])
        # What a guard lets pass: an address that was the row's stays one where the guard does not hold.
        guarded = ("S2R R0, SR_TID.X", "P0| IMAD R4, R0, 0x10, RZ")
        self.assertEqual(self.repeated(*row, *guarded, "P0| LDG.E.128 R12, desc[UR4][R4.64]", *end), [1])
        self.assertEqual(self.repeated(*row, *guarded, "LDG.E.128 R12, desc[UR4][R4.64]", *end), [])
        self.assertEqual(
            self.repeated(*row, *guarded, "ISETP.NE.AND P0, PT, R0, RZ, PT", "P0| LDG.E.128 R12, desc[UR4][R4.64]", *end), []
        )

    def test_what_each_turn_loads_is_loaded_again(self):
        turn = (
            "MOV R2, RZ",
            "MOV R6, RZ",
            ".L_x_0",
            "LDG.E.128 R8, desc[UR4][R2.64]",
            "LDG.E.128 R12, desc[UR4][R6.64]",
            "MOV R18, R2",
            "LDG.E.128 R20, desc[UR4][R18.64]",
            "VIADD R2, R2, 0x10",
            "ISETP.NE.AND P0, PT, R2, R17, PT",
            "P0| BRA `(.L_x_0)",
            "EXIT",
        )
        self.assertEqual(self.repeated(*turn, whole=False), [1])

    def test_a_slow_way_of_a_division_is_not_taken(self):
        kernel = hot_path.Kernel(
            listing(
                "P0| BRA `(.L_x_0)",
                "MUFU.RCP R1, R2",
                "FFMA R1, R1, R2, R3",
                "FMUL R1, R1, R1",
                "BRA `(.L_x_1)",
                ".L_x_0",
                "CALL.REL.NOINC `($slow)",
                ".L_x_1",
                "STG.E desc[UR4][R2.64], R1",
                "EXIT",
            )
        )
        self.assertNotIn("CALL", [i.name for i in kernel.along(kernel.way(True))])


class Scheduler(unittest.TestCase):
    @staticmethod
    def clocks(*lines, warps=1, **more):
        return scheduler.clocks(sass.blocks_of(listing(*lines))[0].instructions, warps, **more)

    def test_one_instruction_a_clock(self):
        self.assertAlmostEqual(self.clocks(*[f"FFMA R{n}, R40, R41, R42" for n in range(20)]), 20)
        self.assertAlmostEqual(self.clocks(*[f"IADD3 R{n}, R40, R41, RZ" for n in range(20)]), 40)  # 16 lanes

    def test_a_chain_waits_and_other_warps_fill_it(self):
        chain = ["FMUL R0, R0, R1"] * 16
        self.assertAlmostEqual(self.clocks(*chain), 64, delta=4)  # 4 clocks each
        self.assertAlmostEqual(self.clocks(*chain, warps=2), 32, delta=2)
        self.assertAlmostEqual(self.clocks(*chain, warps=8), 16, delta=1)

    def test_the_tensor_pipe_and_shared_memory(self):
        products = [f"HMMA.16816.F32.BF16 R{4 * n}, R80, R84, R{4 * n}" for n in range(16)]
        self.assertAlmostEqual(self.clocks(*products, warps=2), 16 * 4 / scheduler.TENSOR_SHARE, delta=2)
        loads = [f"LDSM.16.M88.4 R{4 * n}, [R80]" for n in range(16)]
        self.assertAlmostEqual(self.clocks(*loads, warps=2), 16 * 16, delta=2)

    def test_memory_that_is_waited_for(self):
        turn = ["LDG.E.128 R0, desc[UR4][R8.64]", "FADD R0, R0, R1", "STG.E.128 desc[UR4][R8.64], R0"]
        alone = self.clocks(*turn)
        self.assertAlmostEqual(
            alone, scheduler.MEMORY_LATENCY + 2 * 32, delta=10
        )  # 32 for 512 bytes by a quarter of 64 a clock
        self.assertAlmostEqual(self.clocks(*turn, warps=4), alone / 4, delta=alone / 20)
        self.assertAlmostEqual(self.clocks(*turn, pause=300), alone + 300, delta=40)

    def test_where_a_load_comes_from(self):
        def alone(load, **more):
            [turn] = sass.blocks_of(listing(load))
            [first] = turn.instructions
            use = sass.blocks_of(listing("FADD R0, R0, R1"))[0].instructions
            return scheduler.clocks([dataclasses.replace(first, **more), *use], 1)

        self.assertAlmostEqual(alone("LDG.E.128 R0, desc[UR4][R8.64]"), scheduler.MEMORY_LATENCY, delta=40)
        self.assertAlmostEqual(alone("LDG.E R0, desc[UR4][R8.64]"), scheduler.L2_LATENCY, delta=20)
        self.assertAlmostEqual(alone("LDG.E.128 R0, desc[UR4][R8.64]", again=True), 50, delta=10)

    def test_a_barrier_holds_its_block_alone(self):
        turn = ["FMUL R0, R0, R1"] * 8 + ["BAR.SYNC 0x0"] + ["MUFU.EX2 R0, R0"] * 4
        self.assertGreater(self.clocks(*turn, warps=2, warps_of_block=2), self.clocks(*turn, warps=2, warps_of_block=1))

    def test_copies_are_waited_for_by_groups(self):
        turn = ["DEPBAR.LE SB0, 0x0", "LDGSTS.E.128 [R4], desc[UR4][R6.64]", "LDGDEPBAR"]
        self.assertGreater(self.clocks(*turn), scheduler.L2_LATENCY)
        self.assertLess(self.clocks("DEPBAR.LE SB0, 0x4", *turn[1:]), 100)


class Counts(unittest.TestCase):
    """kernel_counts.py on one file, where nvdisasm is a stub and nvcc is not there."""

    def count(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "listing").write_text(f"//----- .text._Z6streamv -----\n{STREAM}")
            Path(folder, "nvdisasm").write_text(f"#!/bin/sh\nexec /bin/cat {folder}/listing\n")
            Path(folder, "nvdisasm").chmod(0o755)
            Path(folder, "cubin").write_text("_Z6streamv")
            environment = {**os.environ, "PATH": folder, "CUDA_HOME": folder}
            script = str(ROOT / "scripts/kernel_counts.py")
            return subprocess.run(
                [sys.executable, script, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
            )

    def test_one_kernel_needs_no_nvcc(self):
        done = self.count("cubin", "stream")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertRegex(done.stdout, r"\nhmma +4 *\n")
        done = self.count()
        self.assertEqual(
            (done.returncode, done.stdout), (77, "no nvcc here: machine code is not compared with kernels/counts.tsv\n"), done
        )

    def test_what_is_missing_is_named_in_a_line(self):
        done = self.count("cubin")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("error: cubin is given without a NAME, a part of the mangled name", done.stderr)
        for words, said in ((("none", "stream"), "none: No such file"), (("cubin", "other"), "0 kernels have other")):
            done = self.count(*words)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
