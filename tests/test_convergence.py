"""Warnings of collapsed clusters: where they come, and where they must not."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skdeepcluster import StatDEC
from skdeepcluster.datasets import make_long_tailed, make_step_imbalanced

PARAMS = {"hidden_sizes": (8, 8), "pretrain_epochs": 2, "max_epochs": 0, "random_state": 0}


def fit(sizes):
    """Fit rows of which so many are the same, and return the model and what it warned of.

    The same rows always share a cluster, and k-means tells different ones apart.
    """
    points = np.random.default_rng(0).normal(size=(len(sizes), 6))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = StatDEC(len(sizes), **PARAMS).fit(np.repeat(points, sizes, axis=0))
    found = np.bincount(model.labels_, minlength=len(sizes))
    assert sorted(found, reverse=True) == sorted(sizes, reverse=True)
    return [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]


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
