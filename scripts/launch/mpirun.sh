#!/usr/bin/env bash
# Trains on the hosts of a host file with Open MPI's mpirun. Use it as it is, or as a template; docs/launch.md says why each
# setting is there.
#
# usage: scripts/launch/mpirun.sh HOSTFILE CONFIG.json [--section.key=value ...]
#        scripts/launch/mpirun.sh - CONFIG.json [...]       on the hosts that a batch system gave this job
#
# HOSTFILE has a line `NAME slots=RANKS` for each host. The first host holds rank 0. From the environment:
#   HEADWATER  the program, at the same path on every host (build/release/headwater)
#   NETWORK    the network between the hosts where they have several, e.g. 10.1.0.0/16
#   TIMEOUT    seconds that a rank waits for another before it gives the run up (120)
#   GRACE      seconds between SIGTERM and SIGKILL where mpirun ends the ranks itself (10); the end of every run that
#              does not end with 0 takes twice as long
# Send SIGTERM or SIGUSR1 to this script: the ranks finish their step, save, and end with 75. The same command goes on.
set -euo pipefail

if [[ $# -lt 2 ]]; then
  echo "usage: scripts/launch/mpirun.sh HOSTFILE CONFIG.json [--section.key=value ...]" >&2
  exit 2
fi
hostfile=$1 config=$2
shift 2
program=${HEADWATER:-$(cd "$(dirname "$0")/../.." && pwd)/build/release/headwater}
timeout=${TIMEOUT:-120}
[[ -x "$program" ]] || { echo "mpirun.sh: no program $program; run scripts/build.sh, or set HEADWATER" >&2; exit 2; }
[[ "$hostfile" == - || -f "$hostfile" ]] || { echo "mpirun.sh: no host file $hostfile" >&2; exit 2; }

options=(
  --map-by slot   # neighbouring ranks on one host: tensor-parallel ranks first
  --bind-to none  # the ranks share a host's cores out among themselves
  # A host that is lost is noticed after the ranks have said so themselves, which name it and the group that waits.
  --mca oob_tcp_keepalive_time "$timeout"
  --mca oob_tcp_keepalive_intvl 10
  --mca oob_tcp_keepalive_probes 3
  --mca odls_base_sigkill_timeout "${GRACE:-10}"
)
[[ "$hostfile" == - ]] || options+=(--hostfile "$hostfile")
[[ -z "${NETWORK-}" ]] || options+=(--mca oob_tcp_if_include "$NETWORK" --mca btl_tcp_if_include "$NETWORK")
for variable in OMP_NUM_THREADS HEADWATER_LOG; do
  [[ -z "${!variable-}" ]] || options+=(-x "$variable")
done

set -m  # mpirun in a process group of its own: Ctrl-C reaches this script only
mpirun "${options[@]}" "$program" train "$config" "--training.comm_timeout_s=$timeout" "$@" </dev/null &
launcher=$!

# Of all signals mpirun passes SIGUSR1 on to the ranks at once, and gives their exit code back.
trap 'interrupted=1; kill -USR1 "$launcher" 2>/dev/null || true' TERM INT USR1
while
  interrupted=0 status=0
  wait "$launcher" || status=$?
  ((interrupted))
do :; done
exit "$status"
