"""What is looked at in a sample of the rows before training: means over them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skdeepcluster._training._data import TensorSource

#: A sample has at least so many rows, and fewer than twice as many, where there are that many.
SAMPLED_ROWS = 4096

#: Rows that are looked at together: they may be large.
TOGETHER = 256


def evenly_spread(source: TensorSource) -> Tensor:
    """Return numbers of rows at equal distances, from the first on: all, where there are few.

    A rough guide where rows come in an order with a period.
    """
    return torch.arange(0, len(source), max(1, len(source) // SAMPLED_ROWS))


def sample_mean(source: TensorSource, of: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    """Return the mean over sampled rows of a function of each, in float64 on the CPU."""
    numbers = evenly_spread(source)
    total = sum(of(source[i]).cpu().double().sum(dim=0) for i in numbers.split(TOGETHER))
    return total / len(numbers)


def column_moments(source: TensorSource) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of sampled rows, each of a row's shape, on the device."""
    # Counted from a row: beside a large constant, squares would be lost to rounding.
    origin = source[:1].cpu().double()

    def moments(x: Tensor) -> Tensor:
        offset = x.cpu().double() - origin
        return torch.stack([offset, offset.square()], dim=1)

    mean, square = sample_mean(source, moments)
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return (origin[0] + mean).float().to(source.device), deviation.float().to(source.device)


def standardised_moments(source: TensorSource) -> tuple[Tensor, Tensor]:
    """Return means and deviations of standardised columns: 0 and 1; 0 and 0 of constant ones."""
    varies = torch.from_numpy(source.preprocess.factor != 1).to(source.device)
    if not varies.all():  # constant ones are left as they are; so is what has a deviation of one
        varies = varies | (column_moments(source)[1] > 0)
    return torch.zeros_like(varies, dtype=torch.float32), varies.float()


def center(module: nn.Module, mean: Tensor) -> None:
    """Set the buffer `row_mean` of a network, where it has one, to the mean of sampled rows.

    What all rows have in common would push all units the same way in the first steps of training,
    and ReLUs die of it.
    """
    if getattr(module, "row_mean", None) is None:
        return
    shape, found = tuple(mean.shape), dict(module.named_buffers()).get("row_mean")
    if found is None or found.shape != shape:
        raise ValueError(
            f"row_mean of the network must be a buffer of an input's shape {shape}, "
            f"got {'no buffer' if found is None else tuple(found.shape)}."
        )
    found.copy_(mean)
