#!/usr/bin/env bash
# Installs what is missing, builds what the tests need, and runs them. The last line is `N passed, M failed`, with
# `, K skipped` where some were.
#
# usage: scripts/test.sh [quick|full]     quick: a minute or two; full (default): everything that needs no GPU
set -euo pipefail
cd "$(dirname "$0")/.."

which=${1-full}
case "$which" in
  quick)
    selection=(--label-regex '^quick')
    targets=(--target headwater quick_tests)
    ;;
  full)
    selection=(--label-exclude '^gpu$')
    targets=()
    ;;
  *) echo "usage: scripts/test.sh [quick|full]" >&2; exit 2 ;;
esac

scripts/setup.sh
scripts/build.sh release "${targets[@]}"

export OMP_WAIT_POLICY=passive  # tests run more threads than there are cores: none may spin at a barrier
report=$PWD/build/release/tests.xml
rm -f "$report"
status=0
ctest --test-dir build/release "${selection[@]}" --parallel 3 --no-tests=error --output-on-failure \
  --output-junit "$report" || status=$?

python3 - "$report" "$status" <<'PYTHON'
import sys
import xml.etree.ElementTree as ElementTree

report, status = sys.argv[1], int(sys.argv[2])
passed = skipped = failed = 0
for case in ElementTree.parse(report).getroot().iter("testcase"):
    reason = case.find("skipped")
    if case.get("status") == "run":
        passed += 1
    elif case.get("status") == "disabled" or (reason is not None and reason.get("message", "").startswith("SKIP_")):
        skipped += 1  # by its own decision; a program that is missing was not built, and has failed
    else:
        failed += 1
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed or status or not passed else 0)
PYTHON
