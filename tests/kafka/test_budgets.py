"""What a slow broker, a long backlog and an absent broker do to `run`: its memory stays within its budgets, and it waits and goes on."""
from kafka_case import *
from commit_proxy import CommitProxy

BUDGETS = ['kafka.fetch_bytes=262144', 'epoch.bytes=4194304', 'kafka.produce_bytes=8388608']
# the budgets, which do not count what the allocator and librdkafka's buffers need for them, and a fetch that is on its way
ROOM_BYTES = 24 << 20


def resident(pid):
    with open(f'/proc/{pid}/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class Budgets(KafkaCase):
    def setUp(self):
        super().setUp()
        self.prefix = f'budgets{os.getpid()}.{self._testMethodName[5:12]}.'

    def make(self, clicks):
        market = self.generate(self._testMethodName, '--dims', DIMS, items=300, users=100, events=clicks)
        self.listings, self.clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.all = len(self.listings) + clicks

    def start(self, **how):
        self.stage = self.start_stage(self.prefix, **how)
        self.wait_for_topics(self.prefix, self.stage)
        self.reader, self.events = Reader(self.prefix + 'epochs'), 0
        self.addCleanup(self.reader.close)

    def committed(self):
        self.events += sum(decode('epochs-value', m.value())['counts']['events'] for m in self.reader.read(0.2))
        return self.events

    def test_memory(self):
        """Ten times as much as the budgets waits, and each commit takes a while."""
        self.make(100000)
        with open(os.path.join(broker_folder(), 'broker.proxy')) as file:
            front, behind = map(int, file.read().split())
        proxy = CommitProxy(front, behind, lambda: ('hold', 0.1))
        self.addCleanup(proxy.close)
        self.start(sets=[*BUDGETS, 'epoch.batches=64', 'kafka.linger_ms=100'], brokers=f'127.0.0.1:{front}')
        first = 10000
        produce(self.prefix + 'item-content', self.listings)
        produce(self.prefix + 'interactions', self.clicks[:first])
        self.wait_until(lambda: self.committed() >= len(self.listings) + first, 'the first of it', [self.stage])
        before = most = resident(self.stage.process.pid)
        backlog = self.clicks[first:]
        self.assertGreater(sum(len(click.value) for click in backlog), 10 * (256 << 10))
        produce(self.prefix + 'interactions', backlog)

        def done():
            nonlocal most
            most = max(most, resident(self.stage.process.pid))
            return self.committed() >= self.all
        self.wait_until(done, 'all of it', [self.stage])
        print(f'resident: {before >> 20} MiB before, at most {most >> 20} MiB', flush=True)
        self.assertLess(most - before, ROOM_BYTES)
        self.assertEqual(self.stage.terminate(), OK)

    def test_broker_away(self):
        """Longer than the session and the transaction last: reported now and then, and nothing is lost."""
        self.make(20000)
        self.addCleanup(lambda: broker_command('restart') if not self.back else None)
        self.back = True
        self.start(sets=['kafka.session_timeout_ms=2000', 'kafka.transaction_timeout_ms=4000'])
        half = len(self.clicks) // 2
        produce(self.prefix + 'item-content', self.listings)
        produce(self.prefix + 'interactions', self.clicks[:half])
        self.wait_until(lambda: self.committed() > len(self.listings) + half // 10, 'some of it', [self.stage])
        self.back = False
        began = time.monotonic()
        broker_command('kill')
        self.wait_until(lambda: self.stage.said().count('kafka.away') >= 2, 'two reports', [self.stage])
        broker_command('restart')
        self.back = True
        away_s = time.monotonic() - began
        produce(self.prefix + 'interactions', self.clicks[half:])
        self.wait_until(lambda: self.committed() >= self.all, 'all of it', [self.stage])
        self.assertLessEqual(self.stage.said().count('kafka.away'), away_s / 10 + 2)
        self.assertEqual(self.stage.terminate(), OK)
        judge(self, Outputs(self.prefix), {'item-content': len(self.listings), 'interactions': len(self.clicks)})


if __name__ == '__main__':
    main()
