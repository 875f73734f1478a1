"""Imbalanced images, method by method: ``python -m benchmarks.imbalance --data DIR``.

Tables I and V of StatDEC, and what it is compared with: long-tailed and step samplings at 10 and
100 to 1, and balanced ones, of `--limit` images at most. `--methods` takes names or groups:

- "table": KMeans, k-means on the autoencoder's embedding, DEC, IDEC, StatDEC-1 (Table I);
- "ablation": StatDEC-1, -2, -3, +CNN, +UNet and +VAE (Table V), "variational": VAE and VDEC;
- "readings": StatDEC-1 with every reading of eq. 5;
- "others": the package's other methods, with their defaults.

Settings that share a network start from one pre-trained autoencoder a seed, whose time is in each
row as `pretrain_s`. No fit takes longer than `--minutes`; one that was ended says so. `--budget`
begins no fit after so many seconds; the same call goes on from there. One file a data set.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

import skdeepcluster
from benchmarks import _common
from benchmarks.statdec_table import baseline, pretrain, run
from skdeepcluster.datasets import make_long_tailed, make_step_imbalanced
from skdeepcluster.metrics import class_recall
from skdeepcluster.objectives import TARGET_READINGS

SAMPLINGS = {
    "balanced": (make_step_imbalanced, 1),
    "long-tailed 10": (make_long_tailed, 10),
    "long-tailed 100": (make_long_tailed, 100),
    "step 10": (make_step_imbalanced, 10),
    "step 100": (make_step_imbalanced, 100),
}

#: Name to network and setting of `StatDEC`.
SETTINGS = {
    "AE + KMeans": ("mlp", {"max_epochs": 0}),
    "DEC": ("mlp", {"lam": 1.0, "weighted_target": False, "statistics_pooling": False}),
    "IDEC": ("mlp", {"weighted_target": False, "statistics_pooling": False}),
    "VAE + KMeans": ("vae", {"max_epochs": 0}),
    "VDEC": ("vae", {"weighted_target": False, "statistics_pooling": False}),
    "StatDEC-1": ("mlp", {}),
    "StatDEC-2": ("mlp", {"statistics_pooling": False}),
    "StatDEC-3": ("mlp", {"weighted_target": False}),
    "StatDEC+CNN": ("cnn", {"weighted_target": False}),
    "StatDEC+UNet": ("unet", {}),
    "StatDEC+VAE": ("vae", {}),
    # "members" is StatDEC-1, "dec" StatDEC-3
    **{
        f"StatDEC-1 {reading}": ("mlp", {"weighted_target": reading})
        for reading in TARGET_READINGS
        if reading not in ("members", "dec")
    },
}

GROUPS = {
    "table": ["KMeans", "AE + KMeans", "DEC", "IDEC", "StatDEC-1"],
    "variational": ["VAE + KMeans", "VDEC"],
    "ablation": [f"StatDEC{name}" for name in ("-1", "-2", "-3", "+CNN", "+UNet", "+VAE")],
    "readings": ["StatDEC-1", "StatDEC-3", *(n for n in SETTINGS if n.startswith("StatDEC-1 "))],
    "others": ["DCCS", "VariationalGMMClustering", "MMDC"],
}


def sample(X, y, sampling, limit, seed):
    """At most about `limit` rows whose class sizes are those of a sampling."""
    make, ratio = SAMPLINGS[sampling]
    classes, counts = np.unique(y, return_counts=True)
    probe = np.repeat(np.arange(len(classes)), 1000)
    share = len(make(probe, probe, ratio)[0]) / 1000
    largest = min(counts.min(), int(limit / share))
    rng = np.random.RandomState(seed)
    index = [rng.permutation(np.flatnonzero(y == label))[:largest] for label in classes]
    index = np.sort(np.concatenate(index))
    return make(X[index], y[index], ratio, random_state=rng)


class Fits:
    """Fits on one sample, with one pre-training for all settings of a network."""

    def __init__(self, X, n_clusters, seed, seconds):
        self.X, self.n_clusters, self.seed, self.seconds = X, n_clusters, seed, seconds
        self.modules = {}

    def fit(self, method):
        """Labels, and what else the row tells."""
        if method == "KMeans":
            labels, seconds = baseline(self.X, self.X, self.n_clusters, self.seed)
            return labels, {"seconds": seconds, "pretrain_s": 0.0}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            if method in SETTINGS:
                model, more = self.statdec(*SETTINGS[method])
            else:
                model, more = self.other(method)
        sizes = [row["cluster_sizes"] for row in model.history_ if "cluster_sizes" in row]
        return model.labels_, more | {
            "epochs": model.n_iter_,
            "sizes_first": sorted(sizes[0]) if sizes else [],
            "sizes_last": np.sort(np.bincount(model.labels_, minlength=self.n_clusters)).tolist(),
            "warnings": [str(w.message) for w in caught if w.category is ConvergenceWarning],
        }

    def statdec(self, network, setting):
        if network not in self.modules:
            images = {"network": network, "max_time": self.seconds}
            started = time.perf_counter()
            module, pretrain_s = pretrain(self.X, self.n_clusters, self.seed, images)
            self.modules[network] = module, pretrain_s, time.perf_counter() - started
        module, pretrain_s, elapsed = self.modules[network]
        # The bound is of both phases, though the first is run once for all.
        setting = {"max_time": max(1.0, self.seconds - elapsed), **setting}
        model, seconds = run(setting, module, self.X, self.n_clusters, self.seed)
        return model, {"seconds": seconds, "pretrain_s": pretrain_s}

    def other(self, method):
        started = time.process_time()
        estimator = getattr(skdeepcluster, method)
        model = estimator(self.n_clusters, max_time=self.seconds, random_state=self.seed)
        model.fit(self.X)
        return model, {"seconds": time.process_time() - started, "pretrain_s": 0.0}


def chosen(names):
    """Methods by names and groups, once each, of those that the package has."""
    methods = dict.fromkeys(method for name in names for method in GROUPS.get(name, [name]))
    known = {"KMeans", *SETTINGS}
    missing = [m for m in methods if m not in known and not hasattr(skdeepcluster, m)]
    for method in missing:
        print(f"the package has no {method}")
    return [method for method in methods if method not in missing]


def table(rows):
    """Means over seeds, a line a method and sampling."""
    lines = [f"{'sampling':16}{'method':20}seeds " + "".join(
        f"{name:15}" for name in ("ACC", "balanced ACC", "rare", "NMI"))]  # fmt: skip
    for sampling in SAMPLINGS:
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [r for r in rows if (r["sampling"], r["method"]) == (sampling, method)]
            if own:
                scores = ("acc", "balanced_acc", "recall_smallest", "nmi")
                cells = [_common.summary([row[score] for row in own]) for score in scores]
                cells = "".join(f"{cell:15}" for cell in cells)
                lines.append(f"{sampling:16}{method:20}{len(own):5} {cells}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--datasets", nargs="+", default=["mnist", "fashion_mnist", "cifar10"])
    parser.add_argument("--samplings", nargs="+", default=[*SAMPLINGS], choices=SAMPLINGS)
    parser.add_argument("--methods", nargs="+", default=["table"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, default=10_000, help="images at most")
    parser.add_argument("--minutes", type=float, default=20, help="of a fit at most")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds of this call")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    methods = chosen(args.methods)
    for dataset in args.datasets:
        name = f"imbalance_{dataset}"
        rows = _common.read(name).get("rows", [])
        done = {(r["sampling"], r["seed"], r["limit"], r["method"]) for r in rows}
        X, y = _common.load(dataset, args.data)
        # Seed by seed, so that a run that ends early has all methods for the first.
        for seed in args.seeds:
            for sampling in args.samplings:
                todo = [m for m in methods if (sampling, seed, args.limit, m) not in done]
                images, target = sample(X, y, sampling, args.limit, seed)
                fits = Fits(images, len(np.unique(y)), seed, 60 * args.minutes)
                for method in todo:
                    if time.monotonic() > deadline:
                        print(table([row for row in rows if row["limit"] == args.limit]))
                        return
                    labels, more = fits.fit(method)
                    recall = class_recall(target, labels)
                    row = {"dataset": dataset, "sampling": sampling, "seed": seed,
                           "limit": args.limit, "method": method, "n": len(target)}  # fmt: skip
                    row |= _common.stamp() | more | _common.scores(target, labels)
                    row["balanced_acc"] = float(recall.mean())
                    # The last classes are the rare ones; in balanced samples they are as any.
                    row["recall_smallest"] = float(recall[-3:].mean())
                    row["recall"] = recall.round(4).tolist()
                    rows.append(row)
                    print({k: round(v, 4) if isinstance(v, float) else v
                           for k, v in row.items()}, flush=True)  # fmt: skip
                    _common.write(name, {"rows": rows})
        print(dataset)
        print(table([row for row in rows if row["limit"] == args.limit]))


if __name__ == "__main__":
    main()
