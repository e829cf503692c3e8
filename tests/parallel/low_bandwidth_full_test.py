"""scripts/low_bandwidth.sh, tiny: over slow links tensor parallelism stands still and pipelines go on, as the plan says."""

import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support"), str(Path(__file__).resolve().parents[2] / "scripts")]
import hosts  # noqa: E402

hosts.enter()
from runs import SOURCE, RunTest, until  # noqa: E402

SCRIPT = str(SOURCE / "scripts/low_bandwidth.sh")
FAST, SLOW = 200, 10  # Mbit/s
MODEL = ("--model.num_layers=4", "--model.hidden_size=64", "--model.ffn_hidden_size=128", "--model.vocab_size=512",
         "--training.seq_length=64", "--training.global_batch_size=4")
PIPELINES = ("pipeline, uniform", "pipeline, planned")


def tensor_ranks_wait(seconds):
    """Whether slow links make steps of tensor ranks long and those of pipelines not."""
    slower = {name: seconds[name, SLOW] - seconds[name, FAST] for name in ("tensor", *PIPELINES)}
    return all(slower["tensor"] > 4 * slower[name] and seconds["tensor", SLOW] > 2 * seconds[name, SLOW] for name in PIPELINES)


class LowBandwidth(RunTest):
    def script(self, *arguments, **variables):
        """Started from outside the namespaces that this test is in."""
        environment = {name: value for name, value in os.environ.items() if name != hosts.INSIDE}
        return subprocess.Popen([SCRIPT, *arguments], env={**environment, **variables}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def measure(self):
        job = self.script("--rates", f"{FAST},{SLOW}", "--steps", "3", "--json", *MODEL)
        out, errors = job.communicate(timeout=600)
        self.assertEqual(job.returncode, 0, errors)
        (found,) = json.loads(out)
        self.assertEqual((found["hosts"], found["cluster"]["nodes"]), (4, 4))
        rows = {(row["layout"], row["mbit"]): row for row in found["rows"]}
        self.assertEqual(sorted(rows), sorted((name, rate) for name in ("tensor", *PIPELINES) for rate in (FAST, SLOW)))
        return rows

    def test_tensor_ranks_wait_for_slow_links_and_pipelines_do_not(self):
        rows = self.measure()
        seconds = {key: row["step_seconds"] for key, row in rows.items()}
        # Other programs on the machine make steps longer, never shorter: of each kind the shortest counts that was ever measured.
        for _ in range(2):
            if not tensor_ranks_wait(seconds):
                seconds = {key: min(seconds[key], row["step_seconds"]) for key, row in self.measure().items()}
        self.assertTrue(tensor_ranks_wait(seconds), seconds)

        # What tensor ranks send takes 2 s over the slow links, what stages send a fifteenth of it.
        tensor = rows["tensor", SLOW]
        self.assertGreater(seconds["tensor", SLOW], 0.9 * 8 * max(tensor["predicted_bytes"]) / (SLOW * 1e6))
        # Where the link is all that counts the plan knows the time; it always knows the order.
        share = tensor["predicted_seconds"] / seconds["tensor", SLOW]
        self.assertTrue(0.6 < share < 1.1, tensor)
        for name in PIPELINES:
            self.assertGreater(tensor["predicted_seconds"], 4 * rows[name, SLOW]["predicted_seconds"])

        # Host by host the planned bytes, headers, and what ranks tell each other at a step's end.
        for key, row in rows.items():
            for sent, planned in zip(row["sent_bytes"], row["predicted_bytes"], strict=True):
                self.assertGreater(sent, planned, key)
                self.assertLess(sent, 1.1 * planned + 12000, key)
        # Slow links change no bit, layouts none that counts.
        for name in ("tensor", *PIPELINES):
            self.assertEqual(rows[name, FAST]["losses"], rows[name, SLOW]["losses"])
            for ours, tensors in zip(rows[name, FAST]["losses"], tensor["losses"], strict=True):
                self.assertLess(abs(ours - tensors), 1e-5 * tensors)

    def test_interrupted_it_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            job = self.script(*MODEL)
            until(lambda: len(processes("sleep infinity")) == 4, seconds=60)
            job.send_signal(number)
            job.communicate(timeout=30)
            self.assertNotEqual(job.returncode, 0)
            until(lambda: not processes("sleep infinity") and not processes("low_bandwidth"), seconds=10)

    def test_it_says_where_there_are_no_namespaces(self):
        """Here: no unshare to make them with."""
        for program in ("bash", "dirname", "python3"):
            found = subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, text=True, check=True).stdout
            (self.folder / program).symlink_to(sys.executable if program == "python3" else found.strip())
        job = self.script(*MODEL, PATH=str(self.folder))
        out, errors = job.communicate(timeout=60)
        self.assertEqual((job.returncode, out), (77, ""), errors)
        self.assertRegex(errors, "^SKIPPED: .*unshare.* missing")

    def test_what_it_does_not_know_is_refused(self):
        for arguments in (("--rate=7x",), ("--speed", "3"), ("--rates", "fast")):
            job = self.script(*arguments)
            _, errors = job.communicate(timeout=60)
            self.assertEqual(job.returncode, 2, errors)
            self.assertIn("low_bandwidth.sh: error: ", errors)


def processes(words):
    """Those whose command line has these words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue
        found += [int(entry.name)] if words in command and int(entry.name) != os.getpid() else []
    return found


if __name__ == "__main__":
    unittest.main()
