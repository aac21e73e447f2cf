#!/bin/bash
# demo-kafka.sh [RATE [EVENTS]]: the stage on a real Kafka broker: a synthetic marketplace is put into the input topics at RATE records a
# second, and the semantic IDs of new listings are shown as they appear, with their delay. `make demo-kafka` builds the programs first.
# Everything is below build/demo-kafka, which is gone afterwards, like the broker and its port; also after Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
rate=${1:-2000}
events=${2:-40000}
program=${COLDSTREAM:-build/coldstream}
catalogue=900 # 60 % of --items: what `generate` lists at the start
feed=${COLDSTREAM_FEED:-build/release/bench/kafka_feed}
folder=${COLDSTREAM_DEMO:-build/demo-kafka}
stage=
feeder=

say() { printf '\n== %s\n' "$*"; }

clean_up() {
    local code=$?
    trap - EXIT
    trap '' INT TERM # once is enough
    if [ -n "$feeder" ]; then kill "$feeder" 2> /dev/null || true; fi
    if [ -n "$stage" ]; then
        kill "$stage" 2> /dev/null || true
        wait "$stage" 2> /dev/null || true
    fi
    if [ "$code" -ne 0 ] && [ "$code" -ne 130 ]; then
        tail -n 5 "$folder"/*.log 2> /dev/null || true
    fi
    scripts/kafka-broker.sh stop "$folder/broker" || true
    rm -rf "$folder"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# in the background and waited for, so that Ctrl-C is heard at once
run() {
    "$@" &
    feeder=$!
    wait "$feeder"
    feeder=
}

say "1. A real broker: Apache Kafka, one node, in $folder"
if ! command -v java > /dev/null || ! command -v mvn > /dev/null; then
    scripts/install-packages.sh maven openjdk-17-jre-headless
fi
rm -rf "$folder"
mkdir -p "$folder"
run scripts/kafka-broker.sh start "$folder/broker" > "$folder/broker.log"
address=$(cat "$folder/broker/broker.address")
echo "  listening on $address"

say "2. A marketplace: most items are there from the start, the others are listed while users click"
run "$program" generate --to "$folder/market" --items 1500 --users 1000 --events "$events" --dims 64

say "3. The stage: creates its topics, finds nothing to restore, waits for events"
settings=(--set "kafka.brokers=$address" --set "kafka.prefix=demo." --set content.dims=64 --set tokenizer.train_listings=512 --set http.listen=127.0.0.1:0)
printf '$ %s run -c conf/run.yaml %s\n' "$program" "${settings[*]}"
"$program" run -c conf/run.yaml "${settings[@]}" 2> "$folder/stage.log" &
stage=$!
until grep -q run.ready "$folder/stage.log"; do
    kill -0 "$stage" 2> /dev/null || exit 70
    sleep 0.1
done
page=$(sed -n 's/.*event=http.ready address=\([^ ]*\).*/\1/p' "$folder/stage.log")
echo "  ready; its status page, while the demo runs: http://$page/"

say "4. The catalogue, $catalogue listings, into demo.item-content"
run "$feed" --brokers "$address" --prefix demo. --from "$folder/market" --limit "$catalogue" --show > "$folder/catalogue.log"
sed -n '/records/,$p' "$folder/catalogue.log"

say "5. $rate records a second into demo.interactions and demo.item-content"
echo "   Some of the new listings, as a read_committed consumer of demo.semantic-ids sees them (Ctrl-C ends the demo)"
printf '\n  %-18s %8s   %s\n' "semantic ID" "delay" "listing"
run "$feed" --brokers "$address" --prefix demo. --from "$folder/market" --skip "$catalogue" --rate "$rate" --show

say "6. What the stage says of itself ($program top $page)"
"$program" top "$page" --once | sed -n 1,24p

say "7. SIGTERM: the stage commits what is open and ends; then the broker"
kill "$stage"
wait "$stage"
stage=
grep run.progress "$folder/stage.log" | tail -n 1 | sed 's/.*run.progress /  /' || true
