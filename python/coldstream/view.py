"""Views: the state after one epoch, whole. Look-ups, tables as arrays, encoding, scoring."""
from __future__ import annotations

import ctypes, os, threading, warnings
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _library as c
from .errors import ABSENT, STALE, AbsentError, InvalidError

if TYPE_CHECKING:
    from .follower import Follower

Id = Union[str, bytes]
Codes = Tuple[int, int, int, int, int]
REASONS = ('NEW', 'CONTENT', 'DRIFT', 'GENERATION')
ITEM_DTYPE = np.dtype(c.Item)
SID_DTYPE = np.dtype(c.Sid)
_NEIGHBOURS_MAX = 256
_KEY_BYTES = 1024


class Item(NamedTuple):
    """What a view knows of an item."""
    position: int  #: of its rows in all tables that are keyed by items
    codes: Optional[Codes]  #: None: no SID yet
    previous: Optional[Codes]
    reason: Optional[str]  #: of the last change: NEW, CONTENT, DRIFT, GENERATION
    generation: int
    codebook_version: int
    quantisation_error: float  #: when the SID was assigned
    exposures: float
    clicks: float
    epoch: int  #: of the last change
    event_time_ms: int
    first_exposed_ms: Optional[int]


class Epoch(NamedTuple):
    """Facts of a view's epoch."""
    epoch: int
    timestamp_ms: int  #: event time: the largest timestamp of the inputs so far
    watermark_ms: int
    generation: int
    codebook_version: int  #: 0: there are no codebooks yet
    items: int  #: with a SID


class Encoded(NamedTuple):
    codes: np.ndarray  #: uint16 [n, 5]
    z: np.ndarray  #: float32 [n, z_dims]
    error: np.ndarray  #: float32 [n]: what the codes leave over, squared


def encode_id(item: Id) -> bytes:
    return item if isinstance(item, bytes) else item.encode('utf-8', 'surrogateescape')


def decode_id(item: bytes) -> str:
    return item.decode('utf-8', 'surrogateescape')


def _item_of(found: c.Item) -> Item:
    has_sid = bool(found.has_sid)
    return Item(found.position, tuple(found.codes) if has_sid else None, tuple(found.previous) if found.has_previous else None,
                REASONS[found.reason & 3] if has_sid else None, found.generation, found.codebook_version, found.quantisation_error,
                found.exposures, found.clicks, found.epoch, found.event_time_ms,
                None if found.first_exposed_ms < 0 else found.first_exposed_ms)


def _positions(values: Any) -> np.ndarray:
    """uint32, contiguous; InvalidError for what is no position."""
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.uint32)
    if array.dtype.kind not in 'iu' or array.ndim != 1 or int(array.min()) < 0 or int(array.max()) > 0xffffffff:
        raise InvalidError('positions are a list of whole numbers from 0 to 2**32 - 1')
    return np.ascontiguousarray(array, np.uint32)


class View:
    """The state after one epoch; from Follower.view(), as a context manager. Any number of threads may use one view.

    Arrays that it hands out stay valid for as long as they are held, also after close(); the library keeps the view open for them.
    Once the view's epoch has left memory, everything but those arrays raises StaleError.
    """

    def __init__(self, follower: 'Follower', handle: c.Handle) -> None:
        self._follower, self._handle = follower, handle

    def __enter__(self) -> 'View':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Gives the view back, at once or when the last array over its memory goes."""
        self._handle = None  # type: ignore[assignment]

    @property
    def _open(self) -> c.Handle:
        """The handle, which a call that it is given to holds, whoever closes the view meanwhile."""
        handle = self._handle
        if handle is None:
            raise InvalidError('the view is closed')
        return handle

    # ---- the epoch ----

    @property
    def epoch(self) -> int:
        return int(c.lib.cs_view_epoch(self._open))

    @property
    def stale(self) -> bool:
        """Whether its epoch has left memory."""
        return bool(c.lib.cs_view_check(self._open) == STALE)

    def facts(self) -> Epoch:
        found = c.Epoch()
        c.lib.cs_view_facts(self._open, found, ctypes.sizeof(found))
        return Epoch(*(getattr(found, name) for name in Epoch._fields))

    # ---- items ----

    def item(self, item: Id) -> Item:
        """Raises AbsentError (a KeyError) where there is none."""
        key, found, error = encode_id(item), c.Item(), c.Error()
        c.check(c.lib.cs_view_item(self._open, key, len(key), found, ctypes.sizeof(found), error), error)
        return _item_of(found)

    def get(self, item: Id) -> Optional[Item]:
        """The item, or None."""
        try:
            return self.item(item)
        except AbsentError:
            return None

    def __contains__(self, item: Id) -> bool:
        return self.get(item) is not None

    def items(self, items: Sequence[Id]) -> Tuple[np.ndarray, np.ndarray]:
        """Many at once, several times as fast as one by one.

        Returns (rows, found): rows [n] of ITEM_DTYPE (position, has_sid, codes [5], exposures, ...; zero where absent), found [n] bool.
        """
        keys = [encode_id(item) for item in items]
        rows, found, error = np.zeros(len(keys), ITEM_DTYPE), np.zeros(len(keys), np.uint8), c.Error()
        pointers = (ctypes.c_char_p * len(keys))(*keys)
        lengths = np.array([len(key) for key in keys], np.uintp)
        c.check(c.lib.cs_view_items(self._open, len(keys), pointers, lengths.ctypes.data, rows.ctypes.data, ITEM_DTYPE.itemsize,
                                    found.ctypes.data, error), error)
        return rows, found.view(bool)

    def ids(self, positions: Optional[Sequence[int]] = None) -> List[Optional[str]]:
        """Ids of the items at these positions; None where there is no item with a SID. Without `positions`: of all, by position."""
        if positions is None:
            positions = range(len(self.table('sid')))
        return [self._id(int(position)) for position in positions]

    def _id(self, position: int) -> Optional[str]:
        key = self.key('sid', position)
        return None if key is None else decode_id(key)

    def prefix(self, codes: Sequence[int]) -> np.ndarray:
        """Positions (uint32) of the items whose SID begins with these 1 .. 5 codes, of the view's generation."""
        depth, found = len(codes), ctypes.c_uint32()
        if not 1 <= depth <= c.CODES or not all(0 <= int(code) < 65536 for code in codes):
            raise InvalidError(f'a prefix has 1 to {c.CODES} codes from 0 to 65535, not {list(codes)}')
        words = (ctypes.c_uint16 * c.CODES)(*codes)
        out = np.zeros(self._follower.table('sid').rows_max, np.uint32)
        c.check(c.lib.cs_view_prefix(self._open, words, depth, out.ctypes.data, len(out), found), what='prefix')
        return out[:found.value].copy()

    def neighbours(self, item: Union[Id, int], count: int = 10) -> np.ndarray:
        """Positions (uint32) of the items that share the most leading codes with this one (an id or a position), the nearest by z first
        among equals; not itself; 256 at most. AbsentError: there is no such item, or it has no SID."""
        position = _positions([item])[0] if isinstance(item, (int, np.integer)) else self.item(item).position
        out, found = np.zeros(min(count, _NEIGHBOURS_MAX), np.uint32), ctypes.c_uint32()
        c.check(c.lib.cs_view_neighbours(self._open, int(position), out.ctypes.data, len(out), found),
                what=f'neighbours of {item!r}')
        return out[:found.value]

    # ---- tables ----

    def table(self, name: str) -> np.ndarray:
        """A whole table [rows, columns], row i that of position i; rows that are not there are zero (see live()).

        float32, or SID_DTYPE [rows] for "sid". Read-only and not copied: the library's own array, made by the first call for the view and
        shared. It stays valid while it is held. AbsentError: there is no such table.
        """
        return self._dense(name)[0]

    def live(self, name: str) -> np.ndarray:
        """bool [rows]: where the table has a row. Read-only, not copied."""
        return self._dense(name)[1]

    def _dense(self, name: str) -> Tuple[np.ndarray, np.ndarray]:
        number, about = self._follower.table_number(name), self._follower.table(name)
        data, live, rows, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint32(), c.Error()
        handle = self._open
        c.check(c.lib.cs_view_dense(handle, number, data, live, rows, error), error)
        dtype = SID_DTYPE if about.columns == 0 else np.dtype(np.float32)
        shape = (rows.value,) if about.columns == 0 else (rows.value, about.columns)
        if rows.value == 0:
            return np.zeros(shape, dtype), np.zeros(0, bool)
        array = np.asarray(c.Memory(data.value or 0, rows.value * about.row_bytes, handle))
        flags = np.asarray(c.Memory(live.value or 0, rows.value, handle))
        return array.view(dtype).reshape(shape), flags.view(bool)

    def rows(self, name: str, positions: Any) -> Tuple[np.ndarray, np.ndarray]:
        """(rows, found): copies of the rows [n, columns] at these positions, zero where absent; found [n] bool."""
        number, about, at = self._follower.table_number(name), self._follower.table(name), _positions(positions)
        dtype = SID_DTYPE if about.columns == 0 else np.dtype(np.float32)
        out = np.zeros((len(at),) if about.columns == 0 else (len(at), about.columns), dtype)
        found = np.zeros(len(at), np.uint8)
        c.check(c.lib.cs_view_rows(self._open, number, len(at), at.ctypes.data, out.ctypes.data, out.nbytes, found.ctypes.data),
                what=f'rows of {name}')
        return out, found.view(bool)

    def find(self, name: str, key: Union[Id, int]) -> int:
        """Position of the row with this key: an item's id, or the number of a numbered row. AbsentError."""
        number, position = self._follower.table_number(name), ctypes.c_uint32()
        word = int(key).to_bytes(8, 'big') if isinstance(key, (int, np.integer)) else encode_id(key)
        c.check(c.lib.cs_view_find(self._open, number, word, len(word), position), what=f'{name}: {key!r}')
        return position.value

    def key(self, name: str, position: int) -> Optional[bytes]:
        """Key of the row at a position: an item's id, or 8 bytes, big end first. None: there is no row."""
        out, length = ctypes.create_string_buffer(_KEY_BYTES), ctypes.c_size_t()
        status = c.lib.cs_view_key(self._open, self._follower.table_number(name), int(_positions([position])[0]), out, _KEY_BYTES, length)
        if status == ABSENT:
            return None
        c.check(status, what=f'key of {name} {position}')
        return out.raw[:length.value]

    def code_row(self, item: Union[Item, Id, np.void], name: str) -> int:
        """Position of an item's code row in E1 E2 E3 O1 O2 A1 A2 A3; the item as an Item, an id, or a row of table("sid").
        AbsentError: it has no SID, or the ranker has no such table."""
        if isinstance(item, np.void):
            codes, generation = item['codes'].tolist(), int(item['generation'])
        else:
            about = item if isinstance(item, Item) else self.item(item)
            codes, generation = about.codes, about.generation
        if codes is None:
            raise AbsentError('the item has no SID')
        raw = c.Item(has_sid=1, codes=tuple(codes), generation=generation)
        position = ctypes.c_uint32()
        c.check(c.lib.cs_view_code_row(self._open, raw, name.encode(), position), what=f'code row of {name}')
        return position.value

    def changes(self, name: str) -> Optional[np.ndarray]:
        """Positions (uint32) of the table's rows that this epoch changed: new, other value, gone. None: not known, because the epoch is the
        first after catching up: anything may have changed."""
        number, found, size = self._follower.table_number(name), ctypes.c_uint32(), 1024
        while True:
            out = np.zeros(size, np.uint32)
            status = c.lib.cs_view_changes(self._open, number, out.ctypes.data, size, found)
            if status == ABSENT:
                return None
            c.check(status, what=f'changes of {name}')
            if found.value <= size:
                return out[:found.value].copy()
            size = found.value

    def as_torch(self, name: str) -> Any:
        """The table as a torch tensor over the same memory. It is not to be written to: everybody who uses this view would see it.
        ImportError where torch is absent."""
        try:
            import torch  # type: ignore[import-not-found, unused-ignore]
        except ImportError as missing:
            raise ImportError('as_torch() needs torch, which is not installed: pip install torch') from missing
        array = self.table(name)
        if array.dtype != np.float32:
            raise InvalidError(f'{name} has no plain numbers; its codes: torch.from_numpy(view.table("sid")["codes"].astype("int32"))')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # that the array is read-only: so it says above
            return torch.from_numpy(array)

    # ---- encoding, scoring, export ----

    def encoder(self) -> 'Encoder':
        """The view's codebooks, in memory of their own: the encoder outlives the view. AbsentError: there are none yet."""
        return Encoder(c.open_handle(c.lib.cs_encoder_open, c.lib.cs_encoder_close, None, self._open))

    def scorer(self) -> 'Scorer':
        """The published ranker as of this view."""
        return Scorer(c.open_handle(c.lib.cs_scorer_open, c.lib.cs_scorer_close, self._handle, self._open))

    def export(self, folder: Union[str, 'os.PathLike[str]']) -> None:
        """Writes tables.safetensors and items.csv into the folder: the same bytes as `coldstream follow --export`."""
        from .export import export
        export(self, os.fspath(folder))


class Encoder:
    """Content vectors to codes with the stage's own code, so its bits. One thread at a time is inside; others wait."""

    def __init__(self, handle: c.Handle) -> None:
        self._handle, self._lock = handle, threading.Lock()
        self.content_dims: int = c.lib.cs_encoder_content_dims(handle.pointer)
        self.z_dims: int = c.lib.cs_encoder_z_dims(handle.pointer)

    def encode(self, vectors: Any) -> Encoded:
        """vectors [n, content_dims] as in item-content (NaN for a modality that is missing) -> codes, z, error. InvalidError: another shape,
        or an infinity."""
        array = np.ascontiguousarray(vectors, np.float32)
        if array.ndim != 2 or array.shape[1] != self.content_dims:
            raise InvalidError(f'vectors have the shape [n, {self.content_dims}], not {list(array.shape)}')
        n, error = len(array), c.Error()
        out = Encoded(np.zeros((n, c.CODES), np.uint16), np.zeros((n, self.z_dims), np.float32), np.zeros(n, np.float32))
        with self._lock:
            c.check(c.lib.cs_encode(self._handle, n, array.ctypes.data, *(part.ctypes.data for part in out), error), error)
        return out


class Scorer:
    """The published ranker: the stage's own forward pass. One thread at a time is inside; for more at once, one scorer for each."""

    def __init__(self, handle: c.Handle) -> None:
        self._handle, self._lock = handle, threading.Lock()

    def score(self, candidates: Any, history: Any = (), clicks: int = 0, now_ms: int = 0) -> np.ndarray:
        """Logits (float32 [n]) of candidates [n] for one user; a click's probability is 1 / (1 + exp(-logit)).

        candidates, history: positions (Item.position); history newest first, as many as model.history count. clicks: how often the user has
        clicked in all. now_ms: event time, for the items' ages. NaN where a candidate's position has no item. StaleError: open a new view.
        """
        what, recent, error = _positions(candidates), _positions(history), c.Error()
        user = c.User(recent.ctypes.data if len(recent) else None, len(recent), 0, clicks)
        out = np.zeros(len(what), np.float32)
        with self._lock:
            c.check(c.lib.cs_score(self._handle, user, ctypes.sizeof(user), now_ms, len(what), what.ctypes.data,
                                   out.ctypes.data, error), error)
        return out
