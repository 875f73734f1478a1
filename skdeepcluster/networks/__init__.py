"""Networks of the methods: plain torch modules that know nothing of training.

They are public because a network of your own stands beside them: an estimator's ``network``
parameter takes a callable that builds a module from the shape of one input.
"""

from skdeepcluster.networks._autoencoder import MLPAutoencoder
from skdeepcluster.networks._auxiliary import RotationTask, rotations
from skdeepcluster.networks._centers import GaussianAssignment, StudentTAssignment
from skdeepcluster.networks._pooling import StatisticsPooling
from skdeepcluster.networks._trunks import MLP, NormalizedHead, ResNet, SmallVGG

__all__ = [
    "MLP",
    "GaussianAssignment",
    "MLPAutoencoder",
    "NormalizedHead",
    "ResNet",
    "RotationTask",
    "SmallVGG",
    "StatisticsPooling",
    "StudentTAssignment",
    "rotations",
]
