"""Random distortions of batches: one draw a sample, computed for the whole batch at once.

Images are float tensors (n, C, H, W) on any device, and random numbers come from torch's global
generator of that device. Geometry does not care for the range of the values. Colours do:
:func:`color_jitter` and :func:`random_grey` take images in [0, 1], and what is to be in [-1, 1] is
distorted first and stretched afterwards.
"""

from skdeepcluster.augmentation._binary import binarize, random_brightness
from skdeepcluster.augmentation._color import (
    color_jitter,
    random_grey,
    shuffle_channels,
    sobel,
    to_grey,
)
from skdeepcluster.augmentation._features import feature_dropout, feature_noise
from skdeepcluster.augmentation._geometry import center_crop, random_affine, random_geometry

__all__ = [
    "binarize",
    "center_crop",
    "color_jitter",
    "feature_dropout",
    "feature_noise",
    "random_affine",
    "random_brightness",
    "random_geometry",
    "random_grey",
    "shuffle_channels",
    "sobel",
    "to_grey",
]
