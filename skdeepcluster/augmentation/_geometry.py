"""Where a pixel is read: crops, flips, turns, shifts, shears and sizes, in one interpolation."""

import math
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional as F


def random_geometry(
    x: Tensor,
    size: int | tuple[int, int] | None = None,
    *,
    area: tuple[float, float] | None = None,
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    crops: Sequence[int] | None = None,
    horizontal_flip: float = 0.0,
    vertical_flip: float = 0.0,
    degrees: float = 0.0,
    shift: float = 0.0,
    shear: float = 0.0,
    padding: str = "border",
) -> Tensor:
    r"""Crop, resize, flip, turn, shift and shear each image by its own random amounts, at once.

    A pixel of the output at :math:`u \in [-1, 1]^2` is read at

    .. math:: c + R \, S \, F \, \tfrac12 \operatorname{diag}(w, h) \, u

    of the input, in pixels: a rectangle with the centre :math:`c` and the sides :math:`w, h`, after
    a flip :math:`F`, a shear :math:`S` and a turn :math:`R` about :math:`c`. All of it is one
    bilinear interpolation, so that nothing is blurred twice. Images that shrink by about a whole
    factor or more are averaged over as many pixels before, so that none is skipped.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)
    size : int, (int, int) or None, default=None
        Height and width of the output; None is that of the input.
    area : (float, float) or None, default=None
        Smallest and largest area of a random rectangle, as a share of the image; drawn uniformly.
        None takes the whole image, or a square of `crops`.
    aspect : (float, float), default=(3/4, 4/3)
        Smallest and largest width of that rectangle by its height, in pixels; its logarithm is
        drawn uniformly, among those with which the rectangle fits into the image.
    crops : sequence of int or None, default=None
        Sides of squares in pixels, of which each image gets one, at a random whole pixel.
    horizontal_flip, vertical_flip : float, default=0.0
        Probability of a flip that exchanges left and right, or top and bottom.
    degrees : float, default=0.0
        Largest angle, in degrees, either way.
    shift : float, default=0.0
        Largest shift, as a share of the side, either way on both axes.
    shear : float, default=0.0
        Largest shear, in pixels across for a pixel down, either way.
    padding : {"border", "zeros", "reflection"}, default="border"
        What comes in from outside: the nearest pixel of the border, zero, or the mirrored image.

    Returns
    -------
    Tensor of shape (n, C, *size)

    Raises
    ------
    ValueError
        If `area` and `crops` are both given, if a share is outside (0, 1], or if a square is larger
        than the image.

    References
    ----------
    C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6, for `area` and
    `aspect`, which DCCS takes (supplement B); MMDC, as its authors ran it, for `crops`; Variational
    Clustering, section V-A, for turns, shifts, shears and flips.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import random_geometry
    >>> x = torch.rand(8, 3, 32, 32)
    >>> random_geometry(x, area=(0.4, 1.0), horizontal_flip=0.5).shape
    torch.Size([8, 3, 32, 32])
    >>> random_geometry(x, 32, crops=(20,), degrees=25).shape
    torch.Size([8, 3, 32, 32])
    """
    n, _, height, width = x.shape
    if size is None:
        out = (height, width)
    else:  # a NumPy integer is no size to torch
        out = (int(size),) * 2 if isinstance(size, Integral) else tuple(map(int, size))
    draw = torch.rand(10, n, dtype=x.dtype, device=x.device)  # at once: a launch costs more
    either_way = 2 * draw[:3] - 1
    angle = either_way[0] * math.radians(degrees)
    w, h, left, top, share = _rectangles(draw[3:7], height, width, area, aspect, crops)
    across = either_way[1] * shift * width + (left + w / 2 - width / 2)
    down = either_way[2] * shift * height + (top + h / 2 - height / 2)
    w = torch.where(draw[7] < horizontal_flip, -w, w)
    h = torch.where(draw[8] < vertical_flip, -h, h)
    slant = (2 * draw[9] - 1) * shear
    cos, sin = angle.cos(), angle.sin()
    # grid_sample counts both axes from -1 to 1, whatever the sides.
    theta = torch.stack(
        [
            torch.stack([cos * w, (slant * cos - sin) * h, 2 * across], dim=1) / width,
            torch.stack([sin * w, (slant * sin + cos) * h, 2 * down], dim=1) / height,
        ],
        dim=1,
    )  # (n, 2, 3)
    grid = F.affine_grid(theta, [n, 1, *out], align_corners=False)  # (n, *out, 2)
    x = _reduced(x, out, share)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)


def _rectangles(draw, height, width, area, aspect, crops):
    """Sides and corners of random rectangles, and what share of the sides they have about."""
    if area is not None and crops is not None:
        raise ValueError(f"area={area} and crops={crops} exclude each other: pass one of them.")
    if area is not None:
        low, high = area
        if not 0 < low <= high <= 1:
            raise ValueError(f"area must be two shares in (0, 1], in order, got {area}.")
        pixels = (low + (high - low) * draw[0]) * (height * width)
        # Outside of these bounds a rectangle of so many pixels would not fit.
        least = (pixels / height**2).log().clamp(min=math.log(aspect[0]))
        most = (width**2 / pixels).log().clamp(max=math.log(aspect[1]))
        least = torch.minimum(least, (width**2 / pixels).log())
        most = torch.maximum(most, (pixels / height**2).log())
        ratio = (least + (most - least) * draw[1]).exp()
        w = (pixels * ratio).sqrt().clamp(max=width)
        h = (pixels / ratio).sqrt().clamp(max=height)
        share = math.sqrt((low + high) / 2)
        return w, h, draw[2] * (width - w), draw[3] * (height - h), (share, share)
    if crops is not None:
        if not 0 < min(crops) <= max(crops) <= min(height, width):
            raise ValueError(f"crops must be sides from 1 to {min(height, width)}, got {crops}.")
        # Nothing comes from the CPU: a step that is recorded as a CUDA graph may hold no such copy.
        side = draw.new_full((draw.shape[1],), crops[0])
        for i, other in enumerate(crops[1:], start=1):
            side = torch.where(draw[0] * len(crops) < i, side, other)
        # Whole pixels: a square that keeps its size keeps its values.
        left, top = ((draw[2 + i] * (s - side + 1)).floor() for i, s in enumerate((width, height)))
        mean = sum(crops) / len(crops)
        return side, side, left, top, (mean / height, mean / width)
    w, h = draw.new_full((), width), draw.new_full((), height)
    nothing = draw.new_zeros(())
    return w, h, nothing, nothing, (1.0, 1.0)


def _reduced(x: Tensor, size: tuple[int, int], share: tuple[float, float]) -> Tensor:
    """Average over pixels that sampling at `size` would skip."""
    sides = x.shape[2:]
    factors = [max(1, round(s * p / o)) for s, p, o in zip(sides, share, size, strict=True)]
    if factors == [1, 1]:
        return x
    reduced = [-(-s // f) for s, f in zip(sides, factors, strict=True)]
    if x.device.type == "mps":  # there only for sides that the new ones divide
        return F.adaptive_avg_pool2d(x.cpu(), reduced).to(x.device)
    return F.adaptive_avg_pool2d(x, reduced)


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

    References
    ----------
    X. Guo, E. Zhu, X. Liu, J. Yin, "Deep Embedded Clustering with Data Augmentation", ACML 2018.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import random_affine
    >>> random_affine(torch.ones(2, 1, 5, 5)).shape
    torch.Size([2, 1, 5, 5])
    """
    return random_geometry(x, degrees=degrees, shift=shift)


def center_crop(x: Tensor, crop: int, size: int | None = None) -> Tensor:
    """Cut the middle square out of images, and resize it; nothing is random.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)
    crop : int
        Side of the square, in pixels.
    size : int or None, default=None
        Side of the output; None is `crop`.

    Returns
    -------
    Tensor of shape (n, C, size, size)

    Raises
    ------
    ValueError
        If the square is larger than the image.

    References
    ----------
    MMDC, section III-C: what targets are exchanged on, and predictions are made of.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import center_crop
    >>> center_crop(torch.arange(16.0).reshape(1, 1, 4, 4), 2)
    tensor([[[[ 5.,  6.],
              [ 9., 10.]]]])
    """
    height, width = x.shape[2:]
    if not 0 < crop <= min(height, width):
        raise ValueError(f"crop must be a side from 1 to {min(height, width)}, got {crop}.")
    top, left = (height - crop) // 2, (width - crop) // 2
    x = x[:, :, top : top + crop, left : left + crop]
    if size is None or size == crop:
        return x
    return F.interpolate(x, (size, size), mode="bilinear", antialias=size < crop)
