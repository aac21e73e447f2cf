"""pip install ./python into an environment made for it, then test_package.py with what was installed. The sources are copied first: pip builds
beside them. Exits 77 where pip has no index to ask."""
import os, shutil, subprocess, sys, tempfile, venv

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))


def pip(python, *words):
    command = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:', '--timeout', '20', '--retries', '1', *words]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main(folder):
    sources, home = os.path.join(folder, 'python'), os.path.join(folder, 'venv')
    shutil.copytree(os.path.join(SOURCE, 'python'), sources, ignore=shutil.ignore_patterns('build', '*.egg-info', '__pycache__'))
    venv.create(home, with_pip=True)
    python = os.path.join(home, 'bin', 'python')
    asked = pip(python, 'setuptools', 'numpy')  # what the package needs: only an index can fail here
    if asked.returncode != 0:
        print('skipped: pip cannot install numpy:', asked.stdout.strip().splitlines()[-1:])
        return 77
    installed = pip(python, sources)
    if installed.returncode != 0:
        print(installed.stdout)
        return 1
    tests = [python, '-B', os.path.join(HERE, 'test_package.py'), *sys.argv[1:]]
    return subprocess.run(tests, cwd=folder, env={key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}).returncode


if __name__ == '__main__':
    base = os.path.join(os.environ.get('COLDSTREAM_BUILD', tempfile.gettempdir()), 'python-package')
    os.makedirs(base, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        sys.exit(main(scratch))
