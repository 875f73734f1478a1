"""Target points on the unit sphere, and which row gets which: the discrete part of MMDC.

Random numbers come from torch's global generator of the CPU, so that a seed means the same targets
on every device.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

__all__ = ["match_labels", "match_targets", "mixture_means", "sample_mixture", "sample_sphere"]

#: Random means are drawn from a cube of this half side (Fig. 4 of the paper), then projected.
MEAN_RANGE = 0.1


def mixture_means(kind: str, n_clusters: int, dim: int) -> Tensor:
    r"""Means :math:`\mu_k` of the mixture that targets are drawn from.

    Parameters
    ----------
    kind : {"one-hot", "random"}
        "one-hot" are the first K unit vectors. "random" are uniform in :math:`[-0.1, 0.1]^d`,
        projected to the unit sphere.
    n_clusters : int
        K.
    dim : int
        Dimension d of the embedding; K at least for one-hot means.

    Returns
    -------
    Tensor of shape (K, d)

    Raises
    ------
    ValueError
        If `kind` is none of the above, or there are more one-hot means than dimensions.

    References
    ----------
    MMDC, section IV-A and Fig. 4.

    Examples
    --------
    >>> from skdeepcluster.targets import mixture_means
    >>> mixture_means("one-hot", 2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if kind == "one-hot":
        if dim < n_clusters:
            raise ValueError(
                f"{n_clusters} one-hot means need as many dimensions at least, got dim={dim}."
            )
        return torch.eye(n_clusters, dim)
    if kind == "random":
        return F.normalize((2 * torch.rand(n_clusters, dim) - 1) * MEAN_RANGE)
    raise ValueError(f"kind must be 'one-hot' or 'random', got {kind!r}.")


def sample_mixture(
    means: Tensor, n: int, sigma: float = 0.0, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Draw targets from a mixture of Gaussians, projected to the unit sphere.

    .. math::

        c \sim \mathrm{Categ}(\alpha), \quad u \sim N(\mu_c, \sigma I), \quad
        t = u / \lVert u \rVert

    Without variance there are no more than K different targets. They are kept once, and rows refer
    to them by number, so that nothing of shape (n, d) is needed.

    Parameters
    ----------
    means : Tensor of shape (K, d)
        On the unit sphere.
    n : int
        Number of targets.
    sigma : float, default=0.0
        Variance :math:`\sigma` of each coordinate.
    weights : Tensor of shape (K,) or None, default=None
        Proportions :math:`\alpha_k`, up to a factor; None is :math:`1 / K`.

    Returns
    -------
    points : Tensor of shape (m, d)
        Different targets; m is K without variance, else n.
    component : Tensor of shape (m,), int64
        Which Gaussian a point is of.
    index : Tensor of shape (n,), int64
        Numbers in `points` of the n targets that were drawn.

    References
    ----------
    MMDC, eq. 2 and algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.targets import sample_mixture
    >>> points, component, index = sample_mixture(torch.eye(3), n=100)
    >>> points.shape, index.shape
    (torch.Size([3, 3]), torch.Size([100]))
    """
    n_clusters, dim = means.shape
    if weights is None:
        drawn = torch.randint(n_clusters, (n,))
    else:
        drawn = torch.multinomial(weights.double(), n, replacement=True)
    if sigma == 0:
        return means, torch.arange(n_clusters), drawn
    points = F.normalize(means[drawn] + sigma**0.5 * torch.randn(n, dim))
    return points, drawn, torch.arange(n)


def sample_sphere(n: int, dim: int) -> Tensor:
    """Draw targets uniformly from the unit sphere, as noise-as-targets (NAT) does.

    Parameters
    ----------
    n : int
        Number of targets.
    dim : int
        Dimension d of the embedding.

    Returns
    -------
    Tensor of shape (n, d)

    References
    ----------
    MMDC, section III-A; Bojanowski and Joulin, "Unsupervised Learning by Predicting Noise" (2017).

    Examples
    --------
    >>> from skdeepcluster.targets import sample_sphere
    >>> sample_sphere(4, dim=3).norm(dim=1).round(decimals=3)
    tensor([1., 1., 1., 1.])
    """
    return F.normalize(torch.randn(n, dim))


def match_targets(cost: np.ndarray) -> np.ndarray:
    r"""Permutation of the targets of a batch that minimises its cost (Hungarian method).

    .. math:: \min_P \sum_i \lVert f(x_i) - t_{P(i)} \rVert

    Parameters
    ----------
    cost : ndarray of shape (b, b)
        Distance of each row's embedding to each target of the batch.

    Returns
    -------
    ndarray of shape (b,), int
        Which of the batch's targets each row gets; each is given once. Equal costs keep what is.

    References
    ----------
    MMDC, eq. 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdeepcluster.targets import match_targets
    >>> match_targets(np.array([[2.0, 0.5], [0.5, 1.0]]))
    array([1, 0])
    """
    _, chosen = linear_sum_assignment(cost)
    own = np.arange(len(cost))
    # What the solver returns may be worse by rounding than what there was; then nothing moves.
    return chosen if cost[own, chosen].sum() < cost.trace() else own


def match_labels(labels: np.ndarray, previous: np.ndarray, n_clusters: int) -> np.ndarray:
    """Rename labels so that as many as possible are what they were.

    Parameters
    ----------
    labels, previous : ndarrays of shape (n,), int
        From 0 to K - 1.
    n_clusters : int
        K.

    Returns
    -------
    ndarray of shape (n,), int
        `labels` after the permutation of 0 to K - 1 that agrees most with `previous`.

    References
    ----------
    MMDC, section III-E.

    Examples
    --------
    >>> import numpy as np
    >>> from skdeepcluster.targets import match_labels
    >>> match_labels(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]), n_clusters=2)
    array([1, 1, 0, 0])
    """
    agreement = np.bincount(labels * n_clusters + previous, minlength=n_clusters**2)
    _, name = linear_sum_assignment(agreement.reshape(n_clusters, n_clusters), maximize=True)
    return name[labels]
