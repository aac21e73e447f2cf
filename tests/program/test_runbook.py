"""docs/RUNBOOK.md has an entry for every fatal error that names one, and a running stage names it."""
import json, os, re, shutil, subprocess, unittest
from program import *

PROMETHEUS = os.path.join(SOURCE, 'docker', 'prometheus')


def entries():
    with open(os.path.join(SOURCE, 'docs', 'RUNBOOK.md')) as file:
        return set(re.findall(r'^### ([\w-]+)$', file.read(), re.M))


def sources():
    return [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(SOURCE, 'src')) for name in names
            if name.endswith('.c')]


def named_in_source():
    found = set()
    for path in sources():
        with open(path) as file:
            found |= set(re.findall(r'FAIL_SEE\(\s*err,\s*\w+,\s*EX_\w+,\s*"([\w-]+)"', file.read()))
    with open(os.path.join(SOURCE, 'src', 'cli', 'commands.c')) as file:
        of_codes = file.read().split('runbook_entry(')[1].split('\n}\n')[0]
    return found, set(re.findall(r'return "([\w-]+)"', of_codes))


def rules():
    """The alerts by name: promtool reads the file, so the test needs no YAML; one line for each key is all that is read here."""
    found, name = {}, None
    with open(os.path.join(PROMETHEUS, 'alerts.yml')) as file:
        for line in file:
            if match := re.match(r'  - alert: (\w+)$', line):
                name = match[1]
                found[name] = {'annotations': {}}
            elif match := re.match(r"    expr: '(.*)'$", line):
                found[name]['expr'] = match[1].replace("''", "'")
            elif match := re.match(r'      runbook: (\S+)$', line):
                found[name]['annotations']['runbook'] = match[1]
    return found


class Runbook(unittest.TestCase):
    def test_every_named_entry_is_there(self):
        named, of_codes = named_in_source()
        self.assertGreater(len(named), 8)
        self.assertGreater(len(of_codes), 6)
        self.assertLessEqual(named | of_codes, entries())

    def test_events_settings_and_reasons_are_those_there_are(self):
        """Whatever looks like section.name in the runbook is a setting, an event of the log, or somebody else's, named here."""
        with open(os.path.join(SOURCE, 'docs', 'CONFIGURATION.md')) as file:
            known = set(re.findall(r'`([a-z_]+\.[a-z_-]+)`', file.read()))
        reasons = set()
        for path in sources():
            with open(path) as file:
                text = file.read()
            known |= set(re.findall(r'log_\w+\(\s*"([\w.]+)"', text))
            if 'reason_names[DEAD_REASON_COUNT]' in text:
                reasons |= set(re.findall(r'"([\w-]+)"', text.split('reason_names[DEAD_REASON_COUNT]')[1].split('};')[0]))
        with open(os.path.join(SOURCE, 'docs', 'RUNBOOK.md')) as file:
            runbook = file.read()
        named = set(re.findall(r'`([a-z_]+\.[a-z_-]+)[`:]', runbook))
        self.assertGreater(len(named & known), 20)
        self.assertLessEqual(named - known, {'retention.ms', 'vm.overcommit_memory', 'alerts.yml'})
        table = runbook.split('| reason | who has to act |')[1].split('\n\n')[0]
        told = {name for row in re.findall(r'^\| (`.*?`) \|', table, re.M) for name in re.findall(r'`([\w-]+)`', row)}
        self.assertEqual(told, reasons)

    def test_every_alert_has_its_entry(self):
        alerts = {name: (rule['annotations']['runbook'], rule['expr']) for name, rule in rules().items()}
        self.assertGreater(len(alerts), 10)
        for name, (entry, _) in alerts.items():
            self.assertEqual(entry, f'docs/RUNBOOK.md#{name.lower()}')
            self.assertIn(name, entries())

    def test_every_judgement_of_the_status_page_has_its_entry(self):
        with open(os.path.join(SOURCE, 'src', 'ops', 'verdict.c')) as file:
            named = set(re.findall(r'"(Coldstream\w+)"', file.read()))
        self.assertGreater(len(named), 8)
        self.assertLessEqual(named, entries())

    def test_the_alerts_fire_and_keep_quiet(self):
        if shutil.which('promtool') is None:
            self.skipTest('promtool is missing; scripts/install-packages.sh prometheus installs it')
        for words in (['check', 'rules', 'alerts.yml'], ['test', 'rules', 'alerts_test.yml'], ['check', 'config', 'prometheus.yml']):
            result = subprocess.run(['promtool', *words], cwd=PROMETHEUS, capture_output=True, text=True)
            self.assertEqual(result.returncode, OK, result.stdout + result.stderr)

    def failed(self, *settings):
        words = [word for setting in settings for word in ('--set', setting)]
        result = run('run', '-c', os.path.join(SOURCE, 'conf', 'run.yaml'), *words)
        self.assertNotEqual(result.code, OK)
        return result

    def test_a_run_that_fails_names_its_entry(self):
        result = self.failed('snapshot.folder=/proc/none')
        self.assertRegex(result.err, rf'event=run.failed text="/proc/none: cannot make this folder.*" exit_code={CANNOT_CREATE} '
                                     r'see=docs/RUNBOOK.md#files\n')
        result = self.failed('content.dims=0')
        self.assertRegex(result.err, rf'event=run.failed text="content.dims .*" exit_code={BAD_CONFIG} '
                                     r'see=docs/RUNBOOK.md#configuration\n')

    def test_the_log_may_be_json(self):
        result = self.failed('content.dims=0', 'log.format=json')
        line = json.loads(result.err.strip().splitlines()[-1])
        self.assertEqual((line['level'], line['event'], line['exit_code']), ('error', 'run.failed', BAD_CONFIG))
        self.assertIn('content.dims', line['text'])


if __name__ == '__main__':
    main()
