"""Toy data: what is promised of their shape and difficulty."""

import re

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering, KMeans

from skdeepcluster.datasets import make_circle_arcs
from skdeepcluster.metrics import clustering_accuracy


def test_arcs_have_the_shape_asked_for():
    X, y = make_circle_arcs(103, n_arcs=4, random_state=0)
    assert X.shape == (103, 2)
    assert sorted(np.bincount(y)) == [25, 26, 26, 26]
    assert make_circle_arcs(random_state=0)[0].shape == (10_000, 2)


def test_arcs_are_on_circles_of_radius_one():
    X, y = make_circle_arcs(500, noise=0.0, random_state=0)
    direction = 2 * np.pi * y / 5
    centers = np.column_stack([np.cos(direction), np.sin(direction)])
    np.testing.assert_allclose(np.linalg.norm(X - centers, axis=1), 1)


def test_arcs_repeat_with_a_seed_and_leave_the_global_one_alone():
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, second = (make_circle_arcs(50, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(make_circle_arcs(50, random_state=4)[0], first[0])
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


@pytest.mark.parametrize("seed", range(3))
def test_arcs_are_hard_for_kmeans_but_lie_apart(seed):
    X, y = make_circle_arcs(1500, random_state=seed)
    kmeans = KMeans(5, n_init=10, random_state=0).fit_predict(X)
    assert clustering_accuracy(y, kmeans) < 0.8
    chains = AgglomerativeClustering(5, linkage="single").fit_predict(X)
    assert clustering_accuracy(y, chains) > 0.98


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_samples": 0}, ValueError, "n_samples must be at least 1, got 0"),
        ({"n_samples": 10.0}, TypeError, "n_samples must be an int, got 10.0"),
        ({"n_arcs": 0}, ValueError, "n_arcs must be at least 1, got 0"),
        ({"n_arcs": -2}, ValueError, "n_arcs must be at least 1, got -2"),
        ({"n_arcs": "5"}, TypeError, "n_arcs must be an int, got '5'"),
        ({"noise": -0.1}, ValueError, "noise must be a finite number in [0, inf], got -0.1"),
        ({"noise": np.nan}, ValueError, "noise must be a finite number in [0, inf], got nan"),
        ({"noise": None}, TypeError, "noise must be a number, got None"),
    ],
)
def test_arcs_that_cannot_be(params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make_circle_arcs(**params)


def test_fewer_points_than_arcs_leave_arcs_without_any():
    X, y = make_circle_arcs(2, 5, random_state=0)
    assert X.shape == (2, 2)
    assert sorted(y) == [0, 1]
