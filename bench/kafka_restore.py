"""kafka_restore: how long `coldstream run` takes from its start until it leads, with its state in the log, and with a local snapshot.

    build/python/bin/python bench/kafka_restore.py --broker HOST:PORT --recording DIR [--runs N] [--set KEY=VALUE]...

A real run of the recording makes the state. One JSON line per restart: `restore_s` is from the program's own first line about the log
(or the snapshot) to run.ready, `start_s` from the start of the process: joining the group is in it."""
import argparse, datetime, json, os, re, shutil, sys, time
from kafka_throughput import ROOT, Stage, feed, peak_bytes

KEYS = 'rows|epoch|snapshot_epoch|ms'


def when(line):
    return datetime.datetime.fromisoformat(re.search(r'ts=(\S+)', line)[1].replace('Z', '+00:00')).timestamp()


def lines_of(stage, event):
    stage.log.seek(0)
    return [line for line in stage.log.read().decode().splitlines() if f'event={event} ' in line]


def numbers(line):
    return {key: int(value) for key, value in re.findall(rf' ({KEYS})=(\d+)', line)}


def restart(arguments, prefix, what):
    begun = time.time()
    stage = Stage(arguments, prefix)
    stage.wait_ready()
    ready = when(lines_of(stage, 'run.ready')[-1])
    leads = when(lines_of(stage, 'kafka.leads')[-1])
    done = numbers(lines_of(stage, 'restore.done')[-1])
    read = [numbers(line) for line in lines_of(stage, 'snapshot.read')]
    result = {'what': what, 'start_s': round(ready - begun, 2), 'lead_to_ready_s': round(ready - leads, 2), 'rows_of_log': done['rows'],
              'snapshot_read_ms': read[0]['ms'] if read else None, 'epoch': done['epoch'],
              'peak_rss_mb': peak_bytes(stage.process.pid) >> 20}
    if (code := stage.stop()) != 0:
        sys.exit(f'run ended with exit code {code}')
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--broker', required=True)
    parser.add_argument('--recording', required=True)
    parser.add_argument('--dims', default=64, type=int)
    parser.add_argument('--runs', default=5, type=int)
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--folder', default=os.path.join(ROOT, 'build'))
    arguments = parser.parse_args()
    prefix, snapshots = f'restore{os.getpid()}.', os.path.join(arguments.folder, f'restore{os.getpid()}.snapshots')
    arguments.set += [f'snapshot.folder={snapshots}']
    stage = Stage(arguments, prefix)
    stage.wait_ready()
    fed = feed(arguments, prefix)
    manifests = stage.follow(fed['records'])
    if (code := stage.stop()) != 0:
        sys.exit(f'run ended with exit code {code}')
    held_up = [int(re.search(r'held_up_ms=(\d+)', line)[1]) for line in lines_of(stage, 'snapshot.begun')]
    live = sum(table['rows'] for table in manifests[-1][1]['tables'])
    print(json.dumps({'what': 'state', 'events': fed['records'], 'epochs': len(manifests), 'live_rows': live,
                      'records_of_rows': sum(m['counts']['rows'] for _, m, _ in manifests),
                      'snapshot_bytes': os.path.getsize(os.path.join(snapshots, 'state.snapshot')), 'snapshots': len(held_up),
                      'epochs_held_up_ms_max': max(held_up)}), flush=True)
    for _ in range(arguments.runs):  # no epoch comes to it, so it stays
        print(json.dumps(restart(arguments, prefix, 'from the snapshot')), flush=True)
    shutil.rmtree(snapshots)
    for _ in range(arguments.runs):  # ... and none is written
        print(json.dumps(restart(arguments, prefix, 'from the log')), flush=True)
    shutil.rmtree(snapshots)


if __name__ == '__main__':
    main()
