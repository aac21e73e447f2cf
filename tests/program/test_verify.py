"""replay --verify: says nothing against a replay as it was made, and names the place of whatever was changed in it or in its
inputs."""
import os, shutil
import program
from program import *


def flipped(data, at=-1):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def with_one(index, **fields):
    """Changes fields of one record; a function is applied to what is there."""
    def change(records):
        new = {name: value(getattr(records[index], name)) if callable(value) else value for name, value in fields.items()}
        return [record._replace(**new) if record is records[index] else record for record in records]
    return change


def without(index):
    return lambda records: [record for record in records if record is not records[index]]


def without_a_gap(index):
    return lambda records: [record._replace(offset=i) for i, record in enumerate(without(index)(records))]


class Verify(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', '--partitions', 2)
        # one that cannot be used among the rest: so that there is a dead letter
        alter_file(cls.market, 'interactions-1.avro', with_one(30, value=lambda value: value[:-3]))
        cls.out = os.path.join(cls.class_folder, 'out')
        result = run(*replay_words(cls.market, cls.out, '--json'))
        if result.code != OK:
            raise AssertionError(result.err)
        cls.summary = result.json()

    def epoch_of(self, topic, index, folder=None):
        """The epoch that published a record of partition 0 of an output topic."""
        for manifest in manifests(folder or self.out):
            if any(end['topic'] == topic and end['end_offset'] > index for end in manifest['ends']):
                return manifest['epoch']

    def outputs_with(self, name, change):
        folder = self.path('out')
        shutil.rmtree(folder, ignore_errors=True)
        copy(self.out, folder)
        alter_file(folder, name, change)
        return folder

    def inputs_with(self, name, change):
        folder = self.path('market')
        shutil.rmtree(folder, ignore_errors=True)
        copy(self.market, folder)
        alter_file(folder, name, change)
        return folder

    def refused(self, market, out, *words):
        result = self.verify(market, out, code=BAD_DATA)
        self.says(result, *words)
        self.assertEqual(result.out, '')

    def test_untouched(self):
        before = {name: os.stat(os.path.join(self.out, name)).st_mtime_ns for name in os.listdir(self.out)}
        result = self.verify(self.market, self.out)
        self.assertIn(f'{self.summary["epochs"]} epochs', result.out)
        self.assertIn(self.summary['digest'], result.out)
        answer = self.check(run(*replay_words(self.market, self.out, '--verify', '--json'))).json()
        self.assertEqual((answer['verified_epochs'], answer['digest']), (self.summary['epochs'], self.summary['digest']))
        self.assertEqual(before, {name: os.stat(os.path.join(self.out, name)).st_mtime_ns for name in os.listdir(self.out)})

    def test_same_records_in_other_bytes(self):
        """Written by someone else, other blocks, other sync markers, deflated: the records count."""
        for codec in ('null', 'deflate'):
            folder = copy(self.out, self.path(codec))
            for name in data_files(folder):
                write_file(os.path.join(folder, name), read_file(os.path.join(folder, name)), codec, per_block=33)
            self.verify(self.market, folder)

    def test_changed_value(self):
        """Of any topic, in the middle and at the end: the epoch, the table and the row are named."""
        for topic in ROW_TOPICS:
            records = read_topic(self.out, topic)
            for index in (len(records) // 2, len(records) - 1):
                while records[index].value is None:
                    index -= 1
                table, key, _, _, _ = row_of(topic, records[index])
                words = [f'epoch {self.epoch_of(topic, index)}:', f"table '{table}'"]
                words += [key.decode()] if isinstance(key, bytes) and key.startswith(b'item-') else []
                for change in ({'value': flipped}, {'value': None}, {'key': flipped}, {'timestamp': lambda time: time + 1},
                               {'headers': [('a', b'b')]}):
                    self.refused(self.market, self.outputs_with(topic + '-0.avro', with_one(index, **change)), *words)

    def test_changed_row_of_the_deltas(self):
        """The value alone, by a writer of our own: one bit of one number of one row."""
        records = read_topic(self.out, 'ranker-deltas')
        index = next(i for i, record in enumerate(records) if row_of('ranker-deltas', record)[:2] == ('embedding', b'item-00005')
                     and row_of('ranker-deltas', record)[3] > 2)
        self.refused(self.market, self.outputs_with('ranker-deltas-0.avro', with_one(index, value=lambda v: flipped(v, -6))),
                     f'epoch {self.epoch_of("ranker-deltas", index)}:', "table 'embedding'", "row 'item-00005'", 'ranker-deltas')

    def test_lost_output(self):
        for topic in ROW_TOPICS:
            records = read_topic(self.out, topic)
            for index in (0, len(records) // 2, len(records) - 1):
                epoch = f'epoch {self.epoch_of(topic, index)}:'
                for change in (without(index), without_a_gap(index)):
                    self.refused(self.market, self.outputs_with(topic + '-0.avro', change), epoch, topic)

    def test_output_out_of_order(self):
        self.refused(self.market, self.outputs_with('ranker-deltas-0.avro', lambda r: r[:50] + [
            r[51]._replace(offset=50), r[50]._replace(offset=51)] + r[52:]), 'ranker-deltas')

    def test_more_output_than_was_made(self):
        for topic in ROW_TOPICS + ('dead-letter',):
            folder = self.outputs_with(topic + '-0.avro', lambda records: records + [records[-1]._replace(offset=len(records))])
            self.refused(self.market, folder, topic, 'after it')

    def test_dead_letters(self):
        """Their headers say what went wrong, so they count, too."""
        letter, = read_topic(self.out, 'dead-letter')
        headers = dict(letter.headers)
        for change in (with_one(0, value=flipped), with_one(0, key=b'someone else'),
                       with_one(0, headers=[(k, b'wire' if k == 'reason' else v) for k, v in headers.items()]), without(0)):
            self.refused(self.market, self.outputs_with('dead-letter-0.avro', change), 'interactions-1', 'offset 30')

    def test_manifests(self):
        made = manifests(self.out)
        middle = len(made) // 2
        epoch = made[middle]['epoch']
        self.refused(self.market, self.outputs_with('epochs-0.avro', without(middle)), f'epoch {epoch}:', 'manifest')
        self.refused(self.market, self.outputs_with('epochs-0.avro', without(-1)), f'epoch {made[-1]["epoch"] - 1}', 'after it')
        for what in (b'stage', b'embedding'):  # the digest after a table's name
            def change(value):
                at = value.index(number(len(what)) + what) + 1 + len(what)
                return flipped(value, at + 3)
            self.refused(self.market, self.outputs_with('epochs-0.avro', with_one(middle, value=change)), f'epoch {epoch}:',
                         what.decode())
        # its third number is the timestamp, after epoch and kind
        self.refused(self.market, self.outputs_with('epochs-0.avro', with_one(middle, value=lambda value: flipped(
            value, 5 + len(number(epoch)) + 1 + 2))), f'epoch {epoch}:', 'timestamp')
        folder = self.outputs_with('epochs-0.avro', lambda records: [])
        self.says(self.verify(self.market, folder, code=NO_INPUT), folder, 'nothing to verify')

    def test_other_seeds_outputs(self):
        other = self.path('other')
        self.replay(self.market, other, sets=SMALL + ['seed=9'])
        for topic in ROW_TOPICS + ('epochs',):
            folder = copy(self.out, self.path(topic))
            shutil.copy(os.path.join(other, topic + '-0.avro'), folder)
            self.refused(self.market, folder, 'epoch 1:')
        # all of them: they are what they say they are, made with that seed
        result = self.verify(self.market, other)
        self.assertIn('event=verify.config', result.err)

    def test_changed_input(self):
        """One byte of one record: the partition and the offsets are named, whatever the change makes of it."""
        for name, index in (('interactions-0.avro', 100), ('interactions-1.avro', 200), ('item-content-0.avro', 10)):
            place = name[:-5]
            for change in ({'value': lambda value: flipped(value, 14)}, {'value': flipped}, {'value': lambda v: v[:-1]},
                           {'timestamp': lambda time: time + 1}, {'key': b'user-00001'}):
                if change.get('key') and place == 'item-content-0':
                    continue
                self.refused(self.inputs_with(name, with_one(index, **change)), self.out, place, 'offset')

    def test_mended_input(self):
        """A record that could not be used then can be used now: another input all the same."""
        self.refused(self.inputs_with('interactions-1.avro', with_one(30, value=lambda value: value + bytes(3))), self.out,
                     'interactions-1', 'offset')

    def test_lost_input(self):
        for name in ('interactions-0.avro', 'item-content-0.avro'):
            count = len(read_file(os.path.join(self.market, name)))
            for index in (0, count // 2, count - 1):
                for change in (without(index), without_a_gap(index)):
                    folder = self.inputs_with(name, change)
                    result = self.verify(folder, self.out, code=BAD_DATA)
                    self.says(result, name[:-5], 'offset')
                    first, last = self.range_of(name[:-7], int(name[-6]), index)
                    self.says(result, f'offsets {first} to {last}')

    def range_of(self, topic, partition, offset):
        for manifest in manifests(self.out):
            for one in manifest['inputs']:
                if (one['topic'], one['partition']) == (topic, partition) and one['first_offset'] <= offset <= one['last_offset']:
                    return one['first_offset'], one['last_offset']

    def test_other_recording(self):
        other = self.generate('other', '--partitions', 2, '--seed', 4)
        self.refused(other, self.out, 'epoch 1:', 'item-content-0')

    def test_other_kernels(self):
        """OpenBLAS sums in another order on other CPUs: that is no divergence, and is told apart."""
        ran = self.summary['blas_core']
        other = next(core for core in ('Haswell', 'Nehalem', 'Prescott') if core.lower() != ran.lower())
        probe = self.replay(self.market, self.path('probe'), environment={'OPENBLAS_CORETYPE': other})
        if probe.json()['blas_core'] == ran:
            self.skipTest(f'this OpenBLAS runs {ran} whatever OPENBLAS_CORETYPE says')
        result = self.verify(self.market, self.out, code=BAD_CONFIG, environment={'OPENBLAS_CORETYPE': other})
        self.says(result, ran, probe.json()['blas_core'])
        self.verify(self.market, self.out, environment={'OPENBLAS_CORETYPE': ran})
        self.verify(self.market, self.path('probe'), environment={'OPENBLAS_CORETYPE': other})

    def test_inputs_and_outputs_in_one_recording(self):
        """As a live stage would be recorded: its manifests are in the recording itself, and no --to is needed."""
        both = copy(self.market, self.path('both'))
        for name in data_files(self.out):
            shutil.copy(os.path.join(self.out, name), both)
        texts = []
        for folder in (self.market, self.out):
            with open(os.path.join(folder, 'recording.yaml')) as file:
                texts.append(file.read())
        outputs = texts[1][texts[1].index('partitions:\n') + len('partitions:\n'):texts[1].index('schemas:')]
        with open(os.path.join(both, 'recording.yaml'), 'w') as file:
            file.write(texts[0].replace('schemas:', outputs + 'schemas:', 1))
        result = self.verify(both, None)
        self.assertIn(self.summary['digest'], result.out)
        alter_file(both, 'ranker-deltas-0.avro', with_one(99, value=flipped))
        self.refused(both, None, f'epoch {self.epoch_of("ranker-deltas", 99)}:')

    def test_nothing_to_verify(self):
        self.says(self.check(run(*replay_words(self.market, None, '--verify')), USAGE), self.market, '--to')
        self.says(self.verify(self.market, self.path('absent'), code=NO_INPUT), self.path('absent'))
        self.assertFalse(os.path.exists(self.path('absent')))
        self.says(self.verify(self.path('absent'), self.out, code=NO_INPUT), self.path('absent'))

    def test_resumed_replay(self):
        """A replay that was stopped on the way is verified like any other."""
        folder = self.path('out')
        copy(self.out, folder)
        with open(os.path.join(folder, 'sealed.log'), 'rb') as file:
            lines = file.read().splitlines(True)
        with open(os.path.join(folder, 'sealed.log'), 'wb') as file:
            file.write(b''.join(lines[:len(lines) // 2]))
        os.unlink(os.path.join(folder, 'recording.yaml'))
        self.replay(self.market, folder, '--resume')
        self.verify(self.market, folder)


if __name__ == '__main__':
    program.main()
