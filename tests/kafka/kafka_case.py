"""What the tests of `run` share: the broker of the test group, stages started and killed, a stream whose epochs do not depend on timing, and
the judge. The judge is a read_committed consumer of confluent-kafka, and the tests' own Avro reader."""
import os, signal, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'program'))
from program import *
try:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic
except ImportError:
    print('skipped: confluent-kafka is not installed for this Python (scripts/python-env.sh)')
    sys.exit(77)

PATIENCE_RUN_S = 120
DIMS = 32
INPUTS = ('item-content', 'interactions')
UNAVAILABLE = 69  # sysexits.h
QUIET = 0  # confluent-kafka's own lines: of a broker that is away on purpose


def broker_folder():
    return os.environ['COLDSTREAM_BROKER']


def broker():
    with open(os.path.join(broker_folder(), 'broker.address')) as file:
        return file.read().strip()


def broker_command(command):
    """scripts/kafka-broker.sh on the group's broker: kill, restart, ..."""
    subprocess.run([os.path.join(SOURCE, 'scripts', 'kafka-broker.sh'), command, broker_folder()], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=PATIENCE_RUN_S)


# Segments are closed at once and cleaned at once, and tombstones go too.
COMPACTED = {'cleanup.policy': 'compact', 'segment.ms': '1000', 'min.cleanable.dirty.ratio': '0.01', 'min.compaction.lag.ms': '0',
             'delete.retention.ms': '100', 'max.message.bytes': '4194304'}


def create_topics(prefix, topics, config):
    admin = AdminClient({'bootstrap.servers': broker(), 'log_level': QUIET})
    for created in admin.create_topics([NewTopic(prefix + topic, 1, 1, config=config) for topic in topics]).values():
        created.result(PATIENCE_RUN_S)


def create_inputs(prefix):
    """Their records have times of long ago: the broker is not to delete them for that."""
    create_topics(prefix, INPUTS, {'retention.ms': '-1'})


def broker_signal(number):
    with open(os.path.join(broker_folder(), 'broker.pid')) as file:
        os.kill(int(file.read()), number)


class Inputs:
    """A producer that has what it was given taken by the broker before it returns."""

    def __init__(self):
        self.producer = Producer({'bootstrap.servers': broker(), 'log_level': QUIET, 'linger.ms': 5, 'enable.idempotence': True,
                                  'queue.buffering.max.messages': 1000000})

    def produce(self, topic, records):
        for record in records:
            self.producer.produce(topic, value=record.value, key=record.key, timestamp=record.timestamp, partition=0)
        if self.producer.flush(PATIENCE_RUN_S) != 0:
            raise AssertionError(f'{topic}: the broker did not take all records')


def produce(topic, records):
    Inputs().produce(topic, records)


class Reader:
    """A read_committed reader of one partition, from its beginning."""

    def __init__(self, topic, partition=0):
        self.consumer = Consumer({'bootstrap.servers': broker(), 'log_level': QUIET, 'group.id': 'judge', 'isolation.level': 'read_committed',
                                  'enable.partition.eof': True, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
        self.consumer.assign([TopicPartition(topic, partition, 0)])

    def read(self, patience_s):
        """What has come: up to the end of what is committed, or as far as it gets in that time."""
        messages = []
        self.at_end = False
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            message = self.consumer.poll(left)
            if message is not None and not message.error():
                messages.append(message)
            elif message is not None and message.error().name() == '_PARTITION_EOF':
                self.at_end = True
                break
        return messages

    def close(self):
        self.consumer.close()


def committed(topic, partition=0):
    """Every record of a partition that a read_committed reader sees."""
    reader = Reader(topic, partition)
    try:
        messages = reader.read(PATIENCE_RUN_S)
        if not reader.at_end:
            raise AssertionError(f'{topic}: not read to its end within {PATIENCE_RUN_S} s')
        return messages
    finally:
        reader.close()


def manifests_of(prefix):
    return [decode('epochs-value', message.value()) for message in committed(prefix + 'epochs')]


# ---- stages, and other commands ----

CONFIG_LIVE = os.path.join(SOURCE, 'conf', 'run.yaml')


def record_words(prefix, to, *more, sets=()):
    values = [*SMALL, f'kafka.brokers={broker()}', f'kafka.prefix={prefix}', f'kafka.application={prefix}', f'content.dims={DIMS}', *sets]
    return ['record', '-c', CONFIG_LIVE, '--to', to, *settings(values), *more]


def verify_words(folder, sets=()):
    """Of what `record` made of a live run."""
    return ['replay', '--verify', '-c', CONFIG_LIVE, '--from', folder, '--json', *settings([*SMALL, f'content.dims={DIMS}', *sets])]


class Stage:
    """`coldstream run`, running; its stderr is appended to a file."""

    def __init__(self, prefix, log, sets=(), environment=None, brokers=None, application=None, config=None):
        self.log = log
        values = [*SMALL, f'kafka.brokers={brokers or broker()}', f'kafka.prefix={prefix}', f'kafka.application={application or prefix}',
                  f'content.dims={DIMS}', 'http.listen=127.0.0.1:0', *sets]
        with open(log, 'ab') as file:
            self.log_begin = file.tell()
            self.process = subprocess.Popen(
                [executable(), 'run', '-c', config or CONFIG_LIVE, *settings(values)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, env={**os.environ, **(environment or {})})

    def stopped(self):
        """By SIGSTOP."""
        with open(f'/proc/{self.process.pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'T'

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.alive():
            self.signal(signal.SIGKILL)
        return self.process.wait()

    def terminate(self):
        """Asked to end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_RUN_S)

    def said(self):
        """What this instance wrote to stderr so far."""
        with open(self.log, 'rb') as file:
            file.seek(self.log_begin)
            return file.read().decode('utf-8', 'backslashreplace')


class KafkaCase(Case):
    """Stages end with the test, however it ends."""

    def setUp(self):
        super().setUp()
        self.stages = []
        self.addCleanup(self.end_stages)

    def end_stages(self):
        for stage in self.stages:
            stage.kill()

    def start_stage(self, prefix, name='stderr', **how):
        stage = Stage(prefix, self.path(name), **how)
        self.stages.append(stage)
        return stage

    def wait_until(self, met, what, stages=(), patience_s=PATIENCE_RUN_S):
        """Until met() is true; fails with what the stages said after a deadline, or when one of them ends."""
        deadline = time.monotonic() + patience_s
        while not (result := met()):
            ended = [stage for stage in stages if not stage.alive()]
            if ended or time.monotonic() > deadline:
                said = '\n'.join(stage.said()[-3000:] for stage in ended or stages)
                why = f'ended with {ended[0].process.returncode}' if ended else f'not within {patience_s} s'
                self.fail(f'{what}: {why}\n{said}')
            time.sleep(0.05)
        return result

    def wait_for_topics(self, prefix, stage):
        admin = AdminClient({'bootstrap.servers': broker()})
        names = [prefix + topic for topic in (*INPUTS, *OUTPUT_TOPICS)]
        self.wait_until(lambda: set(names) <= set(admin.list_topics(timeout=PATIENCE_RUN_S).topics), 'the topics', [stage])

    # streams of a script (below), with and without faults

    @classmethod
    def make_script(cls, rounds, items=40):
        market = cls.generate('market', '--dims', DIMS, items=items, users=40, events=rounds * 2 * Script.BATCH)
        return Script(market, rounds, random.Random(1))

    def run_stream(self, stream, watch=None, **how):
        """Stages on the stream, one after another while they end by themselves, until all is committed; watch(stage) is called again and
        again. What one that ends says is checked: it must be a clear stop. The number of stages."""
        stages = 0
        while True:
            stages += 1
            stage = self.start_stage(stream.prefix, **how)
            if stream.reader is None:
                self.wait_for_topics(stream.prefix, stage)
            if self.follow(stream, stage, watch):
                self.wait_until(lambda: 'run.ready' in stage.said(), 'ready', [stage])
                self.assertEqual(stage.terminate(), OK, stage.said()[-3000:])
                return stages
            self.assertIn(stage.process.returncode, (UNAVAILABLE, TRY_AGAIN), stage.said()[-3000:])
            print(stage.said().splitlines()[-1], flush=True)

    def follow(self, stream, stage, watch=None):
        """Produces as the stage gets on: True when all is committed, False when the stage has ended."""
        deadline, last = time.monotonic() + PATIENCE_RUN_S, None
        while stage.alive():
            if watch:
                watch(stage)
            if stream.advance():
                return True
            if last != (stream.step, stream.events):
                deadline, last = time.monotonic() + PATIENCE_RUN_S, (stream.step, stream.events)
            if time.monotonic() > deadline:
                self.fail(f'{stream.prefix}: no progress at step {stream.step}, {stream.events} events\n{stage.said()[-3000:]}')
        return False

    _references = {}

    def judge_stream(self, stream):
        """As if there had been no faults."""
        outputs = Outputs(stream.prefix)
        judge(self, outputs, stream.script.totals)
        judge_against(self, outputs, self.reference(stream.script))

    def reference(self, script):
        """The outputs of a run without faults; made once."""
        if script not in self._references:
            stream = Stream(script, f'reference{os.getpid()}.{len(self._references)}.')
            self.assertEqual(self.run_stream(stream, name='reference', sets=Script.SETS), 1)
            stream.close()
            self._references[script] = Outputs(stream.prefix)
            judge(self, self._references[script], script.totals)
        return self._references[script]


# ---- a stream whose epochs do not depend on timing ----

class Script:
    """What is produced, in steps; the next step follows when the stage has committed what it can of the steps before.

    That makes the epochs the same in every run, whatever happens in between, and so the digests of a run with faults can be held against
    those of one without. A content epoch takes one listing (epoch.listings), so it does not matter which listings are there at once. A click epoch
    closes at a count of samples, which depends on the interactions' order alone: the linger is long. And what comes in one step is of
    one topic, so it is decided which kind goes first: also where a step ends with interactions that wait for more, and listings
    come before those, as they do live."""

    SETS = ['epoch.listings=1', 'epoch.batches=1', 'tokenizer.train_listings=8', 'tokenizer.books=[8,8,8,4,4]',
            'kafka.linger_ms=600000', 'kafka.session_timeout_ms=1000', 'kafka.transaction_timeout_ms=10000']
    BATCH = 64  # of SMALL

    def __init__(self, market, rounds, choose):
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        first = 10
        self.steps = [('item-content', listings[:first])]
        later, taken = iter(listings[first:]), 0
        for number_ in range(rounds):
            count = choose.randint(self.BATCH // 2, self.BATCH * 2)
            if number_ == rounds - 1:
                count = -taken % self.BATCH + self.BATCH  # and so all of them end in an epoch
            part = clicks[taken:taken + count]
            if len(part) < count:
                raise AssertionError('the market is too small')
            taken += count
            part.insert(choose.randint(0, count - 1), part[0]._replace(value=b'\x07 no record of ours'))
            self.steps.append(('interactions', part))
            content = [listing for listing, _ in zip(later, range(choose.randint(1, 2)))]
            if choose.random() < 0.5:
                content.append(choose.choice(listings[:first])._replace(value=None, timestamp=part[-1].timestamp))
            if number_ < rounds - 1:
                self.steps.append(('item-content', content))
        self.totals = {topic: sum(len(records) for to, records in self.steps if to == topic) for topic in INPUTS}
        self.settled = [self.committed_after(at) for at in range(1, len(self.steps) + 1)]

    def committed_after(self, steps):
        """How many events are in epochs when the stage has done what it can of the first steps."""
        listings, good, waiting, done = 0, 0, 0, 0
        for topic, records in self.steps[:steps]:
            for record in records:
                if topic == 'item-content':
                    listings += 1
                    continue
                waiting += 1
                good += record.value is not None and record.value[0] == 0
                if good == self.BATCH:
                    done, good, waiting = done + waiting, 0, 0
        return listings + done


def preloaded(plan, **more):
    """The environment in which crash_points.c carries a plan out."""
    return {'LD_PRELOAD': os.environ['COLDSTREAM_CRASH_POINTS'], 'COLDSTREAM_CRASH': plan, **more}


class Stream:
    """A script on topics of its own, as far as it has been produced."""

    def __init__(self, script, prefix):
        self.script, self.prefix = script, prefix
        self.step = 0
        self.events = 0
        self.inputs = Inputs()
        self.reader = None
        create_inputs(prefix)

    def advance(self):
        """Looks at what is committed, and produces the next step if its turn has come; True when all is committed."""
        self.reader = self.reader or Reader(self.prefix + 'epochs')
        for message in self.reader.read(0.05):
            self.events += decode('epochs-value', message.value())['counts']['events']
        if self.step > 0 and self.events < self.script.settled[self.step - 1]:
            return False
        if self.step == len(self.script.steps):
            return True
        topic, records = self.script.steps[self.step]
        self.inputs.produce(self.prefix + topic, records)
        self.step += 1
        return False

    def close(self):
        if self.reader:
            self.reader.close()


# ---- the judge ----

class Outputs:
    """All that a read_committed reader finds of a stage's outputs."""

    def __init__(self, prefix):
        self.topics = {topic: committed(prefix + topic) for topic in OUTPUT_TOPICS}
        self.manifests = [decode('epochs-value', message.value()) for message in self.topics['epochs']]

    def records(self, topic):
        return [(m.key(), m.value(), m.timestamp()[1], m.headers()) for m in self.topics[topic]]

    def lasting_manifests(self):
        """Without what depends on the log's own records (offsets of outputs, which count commit markers) and on who ran it."""
        return [{name: value for name, value in m.items() if name not in ('ends', 'config')} for m in self.manifests]


def judge(case, outputs, totals):
    """Nothing lost, nothing twice, no epoch torn. totals: records produced to each input."""
    manifests = outputs.manifests
    case.assertEqual([m['epoch'] for m in manifests], list(range(1, len(manifests) + 1)))
    for topic, wanted in totals.items():
        ranges = [r for m in manifests for r in m['inputs'] if r['topic'] == topic]
        case.assertTrue(all(r['count'] == r['last_offset'] - r['first_offset'] + 1 for r in ranges), topic)
        offsets = [o for r in ranges for o in range(r['first_offset'], r['last_offset'] + 1)]
        case.assertEqual(offsets, list(range(wanted)), f'{topic}: each once, in order')
    counts = {name: sum(m['counts'][name] for m in manifests) for name in manifests[0]['counts']}
    case.assertEqual(counts['events'], counts['applied'] + counts['parked'] + counts['dead_letters'])
    case.assertEqual(counts['events'], sum(totals.values()))
    judge_epochs(case, outputs)


def judge_epochs(case, outputs):
    """Every record lies between the ends of the epoch before and those of its own, says that epoch, and there are as many as the
    manifest counts. (For topics that nothing has been compacted from.)"""
    ends = {topic: 0 for topic in OUTPUT_TOPICS}
    left = {topic: list(reversed(messages)) for topic, messages in outputs.topics.items()}
    for manifest in outputs.manifests:
        found = {}
        for end in manifest['ends']:
            topic, to = end['topic'], end['end_offset']
            case.assertGreaterEqual(to, ends[topic], f'{topic}: the end of epoch {manifest["epoch"]}')
            ends[topic] = to
            found[topic] = []
            while left[topic] and left[topic][-1].offset() < to:
                found[topic].append(left[topic].pop())
        case.assertEqual(len(found['epochs']), 1, f'the manifest of epoch {manifest["epoch"]}')
        rows = [(topic, message) for topic in ROW_TOPICS for message in found[topic]]
        case.assertEqual(len(rows), manifest['counts']['rows'], f'rows of epoch {manifest["epoch"]}')
        case.assertEqual(len(found['dead-letter']), manifest['counts']['dead_letters'], f'dead letters of epoch {manifest["epoch"]}')
        for topic, message in rows:
            if message.value() is not None:
                schema_name = 'row-value' if topic in ('ranker-deltas', 'changelog') else topic + '-value'
                case.assertEqual(decode(schema_name, message.value())['epoch'], manifest['epoch'], f'{topic}, offset {message.offset()}')
    case.assertEqual({topic: len(messages) for topic, messages in left.items()}, {topic: 0 for topic in OUTPUT_TOPICS},
                     'records after the last epoch')


def judge_against(case, outputs, reference):
    """Byte for byte what a run without faults published: so also the digests of every epoch."""
    for made, wanted in zip(outputs.lasting_manifests(), reference.lasting_manifests()):
        case.assertEqual(made, wanted)
    case.assertEqual(len(outputs.manifests), len(reference.manifests))
    for topic in OUTPUT_TOPICS:
        if topic != 'epochs':
            made, wanted = outputs.records(topic), reference.records(topic)
            for i, (one, other) in enumerate(zip(made, wanted)):
                case.assertEqual(one, other, f'{topic}: record {i}')
            case.assertEqual(len(made), len(wanted), topic)
