"""The man pages: of what --help and the header say, and without a warning of mandoc's."""
import shutil, subprocess

from program import *

PAGES = os.path.join(SOURCE, 'docs', 'man')


class ManPages(Case):
    def text(self, name):
        with open(os.path.join(PAGES, name)) as file:
            return file.read()

    def test_coldstream_is_what_help_says(self):
        script = os.path.join(SOURCE, 'scripts', 'man-page.py')
        made = subprocess.run([sys.executable, '-B', script, executable()], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertEqual(made, self.text('coldstream.1'), 'scripts/man-page.py build/coldstream > docs/man/coldstream.1')

    def test_every_command_and_option_is_there(self):
        """The script may lose something: so it is looked for in what a reader sees."""
        page = re.sub(r'\\[-&]', lambda found: found[0][1].strip('&'), self.text('coldstream.1'))
        for command in re.findall(r'^  (\w+) +\S', run('--help').out.split('A first run')[0], re.M):
            section = re.search(rf'^\.Ss coldstream {command}\n(.*?)(?=^\.S[sh] )', page, re.S | re.M)
            self.assertIsNotNone(section, command)
            said = run(command, '--help', environment={'ARGP_HELP_FMT': 'rmargin=8000'}).out
            options = re.findall(r'^\s+(?:-\w, )?--([\w-]+)', said, re.M)
            self.assertIn('help', options)
            for option in options:
                self.assertRegex(section[1], rf'Fl -{option}\b', f'{command} --{option}')
            for word in re.findall(r'\w{4,}', re.sub(r'^Usage:|^Mandatory or optional arguments .*$', '', said, flags=re.M)):
                self.assertIn(word, section[1], command)

    def test_libcoldstream_has_every_function_and_status(self):
        with open(os.path.join(SOURCE, 'include', 'coldstream', 'coldstream.h')) as file:
            header = file.read()
        page = self.text('libcoldstream.3')
        synopsis = page.split('.Sh DESCRIPTION')[0]
        declared = re.findall(r'CS_API ([\w ]+?\*?)\s*(cs_\w+)\((.*?)\);', header, re.S)
        self.assertGreater(len(declared), 40)
        for result, name, arguments in declared:
            arguments = ' '.join('"%s"' % ' '.join(argument.split()) for argument in arguments.split(','))
            self.assertIn(f'.Ft "{result.strip()}"\n.Fn {name} {arguments}\n', synopsis)
        self.assertEqual(len(re.findall(r'^\.Fn ', synopsis, re.M)), len(declared))
        for status in re.findall(r'^    (CS_\w+) = \d', header, re.M):
            self.assertIn(status, page)

    def test_mandoc_has_no_complaint(self):
        if not shutil.which('mandoc'):
            self.skipTest('mandoc is not installed')
        for name in sorted(os.listdir(PAGES)):
            result = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', os.path.join(PAGES, name)], stdout=subprocess.PIPE, text=True)
            self.assertEqual(result.stdout, '')


if __name__ == '__main__':
    main()
