#!/usr/bin/env python3
"""RQ encoding, 3 levels of 1024 codes at 384 dims, one thread: ours against FAISS's ResidualQuantizer (max_beam_size 1), in turns.

usage: rq_encode.py RQ_ENCODE [--cores Haswell,SkylakeX,...] [--vectors 8192] [--turns 15]

FAISS computes with the OpenBLAS that it carries; the core types of OpenBLAS to try are its own affair, so each named one gets a run of
its own, in a process of its own. Ours uses no BLAS for this. One JSON line for each run; `ratio` is the median over the turns
of (FAISS's seconds / ours), of CPU time, so that other work on the machine matters little. The codes must be the same, except where two are equally near within 1e-5."""
import argparse, ctypes, json, os, statistics, subprocess, sys, tempfile, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests', 'model'))
DIMS, BITS = 384, [10, 10, 10]


def running_core():
    """Which of its core types the OpenBLAS inside this process says it runs."""
    for line in open('/proc/self/maps'):
        path = line.split()[-1]
        if 'openblas' in path:
            name = ctypes.CDLL(path).openblas_get_corename
            name.restype = ctypes.c_char_p
            return name().decode()
    return None


def turn_ours(tool, line=b'\n'):
    tool.stdin.write(line)
    tool.stdin.flush()
    return float(tool.stdout.readline())


def turn_faiss(rq, x):
    start = time.process_time()
    packed = rq.compute_codes(x)
    return time.process_time() - start, packed


def measure(args):
    import faiss, numpy as np
    from faiss_codes import judge_rq, train_rq, unpack, vectors
    faiss.omp_set_num_threads(1)
    x = vectors(args.vectors + 16384, DIMS, 7)
    rq, books = train_rq(faiss, x[args.vectors:], BITS)
    x = np.ascontiguousarray(x[:args.vectors])
    with tempfile.TemporaryDirectory() as folder:
        x.tofile(os.path.join(folder, 'x'))
        for level, book in enumerate(books):
            book.tofile(os.path.join(folder, 'book%d' % (level + 1)))
        tool = subprocess.Popen([args.tool, folder, str(DIMS), str(1 << BITS[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        turn_ours(tool), turn_faiss(rq, x)  # warm up
        ours, theirs = [], []
        for _ in range(args.turns):
            ours.append(turn_ours(tool))
            seconds, packed = turn_faiss(rq, x)
            theirs.append(seconds)
        tool.stdin.close()
        tool.wait()
        codes = np.fromfile(os.path.join(folder, 'codes'), 'u2').reshape(-1, 3).astype(int)
    differences, wrong = judge_rq(x, books, codes, unpack(packed, BITS))
    rate = lambda s: round(len(x) / statistics.median(s))
    print(json.dumps({'bench': 'rq_encode', 'core': running_core(), 'vectors': len(x), 'turns': args.turns, 'faiss': faiss.__version__,
                      'faiss_per_s': rate(theirs), 'ours_per_s': rate(ours),
                      'ratio': round(statistics.median(t / o for t, o in zip(theirs, ours)), 2),
                      'codes_different': differences, 'of_them_wrong': wrong}), flush=True)
    return wrong == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tool')
    parser.add_argument('--cores', default='', help='values of OPENBLAS_CORETYPE for FAISS; default: as it is')
    parser.add_argument('--vectors', type=int, default=8192)
    parser.add_argument('--turns', type=int, default=15)
    args = parser.parse_args()
    if not args.cores:
        sys.exit(not measure(args))
    failed = 0
    for core in args.cores.split(','):
        at = sys.argv.index('--cores')
        rest = sys.argv[1:at] + sys.argv[at + 2:]
        environment = dict(os.environ, OPENBLAS_CORETYPE=core, OMP_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1')
        failed += subprocess.run([sys.executable, os.path.abspath(__file__)] + rest, env=environment).returncode
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
