"""Soft assignments to centres and the targets that sharpen them (DEC, StatDEC)."""

import torch
from torch import Tensor

#: Readings of the sample frequency :math:`v_j` of StatDEC, see :func:`target_weights`.
TARGET_READINGS = ("members", "inverse", "mean", "all", "squared", "dec")

#: Rows over which sums are taken at once: what stands between would take several times q's memory.
ROWS = 1 << 16

#: Most numbers in all centres for which the differences of all rows to them are held at once.
CENTER_NUMBERS = 1 << 14


def squared_distances(z: Tensor, centers: Tensor) -> Tensor:
    """Squared Euclidean distance of each row to each centre.

    Differences are squared, not expanded into products, so that the result does not suffer from
    cancellation and a row's value does not depend on the rows beside it. Many centres of many
    numbers are measured by :func:`torch.cdist`, which holds no differences and has no second
    derivative.

    Parameters
    ----------
    z : Tensor of shape (n, d)
    centers : Tensor of shape (K, d)

    Returns
    -------
    Tensor of shape (n, K)

    References
    ----------
    What the kernels of StatDEC, eq. 3, and of MMDC, eq. 3, are functions of.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import squared_distances
    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[25.,  1.]])
    """
    dtype = torch.promote_types(z.dtype, centers.dtype)
    if centers.numel() > CENTER_NUMBERS and dtype.is_floating_point:
        wide = torch.promote_types(dtype, torch.float32)  # there is no other kernel
        exact = "donot_use_mm_for_euclid_dist"
        return torch.cdist(z.to(wide), centers.to(wide), compute_mode=exact).square().to(dtype)
    return (z[:, None, :] - centers[None, :, :]).square().sum(dim=2)


def student_t(z: Tensor, centers: Tensor, alpha: float = 1.0, *, log: bool = False) -> Tensor:
    r"""Soft assignment of embeddings to centres by a Student's t kernel.

    .. math::

        q_{ij} = \frac{(1 + \lVert z_i - m_j \rVert^2 / \alpha)^{-(\alpha + 1) / 2}}
                      {\sum_k (1 + \lVert z_i - m_k \rVert^2 / \alpha)^{-(\alpha + 1) / 2}}

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Embeddings.
    centers : Tensor of shape (K, d)
        Cluster centres :math:`m_j`.
    alpha : float, default=1.0
        Degrees of freedom :math:`\alpha`.
    log : bool, default=False
        Return :math:`\log q`, which stays finite where :math:`q` underflows.

    Returns
    -------
    Tensor of shape (n, K)
        Rows sum to one (before the logarithm).

    References
    ----------
    StatDEC, eq. 3; Xie et al., "Unsupervised Deep Embedding for Clustering Analysis" (2016), eq. 1.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import student_t
    >>> student_t(torch.tensor([[0.0]]), torch.tensor([[1.0], [-1.0]]))
    tensor([[0.5000, 0.5000]])
    """
    logits = -(alpha + 1) / 2 * torch.log1p(squared_distances(z, centers) / alpha)  # (n, K)
    return logits.log_softmax(dim=1) if log else logits.softmax(dim=1)


def target_weights(q: Tensor, reading: str = "members", gamma: float = 2.0) -> Tensor:
    r"""Frequencies :math:`u_j + v_j` that the target distribution divides by.

    :math:`u_j = \sum_i q_{ij}` is the soft size of cluster :math:`j`. The sample frequency
    :math:`v_j` is a focal term times a rarity factor; with :math:`N_j` the number of rows whose
    largest assignment is :math:`j` (at least one) and :math:`N = \sum_k N_k`, the readings are

    ========== =========================================================================
    reading    :math:`v_j`
    ========== =========================================================================
    "members"  :math:`-\sqrt{N / N_j} \sum_{i \in j} (1 - q_{ij})^\gamma \log q_{ij}`
               over the :math:`N_j` rows assigned to :math:`j`
    "inverse"  :math:`-\sqrt{N_j / N} \sum_i (1 - q_{ij})^\gamma \log q_{ij}`
    "mean"     :math:`-\sqrt{N / N_j} \frac{1}{n} \sum_i (1 - q_{ij})^\gamma \log q_{ij}`
    "all"      :math:`-\sqrt{N / N_j} \sum_i (1 - q_{ij})^\gamma \log q_{ij}`
    "squared"  the equation as printed: the same for every cluster, so that
               :math:`p_{ij} \propto q_{ij}^2` (weights of one are returned)
    "dec"      zero: the target of DEC, :math:`p_{ij} \propto q_{ij}^2 / u_j`
    ========== =========================================================================

    Parameters
    ----------
    q : Tensor of shape (n, K)
        Soft assignments of the whole training set.
    reading : {"members", "inverse", "mean", "all", "squared", "dec"}, default="members"
        How eq. 5 is read; the documentation says why.
    gamma : float, default=2.0
        Focusing exponent :math:`\gamma`.

    Returns
    -------
    Tensor of shape (K,)

    Raises
    ------
    ValueError
        If `reading` is none of the above.

    References
    ----------
    StatDEC, eqs. 4 and 5.

    Examples
    --------
    The smaller cluster gets the smaller weight to be divided by:

    >>> import torch
    >>> from skdeepcluster.objectives import target_weights
    >>> q = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> target_weights(q, "dec")
    tensor([2., 1.])
    >>> target_weights(q, "members").round(decimals=3)
    tensor([2.0120, 1.0560])
    """
    if reading not in TARGET_READINGS:
        raise ValueError(f"reading must be one of {TARGET_READINGS}, got {reading!r}.")
    u = q.sum(dim=0)  # (K,)
    if reading == "squared":
        return torch.ones_like(u)
    # An empty cluster has u = 0 wherever q underflowed: its weight must not become a division by 0.
    u = u.clamp_min(torch.finfo(q.dtype).tiny)
    if reading == "dec":
        return u
    n, n_clusters = q.shape
    nearest = q.argmax(dim=1)  # (n,)
    cardinality = torch.bincount(nearest, minlength=n_clusters).clamp_min(1).to(q.dtype)  # (K,)
    rarity = (n / cardinality).sqrt()
    clusters = torch.arange(n_clusters, device=q.device)
    focal = torch.zeros_like(u)
    for q_rows, nearest_rows in zip(q.split(ROWS), nearest.split(ROWS), strict=True):
        terms = _focal(q_rows, gamma)
        if reading == "members":
            terms = torch.where(nearest_rows[:, None] == clusters, terms, 0)
        focal = focal + terms.sum(dim=0)
    return u + focal * {"mean": rarity / n, "inverse": 1 / rarity}.get(reading, rarity)


def _focal(q: Tensor, gamma: float) -> Tensor:
    """Return -(1 - q)^gamma log q, element by element, finite at q = 0."""
    return -((1 - q) ** gamma) * q.clamp_min(torch.finfo(q.dtype).tiny).log()


def target_distribution(q: Tensor, weights: Tensor) -> Tensor:
    r"""Target distribution: squared assignments over cluster frequencies, made to sum to one.

    .. math::

        p_{ij} = \frac{q_{ij}^2 / w_j}{\sum_k q_{ik}^2 / w_k}

    Parameters
    ----------
    q : Tensor of shape (n, K)
        Soft assignments.
    weights : Tensor of shape (K,)
        Frequencies :math:`w_j`, see :func:`target_weights`.

    Returns
    -------
    Tensor of shape (n, K)

    References
    ----------
    StatDEC, eq. 4, with :math:`w = u + v` above and below the line; DEC, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import target_distribution
    >>> target_distribution(torch.tensor([[0.75, 0.25]]), torch.ones(2))
    tensor([[0.9000, 0.1000]])
    """
    # Relative to the largest, and bounded: an empty cluster's weight is too small to divide by. No
    # row sums to zero, because its largest q is 1 / K at least.
    relative = (weights / weights.max()).clamp_min(torch.finfo(q.dtype).tiny ** 0.5)
    p = q.square() / relative
    return p / p.sum(dim=1, keepdim=True)


def kl_divergence(p: Tensor, log_q: Tensor, *, by_row: bool = False) -> Tensor:
    r"""Mean over the rows of :math:`\mathrm{KL}(p_i \| q_i) = \sum_j p_{ij} \log(p_{ij} / q_{ij})`.

    Parameters
    ----------
    p : Tensor of shape (n, K)
        Targets; zeros count as nothing.
    log_q : Tensor of shape (n, K)
        Logarithms of the assignments.
    by_row : bool, default=False
        Return each row's divergence instead of their mean.

    Returns
    -------
    Tensor of shape () or (n,)

    References
    ----------
    StatDEC, eq. 2 (which sums over the rows; the mean makes the weight independent of the batch).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import kl_divergence
    >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]).log())
    tensor(0.6931)
    """
    rows = (torch.xlogy(p, p) - p * log_q).sum(dim=1)  # (n,)
    return rows if by_row else rows.mean()
