#!/bin/bash
# soak.sh [MINUTES [EVENTS]]: `coldstream run` at full speed on a broker of its own, backlog after backlog, and its memory every ten seconds:
# a line "seconds events rss_kb" each, then the first and the last third compared. Build first (make).
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-30}
events=${2:-1000000} # of one backlog
folder=build/soak
feed=build/release/bench/kafka_feed
stage=

clean_up() {
    trap - EXIT INT TERM
    if [ -n "$stage" ]; then kill "$stage" 2> /dev/null || true; fi
    scripts/kafka-broker.sh stop "$folder/broker"
    rm -rf "$folder/broker" "$folder/market"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

rm -rf "$folder"
mkdir -p "$folder"
build/coldstream generate --to "$folder/market" --items 5000 --users 20000 --events "$events" --dims 64 --json > /dev/null
scripts/kafka-broker.sh start "$folder/broker" > /dev/null
# the disk is no part of this: what has long been read is deleted
printf 'log.retention.bytes=2000000000\nlog.segment.bytes=268435456\nlog.retention.check.interval.ms=10000\n' \
    >> "$folder/broker/server.properties"
scripts/kafka-broker.sh stop "$folder/broker"
address=$(scripts/kafka-broker.sh restart "$folder/broker")

# the same events again have the same event times and request ids: they are neither late nor repeats
build/coldstream run -c conf/run.yaml --set "kafka.brokers=$address" --set kafka.prefix=soak. --set content.dims=64 \
    --set labels.lateness_ms=31536000000 --set labels.remembered_events=65536 --set progress.interval_s=1 2> "$folder/stage.log" &
stage=$!
until grep -q run.ready "$folder/stage.log"; do sleep 0.2; done

taken() { grep -o 'run.progress .* events=[0-9]*' "$folder/stage.log" | tail -n 1 | sed 's/.*events=//' | grep . || echo 0; }
fed=0
start=$(date +%s)
next=0
while [ $(($(date +%s) - start)) -lt $((minutes * 60)) ]; do
    kill -0 "$stage" || { tail -n 3 "$folder/stage.log"; exit 70; }
    done=$(taken)
    if [ $((fed - done)) -lt $((events / 2)) ]; then
        "$feed" -b "$address" -p soak. -f "$folder/market" > "$folder/feed.log"
        fed=$((fed + $(sed 's/.*"records": \([0-9]*\).*/\1/' "$folder/feed.log")))
    fi
    now=$(($(date +%s) - start))
    if [ "$now" -ge "$next" ]; then
        echo "$now $done $(awk '/^VmRSS/ { print $2 }' "/proc/$stage/status")" | tee -a "$folder/memory.txt"
        next=$((next + 10))
    fi
    sleep 0.5
done
awk '{ seconds[NR] = $1; events = $2; rss[NR] = $3 }
END {
    third = int(NR / 3)
    for (i = 1; i <= third; i++) { first = rss[i] > first ? rss[i] : first; j = NR + 1 - i; last = rss[j] > last ? rss[j] : last }
    for (i = 1; i <= NR; i++) peak = rss[i] > peak ? rss[i] : peak
    printf "{\"seconds\": %d, \"events\": %d, \"events_per_s\": %.0f, \"rss_mb_peak\": %.1f, \"first_third_mb\": %.1f, \"last_third_mb\": %.1f}\n", seconds[NR], events, events / seconds[NR], peak / 1024, first / 1024, last / 1024
}' "$folder/memory.txt"
