"""Errors by kind. Each has `status` (enum cs_status), `exit_code` (sysexits.h) and a text that says what, where and the remedy."""
from __future__ import annotations

from typing import Dict, Type

OK, ABSENT, AGAIN, STALE, END, INVALID, CONFIG, DATA, UNAVAILABLE, NO_MEMORY, INTERNAL, TOO_SMALL = range(12)


class ColdstreamError(Exception):
    """All errors of the library. `status`: which of cs_status; `exit_code`: for a program that ends with it."""
    status = INTERNAL

    def __init__(self, text: str, exit_code: int = 70) -> None:
        super().__init__(text)
        self.exit_code = exit_code

    def __str__(self) -> str:  # KeyError would quote it
        return str(self.args[0])


class LibraryNotFound(ColdstreamError):
    """libcoldstream is not there, or is not one that this package can work with."""


class AbsentError(ColdstreamError, KeyError):
    """No such item, row, table or epoch."""
    status = ABSENT


class AgainError(ColdstreamError, TimeoutError):
    """Not now: the time is up, or nothing is whole yet. Call again."""
    status = AGAIN


class StaleError(ColdstreamError):
    """The view's epoch has left memory. Open a new view; if it happens often, give the follower more `undo_bytes`."""
    status = STALE


class EndOfRecording(ColdstreamError):
    """The recording has no more epochs."""
    status = END


class InvalidError(ColdstreamError, ValueError):
    """An argument cannot be right."""
    status = INVALID


class ConfigError(ColdstreamError):
    """Configuration or rights; or the stage's own sizes have changed: open a new follower."""
    status = CONFIG


class DataError(ColdstreamError):
    """The log does not fold to what its manifests say, also when folded anew."""
    status = DATA


class UnavailableError(ColdstreamError, ConnectionError):
    """No input, or the broker cannot be reached."""
    status = UNAVAILABLE


class OutOfMemory(ColdstreamError, MemoryError):
    status = NO_MEMORY


_KINDS: Dict[int, Type[ColdstreamError]] = {
    kind.status: kind for kind in (AbsentError, AgainError, StaleError, EndOfRecording, InvalidError, ConfigError, DataError,
                                   UnavailableError, OutOfMemory)}


def error_of(status: int, text: str, exit_code: int = 70) -> ColdstreamError:
    """The exception for a status of the library."""
    return _KINDS.get(status, ColdstreamError)(text, exit_code)
