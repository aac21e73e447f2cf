"""The Python package against what the outputs hold, read by the tests' own Avro reader, and against the program. Run by fresh_environment.py; by hand with
COLDSTREAM, COLDSTREAM_LIBRARY and PYTHONPATH=python set."""
import gc, os, subprocess, sys, threading, types, urllib.error, urllib.request

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[1:1] = [os.path.join(TESTS, 'program'), os.path.join(os.path.dirname(TESTS), 'python', 'examples')]
import numpy as np

import coldstream
from coldstream import Follower
from coldstream import _library
from numpy_ranker import NumpyRanker
from prefix_trie import PrefixTrie
import program
from program import Case, SMALL, decode, read_topic, run, settings

STILL = [setting for setting in SMALL if not setting.startswith(('generation.', 'encoder.', 'model.encoder', 'tokenizer.codebooks',
                                                                 'tokenizer.collision'))]
VARIANTS = ['id', 'content', 'id+content', 'id+sid', 'smile', 'savior', 'full']


class Package(Case):
    """`out`: SIDs, codebooks and generations move. `still`: they do not, so a SID is a function of its vector."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=150, users=60, events=3000)
        listings = read_topic(cls.market, 'item-content')
        cls.gone = [record._replace(offset=len(listings) + at, value=None, timestamp=listings[-1].timestamp + 1 + at)
                    for at, record in enumerate(listings[3:60:9])]
        program.alter_file(cls.market, 'item-content-0.avro', lambda records: records + cls.gone)
        for name, sets in (('out', SMALL), ('still', STILL)):
            setattr(cls, name, os.path.join(cls.class_folder, name))
            result = run(*program.replay_words(cls.market, getattr(cls, name), sets=[*sets, 'model.variant=full', 'output.partitions=3']))
            if result.code != 0:
                raise AssertionError(result.err)
        last = {record.key.decode(): record.value for record in read_topic(cls.out, 'semantic-ids')}
        cls.live = {item: decode('semantic-ids-value', value) for item, value in last.items() if value}

    def follower(self, folder=None, **how):
        follower = Follower.recording(folder or self.out, **how)
        follower.wait()
        self.addCleanup(follower.close)
        return follower

    def id_at(self, position):
        with self.follower().view() as view:
            return view.ids([position])[0]

    # ---- look-ups ----

    def test_items(self):
        with self.follower().view() as view:
            for name, value in self.live.items():
                item = view.item(name)
                self.assertEqual((list(item.codes), item.generation, item.epoch, item.reason),
                                 (value['codes'], value['generation'], value['assigned_epoch'], value['reason']))
                self.assertEqual((view.ids([item.position]), view.find('sid', name)), ([name], item.position))
            names = [*self.live, self.gone[0].key, next(iter(self.live)).encode(), '']
            rows, found = view.items(names)
            self.assertEqual(found.tolist(), [True] * len(self.live) + [False, True, False])
            self.assertEqual(rows['codes'][:len(self.live)].tolist(), [value['codes'] for value in self.live.values()])
            self.assertEqual(rows['clicks'].tolist()[:9], [view.item(name).clicks for name in names[:9]])
            self.assertEqual([name for name in view.ids() if name], [name for name in sorted(self.live, key=lambda n: view.item(n).position)])
            self.assertEqual((view.get('absent'), 'absent' in view, names[0] in view), (None, False, True))

    def test_prefixes_and_neighbours(self):
        with self.follower().view() as view:
            sid, z = view.table('sid'), view.table('z')
            now = sid['generation'] == view.facts().generation
            for position in self.random.sample(np.flatnonzero(view.live('sid')).tolist(), 10):
                for depth in range(1, 6):
                    same = (sid['codes'][:, :depth] == sid['codes'][position, :depth]).all(1) & now & view.live('sid')
                    self.assertEqual(view.prefix(sid['codes'][position, :depth].tolist()).tolist(), np.flatnonzero(same).tolist())
                shared = np.cumprod(sid['codes'] == sid['codes'][position], 1).sum(1)
                others = [(-shared[i], ((z[i] - z[position])**2).sum(), i) for i in range(len(sid))
                          if i != position and shared[i] and view.live('sid')[i] and sid['generation'][i] == sid['generation'][position]]
                self.assertEqual(view.neighbours(position, 3).tolist(), [i for *_, i in sorted(others)[:3]])

    # ---- tables ----

    def test_tables_are_the_rows_of_the_topic(self):
        newest, checked = {}, 0
        for record in read_topic(self.out, 'ranker-deltas'):
            key = decode('row-key', record.key)
            newest[key['table'], key['key']] = record.value and decode('row-value', record.value)
        with self.follower().view() as view:
            for (name, _), value in newest.items():
                if value is not None:
                    self.assertEqual(view.table(name)[value['position']].tobytes(), value['value'])
                    self.assertTrue(view.live(name)[value['position']])
                    checked += 1
            self.assertGreater(checked, 500)
            one, other = np.flatnonzero(view.live('embedding'))[[5, 2]]
            rows, found = view.rows('embedding', [one, 10**6, other])
            self.assertEqual((found.tolist(), rows[1].any()), ([True, False, True], False))
            self.assertEqual(rows[[0, 2]].tobytes(), view.table('embedding')[[one, other]].tobytes())
            self.assertFalse(view.live('embedding').all())  # of the items that are delisted

    def test_arrays_are_the_librarys_memory(self):
        """Not copied, read-only, and alive for as long as somebody holds them: also when view and follower are closed."""
        follower = Follower.recording(self.out)
        follower.wait()
        view = follower.view()
        array, again, kept = view.table('embedding'), view.table('embedding'), view.table('sid')['codes'].copy()
        self.assertTrue(np.shares_memory(array, again))
        with self.assertRaises(ValueError):
            array[0, 0] = 1
        codes, total = view.table('sid')['codes'], array.sum()
        view.close()
        follower.close()
        del view, follower, again
        gc.collect()
        for _ in range(3):  # memory that was given back would be taken by these
            self.follower().view().table('embedding')
        self.assertEqual((codes.tolist(), array.sum()), (kept.tolist(), total))

    def test_closing_in_any_order(self):
        """Handles are closed once, children first, whoever goes first in Python."""
        closed = []
        real = {name: getattr(_library.lib, name) for name in ('cs_close', 'cs_view_close', 'cs_scorer_close')}
        for name, close in real.items():
            self.addCleanup(setattr, _library.lib, name, close)
            setattr(_library.lib, name, lambda pointer, name=name, close=close: (closed.append(name), close(pointer)))
        follower = Follower.recording(self.out)
        follower.wait()
        view = follower.view()
        scorer, array = view.scorer(), view.table('z')
        follower.close(), view.close(), gc.collect()
        self.assertEqual(closed, [])
        del array
        self.assertEqual(closed, [])
        self.assertEqual(scorer.score([0]).shape, (1,))
        del scorer, view
        self.assertEqual(closed, ['cs_scorer_close', 'cs_view_close', 'cs_close'])

    def test_torch(self):
        with self.follower().view() as view:
            try:
                import torch
            except ImportError:
                with self.assertRaisesRegex(ImportError, 'pip install torch'):
                    view.as_torch('z')
                return
            tensor = view.as_torch('z')
            self.assertEqual(tensor.data_ptr(), view.table('z').ctypes.data)
            self.assertEqual(tensor.dtype, torch.float32)

    # ---- encoding, scoring, export ----

    def test_encoding(self):
        vectors, names = [], []
        for record in read_topic(self.market, 'item-content'):
            if record.key not in {gone.key for gone in self.gone}:
                vectors.append(decode('item-content-value', record.value)['modalities'][0]['vector'])
                names.append(record.key.decode())
        with self.follower(self.still).view() as view:
            encoder = view.encoder()
            rows, found = view.items(names)
        self.assertTrue(found.all())
        encoded = encoder.encode(np.array(vectors, np.float32))  # the view is closed
        self.assertEqual(encoded.codes.tolist(), rows['codes'].tolist())
        self.assertEqual(encoded.error.tolist(), rows['quantisation_error'].tolist())
        with self.assertRaises(coldstream.InvalidError):
            encoder.encode(np.zeros((2, encoder.content_dims + 1)))
        with self.assertRaisesRegex(coldstream.InvalidError, 'vector 1 .* 2'):
            vectors = np.zeros((2, encoder.content_dims))
            vectors[1, 2] = np.inf
            encoder.encode(vectors)

    def test_the_ranker_in_numpy_is_the_librarys(self):
        for variant in VARIANTS:
            out = self.path(variant)
            more = {'smile': ['model.gate=half'], 'full': ['model.opq_share=0.7']}.get(variant, [])
            self.check(run('replay', '-c', program.CONFIG, '--from', self.market, '--to', out,
                           *settings([*SMALL, *more, f'model.variant={variant}', 'epoch.batches=8'])))
            follower = self.follower(out)
            with self.subTest(variant), follower.view() as view:
                ranker, scorer, now = NumpyRanker(follower, view), view.scorer(), view.facts().timestamp_ms
                for history in ([], [3], [self.random.randrange(200) for _ in range(12)]):
                    candidates = np.arange(200)  # some of them are not there
                    ours, theirs = (by.score(candidates, history, 7, now) for by in (ranker, scorer))
                    self.assertEqual(np.isnan(ours).tolist(), np.isnan(theirs).tolist())
                    self.assertGreater(np.nanstd(theirs), 0.05)
                    np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=2e-5)

    def test_export_is_the_programs(self):
        self.check(run('follow', '--from', self.out, '--export', self.path('program')))
        with self.follower().view() as view:
            view.export(self.path('package'))
        for name in ('tables.safetensors', 'items.csv'):
            with open(self.path('program', name), 'rb') as a, open(self.path('package', name), 'rb') as b:
                self.assertEqual(a.read(), b.read(), name)
        self.assertEqual(sorted(os.listdir(self.path('package'))), ['items.csv', 'tables.safetensors'])

    # ---- following ----

    def test_changes_fold_to_the_table(self):
        for how in ({}, {'settings': {'undo_bytes': 65536}}):
            table, epochs, wholes, reasons = {}, [], 0, set()
            with Follower.recording(self.out, **how) as follower:
                for changes in follower.changes():
                    table = {} if changes.whole else table
                    wholes += changes.whole
                    epochs.append(changes.epoch)
                    reasons |= {change.reason for change in changes.items}
                    for change in changes.items:
                        if change.codes is not None:
                            table[change.item] = change.codes
                        else:
                            self.assertEqual(change.previous, table.pop(change.item))
            self.assertEqual({item: list(codes) for item, codes in table.items()}, {item: value['codes'] for item, value in self.live.items()})
            self.assertEqual(epochs, sorted(set(epochs)))
            if not how:
                self.assertEqual(wholes, 1)
                self.assertTrue({'NEW', 'DRIFT', 'GENERATION', 'DELISTED'} <= reasons, reasons)

    def in_another_python(self, text):
        """What a script does to its interpreter stays there."""
        script = self.path('script.py')
        with open(script, 'w') as file:
            file.write('import gc, sys, threading\nimport coldstream\n' + text)
        result = subprocess.run([sys.executable, '-B', script, self.out], capture_output=True, text=True, env=os.environ)
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])

    def test_garbage_with_cycles(self):
        """Python ends the objects of a cycle in any order: globals at the end of a script with a function, and rings of any order."""
        self.in_another_python("""
def unused(): pass
follower = coldstream.Follower.recording(sys.argv[1])
follower.wait()
for turn in range(20):
    ring = []
    parts = [follower, follower.view()]
    parts.append(parts[1].scorer())
    ring.extend(parts[::-1] if turn % 2 else parts)
    ring.append(ring)
    del parts, ring
    if turn == 10:
        follower = coldstream.Follower.recording(sys.argv[1])
        follower.wait()
    gc.collect()
view = follower.view()
""")

    def test_closing_while_others_look(self):
        self.in_another_python("""
def look(view):
    try:
        while True:
            view.prefix([1]), view.stale
    except coldstream.InvalidError:
        pass
for turn in range(10):
    follower = coldstream.Follower.recording(sys.argv[1])
    follower.wait()
    view = follower.view()
    threads = [threading.Thread(target=look, args=(view,)) for _ in range(3)]
    for thread in threads: thread.start()
    view.prefix([1])
    view.close(), follower.close()
    for thread in threads: thread.join()
""")

    def test_readers_beside_the_librarys_thread(self):
        """What a view shows is of one epoch, whatever the thread does meanwhile: its facts and its table agree."""
        follower, problems, seen = Follower.recording(self.out), [], set()

        def read():
            try:
                while not done.is_set():
                    try:
                        with follower.view() as view:
                            items, live = view.facts().items, int(view.live('sid').sum())
                            seen.add(view.epoch)
                            if items != live:
                                problems.append((view.epoch, items, live))
                    except (coldstream.AgainError, coldstream.StaleError):
                        pass
            except Exception as error:
                problems.append(error)
        done = threading.Event()
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        with follower.start():
            follower.wait(timeout=120)
            while follower.stats().epoch not in seen and not problems:
                done.wait(0.001)
            done.set()
            for reader in readers:
                reader.join()
        self.assertEqual(problems, [])

    def test_the_trie_decodes_only_what_there_is(self):
        trie = PrefixTrie()
        with Follower.recording(self.out) as follower:
            for changes in follower.changes():
                trie.apply(changes)
        sids = {item: tuple(value['codes']) for item, value in self.live.items()}
        self.assertEqual(trie.sids, sids)
        for sid in sids.values():
            self.assertEqual(trie.items(sid), sorted(item for item in sids if sids[item] == sid))
            for depth in range(5):
                self.assertEqual(trie.allowed(sid[:depth]), sorted({other[depth] for other in sids.values() if other[:depth] == sid[:depth]}))
        self.assertEqual(trie.allowed((65535,)), [])
        draw = np.random.default_rng(program.seed())
        logits = {depth: draw.normal(size=64) for depth in range(5)}
        best = trie.decode(lambda prefix: logits[len(prefix)], beam=len(sids))
        self.assertEqual({sid for _, sid in best}, set(sids.values()))
        self.assertEqual([score for score, _ in best], sorted((score for score, _ in best), reverse=True))
        for item in list(sids):
            trie.take(item)
        self.assertEqual((trie.next, trie.leaves, len(trie)), ({}, {}, 0))

    def test_the_server(self):
        script = os.path.join(os.path.dirname(TESTS), 'python', 'examples', 'serve_scores.py')
        with self.follower().view() as view:
            now, items, scorer = view.facts().timestamp_ms, view.ids([4, 5, 6]), view.scorer()
            expected = 1 / (1 + np.exp(-scorer.score([4, 5, 6], [7], 3, now).astype(float)))
        for more in ([], ['--library']):
            process = subprocess.Popen([sys.executable, '-B', script, '--from', self.out, '--port', '0', *more], stderr=subprocess.PIPE, text=True)
            try:
                address = process.stderr.readline().split()[-1]
                query = f'{address}?items={",".join(items)},absent&history={self.id_at(7)}&clicks=3'
                with urllib.request.urlopen(query, timeout=60) as answer:
                    told = program.json.load(answer)
                self.assertIsNone(told['scores'].pop('absent'))
                np.testing.assert_allclose([told['scores'][item] for item in items], expected, atol=1e-5)
                with self.assertRaises(urllib.error.HTTPError):
                    urllib.request.urlopen(address + '?clicks=x', timeout=60)
            finally:
                process.terminate()
                process.communicate()

    # ---- errors ----

    def test_errors_by_kind(self):
        with self.assertRaisesRegex(coldstream.UnavailableError, 'nowhere'):
            Follower.recording(self.path('nowhere'))
        with self.assertRaisesRegex(coldstream.ConfigError, 'nonsense'):
            Follower.recording(self.out, settings={'nonsense': 1})
        with self.assertRaises(coldstream.ConfigError):
            Follower.kafka()
        with self.follower().view() as view:
            for position in -1, 2**32:
                with self.assertRaises(coldstream.InvalidError):
                    view.key('sid', position)
                with self.assertRaises(coldstream.InvalidError):
                    view.neighbours(position)
        follower = Follower.recording(self.out)
        with self.assertRaises(coldstream.AgainError):
            follower.view()
        follower.wait()
        last = follower.stats().epoch
        with self.assertRaises(coldstream.EndOfRecording):
            follower.wait(last + 1)
        with self.assertRaises(TimeoutError):
            follower.view(last + 1)
        view = follower.view()
        with self.assertRaisesRegex(KeyError, 'nobody'):
            view.item('nobody')
        with self.assertRaisesRegex(coldstream.AbsentError, 'embedding'):
            view.table('no such table')
        for wrong in ([-1], [0.5], [[1]], [2**32]):
            with self.assertRaises(coldstream.InvalidError):
                view.rows('z', wrong)
        for wrong in ([], [1] * 6, [70000]):
            with self.assertRaises(coldstream.InvalidError):
                view.prefix(wrong)
        view.close(), follower.close()
        for call in (view.facts, lambda: view.table('z'), follower.stats, follower.view):
            with self.assertRaisesRegex(coldstream.InvalidError, 'closed'):
                call()

    def test_a_stale_view_says_so(self):
        with Follower.recording(self.out, settings={'undo_bytes': 65536}) as follower:
            follower.wait(1)
            view = follower.view()
            array, copy = view.table('z'), view.table('z').copy()
            follower.wait()
            self.assertTrue(view.stale)
            for call in (lambda: view.item(next(iter(self.live))), lambda: view.table('embedding'), view.scorer):
                with self.assertRaises(coldstream.StaleError):
                    call()
            self.assertEqual(array.tobytes(), copy.tobytes())

    def test_without_the_library(self):
        for named, words in ((self.path('nowhere.so'), 'COLDSTREAM_LIBRARY=.*libcoldstream.so.0'), ('libm.so.6', 'is no libcoldstream')):
            result = subprocess.run([sys.executable, '-c', 'import coldstream'], env={**os.environ, 'COLDSTREAM_LIBRARY': named},
                                    stderr=subprocess.PIPE, text=True)
            self.assertNotEqual(result.returncode, 0)
            self.assertRegex(result.stderr.splitlines()[-1], words)
        for version, fits in (('0.1.0', True), ('0.2.7', True), ('0.0.9', False), ('1.1.0', False)):
            library = types.SimpleNamespace(_name='a library', cs_version=type('f', (), {'__call__': lambda self, v=version: v.encode()})())
            if fits:
                _library._check_version(library)
            else:
                with self.assertRaisesRegex(coldstream.LibraryNotFound, 'version ' + version):
                    _library._check_version(library)


if __name__ == '__main__':
    program.main()
