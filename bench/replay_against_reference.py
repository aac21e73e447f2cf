#!/usr/bin/env python3
"""Throughput of the whole `coldstream replay` against the reference ranker of the same variant, in turns, one thread each.

usage: replay_against_reference.py COLDSTREAM RECORDING REFERENCE_DIR DATA.npz [--variant full] [--history 50] [--batch 256] [--turns 5]
                                   [--set key=value ...]

The reference's rate counts its batches (features and training step) and leaves out its tokenizer, and every batch whose shapes
are new, for these are compiled. coldstream's is the whole command by the clock: start, decode, label, learn, publish to files, summary. One runs after the
other, so that the ratio holds when the machine's speed drifts; quote the median.
"""
import argparse, json, os, resource, shutil, statistics, subprocess, sys, tempfile, time

ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1",
                  XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

def reference_rate(folder, npz, variant, history, batch):
    """Runs in a process of its own: events per second of the reference's batches."""
    sys.path.insert(0, folder)
    import numpy as np, jax.numpy as jnp, ranker
    cfg = dict(ranker.CFG, **ranker.VARIANT[variant], enc="pca", H=history, B=batch)
    data = {k: v for k, v in np.load(npz).items() if k.startswith("ev_") or k == "item_z"}
    tok = ranker.Tokenizer(data, int(len(data["ev_ts"]) * cfg["warm_part"]), cfg, 0)
    tables = {"z": jnp.asarray(tok.z), "sid": jnp.asarray(tok.row), "near": jnp.asarray(tok.near)}
    step, P, seen, events, clock, cpu = ranker.make_step(cfg)[0], None, set(), 0, 0.0, 0.0
    start = time.perf_counter(), time.process_time()
    for s, e, k, _ in ranker.batches(data, cfg):
        if P is None:
            P = ranker.init(cfg, len(data["item_z"]) + 1, k["feat"].shape[1], k["gx"].shape[1], 0)
            S = ranker.opt_init(P, cfg)
        P, S, logits, _ = step(P, S, tables, k)
        np.asarray(logits)
        now = time.perf_counter(), time.process_time()
        if k["uq"].shape in seen:
            events, clock, cpu = events + e - s, clock + now[0] - start[0], cpu + now[1] - start[1]
        seen.add(k["uq"].shape)
        start = now
    print(json.dumps(dict(events=events, clock=clock, cpu=cpu)))

def on_one_core(command):
    out = subprocess.run(["taskset", "-c", "0"] + command, env=ONE_THREAD, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])

def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

def coldstream(args):
    to = tempfile.mkdtemp(prefix="coldstream-bench-")
    command = [args.coldstream, "replay", "-c", args.config, "--from", args.recording, "--to", os.path.join(to, "out"), "--json",
               "--set", f"model.variant={args.variant}", "--set", f"model.history={args.history}", "--set", f"model.batch={args.batch}"]
    for assignment in args.set:
        command += ["--set", assignment]
    start = time.perf_counter(), cpu_of_children()
    answer = on_one_core(command)
    answer.update(clock=time.perf_counter() - start[0], cpu=cpu_of_children() - start[1])
    shutil.rmtree(to)
    return answer

def reference(args):
    return on_one_core([sys.executable, __file__, "--reference-only", "--variant", args.variant, "--history", str(args.history), "--batch",
                        str(args.batch), args.coldstream, args.recording, args.reference, args.npz])

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coldstream"), parser.add_argument("recording"), parser.add_argument("reference"), parser.add_argument("npz")
    parser.add_argument("--config", default="conf/replay.yaml"), parser.add_argument("--variant", default="full")
    parser.add_argument("--history", type=int, default=50), parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--turns", type=int, default=5), parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--reference-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reference_only:
        return reference_rate(args.reference, args.npz, args.variant, args.history, args.batch)
    ratios = {"clock": [], "cpu": []}
    for turn in range(args.turns):
        ours, theirs = coldstream(args), reference(args)
        text = []
        for how, all in ratios.items():
            rate, other = ours["events"] / ours[how], theirs["events"] / theirs[how]
            all.append(rate / other)
            text.append(f"{how}: coldstream {rate:,.0f} events/s, reference {other:,.0f}, ratio {all[-1]:.2f}")
        print(f"turn {turn + 1}: {'; '.join(text)} ({ours['peak_rss_bytes'] / 1e6:.0f} MB)", flush=True)
    for how, all in ratios.items():
        print(f"median ratio by {how} {statistics.median(all):.2f} (min {min(all):.2f}, max {max(all):.2f})")

if __name__ == "__main__":
    main()
