"""Objectives against independent float64 calculations, and the identities behind them."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from skdeepcluster.objectives import (
    TARGET_READINGS,
    kl_divergence,
    squared_distances,
    student_t,
    target_distribution,
    target_weights,
)


def random_problem(seed, n=60, n_clusters=5, d=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 3, rng.normal(size=(n_clusters, d)) * 3


def numpy_student_t(z, centers, alpha):
    kernel = (1 + cdist(z, centers, "sqeuclidean") / alpha) ** (-(alpha + 1) / 2)
    return kernel / kernel.sum(axis=1, keepdims=True)


def soft_assignments(seed, n=60, n_clusters=5):
    z, centers = random_problem(seed, n, n_clusters)
    return numpy_student_t(z, centers, 1.0)


def test_squared_distances_do_not_cancel():
    # Far from the origin, the expanded square would lose all digits in float32.
    z = torch.tensor([[1e4, 1e4]])
    centers = z + torch.tensor([[0.5, 0.0]])
    assert squared_distances(z, centers).item() == 0.25


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_squared_distances_to_many_centers_are_the_same(dtype, tolerance, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(30, 40, generator=generator, dtype=torch.float64).to(dtype)
    centers = torch.randn(20, 40, generator=generator, dtype=torch.float64).to(dtype)
    centers[3] = z[5]  # where a root has no slope
    exact = cdist(z.double(), centers.double(), "sqeuclidean")
    weight = torch.randn(30, 20, generator=generator, dtype=torch.float64)
    gradient = 2 * (weight.sum(dim=1, keepdim=True) * z.double() - weight @ centers.double())
    for limit in (1 << 14, 0):
        monkeypatch.setattr("skdeepcluster.objectives._clustering.CENTER_NUMBERS", limit)
        leaf = z.clone().requires_grad_()
        squared = squared_distances(leaf, centers)
        assert squared.dtype == dtype
        assert squared[5, 3] == 0
        np.testing.assert_allclose(squared.detach().double(), exact, rtol=tolerance)
        (weight.to(dtype) * squared).sum().backward()
        np.testing.assert_allclose(leaf.grad.double(), gradient, rtol=0,
                                   atol=200 * tolerance)  # fmt: skip


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_student_t(alpha):
    z, centers = random_problem(0)
    expected = numpy_student_t(z, centers, alpha)
    q = student_t(torch.tensor(z), torch.tensor(centers), alpha)
    np.testing.assert_allclose(q, expected, rtol=1e-12)
    log_q = student_t(torch.tensor(z), torch.tensor(centers), alpha, log=True)
    np.testing.assert_allclose(log_q, np.log(expected), rtol=1e-12)


def test_student_t_is_uniform_for_large_distances_and_stays_finite():
    z = torch.full((1, 2), 1e18)
    log_q = student_t(z, torch.tensor([[0.0, 0.0], [1.0, 0.0]]), log=True)
    np.testing.assert_allclose(log_q.exp(), [[0.5, 0.5]], rtol=1e-5)


def loop_weights(q, reading, gamma):
    """Equations 4 and 5 in plain loops, one reading after another."""
    n, n_clusters = q.shape
    labels = q.argmax(axis=1)
    cardinality = [max(1, sum(labels == j)) for j in range(n_clusters)]
    weights = []
    for j in range(n_clusters):
        u = sum(q[i, j] for i in range(n))
        focal = [-((1 - q[i, j]) ** gamma) * np.log(q[i, j]) for i in range(n)]
        members = [focal[i] for i in range(n) if labels[i] == j]
        rarity = np.sqrt(n / cardinality[j])
        v = {
            "members": rarity * sum(members),
            "inverse": sum(focal) / rarity,
            "mean": rarity * sum(focal) / n,
            "all": rarity * sum(focal),
            "dec": 0.0,
        }[reading]
        weights.append(u + v)
    return np.array(weights)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 3.5])
@pytest.mark.parametrize("reading", [r for r in TARGET_READINGS if r != "squared"])
def test_target_weights(reading, gamma):
    q = soft_assignments(1)
    weights = target_weights(torch.tensor(q), reading, gamma)
    np.testing.assert_allclose(weights, loop_weights(q, reading, gamma), rtol=1e-10)


@pytest.mark.parametrize("reading", TARGET_READINGS)
def test_target_is_a_distribution_and_does_not_know_the_clusters_order(reading):
    q = torch.tensor(soft_assignments(2))
    p = target_distribution(q, target_weights(q, reading))
    np.testing.assert_allclose(p.sum(dim=1), np.ones(len(q)), rtol=1e-12)
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = target_distribution(q[:, order], target_weights(q[:, order], reading))
    np.testing.assert_allclose(permuted, p[:, order], rtol=1e-12)


def test_target_of_dec_agrees_with_its_equation():
    q = soft_assignments(3)
    expected = q**2 / q.sum(axis=0)
    expected /= expected.sum(axis=1, keepdims=True)
    tensor = torch.tensor(q)
    np.testing.assert_allclose(
        target_distribution(tensor, target_weights(tensor, "dec")), expected, rtol=1e-12
    )


def test_squared_target_sharpens_without_regard_to_size():
    q = torch.tensor([[0.75, 0.25], [0.5, 0.5]], dtype=torch.float64)
    p = target_distribution(q, target_weights(q, "squared"))
    np.testing.assert_allclose(p, [[0.9, 0.1], [0.5, 0.5]])


def test_weighting_by_members_favours_a_rare_cluster():
    """A row halfway between a large and a small cluster is drawn to the small one."""
    large, small = np.tile([0.8, 0.2], (100, 1)), np.tile([0.2, 0.8], (5, 1))
    q = torch.tensor(np.vstack([large, small, [[0.5, 0.5]]]))
    p = target_distribution(q, target_weights(q, "members"))
    assert p[-1, 1] > 0.6


@pytest.mark.parametrize("reading", TARGET_READINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_target_survives_certain_assignments_and_empty_clusters(reading, dtype):
    q = torch.zeros(6, 3, dtype=dtype)
    q[:, 0] = 1  # clusters 1 and 2 have no rows, and no mass at all
    p = target_distribution(q, target_weights(q, reading))
    np.testing.assert_array_equal(p, q)


def test_unknown_reading_is_named():
    with pytest.raises(ValueError, match=r"reading must be one of .* got 'focal'"):
        target_weights(torch.ones(2, 2), "focal")


def test_kl_divergence_agrees_with_scipy():
    p, q = soft_assignments(4), soft_assignments(5)
    expected = entropy(p, q, axis=1).mean()
    actual = kl_divergence(torch.tensor(p), torch.tensor(q).log())
    assert actual.item() == pytest.approx(expected, rel=1e-12)
    assert kl_divergence(torch.tensor(p), torch.tensor(p).log()).item() == pytest.approx(0)


def test_zero_targets_count_as_nothing():
    p = torch.tensor([[1.0, 0.0]])
    assert kl_divergence(p, torch.tensor([[0.0, -200.0]])).item() == 0


def test_gradients_are_those_of_equations_7_and_8():
    z, centers = random_problem(6)
    z = torch.tensor(z, requires_grad=True)
    centers = torch.tensor(centers, requires_grad=True)
    log_q = student_t(z, centers, log=True)
    q = log_q.exp().detach()
    p = target_distribution(q, target_weights(q))
    (kl_divergence(p, log_q) * len(z)).backward()  # the equations have the sum over rows

    difference = (z[:, None] - centers[None]).detach()  # (n, K, d)
    kernel = 1 / (1 + difference.square().sum(dim=2))  # (n, K)
    pull = 2 * (kernel * (p - q))[:, :, None] * difference
    np.testing.assert_allclose(z.grad, pull.sum(dim=1), atol=1e-10)
    np.testing.assert_allclose(centers.grad, -pull.sum(dim=0), atol=1e-10)
