"""Several processes that train one model: who they are, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

if distributed.is_available():
    # PyTorch imports it with the first optimiser. The defaults of its functions hold the group of
    # processes that exists then, whose threads outlive `destroy_process_group` and, at times, abort
    # the program at its end; imported before there is a group they hold none.
    import torch.distributed.nn

#: How long processes wait for each other: one may be placing centres by k-means meanwhile, which
#: takes longer on many rows than the ten minutes that NCCL waits unasked.
PATIENCE = timedelta(days=1)

_current: ContextVar[Group | None] = ContextVar("group", default=None)


@contextmanager
def data_parallel(accelerator: Any = None) -> Iterator[None]:
    """Share out each `fit` inside among the processes that ``accelerate launch`` started.

    Every process runs the same program, with the same data and parameters: it calls `fit` when the
    others do, and all end with the same model. Each step is that of one process at the same
    `batch_size`, within rounding: all draw the same rows and random numbers, each takes its share
    of the rows through the networks, and gradients, the statistics of batch normalisation and what
    else belongs to a whole batch are summed over the processes.

    Fits outside, and predictions everywhere, are the process's own business.

    Parameters
    ----------
    accelerator : accelerate.Accelerator or None, default=None
        None makes one, whose processes wait for each other for up to a day. It says which device is
        the process's: with ``device="auto"`` fits use it. One of your own must wait as long as
        k-means takes in one process: NCCL's ten minutes are short where rows are many
        (``InitProcessGroupKwargs(timeout=...)``).
        Anything with its `process_index`, `num_processes` and `device` will do.

    Yields
    ------
    None

    Raises
    ------
    ImportError
        If Accelerate is not installed: it is in the extra ``distributed``.
    ValueError
        From `fit`: if the processes do not have the same data, parameters, kinds of callbacks or
        start, if one has a checkpoint and another none, if `device` is none of the process's, or
        with ``compile=True``.

    See Also
    --------
    skdeepcluster.StatDEC : As the other estimators, it needs no change.

    Notes
    -----
    Callbacks run in every process. Progress bars, checkpoints, `max_time` and k-means are the first
    process's. If one process fails, the launcher ends the others.

    A network of your own may use batch normalisation, dropout and random numbers drawn row by row
    along their first dimension; rows that depend on each other in another way would see those of
    their process alone. Where processes come to draw different numbers, `fit` raises a
    NotImplementedError: dropout of what is not a row each (`VariationalGMMClustering` decodes some
    of a row's components but for ``posterior_mass=1``), or a callback that draws in one alone.

    References
    ----------
    `Accelerate's launcher <https://huggingface.co/docs/accelerate/basic_tutorials/launch>`_.

    Examples
    --------
    In a program for ``accelerate launch --num_processes 2 program.py`` nothing need be passed. Here
    is one process by itself:

    >>> from types import SimpleNamespace
    >>> import torch
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC, data_parallel
    >>> alone = SimpleNamespace(process_index=0, num_processes=1, device=torch.device("cpu"))
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
    >>> with data_parallel(alone):
    ...     model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
    >>> model.labels_.shape
    (60,)
    """
    if accelerator is None:
        from accelerate import Accelerator, InitProcessGroupKwargs

        patience = InitProcessGroupKwargs(timeout=PATIENCE)
        accelerator = Accelerator(kwargs_handlers=[patience])
    group = Group(accelerator.process_index, accelerator.num_processes, accelerator.device)
    token = _current.set(group)
    try:
        yield
    finally:
        _current.reset(token)


def current_group() -> Group | None:
    """Return the processes that fits are shared out among; None if each is on its own."""
    return _current.get()


def shared_group() -> Group | None:
    """Return the same, and None where there is but one process."""
    group = _current.get()
    return group if group is not None and group.size > 1 else None


def agree(seed: int, alike: Callable[[], dict[str, object]]) -> int:
    """Return the first process's seed, after a look that all have the same data and parameters.

    Parameters
    ----------
    seed : int
    alike : callable
        Returns what must be the same everywhere, by name.

    Raises
    ------
    ValueError
        In every process, if something is not alike.
    """
    group = shared_group()
    if group is None:
        return seed
    described = [None] * group.size
    distributed.all_gather_object(described, (seed, alike()))
    for name in described[0][1]:
        values = [each[name] for _, each in described]
        if any(value != values[0] for value in values[1:]):
            raise ValueError(
                f"in data_parallel all processes must have the same {name}, but they have "
                f"{', '.join(map(str, values))}."
            )
    return described[0][0]


class Group:
    """The processes that train one model, seen from one of them.

    Parameters
    ----------
    rank : int
        Which of them this one is; 0 is the main one.
    size : int
    device : torch.device
        The process's own.
    """

    def __init__(self, rank: int, size: int, device: torch.device):
        self.rank = rank
        self.size = size
        self.device = device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, n: int) -> tuple[int, int]:
        """First and behind the last of n things that are this process's; shares differ by one."""
        return self.rank * n // self.size, (self.rank + 1) * n // self.size

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the processes; gradients flow back to all of them."""
        return _Sum.apply(x)

    def any(self, *flags: bool) -> list[bool]:
        """Whether each of the flags is up anywhere."""
        up = torch.tensor(flags, dtype=torch.float32, device=self.device)
        distributed.all_reduce(up, distributed.ReduceOp.MAX)
        return [bool(flag) for flag in up.tolist()]

    def alike(self, digest: bytes) -> bool:
        """Whether all processes have the same digest, by its first bytes."""
        number = int.from_bytes(digest[:3])  # float32 holds it
        both = torch.tensor([number, -number], dtype=torch.float32, device=self.device)
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        return bool((both.sum() == 0).item())

    def from_main(self, function: Callable[[], Any]) -> Any:
        """Call a function in the main process alone; all get what it returns, or raises."""
        outcome = [None, None]
        if self.is_main:
            try:
                outcome[0] = function()
            except Exception as error:
                outcome[1] = error
        distributed.broadcast_object_list(outcome, src=0, device=self.device)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    @torch.no_grad()
    def copy_main(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the main process."""
        for tensor in tensors:
            values = tensor.detach().contiguous()
            distributed.broadcast(values, src=0)
            tensor.copy_(values)

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace gradients by their mean over the processes, all in one message."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(
            gradients, flat.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(mean.view(gradient.shape))

    @torch.no_grad()
    def average(self, x: Tensor) -> Tensor:
        """Mean over the processes."""
        mean = x.detach().clone()
        distributed.all_reduce(mean)
        return mean / self.size


class _Sum(torch.autograd.Function):
    """Sum over the processes, where each process's loss is a part of one loss."""

    @staticmethod
    def forward(ctx, x):
        return _summed(x)

    @staticmethod
    def backward(ctx, gradient):
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    # Not every backend adds in half precision.
    narrow = x.is_floating_point() and x.element_size() < 4
    total = (x.float() if narrow else x.clone()).contiguous()
    distributed.all_reduce(total)
    return total.to(x.dtype)
