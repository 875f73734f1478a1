"""Defaults against KMeans on small data: ``python -m benchmarks.statdec_small``.

Digits as 8 x 8 images, and blobs, iris, wine and breast cancer as feature tables, where KMeans gets
standardised columns. Both get the same seeds in the same run.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from benchmarks import _common
from skdeepcluster import StatDEC


def problems():
    digits = datasets.load_digits()
    yield "digits", digits.data, digits.target, {"image_shape": (8, 8)}
    for name in ("iris", "wine", "breast_cancer"):
        bunch = getattr(datasets, f"load_{name}")()
        yield name, bunch.data, bunch.target, {}
    X, y = datasets.make_blobs(500, n_features=8, centers=5, cluster_std=2.5, random_state=0)
    yield "blobs", X, y, {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name, X, y, shape in problems():
        n_clusters = len(np.unique(y))
        for seed in args.seeds:
            pixels = X if shape else StandardScaler().fit_transform(X)
            kmeans = KMeans(n_clusters, n_init=10, random_state=seed).fit(pixels)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ConvergenceWarning)
                started = time.perf_counter()
                model = StatDEC(n_clusters, random_state=seed, **shape).fit(X)
                seconds = time.perf_counter() - started
            rows.append(
                {
                    "dataset": name,
                    "seed": seed,
                    "seconds": seconds,
                    "epochs": model.n_iter_,
                    "converged": not caught,
                    "kmeans": _common.scores(y, kmeans.labels_),
                    "statdec": _common.scores(y, model.labels_),
                }
            )
        own = [row for row in rows if row["dataset"] == name]
        for method in ("kmeans", "statdec"):
            cells = [_common.summary([r[method][m] for r in own]) for m in ("acc", "nmi", "ari")]
            print(f"{name:14} {method:8}", *cells, flush=True)
        seconds = [row["seconds"] for row in own]
        print(f"{name:14} seconds  {min(seconds):.1f} to {max(seconds):.1f}", flush=True)
    print(_common.write("statdec_small", {"rows": rows}))


if __name__ == "__main__":
    main()
