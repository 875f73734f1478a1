"""Random distortions of image batches: one draw a sample, computed for the whole batch at once."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def random_affine(x: Tensor, degrees: float = 10.0, shift: float = 0.1) -> Tensor:
    """Turn and shift each image by its own random amount.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)
    degrees : float, default=10.0
        Largest angle, in degrees, either way.
    shift : float, default=0.1
        Largest shift, as a share of the side, either way on both axes.

    Returns
    -------
    Tensor of shape (n, C, H, W)
        Interpolated bilinearly; what comes in from outside is the nearest pixel of the border.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import random_affine
    >>> random_affine(torch.ones(2, 1, 5, 5)).shape
    torch.Size([2, 1, 5, 5])
    """
    n, _, height, width = x.shape
    uniform = torch.rand(3, n, device=x.device) * 2 - 1  # angle, shifts
    angle = uniform[0] * math.radians(degrees)
    cos, sin = angle.cos(), angle.sin()
    # Coordinates run from -1 to 1 on both axes: a turn must allow for sides of different length.
    aspect = height / width
    theta = torch.stack(
        [
            torch.stack([cos, -sin * aspect, uniform[1] * 2 * shift], dim=1),
            torch.stack([sin / aspect, cos, uniform[2] * 2 * shift], dim=1),
        ],
        dim=1,
    )  # (n, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)  # (n, H, W, 2)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
