"""How far label-free scores go along with ACC: ``python -m benchmarks.label_free``.

A configuration is a draw from a space of settings, with a seed of its own. It is fitted as in a
search: on 40 % of the rows, and a second time for stability, and scored on the others, label-free
and by ACC. Labels are used for that alone. Settings that change the objective (`WEIGHTS`) are drawn
for half of the configurations; the correlation of the objective is given without these, too, for
only then it can be compared.

The other parts are the number of clusters, chosen from a range by each score, and the consensus of
five seeds beside its runs.

``--budget`` ends the call after so many seconds, and the same call goes on later: each
configuration is written when it is done. Seconds are of the processor.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, cross_validate

from benchmarks import _common
from skdeepcluster import DCCS, MMDC, StatDEC, VariationalGMMClustering
from skdeepcluster.metrics import acc_scorer, clustering_accuracy
from skdeepcluster.model_selection import (
    ConsensusClusterer,
    SilhouetteScorer,
    objective_scorer,
    silhouette_scorer,
    stability_scorer,
)

METHODS = {
    "statdec": StatDEC,
    "dccs": DCCS,
    "mmdc": MMDC,
    "variationalgmmclustering": VariationalGMMClustering,
}

#: Settings that leave the objective as it is. All runs are short: the question is the order.
SPACES = {
    "statdec": {
        "embedding_dim": [3, 5, 10, 20],
        "hidden_sizes": [(50, 50), (200, 200), (500, 500, 1000)],
        "pretrain_epochs": [2, 10, 40],
        "learning_rate": [0.0003, 0.001, 0.003],
        "statistics_pooling": [True, False],
        "max_epochs": [20],
    },
    "dccs": {
        "learning_rate": [0.0003, 0.001, 0.003],
        "n_critic": [2, 4],
        "brightness": [0.0, 0.4],
        "max_epochs": [8, 20],
    },
    "mmdc": {
        "learning_rate": [0.005, 0.02, 0.05],
        "weight_decay": [0.0, 0.0005],
        "refine_after": [None, "auto"],
        "batch_size": [32, 128],
        "max_epochs": [5, 15],
    },
    "variationalgmmclustering": {
        "embedding_dim": [5, 10, 20],
        "hidden_sizes": [(64, 64), (128, 128)],
        "n_init": [1, 4],
        "learning_rate": [0.0005, 0.001, 0.003],
        "max_epochs": [20, 60],
    },
}

#: Settings that change it.
WEIGHTS = {
    "statdec": {"lam": [0.01, 0.5], "weighted_target": [True, False]},
    "dccs": {"beta_mi": [0.0, 0.5], "beta_aug": [0.5, 2.0]},
    "mmdc": {"targets": ["random"], "sigma": [0.0, 0.1]},
    "variationalgmmclustering": {"lambda_recons": [1.0, 3.0], "lambda_aug": [1.0, 4.0]},
}

SCORERS = {
    "silhouette": silhouette_scorer,
    "silhouette of pixels": SilhouetteScorer(space="input"),
    "objective": objective_scorer,
    "stability": stability_scorer,
}
FIRST = 10_000
N_RUNS = 5


def draw(method, index):
    """The configuration of that number: always the same one."""
    rng = np.random.default_rng([index, sorted(METHODS).index(method)])
    spaces = [SPACES[method], WEIGHTS[method] if index % 2 else {}]
    settings = {
        name: values[rng.integers(len(values))]
        for space in spaces
        for name, values in space.items()
    }
    return settings | {"random_state": index}


def evaluate(method, n_clusters, settings, X, target, n_splits):
    """Means over the splits of all scores and ACC."""
    started = time.process_time()
    folds = ShuffleSplit(n_splits, train_size=0.4, test_size=0.6, random_state=0)
    model = METHODS[method](n_clusters, **settings)
    found = cross_validate(
        model, X, target, scoring=SCORERS | {"acc": acc_scorer}, cv=folds, error_score="raise"
    )
    row = {name: float(found[f"test_{name}"].mean()) for name in [*SCORERS, "acc"]}
    return row | {"seconds": time.process_time() - started}


def consensus(method, n_clusters, seed, X, target):
    """ACC of the consensus and of its runs, all rows fitted and scored."""
    started = time.process_time()
    model = ConsensusClusterer(METHODS[method](n_clusters, **usual(method)), N_RUNS)
    model.set_params(random_state=seed).fit(X)
    return {
        "acc": clustering_accuracy(target, model.labels_),
        "runs": [clustering_accuracy(target, run.labels_) for run in model.estimators_],
        "agreement": float(model.agreement_[np.triu_indices(N_RUNS, 1)].mean()),
        "seconds": time.process_time() - started,
    }


def usual(method):
    """Settings of the parts that do not vary them: the largest of each, but the usual rate."""
    largest = {name: values[-1] for name, values in SPACES[method].items()}
    del largest["learning_rate"]
    return largest | ({"statistics_pooling": True} if method == "statdec" else {})


def jobs(args, n_classes):
    """What there is to do, each with its key in the file."""
    common = {"method": args.method, "n": args.n, "splits": args.splits}
    if "configurations" in args.parts:
        for index in range(args.configurations):
            yield {"part": "configurations", "index": index, **common}, n_classes
    if "n_clusters" in args.parts:
        for k in range(max(2, n_classes - 5), n_classes + 6):
            yield {"part": "n_clusters", "k": k, **common}, k
    if "consensus" in args.parts:
        for seed in args.seeds:
            yield {"part": "consensus", "seed": seed, **common}, n_classes


def run(key, k, X, target):
    """A row without its key."""
    method = key["method"]
    if key["part"] == "consensus":
        return consensus(method, k, key["seed"], X, target)
    if key["part"] == "n_clusters":
        settings = usual(method) | {"random_state": 0}
    else:
        settings = draw(method, key["index"])
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
    return {"settings": plain, **evaluate(method, k, settings, X, target, key["splits"])}


def report(rows):
    """Correlations, and what each choice leads to."""
    lines = []
    for method, n in sorted({(row["method"], row["n"]) for row in rows}):
        own = [row for row in rows if (row["method"], row["n"]) == (method, n)]
        configurations = [row for row in own if row["part"] == "configurations"]
        alike = [row for row in configurations if row["index"] % 2 == 0]
        lines.append(f"{method}, {n} rows")
        for title, group in (("all", configurations), ("one objective", alike)):
            if len(group) > 2:
                lines += correlations(title, group)
        curve = [row for row in own if row["part"] == "n_clusters"]
        if curve:
            chosen = {name: _best_number(curve, name) for name in SCORERS}
            best = _best_number(curve, "acc")
            lines.append(f"  clusters chosen of {len(curve)}: {chosen}, by ACC {best}")
        for row in own:
            if row["part"] == "consensus":
                runs = _common.summary(row["runs"])
                lines.append(f"  consensus, seed {row['seed']}: {row['acc']:.3f}, runs {runs}")
    return "\n".join(lines)


def _best_number(curve, name):
    """The number of clusters with the highest score; of equal ones the largest, as in a search."""
    return max(curve, key=lambda row: (row[name], row["k"]))["k"]


def correlations(title, group):
    """Spearman's rho of each score with ACC, and the ACC of the configuration that it chooses."""
    acc = np.array([row["acc"] for row in group])
    lines = [f"  {title}: {len(group)} configurations, ACC {acc.min():.3f} to {acc.max():.3f}, "
             f"mean {acc.mean():.3f}"]  # fmt: skip
    for name in SCORERS:
        score = np.array([row[name] for row in group])
        rho = spearmanr(score, acc).statistic
        lines.append(f"    {name:22} rho {rho:6.3f}   chosen: ACC {acc[score.argmax()]:.3f}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--method", default="statdec", choices=METHODS)
    parser.add_argument("--parts", nargs="+", default=["configurations", "n_clusters", "consensus"],
                        choices=["configurations", "n_clusters", "consensus"])  # fmt: skip
    parser.add_argument("--configurations", type=int, default=24)
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n", type=int, default=FIRST, help="only the first so many rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)
    deadline = time.monotonic() + args.budget
    name = f"label_free_{args.dataset}"
    X, target = _common.load(args.dataset, args.data)
    X, target = X[: args.n], target[: args.n]
    args.n = len(X)
    rows = _common.read(name).get("rows", [])
    for key, k in jobs(args, len(np.unique(target))):
        if any(key.items() <= row.items() for row in rows):
            continue
        if time.monotonic() > deadline:
            break
        rows.append(key | _common.stamp() | run(key, k, X, target))
        print({a: round(v, 4) if isinstance(v, float) else v for a, v in rows[-1].items()},
              flush=True)  # fmt: skip
        _common.write(name, {"rows": rows})
    print(report(rows))


if __name__ == "__main__":
    main()
