#!/usr/bin/env bash
# Trains every mix of tensor ranks, cut tokens, pipeline, data ranks, sharded optimizer, schedule, recomputation and LFA, up
# to 8 ranks as threads, for 20 steps, and compares losses and gradients with one rank. About 2,600 mixes: an hour or more.
# Writes docs/benchmarks/equivalence.md; fails where one mix is outside its tolerance.
#
# Interrupted, it goes on at the mix where it stopped when it is called again; take away TABLE to start afresh.
#
# usage: scripts/equivalence.sh [TABLE]     TABLE: where the table of every mix goes (default build/equivalence.tsv)
set -euo pipefail
cd "$(dirname "$0")/.."

table=${1-$PWD/build/equivalence.tsv}
scripts/setup.sh ci
scripts/build.sh release --target test_train_full
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
failed=0
HEADWATER_EQUIVALENCE_TABLE=$table build/release/test_train_full --gtest_brief=1 \
  --gtest_filter=Equivalence/Mixes.TrainAsOneRankDoes/0 || failed=$?
[[ $failed -le 1 ]] || exit "$failed"  # it did not come to its end
new=build/equivalence.md
python3 scripts/equivalence_table.py "$table" >"$new" || failed=$?
mv "$new" docs/benchmarks/equivalence.md
exit "$failed"
