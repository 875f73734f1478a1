"""What a user's network gives: its shapes before there are data, and one output for two."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def probe(module: nn.Module, function: Callable[[Tensor], Any], shape: Sequence[int]) -> Any:
    """Return what `function`, a part of `module`, gives for two zero inputs of a shape.

    In evaluation mode: a look at the shapes must not move the statistics of batch normalisation.
    """
    module.eval()
    parameter = next(module.parameters(), torch.empty(0))
    return function(torch.zeros(2, *shape, device=parameter.device))


def as_pair(output: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the outputs of a network that may have but one, for both purposes."""
    return tuple(output) if isinstance(output, tuple | list) else (output, output)
