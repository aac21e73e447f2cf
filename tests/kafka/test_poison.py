"""Every kind of bad input through Kafka: set aside as a replay does it, without a trace in what is learned. Oversized records, every
compression, garbage that was compressed, other programs' producers and readers."""
import collections, gzip, io, zlib
from kafka_case import *
from confluent_kafka.admin import NewTopic
from confluent_kafka import Producer
import test_bad_input
from test_bad_input import CUT_AT, brief
try:
    import fastavro
except ImportError:
    fastavro = None

INPUT_BYTES = 24 << 20
KEY_CUT_AT = 512 << 10  # of a dead letter's key
BATCH = 128  # samples of a click epoch, of SMALL


class Poison(KafkaCase):
    # full epochs only: so what is learned does not depend on when records come
    SETS = ['kafka.session_timeout_ms=2000', 'kafka.linger_ms=600000', 'epoch.bytes=268435456', 'content.dims=64']

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test_bad_input.BadInput.setUpClass()
        cls.addClassCleanup(test_bad_input.BadInput.doClassCleanups)
        cls.cases = test_bad_input.BadInput('test_every_kind')
        cls.clicks = cls.cases.clicks[:len(cls.cases.clicks) // BATCH * BATCH]
        cls.listings = cls.cases.listings
        cls.time_ms = cls.clicks[len(cls.clicks) // 2].timestamp
        cls.cases.time_ms = cls.time_ms
    def create_inputs(self, prefix):
        admin = AdminClient({'bootstrap.servers': broker()})
        topics = [NewTopic(prefix + topic, 1, 1, config={'max.message.bytes': str(INPUT_BYTES), 'retention.ms': '-1'}) for topic in INPUTS]
        for future in admin.create_topics(topics).values():
            future.result(30)

    def produce(self, topic, records, **options):
        """With headers, and as large as the topic takes."""
        producer = Producer({'bootstrap.servers': broker(), 'message.max.bytes': INPUT_BYTES, 'enable.idempotence': True, 'linger.ms': 5,
                             **options})
        for record in records:
            producer.produce(self.prefix + topic, value=record.value, key=record.key, timestamp=record.timestamp, partition=0,
                             headers=list(record.headers))
        self.assertEqual(producer.flush(PATIENCE_RUN_S), 0)

    def among(self, cases, good):
        """The bad ones in the middle of the good ones; {offset: (name, record, reason)}"""
        at = len(good) // 2
        records = [Record(0, timestamp, key, value, [('trace', b'7')]) for value, key, timestamp, _ in cases.values()]
        expected = {at + i: (name, records[i], case[3]) for i, (name, case) in enumerate(cases.items())}
        return good[:at] + records + good[at:], expected

    def produce_with(self, codecs, topic, records):
        """Equal parts, each with another compression."""
        for part, codec in enumerate(codecs):
            self.produce(topic, records[part * len(records) // len(codecs):(part + 1) * len(records) // len(codecs)],
                         **{'compression.type': codec, 'linger.ms': 50})

    def run_on(self, listings, clicks, name='', codecs=('none',)):
        """The outputs of a stage that was given these, all of which end in epochs."""
        self.prefix = f'poison{os.getpid()}-{self._testMethodName[5:10]}{name}.'
        self.create_inputs(self.prefix)
        stage = self.start_stage(self.prefix, sets=self.SETS)
        self.wait_for_topics(self.prefix, stage)
        self.produce_with(codecs, 'item-content', listings)
        self.wait_for_events(len(listings), stage)
        self.produce_with(codecs, 'interactions', clicks)
        self.wait_for_events(len(listings) + len(clicks), stage)
        self.assertEqual(stage.terminate(), OK)
        self.said = stage.said()
        return Outputs(self.prefix)

    def wait_for_events(self, count, stage):
        self.wait_until(lambda: sum(m['counts']['events'] for m in manifests_of(self.prefix)) >= count, f'{count} events', [stage])

    def clean_run(self):
        """The same without anything bad."""
        return self.run_on(self.listings, self.clicks, 'clean')

    def assert_replays(self):
        """Recorded, it is what a replay makes of the same input: every row, dead letter and digest."""
        folder, config = self.path('recorded'), os.path.join(SOURCE, 'conf', 'run.yaml')
        sets = settings([*SMALL, *self.SETS, f'kafka.brokers={broker()}', f'kafka.prefix={self.prefix}', f'kafka.application={self.prefix}'])
        self.check(run('record', '-c', config, '--to', folder, '--until', 'latest', *sets))
        verified = self.check(run('replay', '--verify', '-c', config, '--from', folder, '--json', *sets)).json()
        self.assertEqual(verified['verified_epochs'], len(manifests_of(self.prefix)))

    def letters(self, outputs):
        """{(topic, offset): (message, headers)}"""
        found = {}
        for message in outputs.topics['dead-letter']:
            headers = dict(message.headers())
            place = headers['topic'].decode(), int(headers['offset'])
            self.assertNotIn(place, found)
            found[place] = message, {name: value.decode() for name, value in headers.items()}
        return found

    def learned(self, outputs):
        """{(table, key): content} of what others read."""
        rows = {}
        for topic in ('ranker-deltas', 'semantic-ids', 'codebooks'):
            for message in outputs.topics[topic]:
                record = Record(message.offset(), message.timestamp()[1], message.key(), message.value(), [])
                table, key, content, *_ = row_of(topic, record)
                rows[table, key] = content
                if record.value is None:
                    del rows[table, key]
        return rows

    def assert_learned_the_same(self, outputs, clean):
        made, wanted = self.learned(outputs), self.learned(clean)
        self.assertEqual(set(made), set(wanted))
        self.assertEqual([key for key in made if made[key] != wanted[key]], [])
        self.assertTrue(made)

    def assert_letters(self, outputs, expected):
        letters = self.letters(outputs)
        for place, (name, record, reason) in expected.items():
            with self.subTest(f'{place[0]}: {name}'):
                message, headers = letters.pop(place)
                self.assertEqual(headers['reason'], reason)
                self.assertEqual(brief(message.key()), brief(record.key[:KEY_CUT_AT] if record.key else record.key))
                self.assertEqual(headers['timestamp'], str(record.timestamp))
                value = record.value
                if value is not None and len(value) > CUT_AT:
                    self.assertEqual(headers['value_bytes'], str(len(value)))
                    value = value[:CUT_AT]
                else:
                    self.assertNotIn('value_bytes', headers)
                self.assertEqual(brief(message.value()), brief(value))
        self.assertEqual(list(letters), [])

    def test_every_kind(self):
        clean = self.clean_run()
        clicks, of_clicks = self.among(self.cases.bad_interactions(), self.clicks)
        listings, of_listings = self.among(self.cases.bad_listings(), self.listings)
        outputs = self.run_on(listings, clicks)
        expected = {('interactions', offset): case for offset, case in of_clicks.items()}
        expected.update({('item-content', offset): case for offset, case in of_listings.items()})
        self.assert_letters(outputs, expected)
        self.assert_told(outputs)
        judge(self, outputs, {'item-content': len(listings), 'interactions': len(clicks)})
        self.assert_learned_the_same(outputs, clean)
        self.assert_replays()

    def assert_told(self, outputs):
        """Dead letters are in the log, as many as its pace allows, each as it is in the topic."""
        told = re.findall(r'event=dead_letter (?:left_out=\d+ )?topic=(\S+) partition=(\d+) offset=(\d+) reason=(\S+) text=', self.said)
        self.assertGreaterEqual(len(told), min(20, len(outputs.topics['dead-letter'])))
        letters = {tuple(dict(message.headers())[name].decode() for name in ('topic', 'partition', 'offset', 'reason'))
                   for message in outputs.topics['dead-letter']}
        self.assertLessEqual(set(told), letters)

    def test_oversized_and_compressed(self):
        """As large as the input takes, also keys; garbage that compresses well or is compressed already; batches of every codec."""
        clean, now = self.clean_run(), self.time_ms
        noise = self.random.randbytes(100000)
        bad = {'20 MB of zeros': (bytes(20 << 20), b'k', now, 'schema'),
               '20 MB': (b'\x07' + self.random.randbytes(20 << 20), b'k', now, 'wire'),
               'a key of 20 MB': (b'\x07', self.random.randbytes(20 << 20), now, 'wire'),
               'just what is kept': (b'\x07' * CUT_AT, b'k', now, 'wire'), 'one more': (b'\x07' * (CUT_AT + 1), b'k', now, 'wire'),
               'gzip': (gzip.compress(noise), b'k', now, 'wire'), 'zlib': (zlib.compress(bytes(1 << 20)), b'k', now, 'wire'),
               'a good one, deflated': (zlib.compress(self.clicks[0].value), self.clicks[0].key, now, 'wire')}
        clicks, expected = self.among(bad, self.clicks)
        outputs = self.run_on(self.listings, clicks, codecs=('gzip', 'snappy', 'lz4', 'zstd'))
        self.assert_letters(outputs, {('interactions', offset): case for offset, case in expected.items()})
        self.assert_learned_the_same(outputs, clean)

    def test_damaged_batch_in_the_log(self):
        """A byte of the broker's log that flips: no record can be told from it, so the stage stops and says where; nothing is skipped silently."""
        self.prefix = f'poison{os.getpid()}-flip.'
        self.create_inputs(self.prefix)
        stage = self.start_stage(self.prefix, sets=self.SETS)
        self.wait_for_topics(self.prefix, stage)
        stage.kill()
        self.produce('item-content', self.listings[:20], **{'linger.ms': 0, 'batch.num.messages': 1})
        broker_command('stop')
        log = os.path.join(broker_folder(), 'log', f'{self.prefix}item-content-0', '00000000000000000000.log')
        with open(log, 'r+b') as file:
            data, at, offset = file.read(), 0, -1
            while offset < 10:  # a batch: its first offset, its length without these two, ...
                offset, length = struct.unpack('>qi', data[at:at + 12])
                at += 12 + length
            file.seek(at - 20)
            file.write(bytes([data[at - 20] ^ 0x10]))
        broker_command('restart')
        stage = self.start_stage(self.prefix, sets=self.SETS)
        self.wait_until(lambda: not stage.alive(), 'the stage stops')
        self.assertEqual(stage.process.returncode, BAD_DATA, stage.said()[-2000:])
        self.assertIn(f'{self.prefix}item-content-0', stage.said().splitlines()[-1])
        self.assertIn(f'offset {offset}', stage.said().splitlines()[-1])

    @unittest.skipUnless(fastavro, 'fastavro is not installed')
    def test_other_programs(self):
        """Listings and clicks written by fastavro are read; what we write is read by fastavro, and by kcat."""
        def written(topic, records):
            parsed, schema_id = fastavro.parse_schema(schema(topic + '-value')), {'interactions': 1, 'item-content': 2}[topic]
            for record in records:
                value = None
                if record.value is not None:
                    body = io.BytesIO()
                    datum = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), parsed)
                    fastavro.schemaless_writer(body, parsed, datum)
                    value = framed(body.getvalue(), schema_id)
                yield record._replace(value=value)
        clean = self.clean_run()
        outputs = self.run_on(list(written('item-content', self.listings)), list(written('interactions', self.clicks)), codecs=('zstd',))
        self.assert_learned_the_same(outputs, clean)
        names = {'semantic-ids': 'semantic-ids-value', 'ranker-deltas': 'row-value', 'changelog': 'row-value', 'codebooks': 'codebooks-value',
                 'epochs': 'epochs-value'}
        for topic, name in names.items():
            parsed = fastavro.parse_schema(schema(name))
            values = [m.value() for m in outputs.topics[topic] if m.value() is not None]
            self.assertTrue(values, topic)
            for value in values:
                body = io.BytesIO(value[5:])
                fastavro.schemaless_reader(body, parsed)
                self.assertEqual(body.read(), b'', f'{topic}: bytes after the datum')
        if not shutil.which('kcat'):
            self.skipTest('kcat is not installed')
        for topic in OUTPUT_TOPICS:
            out = subprocess.run(['kcat', '-C', '-b', broker(), '-t', self.prefix + topic, '-p', '0', '-e', '-q', '-f', '%o %S\\n'], capture_output=True,
                                 timeout=PATIENCE_RUN_S, check=True).stdout
            wanted = [f'{m.offset()} {-1 if m.value() is None else len(m.value())}' for m in outputs.topics[topic]]
            self.assertEqual(out.decode().splitlines(), wanted, topic)


if __name__ == '__main__':
    main()
