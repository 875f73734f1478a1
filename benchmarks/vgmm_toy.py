"""Five circle arcs, with the latent space as a picture: ``python -m benchmarks.vgmm_toy FILE.png``.

The toy data of the paper (Fig. 3), 10,000 points; the networks are Table II's. The figures are
those of ``papers --table toy``.
"""

import argparse

import numpy as np
import torch

from benchmarks.settings import parameters
from skdeepcluster import VariationalGMMClustering
from skdeepcluster.datasets import make_circle_arcs
from skdeepcluster.metrics import clustering_accuracy


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
    parser.add_argument("picture", help="file to write (PNG)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, y = make_circle_arcs(random_state=0)
    settings = parameters("VGMM toy", "circle_arcs")
    model = VariationalGMMClustering(5, random_state=args.seed, **settings).fit(X)
    picture(model, X, y, args.picture)
    print(f"ACC {clustering_accuracy(y, model.labels_):.3f}: {args.picture}")


if __name__ == "__main__":
    main()
