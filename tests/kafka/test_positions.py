"""run, where the inputs are no longer what its positions are of: aged out, deleted, made anew with fewer partitions. Each is a stop that
names the partition and the remedy, at the start and while it runs: never a silent reset."""
from kafka_case import *
from confluent_kafka.admin import NewTopic


class Positions(KafkaCase):
    SETS = ['kafka.session_timeout_ms=6000', 'kafka.linger_ms=50', 'kafka.transaction_timeout_ms=5000', 'epoch.batches=1']

    def setUp(self):
        super().setUp()
        self.prefix = f'positions{os.getpid()}.{self._testMethodName}.'
        self.interactions = self.prefix + 'interactions'
        self.admin = AdminClient({'bootstrap.servers': broker()})
        market = self.generate(self._testMethodName, '--dims', DIMS, items=100, users=50, events=6000)
        self.listings, self.clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')

    def done(self, futures):
        for future in futures.values():
            future.result()

    def create(self, partitions):
        self.done(self.admin.create_topics([NewTopic(self.interactions, partitions, 1)]))

    def delete(self):
        self.done(self.admin.delete_topics([self.interactions]))
        self.wait_until(lambda: self.interactions not in self.admin.list_topics(timeout=10).topics, 'the topic to be gone')

    def age_out(self, before):
        self.done(self.admin.delete_records([TopicPartition(self.interactions, 0, before)]))

    def start(self):
        self.stage = self.start_stage(self.prefix, sets=self.SETS)

    def life(self, partitions=1):
        """A stage that has applied 300 clicks of each partition, and runs."""
        self.create(partitions)
        self.start()
        self.wait_for_topics(self.prefix, self.stage)
        produce(self.prefix + 'item-content', self.listings)
        producer = Producer({'bootstrap.servers': broker()})
        for partition in range(partitions):
            for click in self.clicks[partition * 300:(partition + 1) * 300]:
                producer.produce(self.interactions, key=click.key, value=click.value, timestamp=click.timestamp, partition=partition)
        producer.flush()
        events = len(self.listings) + 300 * partitions
        self.wait_until(lambda: sum(m['counts']['events'] for m in manifests_of(self.prefix)) == events, 'events', [self.stage])

    def judge_stop(self, *texts, code=BAD_DATA):
        before = len(manifests_of(self.prefix))
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), code, self.stage.said()[-3000:])
        last = self.stage.said().strip().splitlines()[-1]
        for text in texts:
            self.assertIn(text, last)
        self.assertLessEqual(len(manifests_of(self.prefix)) - before, 1)

    def test_aged_out_at_start(self):
        self.life()
        self.assertEqual(self.stage.terminate(), OK)
        produce(self.interactions, self.clicks[300:600])
        self.age_out(400)
        self.start()
        self.judge_stop(f'{self.interactions}-0: the next record to read is 300, but the topic has 400 to 600',
                        'deleted by retention', 'new application')

    def test_aged_out_while_running(self):
        self.life()
        self.stage.signal(signal.SIGSTOP)
        for at in range(300, 5000, 100):  # more than the fetch that waits at the broker brings
            produce(self.interactions, self.clicks[at:at + 100])
        self.age_out(4990)
        self.stage.signal(signal.SIGCONT)
        self.judge_stop(f'{self.interactions}-0: the next record to read is', 'but the topic has 4990 to 5000', 'deleted by retention')

    def test_made_anew_at_start(self):
        self.life()
        self.assertEqual(self.stage.terminate(), OK)
        self.delete()
        self.start()  # which makes it, empty
        self.judge_stop(f'{self.interactions}-0: the next record to read is 300, but the topic has 0 to 0', 'made anew', 'restore it')

    def test_deleted_while_running(self):
        self.life()
        self.delete()
        self.judge_stop(self.interactions, 'deleted')

    def test_fewer_partitions_at_start(self):
        self.life(2)
        self.assertEqual(self.stage.terminate(), OK)
        self.delete()
        self.create(1)
        produce(self.interactions, self.clicks[:300])
        self.start()
        self.judge_stop(f'{self.interactions}-1 was read up to offset 300 before, and the topic has only 1 partitions now', 'made anew')

    def test_fewer_partitions_while_running(self):
        self.life(2)
        self.delete()
        self.create(1)
        produce(self.interactions, self.clicks[:300])
        self.judge_stop(self.interactions)


if __name__ == '__main__':
    main()
