"""What the modules of SMILE and SaviorRec do for a stream as a whole, on a synthetic marketplace: items that nobody has seen, the
gate, and content and semantic IDs that stay as they are while the ranker learns."""
from program import *

SETS = [s for s in SMALL if not s.startswith(('tokenizer.codebooks', 'generation.release', 'epoch.batches'))] + ['epoch.batches=8', 'model.batch=32']
ABLATIONS = {'whole': 'model.variant=full', 'without MBA': 'model.mba=off', 'without cross attention': 'model.cross=off', 'gate at one half': 'model.gate=half',
             'without transfer loss': 'model.kl_weight=0', 'without OPQ': 'model.opq=off', 'without contrast': 'model.contrast_weight=0'}


class Alignment(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=1500, users=300, events=60000)
        cls.summaries = {}
        for variant in ('full', 'id'):
            result = run(*replay_words(cls.market, os.path.join(cls.class_folder, variant), '--json', sets=SETS + ['model.variant=' + variant]))
            if result.code != OK:
                raise AssertionError(result.err)
            cls.summaries[variant] = json.loads(result.out)

    def test_items_never_shown_are_ranked(self):
        """Their first score already has the rows of their codes, MBA and gate; by id alone it is a guess."""
        full, by_id = (self.summaries[v]['auc_by_exposures']['0'] for v in ('full', 'id'))
        self.assertAlmostEqual(by_id, 0.5, delta=0.05)
        self.assertGreater(full, by_id + 0.05)
        for figure in ('auc', 'auc_cold'):
            self.assertGreater(self.summaries['full'][figure], self.summaries['id'][figure] + 0.02)

    def test_the_gate_rises_with_exposures(self):
        """Nobody tells it to."""
        gates = [t for t in self.summaries['full']['gate_by_exposures'].values() if t is not None]
        self.assertGreaterEqual(len(gates), 4)
        self.assertEqual(gates, sorted(gates))
        self.assertGreater(gates[-1], gates[0] + 0.05)
        self.assertTrue(0 < gates[0] and gates[-1] < 1)
        self.assertEqual(set(self.summaries['id']['gate_by_exposures'].values()), {None})

    def test_content_and_ids_stay(self):
        """Frozen codebooks: each item's z and SID are published once, whatever the ranker learns."""
        folder = os.path.join(self.class_folder, 'full')
        sids = collections.Counter(record.key for record in read_topic(folder, 'semantic-ids'))
        z = collections.Counter(key for table, key, *_ in (row_of('ranker-deltas', r) for r in read_topic(folder, 'ranker-deltas')) if table == 'z')
        self.assertEqual((set(sids.values()), set(z.values())), ({1}, {1}))
        self.assertEqual((len(sids), len(z)), (1500, 1500))

    def test_every_part_can_be_left_out(self):
        digests, market = set(), self.generate('small')
        for name, switch in ABLATIONS.items():
            with self.subTest(name):
                summary = self.check(run(*replay_words(market, self.path(switch), '--json', sets=SETS + [switch]))).json()
                self.assertNotIn(summary['digest'], digests)
                digests.add(summary['digest'])
                self.assertEqual(set(summary['gate_by_exposures'].values()) == {None}, switch == 'model.gate=half')


if __name__ == '__main__':
    main()
