"""Inputs whose schema ids are a registry's: a real one (Apicurio), with writers that evolve, unknown ids, a registry that does not answer; and
a recording of it that is verified without a registry."""
import urllib.error, urllib.request
from record_case import *

OTHER = {'type': 'record', 'name': 'Other', 'fields': [{'name': 'x', 'type': 'long'}]}


class Registry(RecordCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.registry_folder = os.path.join(os.environ['COLDSTREAM_BUILD'], 'schema-registry')
        script = os.path.join(SOURCE, 'scripts', 'schema-registry.sh')
        subprocess.run([script, 'stop', cls.registry_folder], check=True)
        cls.url = subprocess.run([script, 'start', cls.registry_folder], check=True, capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL, timeout=500).stdout.strip()
        cls.addClassCleanup(subprocess.run, [script, 'stop', cls.registry_folder])
        for number_ in range(4):  # so that no id of ours is one of schemas/
            cls.register(f'other{number_}', {**OTHER, 'name': f'Other{number_}'})

    @classmethod
    def register(cls, subject, shape):
        """Its id."""
        body = json.dumps({'schema': json.dumps(shape)}).encode()
        request = urllib.request.Request(f'{cls.url}/subjects/{subject}/versions', body, {'Content-Type': 'application/json'})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)['id']

    def signal_registry(self, number_):
        with open(os.path.join(self.registry_folder, 'registry.pid')) as file:
            os.kill(int(file.read()), number_)

    def sets(self):
        return [*self.SETS, f'schema_registry.url={self.url}']

    def test_ids_of_the_registry(self):
        prefix = f'registry{os.getpid()}.'
        market = self.generate('registry', '--dims', DIMS, items=100, users=40, events=1500)
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        content = self.register(prefix + 'item-content-value', schema('item-content-value'))
        first = self.register(prefix + 'interactions-value', schema('interactions-value'))

        def with_id(records, id_):
            return [r._replace(value=r.value[:1] + struct.pack('>i', id_) + r.value[5:]) for r in records]
        create_inputs(prefix)
        stage = self.start_stage(prefix, sets=self.sets())
        self.wait_for_topics(prefix, stage)
        produce(prefix + 'item-content', with_id(listings, content))
        produce(prefix + 'interactions', with_id(clicks[:500], first))
        # a writer that has one more field, registered while the stage runs
        wider = schema('interactions-value')
        wider['fields'] = [{'name': 'shard', 'type': 'long', 'default': 0}, *wider['fields']]
        second = self.register(prefix + 'interactions-value', wider)
        self.assertGreater(min(content, first, second), 2)
        more = [r._replace(value=framed(number(7) + r.value[5:], second)) for r in clicks[500:1000]]
        produce(prefix + 'interactions', more)
        # ids that nobody has registered, and one of something else
        strange = self.register('strange', OTHER)
        produce(prefix + 'interactions', with_id(clicks[:3], 99999) + with_id(clicks[3:5], strange) + with_id(clicks[5:6], 1))
        wanted = len(listings) + 1006

        def events():
            return sum(m['counts']['events'] for m in manifests_of(prefix))
        self.wait_until(lambda: events() == wanted, f'{wanted} events', [stage])
        # the registry does not answer: what needs it waits, and nothing is lost
        wider['fields'].append({'name': 'more', 'type': ['null', 'string'], 'default': None})
        third = self.register(prefix + 'interactions-value', wider)
        self.signal_registry(signal.SIGSTOP)
        try:
            produce(prefix + 'interactions', [r._replace(value=framed(number(7) + r.value[5:] + number(0), third)) for r in clicks[1000:]])
            self.wait_until(lambda: 'registry.away' in stage.said(), 'the registry is missed', [stage])
            self.assertTrue(stage.alive())
        finally:
            self.signal_registry(signal.SIGCONT)
        wanted += 500
        self.wait_until(lambda: events() == wanted, f'{wanted} events', [stage])
        self.assertEqual(stage.terminate(), OK)
        outputs = Outputs(prefix)
        judge(self, outputs, {'item-content': len(listings), 'interactions': 1506})
        letters = [dict(m.headers()) for m in outputs.topics['dead-letter']]
        self.assertEqual([letter['reason'] for letter in letters], [b'schema'] * 6)

        folder = self.path('recorded')
        self.record(prefix, folder, '--until', 'latest', '--set', f'schema_registry.url={self.url}')
        self.assert_recorded(prefix, folder)
        with open(os.path.join(folder, 'recording.yaml')) as file:
            text = file.read()
        for id_ in (content, first, second, third):
            self.assertIn(f'- id: {id_}\n', text)
        self.assertEqual(self.verify(folder).json()['verified_epochs'], len(outputs.manifests))

    def test_a_schema_that_cannot_be_read(self):
        """Found at the start, before anything is done."""
        prefix = f'unreadable{os.getpid()}.'
        self.register(prefix + 'interactions-value', OTHER)
        stage = self.start_stage(prefix, sets=self.sets())
        self.assertEqual(stage.process.wait(PATIENCE_RUN_S), BAD_CONFIG)
        self.assertIn(prefix + 'interactions-value', stage.said())


if __name__ == '__main__':
    main()
