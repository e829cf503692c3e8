#!/usr/bin/env bash
# Trains the demo's model with LFA on and off, three seeds each, on the demo's data: equal tokens, equal everything else.
# Writes docs/benchmarks/lfa-ablation.md and .svg. Run scripts/demo.sh first (it makes the data).
# Takes about 25 minutes on two cores; HEADWATER names another binary than build/release/headwater.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${HEADWATER:-build/release/headwater}
runs=build/lfa-ablation
[ -f build/demo/data/corpus.idx ] || { echo "lfa_ablation.sh: build/demo/data/corpus is missing; run scripts/demo.sh first" >&2; exit 2; }
mkdir -p "$runs"

train() { # LFA SEED
  OMP_NUM_THREADS=1 "$binary" train configs/demo.json --parallel.pipeline_model_parallel_size=1 \
    --parallel.pipeline_layout=uniform --training.save= --training.eval_interval=50 --model.lfa="$1" \
    --training.seed="$2" --training.metrics_file="$runs/lfa-$1-seed-$2.jsonl" >"$runs/lfa-$1-seed-$2.log"
}

for seed in 1 2 3; do
  rm -f "$runs"/lfa-*-seed-"$seed".jsonl
  train true "$seed" &
  on=$!
  train false "$seed" &
  off=$!
  wait "$on"
  wait "$off"
  echo "seed $seed: done"
done
python3 scripts/lfa_ablation.py "$runs" docs/benchmarks/lfa-ablation
