"""Table IV, clusters of unequal size: ``python -m benchmarks.vgmm_imbalance --data FOLDER``.

Of MNIST's class 0 a share r_min is kept, of class 9 all, between them linearly more, as in DEC's
paper. KMeans on pixels, k-means on an autoencoder's embedding, DEC and `VariationalGMMClustering`,
on the same rows for the same seed, each bounded by ``--minutes``. Resumed as `vgmm_table`.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _common
from skdeepcluster import StatDEC, VariationalGMMClustering
from skdeepcluster.datasets import make_retention_imbalanced

DEC = {"lam": 1.0, "weighted_target": False, "statistics_pooling": False}
METHODS = ("KMeans", "AE + KMeans", "DEC", "VariationalGMMClustering")


def labels_of(method, X, seed, args):
    """Labels of one method."""
    if method == "KMeans":
        flat = X.reshape(len(X), -1).astype(np.float32) / 255
        return KMeans(10, n_init=10, random_state=seed).fit_predict(flat)
    shared = {"max_time": 60 * args.minutes, "checkpoint": args.checkpoints, "random_state": seed}
    if method == "VariationalGMMClustering":
        model = VariationalGMMClustering(10, hidden_sizes=tuple(args.hidden), **shared)
    elif method == "DEC":
        model = StatDEC(10, **DEC, **shared)
    else:
        model = StatDEC(10, max_epochs=0, **DEC, **shared)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X).labels_


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--r-min", type=float, nargs="+", default=[0.1, 0.5, 0.9])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--first", type=int, help="only the first so many images")
    parser.add_argument("--checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    rows = _common.read("vgmm_imbalance").get("rows", [])
    X, target = _common.load("mnist", args.data)
    X, target = X[: args.first], target[: args.first]
    for seed in args.seeds:
        for r_min in args.r_min:
            kept, classes = make_retention_imbalanced(X, target, r_min, random_state=seed)
            for method in args.methods:
                key = {"seed": seed, "r_min": r_min, "method": method, "minutes": args.minutes}
                key["n"] = len(kept)
                if any(key.items() <= row.items() for row in rows):
                    continue
                if time.monotonic() > deadline:
                    return
                started = time.perf_counter()
                labels = labels_of(method, kept, seed, args)
                row = key | _common.stamp() | {"seconds": time.perf_counter() - started}
                row |= _common.scores(classes, labels)
                row["sizes"] = np.bincount(labels, minlength=10).tolist()
                rows.append(row)
                print(row, flush=True)
                _common.write("vgmm_imbalance", {"rows": rows})


if __name__ == "__main__":
    main()
