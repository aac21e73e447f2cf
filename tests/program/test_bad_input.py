"""Every kind of bad input: set aside raw, with where it came from and why, counted, and without a trace in what is learned.
And what cannot be set aside: a recording that cannot be read, a disk that is full, a folder that cannot be written."""
import collections, os, resource, shutil, struct, subprocess, zlib
import program
from program import *

NAN, INFINITY = float('nan'), float('inf')
DIMS = 64
VECTOR = [0.125] * DIMS
YEAR_MS = 31536000000
CUT_AT = 3 << 20  # a dead letter has so much of the value


def of_schema(value, schema_id):
    return b'\x00' + struct.pack('>i', schema_id) + value[5:]


def claims(value, marker, count):
    """The length in front of `marker` says `count` instead."""
    at = value.index(marker) - 1
    return value[:at] + number(count) + value[at + 1:]


def brief(value):
    """Megabytes are not for messages."""
    return value if value is None or len(value) < 1000 else (len(value), zlib.crc32(value))


class BadInput(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market')
        cls.clean = os.path.join(cls.class_folder, 'clean')
        result = run(*replay_words(cls.market, cls.clean, '--json'))
        if result.code != OK:
            raise AssertionError(result.err)
        cls.clean_summary = result.json()
        cls.clicks, cls.listings = read_topic(cls.market, 'interactions'), read_topic(cls.market, 'item-content')
        cls.time_ms = cls.clicks[1000].timestamp

    def market_with(self, changes):
        """A copy of the market; changes: {file: change of its records}, offsets counted anew."""
        folder = copy(self.market, self.path('market'))
        for name, change in changes.items():
            alter_file(folder, name, lambda records: [r._replace(offset=i) for i, r in enumerate(change(records))])
        return folder

    def dead_letters(self, folder):
        """{(topic, partition, offset): (record, headers)}"""
        found = {}
        for record in read_topic(folder, 'dead-letter'):
            headers = dict(record.headers)
            self.assertLessEqual({'topic', 'partition', 'offset', 'reason', 'error'}, set(headers))
            place = headers['topic'].decode(), int(headers['partition']), int(headers['offset'])
            self.assertNotIn(place, found)
            found[place] = record, {name: value.decode() for name, value in headers.items()}
        return found

    def assert_learned_the_same(self, folder):
        """Not one bit of the ranker, the codebooks or the SIDs is another than without the bad input."""
        tables = [fold(where, ['ranker-deltas', 'semantic-ids', 'codebooks']) for where in (self.clean, folder)]
        self.assertEqual(set(tables[0]), set(tables[1]))
        self.assertEqual([key for key in tables[0] if tables[0][key] != tables[1][key]], [])

    def bad_interactions(self):
        """name: (value, key, timestamp, reason)"""
        now = self.time_ms
        good = interaction('user-1', 'item-00001', now, label=1, request_id='r', position=3)
        bad = lambda reason, value=good, key=b'user-1', timestamp=now: (value, key, timestamp, reason)
        return {
            'empty value': bad('wire', b''), 'null value': bad('wire', None), 'four bytes': bad('wire', good[:4]),
            'wrong magic byte': bad('wire', b'\x07' + good[1:]), 'GUID framing': bad('wire', b'\x01' + bytes(16) + good[5:]),
            'text instead of Avro': bad('wire', b'{"user_id": "user-1"}'),
            'unknown schema id': bad('schema', of_schema(good, 4711)),
            'negative schema id': bad('schema', of_schema(good, -1)),
            "the other topic's schema": bad('schema', of_schema(good, CONTENT)), 'head alone': bad('decode', good[:5]),
            'cut off': bad('decode', good[:-4]), 'left over': bad('decode', good + b'\x00'),
            'an action that is none': bad('decode', interaction('user-1', 'item-00001', now, action=9)),
            'a length of gigabytes': bad('decode', claims(good, b'user-1', 5 << 30)),
            'a length of exabytes': bad('decode', claims(good, b'user-1', 1 << 62)),
            'a negative length': bad('decode', claims(good, b'user-1', -6)),
            'a map of gigabytes': bad('decode', good[:-1] + number(3 << 30)),
            'a number of 11 bytes': bad('decode', good[:5] + b'\xff' * 11 + good[12:]),
            'empty user': bad('id', interaction('', 'item-00001', now), b''),
            'empty item': bad('id', interaction('user-1', '', now)),
            'user of 65 bytes': bad('id', interaction('u' * 65, 'item-00001', now), b'u' * 65),
            'item of 10 MB': bad('id', interaction('user-1', 'i' * 10000000, now)),
            'request id of 300 bytes': bad('id', interaction('user-1', 'item-00001', now, request_id='r' * 300)),
            'user not UTF-8': bad('id', interaction(b'us\xffer', 'item-00001', now), b'us\xffer'),
            'item not UTF-8': bad('id', interaction('user-1', b'item\xc3', now)),
            'user with a NUL': bad('id', interaction('us\0er', 'item-00001', now), b'us\0er'),
            'surrogates in UTF-8': bad('id', interaction(b'u\xed\xa0\x80', 'item-00001', now), b'u\xed\xa0\x80'),
            'before 1970': bad('time', interaction('user-1', 'item-00001', -1)),
            'two days ahead': bad('time', interaction('user-1', 'item-00001', now + 2 * 86400000)),
            'in microseconds': bad('time', interaction('user-1', 'item-00001', now * 1000)),
            'the last moment': bad('time', interaction('user-1', 'item-00001', (1 << 63) - 1)),
            'the first moment': bad('time', interaction('user-1', 'item-00001', -(1 << 63))),
            'label 2': bad('label', interaction('user-1', 'item-00001', now, label=2)),
            'label NaN': bad('label', interaction('user-1', 'item-00001', now, label=NAN)),
            'label one half': bad('label', interaction('user-1', 'item-00001', now, label=0.5)),
            "another user's key": bad('key', good, b'user-2'), 'an empty key': bad('key', good, b'')}

    def bad_listings(self):
        now = self.time_ms
        good, vector_starts = listing('item-x', now, VECTOR, 'a title'), number(DIMS) + struct.pack('<f', VECTOR[0])
        stands = next(r for r in self.listings if r.key == b'item-00002')  # listed at the start
        bad = lambda reason, value=good, key=b'item-x', timestamp=now: (value, key, timestamp, reason)
        with_number = lambda at, value: VECTOR[:at] + [value] + VECTOR[at + 1:]
        older = stands.value.replace(number(decode('item-content-value', stands.value)['event_time']),
                                     number(decode('item-content-value', stands.value)['event_time'] - 1), 1)
        return {
            'empty value': bad('wire', b''), 'wrong magic byte': bad('wire', b'\x02' + good[1:]),
            'GUID framing': bad('wire', b'\x01' + bytes(16) + good[5:]),
            'unknown schema id': bad('schema', of_schema(good, 99)),
            'cut off in the vector': bad('decode', good[:100]),
            'an array of gigabytes': bad('decode', good.replace(vector_starts, number(1 << 30), 1)),
            'an array of a negative block': bad('decode', good.replace(vector_starts, number(-(1 << 63)), 1)),
            'text not UTF-8': bad('decode', listing('item-x', now, VECTOR, b'a\xfftitle')),
            'one number too few': bad('vector', listing('item-x', now, VECTOR[1:])),
            'one number too many': bad('vector', listing('item-x', now, VECTOR + [1.0])),
            'no numbers': bad('vector', listing('item-x', now, [])),
            'a long vector': bad('vector', listing('item-x', now, [.5] * 20000)),
            'more numbers than there is memory for': bad('decode', listing('item-x', now, [.5] * 1000000)),
            'NaN': bad('vector', listing('item-x', now, with_number(63, NAN))),
            'infinity': bad('vector', listing('item-x', now, with_number(0, INFINITY))),
            'minus infinity': bad('vector', listing('item-x', now, with_number(31, -INFINITY))),
            'empty id': bad('id', listing('', now, VECTOR), b''),
            'id of 65 bytes': bad('id', listing('i' * 65, now, VECTOR), b'i' * 65),
            'id not UTF-8': bad('id', listing(b'\x80', now, VECTOR), b'\x80'),
            'before 1970': bad('time', listing('item-x', -5, VECTOR)),
            'a year ahead': bad('time', listing('item-x', now + YEAR_MS, VECTOR)),
            "another item's key": bad('key', good, b'item-y'),
            'delisting of nothing': bad('key', None, None), 'delisting of an id that is none': bad('id', None, b'\xff\xfe'),
            'the same listing again': bad('duplicate', stands.value, stands.key),
            'an older listing': bad('stale', older, stands.key)}

    def market_with_bad(self, interactions, listings):
        """The bad ones in the middle of the good ones; {place: (name, record, reason)}"""
        expected = {}

        def insert(topic, cases, good):
            at = next(i for i, record in enumerate(good) if record.timestamp > self.time_ms)
            records = [Record(0, timestamp, key, value, [('trace', b'7')]) for value, key, timestamp, _ in cases.values()]
            for i, (name, case) in enumerate(cases.items()):
                expected[topic, 0, at + i] = name, records[i], case[3]
            return good[:at] + records + good[at:]
        folder = self.market_with({'interactions-0.avro': lambda good: insert('interactions', interactions, good),
                                   'item-content-0.avro': lambda good: insert('item-content', listings, good)})
        return folder, expected

    def test_every_kind(self):
        folder, expected = self.market_with_bad(self.bad_interactions(), self.bad_listings())
        result = self.replay(folder, self.path('out'))
        summary, letters = result.json(), self.dead_letters(self.path('out'))
        for place, (name, record, reason) in expected.items():
            with self.subTest(f'{place[0]}: {name}'):
                letter, headers = letters.pop(place)
                raw = record.value
                if raw is not None and len(raw) > CUT_AT:
                    self.assertEqual(headers['value_bytes'], str(len(raw)))
                    raw = raw[:CUT_AT]
                self.assertEqual((headers['reason'], letter.key, brief(letter.value)), (reason, record.key, brief(raw)))
                self.assertEqual(headers['timestamp'], str(record.timestamp))
                self.assertGreater(len(headers['error']), 20)
        self.assertEqual(list(letters), [])
        reasons = collections.Counter(reason for _, _, reason in expected.values())
        self.assertEqual(summary['dead_letters_by_reason'], dict(reasons))
        self.assert_sum(summary)
        self.assertEqual((summary['applied'], summary['parked']), (2620, 0))
        self.assertEqual((summary['labelled'], summary['items']), (self.clean_summary['labelled'], 120))
        self.assert_learned_the_same(self.path('out'))
        self.assertLess(summary['peak_rss_bytes'], self.clean_summary['peak_rss_bytes'] + (160 << 20), 'lengths were believed')
        self.verify(folder, self.path('out'))
        self.assertNotIn('item-x', {key for _, key in fold(self.path('out'), ['semantic-ids'])})

    def test_messages_have_a_remedy(self):
        folder, expected = self.market_with_bad(self.bad_interactions(), self.bad_listings())
        self.replay(folder, self.path('out'))
        said = {(place[0], expected[place][0]): headers['error']
                for place, (_, headers) in self.dead_letters(self.path('out')).items()}
        for name, words in {'GUID framing': 'GUID', 'unknown schema id': '4711', 'in microseconds': 'milliseconds',
                            'label 2': '0 nor 1', 'user of 65 bytes': '65 bytes', 'text instead of Avro': 'Confluent'}.items():
            self.assertIn(words, said['interactions', name])
        for name, words in {'unknown schema id': '99', 'NaN': '63', 'one number too few': '63 numbers'}.items():
            self.assertIn(words, said['item-content', name])

    def test_same_twice_and_resumed(self):
        """Dead letters are part of the same bytes."""
        folder, _ = self.market_with_bad(self.bad_interactions(), self.bad_listings())
        whole = self.replay(folder, self.path('out')).json()
        process = start(*replay_words(folder, self.path('again'), '--json'))
        while process.poll() is None and not read_lines(self.path('again', 'sealed.log')) > 30:
            pass
        process.kill()
        finish(process)
        self.assertEqual(lasting(self.replay(folder, self.path('again'), '--resume').json()), lasting(whole))
        self.assert_same_records(self.path('out'), self.path('again'))

    def test_repeated_events(self):
        """Each event with a request id a second time, at once or a little later: learned from once."""
        def twice(records):
            again = [r._replace(timestamp=r.timestamp + (i % 3) * 400) for i, r in enumerate(records) if i % 5 == 0]
            return sorted(records + again, key=lambda record: record.timestamp)
        folder = self.market_with({'interactions-0.avro': twice})
        summary = self.replay(folder, self.path('out')).json()
        self.assert_sum(summary)
        self.assertEqual(summary['dead_letters_by_reason'], {'duplicate': 500})
        self.assertEqual((summary['applied'], summary['labelled']), (2620, 2500))
        self.verify(folder, self.path('out'))

    def test_repeated_listings(self):
        """A producer that sends its catalogue again: the same is a duplicate, what is older is stale, what is newer counts."""
        end, fifth = self.listings[-1].timestamp + 3, self.listings[5]
        moved = listing(fifth.key, end - 1, VECTOR, 'other content')
        older = listing(fifth.key, fifth.timestamp, [1.0] * DIMS, 'first content, sent late')
        again = [r._replace(timestamp=end) for r in self.listings]
        again += [Record(0, end, fifth.key, moved, []), Record(0, end, fifth.key, older, [])]
        folder = self.market_with({'item-content-0.avro': lambda records: records + again})
        summary = self.replay(folder, self.path('out')).json()
        self.assert_sum(summary)
        self.assertEqual(summary['dead_letters_by_reason'], {'duplicate': 120, 'stale': 1})
        self.assertEqual((summary['applied'], summary['items']), (2621, 120))
        history = [decode('semantic-ids-value', r.value) for r in read_topic(self.path('out'), 'semantic-ids')
                   if r.key == fifth.key]
        reasons = [value['reason'] for value in history]
        self.assertEqual([reason for reason in reasons if reason not in ('DRIFT', 'GENERATION')], ['NEW', 'CONTENT'])
        content = reasons.index('CONTENT')
        self.assertEqual(history[content]['previous'], history[content - 1]['codes'])

    def test_nothing_but_bad_interactions(self):
        folder = self.market_with({'interactions-0.avro': lambda records: [r._replace(value=b'\x00nonsense') for r in records]})
        summary = self.replay(folder, self.path('out')).json()
        self.assert_sum(summary)
        self.assertEqual((summary['dead_letters'], summary['labelled'], summary['auc']), (2500, 0, None))

    # ---- damaged files ----

    def damaged(self, name, change, codec='null', code=OK):
        """The market with one file's bytes changed; change(data, [(first, end) of each block])."""
        folder = self.path('market')
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.path('out'), ignore_errors=True)
        copy(self.market, folder)
        path = os.path.join(folder, name)
        write_file(path, read_file(path), codec)
        places = [(first, end) for _, first, end in read_blocks(path)]
        with open(path, 'rb') as file:
            data = bytearray(file.read())
        with open(path, 'wb') as file:
            file.write(change(data, places[1:]))
        return self.replay(folder, self.path('out'), code=code)

    def assert_damage(self, result, topic, lost, letters=1):
        """So many good records are lost, one dead letter says where; the rest goes on."""
        summary = result.json()
        self.assert_sum(summary)
        self.assertEqual(summary['dead_letters_by_reason'], {'damaged': letters})
        self.assertEqual(summary['events'], 2620 - lost + letters)
        (place, (record, headers)), *_ = self.dead_letters(self.path('out')).items()
        self.assertEqual((place[0], headers['reason']), (topic, 'damaged'))
        self.assertIn(f'{topic}-0.avro', headers['error'])
        self.assertIn('byte', headers['error'])
        self.verify(self.path('market'), self.path('out'))
        return record, place[2]

    def test_truncated_file(self):
        for codec in ('null', 'deflate'):
            for topic, count in (('interactions', 2500), ('item-content', 120)):
                name = topic + '-0.avro'
                result = self.damaged(name, lambda data, blocks: data[:blocks[-1][0] + 40], codec)
                last = count % 50 or 50
                record, offset = self.assert_damage(result, topic, last)
                self.assertEqual(offset, count - last)
                with open(self.path('market', name), 'rb') as file:
                    self.assertEqual(record.value, file.read()[-40:], 'the raw bytes')
                self.assertIn('event=replay.short', result.err)

    def test_truncated_between_blocks(self):
        """No byte is wrong, but recording.yaml knows that there were more."""
        result = self.damaged('interactions-0.avro', lambda data, blocks: data[:blocks[20][0]])
        self.assertEqual((result.json()['events'], result.json()['dead_letters']), (1120, 0))
        self.assertIn('event=replay.short', result.err)
        self.assertIn('named=2620 read=1120', result.err)

    def test_damaged_block(self):
        """In the middle: sync marker, count, size, what is in it. The blocks around it are read."""
        def flip(at, bit):
            def change(data, blocks):
                data[at(*blocks[2])] ^= 1 << bit
                return data
            return change
        def some_missing(data, blocks):
            return data[:blocks[2][0] + 6] + data[blocks[2][0] + 90:]
        name = 'interactions-0.avro'
        for codec in ('null', 'deflate'):
            for change, lost in ((flip(lambda first, end: end - 5, 3), 100), (flip(lambda first, end: first, 0), 50),
                                 (flip(lambda first, end: first + 2, 2), 50), (some_missing, 50)):
                self.assert_damage(self.damaged(name, change, codec), 'interactions', lost)
        self.assert_damage(self.damaged(name, lambda data, blocks: data + b'more'), 'interactions', 0)

    def test_random_bit_flips(self):
        """Whatever is flipped, anywhere: it ends with 0, or with 65 and a sentence; and what was read is counted."""
        codes = collections.Counter()
        small = self.generate('small', items=80, users=20, events=300)
        for turn in range(30):
            folder, out = self.path('flipped'), self.path('flipped.out')
            shutil.rmtree(folder, ignore_errors=True), shutil.rmtree(out, ignore_errors=True)
            copy(small, folder)
            name = self.random.choice(['interactions-0.avro', 'item-content-0.avro', 'interactions-0.avro', 'recording.yaml'])
            path = os.path.join(folder, name)
            if name.endswith('.avro') and turn % 2:
                write_file(path, read_file(path), 'deflate')
            with open(path, 'rb') as file:
                data = bytearray(file.read())
            flips = [(self.random.randrange(len(data)), self.random.randrange(8)) for _ in range(self.random.choice([1, 3, 30]))]
            for at, bit in flips:
                data[at] ^= 1 << bit
            with open(path, 'wb') as file:
                file.write(data)
            with self.subTest(f'turn {turn}: {name}, byte and bit: {flips}'):
                result = run(*replay_words(folder, out, '--json'))
                codes[result.code] += 1
                self.assertIn(result.code, (OK, BAD_DATA, NO_INPUT), result.err[-1500:])
                if result.code == OK:
                    self.assert_sum(result.json())
                    self.verify(folder, out)
                else:
                    self.says(result)
                    self.assertFalse(os.path.exists(os.path.join(out, 'recording.yaml')))
        print('  exit codes:', dict(codes))

    # ---- what cannot be set aside ----

    def assert_no_outputs(self, code, *words, source=None, to=None):
        result = self.replay(source or self.path('market'), to or self.path('out'), code=code)
        self.says(result, *words)
        self.assertEqual(result.out, '')
        self.assertFalse(os.path.exists(os.path.join(to or self.path('out'), 'recording.yaml')))

    def test_no_recording(self):
        self.assert_no_outputs(NO_INPUT, self.path('market'), 'recording.yaml')
        os.mkdir(self.path('market'))
        self.assert_no_outputs(NO_INPUT, self.path('market'), 'recording.yaml')
        self.assert_no_outputs(NO_INPUT, 'conf/replay.yaml', source=CONFIG)
        copy(self.market, self.path('gone'))
        os.unlink(self.path('gone', 'interactions-0.avro'))
        self.assert_no_outputs(NO_INPUT, 'interactions-0.avro', source=self.path('gone'))
        copy(self.market, self.path('one more'))
        shutil.copy(self.path('one more', 'interactions-0.avro'), self.path('one more', 'interactions-1.avro'))
        self.assert_no_outputs(BAD_DATA, 'interactions-1.avro', source=self.path('one more'))

    def test_damaged_header(self):
        for name in ('interactions-0.avro', 'item-content-0.avro'):
            for change in (lambda data, blocks: b'', lambda data, blocks: data[:100], lambda data, blocks: b'PAR1' + data[4:],
                           lambda data, blocks: data.replace(b'"null"', b'"nul"', 1),
                           lambda data, blocks: data.replace(b'\x08null', b'\x08zstd', 1)):
                result = self.damaged(name, change, code=BAD_DATA)
                self.says(result, name)

    def test_damaged_yaml(self):
        with open(os.path.join(self.market, 'recording.yaml')) as file:
            text = file.read()
        for wrong in ('', 'a: b\n', text[:300], '\0\1\2', text.replace('  ', '\t'), text.replace('recording: 1', 'recording: 2'),
                      text.replace('partition: 0', 'partition: -1'), text.replace('item-content', 'item-contents'),
                      text.replace('file: interactions-0.avro', 'file: ../market/interactions-0.avro'), '- ' * 5000):
            folder = self.path('market')
            shutil.rmtree(folder, ignore_errors=True)
            copy(self.market, folder)
            with open(os.path.join(folder, 'recording.yaml'), 'w') as file:
                file.write(wrong)
            self.assert_no_outputs(BAD_DATA, 'recording.yaml:')
        with open(os.path.join(folder, 'recording.yaml'), 'w') as file:
            file.write(text.replace('"type": "record"', '"type": "recor"', 1))
        self.assert_no_outputs(BAD_DATA, 'interactions-value')

    def test_folder_that_cannot_be_written(self):
        with open(self.path('file'), 'w'):
            pass
        for to in (self.path('file'), self.path('file', 'below'), '/proc/coldstream'):
            self.assert_no_outputs(CANNOT_CREATE, to, source=self.market, to=to)
        self.says(self.check(run('generate', '--to', self.path('file', 'below')), CANNOT_CREATE), 'below')

    def as_nobody(self):
        """Words in front of a command that take root's rights away; () when there are none."""
        if os.geteuid() != 0:
            return ()
        words = ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--')
        if not shutil.which('setpriv'):
            self.skipTest('root may write anywhere, and there is no setpriv')
        if subprocess.run([*words, executable(), '--version'], capture_output=True).returncode != 0:
            self.skipTest('the program cannot be run as nobody here')
        return words

    def test_most_of_it_is_bad(self):
        """That is hardly meant: a word on it, with the reason that most of them have."""
        source = copy(self.market, self.path('early'))
        alter_file(source, 'interactions-0.avro', lambda records: [record._replace(value=b'\x01' + record.value[1:]) for record in records])
        result = self.replay(source, self.path('out'))
        self.assertIn('most=wire', result.err)
        self.assertNotIn('replay.dead_letters', self.replay(self.market, self.path('clean')).err)

    def test_read_only_folder(self):
        under = self.as_nobody()
        for folder in (self.folder, self.class_folder):
            os.chmod(folder, 0o755)
        os.mkdir(self.path('shut'), 0o555)
        for to in (self.path('shut'), self.path('shut', 'below')):
            result = self.check(run(*replay_words(self.market, to), under=under), CANNOT_CREATE)
            self.says(result, self.path('shut'), 'ermission denied')
        self.assertEqual(os.listdir(self.path('shut')), [])

    def test_largest_file(self):
        """A disk that takes no more, as a limit on the size of files: at several places. Then it goes on, with --resume."""
        def limit(size):
            def prepare():
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            return prepare
        largest = max(os.path.getsize(os.path.join(self.clean, name)) for name in os.listdir(self.clean))
        for size in (0, 500, 5000, largest // 2, largest - 1):
            out = self.path(str(size))
            result = self.check(run(*replay_words(self.market, out), prepare=limit(size)), IO_ERROR)
            self.says(result, out, 'File too large')
            self.assertFalse(os.path.exists(os.path.join(out, 'recording.yaml')))
            self.assertEqual(lasting(self.replay(self.market, out, '--resume').json()), lasting(self.clean_summary))
            self.assert_same_records(self.clean, out)
        self.check(run('generate', '--to', self.path('generated'), prepare=limit(5000)), IO_ERROR)
        self.assertFalse(os.path.exists(self.path('generated', 'recording.yaml')))

    def test_full_disk(self):
        """A small file system of its own."""
        mount = self.path('mount')
        os.mkdir(mount)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=512k', 'none', mount], capture_output=True).returncode != 0:
            self.skipTest('no file system can be mounted here')
        try:
            to = os.path.join(mount, 'out')
            for sets in (SMALL, SMALL + ['snapshot.epochs=2']):
                shutil.rmtree(to, ignore_errors=True)
                result = self.check(run(*replay_words(self.market, to, sets=sets)), IO_ERROR)
                self.says(result, to, 'No space left')
                self.assertFalse(os.path.exists(os.path.join(to, 'recording.yaml')))
            copy(to, self.path('moved'))
        finally:
            subprocess.run(['umount', mount], check=True)
        self.assertEqual(lasting(self.replay(self.market, self.path('moved'), '--resume').json()), lasting(self.clean_summary))
        self.assert_same_records(self.clean, self.path('moved'))

    def test_answer_that_cannot_be_written(self):
        with open('/dev/full', 'wb') as full:
            process = subprocess.run([executable(), *replay_words(self.market, self.path('out'), '--json')], stdout=full,
                                     stderr=subprocess.PIPE, timeout=PATIENCE_S)
        self.assertEqual(process.returncode, IO_ERROR)
        self.assertIn(b'No space left', process.stderr)


def read_lines(path):
    try:
        with open(path, 'rb') as file:
            return file.read().count(b'\n')
    except FileNotFoundError:
        return 0


if __name__ == '__main__':
    program.main()
