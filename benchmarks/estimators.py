"""Estimators by name: the package's, and what they are compared with in the papers."""

import numpy as np
from sklearn import cluster

import skdeepcluster
from skdeepcluster import MMDC
from skdeepcluster._mmdc import MMDCNet


class KMeans(cluster.KMeans):
    """k-means on pixels in [0, 1], or on features as they come."""

    def __init__(self, n_clusters=8, *, n_init=10, random_state=None):
        super().__init__(n_clusters, n_init=n_init, random_state=random_state)

    def fit(self, X, y=None, sample_weight=None):
        self.unit_ = float(X.max()) if X.ndim > 2 else 1.0
        return super().fit(self._rows(X), y, sample_weight)

    def predict(self, X):
        return super().predict(self._rows(X))

    def _rows(self, X):
        return X.reshape(len(X), -1).astype(np.float32) / np.float32(self.unit_)


class RotationNet(MMDCNet):
    """Learns the rotations alone."""

    n_tasks = 1
    task_ = "rotation"


class RotNet(MMDC):
    """RotNet; clusters are those of k-means on what an untrained head makes of its features."""

    _net_class = RotationNet


def estimator(name: str) -> type:
    """The class of an estimator."""
    own = {"KMeans": KMeans, "RotNet": RotNet}
    return own[name] if name in own else getattr(skdeepcluster, name)
