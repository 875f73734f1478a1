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
    """

    z: Tensor
    code: Tensor
    skips: tuple[Tensor, ...] = ()
    divergence: Tensor | None = None
