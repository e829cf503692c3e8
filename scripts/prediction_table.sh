#!/usr/bin/env bash
# Holds predicted steps against measured ones: `headwater bench step` on four layouts of two ranks, one thread each, RUNS times
# (default 5) in turn, so that what else the machine does meets all of them. Writes docs/benchmarks/prediction.md.
# Takes about four minutes on two cores; the machine should have nothing else to do. HEADWATER names another binary than
# build/release/headwater, OUT another file.
set -euo pipefail
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
cd "$(dirname "$0")/.."
binary=${HEADWATER:-build/release/headwater}
[ -x "$binary" ] || { echo "prediction_table.sh: $binary is missing; run scripts/build.sh first" >&2; exit 2; }
[ "$(env -u OMP_NUM_THREADS nproc)" -ge 2 ] || { echo "prediction_table.sh: two ranks need two cores; here is one" >&2; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

model=(--model.family=yuan2 --model.num_layers=4 --model.hidden_size=256 --model.ffn_hidden_size=1024
       --model.num_attention_heads=4 --model.vocab_size=4096 --training.seq_length=256 --training.micro_batch_size=2
       --training.global_batch_size=16)
layouts=(
  "pipeline 2 [3,1], 1f1b|--parallel.pipeline_model_parallel_size=2 --parallel.pipeline_layout=[3,1]"
  "pipeline 2 [3,1], zb-h1|--parallel.pipeline_model_parallel_size=2 --parallel.pipeline_layout=[3,1] --parallel.pipeline_schedule=zb-h1"
  "tensor 2, sequence parallel|--parallel.tensor_model_parallel_size=2 --parallel.sequence_parallel=true"
  "data 2, ZeRO-1|--parallel.use_distributed_optimizer=true"
)

for run in $(seq "${RUNS:-5}"); do
  for i in "${!layouts[@]}"; do
    IFS='|' read -r name options <<<"${layouts[$i]}"
    echo "run $run: $name" >&2
    echo "$name" >"$folder/$i.name"
    # shellcheck disable=SC2086  # options are words
    mpirun --oversubscribe --bind-to none -np 2 "$binary" bench step "${model[@]}" $options --steps "${STEPS:-6}" --json \
      >"$folder/$i.$run.json"
  done
done
python3 scripts/prediction_table.py "$folder" "${OUT:-docs/benchmarks/prediction.md}"
