#!/usr/bin/env bash
# What only a GPU can show; meant to take less than ten minutes on 16 cores. Each stage says what it does and how long it took;
# only a build that fails keeps the later ones from running. Exit 77 where there is no GPU, or no nvcc.
#
# usage: scripts/gpu_check.sh [STAGE…]     all of them unless said
#   packages     what a build needs and the host lacks, from build/gpu-bundle/ (scripts/gpu_bundle.sh) where that is
#   build        build/cuda, for this GPU alone; without a GPU for all that CMakePresets.json names
#   tests        every test labelled gpu
#   conformance  what each instruction gives: compared with tests/conformance/expected.tsv, or written there the first time
#   sanitizer    compute-sanitizer on the instructions and the kernels, where it works
#   benchmarks   bench ops and bench step on Yuan 2.0-2.1B, PyTorch's kernels where it is installed, and the table of both
# OUT names the folder for what they leave (build/gpu_check); HEADWATER_CMAKE has more options for CMake.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/cuda
out=${OUT:-build/gpu_check}
stages=(packages build tests conformance sanitizer benchmarks)

absent() { echo "gpu_check.sh: $1" >&2; exit 77; }

find_nvcc() {
  local cuda=${CUDA_HOME:-/usr/local/cuda}
  command -v nvcc >/dev/null || PATH=$PATH:$cuda/bin
  command -v compute-sanitizer >/dev/null || PATH=$PATH:$cuda/compute-sanitizer
  export PATH
  command -v nvcc >/dev/null || absent "no nvcc: neither on PATH nor in $cuda/bin (CUDA_HOME names another place)"
}
gpu() { (nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null || true) | head -n 1; }  # name, compute_cap
need_gpu() { [[ -n "$(gpu name)" ]] || absent "no GPU: nvidia-smi shows none"; }

stage_packages() { scripts/setup.sh gpu; }

stage_build() {
  local options=() capability
  capability=$(gpu compute_cap | tr -d .)
  [[ "$capability" != 90 ]] || capability=90a
  [[ -z "$capability" ]] || options=("-DCMAKE_CUDA_ARCHITECTURES=$capability-real")
  # shellcheck disable=SC2086  # options are words
  cmake --preset cuda "${options[@]}" ${HEADWATER_CMAKE-} >"$out/cmake.log" ||
    { tail -n 20 "$out/cmake.log"; return 1; }
  cmake --build "$build" --parallel "$(nproc)" --target gpu_tests -- --quiet
}

stage_tests() { ctest --test-dir "$build" --label-regex '^gpu$' --no-tests=error --output-on-failure; }

stage_conformance() {
  local recorded=tests/conformance/expected.tsv
  "$build/headwater_conformance" >"$out/conformance.tsv"
  echo "$(wc -l <"$out/conformance.tsv") instructions on $(gpu name)"
  if [[ ! -f $recorded ]]; then
    cp "$out/conformance.tsv" "$recorded"
    echo "wrote $recorded, which was not there: commit it"
  elif cmp -s "$out/conformance.tsv" "$recorded"; then
    echo "the same bits as in $recorded"
  else
    echo "other bits than in $recorded for:" \
      "$(diff "$recorded" "$out/conformance.tsv" | sed -n 's/^> \([^\t]*\).*/\1/p' | sort -u | paste -sd,)"
    "$build/test_conformance_gpu" --gtest_brief=1  # which differ by more than they may
  fi
}

sanitize() { # TOOL PROGRAM…
  local tool=$1 status=0
  shift
  timeout 120 compute-sanitizer --tool "$tool" --error-exitcode 99 "$@" >"$out/sanitizer.log" 2>&1 || status=$?
  case $status in
    0) echo "$tool: nothing found in ${*##*/}" ;;
    99) cat "$out/sanitizer.log"; return 1 ;;
    124) echo "$tool: nothing found in two minutes of ${*##*/}, which had not ended" ;;
    *) echo "$tool does not work here: $(tail -n 1 "$out/sanitizer.log")" ;;
  esac
}
stage_sanitizer() {
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed: left out"; return 0; }
  local tool
  for tool in memcheck racecheck synccheck; do sanitize "$tool" "$build/headwater_conformance"; done
  sanitize memcheck "$build/test_kernels_gpu" --gtest_brief=1
}

stage_benchmarks() {
  local name table=$out/gpu-kernels.md config=configs/yuan2-2.1b.json options=() torch=()
  name=$(gpu name)
  case "$name" in
    *H100*80GB*) options=(--cluster configs/clusters/h100-80gb.json); table=docs/benchmarks/gpu-kernels.md ;;
    *A100*80GB*) options=(--cluster configs/clusters/a100-80gb.json) ;;
    *) echo "$name has no file in configs/clusters: floors by what is measured" ;;
  esac
  "$build/headwater" bench ops "$config" --training.device=cuda "${options[@]}" --json >"$out/ops.json"
  "$build/headwater" bench step "$config" --training.device=cuda --steps 3 --training.global_batch_size=8 \
    --training.micro_batch_size=1 --parallel.recompute=none --json >"$out/step.json"
  if python3 scripts/torch_kernels.py "$out/ops.json" >"$out/torch.json"; then
    torch=(--torch "$out/torch.json")
  else
    echo "the table is without PyTorch"
  fi
  python3 scripts/kernel_table.py "$out/ops.json" --step "$out/step.json" "${torch[@]}" >"$out/table.md"
  cp "$out/table.md" "$table"
  echo "wrote $table"
  sed -n '/^Aims:/,/^|/s/^- //p' "$table"
}

run() { # STAGE
  local begin=$SECONDS
  printf '\n== %s: %s\n' "$1" "$(sed -n "s/^#   $1 *//p" "$0")"
  mkdir -p "$out"
  find_nvcc
  [[ $1 == packages || $1 == build ]] || need_gpu
  "stage_$1"
  echo "== $1: $((SECONDS - begin)) s"
}

if [[ $# -eq 1 ]]; then
  declare -F "stage_$1" >/dev/null || { echo "usage: scripts/gpu_check.sh [${stages[*]}]" >&2; exit 2; }
  run "$1"
  exit 0
fi
find_nvcc
[[ $# -gt 0 ]] || need_gpu
failed=()
for stage in "${@:-${stages[@]}}"; do
  status=0
  "$0" "$stage" || status=$?
  [[ $status -ne 77 && $status -ne 2 ]] || exit "$status"
  [[ $status -eq 0 ]] || failed+=("$stage")
  [[ $status -eq 0 || $stage != build ]] || break
done
echo
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "gpu_check.sh: failed: ${failed[*]} ($SECONDS s)"
  exit 1
fi
echo "gpu_check.sh: all well ($SECONDS s)"
