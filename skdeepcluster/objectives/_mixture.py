"""Likelihoods and divergences of variational models, and the bound of a mixture."""

import math

import torch
from torch import Tensor


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

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import gaussian_log_likelihood
    >>> gaussian_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2))
    tensor([-1.8379])
    """
    rows = (x - mean).square() / variance + variance.log() + math.log(2 * math.pi)
    return -0.5 * rows.flatten(1).sum(dim=1)


def gaussian_kl(
    mean: Tensor, variance: Tensor, prior_mean: Tensor, prior_variance: Tensor
) -> Tensor:
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


def squared_wasserstein(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
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

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import squared_wasserstein
    >>> squared_wasserstein(torch.zeros(2), torch.ones(2), torch.tensor([3.0, 4.0]), torch.ones(2))
    tensor(25.)
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

    References
    ----------
    R. Hyndman, "Computing and Graphing Highest Density Regions", The American Statistician 50
    (1996): the region of this mass whose volume is the smallest, here of a discrete distribution.

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
    kept = _running_sum(q) - q < mass  # what the likelier components hold already
    kept[:, 0] = True
    return torch.zeros_like(kept).scatter_(1, order, kept)


def _running_sum(q: Tensor) -> Tensor:
    if not (q.is_cuda and torch.are_deterministic_algorithms_enabled()):
        return q.cumsum(dim=1)
    # On CUDA a running sum may round differently from call to call; a product does not.
    ones = torch.ones(q.shape[1], q.shape[1], dtype=torch.float64, device=q.device)
    return (q.double() @ ones.triu()).to(q.dtype)


def mixture_elbo(
    log_q: Tensor, log_likelihood: Tensor, kl: Tensor, weight: float = 1.0
) -> dict[str, Tensor]:
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

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import mixture_elbo
    >>> log_q = torch.tensor([[0.5, 0.5]]).log()
    >>> terms = mixture_elbo(log_q, torch.tensor([[-3.0, -1.0]]), torch.tensor([[0.5, 1.5]]))
    >>> {name: round(term.item(), 3) for name, term in terms.items()}
    {'elbo': -3.0, 'log_likelihood': -2.0, 'kl': 1.0, 'entropy': 0.693}
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
