"""Fully connected variational autoencoder, of StatDEC+VAE and VDEC."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skdeepcluster.networks._autoencoder import MLPAutoencoder
from skdeepcluster.networks._encoding import Encoding
from skdeepcluster.objectives import standard_normal_divergence


class VariationalAutoencoder(MLPAutoencoder):
    r"""The fully connected autoencoder whose encoder gives a distribution instead of a point.

    .. math::

        p(z | x) = \mathcal N(\mu(x), \mathrm{diag}\, \sigma^2(x)), \qquad
        x' = g_{\theta'}(z, q), \quad z \sim p(z | x)

    The embedding is the mean :math:`\mu(x)`: it is what is clustered, and what is decoded when
    nothing may be random. In training a draw is decoded, and the divergence from a standard normal
    prior keeps the distributions from shrinking to points.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input, ``(d,)`` or ``(C, H, W)``; it is flattened to d numbers.
    embedding_dim : int, default=10
        Size of the embedding.
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
    StatDEC, section V and Table IV (StatDEC+VAE). D. Kingma, M. Welling, "Auto-Encoding Variational
    Bayes", ICLR 2014.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import VariationalAutoencoder
    >>> network = VariationalAutoencoder((1, 8, 8), embedding_dim=3)
    >>> encoding = network.encoding(torch.rand(5, 1, 8, 8))
    >>> encoding.code.shape, encoding.divergence.shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 10,
        hidden: Sequence[int] = (500, 500, 1000),
        n_clusters: int | None = None,
    ) -> None:
        super().__init__(input_shape, embedding_dim, hidden, n_clusters)
        self.log_variance = nn.Linear(self.encoder[-1].in_features, embedding_dim)

    def encoding(self, x: Tensor) -> Encoding:
        """Embed a batch, and draw a code for each row; out of training it is the mean.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        Encoding
        """
        hidden = self._encode(x, len(self.encoder) - 1)
        mean = self.encoder[-1](hidden).float()  # (n, e)
        log_variance = self.log_variance(hidden).float()
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return Encoding(mean, code, (), standard_normal_divergence(mean, log_variance))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct a batch, without statistics."""
        return self.decode(self.encoding(x).code)
