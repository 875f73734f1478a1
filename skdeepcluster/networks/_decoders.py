"""Decoders that can take the discriminator's place in DCCS."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._convolutions import Conv2d, ConvTranspose2d
from skdeepcluster.networks._encoders import SLOPE, residual_maps, xavier
from skdeepcluster.networks._residual import ResidualBlock


class ConvDecoder(nn.Module):
    """Two dense layers and two 4x4 transposed convolutions of stride 2, for small images.

    Parameters
    ----------
    n_latent : int
        Size of z.
    output_shape : (C, H, W)
        Sides that are no multiples of 4 are cut from the next one.
    maps : (int, int), default=(128, 64)
        Maps before the transposed convolutions.
    width : int, default=1024
        Size of the first dense layer.

    References
    ----------
    DCCS, Table 12.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ConvDecoder
    >>> ConvDecoder(60, (1, 28, 28))(torch.rand(2, 60)).shape
    torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        n_latent: int,
        output_shape: Sequence[int],
        maps: tuple[int, int] = (128, 64),
        width: int = 1024,
    ) -> None:
        super().__init__()
        channels, *self.sides = output_shape
        self.start = (maps[0], *(-(-side // 4) for side in self.sides))
        n_start = math.prod(self.start)
        self.layers = nn.Sequential(
            nn.Linear(n_latent, width, bias=False),
            nn.BatchNorm1d(width),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Linear(width, n_start, bias=False),
            nn.BatchNorm1d(n_start),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Unflatten(1, self.start),
            ConvTranspose2d(maps[0], maps[1], 4, 2, 1, bias=False),
            nn.BatchNorm2d(maps[1]),
            nn.LeakyReLU(SLOPE, inplace=True),
            ConvTranspose2d(maps[1], channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Tanh(),
        )
        xavier(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, n_latent) to images (n, C, H, W) in (-1, 1)."""
        height, width = self.sides
        return self.layers(z)[:, :, :height, :width]


class ResidualDecoder(nn.Module):
    """A dense layer and residual blocks that double the sides.

    Parameters
    ----------
    n_latent : int
        Size of z.
    output_shape : (C, H, W)
        Sides that the doublings do not meet are cut.
    maps : sequence of int or None, default=None
        Maps of the blocks; None is the mirror of the residual encoder's.

    References
    ----------
    DCCS, Table 13.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ResidualDecoder
    >>> ResidualDecoder(60, (1, 32, 32), (16, 8, 4))(torch.rand(2, 60)).shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self, n_latent: int, output_shape: Sequence[int], maps: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        channels, *self.sides = output_shape
        maps = tuple(maps or residual_maps(output_shape)[-2::-1])
        scale = 2 ** len(maps)
        start = (maps[0], *(-(-side // scale) for side in self.sides))
        self.dense = nn.Linear(n_latent, math.prod(start))
        self.unflatten = nn.Unflatten(1, start)
        self.up = nn.Sequential(*(ResidualBlock(a, b, "up") for a, b in pairwise((maps[0], *maps))))
        self.norm = nn.BatchNorm2d(maps[-1])
        self.conv = Conv2d(maps[-1], channels, 3, padding=1)
        xavier(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, n_latent) to images (n, C, H, W) in (-1, 1)."""
        height, width = self.sides
        h = self.norm(self.up(self.unflatten(self.dense(z)))).relu_()
        return self.conv(h).tanh()[:, :, :height, :width]


class MLPDecoder(nn.Module):
    """Dense layers with batch norm and ReLU, and a linear one, for feature tables.

    Parameters
    ----------
    n_latent : int
        Size of z.
    output_shape : sequence of int
        Shape of one input of the encoder.
    hidden : sequence of int, default=(2000, 500, 500)
        Sizes of the hidden layers.

    References
    ----------
    DCCS, supplement D, which has decoders for images; here the mirror of supplement F's layers.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MLPDecoder
    >>> MLPDecoder(60, (30,), (8,))(torch.rand(2, 60)).shape
    torch.Size([2, 30])
    """

    def __init__(
        self,
        n_latent: int,
        output_shape: Sequence[int],
        hidden: Sequence[int] = (2000, 500, 500),
    ) -> None:
        super().__init__()
        self.output_shape = tuple(output_shape)
        sizes = (n_latent, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm1d(size) for size in hidden)
        self.last = nn.Linear(sizes[-1], math.prod(self.output_shape))
        xavier(self)

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, n_latent) to (n, *output_shape)."""
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            z = F.relu(norm(layer(z)), inplace=True)
        return self.last(z).unflatten(1, self.output_shape)
