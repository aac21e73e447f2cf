"""kafka_takeover: how long nobody leads when the leader is killed (-9), and when it is asked to end (SIGTERM), under load.

    build/python/bin/python bench/kafka_takeover.py --broker HOST:PORT --recording DIR [--times N] [--set KEY=VALUE]...

Per kind one JSON line with median and maximum, in seconds from the signal: until the standby says that it leads with the state restored
(`ready`), and until a read_committed consumer has its first epoch (`committed`)."""
import argparse, json, os, signal, statistics, subprocess, sys, time
from confluent_kafka import Consumer, TopicPartition
from kafka_throughput import BENCH, ROOT, Stage


def said(stage, word):
    stage.log.seek(0)
    return word in stage.log.read()


def wait(met, what, patience_s=120):
    deadline = time.monotonic() + patience_s
    while not met():
        if time.monotonic() > deadline:
            sys.exit(f'{what}: not within {patience_s} s')
        time.sleep(0.005)
    return time.monotonic()


def first_epoch(broker, topic):
    """When the first epoch that is committed from now on has come."""
    consumer = Consumer({'bootstrap.servers': broker, 'group.id': 'bench', 'isolation.level': 'read_committed'})
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    consumer.assign([TopicPartition(topic, 0, high)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            consumer.close()
            return time.monotonic()
    sys.exit('no epoch after the takeover')


def summary(values):
    return {'median_s': round(statistics.median(values), 2), 'max_s': round(max(values), 2)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--broker', required=True)
    parser.add_argument('--recording', required=True)
    parser.add_argument('--dims', default=64, type=int)
    parser.add_argument('--times', default=10, type=int)
    parser.add_argument('--rate', default=1000, type=int)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--folder', default=os.path.join(ROOT, 'build'))
    arguments = parser.parse_args()
    prefix = f'takeover{os.getpid()}.'
    leader = Stage(arguments, prefix)
    leader.wait_ready()
    feeder = subprocess.Popen([os.path.join(BENCH, 'kafka_feed'), '-b', arguments.broker, '-p', prefix, '-f', arguments.recording, '-r',
                               str(arguments.rate)], stdout=subprocess.DEVNULL)
    try:
        for number, name in ((signal.SIGKILL, 'kill -9'), (signal.SIGTERM, 'SIGTERM')):
            ready, committed = [], []
            for turn in range(arguments.times):
                standby = Stage(arguments, prefix, f'{number}.{turn}.log')
                wait(lambda: said(standby, b'run.standby'), 'a standby')
                time.sleep(2)  # it catches up
                if feeder.poll() is not None:
                    sys.exit('the recording is too short for so many takeovers')
                begun = time.monotonic()
                leader.process.send_signal(number)
                ready.append(wait(lambda: said(standby, b'run.ready'), 'a new leader') - begun)
                committed.append(first_epoch(arguments.broker, prefix + 'epochs') - begun)
                leader.process.wait(60)
                leader = standby
            print(json.dumps({'what': name, 'times': arguments.times, 'ready': summary(ready), 'committed': summary(committed),
                              'settings': arguments.set}), flush=True)
    finally:
        feeder.terminate()
        leader.stop()


if __name__ == '__main__':
    main()
