"""Networks of the methods: plain torch modules that know nothing of training.

They are public because a network of your own stands beside them: an estimator's ``network``
parameter takes a callable that builds a module from the shape of one input.
"""

from skdeepcluster.networks._autoencoder import MLPAutoencoder
from skdeepcluster.networks._centers import StudentTAssignment
from skdeepcluster.networks._mixture import MixtureLatent
from skdeepcluster.networks._mixture_conv import MixtureConv
from skdeepcluster.networks._mixture_mlp import MixtureMLP
from skdeepcluster.networks._pooling import StatisticsPooling

__all__ = [
    "MLPAutoencoder",
    "MixtureConv",
    "MixtureLatent",
    "MixtureMLP",
    "StatisticsPooling",
    "StudentTAssignment",
]
