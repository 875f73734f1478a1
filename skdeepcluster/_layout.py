"""How the rows of X are laid out and scaled: features or images, and in which order."""

import math
import warnings
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches

from skdeepcluster._training import Preprocessor

_CHANNELS = (1, 3)

#: Numbers that are looked at at once, so that no temporary is proportional to X.
_CHUNK = 1 << 20

#: Images from 0 to 1 have no value above it, 8-bit ones that are not all but black do.
BYTES = 16

#: Scales below it count as zero: their inverse is too large for float32.
_TINY = float(np.finfo(np.float32).tiny)


def flatten_rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """View images (n, H, W[, C]) as rows (n, D).

    Returns
    -------
    X : array-like
        As it came, unless it was an array of three or four dimensions.
    row_shape : tuple of int or None
        Shape of one image, None if X was not such an array.

    Raises
    ------
    ValueError
        If X has more than four dimensions.
    """
    if isinstance(X, list | tuple) and _depth(X) > 2:
        X = np.asarray(X)
    if hasattr(X, "columns") and len(X.columns) == 0:
        X = np.empty(X.shape)  # of a frame, scikit-learn would not say that it has no features
    ndim = getattr(X, "ndim", None)
    if ndim is None or ndim <= 2:
        return X, None
    X = np.asarray(X)
    if ndim > 4:
        raise ValueError(
            f"X must have shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W), got {X.shape}."
        )
    return X.reshape(len(X), math.prod(X.shape[1:])), X.shape[1:]


def _depth(X: Any) -> int:
    """Count the dimensions of nested lists by their first elements."""
    depth = getattr(X, "ndim", None)
    if depth is not None:
        return depth
    if isinstance(X, list | tuple):
        return 1 + (_depth(X[0]) if X else 0)
    return 0


def channel_axis(image_shape: tuple[int, ...]) -> int | None:
    """Tell which axis of a three-dimensional image shape holds its 1 or 3 channels.

    Returns
    -------
    int or None
        0 or 2; None for grey images ``(H, W)``.

    Raises
    ------
    ValueError
        If no axis, or both the first and the last, can be the channels.
    """
    if len(image_shape) == 2:
        return None
    first, last = image_shape[0] in _CHANNELS, image_shape[2] in _CHANNELS
    if first and last and image_shape[0] != image_shape[2]:
        raise ValueError(
            f"images of shape {image_shape} may be (H, W, C) or (C, H, W): both ends could be the "
            "channels. Use images with sides other than 1 and 3 pixels, or for grey ones the "
            "shape (H, W)."
        )
    if first and last:
        # (1, H, 1) is one column or one row of grey pixels, (3, H, 3) cannot be told.
        if image_shape[0] == 3:
            raise ValueError(
                f"images of shape {image_shape} may be (H, W, C) or (C, H, W). Pad or crop them "
                "to sides other than 3 pixels."
            )
        return 2
    if not (first or last):
        raise ValueError(
            f"images of shape {image_shape} have no axis of 1 or 3 channels: expected (H, W), "
            "(H, W, C) or (C, H, W) with C of 1 or 3."
        )
    return 0 if first else 2


def check_image_shape(image_shape: Any) -> tuple[int, ...]:
    """Return `image_shape` as a tuple of 2 or 3 positive ints, or raise."""
    expected = "image_shape must be (H, W), (H, W, C) or (C, H, W) of positive ints"
    try:
        shape = tuple(image_shape)
    except TypeError as error:
        raise TypeError(f"{expected}, got {image_shape!r}.") from error
    integers = all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in shape)
    if len(shape) not in (2, 3) or not integers or min(shape) < 1:
        raise ValueError(f"{expected}, got {image_shape!r}.")
    return tuple(int(side) for side in shape)


def channels_first(image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape (C, H, W) of what a network sees of images of a shape.

    Raises
    ------
    ValueError
        If no axis, or both the first and the last, can be the channels.
    """
    axis = channel_axis(image_shape)
    if axis is None:
        return (1, *image_shape)
    return image_shape if axis == 0 else (image_shape[-1], *image_shape[:-1])


def unfolded_shapes(preprocess: Preprocessor) -> list[tuple[int, ...]]:
    """Return the shapes in which a row may come unfolded; grey images have three."""
    shape = preprocess.input_shape
    if len(shape) == 3 and shape[0] == 1:
        return [shape[1:], shape, (*shape[1:], 1)]
    return [(*shape[1:], shape[0]) if preprocess.channels_last else shape]


def make_preprocessor(
    X: np.ndarray,
    row_shape: tuple[int, ...] | None,
    image_shape: tuple[int, ...] | None,
    scaling: str | None,
) -> Preprocessor:
    """Find layout and scaling of the training data.

    Parameters
    ----------
    X : ndarray of shape (n, D)
    row_shape : tuple of int or None
        Shape of one row as the user gave it, where that was an image.
    image_shape : tuple of int or None
        The parameter of the same name.
    scaling : "auto" or None

    Returns
    -------
    Preprocessor

    Raises
    ------
    ValueError
        If the shapes do not fit, or values are too large for float32.
    """
    if image_shape is not None:
        image_shape = check_image_shape(image_shape)
        if row_shape is not None and row_shape != image_shape:
            raise ValueError(f"image_shape={image_shape} does not fit images of {row_shape} in X.")
        if math.prod(image_shape) != X.shape[1]:
            raise ValueError(
                f"image_shape={image_shape} has {math.prod(image_shape)} pixels, "
                f"but X has {X.shape[1]} features."
            )
    shape = image_shape or row_shape
    if shape is None:
        input_shape, channels_last = (X.shape[1],), False
    else:
        input_shape = channels_first(shape)
        # A single channel is neither first nor last; moved, it would change how torch rounds
        channels_last = channel_axis(shape) == 2 and input_shape[0] > 1
    shift, factor = _scaling(X, is_image=shape is not None, scaling=scaling)
    return Preprocessor(input_shape, channels_last, shift, factor)


def _scaling(X: np.ndarray, is_image: bool, scaling: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and factor, each of shape (1,) or (D,)."""
    if X.dtype == np.uint8 and (is_image or scaling is None):  # nothing need be read for that
        return np.zeros(1), np.ones(1) if scaling is None else np.full(1, 1 / 255)
    low, high = value_range(X)
    if max(abs(low), abs(high)) > float(np.finfo(np.float32).max):
        raise ValueError(
            f"X has values from {low:g} to {high:g}, too large for float32: scale them first."
        )
    if scaling is None:
        return np.zeros(1), np.ones(1)
    if not is_image:
        return _column_scaling(X)
    if low >= 0 and high <= 1:
        return np.zeros(1), np.ones(1)
    return np.full(1, low), _inverse(np.full(1, high - low))


def in_color(input_shape: tuple[int, ...]) -> bool:
    """Whether inputs of this shape, channels first, are images of three colours."""
    return len(input_shape) == 3 and input_shape[0] == 3


def warn_of_units(X: np.ndarray, preprocess: Preprocessor) -> None:
    """Warn of images from 0 to 1 where the scaling was made for 8-bit ones, or converse."""
    if len(preprocess.input_shape) != 3 or preprocess.shift.any():
        return
    unit, real = float(preprocess.factor[0]), np.issubdtype(X.dtype, np.floating)
    if unit not in (1, 1 / 255) or (unit != 1 and not real):
        return
    low, high = value_range(X)
    # What is black is so in any unit; a little above one is none of 255.
    fitted, found, other = (1, 255, high > BYTES) if unit == 1 else (255, 1, 0 < high <= 1)
    if low >= 0 and other:
        warnings.warn(
            f"the estimator was fitted on images from 0 to {fitted}, and these seem to go from 0 "
            f"to {found}: give it the same units.",
            stacklevel=4,
        )


def value_range(X: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest number of X, without a copy of it."""
    bounds = [(X[s].min(), X[s].max()) for s in _slices(X)]
    return float(min(low for low, _ in bounds)), float(max(high for _, high in bounds))


def check_colors(X: np.ndarray, augmentation: Any) -> None:
    """Raise where images whose colours are to be changed would be cut to [0, 1] by that.

    Raises
    ------
    ValueError
        If there are values outside.
    """
    low, high = value_range(X)
    if low < 0 or high > 1:
        raise ValueError(
            f"augmentation={augmentation!r} changes the colours of images in [0, 1], and would cut "
            f"others to that range, got scaling=None and values from {low:g} to {high:g}: pass "
            "scaling='auto', or another augmentation."
        )


def _column_scaling(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Counted from the first row: a large constant is then zero, not what rounding its mean leaves.
    origin = X[0].astype(np.float64)
    scaler = StandardScaler()
    for rows in _slices(X):
        scaler.partial_fit(X[rows] - origin)
    return origin + scaler.mean_, _inverse(scaler.scale_)


def _inverse(scale: np.ndarray) -> np.ndarray:
    """Return 1 / scale; 1 where float32 could not hold it, as for what is constant."""
    return np.where(scale > _TINY, 1 / np.maximum(scale, _TINY), 1.0)


def _slices(X: np.ndarray):
    return gen_batches(len(X), max(1, _CHUNK // X.shape[1]))
