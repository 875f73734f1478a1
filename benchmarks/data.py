"""Data by name, the samplings of the papers, and pieces that travel one by one."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from skdeepcluster.datasets import (
    make_circle_arcs,
    make_long_tailed,
    make_retention_imbalanced,
    make_step_imbalanced,
)

SAMPLINGS = {
    "long-tailed": make_long_tailed,
    "step": make_step_imbalanced,
    "balanced": lambda X, y, _, **kwargs: make_step_imbalanced(X, y, 1, **kwargs),
    "retention": make_retention_imbalanced,
}

#: Rows of the training split, by what the papers with protocol "split" train on.
TRAINING = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000}

PIECE_BYTES = 48_000_000  # of the rows of a piece, before they are packed


@dataclass(frozen=True)
class Data:
    """Rows to fit on, and rows to score with their labels; often the same ones."""

    X: np.ndarray
    y: np.ndarray
    X_scored: np.ndarray
    y_scored: np.ndarray

    @property
    def n_classes(self) -> int:
        return len(np.unique(self.y))

    def hash(self) -> str:
        """What tells these rows and labels from any others."""
        arrays = {id(a): a for a in (self.X, self.y, self.X_scored, self.y_scored)}
        return hash_of(*arrays.values())


def hash_of(*arrays: np.ndarray) -> str:
    """What tells arrays from any others."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load(name: str, folder: str | Path = ".") -> tuple[np.ndarray, np.ndarray]:
    """Rows and labels: what comes with scikit-learn, or NAME.npz of a folder, or its pieces."""
    if name == "digits":
        digits = datasets.load_digits()
        return digits.images, digits.target
    if name in ("iris", "wine", "breast_cancer"):
        bunch = getattr(datasets, f"load_{name}")()
        return StandardScaler().fit_transform(bunch.data), bunch.target
    if name == "blobs":
        X, y = datasets.make_blobs(500, n_features=8, centers=5, cluster_std=2.5, random_state=0)
        return StandardScaler().fit_transform(X), y
    if name == "circle_arcs":
        return make_circle_arcs(random_state=0)
    whole = Path(folder) / f"{name}.npz"
    if whole.exists():
        return _read(whole)
    pieces = sorted(Path(folder).glob(f"{name}.*of*.npz"))
    if not pieces:
        raise FileNotFoundError(f"{folder} has neither {name}.npz nor pieces of it.")
    count = int(pieces[0].stem.rsplit("of", 1)[1])
    if len(pieces) != count:
        raise FileNotFoundError(f"{folder} has {len(pieces)} of the {count} pieces of {name}.")
    return tuple(np.concatenate(part) for part in zip(*map(_read, pieces), strict=True))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return file["data"], file["target"]


def write_pieces(name: str, source: str | Path, folder: str | Path) -> list[Path]:
    """Write a data set in pieces of less than 64 MiB, which `load` puts together."""
    X, y = load(name, source)
    count = math.ceil(X.nbytes / PIECE_BYTES)
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"{name}.{i:02}of{count:02}.npz" for i in range(count)]
    parts = zip(paths, np.array_split(X, count), np.array_split(y, count), strict=True)
    for path, data, target in parts:
        np.savez_compressed(path, data=data, target=target)
    return paths


def select(
    name: str,
    folder: str | Path = ".",
    *,
    n: int | None = None,
    sampling: str | None = None,
    protocol: str = "joined",
    seed: int = 0,
) -> Data:
    """The rows of a run.

    Parameters
    ----------
    name, folder
        What `load` reads.
    n : int or None
        With a sampling at most about so many rows, else the first ones, of those to fit on.
    sampling : str or None
        A name of `SAMPLINGS` and its number, such as "long-tailed 100".
    protocol : {"joined", "split"}
        Whether to fit and score the same rows, or to fit (a sampling of) the training split and
        score all others.
    seed : int
        Of the sampling.
    """
    X, y = load(name, folder)
    cut = TRAINING.get(name, round(0.8 * len(X))) if protocol == "split" else len(X)
    others = X[cut:], y[cut:]
    X, y = X[:cut], y[:cut]
    X, y = (X[:n], y[:n]) if sampling is None else _sample(X, y, sampling, n, seed)
    return Data(X, y, *(others if protocol == "split" else (X, y)))


def _sample(X, y, sampling, n, seed):
    """Rows whose class sizes are those of a sampling, at most about `n`."""
    kind, _, number = sampling.partition(" ")
    make, number = SAMPLINGS[kind], float(number or 1)
    rng = np.random.RandomState(seed)
    if kind == "retention":
        return make(X[:n], y[:n], number, random_state=rng)
    classes, counts = np.unique(y, return_counts=True)
    probe = np.repeat(np.arange(len(classes)), 1000)
    share = len(make(probe, probe, number)[0]) / 1000  # rows by those of the largest class
    largest = min(counts.min(), len(y) if n is None else int(n / share))
    index = [rng.permutation(np.flatnonzero(y == label))[:largest] for label in classes]
    index = np.sort(np.concatenate(index))
    return make(X[index], y[index], number, random_state=rng)
