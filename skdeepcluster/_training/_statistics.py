"""Running statistics of networks, taken of the rows as predictions will see them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skdeepcluster._training._data import TensorSource

#: Rows in a batch, at most, where nothing else is said.
STATISTICS_ROWS = 512


@torch.no_grad()
def settle_statistics(
    module: nn.Module,
    source: TensorSource,
    run: Callable[[Tensor], object],
    seed: int,
    rows: int = STATISTICS_ROWS,
) -> None:
    """Set the running statistics of a network to those of all rows, as they are.

    In training they follow the last batches, whose rows may be distorted or hidden in part, but
    predictions are about the rows themselves. What is set are plain means over batches in random
    order, without layers of dropout. The network is in evaluation mode afterwards.

    Parameters
    ----------
    module : nn.Module
        Its layers take part that have `reset_running_stats` and `momentum`, as those of torch have
        them, and that ``module.train()`` puts in training mode.
    source : TensorSource
        Of a single row nothing is taken: it has no variance.
    run : callable
        Takes a batch through all of these layers.
    seed : int
        Of the order of the rows.
    rows : int, default=STATISTICS_ROWS
        Rows in a batch, at most.
    """
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.eval()
    layers = [layer for layer in module.modules() if layer.training and _keeps_statistics(layer)]
    n = len(source)
    if layers and n > 1:
        momenta = [layer.momentum for layer in layers]
        for layer in layers:
            layer.reset_running_stats()
        # Batches of all kinds of rows, in whatever order they come
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        for i, index in enumerate(order.tensor_split(-(-n // rows)), start=1):
            for layer in layers:
                layer.momentum = 1 / i
            run(source[index])
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    module.eval()


def _keeps_statistics(layer: nn.Module) -> bool:
    return hasattr(layer, "reset_running_stats") and hasattr(layer, "momentum")
