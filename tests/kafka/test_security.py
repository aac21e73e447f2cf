"""`check --connect`, names and settings of topics, properties of librdkafka: against a broker that asks for passwords and rights."""
from kafka_case import *
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, ConfigResource, NewTopic, ResourcePatternType,
                                   ResourceType)

ALL_TOPICS = (*INPUTS, *OUTPUT_TOPICS, 'leader')


def sasl_broker():
    with open(os.path.join(broker_folder(), 'broker.sasl.address')) as file:
        return file.read().strip()


def done(futures):
    for future in futures.values():
        future.result(30)


class Security(KafkaCase):
    def setUp(self):
        super().setUp()
        self.prefix = f'sec{os.getpid()}-{self._testMethodName[5:12]}.'
        self.admin = AdminClient({'bootstrap.servers': broker()})

    def allow(self, kind, name, *operations, pattern=ResourcePatternType.LITERAL, user='User:stage'):
        done(self.admin.create_acls([AclBinding(kind, name, pattern, user, '*', operation, AclPermissionType.ALLOW) for operation in operations]))
        self.addCleanup(lambda: done(self.admin.delete_acls([AclBindingFilter(kind, name, pattern, user, None, AclOperation.ANY,
                                                                              AclPermissionType.ANY)])))

    def allow_all(self):
        """What a stage needs, as the README has it."""
        self.allow(ResourceType.TOPIC, self.prefix, AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE, AclOperation.DESCRIBE_CONFIGS,
                   pattern=ResourcePatternType.PREFIXED)
        self.allow(ResourceType.GROUP, self.prefix, AclOperation.READ)
        self.allow(ResourceType.TRANSACTIONAL_ID, self.prefix, AclOperation.WRITE)

    def configuration(self, properties, name='run.yaml'):
        with open(self.path(name), 'w') as file:
            file.write(f'kafka:\n  brokers: "{sasl_broker()}"\n  prefix: "{self.prefix}"\n  application: "{self.prefix}"\n  properties:\n')
            file.writelines(f'    {key}: "{value}"\n' for key, value in properties.items())
        return self.path(name)

    def as_stage(self, password='${env:STAGE_PASSWORD}', user='stage', mechanism='PLAIN'):
        return self.configuration({'security.protocol': 'SASL_PLAINTEXT', 'sasl.mechanism': mechanism, 'sasl.username': user,
                                   'sasl.password': password})

    def connect(self, config, *sets, code=OK, password='stage-secret'):
        result = self.check(run('check', '-c', config, '--connect', '--json', *settings(sets), environment={'STAGE_PASSWORD': password}), code)
        self.assertNotIn('stage-secret', result.out + result.err)
        answer = result.json()
        connection = answer.get('connection', {'topics': [], 'rights': []})
        topics = {topic['topic'].removeprefix(self.prefix): topic for topic in connection['topics']}
        rights = {right['right'].replace(self.prefix, ''): right for right in connection['rights']}
        return answer, topics, rights

    def lacking(self, rights):
        return sorted(name for name, right in rights.items() if right['state'] == 'lacking')

    def run_config(self, config, sets=(), password='stage-secret'):
        """A stage with this configuration until it has made its topics and is ready."""
        with open(self.path('stderr'), 'ab') as file:
            process = subprocess.Popen([executable(), 'run', '-c', config, *settings([*SMALL, f'content.dims={DIMS}',
                                        'kafka.session_timeout_ms=2000', *sets])], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=file, env={**os.environ, 'STAGE_PASSWORD': password})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def said(self):
        with open(self.path('stderr')) as file:
            return file.read()

    def test_without_rights(self):
        answer, topics, rights = self.connect(self.as_stage(), code=BAD_CONFIG)
        self.assertFalse(answer['ok'])
        self.assertEqual({topic['state'] for topic in topics.values()}, {'denied'})
        self.assertEqual(self.lacking(rights), sorted([*(f'topic {topic}: describe' for topic in ALL_TOPICS), 'group : describe']))

    def test_each_right_that_is_lacking_is_named(self):
        self.allow(ResourceType.TOPIC, self.prefix, AclOperation.DESCRIBE, pattern=ResourcePatternType.PREFIXED)
        self.allow(ResourceType.GROUP, self.prefix, AclOperation.DESCRIBE)
        _, topics, rights = self.connect(self.as_stage(), code=BAD_CONFIG)
        self.assertEqual({topic['state'] for topic in topics.values()}, {'missing'})
        self.assertEqual(self.lacking(rights), sorted([*(f'topic {topic}: create' for topic in ALL_TOPICS),
                                                       'transactional id : describe and write']))
        # there, but made by others: no right on what is in them, nor on their settings
        done(self.admin.create_topics([NewTopic(self.prefix + topic, 1, config={'cleanup.policy': 'delete' if topic in (*INPUTS, 'epochs',
                                       'dead-letter', 'leader') else 'compact'}) for topic in ALL_TOPICS]))
        _, topics, rights = self.connect(self.as_stage(), code=BAD_CONFIG)
        self.assertEqual(self.lacking(rights), sorted(
            [*(f'topic {topic}: read' for topic in ALL_TOPICS), *(f'topic {topic}: describe its settings' for topic in ALL_TOPICS[2:]),
             'group : read', 'transactional id : describe and write']))
        self.allow(ResourceType.TOPIC, self.prefix, AclOperation.READ, AclOperation.DESCRIBE_CONFIGS, pattern=ResourcePatternType.PREFIXED)
        self.allow(ResourceType.GROUP, self.prefix, AclOperation.READ)
        self.allow(ResourceType.TRANSACTIONAL_ID, self.prefix, AclOperation.WRITE)
        _, topics, rights = self.connect(self.as_stage(), code=BAD_CONFIG)
        self.assertEqual(self.lacking(rights), sorted(f'topic {topic}: write' for topic in OUTPUT_TOPICS))
        self.allow_all()
        answer, topics, rights = self.connect(self.as_stage(), code=BAD_CONFIG)  # max.message.bytes of a topic made by others
        self.assertEqual(self.lacking(rights), [])
        self.assertFalse([name for name, right in rights.items() if right['state'] == 'unknown'])
        self.assertIn('max.message.bytes', topics['changelog']['text'])
        for topic in OUTPUT_TOPICS:
            self.assertEqual(committed(self.prefix + topic), [], 'asking leaves no record')

    def test_a_stage_with_the_rights_of_the_readme(self):
        """Names of its own, replication, settings; created as configured, and nothing differs afterwards."""
        self.allow_all()
        names = {'interactions': 'clicks.v1', 'semantic-ids': 'sids', 'leader': 'who-leads'}
        sets = [f'topics.{topic}={name}' for topic, name in names.items()] + ['topics.segment_ms=60000', 'topics.dirty_ratio=0.25',
                'topics.replication=1', 'topics.retention_ms=0', 'output.partitions=2']
        config = self.as_stage()
        _, topics, rights = self.connect(config, *sets)
        self.assertEqual({topic['state'] for topic in topics.values()}, {'missing'})
        process = self.run_config(config, sets)
        self.wait_until(lambda: process.poll() is not None or 'event=run.ready' in self.said(), 'ready')
        self.assertIsNone(process.poll(), self.said()[-2000:])
        answer, topics, rights = self.connect(config, *sets)  # beside the stage: it goes on
        self.assertEqual({topic['state'] for topic in topics.values()}, {'there'}, topics)
        self.assertEqual(self.lacking(rights), [])
        self.assertIn('instance', rights['transactional id : describe and write']['text'])
        made = set(self.admin.list_topics(timeout=10).topics)
        self.assertLessEqual({self.prefix + names.get(topic, topic) for topic in ALL_TOPICS}, made)
        self.assertNotIn(self.prefix + 'interactions', made)
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.prefix + 'sids')
        entries = self.admin.describe_configs([resource])[resource].result(30)
        self.assertEqual([entries[key].value for key in ('segment.ms', 'min.cleanable.dirty.ratio', 'cleanup.policy')], ['60000', '0.25', 'compact'])
        market = self.generate('market', '--dims', DIMS, items=100, users=20, events=300)
        produce(self.prefix + 'item-content', read_topic(market, 'item-content'))
        produce(self.prefix + 'clicks.v1', read_topic(market, 'interactions'))
        self.wait_until(lambda: process.poll() is not None or sum(m['counts']['events'] for m in manifests_of(self.prefix)) == 400, 'epochs')
        self.assertIsNone(process.poll(), self.said()[-2000:])
        # what differs is told, and nothing is altered
        _, topics, _ = self.connect(config, *sets, 'topics.segment_ms=120000')
        self.assertEqual(topics['changelog']['state'], 'differs')
        self.assertIn('segment.ms 60000 instead of 120000', topics['changelog']['text'])
        process.terminate()
        self.assertEqual(process.wait(60), OK)
        self.assertNotIn('stage-secret', self.said())
        for topic in OUTPUT_TOPICS:
            for message in committed(self.prefix + names.get(topic, topic)):
                self.assertNotIn(b'stage-secret', message.value() or b'')

    def test_secrets_in_files(self):
        """Another user, without any right but this."""
        self.allow(ResourceType.TOPIC, self.prefix, AclOperation.DESCRIBE, pattern=ResourcePatternType.PREFIXED, user='User:guest')
        with open(self.path('password'), 'w') as file:
            file.write('-secret\n')
        _, topics, _ = self.connect(self.as_stage(f'guest${{file:{self.path("password")}}}', 'guest'), code=BAD_CONFIG)
        self.assertEqual({topic['state'] for topic in topics.values()}, {'missing'}, 'let in, and may describe')

    def test_not_let_in(self):
        """A wrong password is no broker that is away."""
        for command in ('check', 'run'):
            words = ['check', '--connect'] if command == 'check' else ['run']
            result = self.check(run(*words, '-c', self.as_stage(), *settings([f'content.dims={DIMS}']), environment={'STAGE_PASSWORD': 'opensesame'}),
                                BAD_CONFIG)
            self.says(result, 'does not let this client in')
            self.assertNotIn('opensesame', result.out + result.err)

    def test_secrets_that_are_not_there(self):
        for reference, word in (('${env:NO_SUCH_VARIABLE}', 'NO_SUCH_VARIABLE'), ('${file:/no/such/file}', '/no/such/file')):
            result = self.check(run('check', '--connect', '-c', self.as_stage(reference)), BAD_CONFIG)
            self.says(result, word, 'kafka.properties.sasl.password')

    def test_shown_without_secrets(self):
        config = self.as_stage('written-out')
        for more in ([], ['--json']):
            result = self.check(run('check', '-c', config, '--show', *more))
            self.assertNotIn('written-out', result.out)
            self.assertIn('SASL_PLAINTEXT', result.out)
        with open(config, 'a') as file:
            file.write('    acks: "0"\n    sasl.oauthbearer.method: "written-out"\n')
        result = self.check(run('check', '-c', config), BAD_CONFIG)
        self.assertIn('run.yaml:10:5: kafka.properties.acks', result.out)
        self.assertIn('run.yaml:11:5: kafka.properties.sasl.oauthbearer.method', result.out)
        self.assertNotIn('written-out', result.out + result.err)

    def test_no_broker(self):
        result = self.check(run('check', '--connect', '-c', os.path.join(SOURCE, 'conf', 'run.yaml'), *settings(['kafka.brokers=127.0.0.1:1'])), TRY_AGAIN)
        self.says(result, 'item-content')


if __name__ == '__main__':
    main()
