#!/bin/sh
# bench.sh [NAME...]: runs the benchmarks of build/release/bench, or those named; each prints one JSON line per measurement.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(find build/release/bench -maxdepth 1 -type f -executable -exec basename {} \; | sort)
for name in "$@"; do
    echo "== $name"
    "build/release/bench/$name"
done
