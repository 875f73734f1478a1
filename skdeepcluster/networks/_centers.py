"""Cluster centres as a trained module."""

import torch
from torch import Tensor, nn

from skdeepcluster.objectives import student_t


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
