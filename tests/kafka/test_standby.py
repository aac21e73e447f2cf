"""An instance that does not lead: it follows the outputs, takes over from where they end, and one that has lost the lead stands by again."""
from kafka_case import *

PARTS = 4


class Standby(KafkaCase):
    SETS = ['kafka.session_timeout_ms=1000', 'kafka.linger_ms=100', 'kafka.transaction_timeout_ms=10000']

    def setUp(self):
        super().setUp()
        self.prefix = f'standby{os.getpid()}.'
        create_inputs(self.prefix)
        market = self.generate('market', '--dims', DIMS, items=100, users=50, events=4000)
        self.listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.parts = [clicks[at::PARTS] for at in range(PARTS)]
        self.totals = {'item-content': 0, 'interactions': 0}

    def feed(self, topic, records, stages):
        """Waits until they are committed."""
        produce(self.prefix + topic, records)
        self.totals[topic] += len(records)
        wanted = sum(self.totals.values())
        self.wait_until(lambda: sum(m['counts']['events'] for m in manifests_of(self.prefix)) >= wanted, f'{wanted} events', stages)

    def wait_said(self, stage, text, times=1):
        self.wait_until(lambda: stage.said().count(text) >= times, f'{times} times "{text}"', [stage])

    def test_stands_by_again_after_it_lost_the_lead(self):
        first = self.start_stage(self.prefix, 'first', sets=self.SETS)
        self.wait_said(first, 'run.ready')
        second = self.start_stage(self.prefix, 'second', sets=self.SETS)
        self.wait_said(second, 'run.standby')
        self.feed('item-content', self.listings, [first, second])
        self.feed('interactions', self.parts[0], [first, second])

        first.signal(signal.SIGSTOP)  # past the session timeout
        self.wait_said(second, 'run.ready')
        self.feed('interactions', self.parts[1], [second])
        first.signal(signal.SIGCONT)
        self.wait_said(first, 'run.stepped_down')
        self.feed('interactions', self.parts[2], [first, second])

        second.kill()
        self.wait_said(first, 'run.ready', times=2)
        self.feed('interactions', self.parts[3], [first])
        self.assertEqual(first.terminate(), OK, first.said()[-3000:])
        for stage in (first, second):  # what each folded had the digests of the manifests
            self.assertNotIn('restore.anew', stage.said())
        judge(self, Outputs(self.prefix), self.totals)


if __name__ == '__main__':
    main()
