"""run, from outside, on the real broker: produced with confluent-kafka, judged by a read_committed consumer of confluent-kafka and
the tests' own Avro reader. The stage is killed at random moments (seeded) and started again."""
import os, signal, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'program'))
from program import *
try:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient
except ImportError:
    print('skipped: confluent-kafka is not installed for this Python (scripts/python-env.sh)')
    sys.exit(77)

KILLS = 4
DIMS = 32
PATIENCE_RUN_S = 120


def broker():
    with open(os.path.join(os.environ['COLDSTREAM_BUILD'], 'kafka-broker', 'broker.address')) as file:
        return file.read().strip()


def produce(topic, records):
    producer = Producer({'bootstrap.servers': broker(), 'linger.ms': 20, 'acks': 'all', 'queue.buffering.max.messages': 1000000})
    for record in records:
        producer.produce(topic, value=record.value, key=record.key, timestamp=record.timestamp, partition=0)
    if producer.flush(60) != 0:
        raise AssertionError(f'{topic}: the broker did not take all records')


def committed(topic):
    """Every record of a topic that a read_committed reader sees."""
    consumer = Consumer({'bootstrap.servers': broker(), 'group.id': 'judge', 'isolation.level': 'read_committed',
                         'enable.partition.eof': True, 'auto.offset.reset': 'earliest'})
    consumer.assign([TopicPartition(topic, 0, 0)])
    records = []
    while True:
        message = consumer.poll(10)
        if message is None or message.error():
            break
        records.append(message)
    consumer.close()
    return records


class Run(Case):
    def setUp(self):
        super().setUp()
        self.prefix = f'run{os.getpid()}.'
        self.process = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start_stage(self):
        with open(self.path('stderr'), 'ab') as log:
            self.process = subprocess.Popen(
                [executable(), 'run', '-c', os.path.join(SOURCE, 'conf', 'run.yaml'),
                 *settings(SMALL + [f'kafka.brokers={broker()}', f'kafka.prefix={self.prefix}', f'kafka.application={self.prefix}',
                                    f'content.dims={DIMS}', 'kafka.session_timeout_ms=2000', 'kafka.linger_ms=100',
                                    'kafka.transaction_timeout_ms=5000'])],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)

    def kill_stage(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def manifests(self):
        return [decode('epochs-value', message.value()) for message in committed(self.prefix + 'epochs')]

    def wait_for(self, events):
        deadline = time.monotonic() + PATIENCE_RUN_S
        while time.monotonic() < deadline:
            manifests = self.manifests()
            if sum(manifest['counts']['events'] for manifest in manifests) >= events:
                return manifests
            if self.process.poll() is not None:
                break
            time.sleep(0.3)
        with open(self.path('stderr'), errors='replace') as file:
            self.fail(f'{sum(m["counts"]["events"] for m in manifests)} of {events} events\n{file.read()[-3000:]}')

    def wait_for_topics(self):
        deadline = time.monotonic() + PATIENCE_RUN_S
        admin = AdminClient({'bootstrap.servers': broker()})
        while self.prefix + 'interactions' not in admin.list_topics(timeout=10).topics:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)

    def test_exactly_once_through_kills(self):
        market = self.generate('market', '--dims', DIMS, items=300, users=100, events=20000)
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        bad = clicks[0]._replace(value=b'\x07no')
        self.start_stage()
        self.wait_for_topics()
        produce(self.prefix + 'item-content', listings)
        parts = [clicks[at::KILLS + 1] for at in range(KILLS + 1)]
        for part in parts[:-1]:
            produce(self.prefix + 'interactions', part)
            time.sleep(self.random.uniform(0.5, 4))
            self.kill_stage()
            self.start_stage()
        produce(self.prefix + 'interactions', parts[-1] + [bad])
        manifests = self.wait_for(len(listings) + len(clicks) + 1)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE_RUN_S), OK)

        self.assertEqual([m['epoch'] for m in manifests], list(range(1, len(manifests) + 1)))
        counts = {name: sum(m['counts'][name] for m in manifests) for name in manifests[0]['counts']}
        self.assertEqual(counts['events'], counts['applied'] + counts['parked'] + counts['dead_letters'])
        self.assertEqual(counts['events'], len(listings) + len(clicks) + 1)
        for topic, wanted in (('item-content', len(listings)), ('interactions', len(clicks) + 1)):
            ranges = [r for m in manifests for r in m['inputs'] if r['topic'] == topic]
            offsets = sorted(o for r in ranges for o in range(r['first_offset'], r['last_offset'] + 1))
            self.assertEqual(offsets, list(range(wanted)), topic)
        dead = committed(self.prefix + 'dead-letter')
        self.assertIn(bad.value, [message.value() for message in dead])
        sids = {message.key() for message in committed(self.prefix + 'semantic-ids') if message.value() is not None}
        self.assertEqual(sids, {record.key for record in listings})

        # what it leaves can be taken up: the digests of the last manifest hold after a restart
        self.start_stage()
        produce(self.prefix + 'interactions', clicks[:100])
        self.wait_for(len(listings) + len(clicks) + 101)


if __name__ == '__main__':
    main()
