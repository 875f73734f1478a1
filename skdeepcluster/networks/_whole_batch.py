"""What a network says about the batch as a whole, also where it sees but a part of it.

A batch may be divided among processes, each of which takes some of its rows through the network.
Whoever divides it answers these questions by a :class:`torch.overrides.TorchFunctionMode`; where
nobody does, the rows at hand are the whole batch.
"""

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def whole_batch(x: Tensor) -> Tensor:
    """Rows of the whole batch (n, ...) from those at hand; gradients flow back to all."""
    if has_torch_function_unary(x):
        return handle_torch_function(whole_batch, (x,), x)
    return x


def own_rows(x: Tensor) -> Tensor:
    """Rows at hand, of what is known of the whole batch."""
    if has_torch_function_unary(x):
        return handle_torch_function(own_rows, (x,), x)
    return x


def batch_mean(x: Tensor) -> Tensor:
    """Mean over the rows of the whole batch."""
    if has_torch_function_unary(x):
        return handle_torch_function(batch_mean, (x,), x)
    return x.mean(dim=0)


def batch_size(x: Tensor) -> int:
    """Count the rows of the whole batch."""
    if has_torch_function_unary(x):
        return handle_torch_function(batch_size, (x,), x)
    return len(x)
