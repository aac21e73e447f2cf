"""run's HTTP port, on the real broker: what it says against the topics themselves, a real Prometheus, and clients that mean harm."""
import json, shutil, socket, urllib.error, urllib.parse, urllib.request
from kafka_case import *
from confluent_kafka import Producer

PATIENCE_HTTP_S = 10
HOSTILE = '<script>alert(1)</script> "q" \\ \U0001f525 \x1b[31m \u202e', 'x' * 64


def request(address, path, method='GET'):
    """Code, headers, body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f'http://{address}{path}', method=method), timeout=PATIENCE_HTTP_S) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, answer.read()


def get(address, path):
    code, _, body = request(address, path)
    if code != 200:
        raise AssertionError(f'{path}: {code} {body[:200]}')
    return body


def metrics_of(address):
    """(name, labels as written) -> value."""
    values = {}
    for line in get(address, '/metrics').decode().splitlines():
        if not line.startswith('#'):
            key, _, value = line.rpartition(' ')
            name, _, labels = key.partition('{')
            values[name, labels.rstrip('}')] = float(value)
    return values


def status_of(address):
    return json.loads(get(address, '/status.json'))


class Metrics(KafkaCase):
    SETS = ['kafka.session_timeout_ms=2000', 'kafka.linger_ms=100', 'kafka.transaction_timeout_ms=5000', 'limits.id_bytes=128']

    def setUp(self):
        super().setUp()
        self.prefix = f'metrics{os.getpid()}.{self._testMethodName[5:25]}.'

    def start(self, name='stderr', sets=()):
        stage = self.start_stage(self.prefix, name, sets=[*self.SETS, *sets])
        line = self.wait_until(lambda: re.search(r'event=http.ready address=(\S+)', stage.said()), 'the port', [stage])
        stage.address = line.group(1)
        return stage

    def ready(self, stage):
        return request(stage.address, '/readyz')[0] == 200

    def feed(self, stage, items=200, events=6000):
        """A marketplace whose records are of now, with one bad event; all of it is committed when this returns."""
        market = self.generate(f'market{items}', '--dims', DIMS, items=items, users=60, events=events)
        listings, clicks = read_topic(market, 'item-content'), read_topic(market, 'interactions')
        self.wait_for_topics(self.prefix, stage)
        now_ms = int(time.time() * 1000)
        hostile = [listings[0]._replace(key=name.encode(), value=listing(name, now_ms, [float(i % 7) for i in range(DIMS)], name))
                   for name in HOSTILE]
        listings = [record._replace(timestamp=now_ms) for record in listings + hostile]
        produce(self.prefix + 'item-content', listings[:-2])
        produce(self.prefix + 'interactions', clicks + [clicks[0]._replace(value=b'\x07no')])
        self.events = len(listings) - 2 + len(clicks) + 1
        self.wait_until(lambda: status_of(stage.address)['totals']['events'] == self.events, 'the events', [stage])
        produce(self.prefix + 'item-content', listings[-2:])
        self.events += 2
        self.wait_until(lambda: status_of(stage.address)['totals']['events'] == self.events, 'two more listings', [stage])
        return listings, clicks

    # ---- figures ----

    def test_figures_are_those_of_the_topics(self):
        create_inputs(self.prefix)
        stage = self.start()
        listings, clicks = self.feed(stage)
        self.wait_until(lambda: metrics_of(stage.address).get(('coldstream_items_with_sid', '')) == len(listings), 'the survey', [stage])
        get(stage.address, '/item.json?id=' + urllib.parse.quote(HOSTILE[0]))
        metrics, status = metrics_of(stage.address), status_of(stage.address)
        outputs = Outputs(self.prefix)
        self.judge_counts(metrics, outputs, listings, clicks)
        self.judge_listings(stage, metrics, status, outputs, listings)
        self.judge_status(metrics, status)
        self.judge_dead_letters(metrics, status, clicks)
        self.judge_names(stage)
        self.judge_prometheus(stage, metrics)
        auc = float(re.findall(r'event=run.progress .* auc=([\d.]+)', stage.said())[-1])
        self.assertAlmostEqual(metrics['coldstream_auc', 'span="total",exposures="all"'], auc, delta=0.00006)
        self.judge_markers(stage, clicks[:5])
        self.assertEqual(stage.terminate(), OK)

    def judge_markers(self, stage, clicks):
        """A topic ends in the markers of whoever writes it in transactions: they are no lag."""
        producer = Producer({'bootstrap.servers': broker(), 'transactional.id': self.prefix + 'feeder'})
        producer.init_transactions()
        for click in clicks:
            producer.begin_transaction()
            producer.produce(self.prefix + 'interactions', key=click.key, value=click.value, timestamp=int(time.time() * 1000))
            producer.commit_transaction()
        self.events += len(clicks)
        self.wait_until(lambda: status_of(stage.address)['totals']['events'] == self.events, 'what came in transactions', [stage])
        labels = f'topic="{self.prefix}interactions",partition="0"'
        self.wait_until(lambda: metrics_of(stage.address)['coldstream_input_lag_records', labels] == 0, 'no lag', [stage])
        self.assertEqual(metrics_of(stage.address)['coldstream_input_lag_seconds', labels], 0)

    def judge_counts(self, metrics, outputs, listings, clicks):
        for topic, records in ('item-content', listings), ('interactions', [*clicks, None]):
            labels = f'topic="{self.prefix}{topic}",partition="0"'
            self.assertEqual(metrics['coldstream_input_records_total', labels], len(records))
            self.assertEqual(metrics['coldstream_input_position', labels], len(records))
            self.assertEqual(metrics['coldstream_input_end', labels], len(records))
            self.assertEqual(metrics['coldstream_input_lag_records', labels], 0)
            self.assertEqual(metrics['coldstream_input_lag_seconds', labels], 0)
        for topic in OUTPUT_TOPICS:
            self.assertEqual(metrics['coldstream_output_records_total', f'topic="{self.prefix}{topic}"'], len(outputs.topics[topic]), topic)
        manifests = manifests_of(self.prefix)
        kinds = [manifest['kind'].lower() for manifest in manifests]
        for kind in 'content', 'click':
            self.assertEqual(metrics['coldstream_epochs_total', f'kind="{kind}"'], kinds.count(kind))
        self.assertEqual(metrics['coldstream_transactions_total', 'outcome="committed"'], len(manifests))
        self.assertEqual(metrics['coldstream_epoch', ''], manifests[-1]['epoch'])
        for phase in 'apply', 'publish', 'commit':
            self.assertEqual(metrics['coldstream_epoch_phase_seconds_count', f'phase="{phase}"'], len(manifests))
            self.assertGreater(metrics['coldstream_epoch_phase_seconds_sum', f'phase="{phase}"'], 0)
        self.assertEqual(metrics['coldstream_events_labelled_total', ''], sum(manifest['counts']['labelled'] for manifest in manifests))
        rows = {t['name']: t['rows'] for t in manifests[-1]['tables']}
        for table in 'items', 'sid', 'users', 'codebooks':
            self.assertEqual(metrics['coldstream_table_rows', f'table="{table}"'], rows[table])
        self.assertEqual(metrics['coldstream_kafka_broker_up', f'client="interactions",broker="{broker()}"'], 1)

    def judge_listings(self, stage, metrics, status, outputs, listings):
        """Every listing has its latency, but those that waited for the first codebooks have theirs when these come."""
        sids = {message.key(): decode('semantic-ids-value', message.value()) for message in outputs.topics['semantic-ids']}
        count = metrics['coldstream_listing_latency_seconds_count', '']
        self.assertGreater(count, len(listings) / 2)
        self.assertLessEqual(count, len(listings))
        self.assertEqual(count, metrics['coldstream_listing_stay_seconds_count', ''])
        self.assertGreaterEqual(metrics['coldstream_listing_latency_seconds_sum', ''], metrics['coldstream_listing_stay_seconds_sum', ''] * 0.5)
        newest = status['listings'][:2]
        self.assertEqual([shown['item'] for shown in newest], [*HOSTILE][::-1])
        self.assertEqual([shown['title'] for shown in newest], [name.encode()[:96].decode() for name in HOSTILE][::-1])
        for shown in newest:
            text = '{}-{}-{}.{}-{}'.format(*sids[shown['item'].encode()]['codes'])
            self.assertEqual(shown['sid'], text)
            item = json.loads(get(stage.address, '/item.json?id=' + urllib.parse.quote(shown['item'])))
            self.assertEqual((item['item'], item['sid']), (shown['item'], text))
            self.assertEqual(len(item['nearest_by_embedding']), 5)
        self.assertEqual(request(stage.address, '/item.json?id=nobody')[0], 404)
        self.assertEqual(request(stage.address, '/item.json')[0], 400)
        # what the levels say, from the topic
        codes = [tuple(sid['codes']) for sid in sids.values()]
        for level, name in enumerate(('RQ 1', 'RQ 2', 'RQ 3', 'OPQ 1', 'OPQ 2')):
            prefixes = [c[:level + 1] for c in codes]
            shared = sum(prefixes.count(p) > 1 for p in prefixes) / len(codes)
            self.assertAlmostEqual(metrics['coldstream_code_collision_ratio', f'level="{name}"'], shared, places=9)
            self.assertEqual(metrics['coldstream_codes_used', f'level="{name}"'], len({c[level] for c in codes}))

    def judge_status(self, metrics, status):
        self.assertEqual((status['state'], status['ready']), ('leading', True))
        for field, name in (('auc', 'coldstream_auc'), ('ne', 'coldstream_normalised_entropy'), ('calibration', 'coldstream_calibration_ratio')):
            self.assertAlmostEqual(status['quality'][field], metrics[name, 'span="total",exposures="all"'], places=7)
        for bucket in status['quality']['buckets']:
            self.assertEqual(bucket['events'], metrics['coldstream_scored_events', f'span="total",exposures="{bucket["exposures"]}"'])
        for level in status['codebooks']['levels']:
            self.assertEqual(level['used'], metrics['coldstream_codes_used', f'level="{level["name"]}"'])
            self.assertEqual(sum(level['occupancy']), metrics['coldstream_items_with_sid', ''])
        totals = status['totals']
        self.assertEqual(totals['events'], totals['applied'] + totals['parked'] + totals['dead_letters'])
        for table in status['memory']['tables']:
            self.assertEqual(table['bytes'], metrics['coldstream_table_memory_bytes', f'table="{table["table"]}"'])
        self.assertGreaterEqual(sum(point['events'] for point in status['quality']['history']), 1)

    def judge_dead_letters(self, metrics, status, clicks):
        self.assertEqual(metrics['coldstream_dead_letters_total', 'reason="wire"'], 1)
        self.assertEqual(status['dead_letters']['by_reason'], {'wire': 1})
        [latest] = status['dead_letters']['latest']
        self.assertEqual((latest['reason'], latest['topic'], latest['partition'], latest['offset']),
                         ('wire', self.prefix + 'interactions', 0, len(clicks)))
        self.assertIn('Confluent', latest['text'])

    def judge_names(self, stage):
        """Those that docs/HTTP.md lists, with their types; and promtool has nothing to say."""
        body = get(stage.address, '/metrics')
        exported = dict(re.findall(r'^# TYPE (\S+) (\S+)$', body.decode(), re.M))
        with open(os.path.join(SOURCE, 'docs', 'HTTP.md')) as file:
            listed = dict(re.findall(r'^\| `(\w+)` \| (\w+)', file.read().split('## Metrics')[1].split('## /status.json')[0], re.M))
        self.assertEqual(exported, listed)
        if shutil.which('promtool'):
            result = subprocess.run(['promtool', 'check', 'metrics'], input=body, capture_output=True)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b'', b''))

    def judge_prometheus(self, stage, metrics):
        """A real one scrapes it."""
        if not shutil.which('prometheus'):
            print('not asked: prometheus is missing; scripts/install-packages.sh prometheus installs it', flush=True)
            return
        with open(self.path('prometheus.yml'), 'w') as file:
            file.write(f'rule_files: [{SOURCE}/docker/prometheus/alerts.yml]\nglobal: {{evaluation_interval: 1s}}\nscrape_configs:\n- job_name: coldstream\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n'
                       f'  static_configs:\n  - targets: ["{stage.address}"]\n')
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            own = '127.0.0.1:%d' % free.getsockname()[1]
        with open(self.path('prometheus.log'), 'wb') as log:
            server = subprocess.Popen(['prometheus', f'--config.file={self.path("prometheus.yml")}', f'--storage.tsdb.path={self.path("tsdb")}',
                                       f'--web.listen-address={own}'], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def asked(query):
            try:
                answer = json.loads(get(own, '/api/v1/query?query=' + urllib.parse.quote(query)))
            except (OSError, AssertionError):
                return None
            return [float(one['value'][1]) for one in answer['data']['result']]
        try:
            self.wait_until(lambda: asked('up{job="coldstream"}') == [1], 'a scrape', [stage])
            self.assertEqual(asked('coldstream_events_total'), [self.events])
            self.assertEqual(asked('sum(coldstream_epochs_total)'), [metrics['coldstream_transactions_total', 'outcome="committed"']])
            self.assertEqual(asked('coldstream_listing_latency_seconds_bucket{le="+Inf"}'), [metrics['coldstream_listing_latency_seconds_count', '']])
            self.judge_dashboard(stage, asked)
            rules = json.loads(get(own, '/api/v1/rules'))['data']['groups'][0]['rules']
            self.assertEqual({rule['health'] for rule in rules}, {'ok'})
            self.assertEqual({rule['name'] for rule in rules if rule['state'] == 'firing'}, set())
        finally:
            server.terminate()
            server.wait()

    def judge_dashboard(self, stage, asked):
        """Every query of the dashboard and every metric that an alert names has an answer."""
        with open(os.path.join(SOURCE, 'docker', 'grafana', 'dashboards', 'coldstream.json')) as file:
            panels = json.load(file)['panels']
        queries = [target['expr'].replace('$job', '.*').replace('$instance', '.*') for panel in panels for target in panel.get('targets', [])]
        with open(os.path.join(SOURCE, 'docker', 'prometheus', 'alerts.yml')) as file:
            named = set(re.findall(r'coldstream_\w+', file.read()))
        self.assertGreater(len(queries), 35)
        for query in queries + sorted(named):
            if not query.endswith(' > 0'):  # nothing is wrong now
                self.wait_until(lambda: asked(query), f'an answer to {query}', [stage])

    # ---- states ----

    def test_states(self):
        create_inputs(self.prefix)
        leader = self.start('leader')
        self.assertEqual(request(leader.address, '/healthz')[::2], (200, b'ok\n'))
        self.wait_until(lambda: self.ready(leader), 'a leader', [leader])
        standby = self.start('standby')
        self.wait_until(lambda: request(standby.address, '/readyz')[2] == b'standby\n', 'a standby', [standby])
        self.assertEqual(request(standby.address, '/healthz')[0], 200)
        self.assertEqual(request(standby.address, '/item.json?id=x')[0], 503)
        self.assertEqual(status_of(standby.address)['state'], 'standby')
        # the broker stops: not ready, and alive; then all is well again
        broker_signal(signal.SIGSTOP)
        try:
            produced = Producer({'bootstrap.servers': broker(), 'log_level': QUIET})
            self.wait_until(lambda: not self.ready(leader), 'the broker is missed', [leader])
            code, _, reason = request(leader.address, '/readyz')
            self.assertEqual(code, 503)
            self.assertRegex(reason, rb'^(waiting: .|standby: fenced, it lost the lead)')  # which of them is seen first is the group's matter
            self.assertEqual(request(leader.address, '/healthz')[0], 200)
            self.assertEqual(metrics_of(leader.address)['coldstream_ready', ''], 0)
        finally:
            broker_signal(signal.SIGCONT)
            del produced
        self.wait_until(lambda: self.ready(leader) or self.ready(standby), 'one is ready again', [leader, standby])
        leading, other = (leader, standby) if self.ready(leader) else (standby, leader)
        leading.kill()
        self.wait_until(lambda: self.ready(other), 'the other one takes over', [other])

    # ---- clients that mean harm ----

    def raw(self, stage, data, wait_s=None):
        """A connection with this sent; what came back when wait_s is given."""
        host, _, port = stage.address.rpartition(':')
        connection = socket.create_connection((host, int(port)), PATIENCE_HTTP_S)
        self.addCleanup(connection.close)
        if data:
            connection.sendall(data)
        if wait_s is None:
            return connection
        connection.settimeout(wait_s)
        answer = b''
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer

    def drip(self, held, end):
        """A byte on each connection that is still there, twice a second: none of them is ever silent."""
        while not end.wait(0.5):
            for connection in held:
                try:
                    connection.send(b's', socket.MSG_DONTWAIT)
                except OSError:
                    pass  # shown out already

    def test_hostile_clients_cost_the_epochs_nothing(self):
        create_inputs(self.prefix)
        stage = self.start()
        self.wait_until(lambda: self.ready(stage), 'ready', [stage])
        first = lambda data: self.raw(stage, data, 2).partition(b'\r\n')[0]
        codes = {
            b'GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': b'404',
            b'GET /metrics/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': b'404',
            b'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello': b'405',
            b'DELETE /status.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': b'405',
            b'GET /item.json?id=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': b'404',
            b'GET /item.json?id=' + b'%ff' * 1500 + b' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': b'404',  # longer than any id
            b'GET / HTTP/1.1\r\nHost: x\r\nX-Large: ' + b'x' * 100000 + b'\r\n\r\n': b'431',
        }
        for data, code in codes.items():
            self.assertIn(b' ' + code + b' ', first(data), data[:60])
        for junk in b'\x00\x01\x02\r\n\r\n', b'GET\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00', bytes(range(256)) * 100:
            self.raw(stage, junk)
        # more at once than it takes: idle, a byte now and then, answers that nobody reads, pipelines
        held = [self.raw(stage, b'') for _ in range(60)] + [self.raw(stage, b'GET /metrics HTTP/1.1\r\nHo') for _ in range(90)]
        for _ in range(5):
            self.raw(stage, b'GET /status.json HTTP/1.1\r\nHost: x\r\n\r\n' * 200)
        fed = threading.Event()
        drip = threading.Thread(target=self.drip, args=(held, fed))
        drip.start()
        try:
            self.feed(stage, items=100, events=3000)  # and asks /status.json all the while
        finally:
            fed.set()
            drip.join()
        self.assertEqual(request(stage.address, '/healthz')[0], 200)
        self.assertLess(len(os.listdir(f'/proc/{stage.process.pid}/fd')), 300)
        self.assertEqual(stage.terminate(), OK)

    def test_a_port_that_is_taken_stops_the_start(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            address = '127.0.0.1:%d' % taken.getsockname()[1]
            result = run('run', '-c', CONFIG_LIVE, *settings([*SMALL, 'kafka.brokers=127.0.0.1:1', f'content.dims={DIMS}', f'http.listen={address}']))
        self.assertEqual(result.code, BAD_CONFIG)
        for words in 'http.listen', address, 'in use', 'see=docs/RUNBOOK.md#http-listen':
            self.assertIn(words, result.err)
        result = run('run', '-c', CONFIG_LIVE, *settings([*SMALL, 'kafka.brokers=127.0.0.1:1', f'content.dims={DIMS}', 'http.listen=here']))
        self.assertEqual(result.code, BAD_CONFIG)
        self.assertIn('no address with a port', result.err)


if __name__ == '__main__':
    main()
