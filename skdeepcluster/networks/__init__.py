"""Networks of the methods: plain torch modules that know nothing of training.

They are public because a network of your own stands beside them: an estimator's ``network``
parameter takes a callable that builds a module from the shape of one input.
"""

from skdeepcluster.networks._autoencoder import MLPAutoencoder
from skdeepcluster.networks._auxiliary import RotationTask, rotations
from skdeepcluster.networks._centers import GaussianAssignment, StudentTAssignment
from skdeepcluster.networks._cnn import CNNAutoencoder
from skdeepcluster.networks._critics import Critic, Discriminator
from skdeepcluster.networks._decoders import ConvDecoder, MLPDecoder, ResidualDecoder
from skdeepcluster.networks._encoders import (
    CategoryStyleEncoder,
    ConvEncoder,
    MLPEncoder,
    ResidualEncoder,
)
from skdeepcluster.networks._encoding import Encoding
from skdeepcluster.networks._mixture import MixtureLatent
from skdeepcluster.networks._mixture_conv import MixtureConv
from skdeepcluster.networks._mixture_mlp import MixtureMLP
from skdeepcluster.networks._pooling import StatisticsPooling
from skdeepcluster.networks._residual import ResidualBlock
from skdeepcluster.networks._trunks import MLP, NormalizedHead, ResNet, SmallVGG
from skdeepcluster.networks._unet import UNetAutoencoder
from skdeepcluster.networks._variational_autoencoder import VariationalAutoencoder

__all__ = [
    "MLP",
    "CNNAutoencoder",
    "CategoryStyleEncoder",
    "ConvDecoder",
    "ConvEncoder",
    "Critic",
    "Discriminator",
    "Encoding",
    "GaussianAssignment",
    "MLPAutoencoder",
    "MLPDecoder",
    "MLPEncoder",
    "MixtureConv",
    "MixtureLatent",
    "MixtureMLP",
    "NormalizedHead",
    "ResNet",
    "ResidualBlock",
    "ResidualDecoder",
    "ResidualEncoder",
    "RotationTask",
    "SmallVGG",
    "StatisticsPooling",
    "StudentTAssignment",
    "UNetAutoencoder",
    "VariationalAutoencoder",
    "rotations",
]
