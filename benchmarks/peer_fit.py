"""Another package's method on rows from a file, timed: the rival's side of the comparison.

It runs in an environment of the peers' own (extra ``peers``; nothing of skdeepcluster is needed),
prints one JSON line on standard output and writes the labels to a file; progress bars and messages
go to standard error. What is timed is `fit` (and what labels need beyond it) alone: neither
imports, nor loading and scaling the rows. It is given no labels.
"""

import argparse
import contextlib
import json
import platform
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--rows", required=True, help="npy file: (n, ...), 8-bit or float")
    parser.add_argument("--labels", required=True, help="npy file to write")
    parser.add_argument("--n-clusters", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pretrain-epochs", type=int, default=100, help="ClustPy's default: 100")
    parser.add_argument("--epochs", type=int, default=150, help="ClustPy's default: 150")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--layers", type=int, nargs="+", default=[500, 500, 2000])
    parser.add_argument("--embedding-size", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def load(path, scaling):
    """Rows as float32: of images in [0, 1], or minus mean and by deviation of all pixels."""
    rows = np.load(path)
    images = rows.dtype == np.uint8 or rows.ndim > 2
    rows = rows.reshape(len(rows), -1).astype(np.float32)
    if images:
        rows /= rows.max()
    elif scaling == "unit":
        low, high = rows.min(axis=0), rows.max(axis=0)
        rows = (rows - low) / np.where(high > low, high - low, 1)
    if scaling == "znorm":
        mean, std = rows.mean(dtype=np.float64), rows.std(dtype=np.float64)
        rows = (rows - np.float32(mean)) / np.float32(std)
    return rows


def clustpy(name):
    """Settings of a method of ClustPy, with layers as given."""

    def make(args, n_features):
        import torch
        from clustpy import deep
        from clustpy.deep.neural_networks import FeedforwardAutoencoder, VariationalAutoencoder

        torch.set_num_threads(args.threads)
        network = VariationalAutoencoder if name == "VaDE" else FeedforwardAutoencoder
        layers = [n_features, *args.layers, args.embedding_size]
        return getattr(deep, name)(
            n_clusters=args.n_clusters,
            batch_size=args.batch_size,
            pretrain_epochs=args.pretrain_epochs,
            clustering_epochs=args.epochs,
            neural_network=(network, {"layers": layers}),
            embedding_size=args.embedding_size,
            device=torch.device("cpu"),
            random_state=args.seed,
        )

    return make


def from_sklearn(module, name, **params):
    def make(args, n_features):
        import importlib

        cls = getattr(importlib.import_module(f"sklearn.{module}"), name)
        return cls(args.n_clusters, random_state=args.seed, **params)

    return make


class UMAPAndHDBSCAN:
    """Ten dimensions by UMAP, groups by density; how many there are is not asked for."""

    def __init__(self, n, seed):
        import hdbscan
        import umap

        # With a seed UMAP runs on one thread
        self.reduce = umap.UMAP(
            n_components=10, n_neighbors=min(30, n - 1), min_dist=0.0, random_state=seed, n_jobs=1
        )
        self.cluster = hdbscan.HDBSCAN(min_samples=10, min_cluster_size=max(5, n // 100))

    def fit(self, X):
        self.labels_ = self.cluster.fit_predict(self.reduce.fit_transform(X))
        return self

    def get_params(self):
        params = {f"umap__{k}": v for k, v in self.reduce.get_params().items()}
        return params | {f"hdbscan__{k}": v for k, v in self.cluster.get_params().items()}


#: Scaling and maker by name: znorm is that of ClustPy's examples, and VaDE's loss wants [0, 1].
METHODS = {
    "ClustPy DEC": ("znorm", clustpy("DEC")),
    "ClustPy IDEC": ("znorm", clustpy("IDEC")),
    "ClustPy DCN": ("znorm", clustpy("DCN")),
    "ClustPy VaDE": ("unit", clustpy("VaDE")),
    "KMeans": ("unit", from_sklearn("cluster", "KMeans", n_init=10)),
    "MiniBatchKMeans": ("unit", from_sklearn("cluster", "MiniBatchKMeans", n_init=10)),
    "GaussianMixture": (
        "unit",
        from_sklearn("mixture", "GaussianMixture", covariance_type="diag", reg_covar=1e-3),
    ),
    "UMAP + HDBSCAN": ("unit", lambda args, n_features: UMAPAndHDBSCAN(args.n, args.seed)),
}


def anonymous_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


@contextlib.contextmanager
def peak_of(found):
    """Watch the anonymous memory within the block, where the system tells of it."""
    if not Path("/proc/self/status").exists():
        yield
        return
    found["start_mb"] = found["peak_mb"] = anonymous_mb()
    stop = threading.Event()

    def look():
        while not stop.wait(0.01):
            found["peak_mb"] = max(found["peak_mb"], anonymous_mb())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


def versions():
    names = ("clustpy", "umap-learn", "hdbscan", "torch", "scikit-learn", "numpy", "scipy")
    found = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(ModuleNotFoundError):
            found[name] = version(name)
    return found


def main():
    args = parse_arguments()
    scaling, make = METHODS[args.method]
    X = load(args.rows, scaling)
    args.n = len(X)
    out = {}
    with contextlib.redirect_stdout(sys.stderr):
        model = make(args, X.shape[1])
        params = {k: repr(v) for k, v in model.get_params().items()}
        with peak_of(out):
            started, cpu = time.perf_counter(), time.process_time()
            labels = model.fit_predict(X) if "Mixture" in args.method else model.fit(X).labels_
            out["seconds"] = {"fit": time.perf_counter() - started}
            out["cpu_s"] = time.process_time() - cpu
    np.save(args.labels, np.asarray(labels).astype(np.int64))
    out["epochs"] = args.epochs if args.method.startswith("ClustPy") else None
    answer = {"out": out, "parameters": params | {"scaling": scaling}, "versions": versions()}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
