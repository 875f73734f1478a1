"""Checks of parameters, in one place: each error names the value and what was expected."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

#: Largest whole number that NumPy and torch count with.
LARGEST_INTEGER = int(np.iinfo(np.int64).max)


def _shown(value: Any) -> str:
    """Show a number, of which Python writes no more than some thousand digits."""
    bits = value.bit_length() if isinstance(value, int) else 0
    return repr(value) if bits < 1000 else f"an int of {bits} bits"


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # Python's ints go on where floats end
        return False


def check_integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> None:
    """Raise unless `value` is a whole number of `minimum` at least (True is not).

    `maximum`, where there is one, is the largest.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}.")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value!r}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {_shown(value)}.")


def check_real(
    name: str,
    value: Any,
    *,
    minimum: float = 0.0,
    maximum: float = np.inf,
    exclusive: bool = False,
) -> None:
    """Raise unless `value` is a finite number in [minimum, maximum].

    With `exclusive`, the minimum itself is refused.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}.")
    inside = minimum < value <= maximum if exclusive else minimum <= value <= maximum
    if not (inside and _is_finite(value)):
        bounds = f"{'(' if exclusive else '['}{minimum:g}, {maximum:g}]"
        raise ValueError(f"{name} must be a finite number in {bounds}, got {_shown(value)}.")


def check_choice(name: str, value: Any, choices: Sequence) -> None:
    """Raise unless `value` is one of `choices`, of the same type (1 is not True)."""
    value = value.item() if isinstance(value, np.generic) else value
    if not any(value is choice or (type(value) is type(choice) and value == choice)
               for choice in choices):  # fmt: skip
        raise ValueError(f"{name} must be one of {tuple(choices)}, got {value!r}.")


def check_boolean(name: str, value: Any) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def says(value: Any, word: str) -> bool:
    """Whether a parameter is a word; of an array, which compares number by number, it is False."""
    return isinstance(value, str) and value == word


def check_sizes(name: str, value: Any, *, least: int = 1, also: str = "") -> None:
    """Raise unless `value` is a tuple of `least` positive ints at least.

    `also` is what else it may be, for the message.
    """
    if not isinstance(value, tuple | list) or len(value) < least:
        raise ValueError(f"{name} must be {also}a tuple of {least} ints at least, got {value!r}.")
    for size in value:
        check_integer(name, size, minimum=1)


def check_image(name: str, value: Any, input_shape: Sequence[int]) -> None:
    """Raise unless inputs are images, which the parameter's value is for."""
    if len(input_shape) != 3:
        raise ValueError(
            f"{name}={value!r} is for images, but X has feature vectors: "
            "pass image_shape if its rows are images."
        )


def check_labels(name: str, labels: ArrayLike) -> np.ndarray:
    """Return labels as a one-dimensional array of whatever type they have.

    Raise if they have another shape, if there are none, if one is missing, or if they cannot be
    sorted.
    """
    if np.ndim(labels) != 1:
        raise ValueError(
            f"{name} must be one-dimensional, one label a row, got shape {np.shape(labels)}."
        )
    labels = check_array(labels, ensure_2d=False, dtype=None, input_name=name)
    if labels.dtype == object:
        try:
            np.sort(labels)
        except TypeError as error:
            kinds = ", ".join(sorted({type(label).__name__ for label in labels}))
            raise TypeError(f"{name} must be of one kind, to be sorted, got {kinds}.") from error
    return labels
