"""Several hosts, by network namespaces: the same training as on one, and what becomes of a run whose link is cut."""

import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SUPPORT, SCRIPTS = Path(__file__).resolve().parents[1] / "support", Path(__file__).resolve().parents[2] / "scripts"
sys.path[:0] = [str(SUPPORT), str(SCRIPTS)]
import hosts  # noqa: E402

hosts.enter()
from runs import HEADWATER, SOURCE, RunTest, curve, latest, metrics, state, until  # noqa: E402

RANKS_PER_HOST = 2
STEPS, HALF = 6, 3
TIMEOUT = 3.0  # training.comm_timeout_s where a link is cut
WITHIN = 15.0  # seconds, from the cut until the last process has ended


def pipeline(stages, layers):
    return (f"--parallel.pipeline_model_parallel_size={stages}", f"--parallel.pipeline_layout={layers}")


TENSOR = ("--parallel.tensor_model_parallel_size=2",)
# As a cluster would: the two ranks of a host share layers, or are replicas, or neighbours in the pipeline.
LAYOUTS = {
    2: {
        "data 4": (),
        "pipeline 4": pipeline(4, "[0,2,1,1]"),
        "pipeline 2 x data 2": pipeline(2, "[3,1]"),
        "tensor 2 x data 2": (*TENSOR, "--parallel.sequence_parallel=true"),
        "tensor 2 x pipeline 2": (*TENSOR, *pipeline(2, "[3,1]")),
    },
    4: {
        "pipeline 2 x data 4": (*pipeline(2, "[3,1]"), "--parallel.use_distributed_optimizer=true"),
        "pipeline 4 x data 2": pipeline(4, "[0,2,1,1]"),
        "tensor 2 x data 2 x pipeline 2": (*TENSOR, *pipeline(2, "[3,1]"), "--parallel.sequence_parallel=true"),
    },
}


class ManyHosts(RunTest):
    def join(self, count):
        network = hosts.Hosts(count, self.folder)
        self.addCleanup(network.close)
        return network

    def on_hosts(self, network):
        """Options of a run over all hosts."""
        return {"ranks": RANKS_PER_HOST * len(network.names), "launcher": network.mpirun(RANKS_PER_HOST)}

    def check_training(self, count):
        network = self.join(count)
        everywhere = self.on_hosts(network)
        alone = self.folder / "alone"
        self.train(alone, f"--training.train_iters={STEPS}")
        for name, layout in LAYOUTS[count].items():
            with self.subTest(hosts=count, layout=name):
                one_host, many = self.folder / f"{name} on one host", self.folder / f"{name} on {count}"
                self.train(one_host, f"--training.train_iters={STEPS}", *layout, ranks=everywhere["ranks"])
                self.train(many, f"--training.train_iters={STEPS}", f"--training.exit_interval={HALF}", *layout, **everywhere)
                self.assertEqual(latest(many).name, f"step-{HALF:08}")
                traffic = network.traffic()
                self.train(many, f"--training.train_iters={STEPS}", *layout, **everywhere)
                self.assertEqual(metrics(many)[-1]["run"], 2)
                # The same bits as on one host, and the same training as on one rank.
                self.assertEqual(curve(many), curve(one_host))
                self.assert_same_files(state(many), state(one_host))
                for step, loss in curve(alone).items():
                    self.assertLessEqual(abs(curve(many)[step] - loss), 1e-5 * loss)
                # Every link was used: three micro-batches' activations of 40 tokens at the least.
                for host, (received, sent) in network.traffic().items():
                    for now, before in zip((received, sent), traffic[host]):
                        self.assertGreater(now - before, 3 * 40 * 48 * 4, host)

    def test_two_hosts_train_as_one(self):
        self.check_training(2)

    def test_four_hosts_train_as_one(self):
        self.check_training(4)

    def check_cut(self, count, layout_name, victim):
        network = self.join(count)
        layout, everywhere = LAYOUTS[count][layout_name], self.on_hosts(network)
        save, undisturbed = self.folder / "save", self.folder / "undisturbed"
        job = self.start_training(f"--training.save={save}", "--training.train_iters=1000000", "--training.save_interval=10",
                                  "--training.keep=2", f"--training.comm_timeout_s={TIMEOUT}", *layout, **everywhere)
        until(lambda: len(metrics(save)) >= 25, job)
        network.cut(victim)
        start = time.monotonic()
        code = job.wait(60)
        until(lambda: not job.processes(), seconds=60)
        seconds = time.monotonic() - start
        print(f"{count} hosts, {layout_name}, {victim} cut off: exit code {code}, all ended after {seconds:.1f} s; "
              f"{job.errors[0] if job.errors else job.stderr}", file=sys.stderr)
        self.assertLess(seconds, WITHIN, job.stderr)
        self.assertIn(code, (4, 205), job.stderr)
        # Rank 0's word; of those cut off nothing reaches the launcher.
        lost = [victim] if victim != network.names[0] else network.names[1:]
        out_of_reach = [f"{RANKS_PER_HOST * network.names.index(host) + local} ({host})"
                        for host in lost for local in range(RANKS_PER_HOST)]
        self.check_error(job, rf"#\d+ of group \S.* waited 3\.0 s: ranks {re.escape(', '.join(out_of_reach))} did not come "
                              r"and do not answer$")
        network.mend(victim)
        step = metrics(save)[-1]["step"] + 5
        self.train(save, f"--training.train_iters={step}", *layout, **everywhere)
        self.train(undisturbed, f"--training.train_iters={step}", *layout, ranks=everywhere["ranks"])
        self.assertEqual(curve(save), curve(undisturbed))
        self.assert_same_files(state(save), state(undisturbed))

    def test_a_cut_link_between_two_stages(self):
        self.check_cut(2, "pipeline 2 x data 2", "hw2")

    def test_a_cut_link_between_replicas(self):
        self.check_cut(2, "data 4", "hw2")

    def test_a_cut_link_between_stages_of_tensor_ranks(self):
        self.check_cut(2, "tensor 2 x pipeline 2", "hw2")

    def test_one_of_four_is_cut_off(self):
        self.check_cut(4, "pipeline 4 x data 2", "hw3")

    def test_the_launcher_itself_is_cut_off(self):
        self.check_cut(4, "pipeline 2 x data 4", "hw1")

    def test_the_launch_template(self):
        """Told to end, it lets the ranks save and gives their exit code; the same command goes on."""
        network = self.join(2)
        hostfile = self.folder / "hosts"
        hostfile.write_text("".join(f"{name} slots={RANKS_PER_HOST}\n" for name in network.names))
        layout = LAYOUTS[2]["pipeline 2 x data 2"]
        save, undisturbed = self.folder / "save", self.folder / "undisturbed"

        def start(steps):
            return self.start(hostfile, self.config, f"--training.save={save}", f"--training.train_iters={steps}", *layout,
                              program=str(SOURCE / "scripts/launch/mpirun.sh"), launcher=network.entry("hw1"),
                              environment={"OMPI_MCA_plm_rsh_agent": str(network.start_script), "NETWORK": hosts.NETWORK,
                                           "HEADWATER": HEADWATER, "GRACE": "2"})

        job = start(1000000)
        until(lambda: len(metrics(save)) >= 5, job)
        self.assertEqual(sorted(job.processes()), [0, 1, 2, 3])
        job.process.terminate()
        self.assertEqual(job.wait(60), 75, job.stdout + job.stderr)
        step = metrics(save)[-1]["step"]
        self.assertEqual(latest(save).name, f"step-{step:08}")
        job = start(step + 5)
        self.assertEqual(job.wait(), 0, job.stderr)
        self.train(undisturbed, f"--training.train_iters={step + 5}", *layout, ranks=4)
        self.assertEqual(curve(save), curve(undisturbed))
        self.assert_same_files(state(save), state(undisturbed))


class NothingIsLeft(unittest.TestCase):
    def test_closing_removes_hosts_and_links(self):
        with tempfile.TemporaryDirectory() as folder:
            network = hosts.Hosts(2, folder)
            self.assertGreater(len(self.links()), 2)
            network.close()
        self.assertEqual(self.links(), {"lo"})
        self.assertEqual(self.processes("sleep infinity"), [])

    def test_a_killed_program_takes_its_hosts_along(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # its /dev/shm is another
            program = f"import hosts, time; hosts.enter(); hosts.Hosts(2, {folder!r}); time.sleep(1000)"
            script = Path(folder, "program.py")
            script.write_text(program)
            environment = {name: value for name, value in os.environ.items() if name != hosts.INSIDE}
            process = subprocess.Popen([sys.executable, script], env={**environment, "PYTHONPATH": str(SCRIPTS)})
            self.addCleanup(process.kill)
            until(lambda: len(self.processes("sleep infinity")) == 2, seconds=60)
            process.kill()
            process.wait()
            until(lambda: not self.processes("sleep infinity") and not self.processes(script), seconds=10)
            self.assertEqual(self.links(), {"lo"})

    @staticmethod
    def links():
        return set(os.listdir("/proc/sys/net/ipv4/conf")) - {"all", "default"}

    @staticmethod
    def processes(words):
        """Those whose command line has these words."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended
                continue
            found += [int(entry.name)] if str(words) in command else []
        return found


if __name__ == "__main__":
    unittest.main()
