"""Tables I and V: ``python -m benchmarks.vgmm_table --dataset mnist --data FOLDER``.

Rows are KMeans on pixels and settings of `VariationalGMMClustering`: the MLP, or with
``--network conv`` the networks of Table II; K of 8, 10 and 20, and the ablation. Training and test
images are joined, and labels are used for scoring alone. Each fit is bounded by ``--minutes`` and
keeps a checkpoint in ``--checkpoints``: one that was killed goes on, one that ended is not begun
again. With ``--budget``, no fit is begun after that many seconds.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _common
from skdeepcluster import VariationalGMMClustering

#: Of Table II and section V; "paper" is the paper's schedule and augmentation on its networks.
PAPER = {
    "mnist": {"augmentation": "rotation", "lambda_recons": 1.0, "batch_size": 100},
    "fashion_mnist": {"augmentation": "brightness", "lambda_recons": 1.0, "batch_size": 100},
    "cifar10": {
        "augmentation": "affine",
        "lambda_recons": ((0, 0.5), (40, 0.1)),
        "batch_size": 30,
        "learning_rate": 1e-4,
    },
}
PAPER_AUG = {
    "lambda_aug": ((0, 0.01), (40, 0.5), (80, 1.0)),
    "aug_weights": (1.0, 1.0),
    "augmented_elbo": False,
}


def settings(dataset):
    """Rows of the tables, by name."""
    paper = PAPER_AUG | PAPER.get(dataset, PAPER["mnist"])
    return {
        "default": {},
        "k=8": {"n_clusters": 8},
        "k=20": {"n_clusters": 20},
        "posterior_mass=0.99": {"posterior_mass": 0.99},
        "posterior_mass=0.999": {"posterior_mass": 0.999},
        "paper": paper,
        "paper, VAE with GMM prior": paper | {"augmentation": None},
        "paper, L2": paper | {"aug_weights": (1.0, 0.0)},
        "paper, W2": paper | {"aug_weights": (0.0, 1.0)},
        "without augmentation": {"augmentation": None},
        "L2": {"aug_weights": (1.0, 0.0)},
        "W2": {"aug_weights": (0.0, 1.0)},
    }


def fit(method, X, n_classes, seed, args):
    """Labels, seconds and what else is worth keeping."""
    started = time.perf_counter()
    if method == "KMeans":
        flat = X.reshape(len(X), -1).astype(np.float32) / 255
        labels = KMeans(n_classes, n_init=10, random_state=seed).fit_predict(flat)
        return labels, time.perf_counter() - started, {}
    params = {"n_clusters": n_classes} | settings(args.dataset)[method]
    if args.network == "mlp":
        params["hidden_sizes"] = tuple(args.hidden)
    if args.epochs:
        params["max_epochs"] = args.epochs
    model = VariationalGMMClustering(
        **params,
        network=args.network,
        max_time=60 * args.minutes,
        checkpoint=args.checkpoints,
        random_state=seed,
        verbose=args.verbose,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X)
    more = {
        "epochs": model.n_iter_,
        "score": model.score(X[:: max(1, len(X) // 10_000)]),
        "sizes": np.bincount(model.labels_, minlength=model.n_clusters).tolist(),
        "last_epoch": model.history_[-1],
    }
    return model.labels_, time.perf_counter() - started, more


def table(rows):
    lines = [f"{'network':8} {'minutes':>7} {'method':28} {'seeds':5} {'ACC':14} {'NMI':14} ARI"]
    keys = sorted({(row["network"], row["minutes"], row["method"]) for row in rows})
    for key in keys:
        own = [r for r in rows if (r["network"], r["minutes"], r["method"]) == key]
        cells = [_common.summary([row[name] for row in own]) for name in ("acc", "nmi", "ari")]
        lines.append(
            f"{key[0]:8} {key[1]:7g} {key[2]:28} {len(own):5} "
            + " ".join(f"{cell:14}" for cell in cells)
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--methods", nargs="+", default=["KMeans", "default"])
    parser.add_argument("--network", default="mlp", choices=["mlp", "conv"])
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--first", type=int, help="only the first so many images")
    parser.add_argument("--checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--verbose", type=int, default=0)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    name = f"vgmm_{args.dataset}"
    rows = _common.read(name).get("rows", [])
    X, target = _common.load(args.dataset, args.data)
    X, target = X[: args.first], target[: args.first]
    common = {"minutes": args.minutes, "n": len(X), "max_epochs": args.epochs}
    for seed in args.seeds:
        for method in args.methods:
            network = "-" if method == "KMeans" else args.network
            key = {"seed": seed, "method": method, "network": network, **common}
            if any(key.items() <= row.items() for row in rows):
                continue
            if time.monotonic() > deadline:
                print(table(rows))
                return
            labels, seconds, more = fit(method, X, len(np.unique(target)), seed, args)
            scores = _common.scores(target, labels)
            rows.append(key | _common.stamp() | {"seconds": seconds} | scores | more)
            print(method, seed, {k: round(v, 4) for k, v in scores.items()}, flush=True)
            _common.write(name, {"rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
