"""X as a torch dataset: rows that are read when they are wanted, and streams of rows."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from skdeepcluster._files import without_room

#: Numbers of a stream that are held at once before they are written.
_BLOCK = 1 << 20

#: Dtypes that torch selects rows from; others are converted.
TENSOR_DTYPES = {
    np.dtype(name)
    for name in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
}


def tensor_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype that rows of `dtype` are kept in, one that torch knows.

    Raises
    ------
    ValueError
        If it is none of real numbers.
    """
    if dtype.kind not in "biuf":
        raise ValueError(f"X must be of real numbers, got the dtype {dtype}.")
    native = dtype.newbyteorder("=")
    if native in TENSOR_DTYPES:
        return native
    exact = dtype.kind in "bu" and dtype.itemsize <= 2
    return np.dtype(np.float32 if exact else np.float64)


class DatasetRows:
    """The items of a map-style dataset, as an array (n, D) that is read on demand.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Of items by number: arrays or tensors of one shape and dtype, or tuples that begin with one.

    Attributes
    ----------
    shape : (n, D)
    dtype : numpy.dtype
        One that torch knows.
    row_shape : tuple of int or None
        Shape of an item, where it is an image.

    Raises
    ------
    TypeError
        If the dataset has no length.
    ValueError
        If it has no items, or these are not as they must be; also when they are read later.
    """

    def __init__(self, dataset: Dataset):
        try:
            n = len(dataset)
        except (TypeError, NotImplementedError) as error:
            raise TypeError(
                f"a dataset as X must have a length, {type(dataset).__name__} has none: make it an "
                "IterableDataset if its rows come in a stream."
            ) from error
        if n == 0:
            raise ValueError(f"X, a {type(dataset).__name__}, has no items.")
        self._dataset = dataset
        item = _as_array(dataset[0], 0)
        self._item_shape, self._item_dtype = item.shape, item.dtype
        self.dtype = tensor_dtype(item.dtype)
        self.shape = (n, math.prod(item.shape))
        self.row_shape = None if item.ndim == 1 else item.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows (b, D) by a slice or an array of numbers, or one row (D,) by its number."""
        if isinstance(index, int | np.integer):
            return self[[int(index)]][0]
        if isinstance(index, slice):
            numbers = list(range(*index.indices(len(self))))
        else:
            numbers = [int(i) for i in index]
        if not numbers:  # none to ask the dataset for
            return np.empty((0, self.shape[1]), self.dtype)
        several = getattr(self._dataset, "__getitems__", None)
        items = several(numbers) if several else (self._dataset[i] for i in numbers)
        rows = np.empty((len(numbers), self.shape[1]), self.dtype)
        for row, i, item in zip(rows, numbers, items, strict=True):
            array = _as_array(item, i)
            if array.shape != self._item_shape or array.dtype != self._item_dtype:
                raise _unlike(i, array, self._item_shape, self._item_dtype)
            with np.errstate(over="ignore"):  # what float64 cannot hold is refused below
                row[:] = array.reshape(-1)
        _check_finite(rows, numbers)
        return rows


def spooled(dataset: IterableDataset) -> np.ndarray:
    """Write a stream to a temporary file, from its first item to its last, and map that.

    The file has no name, and goes with the array.

    Parameters
    ----------
    dataset : torch.utils.data.IterableDataset
        Items as of :class:`DatasetRows`; it must end.

    Returns
    -------
    ndarray of shape (n, *shape of an item)
        A read-only memory map.

    Raises
    ------
    ValueError
        If there are no items, or they are not as they must be.
    OSError
        If the file cannot be written.
    """
    with tempfile.TemporaryFile(prefix="skdeepcluster-") as file:
        n, shape, dtype = 0, None, None
        for block in _blocks(dataset):
            try:
                file.write(block.data)
            except OSError as error:
                raise without_room(f"more than {n} rows of the stream", error) from error
            n, shape, dtype = n + len(block), block.shape[1:], block.dtype
        if n == 0:
            raise ValueError(f"X, a {type(dataset).__name__}, has no items.")
        file.flush()
        return np.memmap(file, dtype, "r", shape=(n, *shape))


def _blocks(items: Iterable) -> Iterator[np.ndarray]:
    """Items, several at a time as one array, checked."""
    waiting: list[np.ndarray] = []
    done, first = 0, None
    for i, item in enumerate(items):
        array = _as_array(item, i)
        if first is None:
            first = array
        if array.shape != first.shape or array.dtype != first.dtype:
            raise _unlike(i, array, first.shape, first.dtype)
        # A dataset may hand out one buffer again and again.
        waiting.append(array.copy())
        if len(waiting) * max(1, array.size) >= _BLOCK:
            yield _stacked(waiting, done)
            done += len(waiting)
            waiting = []
    if waiting:
        yield _stacked(waiting, done)


def _stacked(arrays: list[np.ndarray], start: int) -> np.ndarray:
    block = np.stack(arrays)
    with np.errstate(over="ignore"):
        block = block.astype(tensor_dtype(block.dtype), copy=False)
    _check_finite(block, range(start, start + len(block)))
    return np.ascontiguousarray(block)


def _as_array(item: Any, i: int) -> np.ndarray:
    """Take what is X from an item."""
    if isinstance(item, tuple) and item:
        item = item[0]
    if isinstance(item, torch.Tensor):
        item = item.detach().cpu()
        # NumPy has no bfloat16.
        item = (item.float() if item.dtype == torch.bfloat16 else item).numpy()
    array = np.asarray(item)
    if array.dtype.kind not in "biuf" or not 1 <= array.ndim <= 3 or array.size == 0:
        found = f"{type(item).__name__} of shape {array.shape} and dtype {array.dtype}"
        raise ValueError(
            "items of a dataset must be arrays or tensors of real numbers, of shape (d,), (H, W), "
            f"(H, W, C) or (C, H, W), or tuples that begin with one; item {i} is a {found}."
        )
    return array


def _unlike(i: int, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> ValueError:
    return ValueError(
        f"item {i} of X has the shape {array.shape} and dtype {array.dtype}, the first one "
        f"{shape} and {dtype}: all items must be alike."
    )


def _check_finite(rows: np.ndarray, numbers: Any) -> None:
    if rows.dtype.kind != "f":
        return
    finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        raise ValueError(f"item {numbers[finite.argmin()]} of X contains NaN or infinity.")
