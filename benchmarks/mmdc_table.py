"""MMDC on images: ``python -m benchmarks.mmdc_table --dataset mnist --data FOLDER``.

Fits all images (or the first `--n`), without labels, and scores the same ones. Each row has the
scores before the refinement and after it, and the time; labels are used for scoring alone. The
settings are the defaults, `KMeans` on pixels, and the ablations of the paper's Table III, which
differ for images of colour alone. `--features` adds what Table IV measures: k-means on the features
of the penultimate layer, and a linear probe on them.

A run that is ended by `--budget` (seconds) or by anything else goes on where it was at the next
call with the same `--work`.

`seconds` are of the processor, over all threads: other work on the machine does not count. They are
the sum over the epochs, which a run in several calls keeps; of an epoch that was interrupted, what
came before counts no more. `wall_s` are the epochs' seconds on the clock, which is what counts on a
GPU. Rows are added to what the file then has, so that two calls can run side by side.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch.nn import functional as F

from benchmarks import _common
from skdeepcluster import MMDC
from skdeepcluster._mmdc import MMDCNet

#: Table III (without Sobel and with rotation: the default), NAT and what Table IV adds to it.
SETTINGS = {
    "MMDC": {},
    "neither": {"auxiliary": None},
    "Sobel": {"auxiliary": None, "sobel": True},
    "Sobel + rotation": {"auxiliary": "rotation", "sobel": True},
    "NAT": {"auxiliary": None, "targets": "uniform"},
    "NAT + RotNet": {"auxiliary": "rotation", "targets": "uniform"},
    "RotNet": {"auxiliary": "rotation", "targets": "uniform"},
}


class RotationNet(MMDCNet):
    """Learns the rotations alone."""

    n_tasks = 1
    task_ = "rotation"


class RotNet(MMDC):
    """RotNet; clusters are those of k-means on what an untrained head makes of its features."""

    _net_class = RotationNet


class Before(Callback):
    """Keep the labels that there are when the refinement begins."""

    def __init__(self, path):
        self.path = Path(path)

    def on_epoch_end(self, net, **kwargs):
        # The run's own counter stands at the epoch that ends.
        if net.task_ == "clustering" and net.refine_after == net.task_epoch_ + 1:
            p = net.map_rows(net.source_, lambda x: net.assignment_(net.embed(x)))
            np.save(self.path, p.argmax(dim=1).cpu().numpy())


class ProcessorTime(Callback):
    """Note in each epoch's row of the history what the processor took for it."""

    def on_epoch_begin(self, net, **kwargs):
        self.started_ = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        net.history.record("processor_s", time.process_time() - self.started_)


def linear_probe(H, target, n_train, device, seed=0, epochs=100):
    """Accuracy on the rows after `n_train` of a linear classifier trained on those before."""
    torch.manual_seed(seed)
    H = torch.from_numpy(H).to(device)
    y = torch.from_numpy(target.astype(np.int64)).to(device)
    linear = torch.nn.Linear(H.shape[1], int(y.max()) + 1, device=device)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(n_train, device=device).split(128):
            loss = F.cross_entropy(linear(H[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    with torch.no_grad():
        return (linear(H[n_train:]).argmax(dim=1) == y[n_train:]).float().mean().item()


def features(model, X, target, n_train, seed):
    """What Table IV measures."""
    H = model.set_params(embedding="features").transform(X)
    labels = KMeans(model.n_clusters, n_init=10, random_state=seed).fit_predict(H)
    scored = {f"kmeans_{name}": v for name, v in _common.scores(target, labels).items()}
    if n_train < len(X):
        scored["linear_acc"] = linear_probe(H, target, n_train, model.net_.device)
    return scored


def fit(name, setting, X, n_clusters, seed, work, seconds, **params):
    """Fit from where the last call ended; return the model, whether it ended, labels before."""
    method = RotNet if setting == "RotNet" else MMDC
    params = {**SETTINGS[setting], **params}
    if params.get("targets") == "uniform":  # nothing to refine
        params.pop("refine_after", None)
    before = work / f"{name}-{setting.replace(' ', '')}-{seed}-{len(X)}-before.npy"
    model = method(
        n_clusters,
        **params,
        random_state=seed,
        checkpoint=work,
        max_time=max(1.0, seconds) if np.isfinite(seconds) else None,
        callbacks=[ProcessorTime(), Before(before)],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X)
    return model, model.net_.stopped_by_ is None, np.load(before) if before.exists() else None


def run(name, setting, X, target, seed, work, seconds, n_train=None, **params):
    """One row, or None if the time was up before its end."""
    n_clusters = len(np.unique(target))
    if setting == "KMeans":
        started, clock = time.process_time(), time.perf_counter()
        flat = X.reshape(len(X), -1).astype(np.float32)
        labels = KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(flat)
        row = {"seconds": time.process_time() - started, "wall_s": time.perf_counter() - clock}
        return row | _common.scores(target, labels)
    model, ended, before = fit(name, setting, X, n_clusters, seed, work, seconds, **params)
    row = {
        "epochs": len(model.history_) // model.net_.n_tasks,  # of clustering, or of rotation alone
        "seconds": sum(r.get("processor_s", np.nan) for r in model.history_),
        "wall_s": sum(r["seconds"] for r in model.history_),
    }
    row |= _common.scores(target, model.labels_)
    row["sizes"] = np.bincount(model.labels_, minlength=n_clusters).tolist()
    row["loss"] = model.history_[-1]["loss"]
    if not ended:
        print("so far", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
        return None
    if before is not None:
        row |= {f"before_{name}": v for name, v in _common.scores(target, before).items()}
    return row | (features(model, X, target, n_train, seed) if n_train else {})


def key(row):
    """What a file has one row of."""
    return row["setting"], row["n"], row["seed"]


def is_done(name, wanted, features):
    """Whether the file has the row, and in it the features where these are asked for."""
    rows = [row for row in _common.read(name).get("rows", []) if key(row) == wanted]
    complete = "kmeans_acc" if features and wanted[0] != "KMeans" else "acc"
    return any(complete in row for row in rows)


def keep(name, row):
    """Put the row into the file as it then is: others may have added rows meanwhile."""
    rows = [other for other in _common.read(name).get("rows", []) if key(other) != key(row)]
    _common.write(name, {"rows": [*rows, row]})


def table(result):
    """Means and deviations over the seeds, a line a setting."""
    names = ["acc", "before_acc", "nmi", "ari", "kmeans_acc", "kmeans_nmi", "linear_acc"]
    lines = [f"{'setting':18} {'n':6} {'seeds':5} " + " ".join(f"{name:14}" for name in names)]
    for setting, n in sorted({(row["setting"], row["n"]) for row in result["rows"]}):
        rows = [row for row in result["rows"] if (row["setting"], row["n"]) == (setting, n)]
        cells = [
            _common.summary([row[name] for row in rows]) if all(name in row for row in rows) else ""
            for name in names
        ]
        seconds = np.mean([row.get("seconds", np.nan) for row in rows])
        lines.append(
            f"{setting:18} {n:6} {len(rows):5} "
            + " ".join(f"{cell:14}" for cell in cells)
            + f" {seconds:.0f} s"
        )
    return "\n".join(lines)


def parser():
    """Options that the benchmark on a GPU has, too."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--n", type=int, help="only the first so many images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--settings", nargs="+", default=["MMDC"], choices=["KMeans", *SETTINGS])
    parser.add_argument("--epochs", type=int, help="the paper's if not given")
    parser.add_argument("--features", action="store_true", help="Table IV")
    parser.add_argument("--work", type=Path, default=Path("mmdc_work"), help="for resuming")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds")
    return parser


def all_rows(name, X, target, args, n_train, **params):
    """Run what is still to do, until the time is up."""
    deadline = time.monotonic() + args.budget
    args.work.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for setting in args.settings:
            left = deadline - time.monotonic()
            if left <= 0 or is_done(name, (setting, len(X), seed), n_train is not None):
                continue
            row = run(name, setting, X, target, seed, args.work, left, n_train, **params)
            if row is not None:
                row = {"setting": setting, "n": len(X), "seed": seed, **_common.stamp(), **row}
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()},
                      flush=True)  # fmt: skip
                keep(name, row)
    print(table({"rows": _common.read(name).get("rows", [])}))


def main():
    options = parser()
    options.description = __doc__.splitlines()[0]
    options.add_argument("--dataset", default="mnist")
    options.add_argument("--threads", type=int, default=2)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    X, target = _common.load(args.dataset, args.data)
    n_train = int(len(X) * (5 / 6 if args.dataset == "cifar10" else 6 / 7))
    if args.n is not None:
        X, target = X[: args.n], target[: args.n]
        n_train = int(args.n * 0.8)
    params = {} if args.epochs is None else {"max_epochs": args.epochs}
    name = f"mmdc_{args.dataset}" + ("" if args.epochs is None else f"_{args.epochs}_epochs")
    all_rows(name, X, target, args, n_train if args.features else None, **params)


if __name__ == "__main__":
    main()
