#!/bin/sh
# install-packages.sh [PACKAGE...]: installs what is missing of the packages that coldstream is built with (Debian 12),
# and of those named. Does nothing where all are there; without root or sudo it prints the line to run and exits 69.
set -eu

packages="gcc libc6-dev cmake ninja-build pkg-config
    libavro-dev libyaml-dev libjansson-dev libxxhash-dev libopenblas-serial-dev liblapacke-dev zlib1g-dev librdkafka-dev libcurl4-openssl-dev libmicrohttpd-dev librandom123-dev libjs-chart.js
    check libsubunit-dev mandoc python3 python3-venv $*"

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        root=sudo
    else
        echo "These packages are missing; run this once, then the same command again:" >&2
        echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
        exit 69
    fi
fi
if ! command -v apt-get > /dev/null; then
    echo "These packages of Debian 12 are missing, and there is no apt-get to install them:$missing" >&2
    exit 69
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    if ! $root env DEBIAN_FRONTEND=noninteractive "$@" >> "$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "apt-get failed: $*" >&2
        exit 69
    fi
}
count=$(echo $missing | wc -w)
echo "installing $count packages:$missing"
run apt-get update -q
# in a few steps, so that there is something to see
at=0
set -- $missing
while [ $# -gt 0 ]; do
    step=
    for _ in 1 2 3; do
        [ $# -eq 0 ] || { step="$step $1"; shift; at=$((at + 1)); }
    done
    echo "  [$at/$count]$step"
    run apt-get install -y -q --no-install-recommends $step
done
