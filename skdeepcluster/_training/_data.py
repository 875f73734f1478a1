"""From an array to batches on the device, without copying what is proportional to n."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skdeepcluster._training._group import Group

#: Share of a GPU's free memory that the data may take to live there for the whole run.
DEVICE_SHARE = 0.5

#: An epoch has at least this many steps (as far as rows suffice), however large the batch size.
MIN_STEPS_PER_EPOCH = 8

#: Numbers in an inference batch, about. Its number of rows must follow from the shape of an input
#: alone: products of other shapes round differently, and an answer would depend on its neighbours.
INFERENCE_NUMBERS = 1 << 20

#: Rows that matrix products compute at once, a common multiple of what is usual (4, 6, 8, 12, 24).
ROW_BLOCK = 24

#: Large training batches are multiples of this, where an epoch has many: products of other shapes
#: take up to a third longer, above all in bfloat16. A split of few rows is better even.
TRAINING_BLOCK, BLOCKS_FROM = 32, 32

#: Dtypes with numbers that float32 rounds: differences are taken before, in float64.
_WIDE = (torch.float64, torch.int32, torch.int64)


class Batch(NamedTuple):
    """A training batch: inputs of shape (b, *input_shape) and their row numbers of shape (b,)."""

    x: Tensor
    index: Tensor


@dataclass(frozen=True)
class Preprocessor:
    """Turn raw rows into what the networks see: (x - shift) * factor in float32, channels first.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input: ``(d,)`` or ``(C, H, W)``.
    channels_last : bool
        Whether a raw row unfolds as (H, W, C).
    shift, factor : ndarray of shape (D,) or (1,), float64
        Scaling, in the order of the raw row.
    """

    input_shape: tuple[int, ...]
    channels_last: bool
    shift: np.ndarray
    factor: np.ndarray

    @classmethod
    def identity(cls, n_features: int) -> "Preprocessor":
        """Leave rows of `n_features` numbers as they are."""
        return cls((n_features,), False, np.zeros(1), np.ones(1))

    def __call__(self, raw: Tensor) -> Tensor:
        """Map raw rows (b, D) to inputs (b, *input_shape)."""
        return self.on(raw.device, raw.dtype)(raw)

    def on(self, device: torch.device, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """Prepare for batches of `dtype` on `device`, so that no batch waits for the scaling."""
        working = torch.float64 if dtype in _WIDE else torch.float32
        identity = not self.shift.any() and (self.factor == 1).all()
        return partial(self._apply, working, None if identity else self._scaling(working, device))

    def _apply(self, working: torch.dtype, scaling: tuple | None, raw: Tensor) -> Tensor:
        x = raw.to(working)
        if scaling is not None:
            shift, factor = scaling
            x = (x - shift).mul_(factor)
        x = x.to(torch.float32)
        if self.channels_last:
            channels, height, width = self.input_shape
            return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()
        return x.reshape(-1, *self.input_shape)

    def invert(self, x: Tensor) -> Tensor:
        """Map inputs (b, *input_shape) to rows (b, D) in the units of the data, float32."""
        if x.device.type == "mps":  # it has no float64
            x = x.cpu()
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        rows = x.reshape(len(x), -1).double()
        shift, factor = self._scaling(torch.float64, x.device)
        return (rows / factor + shift).float()

    def _scaling(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        # Copied: joblib may have put them in a read-only memory map, of which torch warns.
        return (
            torch.tensor(self.shift, dtype=dtype, device=device),
            torch.tensor(self.factor, dtype=dtype, device=device),
        )


class TensorSource(Dataset):
    """All rows as one tensor, from which batches are index-selected.

    The tensor shares memory with the array that it was made from. It lives on the device when it
    takes no more than half of the memory that is free there; else its batches travel.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
        Raw rows of a dtype that torch knows; never written to.
    preprocess : Preprocessor
    device : str or torch.device
    group : Group or None, default=None
        Processes with the same rows. They draw row numbers where the rows live, so the rows of all
        live on the device, or none's.
    """

    def __init__(
        self,
        rows: np.ndarray,
        preprocess: Preprocessor,
        device: str | torch.device,
        group: Group | None = None,
    ):
        tensor = torch.from_numpy(_as_writable(rows))
        self._set_up(preprocess, device, tensor.dtype)
        fits = self._fits(tensor)
        if group is not None:
            fits = not group.any(not fits)[0]
        self.rows = tensor.to(self.device) if fits else tensor

    def _set_up(self, preprocess: Preprocessor, device: str | torch.device, dtype) -> None:
        self.preprocess = preprocess
        self.device = torch.device(device)
        # MPS has no float64: such rows are preprocessed before they travel.
        early = self.device.type == "mps" and dtype in _WIDE
        self._workplace = torch.device("cpu") if early else self.device
        self._prepare = preprocess.on(self._workplace, dtype)

    def _fits(self, tensor: Tensor) -> bool:
        if self._workplace != self.device:
            return False
        if self.device.type != "cuda":
            return self.device.type != "cpu"
        free, _ = torch.cuda.mem_get_info(self.device)
        return tensor.nbytes <= DEVICE_SHARE * free

    @property
    def index_device(self) -> torch.device:
        """Where row numbers are best, for rows to be selected without a wait."""
        return self.rows.device

    def __len__(self) -> int:
        return len(self.rows)

    def _take(self, index) -> Tensor:
        """Raw rows by a slice or by a tensor of row numbers."""
        if isinstance(index, slice):
            return self.rows[index]
        return self.rows.index_select(0, index.to(self.rows.device))

    def __getitem__(self, index) -> Tensor:
        """Rows by a slice or by a tensor of row numbers, ready for the network.

        They never share memory with the data: a network may work in place.
        """
        raw = self._take(index)
        x = self._prepare(raw.to(self._workplace, non_blocking=True))
        if isinstance(index, slice) and x.data_ptr() == raw.data_ptr():
            x = x.clone()
        return x.to(self.device)

    def chunk_size(self, cost: int = 1) -> int:
        """Rows in a batch of `chunks`."""
        threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        return inference_batch_size(self.preprocess.input_shape, threads, cost)

    def chunks(
        self, cost: int = 1, first: int = 0, last: int | None = None
    ) -> Iterator[tuple[Tensor, int]]:
        """Rows in order, in batches of one fixed size.

        Parameters
        ----------
        cost : int, default=1
            How many numbers a row makes in the network, by its own.
        first, last : int, default=0 and None
            Numbers of the first row, and of the one that is no more wanted; None wants all.

        Yields
        ------
        x : Tensor of shape (b, *input_shape)
            b is the same for every data set of this input shape; the last batch is filled up with
            zeros.
        n_valid : int
            How many rows of the batch are rows of the data.
        """
        size = self.chunk_size(cost)
        last = len(self) if last is None else last
        for start in range(first, last, size):
            x = self[start : min(start + size, last)]
            n_valid = len(x)
            if n_valid < size:
                x = torch.cat([x, x.new_zeros(size - n_valid, *x.shape[1:])])
            yield x, n_valid


class ReadSource(TensorSource):
    """Rows that are read when they are asked for, as those of a dataset are.

    Parameters
    ----------
    rows : object
        Has ``shape`` (n, D), ``dtype`` and ``len``, and returns arrays (b, D) of that type by a
        slice or an array of row numbers.
    preprocess : Preprocessor
    device : str or torch.device
    """

    index_device = torch.device("cpu")

    def __init__(self, rows, preprocess: Preprocessor, device: str | torch.device):
        self._set_up(preprocess, device, torch.from_numpy(np.empty(0, rows.dtype)).dtype)
        self.rows = rows

    def _take(self, index) -> Tensor:
        rows = self.rows[index if isinstance(index, slice) else index.numpy()]
        return torch.from_numpy(_as_writable(rows))


def make_source(
    rows,
    preprocess: Preprocessor,
    device: str | torch.device,
    group: Group | None = None,
) -> TensorSource:
    """Return what batches are taken from: of an array, or of rows that are read."""
    if isinstance(rows, np.ndarray):
        return TensorSource(rows, preprocess, device, group)
    return ReadSource(rows, preprocess, device)


def inference_batch_size(input_shape: tuple[int, ...], threads: int, cost: int = 1) -> int:
    """Rows in an inference batch: about 64 to 1024, by the size of an input and of the machine.

    A matrix product gives each thread a share of the rows, in blocks, and computes what is left
    over of the last block by other code, which may round differently: then a row's answer would
    depend on its place. So the rows are a multiple of threads times `ROW_BLOCK`.
    """
    rows = min(1024, max(64, INFERENCE_NUMBERS // (math.prod(input_shape) * cost)))
    unit = ROW_BLOCK * threads
    return unit * max(1, round(rows / unit))


class BatchIterator:
    """Shuffled batches of a source, an epoch per iteration, that can be resumed in mid-epoch.

    The rows of an epoch are split evenly, so that no epoch ends with a tiny batch: batch sizes
    differ by one at most, or, where they are large and many, by about `TRAINING_BLOCK`.

    Parameters
    ----------
    dataset : TensorSource
    batch_size : int
        Largest batch. Few rows make smaller ones, see `MIN_STEPS_PER_EPOCH`, but a `batch_size`
        above 1 never makes one of a single row, as long as there are two rows (with a `batch_size`
        of 2, an odd row joins two others).
    generator : torch.Generator
        CPU generator for the shuffling alone.
    """

    def __init__(self, dataset: TensorSource, batch_size: int, generator: torch.Generator):
        self.dataset = dataset
        self.generator = generator
        self.n_batches = n_batches(len(dataset), batch_size)
        self.boundaries = _boundaries(len(dataset), self.n_batches, batch_size)
        self.position = 0  # batches of the current epoch that are done
        self._epoch_state = generator.get_state()

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        if self.position == 0:
            self._epoch_state = self.generator.get_state()
        else:
            self.generator.set_state(self._epoch_state)
        order = torch.randperm(len(self.dataset), generator=self.generator)
        # Both ways at once: a batch that moved its own indices would wait for the device.
        for_rows = order.to(self.dataset.index_device).tensor_split(self.boundaries)
        for_device = order.to(self.dataset.device).tensor_split(self.boundaries)
        for position in range(self.position, self.n_batches):
            self.position = position + 1
            yield Batch(self.dataset[for_rows[position]], for_device[position])

    def rewind(self) -> None:
        """Let the next iteration begin a new epoch."""
        self.position = 0

    def state_dict(self) -> dict:
        return {"position": self.position, "generator": self._current_state()}

    def load_state_dict(self, state: dict) -> None:
        self.position = state["position"]
        self._epoch_state = state["generator"]
        self.generator.set_state(self._epoch_state)

    def _current_state(self) -> Tensor:
        # In mid-epoch: the state before the epoch's permutation was drawn, to draw it again.
        return self._epoch_state if self.position else self.generator.get_state()


def n_batches(n_rows: int, batch_size: int) -> int:
    """Count the batches in an epoch of `n_rows` rows."""
    wanted = max(math.ceil(n_rows / batch_size), MIN_STEPS_PER_EPOCH)
    return max(1, min(wanted, n_rows // 2) if batch_size > 1 else min(wanted, n_rows))


def _boundaries(n_rows: int, n_batches: int, batch_size: int) -> list[int]:
    """Where batches but the first begin, so that none is larger than `batch_size`."""
    large = batch_size % TRAINING_BLOCK == 0 and n_rows >= 4 * TRAINING_BLOCK * n_batches
    if large and n_batches >= BLOCKS_FROM:
        block = TRAINING_BLOCK * n_batches
        return [TRAINING_BLOCK * -(-i * n_rows // block) for i in range(1, n_batches)]
    small, n_larger = divmod(n_rows, n_batches)
    return [i * small + min(i, n_larger) for i in range(1, n_batches)]


class _WritableView:
    """Hands out an array's memory as writable, and keeps the array alive meanwhile."""

    def __init__(self, array: np.ndarray):
        self._array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def _as_writable(array: np.ndarray) -> np.ndarray:
    """View read-only memory as writable: torch warns of any other, though we only read."""
    return array if array.flags.writeable else np.asarray(_WritableView(array))
