"""What a pixel holds: brightness, contrast, saturation, hue, channels, gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

#: Parts of red, green and blue in the brightness that the eye sees (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def color_jitter(
    x: Tensor,
    brightness: float | tuple[float, float] = 0.0,
    contrast: float | tuple[float, float] = 0.0,
    saturation: float | tuple[float, float] = 0.0,
    hue: float = 0.0,
) -> Tensor:
    r"""Change brightness, contrast, saturation and hue of each image by its own random amounts.

    Brightness, contrast and saturation are factors :math:`f`:

    .. math:: x \mapsto f x, \qquad x \mapsto m + f (x - m), \qquad x \mapsto g + f (x - g)

    with :math:`g` the grey image and :math:`m` its mean. Hue is a turn of the circle of colours,
    with the brightest and the darkest channel's values kept. They follow each other in this order;
    after each one values are cut to [0, 1].

    Parameters
    ----------
    x : Tensor of shape (n, 1, H, W) or (n, 3, H, W)
        Images in [0, 1]. Grey ones have no saturation and no hue: those are left out.
    brightness, contrast, saturation : float or (float, float), default=0.0
        Range of the factor; a number a stands for [1 - a, 1 + a], but not below 0.
    hue : float, default=0.0
        Largest turn either way, as a share of the circle, 0.5 at most.

    Returns
    -------
    Tensor of the shape of `x`

    References
    ----------
    DCCS, supplement B; MMDC, as its authors ran it. The circle of colours is that of A. Smith,
    "Color Gamut Transform Pairs", SIGGRAPH 1978 (HSV).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import color_jitter
    >>> color_jitter(torch.rand(8, 3, 32, 32), 0.4, 0.4, 0.4, 0.125).shape
    torch.Size([8, 3, 32, 32])
    """
    draw = torch.rand(4, len(x), 1, 1, 1, dtype=x.dtype, device=x.device)
    if brightness:
        x = (x * _factor(draw[0], brightness)).clamp(0, 1)
    if contrast:
        middle = to_grey(x).mean(dim=(2, 3), keepdim=True)
        x = torch.lerp(middle, x, _factor(draw[1], contrast)).clamp(0, 1)
    if saturation and x.shape[1] == 3:
        x = torch.lerp(to_grey(x), x, _factor(draw[2], saturation)).clamp(0, 1)
    if hue and x.shape[1] == 3:
        x = _turn_hue(x, (2 * draw[3] - 1) * hue)
    return x


def _factor(draw: Tensor, amount: float | tuple[float, float]) -> Tensor:
    low, high = amount if isinstance(amount, Sequence) else (max(0.0, 1 - amount), 1 + amount)
    return low + (high - low) * draw


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Shift the hue of the HSV model by `turn` (n, 1, 1, 1), in turns."""
    value, brightest = x.max(dim=1, keepdim=True)
    chroma = value - x.amin(dim=1, keepdim=True)
    # Where a channel is the brightest, the hue lies about it by the difference of the other two.
    following = x.gather(1, (brightest + 1) % 3)
    last = x.gather(1, (brightest + 2) % 3)
    tiny = torch.finfo(x.dtype).tiny
    sextant = 2 * brightest + (following - last) / chroma.clamp_min(tiny) + 6 * turn
    # A channel keeps its value within a sixth of the circle of its own colour, and falls to the
    # darkest over the next sixth.
    own = torch.arange(0, 6, 2, dtype=x.dtype, device=x.device)
    distance = (sextant - own[:, None, None] + 3).remainder(6) - 3  # (n, 3, H, W)
    return value - chroma * (distance.abs() - 1).clamp(0, 1)


def to_grey(x: Tensor) -> Tensor:
    """Turn colour images into grey ones, as the eye sees them.

    Parameters
    ----------
    x : Tensor of shape (n, 3, H, W), or (n, 1, H, W), which is returned as it is.

    Returns
    -------
    Tensor of shape (n, 1, H, W)

    References
    ----------
    Recommendation ITU-R BT.601, the luma of red, green and blue.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import to_grey
    >>> to_grey(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)).item()
    0.29899...
    """
    if x.shape[1] == 1:
        return x
    red, green, blue = (x[:, i : i + 1] * part for i, part in enumerate(LUMA))
    return red + green + blue


def random_grey(x: Tensor, probability: float = 0.2) -> Tensor:
    """Turn some images grey, of as many channels as before.

    Parameters
    ----------
    x : Tensor of shape (n, 3, H, W) or (n, 1, H, W)
    probability : float, default=0.2
        Of each image.

    Returns
    -------
    Tensor of the shape of `x`

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of
    Visual Representations", ICML 2020, appendix A; MMDC, as its authors ran it.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import random_grey
    >>> x = random_grey(torch.rand(4, 3, 8, 8), probability=1.0)
    >>> torch.equal(x[:, 0], x[:, 1])
    True
    """
    chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < probability
    return torch.where(chosen, to_grey(x), x)


def shuffle_channels(x: Tensor) -> Tensor:
    """Exchange the channels of each image, in an order of its own.

    Parameters
    ----------
    x : Tensor of shape (n, C, H, W)

    Returns
    -------
    Tensor of shape (n, C, H, W)

    References
    ----------
    DCCS, supplement B (colour images, before they are made grey).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import shuffle_channels
    >>> x = torch.rand(4, 3, 8, 8)
    >>> torch.equal(shuffle_channels(x).amax(dim=1), x.amax(dim=1))
    True
    """
    n, n_channels = x.shape[:2]
    order = torch.rand(n, n_channels, device=x.device).argsort(dim=1)  # (n, C)
    first = torch.arange(n, device=x.device)[:, None] * n_channels
    return x.reshape(n * n_channels, *x.shape[2:])[(first + order).flatten()].reshape(x.shape)


def sobel(x: Tensor) -> Tensor:
    """Gradient of the brightness, across and down, by Sobel's filters.

    Parameters
    ----------
    x : Tensor of shape (n, 1, H, W) or (n, 3, H, W)
        Colour images are made grey first.

    Returns
    -------
    Tensor of shape (n, 2, H, W)
        In [-1, 1] for images in [0, 1]: half the difference of two pixels beside each other counts
        fully where all of the three lines agree. The image goes on beyond its border.

    References
    ----------
    R. Gonzalez, R. Woods, "Digital Image Processing", section on the gradient (Sobel operators);
    DCCS, Tables 14 and 15, as a way to see images.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.augmentation import sobel
    >>> x = torch.arange(5.0).expand(1, 1, 5, 5)  # one brighter with each column
    >>> sobel(x)[0, :, 2, 2]
    tensor([2., 0.])
    """
    x = F.pad(to_grey(x), (1, 1, 1, 1), mode="replicate") / 4
    across = x[..., 2:] - x[..., :-2]  # (n, 1, H + 2, W)
    down = x[..., 2:, :] - x[..., :-2, :]  # (n, 1, H, W + 2)
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([across, down], dim=1)
