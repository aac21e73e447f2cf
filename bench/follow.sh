#!/bin/bash
# follow.sh: the follower's figures, a JSON line per measurement; bench/RESULTS.md has them. Build first (make); some three minutes.
#
#   apply, look-ups   of recordings with 4,000 and 100,000 items
#   staleness         SECONDS (60) of a stage on a broker of its own at RATE (5000) records a second, beside a bare read_committed consumer
set -euo pipefail
cd "$(dirname "$0")/.."
rate=${RATE:-5000}
seconds=${SECONDS_LIVE:-60}
folder=build/bench-follow
programs=build/release/bench
stage=
feeder=

clean_up() {
    trap - EXIT INT TERM
    for process in $feeder $stage; do kill "$process" 2> /dev/null || true; done
    scripts/kafka-broker.sh stop "$folder/broker"
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
rm -rf "$folder"
mkdir -p "$folder"

measure() {
    build/coldstream generate --to "$folder/market" --items "$1" --users 20000 --events "$2" > /dev/null
    build/coldstream replay -c conf/replay.yaml --from "$folder/market" --to "$folder/out" 2> /dev/null > /dev/null
    echo "== $1 items, load $(cut -d' ' -f1 /proc/loadavg)"
    for _ in 1 2 3; do "$programs/follow_apply" "$folder/out"; done
    "$programs/follow_lookup" "$folder/out"
    rm -rf "$folder/out"
}
if [ "${1:-}" != live ]; then
    measure 4000 1000000
    rm -rf "$folder/market"
    measure 100000 1000000
    rm -rf "$folder/market"
fi

build/coldstream generate --to "$folder/market" --items 6000 --users 20000 --events 1000000 --dims 64 > /dev/null
address=$(scripts/kafka-broker.sh start "$folder/broker")
build/coldstream run -c conf/run.yaml --set "kafka.brokers=$address" --set "kafka.prefix=live." --set kafka.application=live. \
    --set content.dims=64 2> "$folder/stage.log" &
stage=$!
until grep -q run.ready "$folder/stage.log"; do
    kill -0 "$stage" || { tail -n 3 "$folder/stage.log"; exit 70; }
    sleep 0.1
done
"$programs/kafka_feed" -b "$address" -p live. -f "$folder/market" --limit 3600 --watch > /dev/null
"$programs/kafka_feed" -b "$address" -p live. -f "$folder/market" --skip 3600 --limit $((rate * (seconds + 30))) --rate "$rate" --quiet 5 > /dev/null &
feeder=$!
echo "== staleness at $rate records a second, load $(cut -d' ' -f1 /proc/loadavg)"
"$programs/follow_staleness" "$address" live. "$seconds"
