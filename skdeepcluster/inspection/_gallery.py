"""A gallery: rows are clusters, with their most or least confident images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdeepcluster._validation import check_integer
from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._images import Images, images_of, mosaic
from skdeepcluster.inspection._plotting import figure_and_axes, require_matplotlib
from skdeepcluster.inspection._text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of images that stand below each other before there is a second block of them.
ROWS_IN_BLOCK = 25

#: Inches of an image and of the text beside a row.
TILE, TEXT = 0.36, 0.9

#: Pixels of an image's longer side at most: more would not be seen.
SIDE = 128


class GalleryDisplay:
    """Images of each cluster, a row a cluster.

    Use :meth:`from_estimator` or :meth:`from_predictions`. Of more than 25 clusters, the rows stand
    in several blocks. Beside each row are the cluster and, in brackets, how many rows it has.

    Parameters
    ----------
    images : sequence of K ndarrays of shape (m, H, W, 3), uint8
        The images of each cluster, m of any number.
    clusters : sequence of length K
        Names of the clusters.
    sizes : sequence of int of length K, default=None
        How many rows each cluster has.

    Attributes
    ----------
    im_ : matplotlib AxesImage
        All images as one.
    text_ : list of matplotlib Text
        What stands beside the rows.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    skdeepcluster.inspection.report : All images of each cluster, in a file to page through.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skdeepcluster.inspection import GalleryDisplay
    >>> digits = load_digits()
    >>> display = GalleryDisplay.from_predictions(digits.images, digits.target, n_images=8)
    >>> [text.get_text() for text in display.text_[:3]]
    ['0 (178)', '1 (182)', '2 (177)']
    >>> plt.close()
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        clusters: Sequence,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.images = images
        self.clusters = clusters
        self.sizes = sizes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_images: int = 12,
        order: str = "most",
        clusters: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Show what a fitted estimator makes of X.

        Parameters
        ----------
        estimator : fitted estimator
            Any with `predict_proba` or `predict`, a pipeline or a search included.
        X : array-like of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.
        n_images : int, default=12
            Images of each cluster.
        order : "most" or "least", default="most"
            Whether the images of which the estimator is most or least confident are shown, by
            ``predict_proba(X).max(axis=1)``. Without probabilities they are the first ones.
        clusters : array-like of int, default=None
            Which clusters, in which order; None is all.
        image_shape : tuple of int, default=None
            ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``, how a row of shape (d,) unfolds. None is as
            the estimator knows it.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GalleryDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If X has features, or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import load_digits
        >>> from skdeepcluster.inspection import GalleryDisplay
        >>> X = load_digits().data
        >>> model = KMeans(10, n_init=1, random_state=0).fit(X)
        >>> display = GalleryDisplay.from_estimator(model, X, clusters=[3, 5], image_shape=(8, 8))
        >>> len(display.text_)
        2
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        images = images_of(X, image_shape, estimator) or Images(X, image_shape)
        found = Assignments.of(estimator, X)
        return cls._from(found, images, n_images, order, clusters).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        labels: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        n_images: int = 12,
        order: str = "most",
        clusters: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Show given clusters.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Images.
        labels : array-like of shape (n,)
            Cluster of each image; any values that can be sorted.
        confidence : array-like of shape (n,), default=None
            Probability of each image's cluster. Without it the first images are shown.
        n_images, order, clusters, ax
            As in :meth:`from_estimator`.
        image_shape : tuple of int, default=None
            ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``, how a row of shape (d,) unfolds.

        Returns
        -------
        GalleryDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If X has features, or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_digits
        >>> from skdeepcluster.inspection import GalleryDisplay
        >>> digits = load_digits()
        >>> display = GalleryDisplay.from_predictions(digits.images, digits.target)
        >>> len(display.text_)
        10
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_predictions")
        images = Images(X, image_shape)
        found = Assignments.given(labels, confidence)
        if len(found.labels) != len(images):
            raise ValueError(f"got {len(images)} images, but {len(found.labels)} labels.")
        return cls._from(found, images, n_images, order, clusters).plot(ax=ax)

    @classmethod
    def _from(cls, found, images, n_images, order, clusters) -> Self:
        check_integer("n_images", n_images, minimum=1)
        chosen = found.select(clusters)
        members = found.members(order)
        return cls(
            [images.take(members[k][:n_images], SIDE) for k in chosen],
            found.clusters[chosen],
            found.sizes[chosen],
        )

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        GalleryDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import GalleryDisplay
        >>> images = np.zeros((2, 3, 8, 8, 3), np.uint8)  # three of each of two clusters
        >>> display = GalleryDisplay(images, ["night", "ink"]).plot()
        >>> display.ax_ in display.figure_.axes
        True
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        names = [shorten(name) for name in self.clusters]
        if self.sizes is not None:
            names = [f"{n} ({s:,})" for n, s in zip(names, self.sizes, strict=True)]
        self.figure_, self.ax_, self.im_, self.text_ = draw_rows(ax, self.images, names)
        return self


def draw_rows(
    ax: "Axes | None", rows: Sequence[np.ndarray], names: Sequence[str], columns: int | None = None
) -> tuple:
    """Draw rows of images, each with its name on the left, in as many blocks as it takes.

    Returns
    -------
    figure, ax, image, texts
    """
    columns = columns or max(1, *(len(images) for images in rows))
    n_blocks = math.ceil(len(rows) / ROWS_IN_BLOCK)
    in_block = math.ceil(len(rows) / n_blocks)
    height, width = rows[0].shape[1:3]
    # Sides of images in inches, the longer one being TILE
    high, wide = (TILE * side / max(height, width) for side in (height, width))
    text = max(TEXT, 0.25 + 0.075 * max(map(len, names)))
    size = (n_blocks * (columns * wide + text), in_block * high * 1.07 + 0.3)
    figure, ax = figure_and_axes(ax, size)

    gap = max(1, round(min(height, width) / 14))
    margin = round(text / wide * (width + gap))  # pixels for the names
    block_width = columns * (width + gap) + margin
    row_gap = 2 * gap  # what belongs together stands closer together
    block_height = in_block * (height + row_gap)
    whole = np.full((block_height, n_blocks * block_width, 3), 255, np.uint8)
    texts = []
    for b in range(n_blocks):
        part = slice(b * in_block, (b + 1) * in_block)
        tiles = mosaic(rows[part], columns, gap, row_gap)
        left = b * block_width + margin
        whole[: tiles.shape[0], left : left + tiles.shape[1]] = tiles
        for r, name in enumerate(names[part]):
            middle = r * (height + row_gap) + (height - 1) / 2
            place = {"ha": "right", "va": "center", "fontsize": 9}
            texts.append(ax.text(left - 1 - margin * 0.06, middle, name, **place))
    image = ax.imshow(whole, interpolation="nearest")
    ax.set_axis_off()
    return figure, ax, image, texts
