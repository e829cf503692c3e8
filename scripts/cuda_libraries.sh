#!/usr/bin/env bash
# Where this host has CUDA's own libraries: a line for each name, the name and its file, with nothing behind a name that was not
# found. The first of these places that has it counts:
# - LD_LIBRARY_PATH, then what the dynamic linker knows by itself;
# - toolkits: CUDA_HOME, /usr/local/cuda*, the newest first;
# - Python's packages (nvidia-cublas and its like): of an environment that is active, of python3 on the path, of environments in
#   the usual places, such as /opt/NAME/.venv; of conda;
# - where containers get the driver's libraries: /usr/local/nvidia, and the linker's own folders, whose cache may be older.
#
# usage: scripts/cuda_libraries.sh [--root FOLDER] NAME…      such as libcublasLt.so.13
#   --root: what stands for /, for the tests
set -euo pipefail
shopt -s nullglob

root=
if [[ ${1-} == --root ]]; then
  root=$2
  shift 2
fi
[[ $# -gt 0 ]] || { echo "usage: scripts/cuda_libraries.sh [--root FOLDER] NAME…" >&2; exit 2; }

IFS=: read -r -a by_path <<<"${LD_LIBRARY_PATH-}"

linker_knows() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | sed -n 's/^\t.*(.*x86-64.*) => //p' || true; }
cached=()
[[ -n $root ]] || mapfile -t cached < <(linker_knows)

folders=()
for toolkit in ${CUDA_HOME-} $(printf '%s\n' "$root"/usr/local/cuda* | sort --reverse --version-sort); do
  folders+=("$toolkit/lib64" "$toolkit/lib" "$toolkit/targets/x86_64-linux/lib")
done
environments=("${VIRTUAL_ENV-/nowhere}" "${CONDA_PREFIX-/nowhere}" "$root"/usr{/local,} "${HOME-/nowhere}"/{.local,.venv,venv}
  "$root"/opt/{*,*/.venv,*/venv})
mapfile -t packages < <(python3 -c 'import sys; print(*sys.path, sep="\n")' 2>/dev/null || true)
packages=("${packages[@]/#\//$root/}")
for environment in "${environments[@]}"; do
  packages+=("$environment"/lib/python3*/{site,dist}-packages)
done
for package in "${packages[@]}"; do
  folders+=("$package"/nvidia/*/lib)
done
folders+=("${CONDA_PREFIX-/nowhere}/lib" "$root"/opt/*conda*/lib "$root"/usr/local/nvidia/lib{64,}
  "$root"{/usr,}/lib/x86_64-linux-gnu "$root"{/usr,}/lib64)

find_library() { # NAME
  local folder file
  for folder in "${by_path[@]}"; do
    [[ ! -e $folder/$1 ]] || { echo "$folder/$1"; return; }
  done
  for file in "${cached[@]}"; do
    [[ ${file##*/} != "$1" || ! -e $file ]] || { echo "$file"; return; }
  done
  for folder in "${folders[@]}"; do
    [[ ! -e $folder/$1 ]] || { echo "$folder/$1"; return; }
  done
}

for name in "$@"; do
  printf '%s\t%s\n' "$name" "$(find_library "$name")"
done
