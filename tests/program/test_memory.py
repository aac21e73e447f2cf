"""A long recording takes no more memory than a short one of the same items and users: for replay, resume and verify."""
import os
import program
from program import *

SHORT, LONG = 5000, 200000
SLACK, SLACK_BYTES = 1.25, 4e6  # score bins that fill up, the list of epochs: not 25 bytes for each event more
SETS = SMALL + ['epoch.batches=16']  # 1024 events: an epoch is full in the short one, too


class Memory(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = {events: cls.generate(str(events), '--days', 30, items=300, users=200, events=events)
                      for events in (SHORT, LONG)}

    def peak(self, events, to, *more):
        """Of one run, as the kernel counts it; the summary's own figure is that, too."""
        result = self.check(run_measured(self.folder, *replay_words(self.market[events], to, '--json', *more, sets=SETS)))
        if '--verify' not in more:
            self.assertEqual(result.json()['events'], events + 300)
            self.assertAlmostEqual(result.json()['peak_rss_bytes'] / result.peak_rss_bytes, 1, delta=0.15)
        print(f'  {events} events {" ".join(more) or "replay"}: {result.peak_rss_bytes / 1e6:.1f} MB', flush=True)
        return result.peak_rss_bytes

    def test_bounded(self):
        peaks = {}
        for events in (SHORT, LONG):
            to = self.path(str(events))
            peaks[events] = [self.peak(events, to, *more) for more in ([], ['--resume'], ['--verify'])]
        for what, short, long in zip(('replay', '--resume of a finished one', '--verify'), peaks[SHORT], peaks[LONG]):
            self.assertLess(long, SLACK * short + SLACK_BYTES,
                            f'{what}: {short / 1e6:.1f} MB for {SHORT} events, {long / 1e6:.1f} MB for {LONG}')
            self.assertLess(long, 256e6, what)


if __name__ == '__main__':
    program.main()
