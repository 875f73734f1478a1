"""One step of several processes: each takes its rows of a batch through the networks.

What makes the step that of one process is here: random numbers are those of the whole batch, of
which a process takes its rows, and what a network computes of a batch (the statistics of batch
normalisation, and what asks :mod:`skdeepcluster.networks._whole_batch`) is computed of all rows.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from skdeepcluster._training._group import Group
from skdeepcluster.networks import _whole_batch

_aten = torch.ops.aten


class Share:
    """One process's rows of a batch of n rows.

    Where a tensor has m n rows, they are m batches one after the other (rows, then their augmented
    versions), and a process has its rows of each. Batch normalisation takes any number of rows, as
    where a network decodes some of them.

    Parameters
    ----------
    group : Group
    n : int
        Rows of the batch, as many as there are processes at least.
    """

    def __init__(self, group: Group, n: int):
        self.group = group
        self.n = n
        self.start, self.stop = group.share(n)
        self.size = self.stop - self.start

    def own(self, whole: Tensor) -> Tensor:
        """Rows of this process, of m n rows."""
        return whole.unflatten(0, (-1, self.n))[:, self.start : self.stop].flatten(0, 1)

    def gather(self, own: Tensor) -> Tensor:
        """All m n rows, from those of each process; gradients flow back to all of them."""
        parts = own.unflatten(0, (-1, self.size))  # (m, b, ...)
        around = (self.start, self.n - self.stop)
        padded = F.pad(parts.flatten(2) if parts.ndim > 2 else parts[..., None], (0, 0, *around))
        return self.group.sum(padded).reshape(-1, *own.shape[1:])

    def mean(self, own: Tensor) -> Tensor:
        """Mean over the rows of all processes."""
        return self.group.sum(own.sum(dim=0)) / (len(own) // self.size * self.n)

    def weighted(self, mean: Tensor) -> Tensor:
        """Make a mean over own rows such that the mean over the processes is that over all rows."""
        return mean * (self.size * self.group.size / self.n)

    def compute(self, function: Callable, *rows: Any) -> Any:
        """Call a function with own rows of the tensors among its arguments."""
        own = [self.own(r) if isinstance(r, Tensor) else r for r in rows]
        with _WholeBatch(self), _WholeDraws(self):
            return function(*own)


class _WholeBatch(TorchFunctionMode):
    """Answers what a network asks about the whole batch."""

    def __init__(self, share: Share):
        super().__init__()
        self.share = share

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func is _whole_batch.whole_batch:
            return self.share.gather(*args)
        if func is _whole_batch.own_rows:
            return self.share.own(*args)
        if func is _whole_batch.batch_mean:
            return self.share.mean(*args)
        if func is _whole_batch.batch_size:
            return len(args[0]) // self.share.size * self.share.n
        return func(*args, **kwargs)

    def _batch_norm(
        self,
        input,
        running_mean,
        running_var,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
    ):
        if not training:
            return F.batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
        x = input.float()
        dims = [0, *range(2, x.ndim)]
        mean, variance, n = self._moments(x, dims)
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                unbiased = (variance * (n / (n - 1))).to(running_var.dtype)
                running_var.lerp_(unbiased, momentum)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = (variance + eps).rsqrt()
        if weight is not None:
            scale = scale * weight
        y = (x - mean.view(shape)) * scale.view(shape)
        if bias is not None:
            y = y + bias.view(shape)
        return y.to(input.dtype)

    def _moments(self, x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance over all rows, from those of each process in one message.

        The third is how many numbers of a channel there are.
        """
        group = self.share.group
        own = torch.stack(
            [x.mean(dims), x.var(dims, correction=0), x.new_full(x.shape[1:2], len(x))]
        )
        padded = F.pad(own[None], (0, 0, 0, 0, group.rank, group.size - group.rank - 1))
        means, variances, counts = group.sum(padded).unbind(dim=1)  # (processes, C)
        n = counts.sum(dim=0)
        weights = counts / n
        mean = (weights * means).sum(dim=0)
        variance = (weights * (variances + (means - mean).square())).sum(dim=0)
        return mean, variance, n * math.prod(x.shape[2:])


class _WholeDraws(TorchDispatchMode):
    """Draws random numbers for the whole batch, and hands out own rows of them.

    The generators of all processes so stay alike, and draw what one process would have drawn. Where
    a tensor that is drawn for is not of rows of the batch, nobody knows what that is, and it is
    refused. Numbers by the size alone are taken for rows if they can be.
    """

    def __init__(self, share: Share):
        super().__init__()
        self.share = share

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        if name == "native_dropout":
            return self._dropout(func, *args, **kwargs)
        if name.endswith("_") and tensors == [args[0]] and self._are_rows(args[0].shape):
            args[0].copy_(self.share.own(func(self._whole(args[0]), *args[1:], **kwargs)))
            return args[0]
        if name.endswith("_like") and tensors == [args[0]] and self._are_rows(args[0].shape):
            return self.share.own(func(self._whole(args[0]), *args[1:], **kwargs))
        sizes = [i for i, a in enumerate(args) if isinstance(a, list | tuple)]
        if not tensors and len(sizes) == 1 and self._are_rows(args[sizes[0]]):
            whole = list(args)
            whole[sizes[0]] = self._whole_shape(args[sizes[0]])
            return self.share.own(func(*whole, **kwargs))
        if any(tensor.ndim > 0 for tensor in tensors):
            raise self._refusal(name, tensors)
        return func(*args, **kwargs)  # of no rows: the same everywhere

    def _refusal(self, name: str, tensors: list[Tensor]) -> NotImplementedError:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        return NotImplementedError(
            f"{name} draws random numbers in a way that cannot be divided among processes: for a "
            f"tensor of shape {shapes}, where this one has {self.share.size} rows of a batch."
        )

    def _dropout(self, func, x, p, train):
        if not train or x.ndim == 0:
            return func(x, p, train)
        if not self._are_rows(x.shape):
            raise self._refusal("dropout", [x])
        kept, mask = func(torch.ones_like(self._whole(x)), p, train)
        return x * self.share.own(kept), self.share.own(mask)

    def _are_rows(self, shape) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[0] % self.share.size == 0

    def _whole_shape(self, shape) -> list[int]:
        return [shape[0] // self.share.size * self.share.n, *shape[1:]]

    def _whole(self, x: Tensor) -> Tensor:
        last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        return torch.empty(
            self._whole_shape(x.shape),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last if last else torch.contiguous_format,
        )
