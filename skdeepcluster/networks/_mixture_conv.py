"""Convolutional encoders and decoders for the Gaussian-mixture autoencoder (Table II)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skdeepcluster.networks._convolutions import Conv2d, ConvTranspose2d, channels_last
from skdeepcluster.networks._mixture_mlp import NEGATIVE_SLOPE

#: Sides at or below this are not halved further in networks for other sizes.
SMALLEST_SIDE = 4


class Convolution(NamedTuple):
    """A (transposed) convolution; `same` pads so that only the stride changes the size."""

    maps: int
    kernel: int = 3
    stride: int = 1
    same: bool = False


class Plan(NamedTuple):
    """A column of Table II."""

    encoder: tuple[Convolution, ...]
    start: tuple[int, ...]  # (C, H, W) that the decoder's linear layers end with
    decoder: tuple[Convolution, ...]  # the last one gives the output
    decoder_sizes: tuple[int, ...]  # linear layers before `start`
    posterior: tuple[int, ...]
    prior: tuple[int, ...]
    negative_slope: float
    shared: bool  # whether q(k|x) and q(z|x,k) have one encoder
    sides: tuple[tuple[int, int], ...] | None = None  # after each step of the decoder


def sides_up(plan: Plan) -> list[tuple[int, int]]:
    """Return the sides that a decoder's steps have: those of the plan, or by stride and kernel."""
    if plan.sides is not None:
        return list(plan.sides)
    sides = [plan.start[1:]]
    for _, kernel, stride, same in plan.decoder:
        sides.append(
            tuple(side * stride if same else (side - 1) * stride + kernel for side in sides[-1])
        )
    return sides[1:]


C = Convolution

#: 28 x 28 grey: 28, 26, 24, 22, 10, 8, 6, 2; and 3, 6, 8, 10, 12, 24, 26, 28.
GREY_28 = Plan(
    encoder=(C(64), C(64), C(64), C(128, stride=2), C(128), C(128), C(256, stride=2)),
    start=(256, 3, 3),
    decoder=(C(128, 3, 2, True), C(128), C(128), C(64), C(64, 3, 2, True), C(64), C(1)),
    decoder_sizes=(512,),
    posterior=(256, 512),
    prior=(),
    negative_slope=0.0,
    shared=False,
)

#: 32 x 32 colour: 32, 30, 28, 13, 11, 9, 4; and 4, 9, 11, 13, 26, 28, 30, 32.
COLOUR_32 = Plan(
    encoder=(C(96), C(96), C(96, stride=2), C(192), C(192), C(192, stride=2)),
    start=(192, 4, 4),
    decoder=(C(192, stride=2), C(192), C(96), C(96, 3, 2, True), C(96), C(96), C(3)),
    decoder_sizes=(),
    posterior=(512, 512),
    prior=(64, 64),
    negative_slope=NEGATIVE_SLOPE,
    shared=True,
)

#: 32 x 32 faces: 32, 16, 8, 4, 2; and 4, 8, 16, 32.
FACES_32 = Plan(
    encoder=(C(32, 5, 2, True), C(64, 3, 2, True), C(128, 3, 2, True), C(32, 1, 2, True)),
    start=(32, 4, 4),  # 512 numbers
    decoder=(C(64, 3, 2, True), C(32, 3, 2, True), C(1, 5, 2, True)),
    decoder_sizes=(),
    posterior=(512, 512),
    prior=(64,),
    negative_slope=NEGATIVE_SLOPE,
    shared=False,
)


def plan_for(input_shape: Sequence[int]) -> Plan:
    """Return the column of Table II for images of this shape, or one in its manner.

    For other sizes a pair of convolutions, of which the second halves the sides, follows another
    until a side has four pixels or fewer; the maps double, from 64 to at most 256.
    """
    channels, height, width = input_shape
    if (height, width) == (28, 28) and channels == 1:
        return GREY_28
    if (height, width) == (32, 32) and channels == 3:
        return COLOUR_32
    sides, encoder = [(height, width)], []
    while min(sides[-1]) > SMALLEST_SIDE or not encoder:
        maps = min(256, 64 * 2 ** (len(sides) - 1))
        stride = 2 if min(sides[-1]) > SMALLEST_SIDE else 1
        encoder += [C(maps, 3, 1, True), C(maps, 3, stride, True)]
        sides.append(tuple(-(-side // stride) for side in sides[-1]))
    up = [C(down.maps, 3, down.stride, True) for down in reversed(encoder[1::2])]
    plan = GREY_28 if channels == 1 else COLOUR_32
    return plan._replace(
        encoder=tuple(encoder),
        start=(encoder[-1].maps, *sides[-1]),
        decoder=(*up, C(channels, 3, 1, True)),
        sides=(*sides[-2::-1], sides[0]),
    )


class MixtureConv(nn.Module):
    """Convolutional encoders for q(k|x) and q(z|x,k), and the decoder of p(x|z).

    28 x 28 grey and 32 x 32 colour images get the networks of Table II, other sizes one in their
    manner (:func:`plan_for`). What the encoders see is the difference of x from the buffer
    `row_mean`, which is zero until a fit sets it.

    Parameters
    ----------
    input_shape : tuple of int
        ``(C, H, W)``.
    embedding_dim : int, default=32
        Size of z.
    n_outputs : int, default=1
        Maps that the decoder gives for each channel: 1 for a Bernoulli likelihood, 2 for a Gaussian
        one.
    plan : Plan or None, default=None
        Another column than the shape's own.

    Attributes
    ----------
    posterior_sizes, prior_sizes : tuple of int
        Hidden layers of :class:`MixtureLatent` that this network is for.
    inference_cost : int
        How many times larger than an input its maps are, about.

    References
    ----------
    Variational Clustering, Table II.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MixtureConv
    >>> network = MixtureConv((1, 28, 28))
    >>> [tuple(h.shape) for h in network.encode(torch.rand(2, 1, 28, 28))]
    [(2, 1024), (2, 1024)]
    >>> network.decode(torch.rand(2, 32)).shape
    torch.Size([2, 1, 28, 28])
    """

    inference_cost = 64

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 32,
        n_outputs: int = 1,
        plan: Plan | None = None,
    ) -> None:
        super().__init__()
        plan = plan_for(input_shape) if plan is None else plan
        self.posterior_sizes = plan.posterior
        self.prior_sizes = plan.prior
        self.negative_slope = plan.negative_slope
        self.register_buffer("row_mean", torch.zeros(tuple(input_shape)))
        self.assignment = self._encoder(input_shape[0], plan.encoder)
        own = None if plan.shared else self._encoder(input_shape[0], plan.encoder)
        self.posterior = own
        self.decoder = self._decoder(plan, embedding_dim, n_outputs * input_shape[0])

    @classmethod
    def faces(
        cls, input_shape: Sequence[int], embedding_dim: int = 32, n_outputs: int = 1
    ) -> "MixtureConv":
        """Build the network of Table II for 32 x 32 faces (FRGC)."""
        if tuple(input_shape[1:]) != (32, 32):
            raise ValueError(f"the network for faces is for 32 x 32 pixels, got {input_shape[1:]}.")
        return cls(input_shape, embedding_dim, n_outputs, FACES_32)

    def _activation(self) -> nn.Module:
        slope = self.negative_slope
        return nn.LeakyReLU(slope) if slope else nn.ReLU()

    def _encoder(self, channels: int, convolutions: Sequence[Convolution]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for maps, kernel, stride, same in convolutions:
            padding = kernel // 2 if same else 0
            layers += [Conv2d(channels, maps, kernel, stride, padding), self._activation()]
            channels = maps
        return nn.Sequential(*layers, nn.Flatten())

    def _decoder(self, plan: Plan, embedding_dim: int, n_maps: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        size = embedding_dim
        for wider in (*plan.decoder_sizes, math.prod(plan.start)):
            layers += [nn.Linear(size, wider), self._activation()]
            size = wider
        layers.append(_Maps(1, plan.start))
        channels, side = plan.start[0], plan.start[1:]
        # The plan's last step has one map a channel.
        steps = (*plan.decoder[:-1], plan.decoder[-1]._replace(maps=n_maps))
        for (maps, kernel, stride, same), out in zip(steps, sides_up(plan), strict=True):
            padding = kernel // 2 if same else 0
            # A stride leaves open which of several sizes is meant.
            extra = tuple(
                o - (s - 1) * stride - kernel + 2 * padding for o, s in zip(out, side, strict=True)
            )
            up = ConvTranspose2d(channels, maps, kernel, stride, padding, extra)
            layers += [up, self._activation()]
            channels, side = maps, out
        return nn.Sequential(*layers[:-1])

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features for the assignment and for the posterior.

        Parameters
        ----------
        x : Tensor of shape (n, C, H, W)

        Returns
        -------
        h, h' : Tensors of shape (n, features)
            The same one twice where the encoder is shared.
        """
        x = channels_last(x - self.row_mean)
        h = self.assignment(x)
        return h, h if self.posterior is None else self.posterior(x)

    def encode_assignment(self, x: Tensor) -> Tensor:
        """Features for the assignment alone, of shape (n, features)."""
        return self.assignment(channels_last(x - self.row_mean))

    def decode(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z).

        Parameters
        ----------
        z : Tensor of shape (n, embedding_dim)

        Returns
        -------
        Tensor of shape (n, n_outputs * C, H, W)
            Logits, or means and then what the variances are made of.
        """
        return self.decoder(z)


class _Maps(nn.Unflatten):
    """Vectors as maps, with their channels last in memory."""

    def forward(self, h: Tensor) -> Tensor:
        return channels_last(super().forward(h))
