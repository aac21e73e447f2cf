"""kafka_throughput: how fast `coldstream run` takes a backlog, beside `replay` of the same events and a bare transaction loop.

    build/python/bin/python bench/kafka_throughput.py --broker HOST:PORT --recording DIR [--runs N] [--set KEY=VALUE]... [--only run]

One JSON line per measurement. `run` counts from the moment it says that it is ready to the commit of the last record, as a
read_committed consumer of the epochs topic sees it; start and restore are not in it. `replay` is its own figure, and the loop
(bench/kafka_passthrough) reads the same topic and writes as many bytes and records per transaction as the stage did."""
import argparse, io, json, os, re, signal, subprocess, sys, tempfile, time
import fastavro
from confluent_kafka import Consumer, TopicPartition

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MANIFEST = fastavro.parse_schema(json.load(open(os.path.join(ROOT, 'schemas', 'epochs-value.avsc'))))
PROGRAM = os.path.join(ROOT, 'build', 'coldstream')
BENCH = os.path.join(ROOT, 'build', 'release', 'bench')
PATIENCE_S = 600


def cpu_s(pid):
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def peak_bytes(pid):
    with open(f'/proc/{pid}/status') as file:
        return int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]) * 1024


def end_of(broker, topic):
    consumer = Consumer({'bootstrap.servers': broker, 'group.id': 'bench'})
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    consumer.close()
    return high


class Stage:
    """`coldstream run`, and what its manifests say."""
    def __init__(self, arguments, prefix, log='log'):
        self.broker, self.prefix = arguments.broker, prefix
        self.log = open(os.path.join(arguments.folder, prefix + log), 'w+b')
        words = [PROGRAM, 'run', '-c', os.path.join(ROOT, 'conf', 'run.yaml')]
        for pair in [f'kafka.brokers={self.broker}', f'kafka.prefix={prefix}', f'kafka.application={prefix}run',
                     f'content.dims={arguments.dims}', 'http.listen=127.0.0.1:0', *arguments.set]:
            words += ['--set', pair]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=self.log)

    def wait_ready(self):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            self.log.seek(0)
            if b'run.ready' in self.log.read():
                return time.monotonic()
            time.sleep(0.02)
        self.log.seek(0)
        sys.exit(f'run is not ready: {self.log.read()[-2000:].decode()}')

    def follow(self, events):
        """Manifests until so many events are committed, each with the time of its arrival."""
        consumer = Consumer({'bootstrap.servers': self.broker, 'group.id': 'bench', 'isolation.level': 'read_committed'})
        consumer.assign([TopicPartition(self.prefix + 'epochs', 0, 0)])
        manifests, seen, deadline = [], 0, time.monotonic() + PATIENCE_S
        while seen < events and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None or message.error():
                continue
            manifest = fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), MANIFEST)
            manifests.append((time.monotonic(), manifest, len(message.value())))
            seen += manifest['counts']['events']
        consumer.close()
        return manifests

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def run(arguments, prefix, events):
    stage = Stage(arguments, prefix)
    ready = stage.wait_ready()
    cpu = cpu_s(stage.process.pid)
    manifests = stage.follow(events)
    seconds = manifests[-1][0] - ready
    counts = [manifest['counts'] for _, manifest, _ in manifests]
    result = {'what': 'run', 'events': sum(c['events'] for c in counts), 'seconds': round(seconds, 2),
              'events_per_s': round(sum(c['events'] for c in counts) / seconds), 'epochs': len(manifests),
              'rows_per_epoch': round(sum(c['rows'] for c in counts) / len(manifests)),
              'rows': sum(c['rows'] for c in counts),
              'stage_cpu_s': round(cpu_s(stage.process.pid) - cpu, 2), 'peak_rss_mb': peak_bytes(stage.process.pid) >> 20}
    code = stage.stop()
    if code != 0:
        sys.exit(f'run ended with exit code {code}')
    return result


def replay(arguments):
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        words = [PROGRAM, 'replay', '-c', os.path.join(ROOT, 'conf', 'run.yaml'), '--from', arguments.recording, '--to',
                 os.path.join(folder, 'out'), '--json', '--set', f'content.dims={arguments.dims}']
        for pair in arguments.set:
            words += ['--set', pair]
        start = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            sys.exit(done.stderr[-2000:])
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        size = sum(os.path.getsize(os.path.join(folder, 'out', name)) for name in os.listdir(os.path.join(folder, 'out')))
        return {'what': 'replay', 'events': answer['events'], 'seconds': round(seconds, 2),
                'events_per_s': round(answer['events'] / seconds), 'epochs': answer['epochs'], 'output_bytes': size}


def passthrough(arguments, prefix, per_epoch, rows, row_bytes):
    words = [os.path.join(BENCH, 'kafka_passthrough'), 'backlog', arguments.broker, prefix, str(per_epoch), str(rows), str(row_bytes)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-2000:])
    return {'what': 'passthrough', **json.loads(done.stdout)}


def feed(arguments, prefix, *more):
    words = [os.path.join(BENCH, 'kafka_feed'), '-b', arguments.broker, '-p', prefix, '-f', arguments.recording, *more]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--broker', required=True)
    parser.add_argument('--recording', required=True)
    parser.add_argument('--dims', default=64, type=int)
    parser.add_argument('--runs', default=3, type=int)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--only', default='replay,run,passthrough')
    parser.add_argument('--folder', default=os.path.join(ROOT, 'build'))
    arguments = parser.parse_args()
    for turn in range(arguments.runs):
        results = {}
        prefix = f'bench{os.getpid()}.{turn}.'
        if 'replay' in arguments.only:
            results['replay'] = replay(arguments)
            print(json.dumps(results['replay']), flush=True)
        if 'run' in arguments.only or 'passthrough' in arguments.only:
            stage = Stage(arguments, prefix)  # makes the topics
            stage.wait_ready()
            stage.stop()
            fed = feed(arguments, prefix)
        if 'run' in arguments.only:
            results['run'] = run(arguments, prefix, fed['records'])
            print(json.dumps(results['run']), flush=True)
        if 'passthrough' in arguments.only:
            have = results.get('run', {'epochs': 200, 'events': fed['records'], 'rows': 2000000})
            row_bytes = results.get('replay', {}).get('output_bytes', 400000000) // have['rows']
            loop = passthrough(arguments, prefix, have['events'] // have['epochs'], have['rows'] // have['epochs'], row_bytes)
            print(json.dumps(loop), flush=True)
            results['passthrough'] = loop
        if len(results) == 3:
            rates = {name: result['events_per_s'] for name, result in results.items()}
            target = 0.6 * min(rates['replay'], rates['passthrough'])
            print(json.dumps({'what': 'ratio', 'run_to_replay': round(rates['run'] / rates['replay'], 3),
                              'run_to_passthrough': round(rates['run'] / rates['passthrough'], 3),
                              'target': round(target), 'met': rates['run'] >= target}), flush=True)


if __name__ == '__main__':
    main()
