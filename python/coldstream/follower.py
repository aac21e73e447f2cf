"""Followers: what a stage publishes, folded into memory and kept current."""
from __future__ import annotations

import ctypes, os, threading, time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from . import _library as c
from .errors import AGAIN, AbsentError, AgainError, ConfigError, EndOfRecording, InvalidError, OutOfMemory, StaleError
from .view import REASONS, Codes, View, decode_id

_SLICE_MS = 200  # a wait is cut into such slices, so that Ctrl-C gets through
_KEYS = ('item', 'number', 'position')


class Table(NamedTuple):
    """A table's shape."""
    name: str
    topic: str
    key: str  #: "item", "number" or "position"
    row_bytes: int
    columns: int  #: float32 numbers in a row; 0: rows are SID_DTYPE
    rows_max: int  #: positions are below


class Model(NamedTuple):
    """What a ranker of one's own over the tables needs and no table tells, as the stage's manifest has it."""
    variant: str  #: model.variant
    content_dims: int
    z_dims: int
    books: Tuple[int, ...]  #: codes of each level [5]
    width: int  #: of embeddings and code rows
    history: int  #: recent items that count
    hidden: Tuple[int, ...]  #: of the DNN [2]
    gate_hidden: int  #: 0: no learned gate, T is one half
    opq_share: float  #: of I_OPQ in I_f; 0: none
    cross: bool  #: attentions across the two views


class Stats(NamedTuple):
    """Counters of a follower; see cs_stats in coldstream.h."""
    epoch: int  #: visible; 0: none yet
    newest_epoch: int
    oldest_epoch: int  #: that a view may still be opened at
    progress: float  #: 0 .. 1 while it catches up; 1 when it keeps up
    rows: int
    epochs: int
    resyncs: int
    gaps: int
    repeats: int
    bad_rows: int
    bad_digests: int
    memory_bytes: int
    row_bytes: int


class Change(NamedTuple):
    """An item's SID has changed."""
    item: str
    codes: Optional[Codes]  #: None: the item is delisted
    previous: Optional[Codes]
    reason: str  #: NEW, CONTENT, DRIFT, GENERATION, DELISTED
    generation: Optional[int]


class Changes(NamedTuple):
    """What one epoch did to SIDs."""
    epoch: int
    whole: bool  #: these are all items there are, not a difference: forget what you had
    items: List[Change]


def _options(config: Optional[str], settings: Mapping[str, Any]) -> c.Handle:
    pointer = c.lib.cs_options_new()
    if not pointer:
        raise OutOfMemory('no memory for options')
    options, error = c.Handle(pointer, c.lib.cs_options_free), c.Error()
    if config is not None:
        c.check(c.lib.cs_options_read(pointer, os.fsencode(config), error), error)
    for name, value in settings.items():
        c.check(c.lib.cs_options_set(pointer, name.encode(), str(value).encode(), error), error)
    return options


class Follower:
    """Folds the output topics of a stage, from Kafka or from a recording, and shows whole epochs only.

        with Follower.recording('out') as follower:
            follower.wait()
            with follower.view() as view:
                print(view.item('85123A').codes)

    Either one thread drives it (step(), wait(), changes()), or start() makes a thread of the library's own for that. Views may be opened and
    used by any number of threads meanwhile. close() while arrays or views of it are held is safe: the library closes after the last of them.
    """

    def __init__(self, handle: c.Handle) -> None:
        self._handle: Optional[c.Handle] = handle
        self._drive = threading.Lock()
        self._started = False
        pointer = handle.pointer
        self._tables: Dict[str, Tuple[int, Table]] = {}
        for number in range(c.lib.cs_table_count(pointer)):
            found = c.Table()
            c.check(c.lib.cs_table_at(pointer, number, found, ctypes.sizeof(found)))
            table = Table(found.name.decode(), found.topic.decode(), _KEYS[found.key], found.row_bytes, found.columns, found.rows_max)
            self._tables[table.name] = (number, table)

    @classmethod
    def recording(cls, folder: Union[str, 'os.PathLike[str]'], settings: Optional[Mapping[str, Any]] = None) -> 'Follower':
        """Of a recording, or a replay's outputs. `settings`: undo_bytes, staged_bytes, or names of docs/CONFIGURATION.md.
        UnavailableError: there is none; ConfigError; DataError."""
        options = _options(None, settings or {})
        return cls(c.open_handle(c.lib.cs_open_recording, c.lib.cs_close, None, os.fsencode(folder), options.pointer, out_first=True))

    @classmethod
    def kafka(cls, brokers: Optional[str] = None, config: Optional[Union[str, 'os.PathLike[str]']] = None,
              settings: Optional[Mapping[str, Any]] = None) -> 'Follower':
        """Of live topics. `config`: a configuration file of the stage; `brokers` and `settings` go over it. Joins no group, commits nothing.
        UnavailableError: no broker answers, or the stage has not run yet; ConfigError."""
        own = dict(settings or {})
        if brokers is not None:
            own['kafka.brokers'] = brokers
        if config is None and 'kafka.brokers' not in own:
            raise ConfigError('brokers or a configuration file is needed', 78)
        options = _options(None if config is None else os.fspath(config), own)
        return cls(c.open_handle(c.lib.cs_open_kafka, c.lib.cs_close, None, options.pointer, out_first=True))

    def __enter__(self) -> 'Follower':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Stops driving. The library's memory goes with the last view and array."""
        try:
            if self._started:
                self.stop()
        finally:
            self._handle = None

    def _held(self) -> c.Handle:
        """The handle, for as long as the caller holds it."""
        if self._handle is None:
            raise InvalidError('the follower is closed')
        return self._handle

    # ---- tables ----

    def tables(self) -> List[Table]:
        """All tables, in the library's order."""
        return [table for _, table in self._tables.values()]

    def table(self, name: str) -> Table:
        """AbsentError: there is none of that name."""
        return self._table(name)[1]

    def table_number(self, name: str) -> int:
        return self._table(name)[0]

    def _table(self, name: str) -> Tuple[int, Table]:
        try:
            return self._tables[name]
        except KeyError:
            raise AbsentError(f'there is no table {name!r}; there are {", ".join(self._tables)}') from None

    def model(self) -> Model:
        """The stage's sizes and parts; the same as long as the follower lives."""
        found = c.Model()
        c.lib.cs_follower_model(self._held().pointer, found, ctypes.sizeof(found))
        return Model(found.variant.decode(), found.content_dims, found.z_dims, tuple(found.books), found.width, found.history,
                     tuple(found.hidden), found.gate_hidden, found.opq_share, bool(found.cross))

    # ---- driving ----

    def step(self, timeout: float = 0.25) -> bool:
        """Reads and folds up to the next epoch that becomes visible. False: none came within `timeout` seconds.
        EndOfRecording; DataError, ConfigError, UnavailableError: it cannot go on."""
        held, error = self._held(), c.Error()
        with self._drive:
            status = c.lib.cs_step(held.pointer, int(timeout * 1000), error)
        if status == AGAIN:
            return False
        c.check(status, error)
        return True

    def start(self) -> 'Follower':
        """A thread of the library's own drives from now on, until stop() or close(). Returns the follower."""
        held, error = self._held(), c.Error()
        c.check(c.lib.cs_start(held.pointer, error), error)
        self._started = True
        return self

    def stop(self) -> None:
        """Ends that thread. Raises what had stopped it before."""
        held, error = self._held(), c.Error()
        self._started = False
        status = c.lib.cs_stop(held.pointer, error)
        if status != EndOfRecording.status:
            c.check(status, error)

    def wait(self, epoch: Optional[int] = None, timeout: Optional[float] = None) -> None:
        """Until this epoch or a newer one is visible; without one, the newest that the log has. Drives, unless start() did.
        AgainError (a TimeoutError): the time is up. EndOfRecording: the recording ends before that epoch. Others: it cannot go on."""
        target = c.LATEST if epoch is None else epoch
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_MS if end is None else max(0, min(_SLICE_MS, int((end - time.monotonic()) * 1000)))
            status, error = self._wait(target, left)
            if status != AGAIN:
                return c.check(status, error)
            if end is not None and time.monotonic() >= end:
                raise AgainError('{} is not visible after {} s'.format('the newest epoch' if epoch is None else f'epoch {epoch}', timeout), 75)

    def _wait(self, target: int, milliseconds: int) -> Tuple[int, c.Error]:
        held, error = self._held(), c.Error()
        if self._started:
            return c.lib.cs_wait(held.pointer, target, milliseconds, error), error
        with self._drive:
            return c.lib.cs_wait(held.pointer, target, milliseconds, error), error

    def stats(self) -> Stats:
        found = c.Stats()
        c.lib.cs_follower_stats(self._held().pointer, found, ctypes.sizeof(found))
        return Stats(*(getattr(found, name) for name in Stats._fields))

    # ---- views ----

    def view(self, epoch: Optional[int] = None) -> View:
        """The state after the newest visible epoch, or after this one. AgainError: there is none yet; StaleError: not in memory any more;
        AbsentError: it was passed over while catching up."""
        held = self._held()
        if epoch is None:
            return View(self, c.open_handle(c.lib.cs_view_open, c.lib.cs_view_close, held, held.pointer))
        return View(self, c.open_handle(c.lib.cs_view_open_at, c.lib.cs_view_close, held, held.pointer, epoch))

    # ---- changes of SIDs ----

    def changes(self, timeout: Optional[float] = None) -> Iterator[Changes]:
        """What each epoch does to SIDs, from the newest visible one on: first all items (`whole`), then differences. Where epochs were
        passed over, or have left memory before they were told, all items come again (`whole`).

        Ends where a recording ends, or when no epoch comes for `timeout` seconds.
        """
        before: Optional[View] = None
        while True:
            try:
                self.wait(1 if before is None else before.epoch + 1, timeout)
            except (EndOfRecording, AgainError):
                return
            view = self._after(before)
            try:
                told = _tell(before, view)
            except StaleError:
                view = self.view()
                told = _tell(None, view)  # StaleError again: epochs leave memory faster than they can be told; more undo_bytes
            before = view
            if told.whole or told.items:
                yield told

    def _after(self, before: Optional[View]) -> View:
        """The epoch after this one where it is still there, otherwise the newest."""
        if before is not None:
            try:
                return self.view(before.epoch + 1)
            except (StaleError, AbsentError):
                pass
        return self.view()


class _Place(NamedTuple):
    item: str
    row: Any  # SID_DTYPE


def _place(view: View, position: int) -> Optional[_Place]:
    """What stands at a position: None where there is no SID."""
    key = view.key('sid', position)
    rows, found = view.rows('sid', [position])
    return _Place(decode_id(key), rows[0]) if key is not None and found[0] else None


def _change(place: _Place) -> Change:
    row = place.row
    return Change(place.item, tuple(row['codes'].tolist()), tuple(row['previous'].tolist()) if row['has_previous'] else None,
                  REASONS[int(row['reason']) & 3], int(row['generation']))


def _compare(before: View, view: View, position: int) -> Iterator[Change]:
    was, now = _place(before, position), _place(view, position)
    stays = was is not None and now is not None and was.item == now.item
    if was is not None and not stays:
        elsewhere = view.get(was.item)
        if elsewhere is None or elsewhere.codes is None:  # otherwise its new position has its line
            yield Change(was.item, None, tuple(was.row['codes'].tolist()), 'DELISTED', None)
    if now is not None and not (stays and was is not None and now.row.tobytes() == was.row.tobytes()):
        yield _change(now)


def _tell(before: Optional[View], view: View) -> Changes:
    positions = view.changes('sid') if before is not None and before.epoch + 1 == view.epoch else None
    if before is None or positions is None:
        rows, ids = view.table('sid'), view.ids()
        places = [_Place(item, row) for item, row in zip(ids, rows) if item is not None]
        if view.stale:
            raise StaleError("the view's epoch has left memory while its items were read: give the follower more undo_bytes", 75)
        return Changes(view.epoch, True, [_change(place) for place in places])
    return Changes(view.epoch, False, [change for at in positions for change in _compare(before, view, int(at))])
