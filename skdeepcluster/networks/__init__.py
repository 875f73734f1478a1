"""Networks of the methods: plain torch modules that know nothing of training.

They are public because a network of your own stands beside them: an estimator's ``network``
parameter takes a callable that builds a module from the shape of one input.
"""

from skdeepcluster.networks._autoencoder import MLPAutoencoder
from skdeepcluster.networks._centers import StudentTAssignment
from skdeepcluster.networks._cnn import CNNAutoencoder
from skdeepcluster.networks._encoding import Encoding
from skdeepcluster.networks._pooling import StatisticsPooling
from skdeepcluster.networks._unet import UNetAutoencoder
from skdeepcluster.networks._variational_autoencoder import VariationalAutoencoder

__all__ = [
    "CNNAutoencoder",
    "Encoding",
    "MLPAutoencoder",
    "StatisticsPooling",
    "StudentTAssignment",
    "UNetAutoencoder",
    "VariationalAutoencoder",
]
