#!/usr/bin/env bash
# Makes one archive with all that scripts/gpu_check.sh needs on a host that has a GPU and its driver, but perhaps another
# system, no compiler and no network: programs, the libraries that the host may lack, scripts, configs, golden cases, and the
# losses of a training on the CPU. No GPU is needed to make it.
#
# usage: scripts/gpu_bundle.sh [ARCHITECTURE] [--nccl]      90a unless said, which is Hopper: H100, H200
#        scripts/gpu_bundle.sh emulated                     from build/emulated, where a CPU takes the GPU's place
#   --nccl: a second set of programs, with NCCL and MPI, for several GPUs
# Leaves build/gpu-bundle/headwater-gpu-ARCHITECTURE.tar.xz. XZ_OPT says how to compress it (-9).
set -euo pipefail
cd "$(dirname "$0")/.."
most_bytes=25000000

architecture=90a nccl=
for word in "$@"; do
  case "$word" in
    --nccl) nccl=yes ;;
    emulated | [0-9][0-9] | [0-9][0-9]a | [0-9][0-9][0-9] | [0-9][0-9][0-9]a) architecture=$word ;;
    *) echo "usage: scripts/gpu_bundle.sh [ARCHITECTURE] [--nccl] | emulated" >&2; exit 2 ;;
  esac
done
[[ $architecture != emulated || -z $nccl ]] ||
  { echo "gpu_bundle.sh: the build emulated has NCCL in it; leave --nccl out" >&2; exit 2; }

folder=build/gpu-bundle
name=headwater-gpu-$architecture
archive=$folder/$name.tar.xz
mkdir -p "$folder"
work=$(mktemp -d "$folder/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root/bin" "$root/lib/compiler"

# ---- programs ----

build_for_gpus() { # FOLDER TARGET OPTION…: x86-64-v3 is every server of the last ten years, where this machine may have more
  local log=$work/cmake.log
  cmake --preset cuda -B "$1" "-DCMAKE_CUDA_ARCHITECTURES=$architecture-real" -DHEADWATER_ARCH=x86-64-v3 "${@:3}" >"$log" ||
    { tail -n 20 "$log"; return 1; }
  cmake --build "$1" --parallel "$(nproc)" --target "$2" -- --quiet
}

carry() { # TO PROGRAM [AS]: without what debuggers read; names of functions stay, for reports
  mkdir -p "$root/$1"
  strip --strip-debug -o "$root/$1/${3-${2##*/}}" "$2"
}

if [[ $architecture == emulated ]]; then
  build=build/emulated suffix=
  [[ -f $build/CMakeCache.txt ]] || cmake --preset emulated >"$work/cmake.log" || { tail -n 20 "$work/cmake.log"; exit 1; }
  cmake --build $build --parallel "$(nproc)" --target gpu_tests -- --quiet
else
  build=build/cuda-$architecture suffix=_gpu
  build_for_gpus "$build" gpu_tests -DHEADWATER_MPI=OFF -DHEADWATER_NCCL=OFF
fi
for program in headwater headwater_conformance test_backend; do carry bin "$build/$program"; done
for program in test_kernels test_conformance; do carry bin "$build/$program$suffix" $program; done
if [[ -n $nccl ]]; then
  build_for_gpus "$build-nccl" headwater -DHEADWATER_MPI=ON -DHEADWATER_NCCL=ON
  carry bin-nccl "$build-nccl/headwater"
fi

# ---- libraries ----

# What a program needs, and what that needs, is carried, except what must be the host's own:
# - glibc, which is the host's loader: whatever defines versions named GLIBC_;
# - CUDA's libraries, and for several GPUs NCCL's and MPI's, as CMake has found them: they belong to the host's driver, network
#   and mpirun, and CUDA's are large;
# - the compiler's own, what it links into a program of nothing: carried apart (lib/compiler), for a host that has none or
#   older ones, because the host's libraries may need the host's newer ones.
needed() { readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
soname() { readelf --dynamic "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p'; }
is_glibc() { readelf --version-info "$1" | sed -n '/^Version definition/,/^Version need/p' | grep -q ' Name: GLIBC_[0-9]'; }

declare -A compilers_own hosts_own path_of
echo 'int main() {}' | g++ -fopenmp -Wl,--no-as-needed -x c++ - -o "$work/nothing"
for library in $(needed "$work/nothing"); do compilers_own[$library]=yes; done
hosts='CUDA_[A-Za-z_]*'
[[ -z $nccl ]] || hosts+='\|NCCL\|MPI_mpi'
while read -r file; do
  hosts_own[$(soname "$file")]=yes
done < <(sed -n "s/^\($hosts\)_LIBRARY:FILEPATH=\(.*\.so\)\$/\2/p" "$build"*/CMakeCache.txt)

take() { # OF: carries what this program or library needs, and notes for the program in `from_the_host` what it does not
  local library file
  for library in $(needed "$1"); do
    if [[ -n ${hosts_own[$library]-} ]]; then
      from_the_host[$library]=yes
      continue
    fi
    file=${path_of[$library]-}
    [[ -n $file ]] || { echo "gpu_bundle.sh: $1 needs $library, which is not on this machine" >&2; return 1; }
    [[ -z ${seen[$library]-} ]] || continue
    seen[$library]=yes
    ! is_glibc "$file" || continue
    local to=$root/lib
    [[ -z ${compilers_own[$library]-} ]] || to=$root/lib/compiler
    [[ -e $to/$library ]] || strip --strip-unneeded -o "$to/$library" "$(realpath "$file")"
    take "$file"
  done
}

for program in "$root"/bin*/*; do
  while read -r library arrow file _; do
    [[ $arrow != "=>" || $file != /* ]] || path_of[$library]=$file
    [[ $library != /* ]] || path_of[${library##*/}]=$library
  done < <(ldd "$program")
  declare -A from_the_host=() seen=()
  take "$program"
  echo "program ${program#"$root/"} ${!from_the_host[*]}" >>"$work/programs"
done

# ---- what else is needed there ----

python3 - "$root" <<'PYTHON'
import shutil, subprocess, sys
from pathlib import Path

root = Path(sys.argv[1])
wanted = ["scripts/*gpu*", "scripts/cuda_libraries.sh", "scripts/kernel_budget.py", "scripts/torch_kernels.py", "configs",
          "kernels/*.tsv", "tests/cuda", "tests/golden", "tests/support/*.py", "tests/conformance/expected.tsv"]
for name in subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *wanted], check=True,
                           capture_output=True, text=True).stdout.split("\0"):
    if name and Path(name).is_file():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, root / name)
PYTHON
HEADWATER=$PWD/$build/headwater HEADWATER_SOURCE_DIR=$PWD \
  python3 tests/support/small_training.py "$root/tests/cuda/cpu_losses.json"
nvcc=$(sed -n 's/^CMAKE_CUDA_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
{
  echo "architecture $architecture"
  [[ -z $nvcc ]] || echo "cuda $("$nvcc" --version | sed -n 's/.* V\([0-9.]*\)$/\1/p')"
  echo "commit $(git describe --always --dirty --abbrev=12)"
  cat "$work/programs"
} >"$root/BUNDLE"

XZ_OPT=${XZ_OPT--9} tar --create --xz --sort=name --owner=0 --group=0 --numeric-owner -C "$work" -f "$work/archive" "$name"
bytes=$(stat -c %s "$work/archive")
((bytes < most_bytes)) ||
  { echo "gpu_bundle.sh: the archive is $bytes bytes; it must be below $most_bytes" >&2; exit 1; }
mv "$work/archive" "$archive"
echo "gpu_bundle.sh: $archive: $bytes bytes, with $(find "$root/lib" -type f | wc -l) libraries"
