"""The training side: batches, steps, devices, resuming, on top of skorch.

It knows nothing of validation (that has happened) and nothing of any one method, and everything
that two methods need stands here once.
"""

from skdeepcluster._training._data import Batch, Preprocessor, TensorSource
from skdeepcluster._training._net import CLUSTERING, ClusteringNet, Phase
from skdeepcluster._training._starts import START, StartingNet

__all__ = [
    "CLUSTERING",
    "START",
    "Batch",
    "ClusteringNet",
    "Phase",
    "Preprocessor",
    "StartingNet",
    "TensorSource",
]
