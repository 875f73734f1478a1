"""Five circle arcs, with the latent space as a picture: ``python -m benchmarks.vgmm_toy``.

The toy data of the paper (Fig. 3), 10,000 points, against KMeans; the networks are Table II's.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks import _common
from benchmarks.settings import parameters
from skdeepcluster import VariationalGMMClustering
from skdeepcluster.datasets import make_circle_arcs

SETTINGS = parameters("VGMM toy", "circle_arcs")

#: What rows that do not say so ran with.
EARLIER = {"posterior_mass": 1.0}


def picture(model, X, y, path):
    """Points, and their embeddings with the priors' ellipses (two standard deviations)."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Ellipse

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
    Z = model.transform(X)
    for axes, points, title in ((left, X, "points"), (right, Z, "latent space")):
        axes.scatter(*points.T, c=y, s=1, cmap="tab10", vmin=0, vmax=9)
        axes.set_title(title)
    for mean, variance in zip(model.cluster_centers_, model.covariances_, strict=True):
        right.add_patch(Ellipse(mean, *(4 * np.sqrt(variance)), fill=False))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--picture", help="where to write the latent space of the last seed (PNG)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    rows = _common.read("vgmm_toy").get("rows", [])
    X, y = make_circle_arcs(random_state=0)
    for seed in args.seeds:
        if any(row["seed"] == seed and EARLIER | row["settings"] == SETTINGS for row in rows):
            continue
        if time.monotonic() > deadline:
            break
        kmeans = KMeans(5, n_init=10, random_state=seed).fit_predict(X)
        started, cpu = time.perf_counter(), time.process_time()
        model = VariationalGMMClustering(5, random_state=seed, **SETTINGS).fit(X)
        row = {
            "seed": seed,
            "settings": SETTINGS,
            **_common.stamp(),
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - cpu,
            "kmeans": _common.scores(y, kmeans),
            "vgmm": _common.scores(y, model.labels_),
            "last_epoch": model.history_[-1],
        }
        rows.append(row)
        print(seed, {k: row[k] for k in ("seconds", "cpu_seconds", "kmeans", "vgmm")}, flush=True)
        _common.write("vgmm_toy", {"rows": rows})
        if args.picture:
            picture(model, X, y, args.picture)
    for method in ("kmeans", "vgmm"):
        cells = [_common.summary([r[method][m] for r in rows]) for m in ("acc", "nmi", "ari")]
        print(f"{method:8}", *cells)


if __name__ == "__main__":
    main()
