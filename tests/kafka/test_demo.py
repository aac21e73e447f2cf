"""make demo-kafka, small: it shows semantic IDs of new listings, and leaves no process, port or folder behind, also after Ctrl-C."""
import os, re, signal, socket, subprocess, sys, tempfile, unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 300


class Demo(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(tempfile.mkdtemp(dir=os.environ['COLDSTREAM_BUILD']), 'demo')
        self.addCleanup(os.rmdir, os.path.dirname(self.folder))

    def start(self, *arguments):
        # a group of its own, as a terminal would make it; Ctrl-C goes to all of it
        process = subprocess.Popen([os.path.join(SOURCE, 'scripts', 'demo-kafka.sh'), *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                   env={**os.environ, 'COLDSTREAM_DEMO': self.folder})
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        return process

    def read_until(self, process, pattern):
        """The output up to a line that matches."""
        text = ''
        for line in process.stdout:
            text += line
            if re.search(pattern, line):
                return text
        self.fail(f'{pattern} is not in the output:\n{text}')

    def assert_nothing_is_left(self, text):
        self.assertFalse(os.path.exists(self.folder), text)
        port = int(re.search(r'listening on 127.0.0.1:(\d+)', text)[1])
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(('127.0.0.1', port)), 0, 'the port is open')
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    words = file.read()
            except OSError:
                continue
            self.assertFalse(self.folder.encode() in words, f'left behind: {words}')
            self.assertFalse(f'kafka.brokers=127.0.0.1:{port}'.encode() in words, f'left behind: {words}')

    def test_to_its_end(self):
        process = self.start('4000', '12000')
        text, _ = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 0, text)
        self.assertRegex(text, r'(?m)^  \d+-\d+-\d+\.\d+-\d+ +\d+ ms   \w+')
        found = re.search(r'12600 records in \d+ s; (\d+) listings', text) or self.fail(text)
        self.assertEqual(int(found[1]), 600)
        self.assertNotIn('without', text[found.start():])
        self.assert_nothing_is_left(text)

    def test_ctrl_c(self):
        for moment in (r'listening on', r'^  \d+-\d+-\d+\.\d+-\d+ '):
            process = self.start('4000', '200000')
            text = self.read_until(process, moment)
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=PATIENCE_S)
            self.assertEqual(process.returncode, 130, text + rest)
            self.assert_nothing_is_left(text + rest)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
