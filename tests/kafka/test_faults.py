"""Broker killed and restarted, stages stopped (SIGSTOP) past the session and the transaction timeout, the transactional id taken by a stranger.
Afterwards every record and digest is that of a run without faults (kafka_case.py, class Script, says how that can be).

COLDSTREAM_FAULTS=N of each kind."""
from kafka_case import *

FAULTS = int(os.environ.get('COLDSTREAM_FAULTS', '1'))
STOPS = (  # where a stage is stopped: in the middle of an epoch, around its end, and between epochs
    'begin_transaction:{epoch},send_offsets_to_transaction:1:stop',
    'begin_transaction:{epoch},producev:{put}:stop',
    'begin_transaction:{epoch},commit_transaction:1:stop',
    'begin_transaction:{epoch},flush:1:stop',
    'begin_transaction:{epoch},commit_transaction:1,flush:1:stop',
    'begin_transaction:{epoch},commit_transaction:1,consumer_poll:1:stop',
    'begin_transaction:{epoch}:stop',
)


class Faults(KafkaCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.script = cls.make_script(rounds=10)

    def open_stream(self, name):
        stream = Stream(self.script, f'faults{os.getpid()}.{name}.')
        self.addCleanup(stream.close)
        return stream

    def moments(self, count):
        """Numbers of committed events at which something is done, in order."""
        return sorted(self.random.sample(range(10, self.script.settled[-2]), count))

    def test_broker_killed(self):
        self.reference(self.script)
        stream = self.open_stream('broker')
        moments = self.moments(FAULTS)

        def watch(_):
            if moments and stream.events >= moments[0]:
                moments.pop(0)
                time.sleep(self.random.uniform(0, 0.1))
                broker_command('kill')
                time.sleep(self.random.uniform(0, 2))
                broker_command('restart')

        stages = self.run_stream(stream, watch, sets=Script.SETS)
        self.judge_stream(stream)
        print(f'{FAULTS} times; {stages} stages', flush=True)

    def stop_plan(self, number_):
        return STOPS[number_ % len(STOPS)].format(epoch=self.random.randint(2, 8), put=self.random.randint(1, 60))

    def test_stopped_while_another_takes_over(self):
        for number_ in range(FAULTS):
            plan = self.stop_plan(number_)
            with self.subTest(plan=plan):
                self.stop_and_take_over(self.open_stream(f'session{number_}'), plan)

    def stop_and_take_over(self, stream, plan):
        first = self.start_stage(stream.prefix, 'first', sets=Script.SETS, environment=preloaded(plan))
        self.wait_for_topics(stream.prefix, first)
        self.wait_until(lambda: 'kafka.leads' in first.said(), 'the first leads', [first])
        second = self.start_stage(stream.prefix, 'second', sets=Script.SETS)
        self.wait_until(lambda: stream.advance() or first.stopped(), 'the first stops at its point', [first, second])
        self.assertTrue(first.stopped(), f'{plan}: it did not stop there')
        seen = stream.events
        self.wait_until(lambda: stream.advance() or stream.events > seen, 'the second goes on', [second])
        first.signal(signal.SIGCONT)
        self.assertTrue(self.follow(stream, second), second.said()[-3000:])
        if not first.alive():
            self.assertEqual(first.process.returncode, UNAVAILABLE, first.said()[-3000:])
            self.assertIn('another instance', first.said())
        for stage in (first, second):
            stage.kill()
        self.judge_stream(stream)

    def end_of(self, topic, isolation):
        consumer = Consumer({'bootstrap.servers': broker(), 'log_level': QUIET, 'group.id': 'judge', 'isolation.level': isolation})
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_RUN_S)[1]
        finally:
            consumer.close()

    def nothing_open(self, topic):
        """No transaction holds back what a read_committed reader sees."""
        return self.end_of(topic, 'read_committed') == self.end_of(topic, 'read_uncommitted')

    def test_stopped_past_the_transaction_timeout(self):
        """Where all records of the epoch have been delivered, so that the broker has something to abort."""
        for number_ in range(FAULTS):
            call = ('send_offsets_to_transaction', 'commit_transaction', 'query_watermark_offsets')[number_ % 3]
            plan = f'begin_transaction:{self.random.randint(2, 8)},{call}:1:stop'
            with self.subTest(plan=plan):
                self.stop_past_timeout(self.open_stream(f'transaction{number_}'), plan)

    def stop_past_timeout(self, stream, plan):
        """Alone: it stays the leader, its session outlasts the stop, but the broker aborts what it had begun."""
        sets = [*Script.SETS, 'kafka.transaction_timeout_ms=4000', 'kafka.session_timeout_ms=60000']
        plans = [preloaded(plan), None]

        def watch(stage):
            if plans[0] and stage.stopped():
                self.wait_until(lambda: self.nothing_open(stream.prefix + 'changelog'), 'the broker aborts the transaction')
                plans[0] = None
                stage.signal(signal.SIGCONT)

        self.assertEqual(self.run_stream(stream, watch, sets=sets, environment=plans[0]), 1, 'it goes on by itself')
        self.assertIsNone(plans[0], f'{plan}: it did not stop there')
        self.judge_stream(stream)

    def test_a_stranger_with_the_transactional_id(self):
        stream = self.open_stream('stranger')
        moments = self.moments(2 * FAULTS)
        strangers = []

        def watch(_):
            if moments and stream.events >= moments[0]:
                moments.pop(0)
                stranger = Producer({'bootstrap.servers': broker(), 'log_level': QUIET, 'transactional.id': stream.prefix,
                                     'transaction.timeout.ms': 60000})
                stranger.init_transactions(PATIENCE_RUN_S)
                stranger.begin_transaction()
                for topic in ('changelog', 'epochs'):  # never committed: the next stage fences the stranger in turn
                    stranger.produce(stream.prefix + topic, value=b'none of ours', key=b'none of ours')
                stranger.flush(1)
                strangers.append(stranger)

        stages = self.run_stream(stream, watch, sets=Script.SETS)
        self.assertEqual(len(strangers), 2 * FAULTS)
        self.judge_stream(stream)
        self.assertGreater(stages, 1, 'a stage whose transactional id was taken ends, and says so')


if __name__ == '__main__':
    if not os.environ.get('COLDSTREAM_CRASH_POINTS'):
        print('skipped: COLDSTREAM_CRASH_POINTS does not name the library; run this test through ctest')
        sys.exit(77)
    main()
