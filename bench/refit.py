"""What codebooks fitted anew would make of the items of a replay: reads its outputs with fastavro, fits residual k-means and
OPQ of the same sizes on the final z with FAISS, and prints the mean squared error over the mean squared norm, to be held
against `quantisation_error` of replay --json.

    python bench/refit.py OUT
"""
import glob, io, json, os, sys
import fastavro, faiss, numpy as np


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
            z[key['key'].decode()] = np.frombuffer(value['value'], '<f4')
    items = sorted(sids)
    sizes = [0] * 5
    for raw, value in rows(folder, 'codebooks', schemas).items():
        key = key_of(raw, book_key)
        if value and key['level'] < 5:
            sizes[key['level']] = max(sizes[key['level']], key['code'] + 1)
    return np.stack([z[item] for item in items]).astype('f4'), sizes


if __name__ == '__main__':
    z, sizes = main(sys.argv[1])
    norm = float((z.astype('f8') ** 2).sum(1).mean())
    errors = [float(refit(z, sizes, seed).mean()) / norm for seed in range(3)]
    print(json.dumps({'items': len(z), 'books': sizes, 'refit_quantisation_error': round(float(np.mean(errors)), 5), 'per_seed': [round(e, 5) for e in errors]}))
