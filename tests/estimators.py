"""The package's estimators with settings that fit in a moment, for the tests that all share.

A new method joins them by one line in `QUICK`.
"""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import skdeepcluster

#: Settings by class name.
QUICK = {
    "MMDC": dict(hidden_sizes=(32, 32), max_epochs=12, learning_rate=0.05, precision="float32"),
    "DCCS": dict(
        hidden_sizes=(32, 32),
        critic_sizes=(32, 32),
        n_style=4,
        n_critic=2,
        n_init=1,
        max_epochs=8,
        learning_rate=0.005,
        precision="float32",
    ),
    "StatDEC": dict(
        hidden_sizes=(16, 16, 16),
        layerwise_epochs=1,
        pretrain_epochs=5,
        max_epochs=5,
        precision="float32",
    ),
    "VariationalGMMClustering": dict(
        hidden_sizes=(64, 64),
        embedding_dim=4,
        n_init=1,
        max_epochs=12,
        learning_rate=0.01,
        precision="float32",
    ),
}

#: Runs a test for every estimator; the test's argument is `name`.
every_estimator = pytest.mark.parametrize("name", sorted(QUICK))

#: For tests whose quick runs end before they converge.
unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def quick(name: str, **params):
    """Return an estimator that was not fitted."""
    return getattr(skdeepcluster, name)(**{**QUICK[name], **params})


def brief(name: str, **params):
    """Return one whose run is too short to find groups, for what does not depend on them."""
    epochs = {"max_epochs": 2} | ({"pretrain_epochs": 1} if name == "StatDEC" else {})
    return quick(name, **epochs | params)


def has(name: str, method: str) -> bool:
    """Whether an estimator has a method."""
    return hasattr(getattr(skdeepcluster, name), method)


def blobs(n: int = 90, n_features: int = 4, centers: int = 3, dtype=np.float64) -> np.ndarray:
    """Rows in groups that lie far apart."""
    X, _ = make_blobs(n, n_features, centers=centers, cluster_std=0.3, random_state=0)
    return X.astype(dtype)


def images(n: int = 60, height: int = 6, width: int = 4, channels: int | None = None) -> np.ndarray:
    """8-bit images (n, H, W[, C]) of two kinds: bright above or bright below."""
    rng = np.random.default_rng(0)
    shape = (n, height, width) if channels is None else (n, height, width, channels)
    X = rng.integers(0, 60, shape)
    X[::2, : height // 2] += 180
    X[1::2, height // 2 :] += 180
    return X.astype(np.uint8)
