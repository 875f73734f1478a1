"""What DCCS trains against its encoder, and with it: critic and discriminator."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._encoders import SLOPE, xavier


class Critic(nn.Module):
    """Dense layers with leaky ReLU and one number for each latent representation.

    Parameters
    ----------
    n_latent : int
        Size of z.
    hidden : sequence of int, default=(1024, 512)
        Sizes of the hidden layers.

    References
    ----------
    DCCS, Table 9.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import Critic
    >>> Critic(60)(torch.rand(5, 60)).shape
    torch.Size([5])
    """

    def __init__(self, n_latent: int, hidden: Sequence[int] = (1024, 512)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((n_latent, *hidden, 1)))
        xavier(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, n_latent) to values (n,)."""
        *hidden, last = self.layers
        for layer in hidden:
            z = F.leaky_relu(layer(z), SLOPE)
        return last(z).squeeze(1)

    def input_gradient(self, z: Tensor) -> Tensor:
        """Gradient of each row's value by the row, with a graph to the parameters.

        Layers with leaky ReLU are linear around almost every point, so that the gradient is a
        product of their matrices: what autograd would give, without going backward twice.

        Parameters
        ----------
        z : Tensor of shape (n, n_latent)

        Returns
        -------
        Tensor of shape (n, n_latent)
        """
        *hidden, last = self.layers
        slopes = []
        with torch.no_grad():  # where a unit is on does not change with the parameters
            for layer in hidden:
                z = F.leaky_relu(layer(z), SLOPE)
                slopes.append((z > 0).to(z.dtype).mul_(1 - SLOPE).add_(SLOPE))
        gradient = last.weight
        for layer, slope in zip(reversed(hidden), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ layer.weight
        return gradient.expand(len(z), -1)


class Discriminator(nn.Module):
    """Whether features of an input and a latent representation belong together.

    It sees the concatenation of both. As its first layer is linear, the part for the features is a
    matrix of its own, so that they are multiplied once for all z that they are paired with.

    Parameters
    ----------
    n_features : int
        Size of the features.
    n_latent : int
        Size of z.
    hidden : sequence of int, default=(1024, 512)
        Sizes of the hidden layers, one at least.

    References
    ----------
    DCCS, Table 10.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import Discriminator
    >>> features, z = torch.rand(5, 3200), torch.rand(5, 60)
    >>> Discriminator(3200, 60)(features, torch.stack([z, z.roll(1, 0)])).shape
    torch.Size([2, 5])
    """

    def __init__(self, n_features: int, n_latent: int, hidden: Sequence[int] = (1024, 512)) -> None:
        super().__init__()
        self.of_features = nn.Linear(n_features, hidden[0], bias=False)
        self.of_latent = nn.Linear(n_latent, hidden[0])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((*hidden, 1)))
        xavier(self.layers)
        # As the one matrix that both are.
        deviation = math.sqrt(2 / (n_features + n_latent + hidden[0]))
        for layer in (self.of_features, self.of_latent):
            nn.init.normal_(layer.weight, std=deviation)
        nn.init.zeros_(self.of_latent.bias)

    def forward(self, features: Tensor, z: Tensor) -> Tensor:
        """Score pairs.

        Parameters
        ----------
        features : Tensor of shape (n, n_features)
        z : Tensor of shape (..., n, n_latent)
            Any number of latent representations for each row of `features`.

        Returns
        -------
        Tensor of shape (..., n)
            Logits: positive where the pair is believed to belong together.
        """
        h = self.of_features(features) + self.of_latent(z)  # (..., n, first)
        for layer in self.layers:
            h = layer(F.leaky_relu(h, SLOPE))
        return h.squeeze(-1)
