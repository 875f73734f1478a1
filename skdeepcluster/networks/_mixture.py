"""The latent side of the Gaussian-mixture autoencoder: assignment, posterior and prior."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._convolutions import FeatureBatchNorm
from skdeepcluster.networks._precision import full_precision

#: Least variance of the posterior and of the prior.
VARIANCE_FLOOR = 1e-4


def bounded_variance(raw: Tensor) -> Tensor:
    """Softplus with a floor: a variance that neither vanishes nor has an infinite gradient."""
    return F.softplus(raw) + VARIANCE_FLOOR


class MixtureLatent(nn.Module):
    r"""Assignment q(k|x), posterior q(z|x,k) and prior p(z|k) on top of an encoder's features.

    .. math::

        q(k|x) &= \mathrm{softmax}(A h) \text{ or } \mathrm{softmax}(A \, \mathrm{BN}(h)), \\
        q(z|x,k) &= \mathcal{N}(\mu_\psi(h', e_k), \mathrm{diag}\, \sigma_\psi^2(h', e_k)), \\
        p(z|k) &= \mathcal{N}(\mu_\beta(e_k), \mathrm{diag}\, \sigma_\beta^2(e_k))

    The features :math:`h` and :math:`h'` may be the same. The layer that receives :math:`h'` beside
    the one-hot vector :math:`e_k` is linear, so that it splits into a product with :math:`h'`,
    computed once a row, and a vector for each component.

    Parameters
    ----------
    n_clusters : int
        Number of components K.
    assignment_features, posterior_features : int
        Sizes of :math:`h` and :math:`h'`.
    embedding_dim : int
        Size of z.
    posterior_sizes : sequence of int
        Hidden layers of the posterior, the first of which receives :math:`e_k`.
    prior_sizes : sequence of int, default=()
        Hidden layers of the prior.
    negative_slope : float, default=0.0
        Of the (leaky) ReLU.
    spread : float, default=1.0
        Standard deviation of the priors' means before training.
    distinction : float, default=0.3
        Standard deviation of the components' vectors in the posterior before training.
    batch_norm : bool, default=False
        Whether q(k|x) has the features normalised over the batch, without a scale or shift of their
        own.

    References
    ----------
    Variational Clustering, eqs. 7, 8 and 11, Table II.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MixtureLatent
    >>> latent = MixtureLatent(3, 8, 8, embedding_dim=2, posterior_sizes=(16,))
    >>> latent.log_assignment(torch.randn(5, 8)).shape
    torch.Size([5, 3])
    >>> mean, variance = latent.posterior(latent.project(torch.randn(5, 8)))
    >>> mean.shape
    torch.Size([5, 3, 2])
    >>> [tuple(tensor.shape) for tensor in latent.prior()]
    [(3, 2), (3, 2)]
    """

    def __init__(
        self,
        n_clusters: int,
        assignment_features: int,
        posterior_features: int,
        embedding_dim: int,
        posterior_sizes: Sequence[int],
        prior_sizes: Sequence[int] = (),
        negative_slope: float = 0.0,
        spread: float = 1.0,
        distinction: float = 0.3,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.negative_slope = negative_slope
        self.norm = None
        if batch_norm:
            self.norm = FeatureBatchNorm(assignment_features, affine=False)
        self.assignment = nn.Linear(assignment_features, n_clusters)
        self.features = nn.Linear(posterior_features, posterior_sizes[0])
        self.component = nn.Parameter(torch.randn(n_clusters, posterior_sizes[0]) * distinction)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(posterior_sizes))
        self.posterior_out = nn.Linear(posterior_sizes[-1], 2 * embedding_dim)
        sizes = (n_clusters, *prior_sizes)
        self.prior_hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.prior_out = nn.Linear(sizes[-1], 2 * embedding_dim)
        self._place_priors(spread)

    @torch.no_grad()
    def _place_priors(self, spread: float) -> None:
        """Scale the last layer so that the means lie `spread` apart whatever is beneath it.

        The usual initialisation leaves them within a tenth of their standard deviation of each
        other, where a component has nothing of its own.
        """
        mean, _ = self.prior()
        part = self.prior_out.weight[: self.embedding_dim]
        if len(mean) > 1:
            part *= spread / mean.std(dim=0).mean().clamp_min(1e-6)
        self.prior_out.bias.zero_()
        if self.prior_hidden:  # they give all components something in common
            mean, _ = self.prior()
            self.prior_out.bias[: self.embedding_dim] = -mean.mean(dim=0)

    def log_assignment(self, h: Tensor) -> Tensor:
        """Return log q(k|x) of shape (n, K) for features (n, assignment_features), float32."""
        # Small, and what everything hangs on: not in bfloat16.
        with full_precision(h.device):
            h = h.float()
            if self.norm is not None:
                h = self.norm(h)
            return self.assignment(h).log_softmax(dim=1)

    def project(self, h: Tensor) -> Tensor:
        """Do what does not depend on k: (n, posterior_features) to (n, posterior_sizes[0])."""
        return self.features(h)

    def posterior(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of q(z|x,k) for every component.

        Parameters
        ----------
        projected : Tensor of shape (n, posterior_sizes[0])
            What :meth:`project` gave.

        Returns
        -------
        mean, variance : Tensors of shape (n, K, e), float32
        """
        h = self._activate(projected[:, None] + self.component.to(projected.dtype))  # (n, K, s)
        for layer in self.hidden:
            h = self._activate(layer(h))
        mean, raw = self.posterior_out(h).float().chunk(2, dim=-1)
        return mean, bounded_variance(raw)

    def prior(self, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of p(z|k).

        Parameters
        ----------
        weights : Tensor of shape (m, K) or None, default=None
            Points of the simplex in place of one-hot vectors; None is the K one-hot vectors.

        Returns
        -------
        mean, variance : Tensors of shape (m, e) or (K, e), float32
        """
        parameter = self.prior_out.weight
        if weights is None:
            weights = torch.eye(self.n_clusters, dtype=parameter.dtype, device=parameter.device)
        # Little to compute, and bfloat16 would shift the clusters' centres.
        with full_precision(parameter.device):
            h = weights
            for layer in self.prior_hidden:
                h = self._activate(layer(h))
            mean, raw = self.prior_out(h).chunk(2, dim=-1)
            return mean, bounded_variance(raw)

    def _activate(self, h: Tensor) -> Tensor:
        return F.leaky_relu(h, self.negative_slope) if self.negative_slope else h.relu()
