"""ACC and the critic's estimate against encoder updates: ``python -m benchmarks.dccs_curves``.

All images are joined, clustered without labels and scored on themselves after each epoch of the
encoder's updates. The methods are rows of the paper's Table 5 and variants: M1 has the prior alone,
M2 adds mutual information, M3 adds augmentation to M1 instead, M4 is all of DCCS.

Each run takes `--minutes` of training in all. It is saved about once a minute in `--checkpoints`;
with `--budget` a call ends after that many seconds, and the same call goes on later.
"""

import argparse
import time

import numpy as np
import torch
from skorch.callbacks import Callback

from benchmarks import _common
from skdeepcluster import DCCS

SETTINGS = {
    "M1": {"beta_mi": 0, "beta_aug": 0},
    "M2": {"beta_aug": 0},
    "M3": {"beta_mi": 0},
    "M4": {},
    "M4 without style": {"n_style": 0},
    "M4 Sobel": {"color": "sobel"},
    "M4 decoder": {"information": "decoder"},
    "M4 paper": {"beta_aug": 2.0, "beta_adv": 1.0, "learning_rate": 1e-4},
    "M4 paper, 5e-4": {"beta_aug": 2.0, "beta_adv": 1.0, "learning_rate": 5e-4},
    "M4 5e-4": {"learning_rate": 5e-4},
}

#: What suits a data set beside the defaults: clothes and photographs may be mirrored.
DATASETS = {
    "digits": {},
    "mnist": {},
    "fashion_mnist": {"horizontal_flip": True},
    "cifar10": {"horizontal_flip": True},
}


class Curve(Callback):
    """Score all rows after each epoch, and write the row down."""

    def __init__(self, target, write, seconds):
        self.target = target
        self.write = write
        self.seconds = seconds  # of training, in the calls before

    def on_train_begin(self, net, **kwargs):
        self.scoring_ = 0.0
        self.started_ = time.monotonic()

    def on_epoch_end(self, net, **kwargs):
        started = time.monotonic()
        proba = net.map_rows(net.source_, lambda x: net.module_(x)[0].softmax(dim=1)).cpu().numpy()
        labels = proba.argmax(axis=1)
        self.scoring_ += time.monotonic() - started
        row = {
            "updates": net.step_count_,
            "seconds": self.seconds + time.monotonic() - self.started_ - self.scoring_,
            "confidence": float(proba.max(axis=1).mean()),
            "sizes": np.bincount(labels, minlength=proba.shape[1]).tolist(),
        }
        terms = {k: v for k, v in net.history[-1].items() if isinstance(v, float)}
        terms.pop("seconds")
        self.write(row | terms | _common.scores(self.target, labels))


def run(args, result, method, seed, X, target, limit, name):
    """Train for `limit` seconds, adding rows to the result."""
    key = {"method": method, "seed": seed, "first": args.first}
    own = [row for row in result["rows"] if all(row.get(k) == v for k, v in key.items())]
    before = max((row["seconds"] for row in own), default=0.0)
    done = {row["updates"] for row in own}

    def write(row):
        if row["updates"] in done:  # of an epoch that was scored, but not saved any more
            return
        done.add(row["updates"])
        result["rows"].append(key | _common.stamp() | row)
        shown = {k: round(v, 4) for k, v in row.items() if isinstance(v, float | int)}
        print(method, seed, shown, flush=True)
        _common.write(name, result)

    limit = min(limit, 60 * args.minutes - before)
    if limit <= 0:
        return
    shape = {"image_shape": X.shape[1:]} if X.ndim > 2 else {}
    DCCS(
        len(np.unique(target)),
        **DATASETS.get(args.dataset, {}) | SETTINGS[method] | shape,
        tol=0,
        max_epochs=3000,
        max_time=limit,
        checkpoint=args.checkpoints,
        callbacks=[("curve", Curve(target, write, before))],
        random_state=seed,
        device=args.device,
    ).fit(X)


def table(result):
    lines = ["method              seed  minutes  updates  estimate  ACC    NMI    ARI"]
    for method, seed in sorted({(row["method"], row["seed"]) for row in result["rows"]}):
        rows = [r for r in result["rows"] if (r["method"], r["seed"]) == (method, seed)]
        last = max(rows, key=lambda row: row["updates"])
        lines.append(
            f"{method:19} {seed:4} {last['seconds'] / 60:8.1f} {last['updates']:8} "
            f"{last['wasserstein']:9.3f}  {last['acc']:.3f}  {last['nmi']:.3f}  {last['ari']:.3f}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--first", type=int, help="only so many images, for development")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", default=["M4"], choices=SETTINGS)
    parser.add_argument("--minutes", type=float, default=60, help="of training for each run")
    parser.add_argument("--checkpoints", default="checkpoints", help="folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds for this call")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    name = f"dccs_{args.dataset}"
    result = {"rows": _common.read(name).get("rows", [])}
    X, target = _common.load(args.dataset, args.data)
    X, target = X[: args.first], target[: args.first]
    for seed in args.seeds:
        for method in args.methods:
            left = deadline - time.monotonic()
            if left > 0:
                run(args, result, method, seed, X, target, left, name)
    print(table(result))


if __name__ == "__main__":
    main()
