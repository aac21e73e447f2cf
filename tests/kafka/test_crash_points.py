"""kill -9 at every step of the epoch, on the real broker: crash_points.c is preloaded and ends the process at a chosen call of librdkafka.

Each instance is given one point; when it has died there, the next one goes on with the same stream and the next point. A stream that is at its
end is judged and another one begun. Points are drawn from the seed. What makes the digests comparable with a run without faults is in
kafka_case.py, class Script.

COLDSTREAM_POINTS=N points (a sample by default, 200 in `make test-all`); COLDSTREAM_CRASH_POINTS names the library."""
from kafka_case import *

POINTS = int(os.environ.get('COLDSTREAM_POINTS', '12'))
WORKERS = 4
ROUNDS = 14


def draw_point(choose):
    """A plan for crash_points.c, by the steps of an epoch, of a restore, and of an epoch that is given up."""
    when = choose.choice(['before', 'after'])
    begin = f'begin_transaction:{choose.randint(1, 8)}'
    ends = f'{begin},query_watermark_offsets:1'
    restore = f'init_transactions:1,assign:{choose.randint(1, 3)}'
    given_up = f'{begin},flush:1:fail,abort_transaction:1'
    return choose.choice([
        f'{begin}:{when}',
        f'{begin},producev:{choose.randint(1, 60)}:{when}',  # after some puts
        f'{begin},producev:{choose.randint(1, 60)}:{when}',
        f'{begin},flush:1:{when}',
        f'{ends}:{when}',
        f'{ends},producev:1:{when}',  # the manifest
        f'{begin},send_offsets_to_transaction:1:{when}',
        f'{begin},commit_transaction:1:{when}',  # before: between offsets and commit
        f'{begin},commit_transaction:1:{when}',
        f'{begin},commit_transaction:1,flush:1:{when}',  # librdkafka's own, within the commit
        f'{begin},commit_transaction:1,consumer_poll:{choose.randint(1, 90)}:{when}',  # collecting
        f'consumer_poll:{choose.randint(1, 6)}:{when}',  # waiting to lead
        f'init_transactions:1:{when}',
        f'{restore}:{when}',
        f'{restore},consumer_poll:{choose.randint(1, 200)}:{when}',  # folding
        f'init_transactions:1,query_watermark_offsets:{choose.randint(1, 12)}:{when}',
        f'{given_up}:{when}',
        f'{given_up},assign:{choose.randint(1, 2)}:{when}',  # rewinding
        f'{given_up},begin_transaction:1,producev:{choose.randint(1, 60)}:{when}',  # the same epoch again
    ])


class CrashPoints(KafkaCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.script = cls.make_script(ROUNDS)

    def setUp(self):
        super().setUp()
        self.guard = threading.Lock()
        self.reached, self.streams = [], 0

    def open_stream(self):
        with self.guard:
            self.streams += 1
            return Stream(self.script, f'crash{os.getpid()}.{self.streams}.')

    def instance(self, stream, point, name):
        """One instance on the stream until it dies at its point (True), or all is committed (False)."""
        mark = self.path(f'{name}.reached')
        stage = self.start_stage(stream.prefix, name, sets=Script.SETS,
                                 environment=preloaded(point, COLDSTREAM_CRASH_REACHED=mark) if point else None)
        if stream.reader is None:
            self.wait_for_topics(stream.prefix, stage)
        if self.follow(stream, stage):
            # all may have been committed before it came up: it is asked to end when it can hear that
            self.wait_until(lambda: not stage.alive() or 'run.ready' in stage.said(), f'{point}: ready')
            if stage.terminate() != -signal.SIGKILL:
                self.assertEqual(stage.process.returncode, OK, f'{point}\n{stage.said()[-3000:]}')
                return False
        self.assertEqual((stage.process.returncode, os.path.exists(mark)), (-signal.SIGKILL, True),
                         f'{point}: it did not die there\n{stage.said()[-3000:]}')
        os.unlink(mark)
        with self.guard:
            self.reached.append(point)
        return True

    def finish_stream(self, stream, name):
        if stream.step:
            while self.instance(stream, None, name):
                pass
            self.judge_stream(stream)
        stream.close()

    def work(self, name, points):
        """Points one after the other; those that lay past a stream's end are done on the next one."""
        stream = self.open_stream()
        for point in points:
            if not self.instance(stream, point, name):
                self.finish_stream(stream, name)
                stream = self.open_stream()
                self.assertTrue(self.instance(stream, point, name), f'{point}: not reached in a whole stream')
        self.finish_stream(stream, name)

    def in_parallel(self, points):
        failures = []

        def worker(number_):
            try:
                self.work(f'worker{number_}', points[number_::WORKERS])
            except BaseException as failure:  # of any kind: it is raised again by the test itself
                failures.append(failure)

        threads = [threading.Thread(target=worker, args=(number_,)) for number_ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def test_killed_at_every_step(self):
        points = [draw_point(self.random) for _ in range(POINTS)]
        reference = self.reference(self.script)
        begun = time.monotonic()
        self.in_parallel(points)
        self.assertGreaterEqual(len(self.reached), POINTS)
        print(f'{len(self.reached)} points, {len(set(self.reached))} of them different, on {self.streams} streams of '
              f'{len(reference.manifests)} epochs in {time.monotonic() - begun:.0f} s', flush=True)


if __name__ == '__main__':
    if not os.environ.get('COLDSTREAM_CRASH_POINTS'):
        print('skipped: COLDSTREAM_CRASH_POINTS does not name the library; run this test through ctest')
        sys.exit(77)
    main()
