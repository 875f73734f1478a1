"""Rows of X as pictures, and pictures side by side."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from sklearn.utils.validation import check_array

from skdeepcluster._layout import (
    channel_axis,
    check_image_shape,
    flatten_rows,
    unfolded_shapes,
    value_range,
)

#: What holds the estimator that saw the images: searches, pipelines, ensembles.
_INNER = ("best_estimator_", "estimator_", "estimators_", "steps")


class Images:
    """Rows of X as 8-bit colour images, converted only when they are taken.

    Pixels are mapped as the estimators' ``scaling="auto"`` does: 8-bit ones and floats in [0, 1]
    are as they are, others run from the smallest value of X, black, to the largest, white.

    Parameters
    ----------
    X : array-like of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
    image_shape : tuple of int or None
        How a row of shape (d,) unfolds.
    limits : (float, float) or None
        What is black and what is white, where X itself does not tell.

    Raises
    ------
    ValueError
        If the rows are no images, or not of this shape.
    """

    def __init__(
        self,
        X: ArrayLike,
        image_shape: tuple[int, ...] | None = None,
        limits: tuple[float, float] | None = None,
    ):
        rows, row_shape = flatten_rows(X)
        rows = check_array(rows, input_name="X")
        shape = row_shape
        if image_shape is not None:
            shape = check_image_shape(image_shape)
            same = row_shape is None or shape == row_shape
            if not same or math.prod(shape) != rows.shape[1]:
                raise ValueError(
                    f"image_shape={image_shape} does not fit rows of shape "
                    f"{row_shape or rows.shape[1:]}."
                )
        if shape is None:
            raise ValueError(
                f"rows of shape {rows.shape[1:]} are features, which are no pictures: "
                "pass image_shape if they are images."
            )
        self._axis = channel_axis(shape)
        self._shape = shape
        self._rows = rows
        if limits is not None:
            self._low, self._high = limits
        elif rows.dtype == np.uint8:
            self._low, self._high = 0.0, 255.0
        else:
            low, high = value_range(rows)
            is_unit = low >= 0 and high <= 1
            self._low, self._high = (0.0, 1.0) if is_unit else (low, high)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        sides = list(self._shape)
        if self._axis is not None:
            sides.pop(self._axis)
        return tuple(sides)

    @property
    def is_color(self) -> bool:
        """Whether there are three channels."""
        return self._axis is not None and self._shape[self._axis] == 3

    def take(self, indices: ArrayLike, side: int | None = None) -> np.ndarray:
        """Return some rows as images (m, H, W, 3), uint8, made no larger than `side`."""
        images = self._rows[np.asarray(indices, dtype=int)].reshape(-1, *self._shape)
        if self._axis == 0:
            images = np.moveaxis(images, 1, 3)
        elif self._axis is None:
            images = images[..., None]
        if images.dtype != np.uint8:
            span = max(self._high - self._low, np.finfo(float).tiny)
            scaled = (images.astype(np.float64) - self._low) / span
            images = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
        images = np.broadcast_to(images, (*images.shape[:3], 3))
        return images if side is None else shrink(images, side)


def images_of(
    X: ArrayLike,
    image_shape: tuple[int, ...] | None,
    estimator: Any,
    limits: tuple[float, float] | None = None,
) -> Images | None:
    """Return X as images, in the shape that the estimator knows if none is given.

    Returns
    -------
    Images or None
        None if the rows are features.
    """
    rows, row_shape = flatten_rows(X)
    if image_shape is None and row_shape is None:
        image_shape = _known_shape(estimator)
        n_features = np.shape(rows)[1] if np.ndim(rows) == 2 else 0
        if image_shape is None or math.prod(image_shape) != n_features:
            return None
    return Images(X, image_shape, limits)


def _known_shape(estimator: Any) -> tuple[int, ...] | None:
    """Shape of the images that an estimator, or the one within it, was fitted on."""
    for name in _INNER:
        inner = getattr(estimator, name, None)
        if isinstance(inner, list | tuple) and inner:
            inner = inner[-1][1] if name == "steps" else inner[0]
        if inner is not None and not isinstance(inner, list | tuple | str):
            return _known_shape(inner)
    shape = getattr(estimator, "image_shape", None)
    preprocess = getattr(estimator, "_preprocess", None)
    if shape is None and preprocess is not None and len(preprocess.input_shape) == 3:
        shape = unfolded_shapes(preprocess)[0]
    return None if shape is None else check_image_shape(shape)


def pixel_limits(estimator: Any) -> tuple[float, float] | None:
    """Return what an estimator of the package maps to 0 and to 1, in the units of its X."""
    preprocess = getattr(estimator, "_preprocess", None)
    if preprocess is None or estimator.scaling is None or len(preprocess.input_shape) != 3:
        return None
    low, factor = float(preprocess.shift[0]), float(preprocess.factor[0])
    return low, low + 1 / factor


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Return images (m, H, W, 3) no larger than `side`, of the same proportions."""
    height, width = images.shape[1:3]
    factor = side / max(height, width)
    if factor >= 1:
        return images
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    smaller = [np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BOX)) for x in images]
    return np.stack(smaller) if smaller else np.empty((0, size[1], size[0], 3), np.uint8)


def mosaic(rows: Sequence[np.ndarray], columns: int, gap: int = 0, row_gap: int = 0) -> np.ndarray:
    """Tile rows of images (m, H, W, 3), uint8, m at most `columns`; what is empty is white.

    Returns
    -------
    ndarray of shape (rows * (H + row_gap), columns * (W + gap), 3), uint8
    """
    height, width = rows[0].shape[1:3]
    tiles = np.full((len(rows), height + row_gap, columns, width + gap, 3), 255, np.uint8)
    for r, images in enumerate(rows):
        tiles[r, :height, : len(images), :width] = np.moveaxis(images, 0, 1)
    return tiles.reshape(len(rows) * (height + row_gap), columns * (width + gap), 3)
