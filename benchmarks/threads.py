"""Fit every method with 1, 2 and 8 threads, and count the labels that differ.

``python -m benchmarks.threads``: digits, the defaults, one seed; a row a method and number of
threads. Labels are compared with those of one thread, as they are and after renaming.
"""

import argparse
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits

import skdeepcluster
from skdeepcluster.metrics import clustering_accuracy

METHODS = ("DCCS", "MMDC", "StatDEC", "VariationalGMMClustering")


def fit(name: str, X: np.ndarray, threads: int, max_epochs: int | None, seed: int):
    torch.set_num_threads(threads)
    given = {} if max_epochs is None else {"max_epochs": max_epochs}
    model = getattr(skdeepcluster, name)(
        10, image_shape=(8, 8), device="cpu", random_state=seed, **given
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--max-epochs", type=int, help="the method's default where left out")
    parser.add_argument("--rows", type=int, default=1797)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X, y = X[: arguments.rows], y[: arguments.rows]
    print("method, threads, repeated alike, labels that differ, renamed, ACC", flush=True)
    for name in arguments.methods:
        first = None
        for threads in (1, 2, 8):
            one, again = (
                fit(name, X, threads, arguments.max_epochs, arguments.seed) for _ in range(2)
            )
            first = one if first is None else first
            alike = np.array_equal(one.transform(X), again.transform(X))
            differ = int((one.labels_ != first.labels_).sum())
            renamed = round(len(X) * (1 - clustering_accuracy(first.labels_, one.labels_)))
            accuracy = clustering_accuracy(y, one.labels_)
            print(name, threads, alike, differ, renamed, f"{accuracy:.3f}", sep=", ", flush=True)


if __name__ == "__main__":
    main()
