"""replay, from outside: the same records and digest twice, what the summary says, every variant and shape of recording, and
what its outputs promise to whoever reads them."""
import collections, os, re, shutil
import program
from program import *

# DESIGN section 7, and what a person who counts needs: nothing here may be renamed
FIELDS = {'events', 'labelled', 'dead_letters', 'epochs', 'items', 'auc', 'auc_cold', 'auc_by_exposures', 'gauc', 'ne',
          'sid_unique', 'sid_churn', 'utilisation', 'digest', 'events_per_s', 'peak_rss_bytes', 'applied', 'parked',
          'dead_letters_by_reason'}
BUCKETS = ['0', '1-4', '5-19', '20-99', '100-499', '500+']


class Replay(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market')
        cls.first = os.path.join(cls.class_folder, 'first')
        cls.run_first = run(*replay_words(cls.market, cls.first, '--json'))
        if cls.run_first.code != OK:
            raise AssertionError(cls.run_first.err)

    def test_twice_the_same(self):
        again = self.replay(self.market, self.path('again'))
        self.assertEqual(lasting(again.json()), lasting(self.run_first.json()))
        self.assert_same_records(self.first, self.path('again'))

    def test_summary(self):
        summary = self.run_first.json()
        self.assertEqual(FIELDS - set(summary), set())
        self.assert_sum(summary)
        self.assertEqual(len(self.run_first.out.splitlines()), 1, 'stdout is the answer, one line')
        self.assertEqual([summary[name] for name in ('events', 'dead_letters', 'labelled', 'items')], [2620, 0, 2500, 120])
        self.assertEqual(list(summary['auc_by_exposures']), BUCKETS)
        self.assertIsNone(summary['auc_by_exposures']['500+'], 'an empty bucket has no AUC')
        self.assertEqual(len(summary['utilisation']), 5)
        self.assertRegex(summary['digest'], '^[0-9a-f]{32}$')
        for name in ('auc', 'auc_cold', 'gauc', 'sid_unique'):
            self.assertTrue(0 < summary[name] <= 1, name)
        self.assertTrue(0 < summary['ne'] < 2)
        self.assertGreater(summary['events_per_s'], 0)
        self.assertTrue(1 << 20 < summary['peak_rss_bytes'] < 1 << 30)
        self.assertEqual(summary['epochs'], len(read_topic(self.first, 'epochs')))

    def test_text_for_people(self):
        result = self.check(run(*replay_words(self.market, self.path('out'))))
        digest = self.run_first.json()['digest']
        for words in ('synthetic data', '2620 = 2620 applied + 0 parked + 0 dead letters', digest, 'AUC'):
            self.assertIn(words, result.out)
        self.assertIn('event=replay.start', result.err)

    def test_manifests_cover_the_input_once(self):
        """Each input record is in exactly one range, in order; the ends are where the files end."""
        made, next_offset, events = manifests(self.first), collections.Counter(), 0
        self.assertEqual([m['epoch'] for m in made], list(range(1, len(made) + 1)))
        for manifest in made:
            for one in manifest['inputs']:
                place = one['topic'], one['partition']
                self.assertEqual(one['first_offset'], next_offset[place])
                self.assertEqual(one['count'], one['last_offset'] - one['first_offset'] + 1)
                next_offset[place] = one['last_offset'] + 1
            events += manifest['counts']['events']
            self.assertEqual(sum(manifest['batches']), manifest['counts']['labelled'])
        self.assertEqual(next_offset, {('item-content', 0): 120, ('interactions', 0): 2500})
        self.assertEqual(events, 2620)
        self.assertEqual(made[-1]['state'].hex(), self.run_first.json()['digest'])
        for end in made[-1]['ends']:
            self.assertEqual(len(read_topic(self.first, end['topic'])), end['end_offset'])

    def test_whole_batches(self):
        """A click epoch holds whole mini-batches; only the last one of the stream may be short. Content epochs learn nothing."""
        clicks = [m for m in manifests(self.first) if m['kind'] == 'CLICK']
        self.assertEqual([m['batches'] for m in clicks[:-1]], [[64, 64]] * (len(clicks) - 1))
        self.assertTrue(all(m['batches'] == [] for m in manifests(self.first) if m['kind'] == 'CONTENT'))

    def test_no_sid_before_its_codes(self):
        """At the end of every epoch, whatever a SID names is there: the centroid of each code and the item's own rows."""
        logs = {topic: collections.deque(read_topic(self.first, topic)) for topic in ROW_TOPICS}
        codebooks, sids, tables = set(), {}, collections.defaultdict(set)
        for manifest in manifests(self.first):
            for end in manifest['ends']:
                while logs.get(end['topic']) and logs[end['topic']][0].offset < end['end_offset']:
                    table, key, content, _, epoch = row_of(end['topic'], logs[end['topic']].popleft())
                    self.assertIn(epoch, (manifest['epoch'], None))
                    if end['topic'] == 'codebooks':
                        codebooks.add(key)
                    elif end['topic'] == 'semantic-ids':
                        sids[key] = content
                    else:
                        tables[table].add(key)
            for item, codes in sids.items():
                self.assertIn(item, tables['z'])
                for level, code in enumerate(codes):
                    self.assertIn((1, level, code), codebooks)
        self.assertEqual(len(sids), 120)
        for level, size in enumerate([16, 16, 8, 8, 8]):
            self.assertLess(max(codes[level] for codes in sids.values()), size)
        self.assertFalse(any(logs.values()), 'records that no manifest seals')

    def test_versions_count_changes(self):
        """From 1, one more with each record of a row, anew after its tombstone."""
        versions = {}
        for topic in ROW_TOPICS:
            for record in read_topic(self.first, topic):
                table, key, _, version, _ = row_of(topic, record)
                if record.value is None:
                    self.assertIsNotNone(versions.pop((table, key), None), 'a tombstone of a row that never was')
                    continue
                self.assertEqual(version, versions.get((table, key), 0) + 1, (table, key))
                versions[table, key] = version

    def test_outputs_are_a_recording(self):
        """recording.yaml names every file with its records and span; offsets have no gaps; the deltas hold no user."""
        with open(os.path.join(self.first, 'recording.yaml')) as file:
            text = file.read()
        entries = re.findall(r'topic: (\S+)\n.*partition: (\d+)\n.*file: (\S+)\n.*records: (\d+)\n.*first_timestamp_ms: (\d+)\n'
                             r'.*last_timestamp_ms: (\d+)', text)
        self.assertEqual({entry[0] for entry in entries}, set(OUTPUT_TOPICS))
        for topic, _, name, count, first, last in entries:
            records = read_file(os.path.join(self.first, name))
            self.assertEqual([record.offset for record in records], list(range(int(count))), topic)
            if records:
                times = [record.timestamp for record in records]
                self.assertEqual((min(times), max(times)), (int(first), int(last)), topic)
        for topic in ('ranker-deltas', 'semantic-ids', 'codebooks'):
            for record in read_topic(self.first, topic):
                self.assertNotIn(b'user-', record.key + (record.value or b''))

    def test_repeated_listings_in_a_small_catalogue(self):
        """Repeats make no item wait, so they do not count towards the listings that the codebooks are trained on."""
        self.generate('few', items=40)
        source = copy(os.path.join(self.class_folder, 'few'), self.path('few'))
        once = read_topic(source, 'item-content')
        twice = [record._replace(offset=2 * record.offset + again) for record in once for again in (0, 1)]
        write_file(os.path.join(source, 'item-content-0.avro'), twice)
        summary = self.replay(source, self.path('out')).json()
        self.assertEqual((summary['items'], summary['dead_letters_by_reason']), (40, {'duplicate': 40}))
        self.assertEqual(len(fold(self.path('out'), ['semantic-ids'])), 40)

    def test_counts_are_not_needed(self):
        """A recording.yaml whose entries have no counts, as one written by hand may: the records are counted."""
        source = copy(self.market, self.path('uncounted'))
        path = os.path.join(source, 'recording.yaml')
        with open(path) as file:
            text = file.read()
        shorter = re.sub(r', records: [0-9]+|^ *records: [0-9]+\n', '', text, flags=re.M)
        self.assertNotEqual(shorter, text)
        with open(path, 'w') as file:
            file.write(shorter)
        summary = self.replay(source, self.path('out')).json()
        self.assertEqual(lasting(summary), lasting(self.run_first.json()))

    def test_length_of_most_vectors(self):
        """One first listing of another length is the bad record, not all others."""
        source = copy(self.market, self.path('odd'))
        records = read_topic(source, 'item-content')
        odd = records[0]._replace(value=listing(records[0].key.decode(), records[0].timestamp, [1.0, 2.0, 3.0]))
        write_file(os.path.join(source, 'item-content-0.avro'), [odd, *records[1:]])
        self.assertEqual(self.replay(source, self.path('out')).json()['dead_letters_by_reason'].get('vector'), 1)

    def test_seed(self):
        other = self.replay(self.market, self.path('out'), sets=SMALL + ['seed=1']).json()
        self.assertNotEqual(other['digest'], self.run_first.json()['digest'])
        self.assertNotEqual(fold(self.path('out'), ['ranker-deltas']), fold(self.first, ['ranker-deltas']))
        self.assertEqual((other['events'], other['labelled']), (2620, 2500))

    def test_snapshots_and_progress_change_nothing(self):
        self.replay(self.market, self.path('out'), sets=SMALL + ['snapshot.epochs=3', 'progress.interval_s=0.1'])
        self.assert_same_records(self.first, self.path('out'))

    def test_variants(self):
        digests = {self.run_first.json()['digest']}
        for variant in ('id', 'content', 'id+content', 'id+sid', 'smile', 'savior', 'full'):
            sets = SMALL + ['model.variant=' + variant]
            summary = self.replay(self.market, self.path(variant), sets=sets).json()
            self.assertEqual((summary['variant'], summary['events'], summary['labelled']), (variant, 2620, 2500))
            self.assertGreater(len(set(fold(self.path(variant), ['semantic-ids']).values())), 50)
            self.verify(self.market, self.path(variant), sets=sets)
            digests.add(summary['digest'])
        self.assertEqual(len(digests), 7)

    def test_settings_that_are_none(self):
        for wrong, words in (('model.variatn=id', ['model.variatn', 'model.variant?']),
                             ('model.variant=ids', ['id+content', 'id+sid']), ('model.width=3x', ['model.width', '3x']),
                             ('epoch.batches=0', ['epoch.batches', '1']), ('seed', ['key=value'])):
            result = self.check(run(*replay_words(self.market, self.path('out'), sets=[wrong])), BAD_CONFIG)
            self.says(result, *words)
        self.assertFalse(os.path.exists(self.path('out')), 'a refused replay makes no folder')

    def test_to_must_be_empty(self):
        before = {name: os.stat(os.path.join(self.first, name)).st_mtime_ns for name in os.listdir(self.first)}
        result = self.check(run(*replay_words(self.market, self.first)), CANNOT_CREATE)
        self.says(result, self.first, 'not empty', 'resume')
        os.mkdir(self.path('other'))
        with open(self.path('other', 'letter.txt'), 'w') as file:
            file.write('of someone else')
        for more in ([], ['--resume']):
            self.says(self.check(run(*replay_words(self.market, self.path('other'), *more)), CANNOT_CREATE), 'not empty')
        self.assertEqual(os.listdir(self.path('other')), ['letter.txt'])
        self.assertEqual(before, {name: os.stat(os.path.join(self.first, name)).st_mtime_ns for name in os.listdir(self.first)})
        os.mkdir(self.path('empty'))
        self.replay(self.market, self.path('empty'))

    def test_usage(self):
        for words in (['replay'], ['replay', '-c', CONFIG], ['replay', '-c', CONFIG, '--from', self.market],
                      ['replay', '--nonsense'], replay_words(self.market, self.path('out'), '--resume', '--verify')):
            self.says(self.check(run(*words), USAGE))
        self.check(run(*replay_words(self.market, self.path('out'), config=self.path('absent.yaml'))), NO_INPUT)
        self.check(run('replay', '--help'))

    def test_shipped_configuration_on_narrow_content(self):
        """conf/replay.yaml runs as it is where content has fewer numbers than its z_dims."""
        for dims, z_dims in ((8, 8), (7, 6), (2, 2)):
            market, out = self.generate(f'dims{dims}', '--dims', dims, items=90, events=600), self.path(str(dims))
            summary = self.replay(market, out, sets=[]).json()
            self.assertEqual((summary['events'], summary['onboarded']), (690, 90))
            self.assertIn(f'z_dims: {z_dims}\n', manifests(out)[0]['config'])
            self.verify(market, out, sets=[])
        market = self.generate('dims1', '--dims', 1, items=90, events=600)
        self.says(self.replay(market, self.path('none'), code=BAD_DATA, sets=[]), market, 'vector')

    def test_input_partitions(self):
        market = self.generate('partitions', '--partitions', 4)
        self.assertTrue(all(read_file(os.path.join(market, f'interactions-{p}.avro')) for p in range(4)))
        one = self.replay(market, self.path('one')).json()
        self.assert_sum(one)
        self.assertEqual((one['events'], one['labelled']), (2620, 2500))
        self.assertEqual(self.replay(market, self.path('two')).json()['digest'], one['digest'])
        self.assert_same_records(self.path('one'), self.path('two'))
        self.verify(market, self.path('one'))
        # merged by time: the manifests say in which order they were applied
        files = [read_file(os.path.join(market, f'interactions-{p}.avro')) for p in range(4)]
        applied = [record.timestamp for manifest in manifests(self.path('one')) if manifest['kind'] == 'CLICK'
                   for one in manifest['inputs'] for record in files[one['partition']][one['first_offset']:one['last_offset'] + 1]]
        self.assertEqual(len(applied), 2500)
        self.assertEqual(applied, sorted(applied))

    def test_labels_of_other_kinds(self):
        """Impressions joined with their clicks; clicks alone with sampled negatives."""
        for kind in ('impressions', 'clicks'):
            market = self.generate(kind, '--labels', kind)
            clicks = sum(decode('interactions-value', r.value)['action'] == 'CLICK' for r in read_topic(market, 'interactions'))
            summary = self.replay(market, self.path(kind)).json()
            self.assert_sum(summary)
            # a session may show one item twice, which a join cannot tell from a repeat
            self.assertLess(summary['dead_letters_by_reason'].pop('duplicate', 0), 25)
            self.assertEqual(summary['dead_letters_by_reason'], {})
            if kind == 'clicks':
                self.assertEqual((clicks, summary['labelled']), (2500, 5 * 2500))
            else:
                # those whose window is open when the stream ends give no sample
                self.assertTrue(0.95 * (2500 - clicks) < summary['labelled'] <= 2500 - clicks, (clicks, summary['labelled']))
            self.assertGreater(summary['auc'], 0.5)
            self.verify(market, self.path(kind))

    def logs_by_row(self, folder):
        """Each row's history in order, from all partitions of its topic; which partitions a key is in."""
        histories, places = collections.defaultdict(list), collections.defaultdict(set)
        for topic in ROW_TOPICS:
            for name in files_of(folder, topic):
                for record in read_file(os.path.join(folder, name)):
                    table = row_of(topic, record)[0]
                    if table != 'stage':  # it has the configuration's hash
                        histories[topic, record.key].append(record.value)
                        places[topic, record.key].add(name)
        return histories, places

    def test_output_partitions_and_compression(self):
        """The same rows, however they are spread or packed; one key in one partition."""
        expected, _ = self.logs_by_row(self.first)
        for sets in (SMALL + ['output.partitions=3'], SMALL + ['output.compression=deflate']):
            out = self.path(sets[-1])
            self.replay(self.market, out, sets=sets)
            histories, places = self.logs_by_row(out)
            self.assertEqual(histories, expected)
            self.assertEqual(max(map(len, places.values())), 1)
            self.verify(self.market, out, sets=sets)
        self.assertEqual(len(files_of(self.path('output.partitions=3'), 'ranker-deltas')), 3)
        self.assertEqual(len(files_of(self.path('output.partitions=3'), 'epochs')), 1)
        self.assertTrue(all(read_file(os.path.join(self.path('output.partitions=3'), f'changelog-{p}.avro')) for p in range(3)))

    def test_compressed_input(self):
        market = copy(self.market, self.path('market'))
        for name in data_files(market):
            write_file(os.path.join(market, name), read_file(os.path.join(market, name)), 'deflate', per_block=777)
        self.replay(market, self.path('out'))
        self.assert_same_records(self.first, self.path('out'))

    def test_order_of_files_in_the_folder_does_not_matter(self):
        """Merged by timestamp, listings first where it is equal: whatever order recording.yaml names the files in."""
        market = copy(self.market, self.path('market'))
        with open(self.path('market', 'recording.yaml')) as file:
            text = file.read()
        head, partitions, rest = re.match(r'(.*partitions:\n)(.*)(schemas:.*)', text, re.S).groups()
        entries = re.findall(r'- topic:.*?(?=- topic:|\Z)', partitions, re.S)
        with open(self.path('market', 'recording.yaml'), 'w') as file:
            file.write(head + ''.join(reversed(entries)) + rest)
        self.assertEqual(len(entries), 2)
        self.replay(market, self.path('out'))
        self.assert_same_records(self.first, self.path('out'))

    def test_parking(self):
        """A click before its item's listing waits for it; one whose item never comes is applied or set aside, as configured."""
        market = copy(self.market, self.path('market'))
        late, hour = b'item-00003', 3600000  # listed at the start; its listing now comes after some of its clicks
        clicks, listings = read_topic(market, 'interactions'), read_topic(market, 'item-content')
        shown = [r for r in clicks if decode('interactions-value', r.value)['item_id'].encode() == late]
        listings = [r._replace(timestamp=shown[1].timestamp + 1) if r.key == late else r for r in listings]
        unheard_of_ms = clicks[-1].timestamp - 3 * hour
        clicks.append(Record(0, unheard_of_ms, b'user-x', interaction('user-x', 'item-unheard-of', unheard_of_ms, label=1), []))
        for name, records in (('item-content-0.avro', listings), ('interactions-0.avro', clicks)):
            records = sorted(records, key=lambda record: record.timestamp)
            alter_file(market, name, lambda _: [r._replace(offset=i) for i, r in enumerate(records)])
        days = ['parking.ms=604800000']
        waiting = self.replay(market, self.path('waiting'), sets=SMALL + days).json()
        self.assert_sum(waiting)
        self.assertEqual((waiting['events'], waiting['parked'], waiting['dead_letters'], waiting['labelled']), (2621, 1, 0, 2500))
        applied = self.replay(market, self.path('apply')).json()
        self.assertEqual((applied['parked'], applied['dead_letters'], applied['labelled']), (0, 0, 2501))
        aside = self.replay(market, self.path('aside'), sets=SMALL + ['parking.policy=set-aside']).json()
        self.assert_sum(aside)
        self.assertGreaterEqual(aside['dead_letters_by_reason']['unknown-item'], 1)
        for out in ('waiting', 'apply', 'aside'):
            self.check(run(*replay_words(market, self.path(out), '--verify')))

    def test_delisting(self):
        """A null value takes the item out of the state and of every output: tombstones to the public topics."""
        market = copy(self.market, self.path('market'))
        last_seen = {}
        for record in read_topic(market, 'interactions'):
            last_seen[decode('interactions-value', record.value)['item_id'].encode()] = record.timestamp
        listed = {record.key for record in read_topic(market, 'item-content')[:60]}
        gone = min(listed & set(last_seen), key=last_seen.get)  # nobody looks at it any more when it goes
        alter_file(market, 'item-content-0.avro', lambda records: records + [
            Record(len(records), records[-1].timestamp + 1, gone, None, [])])
        summary = self.replay(market, self.path('out')).json()
        self.assert_sum(summary)
        self.assertEqual((summary['events'], summary['dead_letters'], summary['items']), (2621, 0, 119))
        left, before = fold(self.path('out')), fold(self.first)
        for table in ('sid', 'z', 'embedding', 'items', 'content'):
            self.assertIn((table, gone), before)
        self.assertEqual([key for key in left if key[1] == gone], [])
        self.verify(market, self.path('out'))


if __name__ == '__main__':
    program.main()
