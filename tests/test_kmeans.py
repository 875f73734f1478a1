"""k-means on embeddings: as tight on a subset's start as on all rows, and repeatable."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from skdeepcluster._training import _kmeans


@pytest.fixture(scope="module")
def z():
    return make_blobs(3000, n_features=5, centers=8, cluster_std=2.0, random_state=0)[0].astype(
        np.float32
    )


def test_restarts_on_some_rows_find_what_those_on_all_find(z, monkeypatch):
    whole = _kmeans.kmeans(z, 8, seed=0)
    monkeypatch.setattr(_kmeans, "RESTART_ROWS", 500)
    started = _kmeans.kmeans(z, 8, seed=0)
    assert started.inertia_ == pytest.approx(whole.inertia_, rel=1e-3)
    assert len(started.labels_) == len(z)


@pytest.mark.parametrize("rows", [500, 50_000])
def test_same_seed_same_centres_and_data_as_they_were(z, rows, monkeypatch):
    monkeypatch.setattr(_kmeans, "RESTART_ROWS", rows)
    before = z.copy()
    first, again = (_kmeans.kmeans(z, 8, seed=3).cluster_centers_ for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(z, before, rtol=1e-5)
