"""What the tests of the program share: running it, scratch folders, and reading recordings without its code.

The reader of Avro below is a second, independent one on purpose: it knows the published schemas and nothing of the program.
It reads object container files (codecs null and deflate) and Confluent-framed values, and writes them, so that tests can
alter them."""
import collections, json, os, random, re, shutil, struct, subprocess, sys, tempfile, time, unittest, zlib

sys.dont_write_bytecode = True
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = os.path.join(SOURCE, 'conf', 'replay.yaml')
OUTPUT_TOPICS = ('semantic-ids', 'ranker-deltas', 'changelog', 'codebooks', 'epochs', 'dead-letter')
PATIENCE_S = 300  # for one run, under sanitizers on a busy machine

# sysexits.h
OK, USAGE, BAD_DATA, NO_INPUT, CANNOT_CREATE, IO_ERROR, TRY_AGAIN, BAD_CONFIG = 0, 64, 65, 66, 73, 74, 75, 78

# Small, so that a replay takes a fraction of a second; many epochs, so that there is something between them.
SMALL = ['tokenizer.train_listings=64', 'tokenizer.z_dims=8', 'tokenizer.books=[16,16,8,8,8]', 'model.width=8',
         'model.hidden=[16,8]', 'model.history=8', 'model.batch=64', 'model.prefix_rows=512', 'epoch.batches=2']
# Every part that moves SIDs while the stream goes on.
SMALL += ['tokenizer.codebooks=continual', 'tokenizer.version_epochs=2', 'tokenizer.memory=[4000,2000,1000,1000,1000]',
          'tokenizer.reset_share=0.3', 'tokenizer.reset_versions=1', 'tokenizer.balance=3', 'tokenizer.sweep=32',
          'tokenizer.collision_tries=3', 'model.encoder=behaviour', 'encoder.batch=16', 'encoder.judge_epochs=4',
          'encoder.judge_pairs=20', 'generation.release=on', 'generation.check_epochs=1', 'generation.schedule_epochs=3',
          'generation.slice=24', 'generation.window_epochs=1']


# ---- running ----

class Result:
    def __init__(self, code, out, err, peak_rss_bytes=0):
        self.code, self.out, self.err, self.peak_rss_bytes = code, out, err, peak_rss_bytes

    def json(self):
        return json.loads(self.out.strip().splitlines()[-1])


def executable():
    path = os.environ.get('COLDSTREAM')
    if not path or not os.access(path, os.X_OK):
        print('skipped: COLDSTREAM does not name the program; run this test through ctest')
        sys.exit(77)
    return path


def start(*arguments, environment=None, prepare=None, under=()):
    """The program, running. `prepare` runs in the child just before; `under` are words in front of the command line."""
    variables = {**os.environ, **(environment or {})}
    return subprocess.Popen([*under, executable(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=variables, preexec_fn=prepare)


def finish(process):
    out, err = process.communicate(timeout=PATIENCE_S)
    return Result(process.returncode, out.decode('utf-8', 'backslashreplace'), err.decode('utf-8', 'backslashreplace'))


def run(*arguments, **how):
    return finish(start(*arguments, **how))


def run_measured(folder, *arguments):
    """Also the peak of its memory, as often as it can be asked for. (What wait4() tells begins with this process's own peak.)"""
    with open(os.path.join(folder, 'stdout'), 'w+') as out, open(os.path.join(folder, 'stderr'), 'w+') as err:
        process = subprocess.Popen([executable(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident_peak(process.pid))
            time.sleep(0.001)
        out.seek(0), err.seek(0)
        return Result(process.returncode, out.read(), err.read(), peak)


def resident_peak(pid):
    """0 between fork() and exec(), when it is not the program yet, and once it is gone."""
    try:
        with open(f'/proc/{pid}/status') as file:
            text = file.read()
    except OSError:
        return 0
    found = dict(re.findall(r'^(Name|VmHWM):\s+(\w+)', text, re.M))
    return int(found.get('VmHWM', 0)) * 1024 if found.get('Name') in (os.path.basename(executable())[:15], 'exe') else 0


def settings(pairs):
    return [word for pair in pairs for word in ('--set', pair)]


def replay_words(source, to, *more, sets=SMALL, config=CONFIG):
    return ['replay', '-c', config, '--from', source, *(['--to', to] if to else []), *settings(sets), *more]


# ---- test cases ----

class Case(unittest.TestCase):
    """A scratch folder for each test, one for the class; a run that is expected to work says why it did not."""

    @classmethod
    def setUpClass(cls):
        base = os.path.join(os.environ.get('COLDSTREAM_BUILD', tempfile.gettempdir()), 'program')
        os.makedirs(base, exist_ok=True)
        cls.class_folder = tempfile.mkdtemp(prefix=cls.__name__ + '.', dir=base)
        cls.addClassCleanup(shutil.rmtree, cls.class_folder, ignore_errors=True)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix=self._testMethodName + '.', dir=self.class_folder)
        self.random = random.Random(seed())

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def check(self, result, code=OK):
        self.assertEqual(result.code, code,
                         f'exit code {result.code}, expected {code}\n{result.out[-2000:]}\n{result.err[-2000:]}')
        return result

    def says(self, result, *words):
        """The last line of stderr, the error, holds each of `words`."""
        lines = [line for line in result.err.splitlines() if line.startswith('coldstream') or ' level=error ' in line]
        self.assertTrue(lines, f'no line of stderr is an error: {result.err[-2000:]}')
        for word in words:
            self.assertIn(str(word), lines[-1])

    @classmethod
    def generate(cls, name, *options, items=120, users=60, events=2500):
        folder = os.path.join(cls.class_folder, name)
        result = run('generate', '--to', folder, '--items', items, '--users', users, '--events', events, '--days', 3, *options)
        if result.code != OK:
            raise AssertionError(result.err)
        return folder

    def replay(self, source, to, *more, code=OK, sets=SMALL, **how):
        return self.check(run(*replay_words(source, to, '--json', *more, sets=sets), **how), code)

    def verify(self, source, to, code=OK, sets=SMALL, **how):
        return self.check(run(*replay_words(source, to, '--verify', sets=sets), **how), code)

    def assert_sum(self, summary):
        self.assertEqual(summary['events'], summary['applied'] + summary['parked'] + summary['dead_letters'])
        self.assertEqual(summary['dead_letters'], sum(summary['dead_letters_by_reason'].values()))

    def assert_same_records(self, left, right, topics=OUTPUT_TOPICS):
        """Every record of every partition: offset, timestamp, key, value, headers, in order."""
        self.assertEqual(sorted(data_files(left)), sorted(data_files(right)))
        for topic in topics:
            for name in files_of(left, topic):
                a, b = read_file(os.path.join(left, name)), read_file(os.path.join(right, name))
                for i, (one, other) in enumerate(zip(a, b)):
                    self.assertEqual(one, other, f'{name}: record {i}')
                self.assertEqual(len(a), len(b), name)


def seed():
    return int(os.environ.get('COLDSTREAM_SEED', '1'))


def main():
    executable()
    print(f'seed {seed()}; again with: COLDSTREAM_SEED={seed()} COLDSTREAM={executable()} '
          f'COLDSTREAM_BUILD={os.environ.get("COLDSTREAM_BUILD", "")} python3 {os.path.abspath(sys.argv[0])}', flush=True)
    unittest.main(verbosity=2)


# ---- summaries ----

OF_THE_RUN = ('seconds', 'events_per_s', 'peak_rss_bytes')  # of the process, not of the stream


def lasting(summary):
    """What does not depend on how often the replay was cut: of the tables their rows, not the memory they took."""
    rows = {name: table['rows'] for name, table in summary.get('tables', {}).items()}
    return {**{name: value for name, value in summary.items() if name not in OF_THE_RUN}, 'tables': rows}


# ---- Avro, read and written ----

class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f'{count} bytes are wanted at {self.at} of {len(self.data)}')
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value >> 1 ^ -(value & 1)

    def run(self):
        return self.take(self.number())


def number(value):
    value = value << 1 ^ value >> 63
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def run_of(data):
    return number(len(data)) + data


def text_of(text):
    return run_of(text.encode() if isinstance(text, str) else text)


def blocks(data, item):
    out = []
    while count := data.number():
        if count < 0:
            count, _ = -count, data.number()
        out += [item(data) for _ in range(count)]
    return out


def read_value(data, schema, names):
    """One value by its JSON schema: the few types that ours use."""
    if isinstance(schema, list):
        return read_value(data, schema[data.number()], names)
    if isinstance(schema, str) and schema in names:
        schema = names[schema]
    kind = schema['type'] if isinstance(schema, dict) else schema
    if isinstance(kind, (dict, list)):
        return read_value(data, kind, names)
    if isinstance(schema, dict) and 'name' in schema:
        names[schema['name']] = schema
    if kind == 'record':
        return {field['name']: read_value(data, field['type'], names) for field in schema['fields']}
    if kind == 'array':
        return blocks(data, lambda d: read_value(d, schema['items'], names))
    if kind == 'map':
        return blocks(data, lambda d: (d.run().decode(), read_value(d, schema['values'], names)))
    if kind == 'enum':
        return schema['symbols'][data.number()]
    if kind == 'fixed':
        return data.take(schema['size'])
    if kind == 'float':
        return struct.unpack('<f', data.take(4))[0]
    return {'null': lambda: None, 'int': data.number, 'long': data.number, 'bytes': data.run,
            'string': lambda: data.run().decode()}[kind]()


def schema(name):
    with open(os.path.join(SOURCE, 'schemas', name + '.avsc')) as file:
        return json.load(file)


_schemas = {}


def decode(name, framed):
    """A Confluent-framed value of schemas/<name>.avsc."""
    if framed is None:
        return None
    shape = _schemas.setdefault(name, schema(name))
    if framed[0] != 0:
        raise ValueError('the magic byte is not 0')
    data = Bytes(framed)
    data.take(5)
    value = read_value(data, shape, {})
    if data.at != len(framed):
        raise ValueError(f'{len(framed) - data.at} bytes are left over')
    return value


# ---- recordings ----

Record = collections.namedtuple('Record', 'offset timestamp key value headers')


def data_files(folder):
    return [name for name in os.listdir(folder) if name.endswith('.avro')]


def files_of(folder, topic):
    names = [name for name in data_files(folder) if name.rsplit('-', 1)[0] == topic]
    return sorted(names, key=lambda name: int(name.rsplit('-', 1)[1][:-5]))


def read_header(data):
    if data.take(4) != b'Obj\x01':
        raise ValueError('no Avro object container file')
    meta = dict(blocks(data, lambda d: (d.run().decode(), d.run())))
    return meta, data.take(16)


def read_optional(data):
    return data.run() if data.number() else None


def read_record(data):
    return Record(data.number(), data.number(), read_optional(data), read_optional(data),
                  blocks(data, lambda d: (d.run().decode(), d.run())))


def read_blocks(path):
    """(records, first byte, last byte + 1) of each block; the header's length first."""
    with open(path, 'rb') as file:
        data = Bytes(file.read())
    meta, sync = read_header(data)
    yield meta, 0, data.at
    while data.at < len(data.data):
        first = data.at
        count, payload = data.number(), data.run()
        if data.take(16) != sync:
            raise ValueError(f'{path}: no sync marker at {data.at - 16}')
        inside = Bytes(zlib.decompress(payload, -15) if meta.get('avro.codec') == b'deflate' else payload)
        records = [read_record(inside) for _ in range(count)]
        if inside.at != len(inside.data):
            raise ValueError(f'{path}: bytes after the last record of the block at {first}')
        yield records, first, data.at


def read_file(path):
    found = read_blocks(path)
    next(found)
    return [record for records, _, _ in found for record in records]


def read_topic(folder, topic):
    """The records of all its partitions, one after the other."""
    return [record for name in files_of(folder, topic) for record in read_file(os.path.join(folder, name))]


def optional(data):
    return number(0) if data is None else number(1) + run_of(data)


def record_bytes(record):
    headers = b''.join(text_of(key) + run_of(value) for key, value in record.headers)
    return (number(record.offset) + number(record.timestamp) + optional(record.key) + optional(record.value) +
            (number(len(record.headers)) + headers if record.headers else b'') + number(0))


def write_file(path, records, codec='null', per_block=50):
    """Anew, with a sync marker of its own."""
    with open(os.path.join(SOURCE, 'schemas', 'recording.avsc'), 'rb') as file:
        shape = file.read()
    sync = struct.pack('<QQ', zlib.crc32(path.encode()) | 1 << 40, 0x9E3779B97F4A7C15)
    out = [b'Obj\x01', number(2), text_of('avro.schema'), run_of(shape), text_of('avro.codec'), text_of(codec), number(0), sync]
    for at in range(0, len(records), per_block):
        part = records[at:at + per_block]
        payload = b''.join(map(record_bytes, part))
        if codec == 'deflate':
            packer = zlib.compressobj(wbits=-15)
            payload = packer.compress(payload) + packer.flush()
        out += [number(len(part)), run_of(payload), sync]
    with open(path, 'wb') as file:
        file.write(b''.join(out))


def alter_file(folder, name, change):
    """Rewrites one file with what `change` makes of its list of records."""
    path = os.path.join(folder, name)
    write_file(path, change(read_file(path)))


def copy(source, to):
    shutil.copytree(source, to)
    return to


# ---- what is in a replay's outputs ----

def manifests(folder):
    return [decode('epochs-value', record.value) for record in read_topic(folder, 'epochs')]


def row_of(topic, record):
    """(table, key, value, version, epoch): the value None for a tombstone."""
    if topic == 'semantic-ids':
        table, key, value = 'sid', record.key, decode('semantic-ids-value', record.value)
        content = value and tuple(value['codes'])
    elif topic == 'codebooks':
        parts = decode('codebooks-key', record.key)
        table, key = 'codebooks', (parts['generation'], parts['level'], parts['code'])
        value = decode('codebooks-value', record.value)
        content = value and tuple(value['vector'])
    else:
        parts = decode('row-key', record.key)
        table, key, value = parts['table'], parts['key'], decode('row-value', record.value)
        content = value and value['value']
    return table, key, content, value and value['version'], value and value['epoch']


ROW_TOPICS = ('semantic-ids', 'ranker-deltas', 'changelog', 'codebooks')


def fold(folder, topics=ROW_TOPICS):
    """The last value of each row: {(table, key): value}."""
    rows = {}
    for topic in topics:
        for record in read_topic(folder, topic):
            table, key, content, _, _ = row_of(topic, record)
            if record.value is None:
                rows.pop((table, key), None)
            else:
                rows[table, key] = content
    return rows


# ---- input events ----

def framed(body, schema_id):
    return b'\x00' + struct.pack('>i', schema_id) + body


INTERACTION, CONTENT = 1, 2  # the schemas' ids in recordings


def interaction(user, item, time_ms, action=1, label=None, request_id=None, position=None):
    body = text_of(user) + text_of(item) + number(time_ms) + number(action)
    body += number(0) if label is None else number(1) + struct.pack('<f', label)
    body += number(0) if request_id is None else number(1) + text_of(request_id)
    body += number(0) if position is None else number(1) + number(position)
    return framed(body + number(0), INTERACTION)


def listing(item, time_ms, vector, text=None):
    numbers = number(len(vector)) + struct.pack(f'<{len(vector)}f', *vector) if vector else b''
    body = text_of(item) + number(time_ms) + number(1) + text_of('text') + numbers + number(0) + number(0)
    body += number(0) if text is None else number(1) + text_of(text)
    return framed(body + number(0), CONTENT)
