"""Several hosts on one machine: network namespaces that a bridge joins, by links that can be slow or cut, and mpirun over them.

A program calls enter() first: it runs itself again inside namespaces of its own (network, host name, processes, mounts). So
nothing of the machine's own network is touched, and when the program ends, or is killed, the kernel removes hosts, links and
processes with it. Where that is not allowed enter() says why and exits with 77, which CTest reads as skipped.
Needs util-linux and iproute2.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SKIPPED = 77
INSIDE = "HEADWATER_INSIDE_NAMESPACES"
NETWORK = "10.77.0.0/24"
# Everything that could meet other runs of this machine is the program's own: also process ids, which Open MPI names its
# shared files after, and the folders of these files.
OWN_NAMESPACES = ("unshare", "--net", "--uts", "--mount", "--pid", "--ipc", "--fork", "--mount-proc", "--kill-child")
PREPARE = "mount -t tmpfs tmpfs /dev/shm && ip link set lo up"
TRIAL = ("ip link add switch type bridge && ip link add link1 type veth peer name link2 && "
         "tc qdisc add dev link1 root tbf rate 100mbit burst 256kb latency 400ms")


def namespaces():
    """The command that gives a process namespaces of its own, and why there is none."""
    missing = [tool for tool in ("unshare", "nsenter", "setpriv", "ip", "tc") if shutil.which(tool) is None]
    if missing:
        return None, f"{', '.join(missing)} missing (packages util-linux and iproute2)"
    for command in (OWN_NAMESPACES, (*OWN_NAMESPACES, "--user", "--map-root-user")):
        trial = subprocess.run([*command, "sh", "-c", f"{PREPARE} && {TRIAL}"], text=True, capture_output=True)
        if trial.returncode == 0:
            return command, ""
    return None, f"this machine refuses network namespaces with limited links: {' '.join(trial.stderr.split())}"


def enter():
    """Returns inside the namespaces; outside it runs the program there and exits with its code."""
    if os.environ.get(INSIDE):
        return
    command, reason = namespaces()
    if command is None:
        print(f"SKIPPED: {reason}", file=sys.stderr)
        sys.exit(SKIPPED)
    sys.stdout.flush()
    # Temporary files lie in memory: a save that waits for a busy disk would pass a deadline of seconds.
    # Who kills this process ends the one inside too, and with it all of its namespaces.
    inside = subprocess.run(["setpriv", "--pdeathsig", "KILL", *command, "sh", "-c", f'{PREPARE} && exec "$@"', "sh",
                             sys.executable, *sys.argv], env={**os.environ, INSIDE: "1", "TMPDIR": "/dev/shm"})
    sys.exit(inside.returncode)


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


class Hosts:
    """Hosts hw1, hw2, … of one network. Host n has address 10.77.0.n."""

    def __init__(self, count, folder):
        self.folder = Path(folder)
        self.names = [f"hw{n}" for n in range(1, count + 1)]
        self._holders = {}  # name to the process that keeps the host's namespaces
        try:
            run("ip", "link", "add", "switch", "type", "bridge")
            run("ip", "link", "set", "switch", "up")
            for number, name in enumerate(self.names, start=1):
                self._add(number, name)
            self._write_start_script()
        except BaseException:
            self.close()
            raise

    def _add(self, number, name):
        holder = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", f"hostname {name} && exec sleep infinity"])
        self._holders[name] = holder
        end = time.monotonic() + 30
        while self._inside(name, "hostname", capture_output=True, text=True).stdout.strip() != name:
            if holder.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"host {name} did not start")
            time.sleep(0.01)
        (self.folder / f"{name}.pid").write_text(f"{holder.pid}\n")
        run("ip", "link", "add", self._port(name), "type", "veth", "peer", "name", "eth0", "netns", holder.pid)
        run("ip", "link", "set", self._port(name), "master", "switch", "up")
        for command in ("ip link set lo up", f"ip address add 10.77.0.{number}/24 dev eth0", "ip link set eth0 up"):
            self._inside(name, *command.split(), check=True)
        self._wait_for_link(name)

    @staticmethod
    def _port(name):
        """The switch's end of the host's link."""
        return f"port-{name}"

    def entry(self, name):
        """The command that runs the command after it on that host."""
        return ["nsenter", "--target", str(self._holders[name].pid), "--net", "--uts"]

    def _inside(self, name, *command, **options):
        return subprocess.run([*self.entry(name), *command], **options)

    def _write_start_script(self):
        """What mpirun uses in the place of ssh."""
        script = self.folder / "start-on-host"
        script.write_text("#!/bin/sh\n"
                          "# usage: start-on-host [ssh's options] HOST COMMAND…\n"
                          'while [ "${1#-}" != "$1" ]; do shift; done\n'
                          "host=$1\nshift\n"
                          f'exec nsenter --target "$(cat {self.folder}/$host.pid)" --net --uts sh -c "$*"\n')
        script.chmod(0o755)
        self.start_script = script

    def mpirun(self, ranks_per_host, *options):
        """The command, to be followed by a program, that starts ranks on all hosts, neighbours on one host."""
        places = ",".join(f"{name}:{ranks_per_host}" for name in self.names)
        # Open MPI notices a host that does not answer after 2 + 3 · 1 s.
        keepalive = (("time", 2), ("intvl", 1), ("probes", 3))
        settings = [("plm_rsh_agent", self.start_script), ("oob_tcp_if_include", NETWORK), ("btl_tcp_if_include", NETWORK),
                    *((f"oob_tcp_keepalive_{name}", value) for name, value in keepalive)]
        return [*self.entry(self.names[0]), "mpirun", "--host", places, "--bind-to", "none",
                "-np", str(ranks_per_host * len(self.names)), *options,
                *(str(part) for name, value in settings for part in ("--mca", name, value))]

    def limit(self, bits_per_second, burst_bytes=256 * 1024):
        """Every link, in both directions; what it has not carried for a while it may carry at once, up to `burst_bytes`."""
        for name in self.names:
            limit = ("root", "tbf", "rate", f"{int(bits_per_second)}bit", "burst", str(int(burst_bytes)), "latency", "400ms")
            run("tc", "qdisc", "replace", "dev", self._port(name), *limit)
            self._inside(name, "tc", "qdisc", "replace", "dev", "eth0", *limit, check=True)

    def cut(self, name):
        run("ip", "link", "set", self._port(name), "down")

    def mend(self, name):
        run("ip", "link", "set", self._port(name), "up")
        self._wait_for_link(name)
        for other in self.names:  # who has given up looking for another looks again
            self._inside(other, "ip", "neighbour", "flush", "dev", "eth0", check=True)

    def _wait_for_link(self, name):
        """The kernel tells both ends of a change some time later."""
        ends = (([*self.entry(name), "ip", "link", "show", "dev", "eth0"], "state UP"),
                (["ip", "-details", "link", "show", "dev", self._port(name)], "bridge_slave state forwarding"))
        end = time.monotonic() + 30
        for command, words in ends:
            while words not in subprocess.run(command, capture_output=True, text=True).stdout:
                if time.monotonic() > end:
                    raise RuntimeError(f"the link of {name} does not come up")
                time.sleep(0.01)

    def traffic(self):
        """Host to the bytes that its link has carried: (to the host, from the host)."""
        found = {}
        for name, holder in self._holders.items():
            lines = Path(f"/proc/{holder.pid}/net/dev").read_text().splitlines()
            fields = next(line for line in lines if line.strip().startswith("eth0:")).split(":")[1].split()
            found[name] = (int(fields[0]), int(fields[8]))
        return found

    def close(self):
        for name, holder in self._holders.items():
            subprocess.run(["ip", "link", "delete", self._port(name)], stderr=subprocess.DEVNULL)
            holder.kill()
            holder.wait()
        subprocess.run(["ip", "link", "delete", "switch"], stderr=subprocess.DEVNULL)
