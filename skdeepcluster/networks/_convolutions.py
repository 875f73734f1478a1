"""Layers that the convolutional networks share."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._precision import full_precision
from skdeepcluster.networks._whole_batch import batch_size

Size = tuple[int, int]


class _RunningWhereOne:
    """Batch normalisation that takes its running estimates where a batch has one value a channel.

    One value has no variance: torch raises an error there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps of shape (n, C, H, W), or features of shape (n, C)."""
        if self.training and batch_size(x) * x[0].numel() == self.num_features:
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class BatchNorm(_RunningWhereOne, nn.BatchNorm2d):
    """For maps."""


class FeatureBatchNorm(_RunningWhereOne, nn.BatchNorm1d):
    """For features."""


class Conv2d(nn.Conv2d):
    """Convolution that autocast leaves alone where its maps are one pixel wide.

    On processors with bfloat16 in hardware, oneDNN (as of torch 2.13) reads beyond its inputs
    there: NaN, now and then.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, H, W) to (n, C', H', W')."""
        kernel, stride, padding = self.kernel_size[1], self.stride[1], self.padding[1]
        narrow = (x.shape[3] + 2 * padding - kernel) // stride == 0
        return _call(super().forward, x, self.weight.dtype, narrow)


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution that autocast leaves alone where maps of one pixel's width come in.

    See :class:`Conv2d`.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (n, C, H, W) to (n, C', H', W')."""
        forward = partial(super().forward, output_size=output_size)
        return _call(forward, x, self.weight.dtype, narrow=x.shape[3] == 1)


class ConvMeanPool(nn.Conv2d):
    """3 × 3 convolution, and the mean of each 2 × 2 pixels: sides are halved, rounding down.

    The two are one 4 × 4 convolution of stride 2, which takes 4/9 of the multiplications.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of maps.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, H, W) to (n, n_out, H // 2, W // 2)."""
        kernel = _over_squares(self.weight) / 4
        convolve = partial(F.conv2d, weight=kernel, stride=2, padding=1)
        return _call(convolve, x, kernel.dtype, narrow=x.shape[3] // 2 == 1)


class UpsampleConv(nn.Conv2d):
    """3 × 3 convolution of maps whose pixels are repeated twice each way: sides are doubled.

    The two are one transposed 4 × 4 convolution of stride 2, which takes 4/9 of the
    multiplications, and the maps are not held in their large size.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of maps.
    bias : bool, default=False
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = False) -> None:
        super().__init__(n_in, n_out, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, h, w) to (n, n_out, 2 h, 2 w)."""
        kernel = _over_squares(self.weight.flip(2, 3).transpose(0, 1))
        convolve = partial(F.conv_transpose2d, weight=kernel, bias=self.bias, stride=2, padding=1)
        return _call(convolve, x, kernel.dtype, narrow=x.shape[3] == 1)


def _call(
    convolve: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype, narrow: bool
) -> Tensor:
    """Convolve maps, narrow ones in the precision `dtype` of the weights: see :class:`Conv2d`."""
    if not narrow:
        return convolve(x)
    with full_precision(x.device):
        return convolve(x.to(dtype))


def _over_squares(kernel: Tensor) -> Tensor:
    """Add a kernel (..., h, w) to itself at the four places of a square: (..., h + 1, w + 1)."""
    return sum(F.pad(kernel, (j, 1 - j, i, 1 - i)) for i in (0, 1) for j in (0, 1))


def channels_last(x: Tensor) -> Tensor:
    """Return maps with their channels last in memory, where CPUs convolve them faster.

    What comes of them is laid out like them. Maps of one channel are copied, since torch takes
    either layout for the other and would go on with channels first. Other devices keep theirs.
    """
    if x.device.type != "cpu":
        return x
    if x.shape[1] == 1:
        return x.clone(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last)


def check_image(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image, or raise."""
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise ValueError(f"input_shape must be (C, H, W), got {shape}.")
    if min(shape) < 1:
        raise ValueError(f"input_shape must have 1 at least in each place, got {shape}.")
    return shape


def halved(size: Size, times: int) -> list[Size]:
    """Sizes of maps that are halved so many times, rounding up; the first is `size`."""
    sizes = [size]
    for _ in range(times):
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


def halving(n_in: int, n_out: int, kernel: int, size: Size) -> nn.Sequential:
    """Convolution of stride 2 whose maps are half as large, rounded up; batch norm, ReLU."""
    padding = []
    for side in reversed(size):  # width first, as torch pads
        total = max(0, (math.ceil(side / 2) - 1) * 2 + kernel - side)
        padding += [total // 2, total - total // 2]
    return nn.Sequential(
        nn.ZeroPad2d(tuple(padding)),
        Conv2d(n_in, n_out, kernel, stride=2, bias=False),
        BatchNorm(n_out),
        nn.ReLU(),
    )


class Cut(nn.Module):
    """Maps cut to a height and a width of at most their own, at their ends."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, H, W) to (n, C, *size)."""
        height, width = self.size
        return x[:, :, :height, :width]


def doubling(convolution: ConvTranspose2d | UpsampleConv, size: Size) -> nn.Sequential:
    """Cut the maps of a convolution that doubles the sides to a size; batch norm, ReLU."""
    n_out = convolution.out_channels
    return nn.Sequential(convolution, Cut(size), BatchNorm(n_out), nn.ReLU())


class Unflattened(nn.Module):
    """Linear layer whose outputs are maps; batch norm, ReLU.

    Parameters
    ----------
    n_in : int
        Size of the inputs.
    n_maps : int
        Number of maps.
    size : tuple of int
        Their height and width.
    """

    def __init__(self, n_in: int, n_maps: int, size: Size) -> None:
        super().__init__()
        self.shape = (n_maps, *size)
        self.linear = nn.Linear(n_in, math.prod(self.shape), bias=False)
        self.norm = BatchNorm(n_maps)

    def forward(self, z: Tensor) -> Tensor:
        """Map (n, n_in) to (n, n_maps, *size)."""
        return self.norm(self.linear(z).unflatten(1, self.shape)).relu()
