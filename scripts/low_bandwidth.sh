#!/usr/bin/env bash
# Trains configs/low-bandwidth.json on several hosts joined by slow links, all on this machine: tensor parallel, as a uniform
# pipeline and as a planned one, at several link rates. Prints seconds and bytes of a step beside what the plan predicts, as
# docs/benchmarks/low-bandwidth.md. Run scripts/build.sh first; about ten minutes on two cores.
#
# Hosts are network namespaces, which the kernel takes away with everything in them when this ends, however it ends. Where the
# machine allows none it says so and ends with 77. `scripts/low_bandwidth.sh --help` lists the options.
set -euo pipefail
cd "$(dirname "$0")/.."
export HEADWATER=${HEADWATER:-$PWD/build/release/headwater}
[[ -x "$HEADWATER" ]] || { echo "low_bandwidth.sh: $HEADWATER is missing; run scripts/build.sh first" >&2; exit 2; }
exec python3 scripts/low_bandwidth.py "$@"
