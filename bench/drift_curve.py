"""NE over the course of a replay, from the counters that its changelog has of every epoch.

    python bench/drift_curve.py OUT SHARE [WINDOW]

SHARE is where the drift began (generate --drift SHARE), WINDOW how many labelled events a point is made of (20000). Prints the
mean NE of the windows before the drift, the windows after it, and after how many events NE is within 10 % of that mean for good.
"""
import io, json, math, os, struct, sys
import fastavro

COUNTERS = struct.Struct('<4I5Qdd')  # the head of struct model_row


def counters(folder):
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'schemas')
    load = lambda name: fastavro.parse_schema(json.load(open(os.path.join(here, name + '.avsc'))))
    key_schema, value_schema = load('row-key'), load('row-value')
    with open(os.path.join(folder, 'changelog-0.avro'), 'rb') as file:
        for record in fastavro.reader(file):
            if record['value'] is None or b'\x0amodel' not in record['key'][:12]:
                continue
            if fastavro.schemaless_reader(io.BytesIO(record['key'][5:]), key_schema)['table'] != 'model':
                continue
            row = fastavro.schemaless_reader(io.BytesIO(record['value'][5:]), value_schema)['value']
            _, _, _, _, _, _, labelled, evaluated, positives, loss, _ = COUNTERS.unpack(row[:COUNTERS.size])
            yield labelled, evaluated, positives, loss


def ne(a, b):
    events, positives, loss = b[1] - a[1], b[2] - a[2], b[3] - a[3]
    rate = positives / events
    return loss / events / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))


def main(folder, share, window=20000):
    points, at = [], None
    for now in counters(folder):
        at = at or now
        if now[1] - at[1] >= window:
            points.append((at[0], now[0], ne(at, now)))
            at = now
    last = points[-1][1]
    before = [p for p in points if p[1] <= share * last and p[0] > share * last / 2]
    after = [p for p in points if p[0] >= share * last]
    mean = sum(p[2] for p in before) / len(before)
    good = [p[2] <= 1.1 * mean for p in after]
    back = next((after[i][1] - int(share * last) for i in range(len(after)) if all(good[i:])), None)
    print(json.dumps({'ne_before': round(mean, 4), 'ne_after': [round(p[2], 4) for p in after], 'worst': round(max(p[2] for p in after), 4),
                      'ne_last_quarter': round(sum(p[2] for p in after[-len(after) // 4:]) / max(1, len(after[-len(after) // 4:])), 4),
                      'events_to_recover': back}))


if __name__ == '__main__':
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 20000)
