"""Brightness and binary pixels, for likelihoods of black and white."""

import torch
from torch import Tensor


def random_brightness(x: Tensor, delta: float = 0.2) -> Tensor:
    """Add one random number to all pixels of an image.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)
        Images in [0, 1].
    delta : float, default=0.2
        Largest addition, either way; values are cut to [0, 1].

    Returns
    -------
    Tensor of shape (n, C, H, W)

    References
    ----------
    Variational Clustering, section V-A (Fashion-MNIST).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import random_brightness
    >>> random_brightness(torch.full((2, 1, 4, 4), 0.5)).shape
    torch.Size([2, 1, 4, 4])
    """
    draw = torch.rand(len(x), 1, 1, 1, dtype=x.dtype, device=x.device)
    return (x + (2 * draw - 1) * delta).clamp(0, 1)


def binarize(x: Tensor) -> Tensor:
    """Make each pixel one with its own value as the probability, else zero.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)
        Images in [0, 1].

    Returns
    -------
    Tensor of shape (n, C, H, W)

    References
    ----------
    R. Salakhutdinov, I. Murray, "On the Quantitative Analysis of Deep Belief Networks", ICML 2008,
    for MNIST; Variational Clustering, section V-A (Fashion-MNIST).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import binarize
    >>> binarize(torch.tensor([[[[0.0, 1.0]]]]))
    tensor([[[[0., 1.]]]])
    """
    return (torch.rand_like(x) < x).to(x.dtype)
