"""What MMDC's networks see of rows: crops of images, features, and random distortions of both."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from skdeepcluster._layout import in_color
from skdeepcluster._training import TensorSource
from skdeepcluster._training._sampling import column_moments, standardised_moments
from skdeepcluster._validation import check_image
from skdeepcluster.augmentation import (
    center_crop,
    color_jitter,
    feature_noise,
    random_geometry,
    random_grey,
)
from skdeepcluster.augmentation._given import checked

#: Standard deviation of the noise that features are distorted with, in units of the columns'.
NOISE = 1.0

#: Sides of crops as shares of an image's: CIFAR-10's, MNIST's, and those of images with fewer
#: pixels a side than `NO_BORDER`, which have none to cut off.
COLOUR_CROPS, GREY_CROPS, SMALL_CROPS = (5 / 8,), (6 / 7, 5 / 7, 4 / 7), (1, 7 / 8, 6 / 8)
NO_BORDER = 16


@dataclass(frozen=True)
class ImageViews:
    """What the networks see of images: squares of one size, cut from the middle or at random."""

    crop_sizes: tuple[int, ...]
    size: int
    distort: str | Callable[[Tensor], Tensor] | None

    def measured(self, source: TensorSource) -> Self:
        """Return views for the rows of a fit; of images nothing need be known."""
        return self

    def center(self, x: Tensor) -> Tensor:
        """Cut out the middle, of the first of the sizes."""
        return center_crop(x, self.crop_sizes[0], self.size)

    def crop(self, x: Tensor) -> Tensor:
        """Cut out a random square of each image."""
        return random_geometry(x, self.size, crops=self.crop_sizes)

    def augment(self, x: Tensor) -> Tensor:
        """Apply the random transformation g of the paper (section III-C)."""
        if self.distort == "grey":
            return random_geometry(x, self.size, crops=self.crop_sizes, degrees=25, padding="zeros")
        if self.distort == "colour":
            x = random_geometry(x, self.size, crops=self.crop_sizes, horizontal_flip=0.5)
            return random_grey(color_jitter(x, 0.4, 0.4, 0.4, 0.125), 0.2)
        x = self.crop(x)
        return x if self.distort is None else self.distort(x)


@dataclass(frozen=True)
class FeatureViews:
    """The same for feature vectors, which have no middle.

    `deviation` (d,) is the columns' standard deviation, once it was measured.
    """

    distort: str | Callable[[Tensor], Tensor] | None
    standardised: bool
    deviation: Tensor | None = None

    def measured(self, source: TensorSource) -> Self:
        """Return views whose noise is relative to the columns of these rows."""
        if self.distort != "noise":
            return self
        moments = standardised_moments if self.standardised else column_moments
        return replace(self, deviation=moments(source)[1])

    def center(self, x: Tensor) -> Tensor:
        return x

    def crop(self, x: Tensor) -> Tensor:
        return x

    def augment(self, x: Tensor) -> Tensor:
        if self.distort == "noise":
            return feature_noise(x, NOISE * self.deviation)
        return x if self.distort is None else self.distort(x)


def make_views(
    input_shape: tuple[int, ...],
    augmentation: str | Callable[[Tensor], Tensor] | None = "auto",
    crop_size: int | tuple[int, ...] | str = "auto",
    input_size: int | str = "auto",
    standardised: bool = True,
) -> ImageViews | FeatureViews:
    """Return what cuts and distorts inputs of a shape, from the parameters of MMDC.

    Raises
    ------
    ValueError
        If a parameter does not fit the inputs.
    """
    distort = _distortion(augmentation, input_shape)
    if len(input_shape) == 1:
        for name, value in (("crop_size", crop_size), ("input_size", input_size)):
            if value != "auto":
                check_image(name, value, input_shape)
        return FeatureViews(distort, standardised)
    crops = _crops(crop_size, input_shape)
    size = _input_size(max(crops)) if input_size == "auto" else input_size
    return ImageViews(crops, size, distort)


def crop_sides(crop_size: int | tuple[int, ...] | list[int]) -> tuple[int, ...] | list[int]:
    """Return the sides that were given, of which a single one need be no tuple."""
    return crop_size if isinstance(crop_size, tuple | list) else (crop_size,)


def _distortion(augmentation, input_shape: tuple[int, ...]):
    if not isinstance(augmentation, str):
        return checked(augmentation)
    kinds = ("grey", "colour") if len(input_shape) == 3 else ("noise",)
    if augmentation == "auto":
        return "noise" if len(input_shape) == 1 else "colour" if in_color(input_shape) else "grey"
    if augmentation not in kinds:
        raise ValueError(
            f"augmentation={augmentation!r} does not fit inputs of the shape {input_shape}: "
            f"expected one of {kinds}; pass image_shape if rows are images."
        )
    return augmentation


def _crops(crop_size, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    side = min(input_shape[1:])
    if crop_size == "auto":
        shares = COLOUR_CROPS if in_color(input_shape) else GREY_CROPS
        if side < NO_BORDER:
            shares = SMALL_CROPS
        return tuple(max(1, round(share * side)) for share in shares)
    crops = tuple(crop_sides(crop_size))
    if max(crops) > side:
        raise ValueError(f"crop_size={crop_size!r} is larger than the images, of {side} pixels.")
    return crops


def _input_size(crop: int) -> int:
    """Return the side that crops are resized to: small ones to a power of two, for the pooling."""
    return 2 ** math.ceil(math.log2(crop)) if crop <= 32 else 32 * math.ceil(crop / 32)
