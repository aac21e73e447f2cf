"""The status page in a real browser, against every state that a stage can be in."""
import re, time, unittest

import browser
from browser import Browser
from program import Case, PATIENCE_S, executable, main
from stage_world import HOSTILE, Stage, healthy

SHOWN = "document.getElementById('headline').className !== 'level-wait'"
ITEM, TITLE, SID = 2, 3, 4  # columns of the listings
TAB, ENTER = '\ue004', '\ue007'
READY_WITHIN_MS = 1000  # what was promised; reported, not asserted: the machine may be busy


@unittest.skipUnless(browser.available(), browser.WHY_SKIPPED)
class StatusPage(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, stage, width=1280, dark=False, until=SHOWN):
        self.browser.size(width, 900, dark)
        self.browser.open('about:blank')
        self.browser.complaints(), self.browser.requests()
        self.browser.open(stage.url + '/')
        self.browser.wait_for(until)

    def text(self, selector):
        return self.browser.run('return document.querySelector(arguments[0]).innerText', selector)

    def texts(self, selector):
        return self.browser.run('return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)', selector)

    def rows(self, table):
        return self.browser.run('return [...document.querySelector(arguments[0]).tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))', table)

    def headline(self, level):
        self.browser.wait_for("document.getElementById('headline').className === arguments[0]", f'level-{level}')
        return self.text('#sentence')

    def test_all_is_well(self):
        with Stage('healthy') as stage:
            self.open(stage)
            self.assertEqual(self.headline('good'), 'All is well: leading, 0.2 s behind, new listings have their SID after 35 ms')
            self.assertEqual(self.text('#problems'), '')
            inputs = self.rows('#inputs')
            self.assertEqual([row[:2] + row[3:4] for row in inputs],
                             [[i['topic'], str(i['partition']), f"{i['lag']:,}"] for i in stage.status['inputs']])
            self.assertEqual([row[ITEM] for row in self.rows('#listings')], [listing['item'] for listing in stage.status['listings']])
            self.assertEqual([row[SID] for row in self.rows('#listings')], [listing['sid'] for listing in stage.status['listings']])
            self.assertEqual([row[2] for row in self.rows('#buckets table')], [f"{b['auc']:.4f}" for b in stage.status['quality']['buckets']])
            self.assertEqual(len(self.rows('#auc table')), len(stage.status['quality']['history']))
            cards = dict(zip(self.texts('.card .name'), self.texts('.card .value')))
            self.assertEqual({name: cards[name] for name in ('Behind', 'SID after', 'Events a second', 'AUC, cold items', 'Dead letters', 'Items')},
                             {'Behind': '0.2 s', 'SID after': '35 ms', 'Events a second': '2,020', 'AUC, cold items': '0.7012', 'Dead letters': '7', 'Items': '48,211'})
            self.assertEqual(self.browser.complaints(), [])
            asked = {address for address in self.browser.requests() if not address.startswith('data:')}
            self.assertEqual(asked, {stage.url + '/', stage.url + '/status.json'})
            print(f"page ready after {self.browser.run('return Math.round(performance.now())')} ms; {READY_WITHIN_MS} are promised")

    def test_charts_and_maps_are_drawn(self):
        with Stage('healthy') as stage:
            self.open(stage)
            blank = '''return [...document.querySelectorAll('canvas')].filter(c => !c.width || !c.height ||
                new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size < 8).map(c => c.getAttribute('aria-label'))'''
            self.browser.wait_for('document.querySelectorAll("canvas").length === 7')
            self.assertEqual(self.browser.run(blank), [])
            labels = self.browser.run('return [...document.querySelectorAll("#maps canvas")].map(c => c.getAttribute("aria-label"))')
            for level, label in zip(stage.status['codebooks']['levels'], labels, strict=True):
                self.assertIn(f"{level['used']:,} of {level['codes']:,} codes used", label)
                self.assertIn(f"the fullest code has {max(level['occupancy'])} items", label)

    def test_what_is_wrong_is_told_and_heard(self):
        with Stage('healthy') as stage:
            self.open(stage)
            self.headline('good')
            stage.become('behind')
            self.assertEqual(self.headline('bad'), 'shop.interactions partition 2: 5 min 3 s behind (148,211 records); and 4 more')
            self.assertIn('epoch.batches', self.text('#remedy'))
            others = self.texts('#problems li')
            self.assertEqual(len(others), 4)
            for i, words in enumerate(('table items: 1,048,500', 'partition 1: 19 s behind', 'waits 2.4 s or more', 'offset 99120: 1 dead letter')):
                self.assertIn(words, others[i])
            self.assertEqual(self.text('#spoken'), self.text('#sentence'))
            # a tenth of a second more is no news for a screen reader
            stage.status['inputs'][2]['lag_s'] = 304.9
            stage.judged = None
            self.browser.wait_for("document.getElementById('sentence').textContent.includes('5 min 5 s')")
            self.assertIn('5 min 3 s', self.text('#spoken'))

    def test_not_at_work(self):
        for state, level, words in (('restoring', 'warn', 'Not at work yet: restoring, 41 % done'), ('standby', 'good', 'All is well: standing by, ready to take over'),
                                    ('waiting', 'bad', 'Waiting: broker kafka-1:9092 does not answer'), ('empty', 'good', 'All is well: leading')):
            with self.subTest(state), Stage(state) as stage:
                self.open(stage)
                self.assertEqual(self.headline(level), words)
                self.assertEqual(self.browser.complaints(), [])
                self.assertNotRegex(self.text('body'), r'undefined|NaN|null|\[object')

    def test_a_status_that_lacks_nearly_everything(self):
        with Stage({'state': 'leading', 'now_ms': 1}) as stage:
            self.open(stage)
            self.headline('good')
            self.assertNotRegex(self.text('body'), r'undefined|NaN|null|\[object')
            self.assertEqual(self.browser.complaints(), [])

    def test_a_stage_that_cannot_be_reached(self):
        with Stage('healthy') as stage:
            self.open(stage)
            self.headline('good')
            stage.stop()
            self.assertRegex(self.headline('bad'), r'^The stage cannot be reached since \d\d:\d\d:\d\d UTC \(')
            self.assertRegex(self.text('#remedy'), r'What is below is from \d\d:\d\d:\d\d UTC')
            self.assertEqual(len(self.rows('#listings')), 20)
            stage.go_on()
            self.assertIn('All is well', self.headline('good'))

    def test_it_does_not_ask_while_nobody_looks(self):
        hide = '''Object.defineProperty(document, 'hidden', {configurable: true, get: () => arguments[0]});
                  document.dispatchEvent(new Event('visibilitychange'));'''
        with Stage('healthy') as stage:
            self.open(stage)
            asked = lambda: stage.asked.count('/status.json')
            stage.answer_s, before = 1, asked()
            while asked() == before:
                time.sleep(0.01)
            before = asked()
            self.browser.run(hide.replace('arguments[0]', 'true'))  # with an answer under way
            time.sleep(1 + 2.5)  # until it is there, and longer than between two questions
            self.assertEqual(asked(), before)
            stage.answer_s = 0
            self.browser.run(hide.replace('arguments[0]', 'false'))
            until = time.monotonic() + PATIENCE_S
            while asked() == before and time.monotonic() < until:
                time.sleep(0.02)
            self.assertGreater(asked(), before)

    def test_texts_that_hurt_are_texts(self):
        with Stage('hostile') as stage:
            for width in (360, 1280):
                self.open(stage, width)
                self.assertEqual(self.browser.run('return [window.hurt, document.querySelectorAll("main script, img").length]'), [None, 0])
                self.assertLessEqual(self.browser.run('return document.documentElement.scrollWidth'), width)
            rows = self.rows('#listings')
            for row, listing in zip(rows, stage.status['listings'], strict=True):
                self.assertEqual(row[TITLE], as_shown(listing['title']))
                self.assertEqual(row[ITEM], as_shown(listing['item']))
            self.assertIn('admin[U+202E]gnp.exe', rows[4][TITLE])
            self.assertIn('[U+001B][31mred', rows[3][TITLE])
            self.assertEqual(self.browser.complaints(), [])
            # every one of them can be looked up
            for listing in stage.status['listings'][:len(HOSTILE)]:
                self.browser.run('location.hash = "#item=" + encodeURIComponent(arguments[0])', listing['item'])
                self.browser.wait_for('document.querySelector("#item code")?.textContent === arguments[0]', as_shown(listing['item']))
            self.assertEqual(self.browser.run('return [window.hurt, document.querySelectorAll("main script, img").length]'), [None, 0])

    def test_an_item_by_keyboard(self):
        with Stage('healthy') as stage:
            self.open(stage)
            self.browser.run('document.getElementById("item-id").focus()')
            self.browser.press('sku-48211' + ENTER)
            self.browser.wait_for('document.activeElement.tagName === "H3"')
            shown = self.text('#item')
            for words in ('49-21-38.13-18', '1,234', '0.3125', 'Nearest by semantic ID', 'Nearest by embedding', 'sku-4'):
                self.assertIn(words, shown)
            self.assertTrue(self.browser.run('return location.hash === "#item=sku-48211"'))
            # the next key goes to a neighbour's link, which looks that one up
            self.browser.press(TAB * 2 + ENTER)
            self.browser.wait_for('document.querySelector("#item h3").textContent === "Nothing about sku-0"')
            self.assertIn('there is no item `sku-0', self.text('#item'))

    def test_reachable_by_keyboard_and_named(self):
        with Stage('behind') as stage:
            self.open(stage)
            unnamed = '''return [...document.querySelectorAll('canvas, input, section, [role=region], table')].filter(e =>
                !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.closest('section, figure, [aria-label]'))).length'''
            self.assertEqual(self.browser.run(unnamed), 0)
            levels = self.browser.run('return [...document.querySelectorAll("h1, h2, h3")].map(e => Number(e.tagName[1]))')
            self.assertEqual(levels[0], 1)
            self.assertTrue(all(b - a <= 1 for a, b in zip(levels, levels[1:])), levels)
            self.assertEqual(self.browser.run('return ["header", "main", "footer"].map(t => document.querySelectorAll("body > " + t).length)'), [1, 1, 1])
            self.assertEqual(self.browser.run('return document.querySelectorAll("[aria-live], [role=status], [role=alert]").length'), 1)
            self.browser.press(TAB)
            self.assertEqual(self.browser.run('return document.activeElement.className'), 'skip')
            self.assertNotEqual(self.browser.run('return getComputedStyle(document.activeElement).outlineStyle'), 'none')

    def test_what_is_in_focus_stays_there(self):
        with Stage('healthy') as stage:
            self.open(stage)
            self.browser.run('document.querySelectorAll("#listings a")[2].focus()')
            fresh = healthy()
            fresh['listings'] = [{**stage.status['listings'][0], 'item': 'sku-new', 'epoch': 200000}] + stage.status['listings'][:-1]
            stage.become(fresh)
            self.browser.wait_for('document.querySelector("#listings a").textContent === "sku-new"')
            self.assertEqual(self.browser.run('return document.activeElement.textContent'), 'sku-48209')

    def test_contrast(self):
        """AA, of every text on the page, in the light and in the dark."""
        with Stage('behind') as stage:
            for dark in (False, True):
                self.open(stage, dark=dark)
                faint = [(text, round(contrast(ink, paper), 2)) for text, ink, paper in self.browser.run(COLOURS) if contrast(ink, paper) < 4.5]
                self.assertEqual(faint, [], f'dark: {dark}')

    def test_no_scrolling_sideways(self):
        for state in ('healthy', 'behind', 'empty'):
            with Stage(state) as stage:
                for width in (360, 768, 1280):
                    self.open(stage, width)
                    self.assertLessEqual(self.browser.run('return document.documentElement.scrollWidth'), width, state)


def as_shown(text):
    return re.sub(r'[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]', lambda m: f'[U+{ord(m.group()):04X}]', text)


COLOURS = '''
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const paper = e => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
                     return numbers(getComputedStyle(document.documentElement).backgroundColor); };
return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => [e.textContent.slice(0, 40), numbers(getComputedStyle(e).color), paper(e)]);'''


def contrast(ink, paper):
    def light(colour):
        parts = [c / 255 for c in colour[:3]]
        r, g, b = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    a, b = sorted((light(ink), light(paper)))
    return (b + 0.05) / (a + 0.05)


if __name__ == '__main__':
    executable()
    if not browser.available():
        print('skipped: ' + browser.WHY_SKIPPED)
        raise SystemExit(77)
    main()
