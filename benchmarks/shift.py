"""Trained on one kind of image, asked for another: ``python -m benchmarks.shift --data DIR``.

What Table III of StatDEC asks, with data at hand: fitted on images of MNIST's training split,
labels are predicted for the test split as it is, with inverted contrast, thickened strokes, turned
by 15 degrees, and under noise; with and without statistics pooling and weighted target. `kept` is
the share of the test images whose cluster is that of the undistorted image: no labels needed.

All settings start from one pre-trained autoencoder a seed. With `--budget` no fit is begun after so
many seconds, and the same call goes on later.
"""

import argparse
import time

import numpy as np
import torch
from scipy import ndimage

from benchmarks import _common
from benchmarks.statdec_table import SETTINGS, TEST_ROWS, pretrain, run
from skdeepcluster.metrics import balanced_clustering_accuracy

METHODS = ["AE + KMeans", "DEC", "IDEC", "StatDEC-1", "StatDEC-2", "StatDEC-3"]


def distortions(X, seed):
    """The images, 8-bit, by the name of what was done to them."""
    rng = np.random.default_rng(seed)
    yield "none", X
    yield "inverted", 255 - X
    yield "thick", ndimage.grey_dilation(X, size=(1, 2, 2))
    yield "rotated", ndimage.rotate(X, 15, axes=(2, 1), reshape=False, order=1)
    for share in (0.1, 0.3):
        noisy = X + rng.normal(0, 255 * share, X.shape)
        yield f"noise {share}", noisy.clip(0, 255).round().astype(np.uint8)


def rows_of(model, X, target, seed):
    """Scores of the labels predicted for each distortion."""
    undistorted = None
    for distortion, images in distortions(X, seed):
        labels = model.predict(images)
        undistorted = labels if undistorted is None else undistorted
        yield {
            "distortion": distortion,
            "kept": float((labels == undistorted).mean()),
            **_common.scores(target, labels),
            "balanced_acc": balanced_clustering_accuracy(target, labels),
        }


def table(rows):
    lines = [f"{'distortion':12}{'method':13}{'seeds':6}{'ACC':15}{'kept':15}"]
    for distortion in dict.fromkeys(row["distortion"] for row in rows):
        for method in METHODS:
            own = [r for r in rows if (r["distortion"], r["method"]) == (distortion, method)]
            if own:
                acc, kept = (_common.summary([r[name] for r in own]) for name in ("acc", "kept"))
                lines.append(f"{distortion:12}{method:13}{len(own):<6}{acc:15}{kept:15}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--limit", type=int, default=10_000, help="images to fit on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    name = f"shift_{args.dataset}"
    rows = _common.read(name).get("rows", [])
    done = {(row["seed"], row["limit"], row["method"]) for row in rows}
    X, y = _common.load(args.dataset, args.data)
    n_clusters = len(np.unique(y))
    train, test = X[:-TEST_ROWS][: args.limit], slice(-TEST_ROWS, None)
    for seed in args.seeds:
        module = None
        for method in args.methods:
            if (seed, args.limit, method) in done:
                continue
            if time.monotonic() > deadline:
                print(table([row for row in rows if row["limit"] == args.limit]))
                return
            if module is None:
                module, pretrain_s = pretrain(train, n_clusters, seed, {})
            model, seconds = run(SETTINGS[method], module, train, n_clusters, seed)
            about = {"seed": seed, "limit": args.limit, "method": method, "seconds": seconds,
                     "pretrain_s": pretrain_s, "epochs": model.n_iter_}  # fmt: skip
            new = [about | row | _common.stamp() for row in rows_of(model, X[test], y[test], seed)]
            rows += new
            for row in new:
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()},
                      flush=True)  # fmt: skip
            _common.write(name, {"rows": rows})
    print(table([row for row in rows if row["limit"] == args.limit]))


if __name__ == "__main__":
    main()
