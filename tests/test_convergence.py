"""Warnings of collapsed clusters and of too few epochs: where they come, and where not."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from skdeepcluster import StatDEC
from skdeepcluster.datasets import make_long_tailed, make_step_imbalanced

PARAMS = {"hidden_sizes": (8, 8), "pretrain_epochs": 2, "max_epochs": 0, "random_state": 0}


def fit(sizes):
    """Fit rows of which so many are the same, and return the model and what it warned of.

    The same rows always share a cluster, and k-means tells different ones apart.
    """
    points = np.random.default_rng(0).normal(size=(len(sizes), 6))
    model, messages = warned(np.repeat(points, sizes, axis=0), len(sizes))
    found = np.bincount(model.labels_, minlength=len(sizes))
    assert sorted(found, reverse=True) == sorted(sizes, reverse=True)
    return messages


def warned(X, n_clusters, **params):
    """Fit, and return the model and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = StatDEC(n_clusters, **PARAMS | params).fit(X)
    return model, [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]


@pytest.mark.parametrize(
    "sizes",
    [
        [1],
        [50],
        [500],
        [9, 1],
        [100, 1],  # 1:100, the most unequal that the papers have
        [600, 6],
        [100, *[1] * 9],
        [500, 500, 5, 5],
        [990, 990, 1],  # a cluster of one row is no collapse while another is large
        [*[20] * 7],
    ],
    ids=str,
)
def test_unequal_clusters_are_no_collapse(sizes):
    assert fit(sizes) == []


@pytest.mark.parametrize("sizes", [[606, 6], [202, 2], [1000, 9, 10], [455, *[1] * 4]], ids=str)
def test_nearly_all_rows_in_one_cluster_are_a_collapse(sizes):
    (message,) = fit(sizes)
    listed = ", ".join(map(str, sorted(sizes, reverse=True)))
    assert f"{max(sizes)} of {sum(sizes)} rows are in one of {len(sizes)} clusters" in message
    assert f"which have {listed} rows" in message


def test_of_many_clusters_the_largest_are_named():
    (message,) = fit([1200, 3, 2, *[1] * 9])
    assert "1200, 3, 2, 1, 1, 1, 1, 1, 1, 1 and 2 more sizes" in message


def test_empty_clusters_beside_a_nearly_full_one_are_named_with_it():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], [990, 2], axis=0)
    with pytest.warns(ConvergenceWarning) as caught:
        StatDEC(5, **PARAMS).fit(X)
    messages = " ".join(str(warning.message) for warning in caught)
    assert "was to find 5 clusters, but 2 have rows" in messages
    assert "990 of 992 rows are in one of 5 clusters, which have 990, 2, 0, 0, 0 rows" in messages


@pytest.mark.parametrize("make", [make_long_tailed, make_step_imbalanced])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_samplings_of_the_papers_are_no_collapse(make, n_classes):
    y = np.repeat(np.arange(n_classes), 200)
    _, y = make(y[:, None], y, ratio=100, random_state=0)
    assert fit(np.bincount(y).tolist()) == []


# ------------------------------------------------------------------ the end of the epochs


class Stop(Callback):
    """Ends the run after the first epoch of a phase, skorch's way."""

    def __init__(self, phase=None):
        self.phase = phase

    def on_epoch_end(self, net, **kwargs):
        if net.phase_.name == self.phase:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("params", "n_iter", "expected"),
    [
        # No second target ever comes that could be compared with the first.
        ({"max_epochs": 3}, 3, "StatDEC did not converge within max_epochs=3. Increase max_"),
        ({"max_epochs": 3, "tol": 0}, 3, None),
        ({"max_epochs": 3, "callbacks": [Stop("clustering")]}, 1, None),
        ({"max_epochs": 3, "callbacks": [Stop("autoencoder")]}, 0, "ended StatDEC before it began"),
        ({"max_epochs": 0, "callbacks": [Stop("autoencoder")]}, 0, None),
        ({"max_epochs": 0}, 0, None),
        ({"max_epochs": 3, "update_interval": 8, "tol": 1.0}, 1, None),
    ],
)
def test_epochs_that_did_not_suffice_are_said(params, n_iter, expected):
    X = np.random.default_rng(0).normal(size=(60, 6))
    model, messages = warned(X, 1, **{"update_interval": 1000} | params)
    assert model.n_iter_ == n_iter
    assert len(messages) == (expected is not None)
    assert all(expected in message for message in messages)
