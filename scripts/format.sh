#!/usr/bin/env bash
# Formats every tracked source with clang-format (14 or later); with --check it only says which are not.
#
# usage: scripts/format.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  '') mode=(-i) ;;
  --check) mode=(--dry-run -Werror) ;;
  *) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac
if ! command -v clang-format >/dev/null; then
  echo "scripts/format.sh: no clang-format here; Debian's package is clang-format" >&2
  exit 2
fi
git ls-files -z '*.h' '*.cpp' '*.cu' '*.cuh' | xargs -0 -r clang-format "${mode[@]}"
