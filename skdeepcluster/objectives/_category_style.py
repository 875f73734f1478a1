"""Mutual information, augmentation and the adversarial prior (DCCS)."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


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

    Examples
    --------
    >>> from skdeepcluster.objectives import mutual_information_estimate
    >>> round(mutual_information_estimate(0.25), 4)
    0.4431
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

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import critic_loss
    >>> critic_loss(torch.tensor([1.0, 3.0]), torch.tensor([4.0, 6.0]), penalty=0.5)
    tensor(2.)
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

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.objectives import encoder_adversarial_loss
    >>> encoder_adversarial_loss(torch.tensor([1.0, 3.0]))
    tensor(-2.)
    """
    return -value.mean()
