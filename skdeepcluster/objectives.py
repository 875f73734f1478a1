"""Objectives of the methods as pure functions on tensors.

Nothing here knows of training loops, devices or estimators: tensors go in, tensors come out, and
each function cites the equation that it computes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "TARGET_READINGS",
    "augmentation_divergence",
    "bernoulli_log_likelihood",
    "category_style_prior",
    "critic_loss",
    "encoder_adversarial_loss",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "kl_divergence",
    "mixture_elbo",
    "mutual_information_estimate",
    "mutual_information_loss",
    "smallest_set",
    "squared_distances",
    "squared_wasserstein",
    "standard_normal_divergence",
    "student_t",
    "target_distribution",
    "target_weights",
]

#: Readings of the sample frequency :math:`v_j` of StatDEC, see :func:`target_weights`.
TARGET_READINGS = ("members", "inverse", "mean", "all", "squared", "dec")


def squared_distances(z: Tensor, centers: Tensor) -> Tensor:
    """Squared Euclidean distance of each row to each centre.

    Differences are squared, not expanded into products, so that the result does not suffer from
    cancellation and a row's value does not depend on the rows beside it.

    Parameters
    ----------
    z : Tensor of shape (n, d)
    centers : Tensor of shape (K, d)

    Returns
    -------
    Tensor of shape (n, K)

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import squared_distances
    >>> squared_distances(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[25.,  1.]])
    """
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
    if reading == "members":
        member = torch.nn.functional.one_hot(nearest, n_clusters).bool()  # (n, K)
        v = torch.where(member, _focal(q, gamma), 0).sum(dim=0) * rarity
    else:
        focal = _focal(q, gamma).sum(dim=0)  # (K,)
        factor = {"all": rarity, "mean": rarity / n, "inverse": 1 / rarity}[reading]
        v = focal * factor
    return u + v


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
    """
    rows = (torch.xlogy(p, p) - p * log_q).sum(dim=1)  # (n,)
    return rows if by_row else rows.mean()


def standard_normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    r"""Divergence of diagonal normal distributions from the standard normal one, by row.

    .. math::

        \mathrm{KL}(\mathcal N(\mu, \mathrm{diag}\, \sigma^2) \| \mathcal N(0, 1))
            = \frac{1}{2} \sum_j (\mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1)

    Parameters
    ----------
    mean : Tensor of shape (n, d)
        Means :math:`\mu`.
    log_variance : Tensor of shape (n, d)
        Logarithms of the variances :math:`\sigma^2`.

    Returns
    -------
    Tensor of shape (n,)
        In nats.

    References
    ----------
    Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), appendix B.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import standard_normal_divergence
    >>> standard_normal_divergence(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    return (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1) / 2


# ------------------------------------------------------------------ category and style (DCCS)


def mutual_information_loss(positive: Tensor, negative: Tensor) -> Tensor:
    r"""Minus the Jensen-Shannon bound on the mutual information of inputs and representations.

    .. math::

        L_{MI} = -\frac{1}{2m} \sum_{i=1}^m
            \left[ \log S(D(x_i, z_i)) + \log(1 - S(D(x_i, z_{\pi(i)}))) \right]

    with the sigmoid :math:`S` and a permutation :math:`\pi` of the batch: the mean over the
    :math:`2m` pairs.

    Parameters
    ----------
    positive : Tensor of shape (m,)
        Logits :math:`D` of the pairs that belong together.
    negative : Tensor of shape (m,)
        Logits of the pairs that do not.

    Returns
    -------
    Tensor of shape ()
        log 2 where the discriminator cannot tell, 0 where it always can.

    References
    ----------
    DCCS, eq. 6 (which adds the two means; the factor is part of the weight).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import mutual_information_loss
    >>> mutual_information_loss(torch.zeros(3), torch.zeros(3))
    tensor(0.6931)
    """
    return (F.softplus(-positive).mean() + F.softplus(negative).mean()) / 2


def mutual_information_estimate(loss: Tensor | float) -> Tensor | float:
    r"""Jensen-Shannon mutual information that :func:`mutual_information_loss` is a bound of.

    .. math:: I^{(JSD)} \ge \log 2 - L_{MI}

    Parameters
    ----------
    loss : Tensor or float

    Returns
    -------
    Tensor or float
        From 0 (independent) to log 2.

    References
    ----------
    DCCS, eqs. 3 to 5.
    """
    return math.log(2) - loss


def augmentation_divergence(logits: Tensor, logits_augmented: Tensor) -> Tensor:
    r"""How much the categories of inputs change with their augmentation.

    .. math:: L_{Aug} = \frac{1}{m} \sum_i \mathrm{KL}(Q(Z_c | x_i) \| Q(Z_c | T(x_i)))

    Gradients flow through both sides.

    Parameters
    ----------
    logits, logits_augmented : Tensors of shape (m, K)
        Categories before the softmax.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    DCCS, eq. 7.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import augmentation_divergence
    >>> augmentation_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[5.0, 5.0]]))
    tensor(0.)
    """
    log_p, log_q = logits.log_softmax(dim=1), logits_augmented.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()


def category_style_prior(
    n: int,
    n_clusters: int,
    n_style: int,
    sigma: float,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Draw from the prior of the latent representation.

    .. math::

        \tilde z = (\tilde z_c, \tilde z_s), \quad
        \tilde z_c \sim \mathrm{Cat}(K, 1/K), \quad \tilde z_s \sim N(0, \sigma^2 I)

    Parameters
    ----------
    n : int
    n_clusters : int
        Number of categories K.
    n_style : int
    sigma : float
        Standard deviation of the style part.
    device : torch.device or str, default="cpu"
    generator : torch.Generator or None, default=None
        None is torch's global one.

    Returns
    -------
    Tensor of shape (n, n_clusters + n_style)

    References
    ----------
    DCCS, section 3.3.

    Examples
    --------
    >>> from skdeepcluster.objectives import category_style_prior
    >>> category_style_prior(4, n_clusters=3, n_style=2, sigma=0.1)[:, :3].sum(dim=1)
    tensor([1., 1., 1., 1.])
    """
    category = torch.randint(n_clusters, (n,), device=device, generator=generator)
    style = torch.randn(n, n_style, device=device, generator=generator)
    return torch.cat([F.one_hot(category, n_clusters).to(style.dtype), sigma * style], dim=1)


def gradient_penalty(gradient: Tensor) -> Tensor:
    r"""How far a critic is from a slope of one, where it should have it.

    .. math:: E_{\hat z}[(\lVert \nabla C(\hat z) \rVert_2 - 1)^2], \qquad
        \hat z = \epsilon z + (1 - \epsilon) \tilde z

    Parameters
    ----------
    gradient : Tensor of shape (m, e)
        :math:`\nabla C` at the points between representations and draws from the prior.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    DCCS, eq. 11, last term.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import gradient_penalty
    >>> gradient_penalty(torch.tensor([[3.0, 4.0], [0.6, 0.8]]))
    tensor(8.)
    """
    # The root's slope at zero is infinite.
    norm = (gradient.square().sum(dim=1) + torch.finfo(gradient.dtype).tiny).sqrt()
    return (norm - 1).square().mean()


def critic_loss(
    value: Tensor, value_prior: Tensor, penalty: Tensor | float = 0.0, weight: float = 10.0
) -> Tensor:
    r"""Objective of the critic; without the penalty, minus its Wasserstein estimate.

    .. math:: L^C_{Adv} = E[C(z)] - E[C(\tilde z)] + \lambda \cdot penalty

    Parameters
    ----------
    value : Tensor of shape (m,)
        :math:`C` of representations.
    value_prior : Tensor of shape (m,)
        :math:`C` of draws from the prior.
    penalty : Tensor of shape () or float, default=0.0
        See :func:`gradient_penalty`.
    weight : float, default=10.0
        :math:`\lambda`.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    DCCS, eqs. 8 and 11.
    """
    return value.mean() - value_prior.mean() + weight * penalty


def encoder_adversarial_loss(value: Tensor) -> Tensor:
    r"""Objective of the encoder against the critic.

    .. math:: L^Q_{Adv} = -E[C(z)]

    Parameters
    ----------
    value : Tensor of shape (m,)
        :math:`C` of representations.

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    DCCS, eq. 10.
    """
    return -value.mean()


# ------------------------------------------------------------------ mixtures (VariationalGMM)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    r"""Log-likelihood of each row under independent Bernoulli distributions.

    .. math:: \log p(x) = \sum_d x_d \log s(a_d) + (1 - x_d) \log (1 - s(a_d))

    with :math:`s` the logistic function and :math:`a` the logits. Numbers between 0 and 1 count as
    shares of the two outcomes.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Numbers in [0, 1].
    logits : Tensor of shape (n, ...)

    Returns
    -------
    Tensor of shape (n,)

    References
    ----------
    Variational Clustering, eq. 9 (second form).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import bernoulli_log_likelihood
    >>> bernoulli_log_likelihood(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
    tensor([-1.3863])
    """
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -loss.flatten(1).sum(dim=1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    r"""Log-likelihood of each row under a Gaussian with diagonal covariance.

    .. math::

        \log p(x) = -\frac12 \sum_d \log(2 \pi \sigma_d^2) + \frac{(x_d - \mu_d)^2}{\sigma_d^2}

    Parameters
    ----------
    x, mean, variance : Tensors of shape (n, ...)
        The variance must be positive.

    Returns
    -------
    Tensor of shape (n,)

    References
    ----------
    Variational Clustering, eq. 9 (first form).
    """
    rows = (x - mean).square() / variance + variance.log() + math.log(2 * math.pi)
    return -0.5 * rows.flatten(1).sum(dim=1)


def gaussian_kl(mean: Tensor, variance: Tensor, prior_mean: Tensor, prior_variance: Tensor):
    r"""Divergence of a diagonal Gaussian from another, over the last axis.

    .. math::

        \mathrm{KL} = \frac12 \sum_d \log \frac{s_d^2}{\sigma_d^2}
            + \frac{\sigma_d^2 + (\mu_d - m_d)^2}{s_d^2} - 1

    Parameters
    ----------
    mean, variance : Tensors of shape (..., e)
        :math:`\mu, \sigma^2` of the distribution that the expectation is over.
    prior_mean, prior_variance : Tensors of a shape that broadcasts to it
        :math:`m, s^2` of the other.

    Returns
    -------
    Tensor of shape (...)

    References
    ----------
    Variational Clustering, the third term of eq. 13.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import gaussian_kl
    >>> gaussian_kl(torch.tensor([1.0]), torch.ones(1), torch.zeros(1), torch.ones(1))
    tensor(0.5000)
    """
    ratio = variance / prior_variance
    distance = (mean - prior_mean).square() / prior_variance
    return 0.5 * (distance + ratio - ratio.log() - 1).sum(dim=-1)


def squared_wasserstein(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor):
    r"""Squared 2-Wasserstein distance of diagonal Gaussians, over the last axis.

    .. math:: \lVert \mu_1 - \mu_2 \rVert^2 + \lVert \sigma_1 - \sigma_2 \rVert^2

    Parameters
    ----------
    mean, std, other_mean, other_std : Tensors of shape (..., e)
        Means and standard deviations.

    Returns
    -------
    Tensor of shape (...)

    References
    ----------
    Variational Clustering, eq. 17.
    """
    return ((mean - other_mean).square() + (std - other_std).square()).sum(dim=-1)


def smallest_set(log_q: Tensor, mass: float) -> Tensor:
    """Tell which components are in the smallest set that holds a share of a row's probability.

    Parameters
    ----------
    log_q : Tensor of shape (n, K)
        Logarithms of probabilities that sum to one in each row.
    mass : float
        The share, from 0 to 1. At 1 the set holds every component.

    Returns
    -------
    Tensor of shape (n, K), bool
        Each row has one component at least.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import smallest_set
    >>> smallest_set(torch.tensor([[0.6, 0.3, 0.1], [0.9, 0.05, 0.05]]).log(), 0.8)
    tensor([[ True,  True, False],
            [ True, False, False]])
    """
    if mass >= 1:
        return torch.ones_like(log_q, dtype=torch.bool)
    q, order = log_q.exp().sort(dim=1, descending=True)
    before = q.cumsum(dim=1) - q  # what the likelier components hold already
    kept = before < mass
    kept[:, 0] = True
    return torch.zeros_like(kept).scatter_(1, order, kept)


def mixture_elbo(log_q: Tensor, log_likelihood: Tensor, kl: Tensor, weight: float = 1.0) -> dict:
    r"""Evidence lower bound of a mixture with the exact expectation over its components.

    .. math::

        \mathrm{ELBO} = \sum_k q(k|x) \left[ \lambda \log p(x|z_k)
            - \mathrm{KL}(q(z|x,k) \,\|\, p(z|k)) - \log q(k|x) \right] - \log K

    Components with :math:`\log q(k|x) = -\infty` count as nothing, whatever their other terms are.

    Parameters
    ----------
    log_q : Tensor of shape (n, K)
        Assignments :math:`\log q(k|x)`.
    log_likelihood : Tensor of shape (n, K)
        :math:`\log p(x|z_k)` with :math:`z_k` drawn from :math:`q(z|x,k)`.
    kl : Tensor of shape (n, K)
        Divergences of posteriors from priors.
    weight : float, default=1.0
        Weight :math:`\lambda_{recons}` of the likelihood.

    Returns
    -------
    dict of Tensors of shape (n,)
        "elbo", and its parts "log_likelihood", "kl" and "entropy", each an expectation over
        :math:`q(k|x)`.

    References
    ----------
    Variational Clustering, eq. 13. There the constant :math:`-\log K` is dropped; with it the bound
    is one on :math:`\log p(x)`, and models with different K can be compared.
    """
    out = log_q.isneginf()
    q = log_q.exp()
    terms = {
        "log_likelihood": (q * log_likelihood.masked_fill(out, 0)).sum(dim=1),
        "kl": (q * kl.masked_fill(out, 0)).sum(dim=1),
        "entropy": -(q * log_q.masked_fill(out, 0)).sum(dim=1),
    }
    elbo = weight * terms["log_likelihood"] - terms["kl"] + terms["entropy"]
    return {"elbo": elbo - math.log(log_q.shape[1]), **terms}
