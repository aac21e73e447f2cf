"""What faiss_check.py and bench/rq_encode.py share: data, FAISS quantisers, and the comparison of codes."""
import numpy as np

TIE = 1e-5  # two codes may both be right if their distances, in float64, are this close, relatively


def vectors(n, dims, seed):
    """Groups in a space whose directions fall off, scaled to length 4 like z. [n, dims] float32"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, dims))[rng.integers(0, 200, n)] + rng.normal(size=(n, dims))
    x *= 1 / (1 + np.arange(dims) / 32)
    return np.ascontiguousarray(4 * x / np.linalg.norm(x, axis=1, keepdims=True), 'f4')


def train_rq(faiss, x, bits):
    """FAISS's ResidualQuantizer that encodes greedily, as ours does; and its books, one array each."""
    sizes = faiss.UInt64Vector()
    for b in bits:
        sizes.push_back(b)
    rq = faiss.ResidualQuantizer(x.shape[1], sizes)
    rq.max_beam_size = 1
    rq.cp.min_points_per_centroid = 1  # no warnings about few vectors
    rq.train(x)
    books = faiss.vector_to_array(rq.codebooks).reshape(-1, x.shape[1])
    return rq, np.split(books, np.cumsum([1 << b for b in bits])[:-1])


def unpack(packed, bits):
    """FAISS's packed codes -> one column for each level."""
    flat = np.unpackbits(packed, axis=1, bitorder='little')
    columns, at = [], 0
    for b in bits:
        columns.append(flat[:, at:at + b] @ (1 << np.arange(b)))
        at += b
    return np.stack(columns, 1)


def judge_level(r, book, ours, theirs, seen):
    """(number of vectors among `seen` whose codes differ, number of those that are no tie): r [n, d] float64."""
    differ = seen & (ours != theirs)
    a = ((r[differ] - book[ours[differ]]) ** 2).sum(1)
    b = ((r[differ] - book[theirs[differ]]) ** 2).sum(1)
    return differ, int((np.abs(a - b) > TIE * np.maximum(a, b)).sum())


def judge_rq(x, books, ours, theirs):
    """Compares level by level; a vector is left out after its first difference. -> differences, those that are no tie"""
    r, seen, differences, wrong = x.astype('f8'), np.ones(len(x), bool), 0, 0
    for level, book in enumerate(books):
        differ, bad = judge_level(r, book.astype('f8'), ours[:, level], theirs[:, level], seen)
        differences, wrong, seen = differences + int(differ.sum()), wrong + bad, seen & ~differ
        r = r - book.astype('f8')[ours[:, level]]
    return differences, wrong
