"""follow, from outside: what it says of items, streams and exports is what the outputs hold, read by the tests' own Avro reader."""
import csv, struct

from program import *

SETS = SMALL + ['model.variant=full', 'output.partitions=3']


class Follow(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=150, users=60, events=3000)
        listings = read_topic(cls.market, 'item-content')
        last = listings[-1].timestamp
        cls.gone = [record._replace(offset=len(listings) + at, value=None, timestamp=last + 1 + at) for at, record in enumerate(listings[3:60:9])]
        alter_file(cls.market, 'item-content-0.avro', lambda records: records + cls.gone)
        cls.out = os.path.join(cls.class_folder, 'out')
        result = run(*replay_words(cls.market, cls.out, '--json', sets=SETS))
        if result.code != OK:
            raise AssertionError(result.err)
        cls.sids, cls.positions = {}, {}
        for record in read_topic(cls.out, 'semantic-ids'):
            value = record.value and decode('semantic-ids-value', record.value)
            cls.sids[record.key.decode()] = value
        cls.live = {item: value for item, value in cls.sids.items() if value}

    def follow(self, *words, code=OK):
        return self.check(run('follow', '--from', self.out, *words), code)

    def test_the_lines_fold_to_the_table(self):
        table, lines = {}, [json.loads(line) for line in self.follow().out.splitlines()]
        for line in lines:
            self.assertNotIn('resync', line)
            if line['sid'] is None:
                self.assertEqual((line['reason'], line['previous']), ('DELISTED', table.pop(line['item'])))
            else:
                table[line['item']] = line['sid']
        self.assertEqual(table, {item: value['codes'] for item, value in self.live.items()})
        self.assertEqual(sum(line['reason'] == 'DELISTED' for line in lines), len(self.gone))
        self.assertEqual([line['epoch'] for line in lines], sorted(line['epoch'] for line in lines))
        reasons = {line['reason'] for line in lines}
        self.assertTrue({'NEW', 'DRIFT', 'GENERATION', 'DELISTED'} <= reasons, reasons)

    def test_little_memory_for_older_epochs_changes_nothing(self):
        """Everything is told again where what was before is gone: the lines still fold to the table."""
        table = {}
        for line in map(json.loads, self.follow('--set', 'undo_bytes=65536').out.splitlines()):
            if 'resync' in line:
                table = {}
            elif line['sid'] is None:
                table.pop(line['item'])
            else:
                table[line['item']] = line['sid']
        self.assertEqual(table, {item: value['codes'] for item, value in self.live.items()})

    def test_get(self):
        items = self.random.sample(sorted(self.live), 5)
        words = [word for item in items for word in ('--get', 'item', item)]
        answers = [json.loads(line) for line in self.follow(*words, '--json').out.splitlines()]
        self.assertEqual([answer['item'] for answer in answers], items)
        for item, answer in zip(items, answers):
            value = self.live[item]
            self.assertEqual(answer['sid'], '{}-{}-{}.{}-{}'.format(*value['codes']))
            self.assertEqual((answer['generation'], answer['since_epoch']), (value['generation'], value['assigned_epoch']))
            inspected = json.loads(self.check(run('inspect', self.out, 'item', item, '--json')).out)
            self.assertEqual((answer['shown'], answer['clicks']), (inspected['shown'], inspected['clicks']))
        self.assertIn('neighbours', self.follow('--get', 'item', items[0]).out)

    def test_an_item_that_is_not_there(self):
        gone, there = self.gone[0].key.decode(), sorted(self.live)[0]
        result = self.follow('--get', 'item', gone, '--get', 'item', there, '--json', code=NO_INPUT)
        self.says(result, gone)
        self.assertEqual(json.loads(result.out)['item'], there)

    def tensors(self, path):
        with open(path, 'rb') as file:
            data = file.read()
        length, = struct.unpack('<Q', data[:8])
        header = json.loads(data[8:8 + length])
        self.assertEqual((8 + length) % 8, 0)
        self.assertEqual(len(data), 8 + length + max(entry['data_offsets'][1] for name, entry in header.items() if name != '__metadata__'))
        return header, {name: data[8 + length + entry['data_offsets'][0]:8 + length + entry['data_offsets'][1]]
                        for name, entry in header.items() if name != '__metadata__'}

    def test_export(self):
        self.follow('--export', self.path('tables'))
        with open(self.path('tables', 'items.csv'), newline='') as file:
            rows = list(csv.DictReader(file))
        self.assertEqual({row['item']: [int(row[name]) for name in ('c1', 'c2', 'c3', 'o1', 'o2')] for row in rows},
                         {item: value['codes'] for item, value in self.live.items()})
        header, tensors = self.tensors(self.path('tables', 'tables.safetensors'))
        newest = {}
        for record in read_topic(self.out, 'ranker-deltas'):
            table, key, position, *_, value = self.delta(record)
            newest[table, key] = (position, value)
        checked = 0
        for (table, _), (position, value) in newest.items():
            if value is not None:
                checked += 1
                self.assertEqual(tensors[table][position * len(value):(position + 1) * len(value)], value, table)
        self.assertGreater(checked, 500)
        for row in rows:
            at = int(row['position'])
            codes = struct.unpack_from('<5i', tensors['sid.codes'], 20 * at)
            self.assertEqual(list(codes), self.live[row['item']]['codes'])
        self.assertEqual(header['__metadata__']['epoch'], str(len(read_topic(self.out, 'epochs'))))

    def delta(self, record):
        key = decode('row-key', record.key)
        value = record.value and decode('row-value', record.value)
        return key['table'], key['key'], value and value['position'], value and value['value']

    def test_the_safetensors_package_opens_it(self):
        try:
            from safetensors import safe_open
        except ImportError:
            self.skipTest('the package safetensors is not installed')
        self.follow('--export', self.path('tables'))
        with safe_open(self.path('tables', 'tables.safetensors'), framework='np') as file:
            self.assertEqual(file.get_tensor('sid.codes').shape[1], 5)
            self.assertEqual(str(file.get_tensor('embedding').dtype), 'float32')

    def test_what_cannot_be_followed(self):
        self.says(self.check(run('follow', '--from', self.path('absent')), NO_INPUT), 'absent')
        self.says(self.check(run('follow', '--from', self.market), NO_INPUT), 'epochs')
        self.check(run('follow'), USAGE)
        self.check(run('follow', '--from', self.out, '--get', 'user', 'x'), USAGE)
        self.says(self.check(run('follow', '--from', self.out, '--set', 'nonsense=1'), BAD_CONFIG), 'nonsense')

    def test_words_that_it_does_not_know(self):
        item = sorted(self.live)[0]
        for words in (['--until', 'never'], ['--get', item], ['--get', 'item'], ['--get', 'user', item],
                      ['--get', 'item', item] * 65):
            result = self.follow(*words, code=USAGE)
            self.assertEqual(result.out, '', words)
            self.says(result, words[0])

    def test_more_partitions_than_a_stage_has(self):
        """Of which the description is whole: nothing that is kept for each partition is overrun."""
        many = shutil.copytree(self.out, self.path('many'))
        with open(os.path.join(many, 'recording.yaml')) as file:
            text = file.read()
        head, partitions, rest = re.match(r'(.*partitions:\n)(.*)(schemas:.*)', text, re.S).groups()
        entries = re.findall(r' *- topic:.*?(?= *- topic:|\Z)', partitions, re.S)
        entry = next(entry for entry in entries if 'semantic-ids' in entry and 'semantic-ids-0' in entry)
        more = [entry.replace('semantic-ids-0', f'semantic-ids-{n}').replace('partition: 0', f'partition: {n}') for n in range(3, 900)]
        for n in range(3, 900):
            shutil.copy(os.path.join(many, 'semantic-ids-0.avro'), os.path.join(many, f'semantic-ids-{n}.avro'))
        with open(os.path.join(many, 'recording.yaml'), 'w') as file:
            file.write(head + ''.join(entries + more) + rest)
        self.says(self.check(run('follow', '--from', many, '--until', 'latest'), BAD_DATA), 'partitions', '512')

    def reconfigured(self, name, key, value):
        """The outputs of a stage that went on with another configuration from its fifth epoch on. (config is the manifest's last field.)"""
        out = shutil.copytree(self.out, self.path(name))
        config = decode('epochs-value', read_topic(out, 'epochs')[0].value)['config']
        other, changed = re.subn(rf'(?m)^(\s*)"?{key}"?\s*:\s*[^,\n]*', rf'\g<1>{key}: {value}', config)
        self.assertEqual(changed, 1, config)
        def change(records):
            self.assertEqual(records[4].value[-1], 0)
            return [r._replace(value=r.value[:-1] + number(1) + text_of(other)) if i == 4 else r for i, r in enumerate(records)]
        alter_file(out, 'epochs-0.avro', change)
        return out

    def test_a_stage_that_learns_otherwise_is_still_followed(self):
        for key, value in (('rate_rows', '0.05'), ('kl_weight', '0'), ('sharpness', '3')):
            out = self.reconfigured(key, key, value)
            self.assertEqual(self.check(run('follow', '--from', out)).out, self.follow().out)

    def test_a_stage_with_another_model_is_not(self):
        for key, value in (('width', '16'), ('opq_share', '0.25')):
            out = self.reconfigured(key, key, value)
            self.says(self.check(run('follow', '--from', out), BAD_CONFIG), 'epoch 5')

    def test_a_changed_record_stops_it(self):
        """Of a row that nothing overwrites later: the digests never agree again."""
        broken = shutil.copytree(self.out, self.path('broken'))
        name = next(name for name in files_of(broken, 'semantic-ids') if read_file(os.path.join(broken, name)))
        records = read_file(os.path.join(broken, name))
        last = {record.key: at for at, record in enumerate(records) if record.value}
        at = max(last.values())
        value = bytearray(records[at].value)
        value[-1] ^= 64
        alter_file(broken, name, lambda records: [r._replace(value=bytes(value)) if i == at else r for i, r in enumerate(records)])
        result = self.check(run('follow', '--from', broken, '--get', 'item', sorted(self.live)[0]), BAD_DATA)
        self.says(result, "'sid'")


if __name__ == '__main__':
    main()
