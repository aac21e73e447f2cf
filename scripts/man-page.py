#!/usr/bin/env python3
"""man-page.py PROGRAM: coldstream(1) in mdoc, made of what the program's own --help says. docs/man/coldstream.1 is its output; a test holds it to that.

    scripts/man-page.py build/coldstream > docs/man/coldstream.1"""
import os, re, subprocess, sys, textwrap

DATE = 'November 25, 2026'
EXIT_CODES = [('0', 'done'), ('64', 'usage'), ('65', 'bad data where it cannot be set aside, or --verify found a difference'),
              ('66', 'no input: a file or folder is not there, or is no finished recording'),
              ('69', 'another producer has the transactional id, a commit stays unknown, nothing answers, or a memory limit'),
              ('70, 71', 'internal error, no memory'), ('73, 74', 'cannot create, I/O error (a full disk)'),
              ('75', 'interrupted: try again'), ('78', 'configuration')]


def ask(program, *words):
    """Not wrapped: every paragraph and every option is one line."""
    environment = {**os.environ, 'ARGP_HELP_FMT': 'rmargin=8000'}
    return subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout


def plain(text):
    """As text: nothing of it is a request or an escape."""
    text = text.replace('\\', '\\e').replace('--', '\\-\\-')
    return '\\&' + text if text[:1] in ".'" else text


def word(text):
    """As one argument of a macro."""
    return '"%s"' % text.replace('\\', '\\e').replace('"', '\\(dq')


def sentences(text):
    """Each begins a line, as mdoc wants it."""
    parts = re.split(r'(?<=[a-z0-9)`\']\.) (?=[A-Z])', text)
    return [plain(line) for part in parts for line in textwrap.wrap(part, 76, break_long_words=False, break_on_hyphens=False)]


def option(line):
    """'  -c, --config=FILE          Text' -> an item of a list."""
    found = re.match(r'\s+(?:-(\w), )?--([\w-]+)(?:=(.*?))?(?:\s{2,}(.*))?$', line)
    short, name, value, text = found.groups()
    if value and text is None:  # a value that reaches the column of texts
        value, _, text = value.partition(' ')
    flags = (f'Fl {short} , ' if short else '') + f'Fl \\-{name}' + (f' Ns = Ns Ar {word(value)}' if value else '')
    return ['.It ' + flags, *sentences(text or '')]


def body(lines):
    """Paragraphs; lines that begin with blanks are shown as they are."""
    out, shown = [], False
    for line in lines:
        if line.startswith('  ') != shown:
            out.append('.Ed' if shown else '.Bd -literal -offset indent')
            shown = not shown
        if not line:
            out.append('.Pp')
        else:
            out += [plain(line[2:])] if shown else sentences(line)
    return out + (['.Ed'] if shown else [])


def tidy(lines):
    """No .Pp at an end, before another, or beside what makes room by itself."""
    out = []
    for line in lines:
        if line.startswith(('.Sh', '.Ss', '.Bd', '.Bl')) and out and out[-1] == '.Pp':
            out.pop()
        if line != '.Pp' or (out and not out[-1].startswith(('.Pp', '.Ss', '.Sh', '.Bd'))):
            out.append(line)
    return out[:-1] if out[-1] == '.Pp' else out


def command(program, name):
    lines = ask(program, name, '--help').rstrip().split('\n')
    usages = [re.sub(r'^(Usage:|  or:)\s+', '', line) for line in lines if re.match(r'Usage:|  or: ', line)]
    rest = lines[len(usages):]
    first = next(i for i, line in enumerate(rest) if re.match(r'\s+(-\w, )?--', line))
    last = rest.index('', first) - 1
    options = re.sub(r'\n {20,}', '  ', '\n'.join(line for line in rest[first:last + 1] if line.strip())).split('\n')
    tail = [line for line in rest[last + 1:] if not line.startswith('Mandatory or optional arguments')]
    out = [f'.Ss coldstream {name}', '.Bd -literal -compact', *(plain(usage) for usage in usages), '.Ed', '.Pp', *body(rest[:first])]
    out += ['.Bl -tag -width Ds', *(line for text in options for line in option(text)), '.El', '.Pp', *body(tail)]
    return tidy(out)


def page(program):
    commands = re.findall(r'^  (\w+) +(.*)$', ask(program, '--help').split('Commands:')[1].split('A first run')[0], re.M)
    out = ['.\\" Made by scripts/man-page.py of what coldstream --help says.', f'.Dd {DATE}', '.Dt COLDSTREAM 1', '.Os', '.Sh NAME', '.Nm coldstream',
           '.Nd semantic IDs and a ranker, kept aligned with a stream of listings and clicks', '.Sh SYNOPSIS', '.Nm', '.Ar command', '.Op Ar option ...',
           '.Nm', '.Cm help', '.Op Ar command', '.Nm', '.Fl \\-version', '.Sh DESCRIPTION', '.Nm',
           *sentences('is a Kafka pipeline stage that gives every new listing a semantic ID and a place in a ranker, and keeps both aligned '
                      'with what users click. It reads click events and item-content events, learns from each event once, in order, and '
                      'publishes the rows that changed.'),
           '.Pp', 'Answers go to standard output, progress and errors to standard error.', '.Bl -tag -width compareXX']
    for name, summary in commands:
        out += [f'.It Cm {name}', plain(summary)]
    out += ['.El', '.Sh COMMANDS', 'Arguments of long options are also those of the short ones.']
    for name, _ in commands:
        out += command(program, name)
    out += ['.Sh FILES', '.Bl -tag -width Ds', '.It Pa share/coldstream/conf/run.yaml', 'A configuration to begin with, for', '.Cm run .',
            '.It Pa share/coldstream/conf/replay.yaml', 'For', '.Cm replay ,', 'on any recording.', '.It Pa share/coldstream/schemas',
            "The topics' Avro schemas.", '.El', '.Sh EXIT STATUS', '.Bl -tag -width Ds', *(line for code, text in EXIT_CODES
                                                                                      for line in (f'.It {code}', *sentences(text))), '.El']
    out += ['.Sh SEE ALSO', '.Xr libcoldstream 3', '.Pp', 'README.md, docs/CONFIGURATION.md (every setting; also', '.Nm', '.Cm check Fl \\-manual ) ,',
            'docs/RUNBOOK.md.']
    return '\n'.join(tidy(out)) + '\n'


if __name__ == '__main__':
    sys.stdout.write(page(sys.argv[1]))
