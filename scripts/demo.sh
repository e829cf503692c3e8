#!/usr/bin/env bash
# The README's first command: on a bare Debian 12 (as root or with sudo) installs the packages, builds, makes a corpus of the
# C and C++ headers that every such machine has, trains a tokenizer, pretrains a small Yuan 2.0 under mpirun as a pipeline of
# two unequal stages, stops half-way, goes on by itself, evaluates, and prints a sample. The run stays in build/demo.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

say "packages and build"
scripts/setup.sh
scripts/build.sh release --target headwater

headwater=build/release/headwater
demo=build/demo
config=configs/demo.json
headers=(/usr/include/c++ /usr/include/linux "/usr/include/$(uname -m)-linux-gnu")
launch=(mpirun --oversubscribe --bind-to none -np 2)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1  # asked for by Open MPI where this is root

mkdir -p "$demo/data"
find "$demo" -mindepth 1 -maxdepth 1 ! -name data -exec rm -rf {} +

say "a tokenizer and a dataset from the headers under /usr/include"
if [ ! -f "$demo/data/tokenizer.model" ]; then
  "$headwater" data train-tokenizer "${headers[@]}" --skip-invalid --vocab-size 4096 --sample-bytes 8000000 \
    --out "$demo/data/tokenizer.model"
fi
if [ ! -f "$demo/data/corpus.idx" ]; then
  "$headwater" data tokenize "${headers[@]}" --skip-invalid --tokenizer "$demo/data/tokenizer.model" \
    --out "$demo/data/corpus"
fi

say "the first half: two ranks, a pipeline of 3 layers and of 1 layer with the head; stops after step 200"
"${launch[@]}" "$headwater" train "$config" --training.exit_interval=200

say "the same command again: it finds its checkpoint and goes on"
"${launch[@]}" "$headwater" train "$config"

say "validation loss, on one rank, from the checkpoint that two ranks wrote"
"$headwater" eval --model "$demo"
python3 - "$demo/metrics.jsonl" <<'PYTHON'
import json, sys
losses = [row["validation_loss"] for row in map(json.loads, open(sys.argv[1])) if "validation_loss" in row]
print(f"validation loss before training {losses[0]:.3f}, after {losses[-1]:.3f}: {100 * (losses[-1] / losses[0] - 1):+.0f} %")
PYTHON

say "a sample"
prompt=$'#include <vector>\n\nnamespace std\n{\n  template<typename _Tp>\n    class '
printf '%s' "$prompt"
"$headwater" generate --model "$demo" --prompt "$prompt" --max-new-tokens 200 --temperature 0.7 --top-p 0.95 --stop-at-eod
say "done: the run is in $demo; scripts/test.sh runs the tests"
