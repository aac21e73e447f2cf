"""What the tests of `record` share: recording and verifying a stage's topics."""
from kafka_case import *


def delete_before(prefix, topic, offset):
    """As retention does."""
    admin = AdminClient({'bootstrap.servers': broker()})
    for future in admin.delete_records([TopicPartition(prefix + topic, 0, offset)]).values():
        future.result(30)


class RecordCase(KafkaCase):
    SETS = ['kafka.session_timeout_ms=1000', 'kafka.linger_ms=100', 'kafka.transaction_timeout_ms=5000']

    def record(self, prefix, to, *more, code=OK):
        return self.check(run(*record_words(prefix, to, *more)), code)

    def verify(self, folder, code=OK):
        return self.check(run(*verify_words(folder)), code)

    def assert_recorded(self, prefix, folder, topics=(*INPUTS, *OUTPUT_TOPICS)):
        """What a read_committed reader sees, each record as it is."""
        for topic in topics:
            wanted = [Record(m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or []) for m in committed(prefix + topic)]
            self.assertEqual(read_topic(folder, topic), wanted, topic)
