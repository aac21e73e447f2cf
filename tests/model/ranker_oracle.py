"""Training steps of the reference's rankers on small synthetic batches, dumped for test_ranker_oracle.c.

  ranker_oracle.py REFERENCE OUT      REFERENCE: folder with ranker.py; OUT: one folder for each variant is made here

Three mini-batches one after the other (the last one short). Written: codes, z, the batches, the parameters before (p.*), the
logits of each batch, and parameters and accumulators after the last (after.*, acc.*). Exits 77 when jax or the reference is
absent."""
import os, shutil, sys

sys.dont_write_bytecode = True
os.environ.setdefault('XLA_FLAGS', '--xla_cpu_multi_thread_eigen=false')
reference, out = sys.argv[1:3]
shutil.rmtree(out, ignore_errors=True)  # arrays of an earlier run must not stand in for this one's
sys.path.insert(0, reference)
try:
    import numpy as np, jax, jax.numpy as jnp
    import ranker
except ImportError as missing:
    print('skipped:', missing)
    sys.exit(77)

ITEMS, USERS, BATCH, STEPS, SEED = 40, 5, 12, 3, 11  # the last item is the reference's padding


def save(folder, name, array):
    array = np.ascontiguousarray(np.asarray(array))
    np.save(os.path.join(folder, name + '.npy'), array.astype('f4' if array.dtype.kind == 'f' else 'i4'))


def flat(tree):
    return {**{n: v for n, v in tree.items() if n != 'dnn'}, **tree['dnn']}


def batch(rng, cfg, events):
    """Users share histories, histories have any length (one is empty), items repeat."""
    pad = ITEMS - 1
    history = rng.integers(0, pad, (USERS, cfg['H'])).astype('i4')
    length = rng.integers(0, cfg['H'] + 1, USERS)
    length[0] = 0
    history[np.arange(cfg['H'])[None] >= length[:, None]] = pad
    user = np.where(np.arange(BATCH) < USERS, np.arange(BATCH), rng.integers(0, USERS, BATCH)).astype('i4')
    weight = (np.arange(BATCH) < events).astype('f4')
    h = history[user]
    k = dict(uq=np.arange(ITEMS, dtype='i4'), gx=rng.normal(size=(ITEMS, 4)).astype('f4'), it=rng.integers(0, pad, BATCH).astype('i4'), hist=h,
             mask=(h != pad).astype('f4'), feat=rng.normal(size=(BATCH, 6)).astype('f4'), y=(rng.random(BATCH) < .4).astype('f4'), w=weight)
    distinct = np.unique(k['it'][:events])
    k.update(cont=np.pad(distinct, (0, BATCH - len(distinct))).astype('i4'), cval=np.pad(np.ones(len(distinct), 'f4'), (0, BATCH - len(distinct))))
    return k, dict(item_features=k['gx'], candidate=k['it'], user=user, history=history, length=length, features=k['feat'], labels=k['y'], events=np.array([events]))


def run(variant):
    folder = os.path.join(out, variant)
    os.makedirs(folder)
    rng = np.random.default_rng(SEED)
    cfg = dict(ranker.CFG, **ranker.VARIANT[variant])
    cfg.update(enc='pca', d=8, Dz=12, B=BATCH, H=5, books='64_64_64_16_16', h1=8, h2=4, gate_h=4, id_init=0.1)
    sizes = [int(k) for k in cfg['books'].split('_')]
    codes = np.stack([rng.integers(0, k, ITEMS) for k in sizes], 1)
    codes[10:20, 0] = codes[0, 0]  # shared prefixes
    codes[15:20, 1] = codes[10, 1]
    rows = codes.copy()
    rows[:, 1] = codes[:, 0] * sizes[1] + codes[:, 1]
    rows[:, 2] = (rows[:, 1] * sizes[2] + codes[:, 2]) % ranker.table_rows(cfg)[2]
    z = rng.normal(size=(ITEMS, cfg['Dz'])).astype('f4')
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    z[-1] = 0
    near = np.stack([rng.permutation(ITEMS)[:8] for _ in range(ITEMS)]).astype('i4')
    params = ranker.init(cfg, ITEMS, 6, 4, SEED)
    params = jax.tree_util.tree_map(lambda x: x + (rng.normal(size=x.shape) * .3).astype('f4'), params)  # far from where gradients are small
    state = ranker.opt_init(params, cfg)
    for name, value in flat(params).items():
        save(folder, 'p.' + name, value)
    for name, value in dict(codes=codes, z=z * cfg['zscale'], books=np.array(sizes), near=near, weights=np.array([cfg['a1'], cfg['a2']], 'f4')).items():
        save(folder, name, value)
    step, _ = ranker.make_step(cfg)
    table = dict(z=jnp.asarray(z), sid=jnp.asarray(rows.astype('i4')), near=jnp.asarray(near))
    for i in range(STEPS):
        k, ours = batch(rng, cfg, BATCH if i + 1 < STEPS else 7)
        params, state, logits, _ = step(params, state, table, k)
        for name, value in dict(ours, logits=logits).items():
            save(folder, '%d.%s' % (i, name), value)
    for name, value in flat(params).items():
        save(folder, 'after.' + name, value)
    for name, value in flat(state).items():
        save(folder, 'acc.' + name, value)


for variant in ranker.VARIANT:
    run(variant)
