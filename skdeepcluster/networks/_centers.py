"""Soft assignment of embeddings to cluster centres, trained ones and given ones."""

import torch
from torch import Tensor, nn

from skdeepcluster.objectives import squared_distances, student_t


class StudentTAssignment(nn.Module):
    r"""Soft assignment to trained centres by a Student's t kernel.

    .. math:: q_{ij} \propto (1 + \lVert z_i - m_j \rVert^2 / \alpha)^{-(\alpha + 1) / 2}

    Parameters
    ----------
    n_clusters : int
        Number of centres K.
    embedding_dim : int
        Their dimension.
    alpha : float, default=1.0
        Degrees of freedom.

    References
    ----------
    StatDEC, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import StudentTAssignment
    >>> StudentTAssignment(3, embedding_dim=2)(torch.zeros(1, 2)).exp().sum().round(decimals=3)
    tensor(1., grad_fn=<RoundBackward1>)
    """

    def __init__(self, n_clusters: int, embedding_dim: int, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.centers = nn.Parameter(torch.zeros(n_clusters, embedding_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Return log q of shape (n, K) for embeddings of shape (n, embedding_dim)."""
        return student_t(z.float(), self.centers, self.alpha, log=True)


class GaussianAssignment(nn.Module):
    r"""Soft assignment to given means by Gaussians of one variance.

    .. math:: p_{ik} \propto \exp\left(-\frac{\lVert z_i - \mu_k \rVert^2}{2 s^2}\right)

    The most probable mean is always the nearest one. Means and variance are not trained: whoever
    knows them sets them.

    Parameters
    ----------
    n_clusters : int
        Number of means K.
    embedding_dim : int
        Their dimension.

    References
    ----------
    MMDC, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import GaussianAssignment
    >>> assignment = GaussianAssignment(2, embedding_dim=2)
    >>> _ = assignment.means.copy_(torch.eye(2))
    >>> assignment(torch.tensor([[1.0, 0.0]])).round(decimals=2)
    tensor([[0.7300, 0.2700]])
    """

    def __init__(self, n_clusters: int, embedding_dim: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(n_clusters, embedding_dim))
        self.register_buffer("variance", torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        """Return probabilities of shape (n, K) for embeddings of shape (n, embedding_dim)."""
        squared = squared_distances(z.float(), self.means)  # (n, K)
        # Differences first: a small variance must not round the nearest mean's lead away.
        further = squared - squared.amin(dim=1, keepdim=True)
        return (-further / (2 * self.variance)).softmax(dim=1)
