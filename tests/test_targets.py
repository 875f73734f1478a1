"""Targets: where they lie, how often, and that the exchange in a batch is the best there is."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from skdeepcluster.targets import (
    match_labels,
    match_targets,
    mixture_means,
    sample_mixture,
    sample_sphere,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def distances(z, t):
    return np.sqrt(((z[:, None] - t[None]) ** 2).sum(axis=2))


def total(cost, chosen):
    return cost[np.arange(len(cost)), list(chosen)].sum()


# ------------------------------------------------------------------ what is drawn


@pytest.mark.parametrize("dim", [2, 5, 40])
def test_random_means_lie_on_the_sphere_in_all_directions(dim):
    means = mixture_means("random", 4000, dim).numpy()
    np.testing.assert_allclose((means**2).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(means.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((means**2).mean(axis=0), 1 / dim, rtol=0.1)


def test_one_hot_means_need_dimensions():
    with pytest.raises(ValueError, match=r"4 one-hot means need .* got dim=3"):
        mixture_means("one-hot", 4, 3)
    with pytest.raises(ValueError, match="got 'two-hot'"):
        mixture_means("two-hot", 4, 4)


@pytest.mark.parametrize("sigma", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 5.0]])
def test_components_are_drawn_in_proportion(sigma, weights):
    n, given = 20_000, None if weights is None else torch.tensor(weights)
    _, component, index = sample_mixture(mixture_means("one-hot", 3, 3), n, sigma, given)
    counts = np.bincount(component[index], minlength=3)
    expected = np.array(weights or [1.0, 1.0, 1.0])
    assert chisquare(counts, n * expected / expected.sum()).pvalue > 1e-3


def test_without_variance_targets_are_the_means():
    means = mixture_means("random", 4, 6)
    points, component, index = sample_mixture(means, 50)
    assert points.shape == (4, 6)
    assert torch.equal(points[index], means[component[index]])


def test_targets_spread_about_their_means_by_the_variance():
    means, sigma = mixture_means("one-hot", 3, 8), 1e-4  # so small that the sphere is flat there
    points, component, index = sample_mixture(means, 6000, sigma)
    np.testing.assert_array_equal(index, np.arange(6000))
    np.testing.assert_allclose(points.norm(dim=1), 1, rtol=1e-5)
    offset = (points - means[component]).numpy()
    for k in range(3):
        members = np.delete(offset[component.numpy() == k], k, axis=1)  # along the sphere
        np.testing.assert_allclose(members.var(axis=0), sigma, rtol=0.2)


def test_uniform_targets_are_uniform():
    # A coordinate of a uniform point of the sphere in three dimensions is uniform (Archimedes).
    points = sample_sphere(5000, 3).numpy()
    np.testing.assert_allclose((points**2).sum(axis=1), 1, rtol=1e-5)
    for axis in range(3):
        assert kstest(points[:, axis], "uniform", args=(-1, 2)).pvalue > 1e-3


# ------------------------------------------------------------------ who gets what


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("different", [True, False])
def test_the_exchange_is_the_best_of_all_permutations(seed, different):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(7, 3))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    # With sigma = 0 targets repeat, and many permutations are equally good.
    t = z[rng.permutation(7)] + 0.5 * rng.normal(size=(7, 3)) if different else np.eye(3)
    cost = distances(z, t if different else t[rng.integers(0, 3, 7)])
    chosen = match_targets(cost)
    assert sorted(chosen) == list(range(7))
    best = min(total(cost, p) for p in permutations(range(7)))
    assert total(cost, chosen) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exchange_never_costs_more_than_none(seed, dtype):
    rng = np.random.default_rng(seed)
    z = np.eye(4)[rng.integers(0, 4, 60)] + 1e-7 * rng.normal(size=(60, 4))
    cost = distances(z, np.eye(4)[rng.integers(0, 4, 60)]).astype(dtype)
    chosen = match_targets(cost)
    assert total(cost, chosen) <= total(cost, range(60))
    again = match_targets(cost[:, chosen])
    np.testing.assert_array_equal(again, np.arange(60))  # what is the best stays


@pytest.mark.parametrize("n_clusters", range(1, 7))
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_renamed_so_that_most_stay(n_clusters, seed):
    rng = np.random.default_rng(seed)
    previous = rng.integers(0, n_clusters, 40)
    labels = rng.permutation(n_clusters)[previous]
    moved = rng.random(40) < 0.5
    labels[moved] = rng.integers(0, n_clusters, moved.sum())
    renamed = match_labels(labels, previous, n_clusters)
    # A renaming: rows are together that were, and no two labels are merged.
    np.testing.assert_array_equal(renamed[:, None] == renamed, labels[:, None] == labels)
    best = max((np.array(p)[labels] == previous).sum() for p in permutations(range(n_clusters)))
    assert (renamed == previous).sum() == best
