"""The prefix trie that a generative retriever decodes over, kept current: after some codes of a semantic ID, which codes may follow?

    python prefix_trie.py --from out                         a line for each epoch that changes it, and a few nodes at the end
    python prefix_trie.py --brokers broker:9092              the same, live

A beam search asks allowed() at each step and sets the logits of all other codes to minus infinity (masked()), so that it never makes up an
item. In the move from one generation to the next, items of both are in the trie: each answers under the SID that it has.
"""
import argparse, sys

import numpy as np

from coldstream import ColdstreamError, Follower

LEVELS = 5


class PrefixTrie:
    """Items by SID. A node is the number of items below each next code; a leaf, the items themselves (two may share a SID)."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.next = {}  # prefix -> {code: items below it}
        self.leaves = {}  # SID -> items
        self.sids = {}  # item -> SID

    def __len__(self):
        return len(self.sids)

    def put(self, item, sid):
        self.take(item)
        self.sids[item] = sid
        self.leaves.setdefault(sid, set()).add(item)
        for depth in range(LEVELS):
            below = self.next.setdefault(sid[:depth], {})
            below[sid[depth]] = below.get(sid[depth], 0) + 1

    def take(self, item):
        """Out with it; nothing happens when it is not there."""
        sid = self.sids.pop(item, None)
        if sid is None:
            return
        for depth in range(LEVELS):
            below = self.next[sid[:depth]]
            below[sid[depth]] -= 1
            if below[sid[depth]] == 0:
                del below[sid[depth]]
            if not below:
                del self.next[sid[:depth]]
        self.leaves[sid].remove(item)
        if not self.leaves[sid]:
            del self.leaves[sid]

    def apply(self, changes):
        """What an epoch did (Follower.changes())."""
        if changes.whole:
            self.clear()
        for change in changes.items:
            if change.codes is None:
                self.take(change.item)
            else:
                self.put(change.item, change.codes)

    # ---- decoding ----

    def allowed(self, prefix=()):
        """The codes that may follow a prefix of 0 .. 4 codes, in order; none for a prefix that no item has."""
        return sorted(self.next.get(tuple(prefix), ()))

    def masked(self, prefix, logits):
        """logits [codes of the level] -> the same with minus infinity for what may not follow."""
        out = np.full_like(logits, -np.inf)
        codes = self.allowed(prefix)
        out[codes] = logits[codes]
        return out

    def items(self, sid):
        return sorted(self.leaves.get(tuple(sid), ()))

    def decode(self, logits_of, beam=4):
        """Beam search: logits_of(prefix) -> float [codes of the next level]. Returns [(sum of log probabilities, SID)], best first."""
        beams = [(0.0, ())]
        for _ in range(LEVELS):
            grown = []
            for score, prefix in beams:
                logits = self.masked(prefix, np.asarray(logits_of(prefix), np.float64))
                log_probabilities = logits - np.logaddexp.reduce(logits)
                grown += [(score + float(log_probabilities[code]), prefix + (code,)) for code in self.allowed(prefix)]
            beams = sorted(grown, key=lambda pair: (-pair[0], pair[1]))[:beam]
        return beams


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = words.add_mutually_exclusive_group(required=True)
    where.add_argument('--from', dest='folder', metavar='DIR')
    where.add_argument('--brokers', metavar='HOST:PORT,...')
    given = words.parse_args()
    trie = PrefixTrie()
    with (Follower.recording(given.folder) if given.folder else Follower.kafka(given.brokers)) as follower:
        if given.brokers:
            follower.start()
        for changes in follower.changes():
            trie.apply(changes)
            print(f'epoch {changes.epoch}: {len(changes.items)} changes, {len(trie)} items, {len(trie.allowed())} first codes', flush=True)
    for first in trie.allowed()[:3]:
        print(f'{first} -> {trie.allowed((first,))}')


if __name__ == '__main__':
    try:
        main()
    except KeyboardInterrupt:
        pass
    except ColdstreamError as error:
        sys.exit(f'prefix_trie: {error}')
