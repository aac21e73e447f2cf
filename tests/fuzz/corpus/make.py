#!/usr/bin/env python3
"""Writes the binary seeds of the fuzz corpora beside it: python3 make.py. What it writes is committed, so a build does
not need Python; run it again after a format changed."""
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent


def save(folder, name, content):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(content)


def table():
    """fuzz_table.c: a step is >= 16, table, choice (0-3 insert, 4-5 edit, 6-7 remove), key or position, place, byte;
    an epoch's end is < 16, choice (0 rollback, 1 rollback after seal, else commit)."""
    def insert(t, key):
        return bytes([16, t, 0, key, 1, key])

    def edit(t, row):
        return bytes([16, t, 4, row, 2, 3])

    def remove(t, row):
        return bytes([16, t, 6, row])

    commit, rollback, late_rollback = bytes([0, 2]), bytes([0, 0]), bytes([0, 1])
    ten = b"".join(insert(t, k) for t in (0, 3, 5) for k in range(10))
    children = b"".join(insert(t, k) for t in (1, 2, 4, 6) for k in range(10))
    save("table", "swap", ten + children + commit + remove(0, 0) + remove(0, 1) + insert(0, 1) + insert(0, 0) + commit)
    save("table", "rollbacks", ten + commit + children + remove(0, 3) + edit(3, 4) + rollback + remove(5, 2) + edit(1, 1)
         + late_rollback + commit)
    full = b"".join(insert(0, k) for k in range(75))
    save("table", "full", full + commit + remove(0, 69) + remove(0, 5) + insert(0, 80) + insert(0, 81) + insert(0, 82) + commit)
    rng = random.Random(1)
    save("table", "long", bytes(rng.randrange(256) for _ in range(300)))


def snapshot():
    """fuzz_snapshot.c signs what it is given, so the digests of blocks are zeros here; those of tables cannot be, but for
    empty tables (model/snapshot_private.h has the format)."""
    def block(kind, payload):
        return struct.pack("<II", kind, len(payload)) + payload + bytes(16)

    def head(name, kind, rows):
        return block(2, name.encode().ljust(32, b"\0") + struct.pack("<III", kind, 4, rows) + bytes(16))

    def row(position, key, version=1):
        return struct.pack("<IIQ", position, len(key), version) + key + b"\1\2\3\4"

    start = block(1, b"coldsnap" + struct.pack("<II", 1, 4) + b"note")
    names = (("items", 0), ("child", 3), ("numbers", 1), ("dense", 2))
    save("snapshot", "empty", start + b"".join(head(name, kind, 0) for name, kind in names) + block(4, b""))
    save("snapshot", "items", start + head("items", 0, 2) + block(3, row(0, b"a") + row(7, b"twenty bytes, no more")))
    save("snapshot", "one-key-twice", start + head("items", 0, 2) + block(3, row(0, b"a") + row(1, b"a")))
    save("snapshot", "two-blocks", start + head("items", 0, 3) + block(3, row(0, b"a")) + block(3, row(1, b"b") + row(69, b"c")))
    for name, kind in names[1:]:
        others = b"".join(head(n, k, 0) for n, k in names[: names.index((name, kind))])
        key = bytes(8) if kind == 1 else b""
        save("snapshot", name, start + others + head(name, kind, 1) + block(3, row(3, key)))


if __name__ == "__main__":
    table()
    snapshot()
