"""cmake --install: what lands where, under DESTDIR and under a prefix; the library's functions; the C example built with pkg-config alone, and run."""
import os, subprocess, sys, unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(1, os.path.join(TESTS, 'program'))
import program
from program import Case, SMALL, SOURCE, decode, read_topic, replay_words, run

BUILD = os.environ.get('COLDSTREAM_BUILD', '')
EXAMPLE = os.path.join(SOURCE, 'docs', 'examples', 'follow.c')


def call(*words, **variables):
    result = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables})
    if result.returncode != 0:
        raise AssertionError(f'{" ".join(map(str, words))}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}')
    return result.stdout


def files_below(folder):
    return {os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names}


class Install(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = os.path.join(cls.class_folder, 'prefix')
        call('cmake', '--install', BUILD, '--prefix', cls.prefix)
        cls.found = {'PKG_CONFIG_PATH': os.path.join(cls.prefix, 'lib', 'pkgconfig'), 'LD_LIBRARY_PATH': os.path.join(cls.prefix, 'lib')}

    def test_what_is_installed(self):
        schemas = {f'share/coldstream/schemas/{name}' for name in os.listdir(os.path.join(SOURCE, 'schemas'))}
        wanted = {'bin/coldstream', 'lib/libcoldstream.so', 'lib/libcoldstream.so.0', f'lib/libcoldstream.so.{self.version()}',
                  'lib/pkgconfig/coldstream.pc', 'include/coldstream/coldstream.h', 'share/man/man1/coldstream.1',
                  'share/man/man3/libcoldstream.3', 'share/doc/coldstream/examples/follow.c', 'share/coldstream/conf/run.yaml',
                  'share/coldstream/conf/replay.yaml', *schemas}
        self.assertEqual(files_below(self.prefix), wanted)
        self.assertEqual(os.readlink(os.path.join(self.prefix, 'lib', 'libcoldstream.so.0')), f'libcoldstream.so.{self.version()}')
        call(os.path.join(self.prefix, 'bin', 'coldstream'), '--version')

    def version(self):
        return call('pkg-config', '--modversion', 'coldstream', **self.found).strip()

    def test_destdir(self):
        """All of it lies below DESTDIR, and nothing in it speaks of DESTDIR."""
        call('cmake', '--install', BUILD, '--prefix', '/opt/coldstream', DESTDIR=self.path('root'))
        below = self.path('root', 'opt', 'coldstream')
        self.assertEqual(files_below(below), files_below(self.prefix))
        self.assertEqual(os.listdir(self.path('root')), ['opt'])
        words = call('pkg-config', '--cflags', '--libs', 'coldstream', PKG_CONFIG_PATH=os.path.join(below, 'lib', 'pkgconfig'))
        self.assertEqual(words.split(), ['-I/opt/coldstream/include', '-L/opt/coldstream/lib', '-lcoldstream'])

    def test_the_functions_are_those_that_were_agreed(self):
        """A function that is gone breaks programs; a new one belongs in the list, with the minor version raised at a release."""
        lines = call('nm', '-D', '--defined-only', '--with-symbol-versions', os.path.join(self.prefix, 'lib', 'libcoldstream.so.0')).splitlines()
        with open(os.path.join(TESTS, 'follow', 'abi.txt')) as file:
            self.assertEqual(sorted(line.split()[-1] for line in lines), file.read().split())
        dynamic = call('readelf', '-d', os.path.join(self.prefix, 'lib', 'libcoldstream.so.0'))
        self.assertIn('soname: [libcoldstream.so.0]', dynamic)
        self.assertNotIn('RUNPATH', dynamic)

    def test_the_python_package_finds_it(self):
        """By pkg-config, and beside the package, where nothing names it."""
        if subprocess.run([sys.executable, '-c', 'import numpy'], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest('numpy is not installed for this Python (scripts/python-env.sh)')
        package = program.copy(os.path.join(SOURCE, 'python', 'coldstream'), self.path('coldstream'))
        ask = [sys.executable, '-B', '-c', 'import coldstream; print(coldstream.library_version(), coldstream._library.lib._name)']
        clean = {name: value for name, value in os.environ.items() if name != 'COLDSTREAM_LIBRARY'}
        for place in (os.path.join(self.prefix, 'lib', 'libcoldstream.so.0'), os.path.join(package, 'libcoldstream.so.0')):
            if os.path.dirname(place) == package:
                os.symlink(os.path.join(self.prefix, 'lib', 'libcoldstream.so.0'), place)
            told = subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True, cwd=self.folder,
                                  env={**clean, 'PYTHONPATH': self.folder, 'PKG_CONFIG_PATH': self.found['PKG_CONFIG_PATH']}).stdout
            version, found = told.split()
            self.assertEqual(version, self.version())
            if found != 'libcoldstream.so.0':  # one that is installed on this machine comes before pkg-config's
                self.assertEqual(found, place)

    def test_the_example(self):
        with open(EXAMPLE) as file:
            self.assertLess(len(file.readlines()), 80)
        words = call('pkg-config', '--cflags', '--libs', 'coldstream', **self.found).split()
        call('cc', '-std=c11', '-Wall', '-Wextra', '-Werror', EXAMPLE, '-o', self.path('follow'), *words)
        market, out = self.generate('market'), self.path('out')
        self.check(run(*replay_words(market, out, sets=SMALL)))
        item, value = [(record.key.decode(), decode('semantic-ids-value', record.value)) for record in read_topic(out, 'semantic-ids')][-1]
        lines = call(self.path('follow'), out, item, 'nobody', **self.found).splitlines()
        epochs = len(read_topic(out, 'epochs'))
        self.assertEqual(len(lines), 2 * epochs)
        self.assertRegex(lines[-2], f'^epoch {epochs}  {item}  {"{}-{}-{}.{}-{}".format(*value["codes"])}  shown ')
        self.assertEqual(lines[-1], f'epoch {epochs}  nobody  absent')
        failed = subprocess.run([self.path('follow'), self.path('nowhere'), 'x'], stderr=subprocess.PIPE, text=True, env={**os.environ, **self.found})
        self.assertEqual(failed.returncode, program.NO_INPUT)
        self.assertIn('nowhere', failed.stderr)


if __name__ == '__main__':
    program.main()
