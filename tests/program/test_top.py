"""`coldstream top`: one picture, and the live one on a real pseudo-terminal."""
import fcntl, json, os, pty, re, select, signal, struct, subprocess, termios, time, unicodedata

from program import Case, OK, USAGE, BAD_DATA, PATIENCE_S, executable, main, run
from stage_world import STATES, Stage

UNAVAILABLE = 69
CODES = re.compile(r'\x1b(\[[0-9;?]*[A-Za-z])')


def width(text):
    """As a terminal counts: wide characters twice, combining ones not at all."""
    return sum(0 if unicodedata.combining(c) or unicodedata.category(c) in ('Mn', 'Cf') else 2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def rounded(value):
    """Nine digits, as in every JSON answer of the program."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else float(f'{value:.9g}') if isinstance(value, float) else value


class Top(Case):
    def test_one_picture(self):
        with Stage('healthy') as stage:
            result = self.check(run('top', stage.url, '--once'))
            lines = result.out.split('\n')
            self.assertEqual(lines[1], '\u2713 All is well: leading, 0.2 s behind, new listings have their SID after 35 ms')
            for words in ('events 2,020/s', 'after 35 ms, p99 81 ms', 'commit 38 ms', 'AUC 0.7638  cold 0.7012', 'vector 4  schema 3', 'generation 3', '60/64', '774.7 MiB'):
                self.assertIn(words, result.out)
            for listing in stage.status['listings']:
                self.assertTrue(any(listing['sid'] in line and listing['item'] in line for line in lines), listing)
            for one in stage.status['inputs']:
                found = [line.split() for line in lines if line.startswith(one['topic'] + ' ') and line.split()[1] == str(one['partition'])]
                self.assertEqual(found[0][4], f"{one['lag']:,}")
            self.assertNotIn('\x1b', result.out)

    def test_it_takes_a_host_and_a_port(self):
        with Stage('healthy') as stage:
            self.assertIn('All is well', self.check(run('top', f'127.0.0.1:{stage.port}')).out)
            self.assertIn('All is well', self.check(run('top', stage.url + '/')).out)

    def test_json(self):
        with Stage('behind') as stage:
            result = self.check(run('top', '--json', stage.url))
            status = result.json()
            self.assertEqual({name: rounded(status[name]) for name in stage.status}, rounded(stage.status))
            self.assertEqual(status['verdict']['level'], 'bad')
            self.assertEqual([p['level'] for p in status['verdict']['problems']], ['bad', 'bad', 'warn', 'warn', 'warn'])
            self.assertEqual([p['see'] for p in status['verdict']['problems']],
                             ['ColdstreamLag', 'ColdstreamTableNearlyFull', 'ColdstreamLag', 'ColdstreamListingsLate', 'ColdstreamDeadLetters'])

    def test_the_worst_input_comes_first(self):
        with Stage('behind') as stage:
            lines = self.check(run('top', '--once', stage.url)).out.split('\n')
            first = next(i for i, line in enumerate(lines) if line.startswith('INPUT')) + 1
            self.assertEqual([line.split()[1] for line in lines[first:first + 2]], ['2', '1'])

    def test_every_state_fits_into_80_columns(self):
        for state in STATES:
            with self.subTest(state), Stage(state) as stage:
                result = self.check(run('top', '--once', stage.url, environment={'COLUMNS': '80'}))
                for line in result.out.split('\n'):
                    self.assertLessEqual(width(line), 80, line)
                self.assertNotRegex(result.out, r'nan|\(null\)')

    def test_texts_that_hurt_are_texts(self):
        with Stage('hostile') as stage:
            result = self.check(run('top', '--once', stage.url, environment={'COLUMNS': '200'}))
            self.assertNotRegex(result.out, r'[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]')
            self.assertIn('[U+001B][31mred', result.out)
            self.assertIn('admin[U+202E]gnp.exe', result.out)
            self.assertIn('<script>window.hurt', result.out)
            self.assertIn('z' + 4 * '\u0301' + 'algo', result.out)  # of eight
            self.assertIn('\u2026', result.out)
            result = self.check(run('top', '--json', stage.url))
            self.assertRegex(result.out, r'\A[ -~]+\n\Z')
            self.assertEqual(result.json()['listings'], rounded(stage.status['listings']))

    def test_a_status_of_anything(self):
        """Parts that are missing, or of another kind."""
        odd = [None, True, -1, 1e300, 10 ** 18, 'text', '', [], {}, [1], [[]], {'auc': []}, [None] * 3, '\u202e' * 50]

        def bent(value):
            if self.random.random() < 0.06:
                return self.random.choice(odd)
            if isinstance(value, dict):
                return {name: bent(one) for name, one in value.items()}
            return [bent(one) for one in value] if isinstance(value, list) and len(value) < 100 else value

        whole = STATES['behind']()
        with Stage('behind') as stage:
            for _ in range(60):
                stage.become({**{name: bent(value) for name, value in whole.items()}, 'state': 'leading'})
                result = self.check(run('top', '--once', stage.url + '/raw'))
                self.assertNotRegex(result.out, r'\bnan\b|\binf\b|\(null\)|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', stage.status)
                self.assertTrue(all(width(line) <= 80 for line in result.out.split('\n')), stage.status)

    def test_nothing_answers(self):
        with Stage('healthy') as stage:
            url = stage.url
        result = self.check(run('top', url), UNAVAILABLE)
        self.says(result, url, 'no stage answers', 'http.listen')
        self.assertEqual(result.out, '')

    def test_something_else_answers(self):
        with Stage('healthy') as stage:
            self.says(self.check(run('top', stage.url + '/nowhere'), BAD_DATA), 'no coldstream stage', 'HTTP 404')
            stage.judged = ['a', 'list']
            self.says(self.check(run('top', stage.url), BAD_DATA), 'no coldstream stage', 'HTTP 200')
            stage.judged = {'state': 'x' * (17 << 20)}
            self.says(self.check(run('top', stage.url), BAD_DATA), 'no coldstream stage', 'and more')

    def test_usage(self):
        for words in (['nowhere'], ['ftp://x'], ['a:1', 'b:2'], ['--twice'], ['']):
            self.check(run('top', *words), USAGE)
        self.assertIn('http.listen', self.check(run('top', '--help')).out)


class Terminal:
    """The program on a pseudo-terminal of 80x24, and what stands on it: enough of a terminal for what `top` sends."""

    def __init__(self, *words, columns=80, rows=24, environment=None):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.sent = ''
        variables = {**os.environ, 'TERM': 'xterm-256color', **(environment or {})}
        self.process = subprocess.Popen([executable(), 'top', *words], stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE, env=variables, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master), os.close(self.slave)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            self.sent += os.read(self.master, 1 << 20).decode('utf-8', 'replace')

    def until(self, true):
        """Reads until true(the last whole picture)."""
        for _ in range(int(PATIENCE_S / 0.1)):
            if true(self.picture()):
                return self.picture()
            self.read(0.1)
        raise AssertionError(f'never seen; last: {self.sent[-3000:]!r}')

    def frames(self):
        return [frame.split('\x1b[J')[0] for frame in self.sent.split('\x1b[H')[1:] if '\x1b[J' in frame]

    def picture(self):
        return CODES.sub('', self.frames()[-1]).split('\r\n') if self.frames() else []

    def end(self):
        for _ in range(int(PATIENCE_S / 0.1)):
            self.read(0.1)
            if self.process.poll() is not None:
                self.read(0)
                return self.process.returncode
        raise AssertionError('it does not end')


class Live(Case):
    def one(self, picture):
        return bool(picture)

    def assert_given_back(self, terminal):
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)
        for taken, given in (('\x1b[?1049h', '\x1b[?1049l'), ('\x1b[?25l', '\x1b[?25h'), ('\x1b[?7l', '\x1b[?7h')):
            self.assertEqual((terminal.sent.count(taken), terminal.sent.count(given)), (1, 1))

    def test_it_draws_redraws_and_quits(self):
        with Stage('healthy') as stage, Terminal(stage.url) as terminal:
            picture = terminal.until(self.one)
            self.assertEqual(len(picture), 24)
            self.assertIn('All is well', picture[1])
            self.assertEqual(picture[-1], 'q quits')
            for words in ('INPUT', 'RANKING', 'LISTINGS', 'DEAD LETTERS', 'CODEBOOKS'):
                self.assertTrue(any(line.startswith(words) for line in picture), words)
            self.assertTrue(all(width(line) <= 80 for line in picture), picture)
            stage.become('behind')
            picture = terminal.until(lambda p: '5 min 3 s behind' in p[1])
            self.assertEqual(len(picture), 24)
            os.write(terminal.master, b'q')
            self.assertEqual(terminal.end(), OK)
            self.assert_given_back(terminal)

    def test_it_follows_the_window(self):
        with Stage('healthy') as stage, Terminal(stage.url) as terminal:
            terminal.until(self.one)
            terminal.resize(140, 60)
            terminal.process.send_signal(signal.SIGWINCH)
            picture = terminal.until(lambda p: len(p) == 60)
            self.assertTrue(any(line.startswith('TABLE') for line in picture))
            self.assertTrue(any(len(line) > 80 for line in picture))
            terminal.resize(30, 6)
            terminal.process.send_signal(signal.SIGWINCH)
            picture = terminal.until(lambda p: len(p) == 6)
            self.assertTrue(all(width(line) <= 30 for line in picture), picture)
            os.write(terminal.master, b'q')
            self.assertEqual(terminal.end(), OK)

    def test_a_stage_that_goes_and_comes_back(self):
        with Stage('healthy') as stage, Terminal(stage.url) as terminal:
            terminal.until(self.one)
            stage.stop()
            picture = terminal.until(lambda p: 'No stage answers' in p[1])
            self.assertIn('old', picture[1])
            self.assertTrue(any(line.startswith('INPUT') for line in picture))
            stage.go_on()
            terminal.until(lambda p: 'All is well' in p[1])
            os.write(terminal.master, b'q')
            self.assertEqual(terminal.end(), OK)

    def test_keys_are_heard_while_a_stage_is_slow(self):
        with Stage('healthy') as stage, Terminal(stage.url) as terminal:
            terminal.until(self.one)
            asked, stage.answer_s = len(stage.asked), 4
            while len(stage.asked) == asked:
                terminal.read(0.05)
            began = time.monotonic()
            os.write(terminal.master, b'q')
            self.assertEqual(terminal.end(), OK)
            self.assertLess(time.monotonic() - began, stage.answer_s)

    def test_signals_give_the_terminal_back(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with Stage('healthy') as stage, Terminal(stage.url) as terminal:
                terminal.until(self.one)
                terminal.process.send_signal(number)
                self.assertEqual(terminal.end(), OK)
                self.assert_given_back(terminal)

    def test_stopped_and_continued(self):
        with Stage('healthy') as stage, Terminal(stage.url) as terminal:
            terminal.until(self.one)
            terminal.process.send_signal(signal.SIGTSTP)
            self.assertTrue(os.WIFSTOPPED(os.waitpid(terminal.process.pid, os.WUNTRACED)[1]))
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)
            terminal.process.send_signal(signal.SIGCONT)
            frames = len(terminal.frames())
            terminal.until(lambda p: len(terminal.frames()) > frames)
            os.write(terminal.master, b'q')
            self.assertEqual(terminal.end(), OK)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_colours_where_they_are_wanted(self):
        for environment, there in (({}, True), ({'NO_COLOR': '1'}, False), ({'NO_COLOR': ''}, True)):
            with Stage('behind') as stage, Terminal(stage.url, environment=environment) as terminal:
                terminal.until(self.one)
                self.assertEqual(bool(re.search(r'\x1b\[(1;)?3[0-7]m', terminal.sent)), there, environment)
        with Stage('healthy') as stage, Terminal(stage.url, environment={'TERM': 'dumb'}) as terminal:
            self.assertEqual(terminal.end(), OK)
            self.assertNotIn('\x1b', terminal.sent)
            self.assertIn('All is well', terminal.sent)


if __name__ == '__main__':
    main()
