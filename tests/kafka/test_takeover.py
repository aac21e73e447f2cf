"""Leader and standby: the leader killed while another instance restores, and both swapped again and again while records come.

COLDSTREAM_TAKEOVERS=N of each kind."""
from kafka_case import *

TAKEOVERS = int(os.environ.get('COLDSTREAM_TAKEOVERS', '3'))
LOADED = ['epoch.batches=1', 'kafka.linger_ms=50', 'kafka.session_timeout_ms=3000', 'kafka.transaction_timeout_ms=10000']


class Load(threading.Thread):
    """Produces until it is told to end: interactions by the score, and a listing now and then."""

    def __init__(self, prefix, market):
        super().__init__(daemon=True)
        self.prefix = prefix
        self.listings, self.clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.totals = {topic: 0 for topic in INPUTS}
        self.ended = threading.Event()

    def produce(self, inputs, topic, records):
        inputs.produce(self.prefix + topic, records)
        self.totals[topic] += len(records)

    def run(self):
        inputs = Inputs()
        self.produce(inputs, 'item-content', self.listings[:100])
        for at in range(0, len(self.clicks), 20):
            if self.ended.wait(0.02):
                break
            self.produce(inputs, 'interactions', self.clicks[at:at + 20])
            if at % 200 == 0:
                self.produce(inputs, 'item-content', self.listings[100 + at // 200:][:1])

    def end(self):
        self.ended.set()
        self.join()


class Takeover(KafkaCase):
    def lead(self, prefix, sets):
        leader = self.start_stage(prefix, sets=sets)
        self.wait_for_topics(prefix, leader)
        self.wait_until(lambda: 'kafka.leads' in leader.said(), 'the first one leads', [leader])
        return leader

    def test_leader_killed_while_the_standby_restores(self):
        """And that one killed, too, in the middle of it: the third one goes on."""
        script = self.make_script(rounds=10)
        self.reference(script)
        stream = Stream(script, f'takeover{os.getpid()}.')
        self.addCleanup(stream.close)
        leader = self.lead(stream.prefix, Script.SETS)
        died = 0
        for moment in sorted(self.random.sample(range(10, script.settled[-2]), TAKEOVERS)):
            self.wait_until(lambda: stream.advance() or stream.events >= moment, f'{moment} events', [leader])
            plan = f'assign:{self.random.randint(1, 3)},consumer_poll:{self.random.randint(1, 100)}:after'
            standby = self.start_stage(stream.prefix, 'standby', sets=Script.SETS, environment=preloaded(plan))
            time.sleep(self.random.uniform(0, 1.5))
            leader.kill()
            third = self.start_stage(stream.prefix, 'third', sets=Script.SETS)
            seen = stream.events
            self.wait_until(lambda: not standby.alive() or stream.advance() or stream.events > seen + 1, 'one of them leads', [third])
            died += not standby.alive()
            standby.kill()
            leader = third
        self.assertTrue(self.follow(stream, leader), leader.said()[-3000:])
        self.assertEqual(leader.terminate(), OK)
        self.judge_stream(stream)
        print(f'{TAKEOVERS} leaders killed; {died} standbys died while they read the log', flush=True)

    def test_swapped_under_load(self):
        prefix = f'swaps{os.getpid()}.'
        create_inputs(prefix)
        market = self.generate('loaded', '--dims', DIMS, items=1000, users=200, events=100000)
        leader = self.lead(prefix, LOADED)
        load = Load(prefix, market)
        load.start()
        self.addCleanup(load.end)
        reader = Reader(prefix + 'epochs')
        self.addCleanup(reader.close)
        events, took_s = 0, []

        def counted():
            nonlocal events
            events += sum(decode('epochs-value', message.value())['counts']['events'] for message in reader.read(0.05))
            return events

        self.wait_until(lambda: counted() > 200, 'a beginning', [leader])
        for swap in range(TAKEOVERS):
            standby = self.start_stage(prefix, f'instance{swap}', sets=LOADED)
            self.wait_until(lambda: 'standby' in standby.said(), 'it stands by', [leader, standby])
            begun = time.monotonic()
            if self.random.random() < 0.5:
                leader.kill()
            else:  # or, on a slow machine, past kafka.drain_s, which must not lose anything either
                self.assertIn(leader.terminate(), (OK, TRY_AGAIN), leader.said()[-3000:])
            self.wait_until(lambda: 'run.ready' in standby.said(), 'it takes over', [standby])
            took_s.append(time.monotonic() - begun)
            seen = counted()
            self.wait_until(lambda: counted() > seen + 100, 'it goes on', [standby])
            leader = standby
        load.end()
        self.wait_until(lambda: counted() >= sum(load.totals.values()), f'all of {load.totals}', [leader])
        self.assertEqual(leader.terminate(), OK, leader.said()[-3000:])
        outputs = Outputs(prefix)
        judge(self, outputs, load.totals)
        # what came when decided the epochs, so no other run is its equal: the same epochs are formed again and must have their digests
        recorded = self.path('recorded')
        self.check(run(*record_words(prefix, recorded, '--until', 'latest', sets=LOADED)))
        self.assertEqual(self.check(run(*verify_words(recorded, sets=LOADED))).json()['verified_epochs'], len(outputs.manifests))
        print(f'{TAKEOVERS} swaps under {load.totals}; ready after {min(took_s):.1f} to {max(took_s):.1f} s', flush=True)


if __name__ == '__main__':
    if not os.environ.get('COLDSTREAM_CRASH_POINTS'):
        print('skipped: COLDSTREAM_CRASH_POINTS does not name the library; run this test through ctest')
        sys.exit(77)
    main()
