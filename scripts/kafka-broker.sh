#!/bin/bash
# kafka-broker.sh: a real Apache Kafka broker for tests and the demo: one KRaft node on a free port, everything below its folder.
#
#   scripts/kafka-broker.sh start DIR     fetches the broker if it is missing, starts it, prints its address; leaves DIR/broker.pid
#   scripts/kafka-broker.sh start DIR proxied
#                                         with a second listener for clients that come through a proxy: DIR/broker.proxy has the port
#                                         where they look for it, which the proxy must take, and the port that it forwards to
#   scripts/kafka-broker.sh restart DIR   starts it again on the same port with its log (after stop, or after a kill -9)
#   scripts/kafka-broker.sh stop DIR      stops it; `kill` instead of `stop` ends it with SIGKILL
#
# Nothing is deleted by age, for recorded topics have the timestamps of their time.
# DIR/broker.address has the address: no password, all rights. DIR/broker.sasl.address is for users with a password (SASL/PLAIN: stage and guest, each with
# its name and -secret) and with the rights that they are given. Java 17 and Maven come from Debian's packages (scripts/install-packages.sh kafka).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
jars=$root/build/kafka/lib
command=${1:?start, restart, stop or kill}
dir=$(mkdir -p "${2:?the folder}" && cd "$2" && pwd)
proxied=${3:-}

fetch() {
    [ -f "$jars/.complete" ] && return
    echo "fetching Apache Kafka 4.1.0 (54 MB, once)" >&2
    mkdir -p "$jars"
    cp "$root/scripts/kafka-broker.pom.xml" "$root/build/kafka/pom.xml"
    (cd "$root/build/kafka" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib) >&2
    touch "$jars/.complete"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Below those that the system gives to connections: it stays free until the proxy takes it.
quiet_port() {
    python3 - <<P
import random, socket
for port in random.sample(range(20000, 30000), 100):
    try:
        socket.socket().bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass
P
}

configure() {
    local port=$1 controller=$2 sasl=$3 behind front listener='' advertised=''
    rm -f "$dir/broker.proxy"
    if [ "$proxied" = proxied ]; then
        behind=$(free_port) front=$(quiet_port)
        listener=,PROXIED://127.0.0.1:$behind advertised=,PROXIED://127.0.0.1:$front
        echo "$front $behind" > "$dir/broker.proxy"
    fi
    cat > "$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$sasl,CONTROLLER://127.0.0.1:$controller$listener
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SASL_PLAINTEXT://127.0.0.1:$sasl$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_stage="stage-secret" user_guest="guest-secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=$dir/log
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.cleaner.backoff.ms=500
log.retention.ms=-1
P
    echo "127.0.0.1:$port" > "$dir/broker.address"
    echo "127.0.0.1:$sasl" > "$dir/broker.sasl.address"
}

# The broker opens its port when it is ready to serve.
answers() {
    local address
    address=$(cat "$dir/broker.address")
    (exec 3<> "/dev/tcp/${address%:*}/${address#*:}") 2> /dev/null
}

java_in() {
    java -Xmx700m -Xms128m -cp "$jars/*" "$@"
}

launch() {
    setsid nohup java -Xmx700m -Xms128m -cp "$jars/*" kafka.Kafka "$dir/server.properties" > "$dir/broker.log" 2>&1 < /dev/null &
    echo $! > "$dir/broker.pid"
    for _ in $(seq 1 900); do # three minutes: a busy machine takes its time
        if answers; then
            cat "$dir/broker.address"
            return
        fi
        kill -0 "$(cat "$dir/broker.pid")" 2> /dev/null || break
        sleep 0.2
    done
    echo "the broker did not start; the end of $dir/broker.log:" >&2
    tail -5 "$dir/broker.log" >&2
    exit 69
}

end() {
    [ -f "$dir/broker.pid" ] || return 0
    kill "-$1" "$(cat "$dir/broker.pid")" 2> /dev/null || true
    while kill -0 "$(cat "$dir/broker.pid")" 2> /dev/null; do sleep 0.1; done
    rm -f "$dir/broker.pid"
}

case $command in
start)
    fetch
    configure "$(free_port)" "$(free_port)" "$(free_port)"
    rm -rf "$dir/log"
    java_in kafka.tools.StorageTool format -t "$(java_in kafka.tools.StorageTool random-uuid 2> /dev/null)" -c "$dir/server.properties" > "$dir/format.log" 2>&1
    launch
    ;;
restart) launch ;;
stop) end TERM ;;
kill) end KILL ;;
*) echo "unknown command $command: start, restart, stop or kill" >&2; exit 64 ;;
esac
