#!/usr/bin/env python3
"""Compares our codes with FAISS's, code for code, on the same codebooks: ResidualQuantizer (max_beam_size 1), and OPQMatrix
with ProductQuantizer on what is left. FAISS trains the books; encode_tool encodes.

usage: faiss_check.py ENCODE_TOOL      exits 77 when faiss or numpy is absent

Codes may differ only where both are equally near: distances within 1e-5 of each other in float64."""
import os, subprocess, sys, tempfile

sys.dont_write_bytecode = True
try:
    import faiss
    import numpy as np
except ImportError as missing:
    print('skipped: %s (name an interpreter that has it with -DCOLDSTREAM_PYTHON=...)' % missing)
    sys.exit(77)
from faiss_codes import TIE, judge_level, judge_rq, train_rq, unpack, vectors


def residual(x, books, codes):
    """What our RQ codes leave, in float32 and in our order, so that both sides go on from the same numbers."""
    r = x.copy()
    for level, book in enumerate(books):
        r -= book[codes[:, level]]
    return r


def train_opq(r, bits):
    """-> rotation R with y = r R, two books [K, d / 2], and FAISS's quantiser on y."""
    d = r.shape[1]
    pq = faiss.ProductQuantizer(d, 2, bits)
    pq.cp.min_points_per_centroid = 1
    opq = faiss.OPQMatrix(d, 2)
    opq.niter, opq.pq = 10, pq
    opq.train(r)
    pq.train(opq.apply(r))
    rotation = faiss.vector_to_array(opq.A).reshape(d, d).T
    return np.ascontiguousarray(rotation), faiss.vector_to_array(pq.centroids).reshape(2, 1 << bits, d // 2), pq


def run_tool(tool, arrays, sizes):
    with tempfile.TemporaryDirectory(dir=os.environ.get('COLDSTREAM_BUILD')) as folder:
        for name, array in arrays.items():
            np.ascontiguousarray(array, 'f4').tofile(os.path.join(folder, name))
        subprocess.run([tool, folder] + [str(s) for s in sizes], check=True)
        codes = np.fromfile(os.path.join(folder, 'codes'), 'u2').reshape(-1, 5).astype(int)
        return codes, np.fromfile(os.path.join(folder, 'error'), 'f4')


def check(tool, n, dims, rq_bits, opq_bits, seed):
    x = vectors(n, dims, seed)
    rq, books = train_rq(faiss, x, rq_bits)
    theirs = unpack(rq.compute_codes(x), rq_bits)
    rotation, halves, pq = train_opq(residual(x, books, theirs), opq_bits)
    arrays = dict(z=x, rotation=rotation, opq1=halves[0], opq2=halves[1], rq1=books[0], rq2=books[1], rq3=books[2])
    ours, error = run_tool(tool, arrays, [dims] + [1 << b for b in rq_bits] + [1 << opq_bits] * 2)

    differences, wrong = judge_rq(x, books, ours, theirs)
    left = residual(x, books, ours)
    theirs_opq = unpack(pq.compute_codes(np.ascontiguousarray(left @ rotation)), [opq_bits] * 2)
    y, everything, exact = left.astype('f8') @ rotation.astype('f8'), np.ones(n, bool), 0
    for m, half in enumerate(halves.astype('f8')):
        part = y[:, m * dims // 2:(m + 1) * dims // 2]
        differ, bad = judge_level(part, half, ours[:, 3 + m], theirs_opq[:, m], everything)
        differences, wrong = differences + int(differ.sum()), wrong + bad
        exact = exact + ((part - half[ours[:, 3 + m]]) ** 2).sum(1)
    error_off = np.abs(error - exact).max() / exact.mean()
    print('%d vectors of %d dims, RQ %s bits, OPQ 2 x %d bits: %d of %d codes differ, %d of them are no tie within %g; '
          'error off by at most %.1e of its mean' % (n, dims, rq_bits, opq_bits, differences, 5 * n, wrong, TIE, error_off))
    return wrong == 0 and differences < n / 100 and error_off < 1e-5


if __name__ == '__main__':
    faiss.omp_set_num_threads(1)
    cases = [(6000, 64, [6, 6, 6], 6, 1), (4000, 32, [8, 6, 4], 5, 2), (8000, 384, [10, 10, 10], 8, 3)]
    results = [check(sys.argv[1], *case) for case in cases]
    sys.exit(not all(results))
