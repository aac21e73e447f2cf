"""Commits whose outcome is not known: a proxy holds EndTxn requests back, cuts connections around them, and lets them arrive when another
transaction may be open. Afterwards every record and digest is that of a run without faults."""
from kafka_case import *
from commit_proxy import CommitProxy

TROUBLES = int(os.environ.get('COLDSTREAM_TROUBLES', '6'))
EVERY = 4  # one of so many commits has trouble
TRANSACTION_MS = 3000
KINDS = (  # in turn
    lambda choose: ('cut', choose.uniform(0, 0.5)),
    lambda choose: ('mute',),
    lambda choose: ('hold', choose.uniform(0.05, 0.5)),
    lambda choose: ('cut', choose.uniform(0, 0.1)),
    lambda choose: ('hold', choose.uniform(1.05, 1.5) * TRANSACTION_MS / 1000),  # given up by the broker, and by librdkafka
    lambda choose: ('cut', choose.uniform(1.05, 1.5) * TRANSACTION_MS / 1000),
)


class CommitDelayed(KafkaCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.script = cls.make_script(rounds=14)
        with open(os.path.join(broker_folder(), 'broker.proxy')) as file:
            cls.front, cls.behind = map(int, file.read().split())

    def setUp(self):
        super().setUp()
        self.troubles = []

    def decide(self):
        """Called by the proxy's thread for every EndTxn."""
        if len(self.troubles) == TROUBLES or self.random.random() * EVERY > 1:
            return ('pass',)
        self.troubles.append(KINDS[len(self.troubles) % len(KINDS)](self.random))
        return self.troubles[-1]

    def test_outcome_unknown(self):
        self.reference(self.script)  # before the proxy: it does not need one
        proxy = CommitProxy(self.front, self.behind, self.decide)
        self.addCleanup(proxy.close)
        streams = 0
        while len(self.troubles) < TROUBLES:
            stream = Stream(self.script, f'delayed{os.getpid()}.{streams}.')
            self.addCleanup(stream.close)
            streams += 1
            before = len(self.troubles)
            stages = self.run_stream(stream, sets=[*Script.SETS, f'kafka.transaction_timeout_ms={TRANSACTION_MS}'],
                                     brokers=f'127.0.0.1:{self.front}')
            with self.subTest(stream=streams, troubles=self.troubles[before:], stages=stages):
                self.judge_stream(stream)
        print(f'{len(self.troubles)} commits in doubt, {streams} streams', flush=True)


if __name__ == '__main__':
    main()
