#!/usr/bin/env bash
# Configures and builds; leaves build/PRESET/headwater.
#
# usage: scripts/build.sh [PRESET [CMAKE_OPTION…]]
#   release (default), debug, asan (address and undefined behaviour), tsan (threads), clang (the second compiler),
#   cuda (for GPUs; needs nvcc 12 or newer), emulated (the CUDA code, executed on the CPU; needs no CUDA)
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

cmake --preset "$preset" "${@:2}"
cmake --build --preset "$preset" --parallel "$(nproc)"
