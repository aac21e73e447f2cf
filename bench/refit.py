"""How far the SIDs of a replay are from codebooks fitted anew on the same items: reads the outputs of a replay (z, SIDs and
codebooks, with fastavro), fits residual k-means and OPQ on the final z with FAISS, and prints both errors.

    python bench/refit.py OUT
"""
import glob, io, json, os, sys
import fastavro, faiss, numpy as np

LEVELS = {0: 'rq', 1: 'rq', 2: 'rq', 3: 'opq', 4: 'opq'}


def rows(folder, topic, schemas):
    """The last value of each key; None: gone."""
    last = {}
    for path in sorted(glob.glob(os.path.join(folder, topic + '-*.avro'))):
        with open(path, 'rb') as file:
            for record in fastavro.reader(file):
                value = record['value']
                last[record['key']] = None if value is None else fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[topic])
    return last


def key_of(raw, schema):
    return fastavro.schemaless_reader(io.BytesIO(raw[5:]), schema)


def kmeans(x, k, seed):
    clusters = faiss.Kmeans(x.shape[1], k, niter=30, nredo=3, seed=seed, min_points_per_centroid=1, max_points_per_centroid=10**9)
    clusters.train(x)
    return clusters.index.search(x, 1)[1][:, 0], clusters.centroids


def refit(z, books, seed):
    r = z.copy()
    for k in books[:3]:
        codes, centroids = kmeans(r, k, seed)
        r -= centroids[codes]
    opq = faiss.OPQMatrix(z.shape[1], 2, z.shape[1])
    opq.pq = faiss.ProductQuantizer(z.shape[1], 2, int(np.log2(books[3])))
    opq.niter = 30
    opq.train(r)
    y = opq.apply(r)
    half, error = z.shape[1] // 2, np.zeros(len(z))
    for m in (0, 1):
        part = np.ascontiguousarray(y[:, m * half:(m + 1) * half])
        codes, centroids = kmeans(part, books[3 + m], seed)
        error += ((part - centroids[codes]) ** 2).sum(1)
    return error


def main(folder):
    here = os.path.join(os.path.dirname(__file__), '..', 'schemas')
    load = lambda name: fastavro.parse_schema(json.load(open(os.path.join(here, name + '.avsc'))))
    schemas = {'semantic-ids': load('semantic-ids-value'), 'ranker-deltas': load('row-value'), 'codebooks': load('codebooks-value')}
    row_key, book_key = load('row-key'), load('codebooks-key')
    sids = {key.decode(): value for key, value in rows(folder, 'semantic-ids', schemas).items() if value}
    z = {}
    for raw, value in rows(folder, 'ranker-deltas', schemas).items():
        key = key_of(raw, row_key)
        if key['table'] == 'z' and value:
            z[key['key'].decode()] = np.frombuffer(value['values'], '<f4')
    books = {}
    for raw, value in rows(folder, 'codebooks', schemas).items():
        key = key_of(raw, book_key)
        if value:
            books[key['generation'], str(key['level']), key['code']] = value
    items = sorted(sids)
    return items, sids, np.stack([z[item] for item in items]).astype('f4'), books


if __name__ == '__main__':
    items, sids, z, books = main(sys.argv[1])
    print(len(items), z.shape, list(books)[:2], list(books.values())[0], sids[items[0]])
