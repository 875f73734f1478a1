"""Convolutional autoencoder of StatDEC+CNN."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from skdeepcluster.networks._convolutions import (
    ConvTranspose2d,
    Cut,
    Unflattened,
    channels_last,
    check_image,
    doubling,
    halved,
    halving,
)
from skdeepcluster.networks._pooling import StatisticsPooling


class CNNAutoencoder(nn.Module):
    r"""Convolutional autoencoder with statistics pooling.

    .. math::

        z = f_\theta(x), \qquad x' = g_{\theta'}(z, q)

    The encoder has four 4 × 4 convolutions of stride 2, each with batch normalisation and ReLU, and
    a linear layer on their flattened maps. The decoder has a linear layer and three transposed 4 ×
    4 convolutions of stride 2, with batch normalisation and ReLU in between. Sizes are halved
    rounding up and doubled back to what they were, so that images of any size fit. What the network
    sees, and what it reconstructs, is the difference of x from the buffer `row_mean`,
    which is zero until a fit sets it.

    With `n_clusters`, a :class:`StatisticsPooling` block sits on the decoder's second hidden layer,
    the first transposed convolution: statistics are taken of its flattened maps, and those of a
    row's cluster are added to the row's.
    The block's matrices grow with the area of the images: 1.2 million numbers for 28 × 28 pixels,
    14 million for 96 × 96. For large images `n_clusters` may rather stay None.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one image, ``(C, H, W)``.
    embedding_dim : int, default=10
        Size of the embedding z.
    channels : sequence of int, default=(32, 64, 128, 256)
        Maps of the encoder's convolutions; the decoder has those of the first three, in reverse.
    n_clusters : int or None, default=None
        Number of clusters K for the statistics pooling; None leaves the block out.

    Raises
    ------
    ValueError
        If inputs are no images, or there are not four numbers of channels.

    References
    ----------
    StatDEC, section V and Table IV (StatDEC+CNN). Strides and numbers of maps are not given there.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import CNNAutoencoder
    >>> network = CNNAutoencoder((1, 28, 28))
    >>> z = network.encode(torch.rand(5, 1, 28, 28))
    >>> z.shape, network.decode(z).shape
    (torch.Size([5, 10]), torch.Size([5, 1, 28, 28]))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 10,
        channels: Sequence[int] = (32, 64, 128, 256),
        n_clusters: int | None = None,
    ) -> None:
        super().__init__()
        n_in, *size = check_image(input_shape)
        if len(channels) != 4:
            raise ValueError(f"channels must have four numbers, got {tuple(channels)}.")
        sizes = halved(tuple(size), 4)
        self.register_buffer("row_mean", torch.zeros(tuple(input_shape)))
        widths = [n_in, *channels]
        #: Numbers in the largest maps of a row, as a multiple of the row's own.
        self.inference_cost = max(1, channels[0] // (4 * n_in))
        self.encoder = nn.Sequential(
            *(halving(*pair, 4, at) for pair, at in zip(pairwise(widths), sizes, strict=False)),
            nn.Flatten(),
            nn.Linear(channels[3] * math.prod(sizes[4]), embedding_dim),
        )
        first, second, third = channels[2], channels[1], channels[0]
        self.unflattened = Unflattened(embedding_dim, first, sizes[3])
        up = partial(ConvTranspose2d, kernel_size=4, stride=2, padding=1)
        self.hidden = doubling(up(first, second, bias=False), sizes[2])
        self.output = nn.Sequential(
            doubling(up(second, third, bias=False), sizes[1]),
            up(third, n_in),
            Cut(sizes[0]),
        )
        self.pooling = None
        if n_clusters is not None:
            n_features = second * math.prod(sizes[2])
            self.pooling = StatisticsPooling(n_features, n_features, n_clusters)

    def encode(self, x: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        Tensor of shape (n, embedding_dim)
        """
        return self.encoder(channels_last(x - self.row_mean))

    def decode(self, z: Tensor, q: Tensor | None = None) -> Tensor:
        """Reconstruct images from embeddings.

        Parameters
        ----------
        z : Tensor of shape (n, embedding_dim)
        q : Tensor of shape (n, n_clusters) or None, default=None
            Soft assignments for the statistics pooling; None leaves the block out.

        Returns
        -------
        Tensor of shape (n, *input_shape)
        """
        h = self.hidden(channels_last(self.unflattened(z)))
        if q is not None and self.pooling is not None:
            h = h + self.pooling(h.flatten(1), q).view_as(h).to(h.dtype)
        return self.output(h) + self.row_mean

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct a batch, without statistics."""
        return self.decode(self.encode(x))
