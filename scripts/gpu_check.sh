#!/usr/bin/env bash
# What only a GPU can show, in less than five minutes on an H100 or H200. Runs from the archive that scripts/gpu_bundle.sh has
# made, unpacked on any x86-64 Linux with a GPU's driver; in a checkout it unpacks build/gpu-bundle/*.tar.xz first.
#
# usage: scripts/gpu_check.sh [STAGE…]           all of them unless said
#        scripts/gpu_check.sh collect FOLDER     in a checkout: puts what came back in FOLDER where it belongs
#   conformance  what each instruction gives, beside the manual's words and what a GPU gave before
#   ordered      attention's backward where its sums have an order: blocks wait for each other, so that it might never end;
#                the stages behind it then run with --training.deterministic=false
#   kernels      every other kernel against the reference in double precision
#   ops          every op of the CUDA backend against the same
#   golden       Yuan 2.0's golden cases: logits, gradients, losses of 20 steps
#   training     50 steps in bf16 beside the CPU's losses, which came with the archive
#   resume       20 steps, and the same in two halves: the same bits
#   ranks        several GPUs, where the archive has programs with NCCL
#   bench        ops, steps, products' algorithms and PyTorch's kernels (scripts/gpu_speed.py)
#   sanitizer    compute-sanitizer on instructions and attention
#   ncu          what the hardware counts in attention and in the slowest other kernels
#
# Each stage has a time limit and ends with a line: PASS, FAIL, TIME (it did not end) or LACKS what the host has not got; none
# keeps the others from running. The last 10 KB of what is printed have all that matters, and OUT (build/gpu_check) gets seven
# files of less than 16 MB. Exit 0 where nothing failed, 1 where something did, 77 where nothing could run: no GPU.
#
# The environment may say: OUT; GPU_CHECK_SECONDS, after which no stage goes on (300); GPU_CHECK_PATIENCE, by which all limits
# are multiplied (1); GPU_BUNDLE, which archive; GPU_SPEED, options for gpu_speed.py; GPU_CHECK_ROOT, a folder that stands for /
# where CUDA and the processor are looked for, as the tests have it.
set -euo pipefail

# Seconds: limits that only what is broken meets, except bench, which measures for as long as it may. An H200 is predicted to
# take 3 for conformance, then 3, 13, 10, 20 (golden: eight starts of CUDA with cuBLAS, 2 s each), 4, 8, 150, 40 and 40: 291.
declare -A limits=([conformance]=30 [ordered]=20 [kernels]=60 [ops]=45 [golden]=60 [training]=30 [resume]=40 [ranks]=120
  [bench]=150 [sanitizer]=50 [ncu]=70)
stages=(conformance ordered kernels ops golden training resume bench sanitizer ncu)
declare -A leaves=([conformance]=conformance.tsv [bench]="results.json matmul.json" [sanitizer]=sanitizer.log [ncu]=ncu.csv)

first() { sed -n "1,$1p"; } # lines; unlike head it reads all, so that whoever writes is not ended by SIGPIPE
refuse() { echo "gpu_check.sh: $1" >&2; exit 2; }
usage() { refuse "usage: scripts/gpu_check.sh [${stages[*]} ranks] | collect FOLDER"; }
gpu() { (timeout 20 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null || true) | first 1; } # name, compute_cap

for number in "${GPU_CHECK_SECONDS:-300}" "${GPU_CHECK_PATIENCE:-1}"; do
  [[ $number =~ ^[1-9][0-9]{0,5}$ ]] || refuse "GPU_CHECK_SECONDS and GPU_CHECK_PATIENCE are whole numbers from 1, not $number"
done
PATH=$PATH:/usr/local/nvidia/bin  # where containers get nvidia-smi
self=$(realpath "$0")
caller=$PWD
cd "$(dirname "$self")/.."

# ---- in a checkout ----

if [[ ${1-} == collect ]]; then
  [[ $# -eq 2 ]] || usage
  exec python3 scripts/gpu_collect.py "$(cd "$caller" && realpath "$2")"
fi
for word in "$@"; do
  [[ -n ${limits[$word]-} || ( $word == --stage && -n ${GPU_CHECK_WORK-} ) ]] || usage
done

choose_archive() {
  local capability archives=(build/gpu-bundle/headwater-gpu-*.tar.xz) of_gpus=(build/gpu-bundle/headwater-gpu-[0-9]*.tar.xz)
  [[ ! -e ${of_gpus[0]} ]] || archives=("${of_gpus[@]}")
  if [[ -n ${GPU_BUNDLE-} ]]; then
    (cd "$caller" && realpath "$GPU_BUNDLE")
    return
  fi
  [[ -e ${archives[0]} ]] || refuse "build/gpu-bundle has no archive; scripts/gpu_bundle.sh makes one, without a GPU"
  capability=$(gpu compute_cap | tr -d .)
  for file in "build/gpu-bundle/headwater-gpu-$capability"{a,}.tar.xz; do
    [[ ! -e $file ]] || { realpath "$file"; return; }
  done
  [[ -z $capability && ${#archives[@]} -eq 1 ]] ||
    refuse "this GPU is ${capability:-unknown}, and build/gpu-bundle has ${archives[*]##*/}: \
scripts/gpu_bundle.sh ARCHITECTURE makes one, GPU_BUNDLE names one"
  realpath "${archives[0]}"
}

unpack() { # ARCHIVE FOLDER
  if command -v xz >/dev/null; then
    tar -xf "$1" -C "$2"
  elif python3 -c 'import lzma' 2>/dev/null; then
    python3 -m tarfile -e "$1" "$2"
  else
    refuse "$1 needs xz, or python3 with lzma, to be unpacked"
  fi
}

out=${OUT:+$(cd "$caller" && realpath -m "$OUT")}
out=${out:-$PWD/build/gpu_check}
if [[ ! -f BUNDLE ]]; then
  archive=$(choose_archive)
  unpacked=$(realpath "$(mktemp -d)")
  trap 'rm -rf "$unpacked"' EXIT
  unpack "$archive" "$unpacked"
  [[ -x $(echo "$unpacked"/headwater-gpu-*/bin/headwater) ]] ||
    refuse "programs cannot be run in ${TMPDIR:-/tmp}, as where it is mounted noexec; TMPDIR names another folder"
  export OUT=$out GPU_CHECK_UNPACKED=$unpacked
  exec bash "$unpacked"/headwater-gpu-*/scripts/gpu_check.sh "$@"  # which removes the folder when it ends
fi

# ---- a stage, in a process of its own ----

# Of a program in the archive: what it needs of the host that is not there.
missing_for() { # bin/PROGRAM
  local library names
  read -r -a names < <(sed -n "s:^program $1 ::p" BUNDLE)
  for library in "${names[@]}"; do
    [[ -n ${library_file[$library]-} ]] || echo "$library"
  done
}

summary() { echo "$*" >"$work/$stage.summary"; }
lacks() { summary "$*"; exit 77; }
fails() { summary "$*"; exit 1; }
note() { first 10 | cut -c 1-220 >>"$work/$stage.notes"; }
need() { # PROGRAM…
  local program absent
  for program in "$@"; do
    absent=$(missing_for "$program" | paste -sd ' ')
    [[ -z $absent ]] || lacks "$absent, for $program: scripts/cuda_libraries.sh says where it was looked for"
  done
  [[ -z $GPU_CHECK_LACKING ]] || lacks "$GPU_CHECK_LACKING"
}
need_python() {
  python3 -c 'import sys, unittest, json; sys.exit(sys.version_info < (3, 9))' 2>/dev/null ||
    lacks "python3, 3.9 or newer, with its standard library"
}
need_tool() { # NAME: sets `tool`
  local root=${GPU_CHECK_ROOT-} folders
  folders=$(printf ':%s' "$root"/usr/local/cuda*/{bin,compute-sanitizer} "$root"/opt/nvidia/nsight-compute/*)
  tool=$(PATH=$PATH$folders command -v "$1") || lacks "$1: neither on PATH nor in a CUDA toolkit"
}
ours() { LD_LIBRARY_PATH=$GPU_CHECK_LIBRARIES "$@"; }
run() { ours "$@" 2>&1 | tee "$work/$stage.out"; } # its exit status is the program's

# Runs a program of tests. A fault of one kernel makes CUDA refuse all that comes after it in the same process: the first ones
# that have failed are run again, each by itself.
gtest() { # PROGRAM OPTION…
  local status=0 output=$work/$stage.out passed skipped bad test alone=()
  need "$1"
  run "./$1" "${@:2}" || status=$?
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$output")
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$output" | first 1)
  if [[ $status -eq 0 ]]; then
    [[ ${passed:-0} -gt 0 ]] || fails "$1 has run no test"
    summary "$passed tests${skipped:+, $skipped skipped}"
    return
  fi
  { grep -Ev '^(\[|Running main|Note: |$)' "$output" || true; } | note
  mapfile -t bad < <(sed -n 's/^\[  FAILED  \] \([^ ,]*\).* ms)$/\1/p' "$output")
  if [[ ${#bad[@]} -eq 0 ]]; then
    fails "$1 ended with $status in $(sed -n 's/^\[ RUN      \] //p' "$output" | tail -n 1)"
  fi
  summary "${passed:-no} tests passed, ${#bad[@]} failed: ${bad[*]}"
  for test in "${bad[@]:0:10}"; do
    CUDA_LAUNCH_BLOCKING=1 ours timeout 20 "./$1" "--gtest_filter=$test" >"$work/again" 2>&1 ||
      { alone+=("$test"); cat "$work/again"; }
  done
  fails "${passed:-no} tests passed, ${#bad[@]} failed; by themselves too, of the first ten: ${alone[*]:-none}"
}

python_tests() { # FILE CLASS…
  local status=0 output=$work/$stage.out names
  need_python
  run python3 "$@" || status=$?
  if [[ $status -ne 0 ]]; then
    { grep -E '^[A-Za-z.]*(Error|Exception):|headwater: error' "$output" || true; } | note
    names=$(sed -n 's/^\(FAIL\|ERROR\): \([^ ]*\) (__main__\.\([A-Za-z]*\).*/\3.\2/p' "$output" | paste -sd ' ')
    fails "$(tail -n 1 "$output"): $names"
  fi
  summary "$(sed -n 's/^Ran \([0-9]* tests*\) in .*/\1/p' "$output")$(sed -n 's/^OK (\(skipped=.*\))/, \1/p' "$output")"
}

stage_conformance() { # the program has been run already, to see whether there is a GPU
  local recorded=tests/conformance/expected.tsv count
  need bin/headwater_conformance
  cat "$work/device.err"
  [[ $GPU_CHECK_CONFORMANCE -eq 0 ]] ||
    fails "headwater_conformance ended with $GPU_CHECK_CONFORMANCE: $(tail -n 1 "$work/device.err" | cut -c 1-200)"
  cp "$work/conformance.tsv" "$out/conformance.tsv"
  count=$(wc -l <"$out/conformance.tsv")
  gtest bin/test_conformance
  if [[ ! -f $recorded ]]; then
    summary "$count instructions mean what the manual says; no GPU's bits were recorded before"
  elif cmp -s "$out/conformance.tsv" "$recorded"; then
    summary "$count instructions give the bits that were recorded"
  else
    summary "$count instructions; other bits, within their tolerance, than recorded for:" \
      "$(comm -13 <(sort "$recorded") <(sort "$out/conformance.tsv") | cut -f 1 | paste -sd,)"
  fi
}

in_order=AttentionBackward.OnTensorCores:AttentionBackward.SameBitsEachTime
stage_ordered() { gtest bin/test_kernels "--gtest_filter=$in_order"; }

stage_kernels() { gtest bin/test_kernels "--gtest_filter=-$in_order"; }

stage_ops() { gtest bin/test_backend "--gtest_filter=*cuda_*${GPU_CHECK_UNORDERED:+-*cuda_bf16_attention_backward}"; }

stage_golden() { need bin/headwater; python_tests tests/cuda/gpu_full_test.py Golden GoldenOdd; }

stage_training() {
  need bin/headwater
  CPU_LOSSES=tests/cuda/cpu_losses.json TRAINING_JSON=$work/training.json python_tests tests/cuda/gpu_full_test.py Training
}

stage_resume() { need bin/headwater; python_tests tests/cuda/gpu_full_test.py Resume; }

stage_ranks() {
  [[ -e bin-nccl/headwater ]] || lacks "programs with NCCL: scripts/gpu_bundle.sh --nccl carries them"
  need bin-nccl/headwater
  command -v mpirun >/dev/null || lacks "mpirun"
  [[ $(nvidia-smi -L 2>/dev/null | wc -l) -ge 2 ]] || lacks "a second GPU"
  HEADWATER=bin-nccl/headwater python_tests tests/cuda/ranks_full_test.py Losses Devices
}

stage_bench() {
  local status=0 training=()
  need bin/headwater
  need_python
  [[ ! -f $work/training.json ]] || training=(--training "$work/training.json")
  # shellcheck disable=SC2086  # options are words
  run python3 scripts/gpu_speed.py "$out/results.json" --headwater bin/headwater --matmul "$out/matmul.json" \
    --seconds "$((GPU_CHECK_LIMIT - 3))" "${training[@]}" ${GPU_SPEED-} || status=$?
  { python3 scripts/gpu_figures.py "$out/results.json" 2>&1 || true; } | cut -c 1-220 >>"$work/$stage.notes"
  [[ $status -eq 0 ]] || fails "$(tail -n 1 "$work/$stage.out")"
  summary "$(tail -n 1 "$work/$stage.out")"
}

# What it says of one program; fails where the sanitizer finds something, or the program ends badly under it.
memcheck() { # PROGRAM OPTION…
  local status=0 log=$work/$stage.out seconds=$(((GPU_CHECK_LIMIT - 4) / 2)) why
  need "$1"
  ours timeout --kill-after=1 "$seconds" "$tool" --tool memcheck --error-exitcode 99 "./$1" "${@:2}" >"$log" 2>&1 || status=$?
  head -c 6000000 "$log" >>"$out/sanitizer.log"
  if grep -q 'ERROR SUMMARY: 0 errors' "$log" && [[ $status -eq 0 ]]; then
    echo "$1: nothing found" >>"$work/memcheck"
  elif [[ $status -eq 124 || $status -eq 137 ]] && ! grep -Eq '^========= (Invalid|Program hit|Error)' "$log"; then
    echo "$1: nothing found in $seconds s, after which it had not ended" >>"$work/memcheck"
  elif why=$(grep -Em 1 'Device not supported|No attachable process|ermission' "$log"); then
    lacks "a device that compute-sanitizer can watch: $why"
  else
    { grep -E '^=========|FAILED|rror' "$log" | grep -v 'COMPUTE-SANITIZER' || true; } | note
    fails "$1: $(grep -m 1 -E '^========= (Invalid|Program hit|Error|ERROR SUMMARY)' "$log" || echo "ended with $status")"
  fi
}

stage_sanitizer() {
  need_tool compute-sanitizer
  memcheck bin/headwater_conformance
  memcheck bin/test_kernels "--gtest_filter=Attention*${GPU_CHECK_UNORDERED:+-$in_order}"
  summary "$(paste -sd ';' "$work/memcheck" | sed 's/;/; /g')"
}

stage_ncu() {
  local status=0 output=$work/$stage.out what seen
  need_tool ncu
  need bin/headwater
  need_python
  mapfile -t what < <(python3 scripts/gpu_figures.py "$out/results.json" --to-count)
  [[ ${#what[@]} -eq 2 ]] || lacks "results of the stage bench"
  : >"$out/ncu.csv"
  # Of each kernel its second launch: the first may wait for what is loaded.
  # shellcheck disable=SC2086  # arguments are words
  ours "$tool" --clock-control none --set full --csv --page details --log-file "$out/ncu.csv" --kernel-name-base function \
    --kernel-id "::regex:^(${what[0]})\$:2" bin/headwater bench ops ${what[1]} --runs 1 >"$output" 2>&1 || status=$?
  cat "$output"
  seen=$(python3 -c 'import csv, sys
print(*sorted({row[4] for row in csv.reader(open(sys.argv[1])) if len(row) > 4 and row[0].isdigit()}))' "$out/ncu.csv")
  if [[ -n $seen ]]; then
    summary "$seen"
  elif grep -Eq 'ERR_NVGPUCTRPERM|LibraryNotLoaded|not supported' "$out/ncu.csv" "$output"; then
    lacks "leave to count: $(grep -hE 'ERR_NVGPUCTRPERM|LibraryNotLoaded|not supported' "$out/ncu.csv" "$output" | first 1)"
  else
    tail -n 5 "$out/ncu.csv" | note
    fails "nothing of ${what[0]} was counted; ncu ended with $status"
  fi
}

if [[ ${1-} == --stage ]]; then
  stage=$2 work=$GPU_CHECK_WORK
  declare -A library_file
  while IFS=$'\t' read -r name file; do library_file[$name]=$file; done <"$work/libraries"
  "stage_$stage"
  exit 0
fi

# ---- all stages, one after the other ----

[[ $# -gt 0 ]] || { [[ ! -e bin-nccl ]] || stages=("${stages[@]:0:7}" ranks "${stages[@]:7}"); }
[[ $# -eq 0 ]] || stages=("$@")
unpacked=${GPU_CHECK_UNPACKED-}
[[ $self == "$unpacked"/* ]] || unpacked=
work=$(mktemp -d)
trap 'rm -rf "$work" ${unpacked:+"$unpacked"}' EXIT
mkdir -p "$out"
rm -f "$out"/{log,summary}.txt
for stage in "${stages[@]}"; do # what an earlier run has left is not this one's
  for file in ${leaves[$stage]-}; do rm -f "$out/$file"; done
done
log=$out/log.txt
patience=${GPU_CHECK_PATIENCE:-1}
seconds_in_all=$((patience * ${GPU_CHECK_SECONDS:-300}))

say() { echo "$*" | tee -a "$log" || true; } # a full disk, or a reader that has gone, ends no stage

# Runs a command for so many seconds at most, in a session of its own, and ends what is left of that: whoever sets a time limit
# inside (`timeout`) makes a process group, which the limit here does not reach. The exit status is the command's, or 124 or 137
# where it was ended. What it prints is added to files, not to what is printed here: a trap may have to say something meanwhile.
session=
run_alone() { # SECONDS OUTPUT ERRORS COMMAND…
  local status=0
  setsid timeout --kill-after=5 "$1" "${@:4}" >>"$2" 2>>"$3" &
  session=$!
  wait "$session" || status=$?
  end_session
  return "$status"
}
end_session() {
  local attempt living signal=TERM
  for attempt in {1..40}; do
    mapfile -t living < <(processes_of "$session")
    [[ -n $session && ${#living[@]} -gt 0 ]] || break
    [[ $attempt -le 20 ]] || signal=KILL
    kill "-$signal" "${living[@]}" 2>/dev/null || true
    sleep 0.1
  done
  session=
}
processes_of() { # SESSION: those that have not ended; /proc has state, parent, group and session behind the name in brackets
  local session=$1 file line
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    # shellcheck disable=SC2086  # words
    set -- ${line##*) }
    [[ ${4-} != "$session" || $1 == [ZX] ]] || echo "${file//[!0-9]/}"
  done
}

# What all have said, and no more than 10 KB of it, in the file and on the screen: the lines of the stages, and before them
# their notes, of which the figures may be five times as long as another's.
report() {
  write_report || true
  cat "$out/summary.txt" || true
}
write_report() {
  local stage counts share most noted=()
  for stage in "${stages[@]}"; do
    [[ ! -s $work/$stage.notes ]] || noted+=("$stage")
  done
  counts=$(cut -d ' ' -f 1 "$work/lines" | sort | uniq -c | sed 's/^ *//' | paste -sd, | sed 's/,/, /g')
  {
    cat "$work/lines"
    echo "gpu_check.sh: $counts, $SECONDS s; $out has the rest"
  } >"$work/end"
  share=$(((9900 - ${#about} - $(stat -c %s "$work/end")) / (${#noted[@]} + 4) - 20))  # 20: a heading
  [[ $share -le 700 ]] || share=700
  [[ $share -ge 0 ]] || share=0
  {
    echo "$about"
    for stage in ${noted[@]+"${noted[@]}"}; do
      most=$share
      [[ $stage != bench ]] || most=$((5 * share))
      printf '\n-- %s\n' "$stage"
      # shellcheck disable=SC1003  # sed ends a line that was cut
      head -c "$most" "$work/$stage.notes" | sed '$a\'
    done
    echo
    cat "$work/end"
  } >"$out/summary.txt"
  if [[ $(stat -c %s "$log") -gt 12000000 ]]; then
    { head -c 2000000 "$log"; printf '\n[...]\n'; tail -c 10000000 "$log"; } >"$work/log"
    mv "$work/log" "$log"
  fi
}
# Whoever ends this early gets what is there.
end_early() {
  trap '' TERM INT HUP
  set +e
  end_session
  for stage in "${stages[@]:reached}"; do
    printf 'TIME  %-11s   - s  gpu_check.sh was ended before its end\n' "$stage" >>"$work/lines"
  done
  report
  exit 1
}
about=$(gpu name,driver_version,memory.total | cut -c 1-200)
about="gpu_check.sh: ${about:-nvidia-smi shows no GPU}, $(sed '/^program/d' BUNDLE | paste -sd, | sed 's/,/, /g')"
: >"$work/lines"
reached=0  # how many stages have their line
trap end_early TERM INT HUP
say "$about"

# CUDA's libraries by the folders where they were found, behind ours.
mapfile -t wanted < <(sed -n 's/^program [^ ]* *//p' BUNDLE | tr ' ' '\n' | sed '/^$/d' | sort -u)
: >"$work/libraries"
[[ ${#wanted[@]} -eq 0 ]] ||
  scripts/cuda_libraries.sh ${GPU_CHECK_ROOT:+--root "$GPU_CHECK_ROOT"} "${wanted[@]}" libcuda.so.1 >"$work/libraries"
libraries=$PWD/lib$(sed -n 's|^[^\t]*\t\(/.*\)/[^/]*$|:\1|p' "$work/libraries" | uniq | tr -d '\n')
libraries+=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
[[ ! -s $work/libraries ]] || say "$(sed 's/\t$/\tnot found/; s/\t/ /; s/^/  /' "$work/libraries")"

# Of the compiler's own the archive's, one by one, only where the linker does not take the host's: where there is none, or an
# older one.
linked() { LD_LIBRARY_PATH=$libraries LD_TRACE_LOADED_OBJECTS=1 bin/headwater 2>&1 | grep 'not found' || true; }
mkdir "$work/lib"
libraries+=:$work/lib
for library in lib/compiler/*; do
  [[ $(linked) != *"${library##*/}"* ]] || { ln -s "$PWD/$library" "$work/lib/"; say "  ${library##*/} from the archive"; }
done
lacking=$(linked | sed -n "s/.*version .\(GLIBC_[0-9.]*\)' not found.*/glibc: symbols of \1/p" | sort -V | tail -n 1)
processor=${GPU_CHECK_ROOT-}/proc/cpuinfo
[[ ! -r $processor || $(sed -n '/^flags/{p;q}' "$processor") == *avx2* ]] || lacking="a processor with AVX2"
if grep -q "^libcuda.so.1"$'\t$' "$work/libraries"; then
  lacking=${lacking:-"libcuda.so.1, the GPU's driver"}
fi

# Whether there is a GPU, says the program of the first stage.
conformance=0
if [[ -z $lacking ]]; then
  run_alone 60 "$work/conformance.tsv" "$work/device.err" env LD_LIBRARY_PATH="$libraries" bin/headwater_conformance ||
    conformance=$?
  [[ $conformance -ne 77 ]] || lacking="a GPU that CUDA can use: $(sed 's/^headwater_conformance: //' "$work/device.err")"
fi
emulated=$(sed -n 's/^architecture emulated$/EMULATED/p' BUNDLE)
export GPU_CHECK_WORK=$work GPU_CHECK_LACKING=$lacking GPU_CHECK_CONFORMANCE=$conformance GPU_CHECK_LIBRARIES=$libraries
export OUT=$out HOST_LD_LIBRARY_PATH=${LD_LIBRARY_PATH-}
export HEADWATER=bin/headwater HEADWATER_SOURCE_DIR=$PWD HEADWATER_CUDA=${emulated:-ON} GPU_CHECK_UNORDERED=

# From here on no process may wait for attention's backward in order, which has not ended.
go_on_unordered() {
  GPU_CHECK_UNORDERED="the stage ordered did not end" HEADWATER=$work/headwater
  printf '#!/usr/bin/env bash\nexec bin/headwater "$@" --training.deterministic=false\n' >"$HEADWATER"
  chmod +x "$HEADWATER"
}

failed=0 passed=0
for stage in "${stages[@]}"; do
  begin=$SECONDS status=0 limit=$((patience * ${limits[$stage]}))
  left=$((seconds_in_all - SECONDS))
  [[ $limit -le $left ]] || limit=$left
  { echo "== $stage" >>"$log"; } || true
  if [[ $limit -lt 5 ]]; then
    status=124
    echo "not begun: $seconds_in_all s were over (GPU_CHECK_SECONDS)" >"$work/$stage.summary"
  else
    GPU_CHECK_LIMIT=$limit run_alone "$limit" "$log" "$log" "$self" --stage "$stage" || status=$?
  fi
  case $status in
    0) word=PASS passed=1 ;;
    77) word=LACKS ;;
    124 | 137) word=TIME failed=1; [[ $stage != ordered || -s $work/ordered.summary ]] || go_on_unordered ;;
    *) word=FAIL failed=1 ;;
  esac
  [[ -s $work/$stage.summary ]] ||
    echo "ended with $status, after $(tail -n 1 "$work/$stage.out" 2>/dev/null || true)" >"$work/$stage.summary"
  line=$(printf '%-5s %-11s %3d s  %s' $word "$stage" $((SECONDS - begin)) "$(head -n 1 "$work/$stage.summary" | cut -c 1-300)")
  echo "$line" >>"$work/lines"
  reached=$((reached + 1))
  say "$line"
  write_report || true  # whoever kills this finds it
done

report
[[ $failed -eq 0 ]] || exit 1
[[ $passed -eq 1 ]] || exit 77
