"""What the embeddings of StatDEC's networks hold: ``python -m benchmarks.statdec_networks``.

On digits, the MLP, the CNN, the VAE with several weights of its prior, and the UNet with several
shares of rows that are decoded without skips of their own. `z_only` is the squared error of what is
decoded from the embedding alone, relative to the images' mean square: in a UNet that says whether
the embedding is needed. A decoder that has always had its skips may do badly without them for their
own sake, so `neighbours` asks the embedding in another way: it is the error of an image as the mean
of those of its five nearest neighbours in the embedding, of other folds.

Each network is pre-trained once a seed, and then trained on for 100 epochs at most. With `--budget`
no fit is begun after so many seconds, and the same call goes on later.
"""

import argparse
import copy
import time
import warnings
from functools import partial

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from benchmarks import _common
from skdeepcluster import StatDEC
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import UNetAutoencoder

NAME = "statdec_networks"

#: Name to settings.
NETWORKS = {
    "mlp": {"network": "mlp"},
    "cnn": {"network": "cnn"},
    **{
        f"unet, skip dropout {share}": {
            "network": partial(UNetAutoencoder, n_clusters=10, skip_dropout=share)
        }
        for share in (0.5, 0.0, 1.0)
    },
    **{f"vae, beta {beta}": {"network": "vae", "beta": beta} for beta in (0.003, 0.01, 0.03, 0.1)},
}


def row_of(X, y, seed, setting):
    """Scores after pre-training, and after clustering."""
    cpu = time.process_time()
    first = StatDEC(10, random_state=seed, max_epochs=0, **setting).fit(X)
    module = first.net_.module_
    between = time.process_time()
    setting = setting | {"network": lambda shape: copy.deepcopy(module)}
    joint = StatDEC(10, random_state=seed, pretrain_epochs=0, max_epochs=100, **setting).fit(X)
    return {
        "acc_pretrained": clustering_accuracy(y, first.labels_),
        **_common.scores(y, joint.labels_),
        "reconstruction_pretrained": first.history_[-1]["reconstruction"],
        "divergence": first.history_[-1].get("divergence"),
        "z_only_pretrained": z_only(first, X),
        "z_only": z_only(joint, X),
        "neighbours_pretrained": neighbours(first, X),
        "neighbours": neighbours(joint, X),
        "epochs": joint.n_iter_,
        "pretrain_cpu_s": between - cpu,
        "cpu_s": time.process_time() - between,
    }


def z_only(model, X):
    return relative_error(model.inverse_transform(model.transform(X)), X)


def neighbours(model, X):
    rows = X.reshape(len(X), -1)
    folds = KFold(5, shuffle=True, random_state=0)
    found = cross_val_predict(KNeighborsRegressor(5), model.transform(X), rows, cv=folds)
    return relative_error(found, rows)


def relative_error(found, X):
    return float(((found - X) ** 2).mean() / (X**2).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS], choices=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    rows = _common.read(NAME).get("rows", [])
    done = {(row["seed"], row["network"]) for row in rows if "neighbours" in row}
    X, y = _common.load("digits", "")
    warnings.simplefilter("ignore", ConvergenceWarning)
    for seed in args.seeds:
        for name in args.networks:
            if (seed, name) in done or time.monotonic() > deadline:
                continue
            rows = [row for row in rows if (row["seed"], row["network"]) != (seed, name)]
            row = {"seed": seed, "network": name, **row_of(X, y, seed, NETWORKS[name])}
            rows.append(row | _common.stamp())
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()},
                  flush=True)  # fmt: skip
            _common.write(NAME, {"rows": rows})
    for name in args.networks:
        own = [row for row in rows if row["network"] == name]
        cells = [_common.summary([row[score] for row in own])
                 for score in ("acc_pretrained", "acc", "z_only_pretrained", "z_only",
                               "neighbours_pretrained", "neighbours")
                 if all(score in row for row in own)]  # fmt: skip
        print(f"{name:24}{len(own)} seeds", *cells)


if __name__ == "__main__":
    main()
