"""DCCS on scikit-learn's digits with its defaults: ``python -m benchmarks.dccs_digits``.

Seconds are of the clock and depend on what else runs; CPU seconds are of all threads together.
With `--set NAME=VALUE` other parameters are measured, under a name of their own.
"""

import argparse
import ast
import time
import warnings

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _common
from skdeepcluster import DCCS


def fit(X, seed, params):
    """One fit, with what it took and how it ended."""
    clock, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = DCCS(10, random_state=seed, **params).fit(X)
    return model.labels_, {
        "seconds": time.perf_counter() - clock,
        "cpu_seconds": time.process_time() - cpu,
        "epochs": model.n_iter_,
        "wasserstein": [round(row["wasserstein"], 4) for row in model.history_],
        "sizes": np.bincount(model.labels_, minlength=10).tolist(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    deadline = time.monotonic() + args.budget
    params = {k: ast.literal_eval(v) for k, v in (item.split("=") for item in args.set)}
    method = " ".join(["DCCS", *args.set])
    result = {"rows": _common.read("dccs_digits").get("rows", [])}
    done = {(row["method"], row["seed"]) for row in result["rows"]}
    X, target = _common.load("digits", ".")
    for seed in args.seeds:
        for name in ("KMeans", method):
            if (name, seed) in done or time.monotonic() > deadline:
                continue
            if name == "KMeans":
                flat = X.reshape(len(X), -1)
                labels = KMeans(10, n_init=10, random_state=seed).fit_predict(flat)
                row = {}
            else:
                labels, row = fit(X, seed, params)
            row = (
                {"method": name, "seed": seed}
                | _common.stamp()
                | _common.scores(target, labels)
                | row
            )
            result["rows"].append(row)
            print({k: v for k, v in row.items() if k != "wasserstein"}, flush=True)
            _common.write("dccs_digits", result)
    for name in sorted({row["method"] for row in result["rows"]}):
        rows = [row for row in result["rows"] if row["method"] == name]
        cells = [_common.summary([row[key] for row in rows]) for key in ("acc", "nmi", "ari")]
        seconds = np.mean([row.get("seconds", 0) for row in rows])
        cpu = np.mean([row.get("cpu_seconds", 0) for row in rows])
        print(f"{name:40} {len(rows)}  {'  '.join(cells)}  {seconds:.0f} s, CPU {cpu:.0f} s")


if __name__ == "__main__":
    main()
