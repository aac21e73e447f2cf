"""Serves scores from a stage's topics over HTTP, with the published ranker in NumPy (numpy_ranker.py).

    python serve_scores.py --from out                        a recording, or a replay's outputs
    python serve_scores.py --brokers broker:9092             live
    curl 'localhost:8000/score?history=item-7,item-3&clicks=12&items=item-1,item-2'

Every answer is of one epoch, and says of which. `--library` scores with the library instead: the stage's own bits, and faster.
"""
import argparse, json, sys, threading, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from coldstream import ColdstreamError, Follower
from numpy_ranker import NumpyRanker


class Scores:
    """The ranker of a recent epoch, renewed when it is older than `seconds` and there is a newer one."""

    def __init__(self, follower, library=False, seconds=1.0):
        self.follower, self.library, self.seconds = follower, library, seconds
        self.lock, self.made, self.view, self.ranker = threading.Lock(), 0.0, None, None

    def current(self):
        """(view, ranker), both of one epoch."""
        with self.lock:
            if self.view is None or self.view.stale or time.monotonic() - self.made > self.seconds:
                view = self.follower.view()
                if self.view is None or view.epoch != self.view.epoch:
                    self.view, self.ranker = view, view.scorer() if self.library else NumpyRanker(self.follower, view)
                self.made = time.monotonic()
            return self.view, self.ranker

    def answer(self, items, history, clicks, now_ms=None):
        """Probability of a click for each item; None where there is no such item."""
        view, ranker = self.current()
        candidates, found = view.items(items)
        recent, known = view.items(history)
        now = view.facts().timestamp_ms if now_ms is None else now_ms
        logits = ranker.score(candidates['position'][found], recent['position'][known], clicks, now)
        scores = iter(1 / (1 + np.exp(-logits.astype(np.float64))))
        return {'epoch': view.epoch, 'scores': {item: float(next(scores)) if there else None for item, there in zip(items, found)}}


def handler_of(scores):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urllib.parse.urlsplit(self.path)
            words = {name: values[-1] for name, values in urllib.parse.parse_qs(url.query).items()}
            lists = [[item for item in words.get(name, '').split(',') if item] for name in ('items', 'history')]
            if url.path != '/score' or not lists[0] or not words.get('clicks', '0').isdigit():
                return self.tell(404, {'error': 'GET /score?items=A,B[&history=C,D][&clicks=N]'})
            try:
                self.tell(200, scores.answer(*lists, int(words.get('clicks', '0'))))
            except ColdstreamError as error:  # stale just now, or catching up: the next try has a newer view
                self.tell(503, {'error': str(error)})

        def tell(self, code, answer):
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    return Handler


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = words.add_mutually_exclusive_group(required=True)
    where.add_argument('--from', dest='folder', metavar='DIR')
    where.add_argument('--brokers', metavar='HOST:PORT,...')
    words.add_argument('--port', type=int, default=8000)
    words.add_argument('--library', action='store_true', help="score with the library's own ranker")
    given = words.parse_args()
    with (Follower.recording(given.folder) if given.folder else Follower.kafka(given.brokers)) as follower:
        follower.start().wait()
        server = ThreadingHTTPServer(('127.0.0.1', given.port), handler_of(Scores(follower, given.library)))
        print(f'epoch {follower.stats().epoch}; http://127.0.0.1:{server.server_port}/score', file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == '__main__':
    try:
        main()
    except ColdstreamError as error:
        sys.exit(f'serve_scores: {error}')
