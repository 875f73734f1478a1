"""Defaults against KMeans on digits: ``python -m benchmarks.vgmm_small``.

Both get the same seeds in the same run. Also: how many draws of each cluster `predict` gives back.
Saved after each seed; with `--budget`, no fit is begun after that many seconds.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks import _common
from skdeepcluster import VariationalGMMClustering


def recalled(model, n=200):
    """Share of draws from each cluster that `predict` puts into it."""
    hits = []
    for cluster in range(model.n_clusters):
        X, _ = model.sample(n, cluster=cluster)
        hits.append(float((model.predict(X) == cluster).mean()))
    return hits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--name", default="vgmm_small")
    parser.add_argument("--posterior-mass", type=float)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    more = {} if args.posterior_mass is None else {"posterior_mass": args.posterior_mass}
    X, target = _common.load("digits", ".")
    rows = _common.read(args.name).get("rows", [])
    for seed in args.seeds:
        if any(row["seed"] == seed and row["settings"] == more for row in rows):
            continue
        if time.monotonic() > deadline:
            break
        kmeans = KMeans(10, n_init=10, random_state=seed).fit(X.reshape(len(X), -1))
        started, cpu = time.perf_counter(), time.process_time()
        model = VariationalGMMClustering(10, random_state=seed, **more).fit(X)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        row = {
            "seed": seed,
            "settings": more,
            **_common.stamp(),
            "seconds": seconds,
            "cpu_seconds": cpu,
            "kmeans": _common.scores(target, kmeans.labels_),
            "vgmm": _common.scores(target, model.labels_),
            "score": model.score(X),
            "sizes": np.bincount(model.labels_, minlength=10).tolist(),
            "recalled": recalled(model),
            "last_epoch": {k: v for k, v in model.history_[-1].items() if k != "batches"},
        }
        rows.append(row)
        print(seed, {k: row[k] for k in ("seconds", "cpu_seconds", "kmeans", "vgmm")}, flush=True)
        _common.write(args.name, {"rows": rows})
    for method in ("kmeans", "vgmm"):
        cells = [_common.summary([r[method][m] for r in rows]) for m in ("acc", "nmi", "ari")]
        print(f"{method:8}", *cells)


if __name__ == "__main__":
    main()
