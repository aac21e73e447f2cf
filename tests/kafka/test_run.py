"""run, from outside, on the real broker: killed at random moments (seeded) while records come, and started again."""
from kafka_case import *
from confluent_kafka.admin import NewPartitions, NewTopic

KILLS = 4


class Run(KafkaCase):
    SETS = ['kafka.session_timeout_ms=2000', 'kafka.linger_ms=100', 'kafka.transaction_timeout_ms=5000']

    def setUp(self):
        super().setUp()
        self.prefix = f'run{os.getpid()}.{self._testMethodName[:20]}.'

    def start(self):
        self.stage = self.start_stage(self.prefix, sets=self.SETS)

    def wait_for(self, events):
        """The manifests, once so many events are committed."""
        def met():
            manifests = manifests_of(self.prefix)
            return manifests if sum(m['counts']['events'] for m in manifests) >= events else None
        return self.wait_until(met, f'{events} events', [self.stage])

    def test_exactly_once_through_kills(self):
        market = self.generate('market', '--dims', DIMS, items=300, users=100, events=20000)
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        bad = clicks[0]._replace(value=b'\x07no')
        create_inputs(self.prefix)
        self.start()
        self.wait_for_topics(self.prefix, self.stage)
        produce(self.prefix + 'item-content', listings)
        parts = [clicks[at::KILLS + 1] for at in range(KILLS + 1)]
        for part in parts[:-1]:
            produce(self.prefix + 'interactions', part)
            time.sleep(self.random.uniform(0.5, 4))
            self.stage.kill()
            self.start()
        produce(self.prefix + 'interactions', parts[-1] + [bad])
        self.wait_for(len(listings) + len(clicks) + 1)
        self.assertEqual(self.stage.terminate(), OK)

        outputs = Outputs(self.prefix)
        judge(self, outputs, {'item-content': len(listings), 'interactions': len(clicks) + 1})
        self.assertIn(bad.value, [message.value() for message in outputs.topics['dead-letter']])
        sids = {message.key() for message in outputs.topics['semantic-ids'] if message.value() is not None}
        self.assertEqual(sids, {record.key for record in listings})

        # what it leaves can be taken up: the digests of the last manifest hold after a restart
        self.start()
        produce(self.prefix + 'interactions', clicks[:100])
        self.wait_for(len(listings) + len(clicks) + 101)

    def test_outputs_that_cannot_hold_the_state_are_refused(self):
        admin = AdminClient({'bootstrap.servers': broker()})
        topic = NewTopic(self.prefix + 'changelog', 1, 1, config={'cleanup.policy': 'delete'})
        admin.create_topics([topic])[topic.topic].result(PATIENCE_RUN_S)
        self.start()
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), BAD_CONFIG)
        for words in (self.prefix + 'changelog', 'cleanup.policy'):
            self.assertIn(words, self.stage.said().splitlines()[-1])

    def test_outputs_with_more_partitions_than_before_are_refused(self):
        market = self.generate('small', '--dims', DIMS, items=100, users=20, events=500)
        self.start()
        self.wait_for_topics(self.prefix, self.stage)
        produce(self.prefix + 'item-content', read_topic(market, 'item-content'))
        self.wait_for(100)
        self.assertEqual(self.stage.terminate(), OK)
        admin = AdminClient({'bootstrap.servers': broker()})
        name = self.prefix + 'ranker-deltas'
        admin.create_partitions([NewPartitions(name, 3)])[name].result(PATIENCE_RUN_S)
        self.wait_until(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3, 'more partitions')
        self.start()
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), BAD_CONFIG, self.stage.said())
        self.assertIn('partitions', self.stage.said().splitlines()[-1])

    def test_a_broker_that_is_away_at_the_start_is_waited_for(self):
        broker_signal(signal.SIGSTOP)
        self.addCleanup(broker_signal, signal.SIGCONT)
        self.start()
        self.wait_until(lambda: 'event=run.waiting' in self.stage.said(), 'waiting', [self.stage])
        broker_signal(signal.SIGCONT)
        self.wait_until(lambda: 'event=run.ready' in self.stage.said(), 'ready', [self.stage])
        self.assertEqual(self.stage.terminate(), OK)


if __name__ == '__main__':
    main()
