#!/bin/sh
# demo.sh: a synthetic marketplace goes through the stage. `make demo` builds the program first.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/demo
mkdir -p build/demo

say() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

say "1. A marketplace: listings arrive all through the month, users click by their tastes"
run build/coldstream generate --to build/demo/market
say "2. The stage reads it as it would read Kafka: each event is scored, then learned from; listings get semantic IDs at once"
run build/coldstream replay -c conf/replay.yaml --from build/demo/market --to build/demo/out
say "3. With nothing but item ids the same ranker knows nothing of new items"
run build/coldstream replay -c conf/replay.yaml --from build/demo/market --to build/demo/out-id --set model.variant=id \
    > build/demo/id.txt 2> build/demo/id.log || { cat build/demo/id.log; exit 70; }
sed -n '/^\$/p; /^AUC/,/^  all/p' build/demo/id.txt
say "4. The replay of step 2 again, compared row by row: same input, same bytes"
run build/coldstream replay -c conf/replay.yaml --from build/demo/market --to build/demo/out --verify
say "The output topics are in build/demo/out, one Avro file per partition; any Avro tool opens them"
ls -l build/demo/out | awk 'NR > 1 { printf "  %10d bytes  %s\n", $5, $9 }'
say "5. A page to look at and to send: both replays on the same charts, and the stories of some cold items"
run build/coldstream report build/demo/out build/demo/out-id -o build/demo/report.html
