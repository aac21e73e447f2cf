#!/usr/bin/env python3
"""An independent judge of the wire: fastavro_check.py RECORDING_TOOL SCRATCH_FOLDER

1. What the stage writes: fastavro reads every file and every record's value (by schemas/*.avsc), and finds what was meant
   and what the stage's own reader finds.
2. What others write: recordings made by fastavro, null and deflate, with schema ids and schemas of their own, are read by
   the stage as they were meant."""
import io
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys

try:
    import fastavro
except ImportError:
    print("fastavro is not installed: pip install fastavro, and -D COLDSTREAM_PYTHON=<its python>")
    sys.exit(77)

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent.parent / "schemas"
SHIPPED = {"item-content": (None, "item-content-value"), "interactions": (None, "interactions-value"),
           "semantic-ids": (None, "semantic-ids-value"), "ranker-deltas": ("row-key", "row-value"),
           "changelog": ("row-key", "row-value"), "codebooks": ("codebooks-key", "codebooks-value"),
           "epochs": ("epochs-key", "epochs-value"), "dead-letter": (None, None)}
IDS = {"interactions-value": 1, "item-content-value": 2, "semantic-ids-value": 3, "row-key": 4, "row-value": 5,
       "codebooks-key": 6, "codebooks-value": 7, "epochs-key": 8, "epochs-value": 9}
ACTIONS = ["IMPRESSION", "CLICK", "CART", "PURCHASE"]
REASONS = ["NEW", "CONTENT", "DRIFT", "GENERATION"]


def plain_times(schema):
    """Without logical types: times stay numbers."""
    if isinstance(schema, dict):
        return {k: plain_times(v) for k, v in schema.items() if k != "logicalType"}
    return [plain_times(s) for s in schema] if isinstance(schema, list) else schema


def load(name):
    return fastavro.parse_schema(plain_times(json.loads((SCHEMAS / f"{name}.avsc").read_text())))


PARSED = {name: load(name) for name in IDS}


def tool(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


def hexed(data):
    return "-" if data is None else "." if len(data) == 0 else data.hex()


def text(value):
    return hexed(None if value is None else value.encode())


def unframed(data, name):
    assert data[0] == 0 and struct.unpack(">i", data[1:5])[0] == IDS[name], data[:5]
    rest = io.BytesIO(data[5:])
    value = fastavro.schemaless_reader(rest, PARSED[name])
    assert rest.read() == b"", "bytes left over"
    return value


def dumped(folder):
    """What the stage reads: (record line, line of what it decoded) in its order."""
    pairs = []
    for line in tool("dump", folder).splitlines():
        if line.startswith("record\t"):
            pairs.append([line, None])
        else:
            pairs[-1][1] = line
    return [tuple(p) for p in pairs]


def record_line(topic, partition, r):
    headers = [f"{k}={v.hex()}" for k, v in r["headers"].items()]
    return "\t".join(["record", topic, str(partition), str(r["offset"]), str(r["timestamp"]), hexed(r["key"]),
                      hexed(r["value"])] + headers)


def number(value):
    return "-" if value is None else "%g" % value


def interaction_line(v):
    return "\t".join(["event", "interaction", text(v["user_id"]), text(v["item_id"]), str(v["event_time"]),
                      str(ACTIONS.index(v["action"])), number(v["label"]), text(v["request_id"]), number(v["position"])])


def listing_line(v):
    vector = [x for m in v["modalities"] for x in m["vector"]]
    return "\t".join(["event", "listing", text(v["item_id"]), str(v["event_time"]), text(v["text"]),
                      hexed(struct.pack(f"<{len(vector)}f", *vector))])


def row_line(table, key, v, value):
    if v is None:
        return "\t".join(["row", table, hexed(key), "-"])
    return "\t".join(["row", table, hexed(key), str(v["position"]), str(v["version"]), str(v["epoch"]),
                      str(v["generation"]), hexed(value)])


def sid_bytes(v):
    """struct sid_row of src/model/ranker.h."""
    previous = v["codes"] if v["previous"] is None else v["previous"]
    return struct.pack("<5H5HHHIIfIQq", *v["codes"], *previous, REASONS.index(v["reason"]), v["previous"] is not None,
                       v["generation"], v["codebook_version"], v["quantisation_error"], 0, v["assigned_epoch"],
                       v["event_time"])


def epoch_line(v):
    parts = ["epoch", v["epoch"], ["CONTENT", "CLICK"].index(v["kind"]), v["timestamp"], v["watermark"], v["generation"],
             v["codebook_version"]]
    parts += [v["counts"][k] for k in ("events", "applied", "dead_letters", "parked", "labelled", "rows")]
    for r in v["inputs"]:
        parts += [r["topic"], r["partition"], r["first_offset"], r["last_offset"], r["count"], r["hash"]]
    for e in v["ends"]:
        parts += [e["topic"], e["partition"], e["end_offset"]]
    for t in v["tables"]:
        parts += [t["name"], t["digest"].hex(), t["rows"]]
    parts += v["batches"] + [v["state"].hex(), v["build"], v["blas_core"], v["config_hash"], text(v["config"])]
    return "\t".join(map(str, parts))


def decoded_line(topic, r):
    key_schema, value_schema = SHIPPED[topic]
    if topic == "dead-letter":
        return None
    key = unframed(r["key"], key_schema) if key_schema else r["key"]
    value = unframed(r["value"], value_schema) if r["value"] is not None else None
    if topic == "interactions":
        assert value["user_id"].encode() == key
        return interaction_line(value)
    if topic == "item-content":
        return "\t".join(["event", "delisting", hexed(key)]) if value is None else listing_line(value)
    if topic == "epochs":
        assert key["epoch"] == value["epoch"]
        return epoch_line(value)
    if topic == "semantic-ids":
        return row_line("sid", key, value, value and sid_bytes(value))
    if topic == "codebooks":
        number_key = struct.pack(">Q", key["generation"] << 40 | key["level"] << 32 | key["code"])
        return row_line("codebooks", number_key, value, value and struct.pack(f"<{len(value['vector'])}f", *value["vector"]))
    return row_line(key["table"], key["key"], value, value and value["value"])


def check_ours(folder, compression):
    shutil.rmtree(folder, ignore_errors=True)
    meant = sorted(tool("write", folder, compression).splitlines())
    ours, values = {}, []
    for record, decoded in dumped(folder):
        _, topic, partition, _ = record.split("\t", 3)
        ours.setdefault((topic, int(partition)), []).append((record, decoded))
    read = 0
    for path in sorted(folder.glob("*.avro")):
        topic, partition = path.stem.rsplit("-", 1)
        with path.open("rb") as file:
            reader = fastavro.reader(file)
            assert reader.metadata["avro.codec"] == compression
            theirs = [(record_line(topic, partition, r), decoded_line(topic, r)) for r in reader]
        assert theirs == ours.get((topic, int(partition)), []), first_difference(theirs, ours[topic, int(partition)])
        values += [line for _, line in theirs if line is not None]
        read += len(theirs)
    assert sorted(values) == meant, first_difference(sorted(values), meant)
    assert read == sum(map(len, ours.values())) and read > 900, read
    return read


def first_difference(theirs, ours):
    for a, b in zip(theirs, ours):
        if a != b:
            return f"\nfastavro {a}\nours     {b}"
    return f"{len(theirs)} records by fastavro, {len(ours)} by ours"


# ---- what others write ----

OTHER_INTERACTION = {"type": "record", "name": "Interaction", "namespace": "shop", "fields": [
    {"name": "session", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
    {"name": "action", "type": {"type": "enum", "name": "Action", "symbols": ["PURCHASE", "SHARE", "CLICK", "IMPRESSION"]}},
    {"name": "label", "type": ["int", "null"]},
    {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "item_id", "type": "string"}, {"name": "user_id", "type": "string"}]}
OTHER_CONTENT = {"type": "record", "name": "ItemContent", "namespace": "shop", "fields": [
    {"name": "item_id", "type": "string"}, {"name": "event_time", "type": "long"},
    {"name": "modalities", "type": {"type": "array", "items": {"type": "record", "name": "Modality", "fields": [
        {"name": "vector", "type": {"type": "array", "items": "float"}}, {"name": "name", "type": "string"},
        {"name": "model", "type": ["null", "string"]}]}}}]}
OTHER_RECORD = {"type": "record", "name": "Record", "fields": [
    {"name": "timestamp", "type": "long"}, {"name": "value", "type": ["bytes", "null"]}, {"name": "key", "type": "bytes"},
    {"name": "producer", "type": "string"}, {"name": "offset", "type": "int"}]}


def framed(schema, schema_id, value):
    out = io.BytesIO()
    out.write(b"\0" + struct.pack(">i", schema_id))
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def other_interactions(rng, partition):
    schema = fastavro.parse_schema(OTHER_INTERACTION)
    for i in range(300):
        action = rng.choice(["PURCHASE", "SHARE", "CLICK", "IMPRESSION"])
        v = {"session": {"a": [1, 2], "b": []} if i % 2 else {}, "action": action, "label": rng.choice([None, 0, 1]),
             "event_time": 10**12 + i, "item_id": f"i{i % 9}", "user_id": f"ü{i}"}
        line = "dead\tdecode" if action == "SHARE" else interaction_line({**v, "request_id": None, "position": None})
        yield {"offset": 2 * i, "timestamp": rng.randrange(1000), "key": v["user_id"].encode(),
               "value": framed(schema, 100001, v), "headers": {}, "producer": "x"}, line


def other_content(rng, partition):
    schema = fastavro.parse_schema(OTHER_CONTENT)
    for i in range(100):
        key = f"i{i}".encode()
        if i % 10 == 9:
            yield ({"offset": i, "timestamp": i, "key": key, "value": None, "headers": {}, "producer": "y"},
                   "\t".join(["event", "delisting", hexed(key)]))
            continue
        v = {"item_id": f"i{i}", "event_time": i, "modalities": [
            {"name": m, "model": None, "vector": [struct.unpack("<f", struct.pack("<f", rng.gauss(0, 1)))[0]
                                                  for _ in range(n)]} for m, n in (("text", 8), ("image", 5))]}
        yield ({"offset": i, "timestamp": i * 5, "key": key, "value": framed(schema, 100002, v), "headers": {},
                "producer": "y"}, listing_line({**v, "text": None}))


def check_theirs(folder, codec, container):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(1)
    partitions, expected = [], []
    for topic, partition, make in (("interactions", 0, other_interactions), ("interactions", 5, other_interactions),
                                   ("item-content", 0, other_content)):
        pairs = list(make(rng, partition))
        name = f"{topic}.{partition}.avro"
        with (folder / name).open("wb") as file:
            fastavro.writer(file, container, [r for r, _ in pairs], codec=codec, sync_interval=700)
        partitions.append(f"- {{topic: {topic}, partition: {partition}, file: {name}}}")
        rank = {"item-content": 0, "interactions": 1}[topic]
        expected.append([((r["timestamp"], rank, partition), record_line(topic, partition, r), line) for r, line in pairs])
    schemas = [f"- id: {n}\n  subject: {s}\n  schema: '{json.dumps(j)}'" for n, s, j in
               ((100001, "interactions-value", OTHER_INTERACTION), (100002, "item-content-value", OTHER_CONTENT))]
    (folder / "recording.yaml").write_text("\n".join(["recording: 1", "partitions:", *partitions, "schemas:", *schemas, ""]))
    merged = []
    while any(expected):    # the least head of the partitions that have one
        least = min((e for e in expected if e), key=lambda e: e[0][0])
        merged.append(least.pop(0)[1:])
    ours = [(record, decoded[:len("dead\tdecode")] if decoded.startswith("dead") else decoded)
            for record, decoded in dumped(folder)]
    assert ours == merged, first_difference(merged, ours)
    return len(ours)


TOOL, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2]) / "scratch" / "fastavro"
CONTAINERS = {"ours": fastavro.parse_schema(json.loads((SCHEMAS / "recording.avsc").read_text())),
              "other": fastavro.parse_schema(OTHER_RECORD)}
for compression in ("null", "deflate"):
    print(f"written by us, {compression}: {check_ours(SCRATCH / 'ours', compression)} records are equal")
    for form, container in CONTAINERS.items():
        print(f"written by fastavro, {compression}, {form} container schema: "
              f"{check_theirs(SCRATCH / 'theirs', compression, container)} records are equal")
