#!/usr/bin/env bash
# Measures training steps on this machine's CPU and writes docs/benchmarks/cpu.md. Takes about five minutes on two cores; the
# machine should have nothing else to do. HEADWATER names another binary than build/release/headwater.
set -euo pipefail
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cd "$(dirname "$0")/.."
binary=${HEADWATER:-build/release/headwater}
[ -x "$binary" ] || { echo "bench_cpu.sh: $binary is missing; run scripts/build.sh first" >&2; exit 2; }
mkdir -p docs/benchmarks
out=docs/benchmarks/cpu.md
new=$out.new
trap 'rm -f "$new"' EXIT

measure() { # TITLE WORDS… (of the command, as a person types it)
  echo "$1"
  local title=$1 command="${*:2}"
  {
    printf '\n## %s\n\n    %s\n\n```\n' "$title" "$command"
    "${@:2:$#-1}"
    echo '```'
  } >>"$new"
}
headwater() { "$binary" "$@"; }
mpirun() { command mpirun --oversubscribe --bind-to none "${@:1:2}" "$binary" "${@:4}"; }

cat >"$new" <<TEXT
# Training steps on a CPU

Written by \`scripts/bench_cpu.sh\` on $(nproc) cores of
"$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" (as /proc/cpuinfo calls it). Full steps: forward, backward,
sum over the ranks, clipping, AdamW. Speed is the median of ten steps; the table is the median of ten more, with every op timed
by itself. The yardsticks, a large square product by oneDNN and a pass over memory, are measured in the same run, so that shares
compare where seconds do not.
TEXT
measure "GPT-2-small size (yuan2-small: 12 layers, H 768, V 50304), 4 x 256 tokens" headwater bench step
measure "The same in fp32" headwater bench step --training.dtype=fp32
measure "The demo's model on one rank, 16 x 256 tokens" headwater bench step configs/demo.json \
  --parallel.pipeline_model_parallel_size=1 --parallel.pipeline_layout=uniform
measure "The demo's model as the demo trains it" mpirun -np 2 headwater bench step configs/demo.json
mv "$new" "$out"
echo "wrote $out"
