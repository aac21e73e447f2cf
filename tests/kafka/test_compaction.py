"""A restore from topics that the broker has compacted, when there were ten times as many obsolete records as rows."""
from kafka_case import *

ROUNDS = 80
OBSOLETE = 10


def rows_of(messages_of):
    """The last value of each row of a compacted topic: {(topic, key): value}."""
    rows = {}
    for topic in ROW_TOPICS:
        for message in messages_of[topic]:
            rows[topic, message.key()] = message.value()
    return {key: value for key, value in rows.items() if value is not None}


class Compaction(KafkaCase):
    def records_now(self, prefix):
        return {topic: committed(prefix + topic) for topic in ROW_TOPICS}

    def cleaned(self, prefix, published):
        """The cleaner has run: most of the records are gone."""
        left = sum(map(len, self.records_now(prefix).values()))
        return left if left * 3 < published else None

    def test_restored_from_what_is_left(self):
        script = self.make_script(rounds=ROUNDS)
        reference = self.reference(script)
        stream = Stream(script, f'compaction{os.getpid()}.')
        self.addCleanup(stream.close)
        create_topics(stream.prefix, ROW_TOPICS, COMPACTED)
        first = self.start_stage(stream.prefix, sets=Script.SETS)
        self.wait_for_topics(stream.prefix, first)
        self.wait_until(lambda: stream.advance() or stream.events >= script.settled[-4], 'most of the stream', [first], PATIENCE_S)
        first.kill()

        published = sum(manifest['counts']['rows'] for manifest in manifests_of(stream.prefix))
        rows = len(rows_of(self.records_now(stream.prefix)))
        self.assertGreater(published, (OBSOLETE + 1) * rows, 'obsolete records per row: more rounds are needed')
        left = self.wait_until(lambda: self.cleaned(stream.prefix, published), 'the broker compacts')

        second = self.start_stage(stream.prefix, 'second', sets=Script.SETS)
        self.assertTrue(self.follow(stream, second), second.said()[-3000:])
        self.assertEqual(second.terminate(), OK)
        made = Outputs(stream.prefix)
        self.assertEqual(made.lasting_manifests(), reference.lasting_manifests())
        self.assertEqual(rows_of(made.topics), rows_of(reference.topics))
        self.assertEqual(made.records('dead-letter'), reference.records('dead-letter'))
        print(f'{published} records of {rows} rows were {left} when it was restored', flush=True)


if __name__ == '__main__':
    main()
