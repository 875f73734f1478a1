"""What an autoencoder knows of a batch between its two halves."""

from typing import NamedTuple

from torch import Tensor


class Encoding(NamedTuple):
    """A batch in the middle of an autoencoder, where more than its embedding goes on from there.

    Networks whose decoder sees more than the embedding, or another code than is clustered, have a
    method ``encoding(x) -> Encoding`` beside ``encode(x) -> z``.

    Parameters
    ----------
    z : Tensor of shape (n, embedding_dim)
        The embedding, which is clustered.
    code : Tensor of shape (n, embedding_dim)
        What is decoded: `z`, or in training a draw from the distribution that it is the mean of.
    skips : tuple of Tensor, default=()
        Features that pass by the embedding, for ``decode(code, q, skips)``.
    divergence : Tensor of shape (n,) or None, default=None
        How far the distribution of the code is from its prior, in nats.

    References
    ----------
    StatDEC, section V and Table IV: the networks with skip connections (+UNet) and with a
    distribution in place of a point (+VAE).

    Examples
    --------
    A network of one's own that decodes its embedding with noise:

    >>> import torch
    >>> from skdeepcluster.networks import Encoding, MLPAutoencoder
    >>> class Noisy(MLPAutoencoder):
    ...     def encoding(self, x):
    ...         z = self.encode(x)
    ...         return Encoding(z, z + 0.1 * torch.randn_like(z))
    >>> Noisy((4,), embedding_dim=2).encoding(torch.rand(5, 4)).code.shape
    torch.Size([5, 2])
    """

    z: Tensor
    code: Tensor
    skips: tuple[Tensor, ...] = ()
    divergence: Tensor | None = None
