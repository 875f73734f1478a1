"""Fully connected encoder and decoder for the Gaussian-mixture autoencoder."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Slope of the leaky ReLU below zero, where Table II has leaky ReLUs.
NEGATIVE_SLOPE = 0.2


class MixtureMLP(nn.Module):
    """Fully connected encoders for q(k|x) and q(z|x,k), and the decoder of p(x|z).

    The encoder of the posterior ends one layer before its last size: the layer of that size is the
    one that receives the component, in :class:`MixtureLatent`. What encoders see is the difference
    of x from the buffer `row_mean`, which is zero until a fit sets it.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input, ``(d,)`` or ``(C, H, W)``; it is flattened to d numbers.
    embedding_dim : int, default=10
        Size of z.
    hidden : sequence of int, default=(500, 500)
        Sizes of the hidden layers of all three; the decoder has them in reverse.
    n_outputs : int, default=1
        Numbers that the decoder gives for each number of the input: 1 for a Bernoulli likelihood, 2
        for a Gaussian one.
    assignment, posterior : sequence of int or None, default=None
        Sizes for the encoders of q(k|x) and of q(z|x,k), if others than `hidden`.
    prior : sequence of int, default=()
        Hidden layers of the prior.
    negative_slope : float, default=0.0
        Of the (leaky) ReLU.

    Attributes
    ----------
    posterior_sizes, prior_sizes : tuple of int
        Hidden layers of :class:`MixtureLatent` that this network is for.

    References
    ----------
    Variational Clustering, Table II, whose network for toy data is :meth:`toy`; for other inputs
    the paper has convolutions only.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MixtureMLP
    >>> network = MixtureMLP((1, 8, 8), embedding_dim=3, n_outputs=2)
    >>> [tuple(h.shape) for h in network.encode(torch.rand(5, 1, 8, 8))]
    [(5, 500), (5, 500)]
    >>> network.decode(torch.rand(5, 3)).shape
    torch.Size([5, 2, 8, 8])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        embedding_dim: int = 10,
        hidden: Sequence[int] = (500, 500),
        n_outputs: int = 1,
        assignment: Sequence[int] | None = None,
        posterior: Sequence[int] | None = None,
        prior: Sequence[int] = (),
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__()
        posterior = hidden if posterior is None else posterior
        self.posterior_sizes = (posterior[-1],)
        self.prior_sizes = tuple(prior)
        self.negative_slope = negative_slope
        self.output_shape = (n_outputs * input_shape[0], *input_shape[1:])
        self.register_buffer("row_mean", torch.zeros(tuple(input_shape)))
        n_inputs = math.prod(input_shape)
        self.assignment = self._layers([n_inputs, *(assignment or hidden)])
        self.posterior = self._layers([n_inputs, *posterior[:-1]])
        sizes = [embedding_dim, *hidden[::-1]]
        last = nn.Linear(sizes[-1], math.prod(self.output_shape))
        self.decoder = nn.Sequential(*self._layers(sizes), last)

    @classmethod
    def toy(
        cls, input_shape: Sequence[int], embedding_dim: int = 2, n_outputs: int = 2
    ) -> "MixtureMLP":
        """Build the network of Table II for two-dimensional toy data."""
        return cls(
            input_shape,
            embedding_dim,
            hidden=(120, 120),
            n_outputs=n_outputs,
            assignment=(120,),
            posterior=(10, 10),
            prior=(120,),
            negative_slope=NEGATIVE_SLOPE,
        )

    def _layers(self, sizes: Sequence[int]) -> nn.Sequential:
        slope = self.negative_slope
        return nn.Sequential(
            *(
                layer
                for a, b in pairwise(sizes)
                for layer in (nn.Linear(a, b), nn.LeakyReLU(slope) if slope else nn.ReLU())
            )
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features for the assignment and for the posterior.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        h, h' : Tensors of shape (n, features)
        """
        x = (x - self.row_mean).flatten(1)
        return self.assignment(x), self.posterior(x)

    def encode_assignment(self, x: Tensor) -> Tensor:
        """Features for the assignment alone, of shape (n, features)."""
        return self.assignment((x - self.row_mean).flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z).

        Parameters
        ----------
        z : Tensor of shape (n, embedding_dim)

        Returns
        -------
        Tensor of shape (n, n_outputs * C, H, W) or (n, n_outputs * d)
            Logits, or means and then what the variances are made of.
        """
        return self.decoder(z).unflatten(1, self.output_shape)
