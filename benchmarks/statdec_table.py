"""StatDEC and what it is compared with: ``python -m benchmarks.statdec_table --dataset mnist``.

Rows are KMeans on pixels, k-means on the autoencoder's embedding, DEC, IDEC and StatDEC-1, -2 and
-3, all as settings of `StatDEC`. Two protocols: "split" fits on the first 60,000 images and scores
the labels predicted for the last 10,000, as the paper does; "joined" fits and scores all. Labels
are used for scoring alone.

The settings differ only in the clustering phase, so that those of a seed and protocol start from
one pre-trained autoencoder, whose time is in each row as `pretrain_s`; with augmentation from
another, pre-trained on distorted images. Seconds are of the processor, over all threads: other work
on the machine does not count.

With `--budget`, no setting is begun after that many seconds, and the same call goes on later. Each
protocol has a file of its own, so that two can be run side by side.
"""

import argparse
import copy
import time

import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks import _common
from skdeepcluster import StatDEC

SETTINGS = {
    "AE + KMeans": {"max_epochs": 0},
    "DEC": {"lam": 1.0, "weighted_target": False, "statistics_pooling": False},
    "IDEC": {"weighted_target": False, "statistics_pooling": False},
    "StatDEC-1": {},
    "StatDEC-2": {"statistics_pooling": False},
    "StatDEC-3": {"weighted_target": False},
    "StatDEC-1 + affine": {"augmentation": "affine"},
}
TEST_ROWS = 10_000


def split(X, protocol):
    """Rows to fit on, and the slice of X to score."""
    if protocol == "joined":
        return X, slice(None)
    return X[:-TEST_ROWS], slice(-TEST_ROWS, None)


def pretrain(X, n_clusters, seed, shape):
    """The default's pre-trained autoencoder, and its seconds."""
    started = time.process_time()
    model = StatDEC(n_clusters, max_epochs=0, random_state=seed, **shape).fit(X)
    return model.net_.module_, time.process_time() - started


def run(setting, module, X, n_clusters, seed):
    """Fit one setting from the pre-trained module."""
    started = time.process_time()
    model = StatDEC(
        n_clusters,
        network=lambda shape: copy.deepcopy(module),
        layerwise_epochs=0,
        pretrain_epochs=0,
        random_state=seed,
        **setting,
    ).fit(X)
    return model, time.process_time() - started


def baseline(X, scored, n_clusters, seed):
    """KMeans on pixels in [0, 1]."""
    started = time.process_time()
    flat = X.reshape(len(X), -1).astype(np.float32) / X.max()
    model = KMeans(n_clusters, n_init=10, random_state=seed).fit(flat)
    seconds = time.process_time() - started
    return model.predict(scored.reshape(len(scored), -1).astype(np.float32) / X.max()), seconds


def table(result):
    heads = f"{'ACC':14} {'NMI':14} {'ARI':14} processor seconds"
    lines = [f"{'protocol':8} {'method':18} {'seeds':5} {heads}"]
    keys = sorted({(row["protocol"], row["method"]) for row in result["rows"]})
    for protocol, method in keys:
        rows = [r for r in result["rows"] if (r["protocol"], r["method"]) == (protocol, method)]
        cells = [_common.summary([row[name] for row in rows]) for name in ("acc", "nmi", "ari")]
        seconds = np.mean([row["pretrain_s"] + row["seconds"] for row in rows])
        lines.append(
            f"{protocol:8} {method:18} {len(rows):5} "
            + " ".join(f"{cell:14}" for cell in cells)
            + f" {seconds:.0f}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--protocols", nargs="+", default=["joined", "split"])
    parser.add_argument("--methods", nargs="+", default=["KMeans", *SETTINGS])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    X, target = _common.load(args.dataset, args.data)
    n_clusters = len(np.unique(target))
    shape = {"image_shape": X.shape[1:]} if X.ndim > 2 else {}
    for protocol in args.protocols:
        name = f"statdec_{args.dataset}_{protocol}"
        result = {"rows": _common.read(name).get("rows", [])}
        done = {(row["seed"], row["method"]) for row in result["rows"]}
        rows, part = split(X, protocol)
        for seed in args.seeds:
            todo = [m for m in args.methods if (seed, m) not in done]
            pretrained = {}
            for method in todo:
                if time.monotonic() > deadline:
                    print(table(result))
                    return
                if method == "KMeans":
                    labels, seconds = baseline(rows, X[part], n_clusters, seed)
                    more = {"pretrain_s": 0.0}
                else:
                    augmentation = SETTINGS[method].get("augmentation")
                    if augmentation not in pretrained:
                        first = shape | {"augmentation": augmentation}
                        pretrained[augmentation] = pretrain(rows, n_clusters, seed, first)
                    module, pretrain_s = pretrained[augmentation]
                    model, seconds = run(SETTINGS[method], module, rows, n_clusters, seed)
                    labels = model.predict(X[part])
                    more = {
                        "pretrain_s": pretrain_s,
                        "epochs": model.n_iter_,
                        "label_change": model.history_[-1]["label_change"] if model.history_ else 1,
                        "sizes": np.bincount(model.labels_, minlength=n_clusters).tolist(),
                    }
                row = {"protocol": protocol, "seed": seed, "method": method, "seconds": seconds}
                row |= _common.stamp() | more | _common.scores(target[part], labels)
                result["rows"].append(row)
                print({k: v if not isinstance(v, float) else round(v, 4) for k, v in row.items()},
                      flush=True)  # fmt: skip
                _common.write(name, result)
        print(table(result))


if __name__ == "__main__":
    main()
