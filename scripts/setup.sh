#!/usr/bin/env bash
# Installs every package that building, running and testing Headwater need, on Debian 12, as root or with sudo.
# Elsewhere it prints what is missing and exits with 2. Says nothing where all is there.
#
# usage: scripts/setup.sh [ci|rehearsal]
#   ci: with the second compiler, the formatter, a cache of what it compiles, and tc for the tests of several hosts
#   rehearsal: only what scripts/gpu_rehearsal.sh makes another system of
set -euo pipefail

# package  what it is found by: a command of that name, a header, or what clang can link
needed='
g++                    command g++
cmake                  command cmake
ninja-build            command ninja
pkg-config             command pkg-config
python3                command python3
openmpi-bin            command mpirun
libopenmpi-dev         command mpicc
libdnnl-dev            header  dnnl.hpp
nlohmann-json3-dev     header  nlohmann/json.hpp
libspdlog-dev          header  spdlog/spdlog.h
libfmt-dev             header  fmt/format.h
libcli11-dev           header  CLI/CLI.hpp
libsentencepiece-dev   header  sentencepiece_processor.h
libxxhash-dev          header  xxhash.h
libgtest-dev           header  gtest/gtest.h
'

case "${1-}" in
  '') ;;
  ci) needed+='clang-16 command clang++-16
libclang-rt-16-dev clang asan
libomp-16-dev clang openmp
clang-format command clang-format
ccache command ccache
iproute2 command tc
' ;;
  rehearsal) needed='debootstrap command debootstrap
xz-utils command xz
' ;;
  *) echo "usage: scripts/setup.sh [ci|rehearsal]" >&2; exit 2 ;;
esac

has_command() { command -v "$1" >/dev/null; }
has_header() { echo "#include <$1>" | g++ -std=c++20 -M -x c++ - >/dev/null 2>&1; }

has_clang() {
  case $1 in
    asan) echo 'int main() {}' | clang++-16 -x c++ - -fsanitize=address -o /dev/null ;;
    openmp) echo 'int main() {}' | clang++-16 -x c++ - -fopenmp -o /dev/null ;;
  esac >/dev/null 2>&1
}

missing=()
while read -r package kind name; do
  [[ -z "$package" ]] || "has_$kind" "$name" || missing+=("$package")
done <<<"$needed"
[[ ${#missing[@]} -gt 0 ]] || exit 0

refuse() {
  echo "scripts/setup.sh: $1. Missing (names of Debian 12's packages): ${missing[*]}" >&2
  exit 2
}

system=$(. /etc/os-release 2>/dev/null && echo "${ID-} ${VERSION_ID-}" || true)
[[ "$system" == "debian 12" ]] || refuse "this is not Debian 12; install what is missing by hand"
as_root=()
if [[ $EUID -ne 0 ]]; then
  has_command sudo || refuse "neither root nor sudo"
  as_root=(sudo)
fi

echo "installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
"${apt[@]}" update
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null
