#!/bin/bash
# kafka.sh: the figures of `coldstream run` on a broker of its own on this machine, a JSON line per measurement; bench/RESULTS.md has them.
# Build first (make); some five minutes, on a machine that does nothing else.
#
#   throughput   a backlog through `run`, beside `replay` of the same events and a bare transaction loop, TURNS (3) times
#   latency      from listing to readable semantic ID at RATE records a second, beside a bare transaction loop under the same load, TURNS times
set -euo pipefail
cd "$(dirname "$0")/.."
rate=${RATE:-20000}
turns=${TURNS:-3}
folder=build/bench-kafka
python=build/python/bin/python
feed=build/release/bench/kafka_feed
stage=

clean_up() {
    trap - EXIT INT TERM
    if [ -n "$stage" ]; then kill "$stage" 2> /dev/null || true; fi
    scripts/kafka-broker.sh stop "$folder/broker"
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

rm -rf "$folder"
mkdir -p "$folder"
build/coldstream generate --to "$folder/market" --items 6000 --users 20000 --events 1500000 --dims 64 > /dev/null
catalogue=3600
address=$(scripts/kafka-broker.sh start "$folder/broker")

start_stage() {
    build/coldstream run -c conf/run.yaml --set "kafka.brokers=$address" --set "kafka.prefix=$1" --set "kafka.application=$1" \
        --set content.dims=64 2> "$folder/stage.log" &
    stage=$!
    until grep -q run.ready "$folder/stage.log"; do
        kill -0 "$stage" || { tail -n 3 "$folder/stage.log"; exit 70; }
        sleep 0.1
    done
}
stop_stage() {
    kill "$stage"
    wait "$stage"
    stage=
}
fed_at_rate() { "$feed" -b "$address" -p "$1" -f "$folder/market" --skip "$catalogue" --limit $((rate * 30)) --rate "$rate" --watch --quiet 5; }
busy() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat; }

echo "== throughput: $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
"$python" bench/kafka_throughput.py --broker "$address" --recording "$folder/market" --folder "$folder" --runs "$turns"

for turn in $(seq "$turns"); do
    prefix=latency$turn.
    echo "== latency at $rate records a second, turn $turn, load $(cut -d' ' -f1 /proc/loadavg)"
    start_stage "$prefix"
    "$feed" -b "$address" -p "$prefix" -f "$folder/market" --limit "$catalogue" --watch > /dev/null # the catalogue, and the first codebooks
    read -r busy_before all_before <<< "$(busy)"
    fed_at_rate "$prefix" | sed 's/^{/{"what": "run", /'
    read -r busy_after all_after <<< "$(busy)"
    echo "{\"what\": \"machine\", \"busy_share\": $(awk "BEGIN { printf \"%.2f\", ($busy_after - $busy_before) / ($all_after - $all_before) }")}"
    stop_stage
    # other topics: the watcher takes the first record of a listing's key
    start_stage "bare$prefix"
    stop_stage
    build/release/bench/kafka_passthrough live "$address" "bare$prefix" &
    stage=$!
    fed_at_rate "bare$prefix" | sed 's/^{/{"what": "bare loop", /'
    stop_stage
done
