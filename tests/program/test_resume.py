"""replay --resume: whatever stops a replay, going on from there gives the records of one that was never stopped."""
import fcntl, os, re, shutil, signal, time
import program
from program import *

KILLS = 10
SNAPSHOTS = SMALL + ['snapshot.epochs=5']
SLOW = SMALL + ['model.width=48', 'model.hidden=[192,64]', 'model.history=50', 'snapshot.epochs=0']
SNAPSHOT = 'state.snapshot'


def sealed(folder):
    """How many epochs the folder has for certain."""
    try:
        with open(os.path.join(folder, 'sealed.log'), 'rb') as file:
            return file.read().count(b'\n')
    except FileNotFoundError:
        return 0


def change_bytes(path, change):
    with open(path, 'rb') as file:
        data = file.read()
    with open(path, 'wb') as file:
        file.write(change(data))


class Resume(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', '--partitions', 2)
        cls.whole = os.path.join(cls.class_folder, 'whole')
        started = time.monotonic()
        result = run(*replay_words(cls.market, cls.whole, '--json'))
        cls.replay_s = time.monotonic() - started
        if result.code != OK:
            raise AssertionError(result.err)
        cls.summary = result.json()
        cls.epochs = cls.summary['epochs']

    def assert_whole(self, folder, result):
        """As if nothing had happened: every record, the digest, every figure."""
        self.assertEqual(lasting(result.json()), lasting(self.summary))
        self.assert_same_records(self.whole, folder)
        with open(os.path.join(folder, 'recording.yaml')) as made, open(os.path.join(self.whole, 'recording.yaml')) as expected:
            self.assertEqual(made.read(), expected.read())

    def stop_after(self, folder, epochs, *more, sets=SMALL, sign=signal.SIGKILL, delay_s=0.0):
        """A replay that gets a signal once so many epochs are sealed; its Result."""
        # the lowest priority: so that this process sees the epochs as they come
        process = start(*replay_words(self.market, folder, '--json', *more, sets=sets), prepare=lambda: os.nice(19))
        while process.poll() is None and sealed(folder) < epochs:
            time.sleep(0.0003)
        time.sleep(delay_s)
        process.send_signal(sign)
        return finish(process)

    def halfway(self, name, epochs=None, sets=SMALL):
        """A folder in which a replay was killed; it is not finished."""
        folder = self.path(name)
        for _ in range(5):
            shutil.rmtree(folder, ignore_errors=True)
            if self.stop_after(folder, epochs or self.epochs // 3, sets=sets).code == -signal.SIGKILL:
                self.assertFalse(os.path.exists(os.path.join(folder, 'recording.yaml')))
                return folder
        self.fail('the replay is always done before it can be killed')

    def resume(self, folder, *more, code=OK, sets=SMALL, source=None):
        return self.replay(source or self.market, folder, '--resume', *more, code=code, sets=sets)

    def kill_often(self, folder, sets, between=None):
        """Ten kills, each at a random moment a bit further on (the seed is printed at the start)."""
        killed = 0
        for kill in range(KILLS):
            step = self.random.uniform(0, 1.6 * self.epochs / KILLS) if kill else 0
            delay_s = self.random.uniform(0, self.replay_s / KILLS / 2)
            epochs = min(sealed(folder) + int(step), self.epochs - 1)
            result = self.stop_after(folder, epochs, '--resume', sets=sets, delay_s=delay_s)
            found = f'after {sealed(folder)} of {self.epochs} epochs' if result.code < 0 else 'found it done'
            print(f'  kill {kill + 1}: {found}')
            self.assertIn(result.code, (OK, -signal.SIGKILL), result.err[-2000:])
            killed += result.code < 0
            if between:
                between(kill)
        self.assertGreater(killed, KILLS // 2, 'too few of the kills found it running')
        return self.resume(folder, sets=sets)

    def test_ten_kills(self):
        whole = self.replay(self.market, self.path('whole'), sets=SLOW).json()
        result = self.kill_often(self.path('out'), SLOW)
        self.assertEqual(lasting(result.json()), lasting(whole))
        self.assert_same_records(self.path('whole'), self.path('out'))
        self.assertFalse(os.path.exists(self.path('out', SNAPSHOT)))
        self.verify(self.market, self.path('out'), sets=SLOW)

    def test_ten_kills_with_snapshots(self):
        self.assert_whole(self.path('out'), self.kill_often(self.path('out'), SNAPSHOTS))

    def test_ten_kills_with_snapshots_spoilt(self):
        """Gone, cut off or changed between two runs: the log has everything."""
        path, spoilt = self.path('out', SNAPSHOT), []

        def spoil(kill):
            if not os.path.exists(path):
                return
            spoilt.append(kill)
            if kill % 3 == 0:
                os.unlink(path)
            elif kill % 3 == 1:
                os.truncate(path, self.random.randrange(os.path.getsize(path)))
            else:
                at, bit = self.random.randrange(os.path.getsize(path)), self.random.randrange(8)
                change_bytes(path, lambda data: data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:])
        self.assert_whole(self.path('out'), self.kill_often(self.path('out'), SNAPSHOTS, spoil))
        self.assertGreater(len(spoilt), 2)

    def test_snapshot_is_used_and_spoilt_ones_are_not(self):
        folder = self.halfway('out', sets=SNAPSHOTS)
        again = copy(folder, self.path('again'))
        latest = sealed(folder) // 5 * 5  # if the kill did not come before it was in its place
        self.assertRegex(self.resume(folder, sets=SNAPSHOTS).err, f'snapshot_epoch=({latest}|{latest - 5})\n')
        change_bytes(os.path.join(again, SNAPSHOT), lambda data: data[:-20] + bytes([data[-20] ^ 4]) + data[-19:])
        result = self.resume(again, sets=SNAPSHOTS)
        self.assertIn('event=snapshot.ignored', result.err)
        self.assertIn('snapshot_epoch=0', result.err)
        self.assert_whole(again, result)

    def test_snapshot_newer_than_the_log(self):
        """Of epochs whose end was lost: the log decides."""
        folder = self.halfway('out', sets=SNAPSHOTS)
        change_bytes(os.path.join(folder, 'sealed.log'), lambda data: b''.join(data.splitlines(True)[:4]))
        result = self.resume(folder, sets=SNAPSHOTS)
        self.assertIn('newer than the last sealed epoch', result.err)
        self.assert_whole(folder, result)

    def test_snapshot_of_another_replay(self):
        """Sound, but of other rows: the digests tell. The log alone, without it, is enough."""
        folder, other = self.halfway('out', sets=SNAPSHOTS), self.path('other')
        self.stop_after(other, 12, sets=SNAPSHOTS + ['seed=7'])
        shutil.copy(os.path.join(other, SNAPSHOT), folder)
        result = run(*replay_words(self.market, folder, '--resume', '--json', sets=SNAPSHOTS))
        if result.code != OK:
            self.says(self.check(result, BAD_DATA), 'manifest')
            os.unlink(os.path.join(folder, SNAPSHOT))
            result = self.resume(folder, sets=SNAPSHOTS)
        self.assert_whole(folder, result)

    def test_torn_log(self):
        """A last line that is not whole, or nonsense in its place: the line before counts."""
        whole = self.halfway('whole')
        with open(os.path.join(whole, 'sealed.log'), 'rb') as file:
            log = file.read()
        last = log.rindex(b'\n', 0, -1) + 1
        cases = {'one byte short': log[:-1], 'half a line': log[:(last + len(log)) // 2], 'a byte of a line': log[:last + 1],
                 'a changed length': log[:last] + log[last:].replace(b'changelog-0=', b'changelog-0=1', 1),
                 'a changed count': log[:last] + re.sub(rb'(dead-letter-0=\d+:\d+:)\d+', rb'\g<1>7', log[last:]),
                 'zeros': log + bytes(100), 'a line of words': log + b'epoch=9999 all is well\n',
                 'one line': log[:log.index(b'\n') + 1], 'nothing': b''}
        for name, text in cases.items():
            with self.subTest(name):
                folder = copy(whole, self.path(name))
                change_bytes(os.path.join(folder, 'sealed.log'), lambda _: text)
                self.assert_whole(folder, self.resume(folder))

    def test_files_longer_and_shorter(self):
        """What lies past the sealed epoch is cut; a file that does not reach it takes all of them back."""
        whole = self.halfway('whole')
        longer = copy(whole, self.path('longer'))
        for name in data_files(longer):
            with open(os.path.join(longer, name), 'ab') as file:
                file.write(self.random.randbytes(self.random.randrange(1, 5000)))
        self.assert_whole(longer, self.resume(longer))
        shorter = copy(whole, self.path('shorter'))
        path = os.path.join(shorter, 'changelog-0.avro')
        os.truncate(path, os.path.getsize(path) * 2 // 3)
        self.assert_whole(shorter, self.resume(shorter))
        os.unlink(os.path.join(whole, 'ranker-deltas-0.avro'))
        self.assert_whole(whole, self.resume(whole))

    def test_changed_outputs_are_refused(self):
        """A row that was changed while the replay stood still is no base to go on from."""
        folder = self.halfway('out')
        path = os.path.join(folder, 'ranker-deltas-0.avro')
        values = [r.value for r in read_file(path) if row_of('ranker-deltas', r)[:2] == ('z', b'item-00009')]

        def flip(data):
            at = data.rindex(values[-1]) + len(values[-1]) - 5  # the one that counts
            return data[:at] + bytes([data[at] ^ 16]) + data[at + 1:]
        change_bytes(path, flip)
        result = self.resume(folder, code=BAD_DATA)
        self.says(result, 'replay into a new folder')
        self.assertFalse(os.path.exists(os.path.join(folder, 'recording.yaml')))

    def test_terminated(self):
        for sign in (signal.SIGTERM, signal.SIGINT):
            folder = self.path(sign.name)
            result = self.check(self.stop_after(folder, self.epochs // 4, sign=sign), TRY_AGAIN)
            self.says(result, '--resume')
            self.assertEqual(result.out, '')
            self.assertFalse(os.path.exists(os.path.join(folder, 'recording.yaml')))
            self.assertLess(sealed(folder), self.epochs)
            self.assert_whole(folder, self.resume(folder))

    def test_terminated_again_and_again(self):
        """Every run gets somewhere, or at least loses nothing."""
        folder, reached = self.path('out'), 0
        for _ in range(6):
            code = self.stop_after(folder, reached + 5, '--resume', sets=SNAPSHOTS, sign=signal.SIGTERM).code
            self.assertIn(code, (TRY_AGAIN, OK))
            self.assertGreaterEqual(sealed(folder), reached)
            reached = sealed(folder)
        self.assert_whole(folder, self.resume(folder, sets=SNAPSHOTS))

    def test_absent_and_empty(self):
        self.assert_whole(self.path('absent', 'deep'), self.resume(self.path('absent', 'deep')))
        os.mkdir(self.path('empty'))
        self.assert_whole(self.path('empty'), self.resume(self.path('empty')))

    def test_killed_before_the_first_epoch(self):
        for delay_ms in range(0, 12, 2):
            folder = self.path(f'after-{delay_ms}-ms')
            self.stop_after(folder, 0, delay_s=delay_ms / 1000)
            self.assert_whole(folder, self.resume(folder))

    def test_finished(self):
        """Nothing is left to do, and it says so; the answer is the same, the files stay."""
        folder = copy(self.whole, self.path('out'))
        for _ in range(2):
            result = self.resume(folder)
            self.assertIn('event=replay.complete', result.err)
            self.assert_whole(folder, result)
        self.verify(self.market, folder)

    def test_other_configuration_is_refused(self):
        """With the setting named, and the folder left as it was: finished or not."""
        half = self.halfway('half')
        for folder in (half, copy(self.whole, self.path('finished'))):
            def state():
                return {name: (os.path.getsize(os.path.join(folder, name)), os.stat(os.path.join(folder, name)).st_mtime_ns)
                        for name in os.listdir(folder)}
            before = state()
            for other in ('seed=5', 'model.variant=id', 'model.width=12', 'model.rate_rows=0.2', 'epoch.batches=3',
                          'parking.ms=5', 'output.partitions=2', 'output.compression=deflate', 'content.dims=32'):
                result = self.resume(folder, code=BAD_CONFIG, sets=SMALL + [other])
                self.says(result, folder, other.split('=')[0] + ': ', 'new folder')
                self.assertEqual(state(), before, other)
        self.assert_whole(half, self.resume(half))

    def test_other_recording_is_refused(self):
        """Of the same shape, but not the one that the first epochs came from."""
        folder = self.halfway('out')
        other = self.generate('other', '--seed', 5)
        result = self.check(run(*replay_words(other, folder, '--resume', '--json')), BAD_CONFIG)
        self.says(result, folder, other, 'another recording')
        self.assert_whole(folder, self.resume(folder))

    def test_limits_may_be_raised(self):
        """A replay that ran full goes on with more room."""
        sets = SMALL + ['limits.items=100']
        result = self.replay(self.market, self.path('out'), sets=sets, code=BAD_CONFIG)
        self.says(result, 'items', 'limits.items')
        self.assert_whole(self.path('out'), self.resume(self.path('out')))

    def test_two_at_once(self):
        folder = self.halfway('out')
        with open(os.path.join(folder, 'sealed.log'), 'rb') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.says(self.resume(folder, code=CANNOT_CREATE), folder, 'another process')
        one, other = (start(*replay_words(self.market, folder, '--resume', '--json')) for _ in range(2))
        results = sorted((finish(one), finish(other)), key=lambda result: result.code)
        if results[1].code != OK:  # else one came after the other
            self.says(self.check(results[1], CANNOT_CREATE), folder, 'another process')
        self.assert_whole(folder, self.check(results[0]))

    def test_other_labels(self):
        """Impressions that wait and held clicks are state, too."""
        market = self.generate('impressions', '--labels', 'impressions')
        whole = self.replay(market, self.path('whole')).json()
        folder, self.market = self.path('out'), market
        self.epochs = whole['epochs']
        result = self.kill_often(folder, SNAPSHOTS)
        self.assertEqual(lasting(result.json()), lasting(whole))
        self.assert_same_records(self.path('whole'), folder)


if __name__ == '__main__':
    program.main()
