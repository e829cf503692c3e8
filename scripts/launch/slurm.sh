#!/usr/bin/env bash
# A Slurm job that trains on all of its hosts, saves before its time is over, and goes on in the next. A template: set the
# lines below for your cluster, or give the same options to sbatch; docs/launch.md has more.
#
# usage: sbatch scripts/launch/slurm.sh CONFIG.json [--section.key=value ...]      in the repository's folder
#
#SBATCH --job-name=headwater
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=headwater-%j.log
set -euo pipefail

if [[ $# -lt 1 ]]; then
  echo "usage: sbatch scripts/launch/slurm.sh CONFIG.json [--section.key=value ...]" >&2
  exit 2
fi
[[ -n "${SLURM_JOB_ID-}" ]] || { echo "slurm.sh: not in a Slurm job; start it with sbatch" >&2; exit 2; }

# Slurm runs a copy of this file: the repository is where sbatch was called. Inside a job Open MPI's mpirun takes hosts and
# ranks from Slurm, and starts its daemons by srun.
"${SLURM_SUBMIT_DIR:?}/scripts/launch/mpirun.sh" - "$@" &
run=$!

# 300 s before the end Slurm sends SIGUSR1 to this shell; on scancel SIGTERM.
trap 'interrupted=1; kill -USR1 "$run" 2>/dev/null || true' USR1
trap 'cancelled=1 interrupted=1; kill -USR1 "$run" 2>/dev/null || true' TERM
cancelled=0
while
  interrupted=0 status=0
  wait "$run" || status=$?
  ((interrupted))
do :; done

# 75: stopped after a save. The same job goes on from there.
if [[ $status -eq 75 && $cancelled -eq 0 ]]; then
  echo "saved; back into the queue"
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
