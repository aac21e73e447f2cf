"""report, from outside: what the page says is what replay, inspect and compare say and what the outputs hold; whatever the titles are made of, it is
shown and never interpreted; and a real browser opens it without a complaint or a request."""
import calendar, urllib.parse
from html.parser import HTMLParser
from program import *
import browser

SETS = SMALL + ['model.variant=full']
VOID = {'meta', 'link', 'br', 'img', 'input', 'hr'}

TITLES = ['<script>document.title="taken"</script>', '</script><img src="http://127.0.0.1:1/x" onerror="document.title=1">',
          '"><b onmouseover="x()">', "' autofocus onfocus='x()", '&lt;b&gt; &amp; &#x41; &nbsp', '\U0001F469\u200d\U0001F467 caf\u00e9 \u05d0\u05d1',
          'bell\x07 and \x1b[2J \x7f', 'photo\u202egnp.exe', 'two\u2028lines\nmore', '{{title}} ${x} %s%n', '</title></style></table>',
          b'bytes \xff\xc3( \xed\xa0\x80 \xf8 end\xe2\x82', '\ufeff\u200b\u2066', '<!-- -->]]>', 'x' * 300]


# ---- the page as a tree ----

class Element:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children = tag, dict(attributes), parent, []

    def all(self, tag, **wanted):
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and all(child.attributes.get(name.rstrip('_')) == value for name, value in wanted.items()):
                    yield child
                yield from child.all(tag, **wanted)

    def one(self, tag, **wanted):
        return next(self.all(tag, **wanted))

    def text(self):
        return ''.join(child if isinstance(child, str) else child.text() for child in self.children)


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element('page', [], None)
        with open(path, 'rb') as file:
            self.bytes = file.read()
        self.feed(self.bytes.decode())  # strict: the page is UTF-8 throughout
        self.close()
        assert self.at is self.root, self.at.tag

    def handle_starttag(self, tag, attributes):
        element = Element(tag, attributes, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_endtag(self, tag):
        assert self.at.tag == tag, f'</{tag}> ends <{self.at.tag}> at {self.getpos()}'
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)

    def table(self, element):
        """[{column: text}]; the first column is ''."""
        heads = [''] + [cell.text() for cell in element.one('thead').all('th')][1:]
        rows = []
        for row in element.one('tbody').all('tr'):
            cells = [cell.text() for cell in row.children if isinstance(cell, Element)]
            rows.append(dict(zip(heads, cells)))
        return rows

    def named(self, name):
        return {row['']: row for row in self.table(self.root.one('table', id=name))}

    def line(self, title):
        """Of a chart over time: [(time, {line: number or None})]."""
        figure = next(f for f in self.root.all('figure') if f.one('strong').text() == title)
        return [(time.attributes['datetime'], {name: value(text) for name, text in row.items() if name})
                for time, row in zip(figure.one('tbody').all('time'), self.table(figure.one('table')))]


def value(text):
    text = text.replace(',', '')
    return None if text in ('', '-') else float(text)


def shown(text):
    """How the page shows a text, as Python sees it; runs of what is no UTF-8 as one U+FFFD."""
    text = text.encode() if isinstance(text, str) else text
    out = []
    for char in text.decode('utf-8', 'replace'):
        code = ord(char)
        steers = code < 0x20 or 0x7f <= code <= 0x9f or code in (0xad, 0x61c, 0xfeff) or 0x200b <= code <= 0x200f and code != 0x200d or \
            0x2028 <= code <= 0x202e or 0x2060 <= code <= 0x206f
        out.append(f'[U+{code:04X}]' if steers else char)
    return re.sub('\ufffd+', '\ufffd', ''.join(out))


def seen(text):
    return re.sub('\ufffd+', '\ufffd', text)


def hostile(market):
    """The market with every title replaced, ids as well, and some records that cannot be used."""
    names, titles = {}, {}

    def name(item):
        return names.setdefault(item, f'{item}<i>"&\'\u202e' if len(names) % 2 else item)

    def content(record):
        event = decode('item-content-value', record.value)
        title = TITLES[len(names) % len(TITLES)]
        item = name(event['item_id'])
        titles[item] = title
        return record._replace(key=item.encode(), value=listing(item, event['event_time'], event['modalities'][0]['vector'], title))

    def click(record):
        event = decode('interactions-value', record.value)
        action = ('IMPRESSION', 'CLICK', 'CART', 'PURCHASE').index(event['action'])
        return record._replace(value=interaction(event['user_id'], name(event['item_id']), event['event_time'], action, event['label'],
                                                 event['request_id'], event['position']))

    def clicks(records):
        out = [click(record) for record in records]
        for at in (40, 90):
            out[at] = out[at]._replace(value=b'\x00<script>')
        out[60] = out[60]._replace(value=interaction('u<b>', '', out[60].timestamp))
        return out

    alter_file(market, 'item-content-0.avro', lambda records: [content(record) for record in records])
    for file in files_of(market, 'interactions'):
        alter_file(market, file, clicks)
    return titles


class TestReport(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.market = cls.generate('market', items=120, users=60, events=4000)
        cls.titles = hostile(cls.market)
        cls.folders, cls.summaries = {}, {}
        for side, more in (('a', []), ('b', ['model.variant=id+sid', 'tokenizer.codebooks=frozen'])):
            cls.folders[side] = os.path.join(cls.class_folder, side + '<&')
            result = run(*replay_words(cls.market, cls.folders[side], '--json', sets=SETS + more))
            if result.code != OK:
                raise AssertionError(result.err)
            cls.summaries[side] = result.json()
        cls.path_one, cls.path_two = (os.path.join(cls.class_folder, name) for name in ('one.html', 'two.html'))
        for words in ((cls.folders['a'], '-o', cls.path_one), (cls.folders['a'], cls.folders['b'], '-o', cls.path_two)):
            result = run('report', *words)
            if result.code != OK:
                raise AssertionError(result.err)
        cls.one, cls.two = Page(cls.path_one), Page(cls.path_two)

    def near(self, text, number, digits=4):
        if number is None:
            self.assertEqual(text, '-')
        else:
            self.assertAlmostEqual(value(text), number, delta=0.51 * 10 ** -digits)

    def test_figures_are_those_of_the_replay(self):
        summary, figures = self.summaries['a'], self.one.named('figures')
        for name in ('auc', 'auc_cold', 'gauc', 'ne', 'calibration', 'sid_unique', 'sid_churn', 'quantisation_error'):
            self.near(figures[name]['value'], summary[name])
        for name, number in zip(('rq_1', 'rq_2', 'rq_3', 'opq_1', 'opq_2'), summary['utilisation']):
            self.near(figures['utilisation_' + name]['value'], number)
        cards = {card.one('span', class_='name').text(): card.one('span', class_='value').text()
                 for card in self.one.root.all('li', class_='card')}
        self.near(cards['AUC'], summary['auc'])
        self.near(cards['Cold AUC'], summary['auc_cold'])
        self.assertEqual(value(cards['Items with a SID']), summary['onboarded'])
        self.assertEqual(value(cards['Throughput']), int(summary['events_per_s']))
        facts = [dd.text() for dd in self.one.root.one('dl', class_='facts').all('dd')]
        self.assertIn(summary['digest'], facts)
        self.assertIn(self.market, facts)

    def test_by_exposures(self):
        summary, rows = self.summaries['a'], self.one.named('by-exposure')
        for bucket, auc in summary['auc_by_exposures'].items():
            self.near(rows[bucket]['AUC'], auc)
            self.near(rows[bucket]['mean gate T'], summary['gate_by_exposures'][bucket])
        self.near(rows['all']['NE'], summary['ne'])
        self.near(rows['all']['calibration'], summary['calibration'])
        self.near(rows['cold (under 100)']['AUC'], summary['auc_cold'])
        events = [value(rows[bucket]['events']) for bucket in summary['auc_by_exposures']]
        self.assertEqual(sum(events), value(rows['all']['events']))

    def test_the_stream(self):
        summary = self.summaries['a']
        row = self.one.named('counts')['all']
        for column, name in (('records', 'events'), ('applied', 'applied'), ('parked', 'parked'), ('dead letters', 'dead_letters')):
            self.assertEqual(value(row[column]), summary[name])
        dead = self.one.named('dead-letters')
        self.assertGreaterEqual(len(dead), 2)
        self.assertEqual({reason: value(row['records']) for reason, row in dead.items()}, summary['dead_letters_by_reason'])
        first = {}
        for record in read_topic(self.folders['a'], 'dead-letter'):
            headers = {key: text.decode() for key, text in record.headers}
            first.setdefault(headers['reason'], headers)
        for reason, headers in first.items():
            self.assertEqual(dead[reason]['the first one'],
                             f"{headers['topic']}-{headers['partition']}, offset {headers['offset']}: {headers['error']}")
        inputs = self.one.table(self.one.root.one('table', class_='inputs'))
        self.assertEqual(sum(value(row['records']) for row in inputs), summary['events'])
        settings = {row['']: row for row in self.one.table(self.one.root.one('table', class_='settings'))}
        self.assertEqual((settings['model.width']['here'], settings['model.width']['default']), ('8', '32'))

    def windows(self):
        """{epoch: {bin: (negatives, positives)}}, all buckets together, cumulative; and the epochs of each time."""
        bins, now, epochs = {}, collections.defaultdict(lambda: {}), collections.defaultdict(list)
        for manifest in manifests(self.folders['a']):
            epochs[manifest['timestamp'] // 1000].append(manifest['epoch'])
        rows = collections.defaultdict(list)
        for record in read_topic(self.folders['a'], 'changelog'):
            table, key, content, _, epoch = row_of('changelog', record)
            if table == 'score_bins':
                rows[epoch].append((int.from_bytes(key, 'big'), struct.unpack('<32I', content)))
        for epoch in range(1, self.summaries['a']['epochs'] + 1):
            for key, counts in rows[epoch]:
                now[key] = counts
            whole = collections.defaultdict(lambda: [0, 0])
            for key, counts in now.items():
                for i in range(16):
                    place = whole[key % 4096 * 16 + i]
                    place[0] += counts[2 * i]
                    place[1] += counts[2 * i + 1]
            bins[epoch] = {place: tuple(counts) for place, counts in whole.items()}
        return bins, epochs

    def test_auc_over_time_is_that_of_the_events_between(self):
        def auc(before, after):
            below = won = positives = 0
            for place in sorted(after):
                n, p = (after[place][c] - before.get(place, (0, 0))[c] for c in (0, 1))
                won += p * (below + n / 2)
                below, positives = below + n, positives + p
            return won / (below * positives) if below * positives else -1
        bins, epochs = self.windows()
        points = [(time, line['all']) for time, line in self.one.line('AUC over time') if line['all'] is not None]
        self.assertGreater(len(points), 10)
        before = {0: {}}
        for time_text, number in points:
            seconds = calendar.timegm(time.strptime(time_text, '%Y-%m-%dT%H:%M:%SZ'))
            found = {epoch: bins[epoch] for epoch in epochs[seconds]
                     if any(abs(auc(start, bins[epoch]) - number) < 1e-4 for start in before.values())}
            self.assertTrue(found, f'{time_text}: no epoch of this time has the AUC {number}')
            before = found

    def test_sids_over_time_end_as_they_do(self):
        summary = self.summaries['a']
        self.assertEqual(self.one.line('Items with a SID')[-1][1]['items'], summary['onboarded'])
        levels = self.one.line('Codes in use, % of each level')[-1][1]
        for name, number in zip(('RQ 1', 'RQ 2', 'RQ 3', 'OPQ 1', 'OPQ 2'), summary['utilisation']):
            self.assertAlmostEqual(levels[name], 100 * number, delta=0.006)
        self.assertEqual(self.one.line('Generation of encoder and codebooks')[-1][1]['generation'], summary['generation'])
        self.assertEqual(self.one.line('Version of the codebooks')[-1][1]['version'], summary['codebook_version'])
        moved = sum(1 for record in read_topic(self.folders['a'], 'semantic-ids') if record.value is not None
                    for row in [decode('semantic-ids-value', record.value)]
                    if row['previous'] is not None and list(row['previous']) != list(row['codes']) and row['assigned_epoch'] == row['epoch'])
        self.assertGreater(moved, 0)
        self.assertTrue(any((line['generation'] or 0) > 0 for _, line in
                            self.one.line('Churn: % of the items whose SID changed, per day')))

    def items_told(self, page):
        for article in page.root.all('article'):
            yield article, article.one('code').text()

    def test_stories_are_what_inspect_says(self):
        ids = {shown(item): item for item in self.titles}
        told = list(self.items_told(self.one))
        self.assertGreaterEqual(len(told), 4)
        for article, name in told:
            answer = json.loads(self.check(run('inspect', self.folders['a'], 'item', ids[name], '--json')).out)
            self.assertEqual(value(article.one('span', class_='shown').text()), answer['shown'])
            self.assertEqual(value(article.one('span', class_='clicks').text()), answer['clicks'])
            steps = [(step.one('span', class_='sid').text(), step.one('span', class_='reason').text())
                     for step in article.one('ol').all('li')]
            self.assertEqual(steps, [(step['sid'], step['reason'].lower()) for step in answer['history']][:len(steps)])
            near = self.one.table(article.one('table', class_='neighbours'))
            self.assertEqual([(row[''], value(row['shown'])) for row in near],
                             [(row['sid'], row['shown']) for row in answer['nearest_by_sid']])
            points = self.one.table(article.one('figure').one('table'))
            self.assertTrue(all(0 < value(point['score']) < 1 for point in points if point['score'] != '-'))
            self.assertEqual([value(point['']) for point in points], sorted(value(point['']) for point in points))

    def test_titles_are_shown_and_never_interpreted(self):
        everywhere = {seen(bdi.text()) for page in (self.one, self.two) for bdi in page.root.all('bdi')}
        titles = {shown(title) for title in self.titles.values()}
        known = titles | {shown(item) for item in self.titles} | {'a<&', 'b<&'} | self.dead_texts()
        # titles are kept up to a number of bytes, which may lie inside of a character
        self.assertEqual([text for text in everywhere - known if not any(title.startswith(text.rstrip('\ufffd')) for title in titles)], [])
        self.assertGreaterEqual(len(titles & everywhere), 8)
        for page in (self.one, self.two):
            self.assertEqual(len(list(page.root.all('script'))), 1)
            self.assertEqual(list(page.root.all('img')), [])
            self.assertFalse(any(name.startswith('on') for element in self.elements(page.root) for name in element.attributes))
            self.assertNotRegex(page.bytes.decode(), '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]')

    def dead_texts(self):
        return {row['the first one'].split(': ', 1)[1] for row in self.one.named('dead-letters').values()}

    def elements(self, element):
        for child in element.children:
            if isinstance(child, Element):
                yield child
                yield from self.elements(child)

    def test_two_replays_are_what_compare_says(self):
        answer = json.loads(self.check(run('compare', self.folders['a'], self.folders['b'], '--json')).out)
        figures = self.two.named('figures')
        for name, row in figures.items():
            self.near(row['A'], answer[name]['a'])
            self.near(row['B'], answer[name]['b'])
            self.near(row['B - A'], answer[name]['difference'])
        for name in ('auc', 'auc_cold', 'gauc'):
            low, high = re.findall(r'[+-][\d.]+', figures[name]['95 % interval'])
            self.near(low, answer[name]['low'])
            self.near(high, answer[name]['high'])
            self.assertEqual(figures[name]['95 % interval'].endswith('*'), answer[name]['low'] > 0 or answer[name]['high'] < 0)
        settings = {row['']: (row['A'], row['B']) for row in self.two.table(self.two.root.one('table', class_='settings'))}
        self.assertEqual(settings, {path: (both['a'], both['b']) for path, both in answer['settings'].items()})
        self.assertEqual({item for _, item in self.items_told(self.two)}, {item for _, item in self.items_told(self.one)})
        for article, item in self.items_told(self.two):
            points = self.two.table(article.one('figure').one('table'))
            self.assertTrue(all(any(value(point['score ' + side]) for point in points) for side in 'AB'), item)
        for line in ('AUC, shown 1-4 times before', 'Items with a SID'):
            over_time = next(f.one('strong').text() for f in self.two.root.all('figure') if line.split(',')[0] in f.one('strong').text())
            self.assertTrue(over_time)
        last = self.two.line('Items with a SID')[-1][1]
        self.assertEqual((last['A'], last['B']), tuple(self.summaries[side]['onboarded'] for side in 'ab'))

    def test_again_it_is_the_same_page(self):
        path = self.path('again.html')
        self.check(run('report', self.folders['a'], '-o', path))
        with open(path, 'rb') as file:
            self.assertEqual(file.read(), self.one.bytes)

    def test_outputs_of_before_have_no_throughput(self):
        old = copy(self.folders['b'], self.path('old'))
        os.unlink(os.path.join(old, 'replay.json'))
        self.check(run('report', old, '-o', self.path('old.html')))
        self.assertIn('How long it took was not kept', Page(self.path('old.html')).root.text())

    def test_too_little_to_show(self):
        market = self.generate('little', items=20, users=5, events=30)
        alter_file(market, 'interactions-0.avro', lambda records: [record._replace(value=b'no') for record in records])
        self.replay(market, self.path('out'), sets=SETS)
        self.check(run('report', self.path('out'), '-o', self.path('x.html')))
        page = Page(self.path('x.html'))
        self.assertIn('AUC over time: no points', page.root.text())
        self.assertIn('No gate was learned', page.root.text())
        self.assertEqual(value(page.named('dead-letters')['wire']['records']), 30)
        self.assertEqual(page.named('figures')['auc']['value'], '-')

    def test_what_cannot_be(self):
        self.says(self.check(run('report', self.market, '-o', self.path('x.html')), NO_INPUT), self.market)
        self.says(self.check(run('report', self.path('nothing'), '-o', self.path('x.html')), NO_INPUT), 'nothing')
        other = self.generate('other', items=100, users=50, events=1500)
        self.replay(other, self.path('other'), sets=SETS)
        self.says(self.check(run('report', self.folders['a'], self.path('other'), '-o', self.path('x.html')), BAD_DATA), 'not')
        self.says(self.check(run('report', self.folders['a'], '-o', self.path('no', 'x.html')), CANNOT_CREATE), 'x.html')
        self.assertFalse(os.path.exists(self.path('x.html')))
        for words in ((), ('a', 'b', 'c')):
            self.assertIn('--help', self.check(run('report', *words), USAGE).err)
        for words in ('OTHER', '--output', 'one file', 'coldstream report a b'):
            self.assertIn(words, self.check(run('report', '--help')).out)


    # ---- in a real browser ----

    def browse(self):
        """The class's one browser; skips the test where there is none."""
        if not browser.available():
            self.skipTest(browser.WHY_SKIPPED)
        if not hasattr(TestReport, 'browser'):
            TestReport.browser = browser.Browser()
            TestReport.addClassCleanup(TestReport.browser.close)

    def open(self, path, width, dark=False):
        self.browse()
        self.browser.size(width, dark=dark)
        self.browser.open('file://' + urllib.parse.quote(path))

    def test_no_complaint_no_request_nothing_run(self):
        self.browse()
        self.browser.complaints(), self.browser.requests()
        for path in (self.path_one, self.path_two):
            self.open(path, 1280)
            self.assertEqual(self.browser.complaints(), [])
            self.assertEqual(self.browser.requests(), ['file://' + urllib.parse.quote(path)])
            self.assertTrue(self.browser.run('return document.title').startswith('coldstream: a<&'))
            self.assertEqual(self.browser.run('return document.querySelectorAll("main img, main script, main b").length'), 0)

    def test_every_chart_is_drawn_in_light_and_dark(self):
        inks = []
        for path, dark in ((self.path_one, False), (self.path_one, True), (self.path_two, True)):
            self.open(path, 768, dark)
            colours = self.browser.run('''return [...document.querySelectorAll('figure.chart')].map(figure => {
                const canvas = figure.querySelector('canvas'), data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                const colours = new Set(), words = new Uint32Array(data.buffer);
                for (const word of words) colours.add(word);
                const wanted = getComputedStyle(document.documentElement).getPropertyValue('--series-1').trim();
                const [r, g, b] = [1, 3, 5].map(at => parseInt(wanted.slice(at, at + 2), 16));
                let series = 0;
                for (let i = 0; i < data.length; i += 4) series += data[i] === r && data[i + 1] === g && data[i + 2] === b;
                return [figure.querySelector('strong').textContent, colours.size, series, canvas.getAttribute('aria-label')];
            })''')
            self.assertGreater(len(colours), 12)
            for title, count, series, label in colours:
                self.assertGreater(count, 8, title)  # grid, axis, letters, lines
                self.assertGreater(series, 20, f'{title}: no line or bar in its colour')
                self.assertGreater(len(label), 20)
            inks.append(self.browser.run('return getComputedStyle(document.body).color'))
        self.assertNotEqual(inks[0], inks[1])

    def test_a_phone_scrolls_only_down(self):
        for path in (self.path_one, self.path_two):
            for width in (360, 768, 1280):
                self.open(path, width)
                self.browser.run('document.querySelectorAll("details").forEach(d => { d.open = true; })')
                self.assertEqual(self.browser.run('return document.documentElement.scrollWidth'), width)

    def test_keyboard_and_names(self):
        self.open(self.path_one, 1280)
        self.browser.press(['\ue004'])
        self.assertEqual(self.browser.run('return document.activeElement.textContent'), 'Skip to the figures')
        self.assertEqual(self.browser.run('''return [...document.querySelectorAll('main section')].filter(section => {
            const by = section.getAttribute('aria-labelledby');
            return !section.getAttribute('aria-label') && !(by && document.getElementById(by)); }).length'''), 0)
        closed = self.browser.run('''const one = document.querySelector('figure summary'); one.focus(); return one.parentNode.open''')
        self.browser.press(['\ue007'])
        self.assertEqual((closed, self.browser.run('return document.activeElement.parentNode.open')), (False, True))
        self.assertEqual(self.browser.run('return document.querySelectorAll("table:not(:has(caption))").length'), 0)


if __name__ == '__main__':
    main()
