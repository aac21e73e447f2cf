"""inspect, from outside: what it says of items, SIDs, epochs and tables is what the outputs hold, read by the tests' own Avro reader."""
from program import *

SETS = SMALL + ['model.variant=full']


class Inspect(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=150, users=60, events=3000)
        listings = read_topic(cls.market, 'item-content')
        cls.gone = listings[3]._replace(offset=len(listings), value=None, timestamp=listings[-1].timestamp + 1)
        alter_file(cls.market, 'item-content-0.avro', lambda records: records + [cls.gone])
        cls.out = os.path.join(cls.class_folder, 'out')
        result = run(*replay_words(cls.market, cls.out, '--json', sets=SETS))
        if result.code != OK:
            raise AssertionError(result.err)
        cls.summary = json.loads(result.out)
        cls.sids = {}
        for record in read_topic(cls.out, 'semantic-ids'):
            value = decode('semantic-ids-value', record.value)
            cls.sids.setdefault(record.key.decode(), []).append(value and tuple(value['codes']))

    def inspect(self, *words):
        return json.loads(self.check(run('inspect', self.out, *words, '--json')).out)

    def text_of(self, codes):
        return '{}-{}-{}.{}-{}'.format(*codes)

    def live(self):
        return {item: history[-1] for item, history in self.sids.items() if history[-1] is not None}

    def test_item(self):
        shown = self.random.sample(sorted(self.live()), 5)
        for item in shown:
            answer = self.inspect('item', item)
            self.assertEqual(answer['item'], item)
            self.assertEqual(answer['sid'], self.text_of(self.live()[item]))
            self.assertEqual([step['sid'] for step in answer['history']], [self.text_of(codes) for codes in self.sids[item]])
            self.assertEqual(answer['history'][0]['reason'], 'NEW')
            self.assertTrue(0 < answer['gate'] < 1)
            for near in answer['nearest_by_sid'] + answer['nearest_by_embedding']:
                self.assertNotEqual(near['item'], item)
                self.assertEqual(near['sid'], self.text_of(self.live()[near['item']]))
            self.assertTrue(all(near['sid'].split('-')[0] == answer['sid'].split('-')[0] for near in answer['nearest_by_sid']))

    def test_nearest_by_sid_share_the_longest_prefix(self):
        def shared(one, other):
            levels = 0
            while levels < 3 and one[levels] == other[levels]:
                levels += 1
            return levels
        live = self.live()
        item = max(live, key=lambda i: sum(shared(live[i], other) for other in live.values()))
        best = sorted((shared(live[item], live[other]) for other in live if other != item), reverse=True)[:5]
        near = [shared(live[item], live[row['item']]) for row in self.inspect('item', item)['nearest_by_sid']]
        self.assertEqual(near, best)

    def test_a_delisted_item_keeps_its_history(self):
        answer = self.inspect('item', self.gone.key.decode())
        self.assertEqual(answer['history'][-1]['reason'], 'DELISTED')
        self.assertNotIn('sid', answer)

    def test_sid(self):
        live = self.live()
        codes = live[self.random.choice(sorted(live))]
        for depth, text in ((1, str(codes[0])), (2, '{}-{}'.format(*codes)), (5, self.text_of(codes))):
            answer = self.inspect('sid', text)
            wanted = {item for item, other in live.items() if other[:depth] == codes[:depth]}
            self.assertEqual(answer['items'], len(wanted))
            self.assertEqual({row['item'] for row in answer['most_shown']}, wanted if len(wanted) <= 32 else
                             {row['item'] for row in answer['most_shown']} & wanted)

    def test_epoch(self):
        manifests = [decode('epochs-value', record.value) for record in read_topic(self.out, 'epochs')]
        manifest = self.random.choice(manifests)
        answer = self.inspect('epoch', manifest['epoch'])
        self.assertEqual(answer['kind'], manifest['kind'].lower())
        for name in ('events', 'applied', 'parked', 'dead_letters', 'labelled', 'rows'):
            self.assertEqual(answer[name], manifest['counts'][name])
        self.assertEqual([r['last_offset'] for r in answer['inputs']], [r['last_offset'] for r in manifest['inputs']])
        self.assertEqual(len(answer['tables']), len(manifest['tables']))

    def test_table(self):
        tables = {table['table']: table for table in self.inspect('table')['tables']}
        self.assertEqual({name: table['rows'] for name, table in tables.items()},
                         {name: table['rows'] for name, table in self.summary['tables'].items()})
        self.assertEqual(self.inspect('table', 'sid')['tables'], [tables['sid']])

    def test_text_says_the_same_and_steers_no_terminal(self):
        item = sorted(self.live())[0]
        answer, text = self.inspect('item', item), self.check(run('inspect', self.out, 'item', item)).out
        for words in (item, answer['sid'], answer['title'], 'nearest_by_embedding', answer['nearest_by_sid'][0]['item']):
            self.assertIn(words, text)
        self.assertTrue(all(line == line.rstrip() or line.startswith('title') for line in text.splitlines()))

        listing = read_topic(self.market, 'item-content')[0]
        title = decode('item-content-value', listing.value)['text'].encode()
        odd = copy(self.market, self.path('odd'))
        alter_file(odd, 'item-content-0.avro', lambda records: [
            record._replace(value=record.value.replace(title, b'\x1b\xe2\x80\xae\x07' + title[5:]))
            if record.key == listing.key and record.value else record for record in records])
        self.replay(odd, self.path('out'), sets=SETS)
        text = self.check(run('inspect', self.path('out'), 'item', listing.key.decode())).out
        self.assertIn('[U+001B][U+202E][U+0007]' + title[5:].decode(), text)
        self.assertFalse({'\x1b', '\x07', '\u202e'} & set(text))

    def test_what_is_not_there(self):
        self.says(self.check(run('inspect', self.out, 'item', 'nobody'), BAD_DATA), 'nobody')
        self.says(self.check(run('inspect', self.out, 'epoch', '999999'), BAD_DATA), '999999', self.summary['epochs'])
        self.says(self.check(run('inspect', self.out, 'table', 'chair'), BAD_DATA), 'chair')
        self.says(self.check(run('inspect', self.out, 'sid', '1-x'), USAGE), '1-x', '49-21')
        self.says(self.check(run('inspect', self.market, 'table'), NO_INPUT), self.market)
        for words in ((), ('item',), ('chair', 'x'), ('epoch', 'x')):
            self.assertIn('--help', self.check(run('inspect', self.out, *words), USAGE).err)


if __name__ == '__main__':
    main()
