"""run's local snapshot: written beside the epochs and at the end, taken up, too old, damaged, newer than the log, of another stage."""
import glob
from kafka_case import *

NAME = 'state.snapshot'


class Snapshot(KafkaCase):
    SETS = ['kafka.session_timeout_ms=1000', 'kafka.linger_ms=50', 'kafka.transaction_timeout_ms=5000', 'epoch.batches=1',
            'epoch.listings=20']

    def setUp(self):
        super().setUp()
        self.prefix = f'snapshot{os.getpid()}.{self._testMethodName}.'
        self.snapshots = self.path('snapshots')
        self.file = os.path.join(self.snapshots, NAME)
        market = self.generate(self._testMethodName, '--dims', DIMS, items=150, users=50, events=3000)
        self.listings, self.clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.produced = 0

    def start(self, *more, ready=True, every=2, **how):
        sets = [*self.SETS, f'snapshot.folder={self.snapshots}', f'snapshot.epochs={every}', *more]
        self.stage = self.start_stage(self.prefix, sets=sets, **how)
        if ready:
            self.wait_until(lambda: 'run.ready' in self.stage.said(), 'run.ready', [self.stage])
        return self.stage.said()

    def feed(self, count, topic='interactions'):
        """That many more clicks, committed."""
        records = self.listings if topic == 'item-content' else self.clicks[:count]
        if topic == 'interactions':
            self.clicks = self.clicks[count:]
        produce(self.prefix + topic, records)
        self.produced += len(records)
        self.wait_until(lambda: sum(m['counts']['events'] for m in manifests_of(self.prefix)) >= self.produced,
                        f'{self.produced} events', [self.stage])

    def life(self):
        """A stage that has lived a while, and ends orderly."""
        self.start()
        self.feed(0, 'item-content')
        self.feed(600)
        self.assertEqual(self.stage.terminate(), OK)
        self.assertTrue(os.path.exists(self.file))

    def epoch(self):
        return manifests_of(self.prefix)[-1]['epoch']

    def judge_goes_on(self, said, of_snapshot=None, aside=None):
        """It is ready, with the snapshot of that epoch or with none, set aside for that reason; and what it goes on to learn holds."""
        self.assertEqual(re.findall(r'snapshot\.read .*epoch=(\d+)', said), [str(of_snapshot)] if of_snapshot else [], said)
        reasons = re.findall(r'snapshot\.set_aside .*reason="?(.*?)"? remedy', said)
        self.assertEqual(len(reasons), 1 if aside else 0, said)
        if aside:
            self.assertIn(aside, reasons[0])
            self.assertTrue(os.path.exists(self.file + '.aside'))
        self.feed(100)
        self.assertEqual(self.stage.terminate(), OK)
        manifests = manifests_of(self.prefix)
        self.assertEqual([m['epoch'] for m in manifests], list(range(1, len(manifests) + 1)))
        shutil.rmtree(self.snapshots)
        self.start()  # and the log alone, whose digests it checks, agrees

    def test_orderly_end(self):
        self.life()
        self.judge_goes_on(self.start(), of_snapshot=self.epoch())

    def test_written_beside_the_epochs(self):
        self.start()
        self.feed(0, 'item-content')
        self.feed(300)
        self.wait_until(lambda: 'snapshot.written' in self.stage.said(), 'a snapshot', [self.stage])
        self.feed(300)
        self.stage.kill()
        leftover = self.file + '.12345.tmp'
        open(leftover, 'w').close()
        said = self.start(every=0)
        written = int(re.findall(r'snapshot\.read .*epoch=(\d+)', said)[0])
        self.assertLessEqual(written, self.epoch())
        self.assertFalse(glob.glob(self.file + '.*.tmp'), 'leftovers of a killed writer')
        self.judge_goes_on(said, of_snapshot=written)

    def test_stale(self):
        self.life()
        old, at = self.path('old'), self.epoch()
        shutil.copy(self.file, old)
        self.start()
        self.feed(1000)
        produce(self.prefix + 'item-content', [listing._replace(value=None) for listing in self.listings[:20]])
        self.produced += 20
        self.feed(500)
        self.stage.kill()
        shutil.copy(old, self.file)
        self.judge_goes_on(self.start(every=0), of_snapshot=at)

    def test_damaged(self):
        self.life()
        with open(self.file, 'r+b') as file:
            at = self.random.randrange(os.path.getsize(self.file))
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << self.random.randrange(8)]))
        self.judge_goes_on(self.start(), aside='not a usable snapshot')

    def test_truncated(self):
        self.life()
        os.truncate(self.file, self.random.randrange(os.path.getsize(self.file)))
        self.judge_goes_on(self.start(), aside='not a usable snapshot')

    def test_newer_than_the_log(self):
        self.life()
        at = self.epoch()
        admin = AdminClient({'bootstrap.servers': broker()})
        names = [self.prefix + topic for topic in (*INPUTS, *OUTPUT_TOPICS)]
        for future in admin.delete_topics(names).values():
            future.result()
        self.wait_until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), 'the topics to be gone')
        self.produced = 0
        said = self.start()
        self.feed(0, 'item-content')
        self.judge_goes_on(said, of_snapshot=at, aside='newer than the log')

    def test_older_than_the_tombstones(self):
        """The broker has dropped the tombstones of what the snapshot still has: only the digests can tell."""
        create_topics(self.prefix, ROW_TOPICS, COMPACTED)
        self.life()
        old, at = self.path('old'), self.epoch()
        shutil.copy(self.file, old)
        self.start()
        gone = [listing._replace(value=None) for listing in self.listings[:20]]
        produce(self.prefix + 'item-content', gone)
        self.produced += len(gone)
        keys = {listing.key for listing in gone}

        def dropped():
            self.feed(20)  # a segment that is written to is not cleaned
            return not keys & {message.key() for message in committed(self.prefix + 'semantic-ids')}
        self.wait_until(dropped, 'the tombstones to go', [self.stage])
        self.stage.kill()
        shutil.copy(old, self.file)
        self.judge_goes_on(self.start(every=0), of_snapshot=at, aside='not what its manifest says')

    def refuse(self, *more, text, code=BAD_CONFIG, **how):
        self.start(*more, ready=False, **how)
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), code)
        self.assertIn(text, self.stage.said())

    def test_of_another_application(self):
        self.life()
        mine, self.prefix = self.prefix, self.prefix + 'other.'
        self.refuse(text=f'has the snapshot of kafka.application \\"{mine}\\"')
        self.assertTrue(os.path.exists(self.file))

    def test_of_another_configuration(self):
        self.life()
        self.refuse('model.width=16', text='rows', code=BAD_DATA)

    def test_a_folder_for_each(self):
        self.life()
        self.start()
        self.refuse(text='another instance has it')

    def test_cannot_be_written(self):
        """The epochs go on."""
        self.start()
        os.mkdir(self.file)
        self.feed(0, 'item-content')
        self.feed(600)
        self.wait_until(lambda: 'snapshot.failed' in self.stage.said(), 'the warning', [self.stage])
        self.feed(100)
        self.assertEqual(self.stage.terminate(), OK)


if __name__ == '__main__':
    main()
