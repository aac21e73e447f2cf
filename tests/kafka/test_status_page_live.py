"""The status page and `top` of a stage that runs on the real broker: what they show is what /metrics says, and the topics hold."""
import unittest, urllib.request
from kafka_case import *
import browser
from stage_world import HOSTILE

SHOWN = "document.getElementById('headline').className !== 'level-wait'"
ITEM, TITLE, SID = 2, 3, 4  # columns of the listings
IDS = [text for text in HOSTILE if 0 < len(text.encode()) <= 100]


def get(address, path):
    with urllib.request.urlopen(f'http://{address}{path}', timeout=PATIENCE_RUN_S) as answer:
        return answer.read().decode()


def metrics_of(address):
    lines = [line.rpartition(' ') for line in get(address, '/metrics').splitlines() if not line.startswith('#')]
    return {name: float(value) for name, _, value in lines}


def figure(text):
    """'1,203' and '81.5 %' as numbers."""
    return float(text.replace(',', '').removesuffix(' %'))


def as_shown(text):
    return ''.join(f'[U+{ord(c):04X}]' if c != '\u200d' and not c.isprintable() and c != ' ' else c for c in text)


@unittest.skipUnless(browser.available(), browser.WHY_SKIPPED)
class Live(KafkaCase):
    def start(self):
        stage = self.start_stage(self.prefix, sets=['kafka.session_timeout_ms=2000', 'kafka.linger_ms=100', 'limits.id_bytes=128'])
        stage.address = self.wait_until(lambda: re.search(r'event=http.ready address=(\S+)', stage.said()), 'the port', [stage]).group(1)
        return stage

    def feed(self, stage):
        market = self.generate('market', '--dims', DIMS, items=200, users=60, events=6000)
        self.wait_for_topics(self.prefix, stage)
        now_ms = int(time.time() * 1000)
        listings = [record._replace(timestamp=now_ms) for record in read_topic(market, 'item-content')]
        clicks = [record._replace(timestamp=now_ms) for record in read_topic(market, 'interactions')]
        hostile = [listings[0]._replace(key=name.encode(), timestamp=now_ms, value=listing(name, now_ms, [float((i * 7 + n) % 5) for i in range(DIMS)], name))
                   for n, name in enumerate(IDS)]
        events = 0
        for topic, records in (('item-content', listings), ('interactions', clicks + [clicks[0]._replace(value=b'\x07no')]), ('item-content', hostile)):
            produce(self.prefix + topic, records)
            events += len(records)
            self.wait_until(lambda: metrics_of(stage.address).get('coldstream_events_total') == events, f'{events} events', [stage])
        self.wait_until(lambda: metrics_of(stage.address).get('coldstream_items_with_sid') == len(listings) + len(hostile), 'the survey', [stage])

    def table(self, selector):
        return self.browser.run('return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))', selector)

    def test_the_page_shows_what_the_metrics_say(self):
        self.prefix = f'page{os.getpid()}.'
        create_inputs(self.prefix)
        stage = self.start()
        self.feed(stage)
        metrics = metrics_of(stage.address)
        with browser.Browser() as self.browser:
            self.browser.open(f'http://{stage.address}/')
            self.browser.wait_for(SHOWN)
            self.browser.wait_for('document.querySelector("#listings").tBodies[0].rows.length >= arguments[0]', len(IDS))
            self.judge_cards(metrics)
            self.judge_flow(metrics)
            self.judge_ranking(metrics)
            self.judge_listings(stage)
            self.judge_codebooks(metrics)
            self.judge_dead_letters(metrics)
            self.assertEqual(self.browser.complaints(), [])
            self.judge_a_stage_that_ends(stage)
        self.assertEqual(stage.process.returncode, OK)

    def judge_cards(self, metrics):
        cards = dict(zip(*(self.browser.run('return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)', f'.card .{part}') for part in ('name', 'value'))))
        self.assertEqual(figure(cards['Items']), metrics['coldstream_items'])
        self.assertEqual(figure(cards['Epoch']), metrics['coldstream_epoch'])
        self.assertEqual(figure(cards['Dead letters']), 1)
        self.assertEqual(cards['Behind'], '0.0 s')
        all_events = self.browser.run('return document.querySelectorAll(".card .more")[2].textContent')
        self.assertEqual(figure(all_events.removesuffix(' in all')), metrics['coldstream_events_total'])

    def judge_flow(self, metrics):
        for topic, partition, _, lag, _ in self.table('#inputs'):
            self.assertEqual(figure(lag), metrics[f'coldstream_input_lag_records{{topic="{topic}",partition="{partition}"}}'])
        self.assertEqual(sorted(row[0] for row in self.table('#inputs')), sorted(self.prefix + topic for topic in INPUTS))
        for topic, records, _ in self.table('#outputs'):
            self.assertEqual(figure(records), metrics[f'coldstream_output_records_total{{topic="{topic}"}}'])
        self.assertEqual(len(self.table('#outputs')), len(OUTPUT_TOPICS))

    def judge_ranking(self, metrics):
        shown = [row for row in self.table('#buckets table') if figure(row[1]) > 0]
        self.assertGreater(len(shown), 2)
        for exposures, _, auc, gate in shown:
            labels = f'{{span="total",exposures="{exposures}"}}'
            self.assertEqual(auc, f"{metrics['coldstream_auc' + labels]:.4f}")
        facts = self.browser.run('return [...document.querySelectorAll("#quality dd")].map(e => e.textContent)')
        whole = '{span="total",exposures="all"}'
        self.assertEqual(facts[0], f"{metrics['coldstream_auc' + whole]:.4f}")
        self.assertTrue(facts[2].startswith(f"{metrics['coldstream_normalised_entropy' + whole]:.4f}"), facts)

    def judge_listings(self, stage):
        sids = {message.key().decode(): decode('semantic-ids-value', message.value())['codes'] for message in committed(self.prefix + 'semantic-ids')}
        shown = self.table('#listings')[:len(IDS)]
        self.assertEqual(sorted(row[ITEM] for row in shown), sorted(map(as_shown, IDS)))
        for row in shown:
            name = next(text for text in IDS if as_shown(text) == row[ITEM])
            self.assertEqual(row[SID], '{}-{}-{}.{}-{}'.format(*sids[name]))
            self.assertTrue(as_shown(name).startswith(row[TITLE][:20]), row)
            self.assertRegex(row[1], r'^[\d,.]+ (ms|s)$')
        self.browser.run('document.querySelector("#listings a").click()')
        self.browser.wait_for('document.querySelector("#item dd")')
        self.assertEqual(self.browser.run('return document.querySelector("#item code").textContent'), shown[0][ITEM])
        self.assertEqual(self.browser.run('return document.querySelector("#item dd").textContent'), shown[0][SID])
        self.assertEqual(self.browser.run('return document.querySelectorAll("#item tbody tr").length'), 10)
        self.assertEqual(self.browser.run('return [window.hurt, document.querySelectorAll("main script, img").length]'), [None, 0])

    def judge_codebooks(self, metrics):
        labels = self.browser.run('return [...document.querySelectorAll("#maps canvas")].map(c => c.getAttribute("aria-label"))')
        self.assertEqual(len(labels), 5)
        for label in labels:
            level = re.match(r'Items per code of (\S+ \d):', label).group(1)
            used = metrics[f'coldstream_codes_used{{level="{level}"}}']
            self.assertIn(f': {used:.0f} of ', label)

    def judge_dead_letters(self, metrics):
        rows = self.table('#dead')
        self.assertEqual(len(rows), 1)
        self.assertEqual(metrics[f'coldstream_dead_letters_total{{reason="{rows[0][1]}"}}'], 1)
        self.assertEqual(rows[0][2], f'{self.prefix}interactions partition 0 offset 6,000')

    def judge_top(self, stage):
        picture = run('top', stage.address, '--once', environment={'COLUMNS': '160'})
        self.check(picture)
        for text in IDS:
            self.assertIn(as_shown(text)[:5], picture.out)  # of a column; after a letter no more than four marks
        self.assertNotIn('\x1b', picture.out)
        verdict = run('top', stage.address, '--json').json()['verdict']
        self.assertIn(verdict['text'][:30], picture.out)

    def judge_a_stage_that_ends(self, stage):
        self.judge_top(stage)
        self.assertEqual(stage.terminate(), OK)
        self.browser.wait_for("document.getElementById('sentence').textContent.startsWith('The stage cannot be reached since')")
        self.assertEqual(run('top', stage.address).code, UNAVAILABLE)


if __name__ == '__main__':
    main()
