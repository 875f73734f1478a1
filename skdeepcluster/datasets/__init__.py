"""Data: fetching, folders of images, and the papers' imbalanced samplings.

``fetch`` and ``load_*`` return a :class:`sklearn.utils.Bunch`, ``make_*`` return ``(X, y)``.
"""

from skdeepcluster.datasets._fetch import fetch
from skdeepcluster.datasets._images import load_image_folder
from skdeepcluster.datasets._samplings import (
    make_long_tailed,
    make_retention_imbalanced,
    make_step_imbalanced,
)
from skdeepcluster.datasets._toy import make_circle_arcs

__all__ = [
    "fetch",
    "load_image_folder",
    "make_circle_arcs",
    "make_long_tailed",
    "make_retention_imbalanced",
    "make_step_imbalanced",
]
