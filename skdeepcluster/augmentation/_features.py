"""Distortions of feature tables."""

import torch
from torch import Tensor


def feature_noise(x: Tensor, scale: float | Tensor = 0.1) -> Tensor:
    """Add normal noise to each number.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    scale : float or Tensor of shape (d,), default=0.1
        Standard deviation, of all columns or of each. Of standardised columns, as the estimators
        make them, it is a share of their spread.

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
    return x + scale * torch.randn_like(x)


def feature_dropout(x: Tensor, probability: float = 0.1, value: float | Tensor = 0.0) -> Tensor:
    """Replace numbers by zero, which is the mean of a standardised column, or by other values.

    The others keep their values: what is left of a row is not made larger.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    probability : float, default=0.1
        Of each number.
    value : float or Tensor of shape (d,), default=0.0
        What stands where a number was, in all columns or in each.

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
    return torch.where(torch.rand_like(x) < probability, value, x)
