#!/usr/bin/env bash
# Configures and builds; leaves build/PRESET/headwater.
#
# usage: scripts/build.sh [PRESET [CMAKE_OPTION…]]
#   release (default), debug, asan (address and undefined behaviour), tsan (threads), clang (the second compiler)
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1-release}
case "$preset" in
  release | debug | asan | tsan | clang) ;;
  cuda | emulated)
    echo "scripts/build.sh: the preset $preset is not built yet; there are release, debug, asan, tsan, clang" >&2
    exit 2
    ;;
  *)
    echo "scripts/build.sh: no preset $preset; there are release, debug, asan, tsan, clang" >&2
    exit 2
    ;;
esac

cmake --preset "$preset" "${@:2}"
cmake --build --preset "$preset" --parallel "$(nproc)"
