"""libcoldstream through ctypes: where it is, what it declares (include/coldstream/coldstream.h), who owns what."""
from __future__ import annotations

import ctypes, os, subprocess
from ctypes import POINTER, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any, Callable, Iterator, Optional

from .errors import LibraryNotFound, OK, error_of

SONAME = 'libcoldstream.so.0'
VERSION_NEEDED = (0, 1)  # major, and the first minor that has all that is called here
CODES = 5
LATEST = 2**64 - 1
NO_TABLE = 2**32 - 1


class Error(ctypes.Structure):
    _fields_ = [('status', c_int), ('exit_code', c_int), ('text', c_char * 512)]


class Stats(ctypes.Structure):
    _fields_ = [('epoch', c_uint64), ('newest_epoch', c_uint64), ('oldest_epoch', c_uint64), ('progress', c_double),
                *((name, c_uint64) for name in ('rows', 'epochs', 'resyncs', 'gaps', 'repeats', 'bad_rows', 'bad_digests',
                                                'memory_bytes', 'row_bytes'))]


class Model(ctypes.Structure):
    _fields_ = [('variant', c_char_p), ('content_dims', c_uint32), ('z_dims', c_uint32), ('books', c_uint32 * CODES), ('width', c_uint32),
                ('history', c_uint32), ('hidden', c_uint32 * 2), ('gate_hidden', c_uint32), ('opq_share', c_float), ('cross', c_uint32),
                ('reserved', c_uint32)]


class Table(ctypes.Structure):
    _fields_ = [('name', c_char_p), ('topic', c_char_p), ('key', c_uint32), ('row_bytes', c_uint32), ('columns', c_uint32),
                ('rows_max', c_uint32)]


class Epoch(ctypes.Structure):
    _fields_ = [('epoch', c_uint64), ('timestamp_ms', c_int64), ('watermark_ms', c_int64), ('generation', c_uint32),
                ('codebook_version', c_uint32), ('items', c_uint64)]


class Item(ctypes.Structure):
    _fields_ = [('position', c_uint32), ('has_sid', c_uint32), ('codes', c_uint16 * CODES), ('previous', c_uint16 * CODES),
                ('has_previous', c_uint32), ('reason', c_uint32), ('generation', c_uint32), ('codebook_version', c_uint32),
                ('quantisation_error', c_float), ('exposures', c_float), ('clicks', c_float), ('epoch', c_uint64),
                ('event_time_ms', c_int64), ('first_exposed_ms', c_int64)]


class Sid(ctypes.Structure):
    _fields_ = [('codes', c_uint16 * CODES), ('previous', c_uint16 * CODES), ('reason', c_uint16), ('has_previous', c_uint16),
                ('generation', c_uint32), ('codebook_version', c_uint32), ('quantisation_error', c_float), ('reserved', c_uint32),
                ('epoch', c_uint64), ('event_time_ms', c_int64)]


class User(ctypes.Structure):
    _fields_ = [('history', c_void_p), ('history_length', c_uint32), ('reserved', c_uint32), ('clicks', c_uint64)]


_error = POINTER(Error)
_handle = POINTER(c_void_p)
_number = POINTER(c_uint32)
# Arrays go as addresses (c_void_p): NumPy's `ctypes.data`.
_functions = {
    'cs_version': (c_char_p,), 'cs_status_name': (c_char_p, c_int),
    'cs_options_new': (c_void_p,), 'cs_options_free': (None, c_void_p), 'cs_options_read': (c_int, c_void_p, c_char_p, _error),
    'cs_options_set': (c_int, c_void_p, c_char_p, c_char_p, _error),
    'cs_open_recording': (c_int, _handle, c_char_p, c_void_p, _error), 'cs_open_kafka': (c_int, _handle, c_void_p, _error),
    'cs_close': (None, c_void_p), 'cs_step': (c_int, c_void_p, c_int, _error), 'cs_start': (c_int, c_void_p, _error),
    'cs_stop': (c_int, c_void_p, _error), 'cs_wait': (c_int, c_void_p, c_uint64, c_int, _error),
    'cs_follower_stats': (None, c_void_p, POINTER(Stats), c_size_t),
    'cs_follower_model': (None, c_void_p, POINTER(Model), c_size_t),
    'cs_table_count': (c_uint32, c_void_p), 'cs_table_at': (c_int, c_void_p, c_uint32, POINTER(Table), c_size_t),
    'cs_view_open': (c_int, c_void_p, _handle, _error), 'cs_view_open_at': (c_int, c_void_p, c_uint64, _handle, _error),
    'cs_view_close': (None, c_void_p), 'cs_view_epoch': (c_uint64, c_void_p), 'cs_view_check': (c_int, c_void_p),
    'cs_view_facts': (c_int, c_void_p, POINTER(Epoch), c_size_t),
    'cs_view_item': (c_int, c_void_p, c_char_p, c_size_t, POINTER(Item), c_size_t, _error),
    'cs_view_items': (c_int, c_void_p, c_uint32, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, _error),
    'cs_view_find': (c_int, c_void_p, c_uint32, c_char_p, c_size_t, _number),
    'cs_view_row': (c_int, c_void_p, c_uint32, c_uint32, c_void_p, c_size_t),
    'cs_view_rows': (c_int, c_void_p, c_uint32, c_uint32, c_void_p, c_void_p, c_size_t, c_void_p),
    'cs_view_key': (c_int, c_void_p, c_uint32, c_uint32, c_void_p, c_size_t, POINTER(c_size_t)),
    'cs_view_code_row': (c_int, c_void_p, POINTER(Item), c_char_p, _number),
    'cs_view_prefix': (c_int, c_void_p, POINTER(c_uint16), c_uint32, c_void_p, c_uint32, _number),
    'cs_view_neighbours': (c_int, c_void_p, c_uint32, c_void_p, c_uint32, _number),
    'cs_view_dense': (c_int, c_void_p, c_uint32, POINTER(c_void_p), POINTER(c_void_p), _number, _error),
    'cs_view_changes': (c_int, c_void_p, c_uint32, c_void_p, c_uint32, _number),
    'cs_encoder_open': (c_int, c_void_p, _handle, _error), 'cs_encoder_close': (None, c_void_p),
    'cs_encoder_content_dims': (c_uint32, c_void_p), 'cs_encoder_z_dims': (c_uint32, c_void_p),
    'cs_encode': (c_int, c_void_p, c_uint32, c_void_p, c_void_p, c_void_p, c_void_p, _error),
    'cs_scorer_open': (c_int, c_void_p, _handle, _error), 'cs_scorer_close': (None, c_void_p),
    'cs_score': (c_int, c_void_p, POINTER(User), c_size_t, c_int64, c_uint32, c_void_p, c_void_p, _error),
}


def _places() -> Iterator[str]:
    """In this order: the environment's, beside this package, the system's, pkg-config's."""
    named = os.environ.get('COLDSTREAM_LIBRARY')
    if named:
        yield named
        return
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), SONAME)
    if os.path.exists(beside):
        yield beside
    yield SONAME
    try:
        asked = subprocess.run(['pkg-config', '--variable=libdir', 'coldstream'], capture_output=True, text=True)
    except OSError:
        return
    if asked.returncode == 0:
        yield os.path.join(asked.stdout.strip(), SONAME)


def _open() -> ctypes.CDLL:
    tried = []
    for place in _places():
        try:
            return ctypes.CDLL(place)
        except OSError as problem:
            tried.append(str(problem))
    raise LibraryNotFound(
        'libcoldstream is not to be had (' + '; '.join(tried) + '). Build and install it (make && make install, then ldconfig), '
        f'or let COLDSTREAM_LIBRARY name it: COLDSTREAM_LIBRARY=/where/it/is/{SONAME}', 69)


def _check_version(found: ctypes.CDLL) -> None:
    """Within a major version minor ones only add: an older one lacks something, another major one has another shape."""
    try:
        found.cs_version.restype = c_char_p
        text = found.cs_version().decode()
    except AttributeError:
        raise LibraryNotFound(f'{found._name} is no libcoldstream: it has no cs_version()', 69) from None
    version = tuple(int(part) for part in text.split('.')[:2])
    if version[0] != VERSION_NEEDED[0] or version < VERSION_NEEDED:
        raise LibraryNotFound('{} is version {}, and this package needs {}.{} or a newer {}.x: install the two of one release'.format(
            found._name, text, *VERSION_NEEDED, VERSION_NEEDED[0]), 69)


def load() -> ctypes.CDLL:
    """The library, its version checked and its functions declared. Raises LibraryNotFound with what was tried."""
    found = _open()
    _check_version(found)
    for name, (result, *arguments) in _functions.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


lib = load()


def check(status: int, error: Optional[Error] = None, what: str = '') -> None:
    """Raises what a status is, unless it is OK."""
    if status == OK:
        return
    text = error.text.decode('utf-8', 'replace') if error is not None else ''
    name = lib.cs_status_name(status).decode()
    raise error_of(status, text or (f'{what}: {name}' if what else name), error.exit_code if error is not None else 70)


class Handle:
    """A handle of the library. It is closed when nobody holds it any more (arrays over its memory do), and before its parent.

    Given to a function it is held for as long as the call takes. In garbage with cycles Python ends objects in any order: so each handle knows
    those that were made from it, and is closed after the last of them. (Only calls that no other thread or finalizer can divide: no lock.)
    """
    __slots__ = ('pointer', 'parent', '_close', '_users', '_is_open')

    def __init__(self, pointer: int, close: Callable[[int], Any], parent: Optional['Handle'] = None) -> None:
        self.pointer, self.parent, self._close = pointer, parent, close
        self._users, self._is_open = {id(self)}, [True]
        if parent is not None:
            parent._users.add(id(self))

    @property
    def _as_parameter_(self) -> c_void_p:
        return c_void_p(self.pointer)

    def _leave(self, user: int) -> None:
        self._users.discard(user)
        if self._users:
            return
        try:
            self._is_open.pop()
        except IndexError:  # somebody else closes it
            return
        self._close(self.pointer)
        if self.parent is not None:
            self.parent._leave(id(self))

    def __del__(self) -> None:
        self._leave(id(self))


def open_handle(function: Callable[..., int], close: Callable[[int], Any], parent: Optional[Handle], *arguments: Any,
                out_first: bool = False) -> Handle:
    """function(arguments..., &handle, &error), or with the handle first."""
    pointer, error = c_void_p(), Error()
    out = ctypes.byref(pointer)
    check(function(*((out, *arguments) if out_first else (*arguments, out)), ctypes.byref(error)), error)
    assert pointer.value is not None
    return Handle(pointer.value, close, parent)


class Memory:
    """Memory that a handle owns, for NumPy: the array holds this, this holds the handle."""
    __slots__ = ('__array_interface__', 'owner')

    def __init__(self, address: int, count: int, owner: Handle) -> None:
        self.__array_interface__ = {'version': 3, 'typestr': '|u1', 'shape': (count,), 'data': (address, True)}
        self.owner = owner
