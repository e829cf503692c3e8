"""headwater bench scaling with a launcher that measures nothing: what it starts, makes of the answers, and refuses."""

import json
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HEADWATER = os.environ["HEADWATER"]
TINY = ("--model.preset=yuan2-tiny", "--training.seq_length=32", "--training.micro_batch_size=2")
PIPELINE = "pipeline_model_parallel_size=2 pipeline_layout=[3,1]"
# Called as `fake -n RANKS PROGRAM…`: notes the call; 100 tokens/s for each rank but the first; $FAILS ranks fail.
FAKE = """#!/usr/bin/env python3
import json, os, sys
ranks = int(sys.argv[2])
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps([os.environ["OMP_NUM_THREADS"], *sys.argv[1:]]), file=calls)
if os.environ.get("FAILS") == str(ranks):
    print("noise\\nheadwater: error: rank 1: the disk is full\\nmore noise", file=sys.stderr)
    sys.exit(3)
if os.environ.get("DIES") == str(ranks):
    print("a rank was killed\\n-----", file=sys.stderr)
    sys.exit(137)
speed = 200.0 if ranks == 1 else 100.0 * ranks
print(json.dumps({"ranks": ranks, "threads": 1, "tokens_per_second": speed, "elapsed_ms": 1e3 / speed,
                  "waiting_share": [0.25 * rank / ranks for rank in range(ranks)]}))
"""
# Runs a job's script at once.
SBATCH = """#!/usr/bin/env bash
for word in "$@"; do case "$word" in --wrap=*) exec bash -c "${word#--wrap=}";; esac; done
"""


class Scaling(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, text in (("fake", FAKE), ("sbatch", SBATCH)):
            program = self.folder / name
            program.write_text(text)
            program.chmod(0o755)
        self.calls_file = self.folder / "calls"

    def environment(self, **more):
        known = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        return {**known, "PATH": f"{self.folder}:{os.environ['PATH']}", "CALLS": str(self.calls_file), **more}

    def scaling(self, *arguments, code=0, launcher="fake", **environment):
        command = [HEADWATER, "bench", "scaling", *TINY, *map(str, arguments)]
        if launcher:
            command += ["--launcher", launcher]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=self.environment(**environment))
        self.assertEqual(done.returncode, code, done)
        return done

    def calls(self):
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()] if self.calls_file.exists() else []

    def test_what_is_started(self):
        self.scaling("--ranks", "2,1", "--parallel", "", "--parallel", PIPELINE, "--threads", 3, "--steps", 7)
        found = []
        for threads, dash_n, ranks, program, *arguments in self.calls():
            self.assertEqual((threads, dash_n, Path(program).resolve()), ("3", "-n", Path(HEADWATER).resolve()))
            self.assertEqual(arguments[:len(TINY) + 4], ["bench", "step", *TINY, "--steps", "7"])
            self.assertEqual(arguments[-1], "--json")
            found.append((int(ranks), arguments[len(TINY) + 4:-1]))
        pipeline = [f"--parallel.{word}" for word in PIPELINE.split()]
        self.assertEqual(found, [  # one rank's is both kinds' and is started once
            (1, ["--training.global_batch_size=4"]), (2, ["--training.global_batch_size=8"]),
            (2, [*pipeline, "--training.global_batch_size=8"]), (2, ["--training.global_batch_size=4"]),
            (2, [*pipeline, "--training.global_batch_size=4"])])

    def test_rows(self):
        csv, svg = self.folder / "out.csv", self.folder / "out.svg"
        done = self.scaling("--ranks", "1,2,4", "--training.global_batch_size=24", "--json", "--csv", csv, "--svg", svg)
        rows = json.loads(done.stdout)["rows"]
        self.assertEqual([(row["kind"], row["ranks"], row["global_batch_size"]) for row in rows],
                         [("weak", 1, 24), ("weak", 2, 48), ("weak", 4, 96),
                          ("strong", 1, 24), ("strong", 2, 24), ("strong", 4, 24)])
        for row in rows:
            self.assertEqual(row["tokens_per_second"], 200.0 if row["ranks"] == 1 else 100.0 * row["ranks"])
            self.assertEqual(row["efficiency"], 1.0 if row["ranks"] == 1 else 0.5)
            self.assertEqual(row["baseline_ranks"], 1)
            self.assertEqual(row["waiting_share"], [0.25 * rank / row["ranks"] for rank in range(row["ranks"])])
            self.assertEqual(row["parallel"]["pipeline_model_parallel_size"], 1)
        lines = csv.read_text().splitlines()
        self.assertEqual(len(lines), 7)
        self.assertEqual(lines[6], 'strong,4,1,1,1,"data 4",24,2.5,400,0.5,1,0 0.0625 0.125 0.1875')
        plot = ElementTree.parse(svg).getroot()
        self.assertEqual(len(plot.findall("{*}polyline")), 2)
        self.assertEqual(len(plot.findall("{*}circle")), 6)

    def test_the_table_says_which_is_which(self):
        out = self.scaling("--ranks", "1,2", "--parallel", PIPELINE, "--parallel", "").stdout
        for words in ("weak scaling: the global batch grows", "strong scaling: the global batch stays", "baseline: 1 rank\n",
                      "efficiency = (tokens/s / ranks) / (baseline's tokens/s / baseline's ranks)", "waiting = share",
                      "pipeline 2 [3,1]", "50.0 %", "0.0 12.5 %", "left out: 1 rank: a replica of tensor 1 x pipeline 2 takes 2"):
            self.assertIn(words, out)
        self.assertNotIn("oversubscribed", out)  # a launcher of one's own knows its cores

    def test_failures_have_their_own_lines_and_the_rest_is_shown(self):
        done = self.scaling("--ranks", "1,2,4", "--kind", "strong", "--json", code=3, FAILS="2")
        self.assertEqual([row["ranks"] for row in json.loads(done.stdout)["rows"]], [1, 4])
        errors = [line for line in done.stderr.splitlines() if line.startswith("headwater: error: ")]
        self.assertEqual(errors, ["headwater: error: bench scaling: 2 ranks (data 2), 8 samples a step: rank 1: the disk is full"])
        self.assertEqual(done.stderr.splitlines()[-1], errors[0])
        done = self.scaling("--ranks", "1,2", "--kind", "strong", code=4, DIES="2")
        self.assertIn("2 ranks (data 2), 4 samples a step: it ended with 137: a rank was killed", done.stderr.splitlines()[-1])
        done = self.scaling("--ranks", "1", launcher="nowhere", code=2)
        self.assertIn("cannot start nowhere: No such file", done.stderr.splitlines()[-1])

    def test_results_that_are_there_are_not_measured_again(self):
        results = self.folder / "results"
        first = self.scaling("--ranks", "1,2", "--json", "--results", results).stdout
        self.assertEqual(len(self.calls()), 3)
        again = self.scaling("--ranks", "1,2", "--json", "--results", results).stdout
        self.assertEqual((len(self.calls()), again), (3, first))
        for file in results.iterdir():
            file.write_text("{}")
        done = self.scaling("--ranks", "1,2", "--results", results, code=2)
        self.assertIn("is not what `headwater bench step --json` prints", done.stderr)

    def test_slurm_commands_do_the_same(self):
        results, script = self.folder / "the results", self.folder / "submit.sh"
        asked = ("--ranks", "1,2", "--parallel", "", "--parallel", PIPELINE, "--results", results)
        done = self.scaling(*asked, "--slurm", script, "--threads", 4, "--ranks-per-node", 8)
        self.assertEqual(self.calls(), [])
        self.assertIn("5 jobs in", done.stdout)
        text = script.read_text()
        for words in ("--ntasks=2", "--cpus-per-task=4", "--ntasks-per-node=2", "OMP_NUM_THREADS=4"):
            self.assertIn(words, text)
        subprocess.run(["bash", script], check=True, env=self.environment(OMP_NUM_THREADS="4"), timeout=60)
        self.assertEqual(len(self.calls()), 5)
        rows = json.loads(self.scaling(*asked, "--json").stdout)["rows"]
        self.assertEqual((len(rows), len(self.calls())), (6, 5))

    def test_refusals(self):
        def refused(words, *arguments, **options):
            done = self.scaling(*arguments, code=2, **options)
            errors = [line for line in done.stderr.splitlines() if line.startswith("headwater: error: ")]
            self.assertEqual((len(errors), done.stdout), (1, ""), done)
            self.assertIn(words, errors[0])

        refused("--ranks is required")
        refused("--ranks", "--ranks", "0,1")
        refused("--kind", "--ranks", "1", "--kind", "both of them")
        refused("parallel.pipeline_stages", "--ranks", "1", "--parallel", "pipeline_stages=2")
        refused("nothing to measure: 1 rank: a replica of tensor 1 x pipeline 2 takes 2", "--ranks", "1", "--parallel", PIPELINE)
        refused("which is not whole", "--ranks", "3,4", "--training.global_batch_size=4")
        refused("--slurm needs --results", "--ranks", "1", "--slurm", self.folder / "x")
        refused("run it without Open MPI", "--ranks", "1", OMPI_COMM_WORLD_SIZE="1")
        self.assertEqual(self.calls(), [])


if __name__ == "__main__":
    unittest.main()
