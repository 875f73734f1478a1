"""Autoencoder with skip connections, of StatDEC+UNet."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from skdeepcluster._validation import check_real
from skdeepcluster.networks._convolutions import (
    Cut,
    Unflattened,
    UpsampleConv,
    check_image,
    doubling,
    halved,
    halving,
)
from skdeepcluster.networks._encoding import Encoding
from skdeepcluster.networks._pooling import StatisticsPooling, averaging_rate
from skdeepcluster.networks._whole_batch import batch_mean


class UNetAutoencoder(nn.Module):
    r"""Convolutional autoencoder with an embedding and skip connections, and statistics pooling.

    .. math::

        (z, s) = f_\theta(x), \qquad x' = g_{\theta'}(z, s, q)

    The encoder has three 5 × 5 convolutions of stride 2, with batch normalisation and ReLU, and a
    linear layer to the embedding z. The decoder has a linear layer, and three times doubles the
    maps' size by repeating pixels, followed by a 3 × 3 convolution; the two are calculated at once,
    by fewer operations at the smaller size. What comes out is cut to the encoder's size, where that
    is odd. Before the second and the third time the encoder's maps of the same size, the skips s,
    are concatenated.

    How it works: with its skips alone the decoder can reconstruct most of the image, and the
    embedding would hold less of it. So in training the skips of each row are replaced by their
    mean over the data with probability `skip_dropout`, and the decoder must do with the embedding.
    Their running means are also what `decode` takes when there is no image to take skips from.

    What the network sees, and what it reconstructs, is the difference of x from the buffer
    `row_mean`, which is zero until a fit sets it.

    With `n_clusters`, a :class:`StatisticsPooling` block sits on the decoder's second hidden layer,
    the first 3 × 3 convolution.
    The block's matrices grow with the area of the images: 1.2 million numbers for 28 × 28 pixels,
    14 million for 96 × 96. For large images `n_clusters` may rather stay None.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one image, ``(C, H, W)``.
    embedding_dim : int, default=10
        Size of the embedding z.
    channels : sequence of int, default=(32, 64, 128)
        Maps of the encoder's convolutions; the decoder mirrors them.
    n_clusters : int or None, default=None
        Number of clusters K for the statistics pooling; None leaves the block out.
    skip_dropout : float, default=0.5
        Share of the rows that are decoded without skips of their own in training. 0 is a plain
        UNet, with 1 there are no skips.
    momentum : float, default=0.1
        Share of a new batch in the running means of the skips, once ten batches were seen.

    Raises
    ------
    ValueError
        If inputs are no images, or there are not three numbers of channels.

    References
    ----------
    StatDEC, section V and Table IV (StatDEC+UNet). The number of layers and of maps is not given
    there, nor how the embedding is kept from being passed by.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import UNetAutoencoder
    >>> network = UNetAutoencoder((3, 32, 32))
    >>> encoding = network.encoding(torch.rand(5, 3, 32, 32))
    >>> encoding.z.shape, [tuple(skip.shape) for skip in encoding.skips]
    (torch.Size([5, 10]), [(5, 32, 16, 16), (5, 64, 8, 8)])
    >>> network.decode(encoding.z, None, encoding.skips).shape
    torch.Size([5, 3, 32, 32])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 10,
        channels: Sequence[int] = (32, 64, 128),
        n_clusters: int | None = None,
        skip_dropout: float = 0.5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        n_in, *size = check_image(input_shape)
        if len(channels) != 3:
            raise ValueError(f"channels must have three numbers, got {tuple(channels)}.")
        check_real("skip_dropout", skip_dropout, maximum=1.0)
        sizes = halved(tuple(size), 3)
        self.register_buffer("row_mean", torch.zeros(tuple(input_shape)))
        self.skip_dropout = skip_dropout
        self.momentum = momentum
        #: Numbers in the largest maps of a row when it is embedded, as a multiple of its own.
        self.inference_cost = max(1, channels[0] // (4 * n_in))
        self.down = nn.ModuleList(
            halving(*pair, 5, at)
            for pair, at in zip(pairwise([n_in, *channels]), sizes, strict=False)
        )
        self.embedding = nn.Linear(channels[2] * math.prod(sizes[3]), embedding_dim)
        self.unflattened = Unflattened(embedding_dim, channels[2], sizes[3])
        self.up = nn.ModuleList(
            [
                doubling(UpsampleConv(channels[2], channels[1]), sizes[2]),
                doubling(UpsampleConv(2 * channels[1], channels[0]), sizes[1]),
                nn.Sequential(UpsampleConv(2 * channels[0], n_in, bias=True), Cut(sizes[0])),
            ]
        )
        self.pooling = None
        if n_clusters is not None:
            n_features = channels[1] * math.prod(sizes[2])
            self.pooling = StatisticsPooling(n_features, n_features, n_clusters)
        for i in range(2):
            self.register_buffer(f"skip_mean_{i}", torch.zeros(channels[i], *sizes[i + 1]))
        self.register_buffer("n_seen", torch.zeros(()))

    def encode(self, x: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        Tensor of shape (n, embedding_dim)
        """
        return self._down(x)[0]

    def encoding(self, x: Tensor) -> Encoding:
        """Embed a batch, and keep its skips; in training some are replaced by their means.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        Encoding
        """
        z, skips = self._down(x)
        if self.training:
            self._update([batch_mean(skip.detach().float()) for skip in skips])
            dropped = torch.rand(len(x), 1, 1, 1, device=x.device) < self.skip_dropout
            skips = [
                torch.where(dropped, mean.to(skip.dtype), skip)
                for mean, skip in zip(self.skip_means, skips, strict=True)
            ]
        return Encoding(z, z, tuple(skips))

    def decode(
        self, z: Tensor, q: Tensor | None = None, skips: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Reconstruct images from embeddings.

        Parameters
        ----------
        z : Tensor of shape (n, embedding_dim)
        q : Tensor of shape (n, n_clusters) or None, default=None
            Soft assignments for the statistics pooling; None leaves the block out.
        skips : sequence of Tensor or None, default=None
            As `encoding` gives them; None takes their running means.

        Returns
        -------
        Tensor of shape (n, *input_shape)
        """
        h = self.up[0](self.unflattened(z))
        if q is not None and self.pooling is not None:
            h = h + self.pooling(h.flatten(1), q).view_as(h).to(h.dtype)
        if skips is None:
            skips = [mean.expand(len(z), *mean.shape) for mean in self.skip_means]
        for layer, skip in zip(self.up[1:], reversed(skips), strict=True):
            h = layer(torch.cat([h, skip.to(h.dtype)], dim=1))
        return h + self.row_mean

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct a batch, without statistics."""
        encoding = self.encoding(x)
        return self.decode(encoding.code, None, encoding.skips)

    @property
    def skip_means(self) -> list[Tensor]:
        """Running means of the skips, one of shape (C, H, W) for each."""
        return [self.skip_mean_0, self.skip_mean_1]

    def reset_running_stats(self) -> None:
        """Forget the running means of the skips."""
        for buffer in (*self.skip_means, self.n_seen):
            buffer.zero_()

    def _down(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, maps = x - self.row_mean, []
        for layer in self.down:
            x = layer(x)
            maps.append(x)
        return self.embedding(x.flatten(1)), maps[:-1]

    @torch.no_grad()
    def _update(self, means: list[Tensor]) -> None:
        self.n_seen += 1
        rate = averaging_rate(self.n_seen, self.momentum)
        for running, mean in zip(self.skip_means, means, strict=True):
            running += rate * (mean - running)
