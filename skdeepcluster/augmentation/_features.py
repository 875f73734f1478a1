"""Distortions of feature tables."""

import torch
from torch import Tensor


def feature_noise(x: Tensor, scale: float = 0.1) -> Tensor:
    """Add normal noise to each number.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Standardised columns, as the estimators make them: `scale` is then a share of their spread.
    scale : float, default=0.1
        Standard deviation.

    Returns
    -------
    Tensor of shape (n, d)

    References
    ----------
    P. Vincent et al., "Stacked Denoising Autoencoders", JMLR 11 (2010), section 3.3: additive
    Gaussian noise.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import feature_noise
    >>> feature_noise(torch.zeros(2, 3), scale=0.0)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return torch.add(x, torch.randn_like(x), alpha=scale)


def feature_dropout(x: Tensor, probability: float = 0.1) -> Tensor:
    """Replace numbers by zero, which is the mean of a standardised column.

    The others keep their values: what is left of a row is not made larger.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    probability : float, default=0.1
        Of each number.

    Returns
    -------
    Tensor of shape (n, d)

    References
    ----------
    P. Vincent et al., "Stacked Denoising Autoencoders", JMLR 11 (2010), section 3.3: masking noise.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import feature_dropout
    >>> feature_dropout(torch.ones(1, 3), probability=1.0)
    tensor([[0., 0., 0.]])
    """
    return x.masked_fill(torch.rand_like(x) < probability, 0.0)
