#!/usr/bin/env python3
"""Throughput of the whole `coldstream replay` against the reference ranker of the same variant, in turns, one thread each.

usage: replay_against_reference.py COLDSTREAM RECORDING REFERENCE_DIR DATA.npz [--variant id+sid] [--turns 3] [--set key=value ...]

The reference's rate leaves out compilation: it runs once on the first 200,000 events and once on all, and the rate is that of the
difference. coldstream's is the whole command: start, decode, learn, publish to files, summary. Each turn runs one after the other, so that the
ratio holds when the machine's speed drifts.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1",
                  XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
FIRST = 200_000

def on_one_core(command):
    return ["taskset", "-c", "0"] + command

def reference(args, events):
    command = [sys.executable, os.path.join(args.reference, "ranker.py"), args.npz, "--variant", args.variant, "--set", "enc=pca"]
    if events:
        command += [f"events={events}"]
    out = subprocess.run(on_one_core(command), env=ONE_THREAD, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])

def coldstream(args):
    to = tempfile.mkdtemp(prefix="coldstream-bench-")
    shutil.rmtree(to)
    command = [args.coldstream, "replay", "-c", args.config, "--from", args.recording, "--to", to, "--json",
               "--set", f"model.variant={args.variant}"]
    for assignment in args.set:
        command += ["--set", assignment]
    start = time.time()
    out = subprocess.run(on_one_core(command), check=True, capture_output=True, text=True).stdout
    seconds = time.time() - start
    shutil.rmtree(to)
    return seconds, json.loads(out.strip().splitlines()[-1])

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coldstream"), parser.add_argument("recording"), parser.add_argument("reference"), parser.add_argument("npz")
    parser.add_argument("--config", default="conf/replay.yaml"), parser.add_argument("--variant", default="id+sid")
    parser.add_argument("--turns", type=int, default=3), parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    ratios = []
    for turn in range(args.turns):
        seconds, ours = coldstream(args)
        part, whole = reference(args, FIRST), reference(args, 0)
        theirs = (whole["events"] - part["events"]) / (whole["s"] - part["s"])
        mine = ours["events"] / seconds
        ratios.append(mine / theirs)
        print(f"turn {turn + 1}: coldstream {mine:,.0f} events/s ({seconds:.1f} s, AUC {ours['auc']:.4f}), "
              f"reference {theirs:,.0f} events/s (AUC {whole['auc']:.4f}), ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f} (min {min(ratios):.2f}, max {max(ratios):.2f})")

if __name__ == "__main__":
    main()
