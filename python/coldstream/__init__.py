"""Follows what a coldstream stage publishes: semantic IDs, embeddings and a ranker's rows, as NumPy arrays, whole epochs only.

    from coldstream import Follower
    with Follower.kafka('broker:9092').start() as follower:
        follower.wait()
        with follower.view() as view:
            view.item('85123A').codes             # (49, 21, 38, 13, 18)
            view.table('embedding')               # float32 [rows, columns], read-only, not copied

A thin layer over libcoldstream (man 3 libcoldstream), which it looks for where COLDSTREAM_LIBRARY says, beside this package, among the
system's libraries, and where pkg-config says.
"""
from ._library import lib as _lib
from .errors import (AbsentError, AgainError, ColdstreamError, ConfigError, DataError, EndOfRecording, InvalidError, LibraryNotFound,
                     OutOfMemory, StaleError, UnavailableError)
from .follower import Change, Changes, Follower, Model, Stats, Table
from .view import ITEM_DTYPE, SID_DTYPE, Encoded, Encoder, Epoch, Item, Scorer, View

__all__ = ['AbsentError', 'AgainError', 'Change', 'Changes', 'ColdstreamError', 'ConfigError', 'DataError', 'Encoded', 'Encoder',
           'EndOfRecording', 'Epoch', 'Follower', 'ITEM_DTYPE', 'InvalidError', 'Item', 'LibraryNotFound', 'Model', 'OutOfMemory', 'SID_DTYPE',
           'Scorer', 'StaleError', 'Stats', 'Table', 'UnavailableError', 'View', 'library_version']


def library_version() -> str:
    """Of libcoldstream: "0.1.0"."""
    return str(_lib.cs_version().decode())
