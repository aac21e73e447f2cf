"""follow on live topics, while the stage that writes them is killed again and again: what it tells is what a read_committed reader sees, and every epoch had
its manifest's digests, or the follower would not have shown it."""
from kafka_case import *

KILLS = int(os.environ.get('COLDSTREAM_KILLS', '3'))
SETS = ['kafka.session_timeout_ms=1000', 'kafka.linger_ms=50', 'kafka.transaction_timeout_ms=10000', 'output.partitions=3']


class Follower:
    """`coldstream follow`, its lines in a file."""

    def __init__(self, prefix, path):
        self.out, self.log = path, path + '.stderr'
        with open(self.out, 'wb') as out, open(self.log, 'wb') as log:
            self.process = subprocess.Popen([executable(), *follow_words(prefix)], stdin=subprocess.DEVNULL, stdout=out, stderr=log)

    def said(self):
        with open(self.log) as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def lines(self):
        with open(self.out) as file:
            return [json.loads(line) for line in file.read().splitlines(True) if line.endswith('\n')]

    def kill(self):
        self.process.kill()
        self.process.wait()


class InPython:
    """The Python package beside it, in a thread of this process: driven by the library's own thread, it folds what changes() tells."""

    def __init__(self, prefix):
        sys.path.insert(1, os.path.join(SOURCE, 'python'))
        from coldstream import Follower
        self.follower = Follower.kafka(broker(), settings={'kafka.prefix': prefix}).start()
        self.table, self.epochs, self.problem, self.done = {}, [], None, threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            while not self.done.is_set():  # all items come again after a second without an epoch
                for changes in self.follower.changes(timeout=1):
                    table = {} if changes.whole else self.table
                    table.update((change.item, list(change.codes)) for change in changes.items if change.codes)
                    self.table = {item: codes for item, codes in table.items()
                                  if item not in {change.item for change in changes.items if change.codes is None}}
                    self.epochs.append(changes.epoch)
        except Exception as problem:
            self.problem = problem

    def close(self):
        self.done.set()
        self.thread.join()
        self.follower.close()


def follow_words(prefix, *more):
    return ['follow', *settings([f'kafka.brokers={broker()}', f'kafka.prefix={prefix}']), *more]


def fold(lines):
    table = {}
    for line in lines:
        if 'resync' in line:
            table = {}
        elif line['sid'] is None:
            del table[line['item']]
        else:
            table[line['item']] = line['sid']
    return table


class Follow(KafkaCase):
    def setUp(self):
        super().setUp()
        self.prefix = f'follow{os.getpid()}.'
        create_inputs(self.prefix)
        market = self.generate('market', '--dims', DIMS, items=120, users=50, events=1200 * (KILLS + 2))
        self.listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.parts = [clicks[at::KILLS + 2] for at in range(KILLS + 2)]
        self.total = 0

    def stage(self, name):
        stage = self.start_stage(self.prefix, name, sets=SETS)
        self.wait_until(lambda: 'run.ready' in stage.said(), 'ready', [stage])
        return stage

    def feed(self, topic, records, stage):
        produce(self.prefix + topic, records)
        self.total += len(records)
        self.wait_until(lambda: self.events() >= self.total, f'{self.total} events', [stage])

    def events(self):
        return sum(manifest['counts']['events'] for manifest in manifests_of(self.prefix))

    def published(self):
        table = {}
        for partition in range(3):
            for message in committed(self.prefix + 'semantic-ids', partition):
                value = message.value() and decode('semantic-ids-value', message.value())
                table[message.key().decode()] = value and value['codes']
        return {item: codes for item, codes in table.items() if codes}

    def test_it_tells_what_is_committed(self):
        absent = run(*follow_words(self.prefix, '--until', 'latest'))
        self.assertIn(absent.code, (BAD_CONFIG, UNAVAILABLE))
        self.says(absent, 'let the stage create it')
        stage = self.stage('first')
        self.feed('item-content', self.listings, stage)
        follower = Follower(self.prefix, self.path('lines'))
        self.addCleanup(follower.kill)
        readers = [follower]
        if 'COLDSTREAM_LIBRARY' in os.environ:  # not under the sanitizers: this Python does not have their runtime
            readers.append(InPython(self.prefix))
            self.addCleanup(readers[1].close)
        self.feed('interactions', self.parts[0], stage)
        for at in range(KILLS):
            before = len(manifests_of(self.prefix))
            produce(self.prefix + 'interactions', self.parts[at + 1])
            self.total += len(self.parts[at + 1])
            self.wait_until(lambda: len(manifests_of(self.prefix)) > before, 'an epoch of this part', [stage])
            stage.kill()  # in the middle of it
            stage = self.stage(f'after{at}')
        self.feed('item-content', [record._replace(value=None) for record in self.listings[5:50:9]], stage)
        self.feed('interactions', self.parts[-1], stage)
        self.assertEqual(stage.terminate(), OK)
        table = self.published()
        self.wait_until(lambda: fold(follower.lines()) == table, 'the lines to fold to the table', [follower])
        for package in readers[1:]:
            self.wait_until(lambda: package.problem or package.table == table, 'the changes to fold to the table')
            self.assertIsNone(package.problem)
            self.assertGreater(len(set(package.epochs)), KILLS)
        self.assertNotIn('resync', str(follower.lines()))
        follower.process.send_signal(signal.SIGTERM)
        self.assertEqual(follower.process.wait(PATIENCE_RUN_S), OK, follower.said())
        self.assertGreater(len({line['epoch'] for line in follower.lines()}), KILLS)
        self.look_up(table)

    def look_up(self, table):
        """From the beginning, once it is at rest."""
        last = manifests_of(self.prefix)[-1]
        item = sorted(table)[7]
        answer = json.loads(self.check(run(*follow_words(self.prefix, '--get', 'item', item, '--json', '--export', self.path('tables')))).out)
        self.assertEqual((answer['epoch'], answer['sid']), (last['epoch'], '{}-{}-{}.{}-{}'.format(*table[item])))
        with open(self.path('tables', 'items.csv')) as file:
            self.assertEqual(len(file.read().splitlines()) - 1, len(table))


if __name__ == '__main__':
    main()
