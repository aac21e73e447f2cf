#!/usr/bin/env python3
"""Writes the seeds of fuzz_codec and fuzz_recording beside it (needs fastavro): python3 make_wire.py. What it writes is
committed, so a build does not need Python; run it again after a schema changed."""
import io
import json
import pathlib
import struct

import fastavro

HERE = pathlib.Path(__file__).parent
SCHEMAS = HERE.parent.parent.parent / "schemas"
TOPICS = ["item-content", "interactions", "semantic-ids", "ranker-deltas", "changelog", "codebooks", "epochs", "dead-letter"]
IDS = {"interactions-value": 1, "item-content-value": 2, "semantic-ids-value": 3, "row-key": 4, "row-value": 5,
       "codebooks-key": 6, "codebooks-value": 7, "epochs-key": 8, "epochs-value": 9}


def save(folder, name, content):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(content)


def schema(name):
    return fastavro.parse_schema(json.loads((SCHEMAS / f"{name}.avsc").read_text()))


def encode(name, value):
    out = io.BytesIO()
    out.write(b"\0" + struct.pack(">i", IDS[name]))
    fastavro.schemaless_writer(out, schema(name), value)
    return out.getvalue()


def record(topic, key, value):
    return bytes([TOPICS.index(topic)]) + struct.pack("<H", len(key)) + key + value


def codec():
    click = {"user_id": "u1", "item_id": "i1", "event_time": 1700000000000, "action": "CLICK", "label": 1.0,
             "request_id": "r", "position": 3, "context": {"device": "phone", "page": "home"}}
    bare = {"user_id": "u1", "item_id": "i1", "event_time": 1, "action": "IMPRESSION"}
    item = {"item_id": "i1", "event_time": 5, "text": "a lamp", "attributes": {"brand": "x"},
            "modalities": [{"name": "text", "vector": [0.5, -1.0, 2.0]}, {"name": "image", "vector": []}]}
    sid = {"item_id": "i1", "codes": [1, 2, 3, 4, 5], "generation": 1, "codebook_version": 2, "epoch": 3,
           "assigned_epoch": 2, "previous": [5, 4, 3, 2, 1], "reason": "DRIFT", "quantisation_error": 0.5,
           "event_time": 9, "position": 7, "version": 2}
    row = {"position": 1, "version": 2, "epoch": 3, "generation": 1, "value": bytes(range(64))}
    book = {"position": 1, "version": 2, "epoch": 3, "generation": 1, "vector": [1.0] * 16}
    epoch = {"epoch": 3, "kind": "CLICK", "timestamp": 1, "watermark": 2, "generation": 1, "codebook_version": 1,
             "counts": {"events": 1, "applied": 1, "dead_letters": 0, "parked": -1, "labelled": 1, "rows": 5},
             "inputs": [{"topic": "interactions", "partition": 0, "first_offset": 0, "last_offset": 9, "count": 10, "hash": -5}],
             "ends": [{"topic": "epochs", "partition": 0, "end_offset": 3}],
             "tables": [{"name": "items", "digest": bytes(16), "rows": 4}], "batches": [512, 3], "state": bytes(range(16)),
             "build": "0.1.0", "blas_core": "Haswell", "config_hash": 77, "config": "seed: 1\n"}
    save("codec", "click", record("interactions", b"u1", encode("interactions-value", click)))
    save("codec", "impression", record("interactions", b"", encode("interactions-value", bare)))
    save("codec", "item", record("item-content", b"i1", encode("item-content-value", item)))
    save("codec", "sid", record("semantic-ids", b"i1", encode("semantic-ids-value", sid)))
    save("codec", "row", record("ranker-deltas", encode("row-key", {"table": "e1", "key": b"i1"}), encode("row-value", row)))
    save("codec", "gone", record("changelog", encode("row-key", {"table": "users", "key": b"u1"}), b""))
    key = encode("codebooks-key", {"generation": 1, "level": 2, "code": 3})
    save("codec", "book", record("codebooks", key, encode("codebooks-value", book)))
    save("codec", "epoch", record("epochs", encode("epochs-key", {"epoch": 3}), encode("epochs-value", epoch)))
    newer = (b"\0" + struct.pack(">i", 71)      # the second writer of fuzz_codec.c
             + b"\2\2k\2\2a\0\0" + b"\6\0" + b"\2" + b"\2\2\0\0\0" + b"\0\2" + b"\4i1" + b"\4u1" + b"\x0a")
    save("codec", "newer", record("interactions", b"u1", newer))
    for name in ("interactions-value", "item-content-value"):
        save("codec", f"schema-{name}", b"\xff" + (SCHEMAS / f"{name}.avsc").read_bytes())


def recording():
    records = [{"offset": i + i // 7, "timestamp": 1000 + i, "key": b"k%d" % i if i % 5 else None,
                "value": bytes([i]) * i if i % 6 else None, "headers": {"h": b"v"} if i % 4 == 0 else {}}
               for i in range(60)]
    small = {"type": "record", "name": "Record", "namespace": "coldstream.recording", "fields": [
        {"name": "value", "type": ["bytes", "null"]}, {"name": "offset", "type": "int"}, {"name": "timestamp", "type": "long"},
        {"name": "note", "type": {"type": "map", "values": "string"}}]}
    foreign = [{"value": r["value"], "offset": r["offset"], "timestamp": r["timestamp"], "note": {"a": "b"}} for r in records]
    for name, form, content, codec_name in (("null", schema("recording"), records, "null"),
                                            ("deflate", schema("recording"), records, "deflate"),
                                            ("foreign", small, foreign, "null")):
        out = io.BytesIO()
        fastavro.writer(out, form, content, codec=codec_name, sync_interval=150, sync_marker=b"0123456789abcdef")
        save("recording", name, out.getvalue())
    repeated = io.BytesIO()
    fastavro.writer(repeated, schema("recording"), records[:9] + records[4:], sync_interval=150, sync_marker=b"0123456789abcdef")
    save("recording", "repeated", repeated.getvalue())
    save("recording", "yaml", b"""recording: 1
synthetic: false
partitions:
- {topic: interactions, partition: 0, file: interactions-0.avro, records: 60, first_timestamp_ms: 1, last_timestamp_ms: 2}
schemas:
- id: 1
  subject: interactions-value
  schema: |-
    {"type": "string"}
""")


codec()
recording()
