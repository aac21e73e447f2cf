#!/bin/sh
# bench.sh: what can be measured on this machine alone, a JSON line per measurement. `make bench` builds the programs first.
# bench/replay_against_reference.py needs the reference's data beside this folder; its head says how to call it.
set -eu
cd "$(dirname "$0")/.."
python=build/python/bin/python
folder=build/bench
rm -rf "$folder"
mkdir -p "$folder"

echo "== replay: the whole command on a synthetic marketplace of 300,000 events"
build/coldstream generate --to "$folder/market" --events 300000 --json
for variant in id id+content id+sid full; do
    build/coldstream replay -c conf/replay.yaml --from "$folder/market" --to "$folder/out" --set model.variant=$variant --json \
        2> "$folder/replay.log" || { cat "$folder/replay.log"; exit 70; }
    rm -rf "$folder/out"
done

if [ -x build/release/bench/ranker_step ]; then
    echo "== ranker_step: one mini-batch of 512 events"
    (cd tests && ../build/release/bench/ranker_step)
fi

if [ -x "$python" ]; then
    echo "== rq_encode: residual quantisation against FAISS, in turns"
    "$python" bench/rq_encode.py build/release/bench/rq_encode
else
    echo "== rq_encode: skipped, FAISS is not there (scripts/python-env.sh)"
fi
