#!/usr/bin/env bash
# Collects into build/gpu-bundle/ the packages of Debian 12 that a build for GPUs needs and that a host with build-essential and
# python3 may lack: less than 50 MB, for a GPU host without network, where `scripts/setup.sh gpu` installs them. git ignores the
# folder; it is copied along. The CUDA toolkit is not in it, nor MPI, which one GPU does not need.
set -euo pipefail
cd "$(dirname "$0")/.."
most_bytes=50000000

system=$(. /etc/os-release 2>/dev/null && echo "${ID-} ${VERSION_ID-}" || true)
[[ "$system" == "debian 12" ]] || { echo "gpu_bundle.sh: this is not Debian 12; its packages are collected on one" >&2; exit 2; }
[[ "$(apt-cache policy libdnnl-dev)" == *Candidate* ]] ||
  { echo "gpu_bundle.sh: apt knows no libdnnl-dev; run apt-get update first" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work" build/gpu-bundle.new' EXIT
: >"$work/status"
mkdir -p "$work/archives/partial"

# All that a host which has nothing at all would install, as names of files: NAME_VERSION_ARCHITECTURE.deb.
closure() {
  apt-get -qq --print-uris --no-install-recommends -o Dir::State::status="$work/status" \
    -o Dir::Cache::archives="$work/archives" -o Debug::NoLocking=1 install "$@" | awk '{print $2}' | LC_ALL=C sort
}

# shellcheck disable=SC2046  # names are words
closure $(scripts/setup.sh gpu names) >"$work/needed"
closure build-essential python3 apt init-system-helpers >"$work/there"
LC_ALL=C comm -23 "$work/needed" "$work/there" >"$work/missing"
[[ -s "$work/missing" ]] || { echo "gpu_bundle.sh: apt resolves none of $(scripts/setup.sh gpu names)" >&2; exit 3; }

rm -rf build/gpu-bundle.new
mkdir -p build/gpu-bundle.new
# shellcheck disable=SC2046
(cd build/gpu-bundle.new && apt-get -qq -o APT::Sandbox::User=root download \
  $(sed 's/_[^_]*\.deb$//; s/%3a/:/; s/_/=/' "$work/missing"))
bytes=$(cat build/gpu-bundle.new/*.deb | wc -c)
((bytes < most_bytes)) ||
  { echo "gpu_bundle.sh: the packages are $bytes bytes; they must be less than $most_bytes" >&2; exit 1; }
rm -rf build/gpu-bundle
mv build/gpu-bundle.new build/gpu-bundle
echo "build/gpu-bundle: $(wc -l <"$work/missing") packages, $bytes bytes"
