#!/bin/sh
# broker.sh start|stop FOLDER: a broker of the tests with the label "broker"; 77 where it cannot be had.
set -eu
scripts=$(cd "$(dirname "$0")/../../scripts" && pwd)
dir=$2
case $1 in
start)
    for program in java mvn; do
        if ! command -v "$program" > /dev/null; then
            echo "skipped: $program is missing; scripts/install-packages.sh maven openjdk-17-jre-headless installs what a broker needs"
            exit 77
        fi
    done
    "$scripts/kafka-broker.sh" stop "$dir"
    exec "$scripts/kafka-broker.sh" start "$dir" proxied
    ;;
stop) exec "$scripts/kafka-broker.sh" stop "$dir" ;;
esac
