"""What being watched costs: the throughput of `run` on a backlog with http.listen off, with a scrape a second and a status page and a `top` on it, and with
clients that ask as fast as they can. Turns are interleaved, since the machine's own load changes. Prints JSON lines.

    kafka_watched.py --broker ADDRESS --recording FOLDER [--runs N]"""
import json, os, re, socket, statistics, sys, threading, time, urllib.error, urllib.request
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kafka_throughput
from kafka_throughput import Stage, feed

HOSTILE_CLIENTS = 2


class Watchers:
    """Ask each path every so many seconds until they are stopped; 0: without a pause."""

    def __init__(self, address, paths):
        self.stopped, self.answers = threading.Event(), 0
        self.threads = [threading.Thread(target=self.ask, args=(address + path, every_s), daemon=True) for path, every_s in paths]
        for thread in self.threads:
            thread.start()

    def ask(self, url, every_s):
        while not self.stopped.wait(every_s):
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answer.read()
            except (OSError, urllib.error.URLError):
                pass
            self.answers += 1

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


WAYS = {'off': None, 'watched': [('/metrics', 1), ('/status.json', 2), ('/status.json', 2)],
        'hostile': [('/status.json', 0)] * HOSTILE_CLIENTS + [('/item.json?id=item-00005', 0)]}


def turn(arguments, way, prefix):
    stage = Stage(arguments, prefix)  # makes the topics
    stage.wait_ready()
    stage.stop()
    fed = feed(arguments, prefix)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = '127.0.0.1:%d' % free.getsockname()[1]
    chosen = arguments.set
    arguments.set = [*chosen, f'http.listen={address if WAYS[way] else ""}']
    stage = Stage(arguments, prefix, 'watched')
    arguments.set = chosen
    ready = stage.wait_ready()
    watchers = None
    if WAYS[way]:
        watchers = Watchers('http://' + address, WAYS[way])
    cpu = kafka_throughput.cpu_s(stage.process.pid)
    manifests = stage.follow(fed['records'])
    seconds = manifests[-1][0] - ready
    result = {'what': way, 'events_per_s': round(fed['records'] / seconds), 'epochs': len(manifests),
              'stage_cpu_s': round(kafka_throughput.cpu_s(stage.process.pid) - cpu, 2), 'answers': watchers.answers if watchers else 0}
    if watchers:
        watchers.stop()
        with urllib.request.urlopen(f'http://{address}/metrics', timeout=10) as answer:
            watched_s = float(re.search(r'^coldstream_watch_seconds_total (\S+)$', answer.read().decode(), re.M).group(1))
        result['stage_thread_share'] = round(watched_s / seconds, 5)
    if stage.stop() != 0:
        sys.exit('run failed')
    return result


def main():
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument('--broker', required=True)
    parser.add_argument('--recording', required=True)
    parser.add_argument('--dims', default=64, type=int)
    parser.add_argument('--runs', default=5, type=int)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--folder', default=os.path.join(kafka_throughput.ROOT, 'build'))
    arguments = parser.parse_args()
    results = {way: [] for way in WAYS}
    for at in range(arguments.runs):
        for way in WAYS:
            results[way].append(turn(arguments, way, f'watched{os.getpid()}.{at}.{way}.'))
            print(json.dumps(results[way][-1]), flush=True)
    for way in list(WAYS)[1:]:
        ratios = {key: round(statistics.median(a[key] / b[key] for a, b in zip(results[way], results['off'])), 4) for key in ('events_per_s', 'stage_cpu_s')}
        print(json.dumps({'what': f'{way} to off, median of {arguments.runs} pairs', **ratios}), flush=True)


if __name__ == '__main__':
    main()
