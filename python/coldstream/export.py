"""A view's tables as safetensors and CSV, the same bytes as `coldstream follow --export` writes."""
from __future__ import annotations

import csv, json, os
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple

import numpy as np

from .errors import StaleError

if TYPE_CHECKING:
    from .view import View

_TYPES = {'float32': 'F32', 'int32': 'I32', 'int64': 'I64'}
_COLUMNS = ['item', 'position', 'c1', 'c2', 'c3', 'o1', 'o2', 'generation', 'codebook_version', 'reason', 'epoch', 'event_time_ms',
            'exposures', 'clicks']


def _sids(view: 'View') -> Iterator[Tuple[str, np.ndarray]]:
    """Codes are -1, and generations 0, where there is none."""
    rows, live = view.table('sid'), view.live('sid')
    yield 'sid.codes', np.where(live[:, None], rows['codes'].astype(np.int32), np.int32(-1))
    yield 'sid.generation', rows['generation'].astype(np.int32)[:, None]


def _keys(view: 'View', name: str) -> np.ndarray:
    """Numbers of a numbered table's rows; -1 where there is none."""
    keys = [view.key(name, row) for row in range(len(view.table(name)))]
    return np.array([-1 if key is None else int.from_bytes(key, 'big', signed=True) for key in keys], np.int64).reshape(-1, 1)


def tensors(view: 'View') -> Iterator[Tuple[str, np.ndarray]]:
    """(name, array [rows, columns]) of everything that is exported."""
    for about in view._follower.tables():
        if about.columns == 0:
            yield from _sids(view)
            continue
        if about.key == 'number':
            yield about.name + '.keys', _keys(view, about.name)
        yield about.name, view.table(about.name)


def _write_tensors(view: 'View', path: str) -> None:
    """safetensors: eight bytes of length, a JSON header, the data."""
    facts, at = view.facts(), 0
    header: Dict[str, Any] = {'__metadata__': {'format': 'coldstream', 'epoch': str(facts.epoch), 'generation': str(facts.generation)}}
    arrays = list(tensors(view))
    for name, array in arrays:
        header[name] = {'dtype': _TYPES[array.dtype.name], 'shape': list(array.shape), 'data_offsets': [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)  # so that the data is aligned
    with open(path, 'wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for _, array in arrays:
            file.write(np.ascontiguousarray(array).tobytes())


def _lines(view: 'View') -> Iterator[List[Any]]:
    from .view import REASONS
    for position in np.flatnonzero(view.live('sid')):
        name = view._id(int(position))
        item = view.item(name) if name is not None else None
        if item is None or item.codes is None:
            raise StaleError('the view changed under the export')
        yield [name, item.position, *item.codes, item.generation, item.codebook_version, item.reason or REASONS[0], item.epoch,
               item.event_time_ms, '%.9g' % item.exposures, '%.9g' % item.clicks]


def _write_items(view: 'View', path: str) -> None:
    with open(path, 'w', newline='', encoding='utf-8', errors='surrogateescape') as file:
        out = csv.writer(file, lineterminator='\n')
        out.writerow(_COLUMNS)
        out.writerows(_lines(view))


def export(view: 'View', folder: str) -> None:
    """Each file is whole or not there: it is written beside its place and renamed."""
    os.makedirs(folder, exist_ok=True)
    for name, write in (('tables.safetensors', _write_tensors), ('items.csv', _write_items)):
        path = os.path.join(folder, name)
        try:
            write(view, path + '.part')
            os.replace(path + '.part', path)
        finally:
            if os.path.exists(path + '.part'):
                os.remove(path + '.part')
