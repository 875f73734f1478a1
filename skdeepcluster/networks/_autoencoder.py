"""Fully connected autoencoder of StatDEC, DEC and IDEC."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._pooling import StatisticsPooling


class MLPAutoencoder(nn.Module):
    r"""Fully connected autoencoder d-500-500-1000-10 and its mirror, with statistics pooling.

    .. math::

        z = f_\theta(x), \qquad x' = g_{\theta'}(z, q)

    All layers but the embedding and the output are followed by a ReLU. What they see, and what they
    reconstruct, is the difference of x from the buffer `row_mean`, which is zero until a fit sets
    it. With `n_clusters`, a
    :class:`StatisticsPooling` block sits on the decoder's second hidden layer.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input, ``(d,)`` or ``(C, H, W)``; it is flattened to d numbers.
    embedding_dim : int, default=10
        Size of the embedding z.
    hidden : sequence of int, default=(500, 500, 1000)
        Sizes of the encoder's hidden layers; the decoder mirrors them.
    n_clusters : int or None, default=None
        Number of clusters K for the statistics pooling; None leaves the block out.

    Raises
    ------
    ValueError
        If there are fewer than two hidden layers and pooling is asked for.

    References
    ----------
    StatDEC, section IV (experimental setting); Xie et al. (2016), section 4.3.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MLPAutoencoder
    >>> network = MLPAutoencoder((1, 8, 8), embedding_dim=3)
    >>> z = network.encode(torch.rand(5, 1, 8, 8))
    >>> z.shape, network.decode(z).shape
    (torch.Size([5, 3]), torch.Size([5, 1, 8, 8]))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 10,
        hidden: Sequence[int] = (500, 500, 1000),
        n_clusters: int | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.embedding_dim = embedding_dim
        sizes = [math.prod(self.input_shape), *hidden, embedding_dim]
        self.register_buffer("row_mean", torch.zeros(self.input_shape))
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.decoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes[::-1]))
        self.pooling = None
        if n_clusters is not None:
            if len(hidden) < 2:
                raise ValueError(
                    "statistics pooling sits on the decoder's second hidden layer: "
                    f"hidden must have two sizes at least, got {tuple(hidden)}."
                )
            pooled = self.decoder[2]
            self.pooling = StatisticsPooling(pooled.in_features, pooled.out_features, n_clusters)

    def encode(self, x: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        Tensor of shape (n, embedding_dim)
        """
        return self._encode(x, len(self.encoder))

    def decode(self, z: Tensor, q: Tensor | None = None) -> Tensor:
        """Reconstruct inputs from embeddings.

        Parameters
        ----------
        z : Tensor of shape (n, embedding_dim)
        q : Tensor of shape (n, n_clusters) or None, default=None
            Soft assignments for the statistics pooling; None leaves the block out.

        Returns
        -------
        Tensor of shape (n, *input_shape)
        """
        h = z
        last = len(self.decoder) - 1
        for i, layer in enumerate(self.decoder):
            out = layer(h)
            if i == 2 and q is not None and self.pooling is not None:
                out = out + self.pooling(h, q).to(out.dtype)
            h = out if i == last else out.relu_()
        return h.unflatten(1, self.input_shape) + self.row_mean

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct a batch, without statistics."""
        return self.decode(self.encode(x))

    @property
    def n_layers(self) -> int:
        """Number of encoder layers that can be trained one after another."""
        return len(self.encoder)

    def layer_parameters(self, index: int) -> list[nn.Parameter]:
        """Parameters of encoder layer `index` and of the decoder layer that undoes it."""
        return [*self.encoder[index].parameters(), *self.decoder[-1 - index].parameters()]

    def layer_autoencoder(self, index: int, x: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
        """Denoising autoencoder of one layer, as greedy pre-training trains it.

        Dropout corrupts what enters the layer and what leaves it; the layer's own input, before
        the corruption, is to be reconstructed.

        Parameters
        ----------
        index : int
            Which encoder layer, from 0.
        x : Tensor of shape (n, *input_shape)
        dropout : float
            Share of the numbers that are set to zero.

        Returns
        -------
        reconstruction, target : Tensors of shape (n, layer's number of inputs)
        """
        target = self._encode(x, index).detach()
        hidden = self.encoder[index](F.dropout(target, dropout))
        if index < len(self.encoder) - 1:
            hidden = hidden.relu()
        output = self.decoder[-1 - index](F.dropout(hidden, dropout))
        # Inputs of inner layers come out of a ReLU, and so do their reconstructions.
        return (output if index == 0 else output.relu()), target

    def _encode(self, x: Tensor, n_layers: int) -> Tensor:
        h = (x - self.row_mean).flatten(1)
        for i, layer in enumerate(self.encoder[:n_layers]):
            h = layer(h)
            if i < len(self.encoder) - 1:
                h = h.relu_()
        return h
