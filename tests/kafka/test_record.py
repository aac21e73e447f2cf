"""record, on the real broker: a live run that was killed, recorded byte for byte, also through kills of `record` itself, and verified."""
from record_case import *
try:
    import fastavro
except ImportError:
    fastavro = None

KILLS = 3


class Recorded(RecordCase):
    def run_stage(self, name, events=6000, kills=KILLS, compacting=False):
        """A live run of content and click epochs, killed in between; the topics' prefix."""
        prefix = f'{name}{os.getpid()}.'
        market = self.generate(name, '--dims', DIMS, items=200, users=60, events=events)
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        create_inputs(prefix)
        if compacting:
            create_topics(prefix, ROW_TOPICS, {'cleanup.policy': 'compact', 'segment.ms': '200', 'min.cleanable.dirty.ratio': '0.001',
                                        'max.message.bytes': '4194304'})
        stage = self.start_stage(prefix, sets=self.SETS)
        self.wait_for_topics(prefix, stage)
        parts = kills + 1
        for at in range(parts):
            produce(prefix + 'item-content', listings[at::parts])
            produce(prefix + 'interactions', clicks[at::parts] + [clicks[0]._replace(value=b'\x07no')])
            if at < kills:
                time.sleep(self.random.uniform(0.5, 2))
                stage.kill()
                stage = self.start_stage(prefix, sets=self.SETS)
        wanted = len(listings) + len(clicks) + parts
        self.wait_until(lambda: sum(m['counts']['events'] for m in manifests_of(prefix)) >= wanted, f'{wanted} events', [stage])
        return prefix, stage

    def test_record_and_verify(self):
        prefix, stage = self.run_stage('record')
        self.assertEqual(stage.terminate(), OK)
        folder = self.path('recorded')
        answer = self.record(prefix, folder, '--until', 'latest', '--json').json()
        self.assert_recorded(prefix, folder)
        made = manifests(folder)
        self.assertEqual(answer['last_epoch'], made[-1]['epoch'])
        self.assertEqual({m['kind'] for m in made}, {'CONTENT', 'CLICK'})
        verified = self.verify(folder).json()
        self.assertEqual(verified['verified_epochs'], len(made))
        self.assertEqual((verified['rows_compacted'], verified['rows_compared']),
                         (0, sum(m['counts']['rows'] + m['counts']['dead_letters'] for m in made)))
        self.open_with_fastavro(folder, answer['records'])
        self.flip_bytes(folder)

    def test_begins_with_the_state(self):
        """The first inputs are gone: the recording begins after their last epoch, with the state that it left."""
        prefix, stage = self.run_stage('state', events=4000, kills=1)
        self.assertEqual(stage.terminate(), OK)
        made = manifests_of(prefix)
        delete_before(prefix, 'interactions', 1500)
        gone = [m['epoch'] for m in made if any(r['topic'] == 'interactions' and r['first_offset'] < 1500 for r in m['inputs'])]
        folder = self.path('recorded')
        answer = self.record(prefix, folder, '--until', 'latest', '--json').json()
        self.assertEqual((answer['state_epoch'], answer['last_epoch']), (gone[-1], made[-1]['epoch']))
        self.assertEqual(self.verify(folder).json()['verified_epochs'], made[-1]['epoch'] - gone[-1])
        self.assertEqual(manifests(folder)[0]['epoch'], gone[-1])
        # by choice: only what comes from there
        later = self.record(prefix, self.path('later'), '--from', 'interactions:0=2500', '--until', 'latest', '--json').json()
        self.assertGreater(later['state_epoch'], gone[-1])
        self.assertEqual(self.verify(self.path('later')).json()['verified_epochs'], made[-1]['epoch'] - later['state_epoch'])
        # a state that is not the manifest's
        with open(os.path.join(folder, 'state.snapshot'), 'r+b') as file:
            file.seek(-200, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        self.says(self.verify(folder, BAD_DATA), 'state.snapshot', 'damaged')

    def test_bounds(self):
        """Up to offsets, up to a time, and on from there: each a recording that verifies, the last one the whole."""
        prefix, stage = self.run_stage('bounds', events=3000, kills=0)
        self.assertEqual(stage.terminate(), OK)
        made, folder = manifests_of(prefix), self.path('recorded')
        answer = self.record(prefix, folder, '--until', 'interactions:0=1000', '--json').json()
        self.assertEqual([r.offset for r in read_topic(folder, 'interactions')], list(range(1000)))
        inside = [m['epoch'] for m in made if all(r['topic'] != 'interactions' or r['last_offset'] < 1000 for r in m['inputs'])]
        last = next(e for e in range(1, len(made) + 2) if e not in inside) - 1
        self.assertEqual((answer['last_epoch'], len(manifests(folder))), (last, last))
        self.assertEqual(self.verify(folder).json()['verified_epochs'], last)
        at = max(k for k in range(last, len(made) - 1) if made[k]['timestamp'] < made[k + 1]['timestamp'])
        answer = self.record(prefix, folder, '--resume', '--until', str(made[at]['timestamp'] + 1), '--json').json()
        self.assertEqual(answer['last_epoch'], made[at]['epoch'])
        self.assertEqual(self.verify(folder).json()['verified_epochs'], answer['last_epoch'])
        self.says(self.record(prefix, folder, '--resume', '--until', 'interactions:0=1000', code=USAGE), 'more than --until')
        self.record(prefix, folder, '--resume', '--until', 'latest')
        self.assert_recorded(prefix, folder)
        self.assertEqual(self.verify(folder).json()['verified_epochs'], len(made))
        self.says(self.record(prefix, self.path('x'), '--until', 'now', code=USAGE), 'latest', 'interactions:0=1500')

    def test_compacted(self):
        """Overwritten rows are gone: every digest is compared, and the rows that are there."""
        prefix, stage = self.run_stage('compacted', events=8000, kills=1, compacting=True)
        rows = sum(m['counts']['rows'] for m in manifests_of(prefix))
        self.wait_until(lambda: sum(len(committed(prefix + topic)) for topic in ROW_TOPICS) < rows / 2, 'compaction', [stage])
        self.assertEqual(stage.terminate(), OK)
        folder = self.path('recorded')
        self.record(prefix, folder, '--until', 'latest')
        verified = self.verify(folder).json()
        self.assertEqual(verified['verified_epochs'], len(manifests(folder)))
        self.assertGreater(verified['rows_compacted'], rows / 2)
        self.assertEqual(verified['rows_unseen'], 0)
        letters = len(read_topic(folder, 'dead-letter'))
        self.assertEqual(verified['rows_compared'], sum(len(read_topic(folder, topic)) for topic in ROW_TOPICS) + letters)
        # without the first inputs, and rows of then: from the last epoch on, as it comes
        delete_before(prefix, 'interactions', 1000)
        stage = self.start_stage(prefix, sets=[*self.SETS, 'model.rate_rows=0.05'])  # other settings from here on
        process = start(*record_words(prefix, self.path('onwards'), '--json'))
        self.wait_until(lambda: os.path.exists(self.path('onwards', 'sealed.log')), 'the recording', [stage])
        produce(prefix + 'interactions', read_topic(os.path.join(self.class_folder, 'compacted'), 'interactions')[:3000])
        before = len(manifests(folder))
        self.wait_until(lambda: len(manifests_of(prefix)) > before + 5, 'epochs', [stage])
        process.send_signal(signal.SIGTERM)
        answer = self.check(finish(process)).json()
        self.assertEqual(answer['state_epoch'], before)
        self.assertEqual(self.verify(self.path('onwards')).json()['verified_epochs'], answer['last_epoch'] - before)

    def test_other_settings_midway(self):
        prefix, stage = self.run_stage('settings', events=3000, kills=0)
        self.assertEqual(stage.terminate(), OK)
        stage = self.start_stage(prefix, sets=[*self.SETS, 'model.rate_rows=0.02', 'epoch.batches=1'])
        before = len(manifests_of(prefix))
        produce(prefix + 'interactions', read_topic(os.path.join(self.class_folder, 'settings'), 'interactions')[:1000])
        self.wait_until(lambda: len(manifests_of(prefix)) > before + 3, 'epochs', [stage])
        self.assertEqual(stage.terminate(), OK)
        self.record(prefix, self.path('recorded'), '--until', 'latest')
        self.assertEqual(self.verify(self.path('recorded')).json()['verified_epochs'], len(manifests_of(prefix)))

    def open_with_fastavro(self, folder, records):
        if fastavro is None:
            return
        count = 0
        for name in data_files(folder):
            with open(os.path.join(folder, name), 'rb') as file:
                count += sum(1 for _ in fastavro.reader(file))
        self.assertEqual(count, records)

    def flip_bytes(self, folder):
        """One bit of one record: the input, the row, the dead letter or the manifest is named."""
        def flipped(name, at):
            changed = copy(folder, self.path('flipped'))
            records = read_file(os.path.join(changed, name))
            one = records[at]
            value = bytearray(one.value)
            value[-1] ^= 1
            records[at] = one._replace(value=bytes(value))
            write_file(os.path.join(changed, name), records)
            result = self.verify(changed, BAD_DATA)
            shutil.rmtree(changed)
            return result
        self.says(flipped('interactions-0.avro', 1000), 'epoch', 'input interactions-0', 'offset 1000')
        for topic in ROW_TOPICS:
            self.says(flipped(topic + '-0.avro', -1), 'epoch', topic)
        self.says(flipped('dead-letter-0.avro', 0), 'dead letter of input interactions-0')
        self.says(flipped('epochs-0.avro', 3), 'manifest')

    def test_killed_and_resumed(self):
        """record itself is killed again and again, beside a stage at work; what it leaves is one recording."""
        prefix, stage = self.run_stage('resumed', events=10000, kills=0)
        folder = self.path('recorded')
        kills = 0
        for turn in range(40):
            process = start(*record_words(prefix, folder, '--until', 'latest', '--json', *(['--resume'] if turn else [])))
            try:
                process.wait(self.random.uniform(0.02, 0.15) if turn < 3 else self.random.uniform(0.1, 1) + 0.2 * turn)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            result = finish(process)
            if result.code == OK:
                break
            self.assertEqual(result.code, -signal.SIGKILL, result.err)
        self.assertGreater(kills, 2)
        self.assert_recorded(prefix, folder)
        self.verify(folder)
        # what has come since: without an end it follows, up to SIGTERM
        process = start(*record_words(prefix, folder, '--resume', '--json'))
        market = self.generate('more', '--dims', DIMS, items=20, users=20, events=3000)
        before = len(manifests_of(prefix))
        produce(prefix + 'interactions', read_topic(market, 'interactions'))
        self.wait_until(lambda: len(manifests_of(prefix)) > before + 2, 'epochs', [stage])
        process.send_signal(signal.SIGTERM)
        self.check(finish(process))
        self.assertEqual(stage.terminate(), OK)
        self.record(prefix, folder, '--resume', '--until', 'latest')
        self.assert_recorded(prefix, folder)
        self.verify(folder)
        self.says(self.record(prefix, folder, '--until', 'latest', code=CANNOT_CREATE), 'not empty')


if __name__ == '__main__':
    main()
