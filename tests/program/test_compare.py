"""compare, from outside: its figures against those of the replays, its intervals against a bootstrap in Python on the published rows."""
from program import *

BINS = 64
CONFIGS = {'a': ['model.variant=id'], 'b': ['model.variant=id+sid', 'model.batch=32']}


def compare(*words):
    return run('compare', *words)


def user_scores(folder):
    """Last row of each user: (negatives, positives) of all events and of those on cold items."""
    rows = {}
    for record in read_topic(folder, 'changelog'):
        table, key, value, *_ = row_of('changelog', record)
        if table == 'user_scores':
            counts = struct.unpack('<256H', value)
            parts = [counts[at:at + BINS] for at in range(0, 256, BINS)]
            rows[key] = (parts[0], parts[1]), (parts[2], parts[3])
    return rows


def auc(negatives, positives):
    below = won = 0
    for n, p in zip(negatives, positives):
        won += p * (below + n / 2)
        below += n
    return won / (below * sum(positives)) if below and sum(positives) else None


def pooled(users, part):
    return auc(*([sum(user[part][side][b] for user in users) for b in range(BINS)] for side in (0, 1)))


class Compare(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=200, users=80, events=6000)
        cls.folders, cls.summaries = {}, {}
        for name, sets in CONFIGS.items():
            cls.folders[name] = os.path.join(cls.class_folder, name)
            result = run(*replay_words(cls.market, cls.folders[name], '--json', sets=SMALL + sets))
            if result.code != OK:
                raise AssertionError(result.err)
            cls.summaries[name] = json.loads(result.out)

    def compare(self, *names):
        return json.loads(self.check(compare(*(self.folders[name] for name in names), '--json')).out)

    def test_figures_are_those_of_the_replays(self):
        answer = self.compare('a', 'b')
        for figure in ('auc', 'auc_cold', 'gauc', 'ne', 'sid_unique', 'sid_churn'):
            for side in CONFIGS:
                self.assertAlmostEqual(answer[figure][side] or 0, self.summaries[side][figure] or 0, 6, figure)
        self.assertEqual(set(answer['settings']), {'model.variant', 'model.batch'})
        self.assertEqual(answer['settings']['model.variant'], {'a': 'id', 'b': 'id+sid'})

    def test_intervals_are_those_of_a_bootstrap_by_user(self):
        answer = self.compare('a', 'b')
        a, b = user_scores(self.folders['a']), user_scores(self.folders['b'])
        self.assertEqual(set(a), set(b))
        users = sorted(a)
        self.assertEqual(answer['users'], sum(any(map(any, a[user][0])) for user in users))
        for part, figure in enumerate(('auc', 'auc_cold')):
            differences = []
            for _ in range(400):
                drawn = self.random.choices(users, k=len(users))
                differences.append(pooled([b[user] for user in drawn], part) - pooled([a[user] for user in drawn], part))
            differences.sort()
            low, high = differences[10], differences[-11]
            width = high - low
            self.assertAlmostEqual(answer[figure]['low'], low, delta=width / 3)
            self.assertAlmostEqual(answer[figure]['high'], high, delta=width / 3)
            middle = pooled(b.values(), part) - pooled(a.values(), part)
            self.assertTrue(answer[figure]['low'] < middle < answer[figure]['high'])

    def test_the_other_way_round(self):
        there, back = self.compare('a', 'b'), self.compare('b', 'a')
        self.assertAlmostEqual(there['auc']['low'], -back['auc']['high'], 6)
        self.assertAlmostEqual(there['auc']['better'] + back['auc']['better'], 1, 6)
        self.assertEqual(there, self.compare('a', 'b'))

    def test_with_itself(self):
        answer = self.compare('a', 'a')
        for figure in ('auc', 'auc_cold', 'gauc'):
            self.assertEqual([answer[figure][name] for name in ('low', 'high', 'difference', 'better')], [0, 0, 0, 0])
        self.assertEqual(answer['settings'], {})

    def test_text(self):
        result = self.check(compare(self.folders['a'], self.folders['b']))
        for words in (self.folders['a'], 'auc_cold', 'settings that differ', 'model.variant', 'id -> id+sid'):
            self.assertIn(words, result.out)

    def test_what_cannot_be_compared(self):
        other = self.generate('other', '--seed', 7, items=200, users=80, events=6000)
        self.replay(other, self.path('other'), sets=SMALL)
        self.says(self.check(compare(self.folders['a'], self.path('other')), BAD_DATA), 'the same events')
        self.says(self.check(compare(self.folders['a'], self.market), NO_INPUT), self.market, 'replay')
        self.says(self.check(compare(self.folders['a'], self.path('nowhere')), NO_INPUT), 'nowhere')
        self.assertIn('DIR_A DIR_B', self.check(compare(self.folders['a']), USAGE).err)


if __name__ == '__main__':
    main()
