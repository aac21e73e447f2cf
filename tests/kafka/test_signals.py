"""run, from outside, on the real broker: asked to end, asked twice, not able to end in time; asked to read its configuration again."""
from kafka_case import *

CONFIG = """kafka:
  linger_ms: {linger}
  drain_s: 2
  properties:
    client.rack: "{rack}"
parking:
  ms: {parking}
"""


class Signals(KafkaCase):
    SETS = ['kafka.session_timeout_ms=2000', 'kafka.transaction_timeout_ms=5000', 'epoch.batches=1']

    def setUp(self):
        super().setUp()
        self.prefix = f'signals{os.getpid()}.{self._testMethodName}.'
        self.config(100, 10)

    def config(self, linger, parking, rack='a'):
        with open(self.path('run.yaml'), 'w') as file:
            file.write(CONFIG.format(linger=linger, parking=parking, rack=rack))

    def start(self):
        self.stage = self.start_stage(self.prefix, sets=self.SETS, config=self.path('run.yaml'))
        self.wait_for_topics(self.prefix, self.stage)

    def feed(self, events):
        market = self.generate(self._testMethodName, '--dims', DIMS, items=100, users=50, events=events)
        self.listings, self.clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        produce(self.prefix + 'item-content', self.listings)
        produce(self.prefix + 'interactions', self.clicks)

    def events(self):
        return sum(m['counts']['events'] for m in manifests_of(self.prefix))

    def wait_for_events(self, count):
        self.wait_until(lambda: self.events() >= count, f'{count} events', [self.stage])

    def stop_broker_in_the_middle(self):
        """The stage has much to do, and nobody to commit it to."""
        self.start()
        self.feed(20000)
        self.wait_until(lambda: 'event=run.progress' in self.stage.said(), 'progress', [self.stage])
        broker_signal(signal.SIGSTOP)
        self.addCleanup(broker_signal, signal.SIGCONT)
        self.wait_until(self.is_stuck, 'an epoch that cannot be committed', [self.stage])
        self.stage.signal(signal.SIGTERM)
        self.wait_until(self.has_seen_the_signal, 'SIGTERM', [self.stage])

    def is_stuck(self):
        """The main thread, which has records enough, does nothing: it waits for the broker in the middle of an epoch."""
        def ticks():
            with open(f'/proc/{self.stage.process.pid}/task/{self.stage.process.pid}/stat') as file:
                return file.read().rsplit(')')[1].split()[11:13]
        before = ticks()
        time.sleep(0.5)
        return ticks() == before

    def has_seen_the_signal(self):
        """Signals that wait for a process are a set: a second one would be lost."""
        with open(f'/proc/{self.stage.process.pid}/status') as file:
            waiting = [int(line.split()[1], 16) for line in file if line.startswith(('SigPnd', 'ShdPnd'))]
        return not any(mask >> (signal.SIGTERM - 1) & 1 for mask in waiting)

    def judge_after_restart(self):
        broker_signal(signal.SIGCONT)
        self.start()
        self.wait_for_events(len(self.listings) + len(self.clicks))
        self.assertEqual(self.stage.terminate(), OK, self.stage.said())
        judge(self, Outputs(self.prefix), {'item-content': len(self.listings), 'interactions': len(self.clicks)})

    def test_it_drains(self):
        self.start()
        self.feed(20000)
        self.wait_until(lambda: 'event=run.progress' in self.stage.said(), 'progress', [self.stage])
        self.assertEqual(self.stage.terminate(), OK, self.stage.said())
        self.assertIn('event=run.drained', self.stage.said())
        self.judge_after_restart()

    def test_asked_twice_it_leaves_at_once(self):
        self.stop_broker_in_the_middle()
        self.stage.signal(signal.SIGTERM)
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), TRY_AGAIN, self.stage.said())
        self.assertIn('asked twice', self.stage.said())
        self.judge_after_restart()

    def test_it_does_not_drain_for_ever(self):
        self.stop_broker_in_the_middle()
        self.assertEqual(self.stage.process.wait(PATIENCE_RUN_S), TRY_AGAIN, self.stage.said())
        self.assertIn('kafka.drain_s', self.stage.said())
        self.judge_after_restart()

    def test_it_reads_its_configuration_again(self):
        self.start()
        self.feed(1000)
        self.wait_for_events(1100)
        self.config(250, 20, rack='b')
        self.stage.signal(signal.SIGHUP)
        self.wait_until(lambda: 'event=reload.done' in self.stage.said(), 'reload', [self.stage])
        said = self.stage.said()
        self.assertIn('event=reload.changed setting=kafka.linger_ms before=100 now=250', said)
        self.assertIn('event=reload.refused setting=parking.ms running=10 file=20', said)
        self.assertIn('event=reload.refused setting=kafka.properties ', said)
        self.assertEqual(said.count('event=reload.changed') + said.count('event=reload.refused'), 3)

        self.config('soon', 20)
        self.stage.signal(signal.SIGHUP)
        self.wait_until(lambda: 'event=reload.failed' in self.stage.said(), 'reload', [self.stage])
        self.assertRegex(self.stage.said(), r'event=reload.problem text=".*run.yaml:2:.*kafka.linger_ms.*soon')

        produce(self.prefix + 'interactions', self.clicks[:10])
        self.wait_for_events(1110)


if __name__ == '__main__':
    main()
