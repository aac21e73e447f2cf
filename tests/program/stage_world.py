"""A stage's HTTP port without the stage: states that a real one is rarely in, for the tests of the status page and of `top`.

The page is the one that the program has; the verdict in /status.json is the program's own, from `top --json`."""
import http.server, json, os, random, threading, time, urllib.parse

from program import run

HOSTILE = ['<script>window.hurt = 1</script><img src=x onerror="window.hurt=1">', '"quoted" \'single\' & &amp; </td></table>', '\U0001f469\u200d\U0001f467 emoji \U0001f525 \u6f22\u5b57',
           '\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J\r\n\tbell', 'admin\u202egnp.exe \u2066isolate\u2069 \ufeffbom \u2028line', 'x' * 1000, 'z\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301algo', '']
PAGE = os.path.join(os.environ.get('COLDSTREAM_BUILD', '.'), 'status.html')


def level(name, codes, seed):
    rng = random.Random(seed)
    occupancy = [int(rng.expovariate(1 / 40)) if rng.random() > 0.08 else 0 for _ in range(codes)]
    used = sum(n > 0 for n in occupancy)
    return {'name': name, 'codes': codes, 'used': used, 'utilisation': used / codes, 'perplexity': used * 0.71, 'collisions': 0.031, 'occupancy': occupancy}


def healthy(now_ms=None):
    now = now_ms or int(time.time() * 1000)
    rng = random.Random(7)
    inputs = [('shop.interactions', 'interactions', p, rng.randint(0, 40)) for p in range(4)] + [('shop.item-content', 'item-content', 0, 0)]
    history = [{'t_ms': now - (120 - i) * 60000, 'events': 120000, 'auc': 0.72 + 0.0004 * i, 'auc_cold': 0.655 + 0.0005 * i + rng.uniform(-.006, .006),
                'auc_warm': 0.742 + 0.0003 * i + rng.uniform(-.004, .004), 'ne': 0.86 - 0.0002 * i} for i in range(120)]
    words = ['linen kitchen kettle', 'bamboo chair', 'marble lamp', 'oak garden table', 'copper watering can']
    return {
        'version': '0.1.0 (f62c017)', 'now_ms': now, 'picture_ms': now - 300, 'started_ms': now - 11520000, 'application': 'coldstream-shop', 'synthetic': False,
        'state': 'leading', 'ready': True, 'reason': 'leading', 'restore': None,
        'epoch': {'number': 123456, 'kind': 'click', 'committed_ms': now - 300, 'epochs_per_s': 2.4, 'aborted': 0,
                  'phases_ms': {'collect': 180.0, 'apply': 142.5, 'publish': 31.0, 'commit': 38.2}},
        'inputs': [{'topic': t, 'role': r, 'partition': p, 'position': 1234567 + p, 'end': 1234567 + p + lag, 'lag': lag, 'lag_s': 0.2 if lag else 0.0, 'records_per_s': 502.0 if r == 'interactions' else 11.8}
                   for t, r, p, lag in inputs],
        'outputs': [{'topic': f'shop.{t}', 'role': t, 'records': n, 'records_per_s': s} for t, n, s in
                    (('semantic-ids', 48211, 12.1), ('ranker-deltas', 91234567, 8211.0), ('codebooks', 3211, 0.4), ('epochs', 123456, 2.4), ('changelog', 55123456, 4100.5), ('dead-letter', 7, 0.0))],
        'totals': {'events': 23456789, 'applied': 23456762, 'parked': 20, 'dead_letters': 7, 'labelled': 22998877, 'items': 48211, 'onboarded': 48190},
        'rates': {'events_per_s': 2019.8, 'labelled_per_s': 2008.0, 'listings_per_s': 11.8},
        'listing_latency_ms': {'count': 708, 'p50': 35.2, 'p99': 81.0, 'max': 120.4},
        'quality': {'auc': 0.7638, 'auc_cold': 0.7012, 'gauc': 0.7564, 'ne': 0.841, 'calibration': 1.012,
                    'buckets': [{'exposures': e, 'events': n, 'auc': a, 'gate': g} for e, n, a, g in
                                (('0', 16380, .6688, .21), ('1-4', 92370, .7316, .28), ('5-19', 201200, .7421, .41), ('20-99', 811200, .7533, .52), ('100-499', 5012000, .7641, .63), ('500+', 16012000, .7702, .71))],
                    'history': history},
        'codebooks': {'generation': 3, 'previous_generation': 2, 'version': 1201, 'resets': 14, 'releases': 2, 'churn_per_day': 0.0031, 'unique_share': 0.994, 'quantisation_error': 0.2134, 'item_code_cosine': 0.913,
                      'levels': [level(name, codes, i) for i, (name, codes) in enumerate((('RQ 1', 64), ('RQ 2', 256), ('RQ 3', 1024), ('OPQ 1', 64), ('OPQ 2', 64)))]},
        'listings': [{'item': f'sku-{48211 - i}', 'title': f'{words[i % 5]} {4000 - i}', 'sid': f'{i * 7 % 64}-{i * 31 % 64}-{i}.{i}-{i * 3 % 64}', 'arrived_ms': now - 80 * i - 60, 'latency_ms': 28.0 + i, 'epoch': 123456 - i} for i in range(20)],
        'dead_letters': {'by_reason': {'vector': 4, 'schema': 3}, 'latest': [
            {'reason': 'vector', 'topic': 'shop.item-content', 'partition': 0, 'offset': 1717 - i, 'text': 'the vector `image` has 383 numbers, not 384', 'time_ms': now - 3600000 - i} for i in range(4)]},
        'memory': {'rss_bytes': 812345678, 'tables': [{'table': t, 'rows': n, 'rows_max': m, 'bytes': b} for t, n, m, b in
                   (('items', 48211, 1048576, 9123456), ('users', 401234, 2097152, 221234567), ('embedding', 48211, 1048576, 6400000), ('codebooks', 1472, 1472, 376832), ('parked', 20, 65536, 12000))]}}


def behind():
    status = healthy()
    status['inputs'][2].update(lag=148211, end=1234567 + 148213, lag_s=303.4)
    status['inputs'][1].update(lag=9211, lag_s=18.9)
    status['listing_latency_ms'].update(p50=812.0, p99=2412.0, max=4100.0)
    status['dead_letters']['latest'] += [{'reason': 'schema', 'topic': 'shop.interactions', 'partition': 2, 'offset': 99120, 'text': 'the registry has no schema 77', 'time_ms': status['now_ms'] - 12000}]
    status['memory']['tables'][0]['rows'] = 1048500
    return status


def bare(state, reason, ready=False):
    """What a stage knows that is not at work: nearly nothing."""
    now = int(time.time() * 1000)
    return {'version': '0.1.0 (f62c017)', 'now_ms': now, 'started_ms': now - 4000, 'application': 'coldstream-shop', 'synthetic': False, 'state': state, 'ready': ready,
            'reason': reason, 'restore': None, 'epoch': {'number': None, 'kind': None, 'committed_ms': None, 'epochs_per_s': None, 'aborted': None, 'phases_ms': {}},
            'inputs': [], 'outputs': [], 'totals': {}, 'rates': {}, 'listing_latency_ms': {'count': 0, 'p50': None, 'p99': None, 'max': None},
            'quality': {'auc': None, 'auc_cold': None, 'gauc': None, 'ne': None, 'calibration': None, 'buckets': [], 'history': []},
            'codebooks': {'generation': None, 'levels': []}, 'listings': [], 'dead_letters': {'by_reason': {}, 'latest': []}, 'memory': {'rss_bytes': 41234567, 'tables': []}}


def restoring():
    return {**bare('restoring', 'restoring 41 %'), 'restore': {'share': 0.41, 'records': 410, 'records_total': 1000}}


def hostile():
    status = healthy()
    status['application'] = HOSTILE[0]
    for i, listing in enumerate(status['listings']):
        listing['title'], listing['item'] = HOSTILE[i % len(HOSTILE)], HOSTILE[(i + 1) % len(HOSTILE)] + str(i)
    for i, dead in enumerate(status['dead_letters']['latest']):
        dead.update(text=HOSTILE[i], topic=HOSTILE[i + 1], reason=HOSTILE[3])
    status['dead_letters']['by_reason'] = {HOSTILE[0]: 3, HOSTILE[3]: 1}
    status['inputs'][0]['topic'] = HOSTILE[3]
    return status


STATES = {'healthy': healthy, 'behind': behind, 'restoring': restoring, 'standby': lambda: bare('standby', 'standby'),
          'waiting': lambda: bare('waiting', 'waiting: broker kafka-1:9092 does not answer'), 'empty': lambda: bare('leading', 'leading', True), 'hostile': hostile}


def item(name, known):
    if name not in known:
        return 404, {'error': f'there is no item `{name}\''}
    near = [{'sid': f'49-46-{i}.37-32', 'shown': 12 * i, 'clicks': i, 'item': f'sku-{i}', 'title': HOSTILE[i] or 'marble lamp'} for i in range(5)]
    return 200, {'item': name, 'title': 'linen kitchen kettle 3999 ' + HOSTILE[0], 'listed': '2026-11-25 12:03 UTC', 'shown': 1234, 'clicks': 56, 'first_shown': None,
                 'sid': '49-21-38.13-18', 'generation': 3, 'codebook_version': 1201, 'quantisation_error': 0.2134567, 'gate': 0.31251, 'nearest_by_sid': near, 'nearest_by_embedding': near[::-1]}


class Stage:
    """with Stage('healthy') as stage: stage.url, stage.become('behind'), stage.stop(), stage.go_on(), stage.asked"""

    def __init__(self, state):
        self.asked, self.answer_s, self.port = [], 0, 0
        self.become(state)

    def become(self, state):
        self.status = STATES[state]() if isinstance(state, str) else state
        self.judged = None

    def __enter__(self):
        self.go_on()
        return self

    def __exit__(self, *_):
        self.stop()

    def go_on(self):
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                world.asked.append(self.path)
                time.sleep(world.answer_s)
                code, kind, body = world.answer(urllib.parse.urlsplit(self.path))
                self.send_response(code)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(body)))
                self.send_header('Cache-Control', 'no-store')
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # whoever asked has left

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(('127.0.0.1', self.port), Handler)
        self.port = self.server.server_address[1]
        self.url = f'http://127.0.0.1:{self.port}'
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, address):
        if address.path == '/':
            with open(PAGE, 'rb') as file:
                return 200, 'text/html; charset=utf-8', file.read()
        if address.path == '/raw/status.json':
            return 200, 'application/json', json.dumps(self.status).encode()
        if address.path == '/status.json':
            return 200, 'application/json', json.dumps(self.with_verdict()).encode()
        if address.path == '/item.json':
            code, body = item(urllib.parse.parse_qs(address.query)['id'][0], {listing['item'] for listing in self.status['listings']})
            return code, 'application/json', json.dumps(body).encode()
        return 404, 'text/plain', b'not found'

    def with_verdict(self):
        if self.judged is None:
            self.judged = run('top', '--json', f'{self.url}/raw').json()
        return self.judged


if __name__ == '__main__':  # to look at: stage_world.py STATE
    import sys
    with Stage(sys.argv[1]) as stage:
        print(stage.url, flush=True)
        threading.Event().wait()
