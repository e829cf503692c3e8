#!/usr/bin/env bash
# Rehearses scripts/gpu_check.sh where it will run, as far as that goes without a GPU: makes the archive, makes a root of
# another release of Debian with nothing of ours in it, puts a stub of nvidia-smi there, and looks at what gpu_check.sh says.
#
# usage: scripts/gpu_rehearsal.sh [emulated|ARCHITECTURE]      emulated unless said
#   emulated       the correctness stages run to their end and pass, the speed stages at small sizes; then without Python
#   ARCHITECTURE   as for scripts/gpu_bundle.sh: every stage starts and says what it lacks: CUDA's libraries, then the driver,
#                  then a GPU (with the toolkit's libraries, which must be on this machine, as Python's packages have them)
# Exit 77, with the reason, where no such root can be made: not root, no debootstrap, no mirror, no mounts. MIRROR names another
# mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

architecture=${1-emulated}
case "$#,$architecture" in
  [01],emulated | 1,[0-9][0-9] | 1,[0-9][0-9]a | 1,[0-9][0-9][0-9] | 1,[0-9][0-9][0-9]a) ;;
  *) echo "usage: scripts/gpu_rehearsal.sh [emulated|ARCHITECTURE], which is such as 90a" >&2; exit 2 ;;
esac
mirror=${MIRROR:-http://deb.debian.org/debian}
suite=trixie
skip() { echo "gpu_rehearsal.sh: SKIPPED: $*" >&2; exit 77; }
fail() { echo "gpu_rehearsal.sh: FAILED: $*" >&2; exit 1; }

[[ $EUID -eq 0 ]] || skip "only root may change its root"
PATH=$PATH:/usr/sbin:/sbin  # where debootstrap and chroot are
scripts/setup.sh rehearsal || skip "debootstrap is not there, and cannot be installed"

mkdir -p build
work=$(mktemp -d "$PWD/build/rehearsal.XXXXXX")
root=$work/root
mounted=
trap '[[ -z $mounted ]] || umount "$mounted"; rm -rf --one-file-system "$work"' EXIT

# Packages are unpacked and not configured: that takes half the time, and nothing here needs it.
debootstrap --variant=minbase --foreign --include=python3 "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 ||
  skip "debootstrap: $(tail -n 1 "$work/debootstrap.log")"
read -r -a packages <"$root/debootstrap/base"
for package in "${packages[@]}"; do
  dpkg-deb --extract "$root/var/cache/apt/archives/${package}"_*.deb "$root"
done
rm -rf "$root/var/cache/apt/archives"
[[ ! -L $root/proc ]] || rm "$root/proc"  # as debootstrap leaves it in a container: a link to itself, seen from inside
mkdir -p "$root/proc"
mount -t proc proc "$root/proc" || skip "/proc cannot be mounted in $root"
mounted=$root/proc

# As a checkout, where the archive is still to be unpacked: with Python's lzma, because the root has no xz.
XZ_OPT=${XZ_OPT:--1} scripts/gpu_bundle.sh "$architecture"
archive=build/gpu-bundle/headwater-gpu-$architecture.tar.xz
mkdir -p "$root/usr/local/bin" "$root/checkout/scripts" "$root/checkout/build/gpu-bundle"
cp scripts/gpu_check.sh "$root/checkout/scripts/"
cp "$archive" "$root/checkout/build/gpu-bundle/"

# Of so much memory, in MiB, that beside what gpu_speed.py reserves a few small samples find room.
cat >"$root/usr/local/bin/nvidia-smi" <<'STUB'
#!/bin/bash
declare -A what=([name]="A stub of an H200" [driver_version]=580.0 [memory.total]=3137 [compute_cap]=9.0)
[[ $1 == --query-gpu=* ]] || exit 1
line=
IFS=, read -r -a names <<<"${1#*=}"
for name in "${names[@]}"; do line+="${line:+, }${what[$name]}"; done
echo "$line"
STUB
chmod +x "$root/usr/local/bin/nvidia-smi"

# As the emulated GPU behaves in tests/cuda/gpu_full_test.py where ctest runs it; CI runs it here instead.
emulation=copies=random,streams=random,order=random,seed=11

check() { # COMMAND…: runs it in the root; sets `status`, and `said` to what it printed last
  status=0
  rm -rf "$root/out"
  mkdir "$root/out"
  chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root PYTHONWARNINGS=ignore OUT=/out \
    HEADWATER_EMULATION="$emulation" GPU_CHECK_PATIENCE=5 GPU_BUNDLE="/checkout/$archive" \
    GPU_SPEED="--config configs/tiny.json --head-dims 64 --sequences 64 --tokens 64" "$@" >"$work/output" 2>&1 || status=$?
  cat "$work/output"
  said=$(tail -c 10000 "$work/output")
  [[ $(find "$root/out" -type f | wc -l) -le 8 ]] || fail "more than eight files: $(ls "$root/out")"
  [[ -z $(find "$root/out" -type f -size +16M) ]] || fail "a file of more than 16 MB"
}
expect() { # WORD STAGE [WORDS]: a line of the summary
  grep -Eq "^$1 +$2 +[0-9]+ s  .*${3-}" <<<"$said" || fail "no line \"$1 $2 ... ${3-}\" in the last 10 KB"
}
exits() { [[ $status -eq $1 ]] || fail "gpu_check.sh ended with $status where $1 was right"; }

correctness=(conformance ordered kernels ops golden training resume)
by_name=("${correctness[@]}" ranks bench sanitizer ncu)  # every stage; ranks is not among all where its programs are not
if [[ $architecture == emulated ]]; then
  check /checkout/scripts/gpu_check.sh
  exits 0
  for stage in "${correctness[@]}"; do expect PASS "$stage"; done
  expect PASS bench "without PyTorch"
  expect LACKS sanitizer compute-sanitizer
  expect LACKS ncu ncu
  for file in log.txt summary.txt conformance.tsv results.json matmul.json; do
    [[ -s $root/out/$file ]] || fail "it has left no $file"
  done

  tar -xf "$archive" -C "$root"
  rm "$root"/usr/bin/python3*
  check /headwater-gpu-emulated/scripts/gpu_check.sh conformance golden training resume ranks bench
  exits 0
  expect PASS conformance
  for stage in golden training resume bench; do expect LACKS "$stage" python3; done
  expect LACKS ranks "programs with NCCL"
else
  check /checkout/scripts/gpu_check.sh "${by_name[@]}"
  exits 77
  for stage in "${correctness[@]}" bench; do expect LACKS "$stage" libcudart; done
  expect LACKS ranks "programs with NCCL"
  expect LACKS sanitizer compute-sanitizer
  expect LACKS ncu ncu

  toolkit=$(dirname "$(sed -n 's/^CUDA_cudart_LIBRARY:FILEPATH=//p' "build/cuda-$architecture/CMakeCache.txt")")
  python_packages=$root/opt/torch/.venv/lib/python3.12/site-packages/nvidia/cu13/lib
  mkdir -p "$python_packages" "$root/usr/local/nvidia/lib64"
  cp "$toolkit"/libcu{blas,blasLt,dart}.so.* "$python_packages/"
  check /checkout/scripts/gpu_check.sh
  exits 77
  for stage in "${correctness[@]}" bench; do expect LACKS "$stage" libcuda.so.1; done

  cp "$toolkit/stubs/libcuda.so" "$root/usr/local/nvidia/lib64/libcuda.so.1"
  check /checkout/scripts/gpu_check.sh
  exits 77
  for stage in "${correctness[@]}" bench; do expect LACKS "$stage" "a GPU that CUDA can use"; done
fi
echo "gpu_rehearsal.sh: all as it should be ($SECONDS s)"
