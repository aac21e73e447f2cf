"""The published ranker in NumPy: the forward pass of SMILE and SaviorRec over the tables of one view, to read, to port, to serve from.

Which parts a ranker has (model.variant and its switches) is told by Follower.model(); all of them are served.
The library's own Scorer gives the stage's bits; this agrees with it to float32's rounding.
"""
import numpy as np

EPSILON = 0.1  # of the attentions' unit vectors
HOUR_MS = 3_600_000


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class NumpyRanker:
    """Scores as of one view, from its tables, all taken at the start: so it goes on when the view's epoch has left memory."""

    def __init__(self, follower, view):
        self.view, self.model = view, follower.model()
        self.names = {table.name for table in follower.tables()}
        self.fused = self.model.variant in ('smile', 'full')  # b is I_f
        self.content = 'dense.wz' in self.names  # m is the content vector, not the codes' rows
        self.behaviour = self.model.variant != 'content'
        self.embedding, self.has_row = view.table('embedding'), view.live('embedding')
        self.sid = view.table('sid')
        self.has_sid, self.z = self.as_long(view.live('sid')), self.as_long(view.table('z'))
        self.counts = self.as_long(view.table('counts')).copy()
        self.counts[~self.as_long(view.live('counts')), 2] = -1  # never shown
        self.width = self.model.width
        for name in self.names:
            view.table(name)  # made now, while the epoch is in memory
        self.code_rows = {}  # (table, item's position) -> row

    def as_long(self, array):
        """A table ends with its last row: as long as the embeddings, zero where it ends sooner."""
        short = len(self.embedding) - len(array)
        return array[:len(self.embedding)] if short <= 0 else np.concatenate([array, np.zeros((short, *array.shape[1:]), array.dtype)])

    def tensor(self, name, *shape):
        """Large ones are published in chunks, the last one filled up."""
        return self.view.table('dense.' + name).reshape(-1)[:np.prod(shape)].reshape(shape)

    # ---- items: positions [n] -> vectors [n, d] ----

    def rows(self, name, positions):
        """The rows of a code table that the items' SIDs name; zero for an item without a SID."""
        out = np.zeros((len(positions), self.width), np.float32)
        for i, position in enumerate(positions):
            if (name, position) not in self.code_rows and self.has_sid[position]:
                self.code_rows[name, position] = self.view.table(name)[self.view.code_row(self.sid[position], name)]
            out[i] = self.code_rows.get((name, position), 0)
        return out

    def gate(self, positions, now_ms):
        """T: how far the item's own row is trusted. 1 without a SID; a half where no gate is learned."""
        hidden, has = self.model.gate_hidden, self.has_sid[positions]
        if hidden == 0:
            return np.where(has, np.float32(0.5), np.float32(1))
        h = relu(self.item_features(positions, now_ms) @ self.tensor('gate.w1', 4, hidden) + self.tensor('gate.b1', hidden))
        return np.where(has, sigmoid(h @ self.tensor('gate.w2', hidden) + self.tensor('gate.b2', 1)), np.float32(1))

    def item_features(self, positions, now_ms):
        """[n, 4]: exposures, clicks, their ratio, hours since the first exposure."""
        exposures, clicks, high, low = self.counts[positions].T.astype(np.float64)
        first = high * 2**20 + low  # milliseconds in two exact parts; the first is -1: never
        hours = np.where((high < 0) | (now_ms <= first), 0, (now_ms - first) / HOUR_MS)
        return np.stack([np.log1p(exposures) / 5, np.log1p(clicks) / 5, np.log((clicks + 1) / (exposures + 5)) / 2,
                         np.log1p(hours) / 5], 1).astype(np.float32)

    def from_codes(self, positions):
        """(I_RQ, I_OPQ), None where the ranker has no such rows."""
        d, rq, opq = self.width, None, None
        if 'E1' in self.names:
            rq = np.concatenate([self.rows(name, positions) for name in ('E1', 'E2', 'E3')], 1) @ self.tensor('fuse', 3 * d, d)
        if 'O1' in self.names:
            opq = self.rows('O1', positions) + self.rows('O2', positions)
        return rq, opq

    def from_content(self, positions):
        """z~ Wz: the content vector with what MBA adds to it."""
        z, d = self.z[positions], self.width
        if 'A1' in self.names:
            residual = np.concatenate([self.rows(name, positions) for name in ('A1', 'A2', 'A3')], 1) @ self.tensor('m1', 3 * d, d)
            z = z + np.tanh(residual) @ self.tensor('m2', d, self.model.z_dims)
        return z @ self.tensor('wz', self.model.z_dims, d)

    def views_of(self, positions, now_ms):
        """(behaviour, modal): b and m of the items [n, d], None where the variant has none."""
        own, (rq, opq), modal = self.embedding[positions, :self.width], self.from_codes(positions), None
        if self.content:
            modal = self.from_content(positions)
        elif rq is not None:
            modal = rq + opq
        if self.fused:
            t = self.gate(positions, now_ms)[:, None]
            own = t * own + (1 - t) * rq
            if self.model.opq_share > 0:
                own = own + np.float32(self.model.opq_share) * opq
        return own if self.behaviour else None, modal

    # ---- events ----

    def attention(self, v, query, key, values):
        """softmax(sharpness * unit(query) . unit(key)) values; zero without a history."""
        if len(key) == 0:
            return [np.zeros((len(query), self.width), np.float32) for _ in values]
        unit = [x / np.sqrt((x * x).sum(1, keepdims=True) + np.float32(EPSILON)) for x in (query, key)]
        scores = self.tensor('sharpness', 2)[v] * (unit[0] @ unit[1].T)
        weights = np.exp(scores - scores.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        return [weights @ value for value in values]

    def score(self, candidates, history=(), clicks=0, now_ms=0):
        """Logits [n] of candidates (positions) for a user with this history (positions, newest first) and so many clicks in all; NaN where
        there is no item."""
        candidates = np.asarray(candidates, np.int64)
        out = np.full(len(candidates), np.nan, np.float32)
        there = np.array([self.is_item(position) for position in candidates], bool)
        recent = np.array([p for p in list(history)[:self.model.history] if self.is_item(p)], np.int64)
        if there.any():
            out[there] = self._logits(candidates[there], recent, clicks, now_ms)
        return out

    def is_item(self, position):
        return position < len(self.has_row) and bool(self.has_row[position])

    def _logits(self, candidates, recent, clicks, now_ms):
        times = (candidates[:, None] == recent[None]).sum(1)
        user = np.stack([np.full(len(candidates), np.log1p(clicks) / 5), np.log1p(times)], 1).astype(np.float32)
        mine, theirs = self.views_of(candidates, now_ms), self.views_of(recent, now_ms)
        columns, crossed = [self.item_features(candidates, now_ms), user], []
        for v in (0, 1):
            if mine[v] is None:
                continue
            values = [theirs[v]] + ([theirs[1 - v]] if self.model.cross else [])
            seen, *other = self.attention(v, mine[v], theirs[v], values)
            columns += [mine[v], seen, mine[v] * seen]
            crossed = other + crossed  # keys of the modal view come first
        x = np.concatenate(columns + crossed, 1)
        for layer, size in zip('12', self.model.hidden):
            x = relu(x @ self.tensor('w' + layer, x.shape[1], size) + self.tensor('b' + layer, size))
        logits = x @ self.tensor('w3', self.model.hidden[1]) + self.tensor('b3', 1)
        return logits + self.embedding[candidates, self.width] if self.behaviour else logits
