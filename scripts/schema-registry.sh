#!/bin/bash
# schema-registry.sh: a real Schema Registry for tests (Apicurio 2.6.13, in memory) on a free port.
#
#   scripts/schema-registry.sh start DIR   fetches it if it is missing (142 MB, once), starts it, prints the URL of its Confluent API;
#                                          leaves DIR/registry.pid and DIR/registry.url
#   scripts/schema-registry.sh stop DIR    stops it
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
home=$root/build/apicurio
command=${1:?start or stop}
dir=$(mkdir -p "${2:?the folder}" && cd "$2" && pwd)
jar=apicurio-registry-app-2.6.13.Final-runner.jar

fetch() {
    [ -f "$home/.complete" ] && return
    echo "fetching Apicurio Registry 2.6.13 (142 MB, once)" >&2
    mkdir -p "$home"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -DoutputDirectory="$home" \
        -Dartifact=io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all >&2
    tar -xzf "$home/apicurio-registry-app-2.6.13.Final-all.tar.gz" -C "$home"
    rm "$home/apicurio-registry-app-2.6.13.Final-all.tar.gz"
    touch "$home/.complete"
}

end() {
    [ -f "$dir/registry.pid" ] || return 0
    kill "$(cat "$dir/registry.pid")" 2> /dev/null || true
    while kill -0 "$(cat "$dir/registry.pid")" 2> /dev/null; do sleep 0.1; done
    rm -f "$dir/registry.pid"
}

launch() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    (cd "$home" && QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT=$port \
        exec setsid nohup java -Xmx300m -jar "$jar" > "$dir/registry.log" 2>&1 < /dev/null) &
    echo $! > "$dir/registry.pid"
    echo "http://127.0.0.1:$port/apis/ccompat/v7" > "$dir/registry.url"
    for _ in $(seq 1 900); do
        if curl -sf -o /dev/null "http://127.0.0.1:$port/apis/ccompat/v7/subjects"; then
            cat "$dir/registry.url"
            return
        fi
        kill -0 "$(cat "$dir/registry.pid")" 2> /dev/null || break
        sleep 0.2
    done
    echo "the registry did not start; the end of $dir/registry.log:" >&2
    tail -5 "$dir/registry.log" >&2
    end
    exit 69
}

case $command in
start)
    fetch
    launch
    ;;
stop) end ;;
*) echo "unknown command $command: start or stop" >&2; exit 64 ;;
esac
