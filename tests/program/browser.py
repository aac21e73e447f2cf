"""A real browser for the tests of pages: headless Chromium, driven through chromedriver by plain HTTP, with Python's standard library.

    with Browser() as browser:
        browser.size(360, 800, dark=True)
        browser.open('http://127.0.0.1:8080/')
        browser.run('return document.title')
        browser.complaints(), browser.requests()

available() is false where Chromium or its driver is not installed; tests skip then and say so."""
import base64, json, os, re, shutil, subprocess, tempfile, urllib.error, urllib.request

PATIENCE_S = 60  # for one command, on a busy machine


def available():
    return bool(shutil.which('chromium') and shutil.which('chromedriver'))


WHY_SKIPPED = 'chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)'


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix='browser.')
        self.driver = subprocess.Popen([shutil.which('chromedriver'), '--port=0'], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.session = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        for line in self.driver.stdout:  # it says which port it has chosen
            found = re.search(rb'started successfully on port (\d+)', line)
            if found:
                break
        else:
            raise RuntimeError('chromedriver ended before it listened')
        self.address = f'http://127.0.0.1:{int(found.group(1))}'
        words = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars',
                 f'--user-data-dir={self.profile}']
        answer = self.call('POST', '/session', {'capabilities': {'alwaysMatch': {
            'browserName': 'chrome', 'goog:chromeOptions': {'args': words, 'binary': shutil.which('chromium')},
            'goog:loggingPrefs': {'browser': 'ALL', 'performance': 'ALL'}}}})
        self.session = answer['sessionId']
        self.open('about:blank')
        self.requests()  # of the browser's own first page

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            if self.session:
                self.call('DELETE', f'/session/{self.session}')
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()
            shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.address + path, method=method, headers={'Content-Type': 'application/json'},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from None

    def ask(self, path, body=None, method='POST'):
        return self.call(method, f'/session/{self.session}{path}', body if body is not None or method == 'GET' else {})

    def tool(self, command, **parameters):
        """A command of the DevTools protocol."""
        return self.ask('/goog/cdp/execute', {'cmd': command, 'params': parameters})

    def size(self, width, height=900, dark=False):
        """The window as the page sees it, with a phone's rules for narrow ones, and the reader's colours."""
        self.tool('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.tool('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def open(self, url):
        self.ask('/url', {'url': url})

    def run(self, script, *arguments):
        """The value that the script returns."""
        return self.ask('/execute/sync', {'script': script, 'args': list(arguments)})

    def wait_for(self, script, *arguments):
        """Until the script, an expression, is true in the page; its value. The page's own event loop goes on meanwhile."""
        self.ask('/timeouts', {'script': PATIENCE_S * 900})
        waiting = f'''const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);
            const look = () => {{ const value = (function () {{ return ({script}); }}).apply(null, given);
                                  value ? done(value) : setTimeout(look, 20); }};
            look();'''
        return self.ask('/execute/async', {'script': waiting, 'args': list(arguments)})

    def press(self, keys):
        """Keys as the keyboard sends them: '\\ue004' is Tab, '\\ue007' Enter."""
        actions = [{'type': kind, 'value': key} for key in keys for kind in ('keyDown', 'keyUp')]
        self.ask('/actions', {'actions': [{'type': 'key', 'id': 'keyboard', 'actions': actions}]})

    def complaints(self):
        """What the console was told since the last call: warnings, errors, refused requests."""
        return [entry['message'] for entry in self.ask('/se/log', {'type': 'browser'}) if entry['level'] in ('WARNING', 'SEVERE')]

    def requests(self):
        """The addresses that were asked for since the last call, the pages' own among them."""
        events = [json.loads(entry['message'])['message'] for entry in self.ask('/se/log', {'type': 'performance'})]
        return [event['params']['request']['url'] for event in events if event['method'] == 'Network.requestWillBeSent']

    def screenshot(self, path, whole=True):
        """A PNG of the whole page, or of what is in the window."""
        answer = self.tool('Page.captureScreenshot', format='png', captureBeyondViewport=whole)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(answer['data']))

    def print(self, path):
        """The page on A4, as PDF."""
        answer = self.tool('Page.printToPDF', paperWidth=8.27, paperHeight=11.69, printBackground=False, preferCSSPageSize=True)
        with open(path, 'wb') as file:
            file.write(base64.b64decode(answer['data']))
