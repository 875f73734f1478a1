"""Statistics pooling, the block that tells a decoder about a sample's cluster."""

import torch
from torch import Tensor, nn

from skdeepcluster.networks._precision import full_precision
from skdeepcluster.networks._whole_batch import whole_batch


class StatisticsPooling(nn.Module):
    r"""Add the statistics of a sample's cluster to the sample's own features.

    A shared non-linear layer maps features :math:`h_i` to :math:`\phi_i = \mathrm{ReLU}(W h_i)`. Of
    each cluster :math:`k` three statistics are taken, weighted by the soft assignments:

    .. math::

        S_k = (N_k, \mu_k, \sigma_k), \quad
        N_k = \frac{1}{n} \sum_i q_{ik}, \quad
        \mu_k = \frac{\sum_i q_{ik} \phi_i}{\sum_i q_{ik}}, \quad
        \sigma_k = \frac{\sum_i q_{ik} (\phi_i - \mu_k)^2}{\sum_i q_{ik}}

    and a sample receives those of its clusters, :math:`\sum_k q_{ik} S_k`, beside its own features:
    the layer that follows sees the concatenation of both. That layer is linear, so that its
    part for the statistics is a separate matrix here; it starts from zero, so that a network
    trained without clusters is unchanged when the block joins.

    How it works: in training mode the statistics are those of the batch, and gradients flow through
    them and through the assignments; a cluster that holds less than two samples of the batch
    (by the sum of its assignments) lends its running estimate instead, because a variance of one
    sample says nothing. In evaluation mode the running estimates alone are used, so that the
    output for a sample never depends on which others share its batch.

    Parameters
    ----------
    in_features : int
        Size of the features :math:`h`.
    out_features : int
        Size of the layer that follows.
    n_clusters : int
        Number of clusters K.
    width : int, default=128
        Size of :math:`\phi`, of which the statistics are taken.
    momentum : float, default=0.1
        Share of a new batch in the running estimates, once ten batches were seen.

    References
    ----------
    StatDEC, section III-B and eq. 6.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import StatisticsPooling
    >>> pool = StatisticsPooling(in_features=4, out_features=3, n_clusters=2)
    >>> pool(torch.randn(5, 4), torch.full((5, 2), 0.5)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_clusters: int,
        width: int = 128,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.shared = nn.Linear(in_features, width)
        self.project = nn.Linear(1 + 2 * width, out_features, bias=False)
        nn.init.zeros_(self.project.weight)
        self.register_buffer("share", torch.full((n_clusters,), 1.0 / n_clusters))
        self.register_buffer("mean", torch.zeros(n_clusters, width))
        self.register_buffer("variance", torch.zeros(n_clusters, width))
        self.register_buffer("n_seen", torch.zeros(n_clusters))

    def forward(self, features: Tensor, q: Tensor) -> Tensor:
        """Return what the following layer adds for the statistics.

        Parameters
        ----------
        features : Tensor of shape (n, in_features)
        q : Tensor of shape (n, n_clusters)
            Soft assignments, rows summing to one.

        Returns
        -------
        Tensor of shape (n, out_features)
        """
        share, mean, variance = self.share, self.mean, self.variance
        phi = self.shared(features).relu().to(q.dtype) if self.training else None  # (n, f)
        # bfloat16 is for layers: too coarse for a variance.
        with full_precision(q.device):
            if phi is not None:
                share, mean, variance = self.statistics(whole_batch(phi), whole_batch(q))
            statistics = torch.cat([share[:, None], mean, variance], dim=1)  # (K, 1 + 2 f)
            # Projecting K rows and mixing them afterwards is the same as projecting n mixtures.
            return q @ self.project(statistics)  # (n, out)

    def statistics(self, phi: Tensor, q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics of a training batch; clusters too small for one use the running estimate.

        Parameters
        ----------
        phi : Tensor of shape (n, f)
            Features after the shared layer.
        q : Tensor of shape (n, K)
            Soft assignments.

        Returns
        -------
        share : Tensor of shape (K,)
        mean, variance : Tensors of shape (K, f)
        """
        n = len(phi)
        size = q.sum(dim=0)  # (K,)
        weight = q.T / size.clamp_min(1e-6)[:, None]  # (K, n), rows sum to one
        # Variances as mean of squares less square of mean, about the batch mean: the shift keeps
        # the cancellation small, and no (K, n, f) tensor is needed.
        shift = phi.detach().mean(dim=0)
        centred = phi - shift
        mean = weight @ centred  # (K, f)
        variance = (weight @ centred.square() - mean.square()).clamp_min(0)
        mean = mean + shift
        share = size / n

        enough = size.detach() >= 2  # (K,)
        self._update(enough, share.detach(), mean.detach(), variance.detach())
        return (
            torch.where(enough, share, self.share),
            torch.where(enough[:, None], mean, self.mean),
            torch.where(enough[:, None], variance, self.variance),
        )

    @torch.no_grad()
    def _update(self, enough: Tensor, share: Tensor, mean: Tensor, variance: Tensor) -> None:
        """Move the running estimates of the clusters that the batch could tell something about."""
        self.n_seen += enough
        rate = averaging_rate(self.n_seen, self.momentum) * enough  # (K,)
        # The share of a small cluster is known even where its variance is not. New tensors, not
        # updates in place: the backward pass still needs the old ones.
        self.share = self.share + self.momentum * (share - self.share)
        self.mean = self.mean + rate[:, None] * (mean - self.mean)
        self.variance = self.variance + rate[:, None] * (variance - self.variance)


def averaging_rate(n_seen: Tensor, momentum: float) -> Tensor:
    """Share of a new batch in running estimates, when it is the `n_seen`-th.

    They are plain averages over the first batches, so that the zeros of the start leave no trace.
    """
    return (1 / n_seen.clamp_min(1)).clamp_min(momentum)
