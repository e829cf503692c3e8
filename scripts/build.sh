#!/usr/bin/env bash
# Configures and builds; leaves build/PRESET/headwater.
#
# usage: scripts/build.sh [PRESET [CMAKE_OPTION…] [--target TARGET…]]
#   PRESET: release (default), debug, asan (address and undefined behaviour), tsan (threads), clang (the second compiler),
#     cuda (for GPUs; needs nvcc 12 or newer), emulated (the CUDA code, executed on the CPU; needs no CUDA)
#   TARGET: what to build, where not everything is wanted: `headwater` is the program without its tests
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1-release}
case "$preset" in
  release | debug | asan | tsan | clang | cuda | emulated) ;;
  *)
    echo "scripts/build.sh: no preset $preset; there are release, debug, asan, tsan, clang, cuda, emulated" >&2
    exit 2
    ;;
esac

options=()
shift || true
while [[ $# -gt 0 && $1 != --target ]]; do
  options+=("$1")
  shift
done
if [[ "$*" == --target ]]; then
  echo "scripts/build.sh: --target needs a name, such as headwater" >&2
  exit 2
fi

cmake --preset "$preset" "${options[@]}"
cmake --build --preset "$preset" --parallel "$(nproc)" "$@"
