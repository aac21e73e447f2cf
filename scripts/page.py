#!/usr/bin/env python3
"""page.py PAGE CHART_JS OUT: one self-contained document from a page of src/web.

`{{name.ext}}` stands for the file of that name beside the page ({{chart.js}} for CHART_JS), `{{policy}}` for the hashes of the page's own
scripts and styles as a Content-Security-Policy: a browser runs these and nothing else. Other names are left for the program to fill in."""
import base64, hashlib, os, re, sys

page, chart_js, out = sys.argv[1:]


def part(match):
    name = match.group(1)
    if '.' not in name:
        return match.group(0)
    path = chart_js if name == 'chart.js' else os.path.join(os.path.dirname(page), name)
    with open(path, encoding='utf-8') as file:
        text = re.sub(r'^//# sourceMappingURL=.*$', '', file.read(), flags=re.M)
    if '</script' in text or '</style' in text:
        sys.exit(f'{path}: holds the end of its own element')
    return text


def policy(text):
    def hashes(tag):
        found = re.findall(f'<{tag}>(.*?)</{tag}>', text, re.S)
        return ' '.join("'sha256-" + base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode() + "'" for inner in found)
    return f"script-src {hashes('script')}; style-src {hashes('style')}"


with open(page, encoding='utf-8') as file:
    whole = re.sub(r'\{\{([\w.]+)\}\}', part, file.read())
with open(out, 'w', encoding='utf-8') as file:
    file.write(whole.replace('{{policy}}', policy(whole)))
