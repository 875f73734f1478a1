"""Clusters against known labels, in matched order."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils.validation import check_consistent_length

from skdeepcluster._validation import check_choice
from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._plotting import (
    figure_and_axes,
    require_matplotlib,
    tick_size,
)
from skdeepcluster.inspection._text import shorten
from skdeepcluster.metrics import best_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Clusters or labels up to which the cells have their numbers.
WITH_VALUES = 20


class ClusterLabelDisplay:
    """How many rows of each label are in each cluster, in matched order.

    Use :meth:`from_estimator` or :meth:`from_predictions`. Rows are labels, columns are clusters.
    Clusters stand in the order of the labels that they are mapped to, one-to-one, by
    :func:`~skdeepcluster.metrics.clustering_accuracy`: what is on the diagonal is right. Clusters
    without a label follow, the largest first.

    Parameters
    ----------
    matrix : ndarray of shape (labels, clusters)
        Counts, or shares.
    labels, clusters : sequence
        Names of rows and columns.
    accuracy : float, default=None
        ACC, for the title.
    title : str, default=None

    Attributes
    ----------
    im_ : matplotlib AxesImage
    text_ : ndarray of matplotlib Text or None
        Numbers in the cells.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : The same where labels are predicted, not clusters.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skdeepcluster.inspection import ClusterLabelDisplay
    >>> y, clusters = ["cat", "cat", "dog", "dog"], [1, 1, 0, 2]
    >>> display = ClusterLabelDisplay.from_predictions(y, clusters)
    >>> display.matrix
    array([[2, 0, 0],
           [0, 1, 1]])
    >>> display.clusters.tolist()
    [1, 0, 2]
    >>> plt.close()
    """

    def __init__(
        self,
        matrix: np.ndarray,
        labels: ArrayLike,
        clusters: ArrayLike,
        *,
        accuracy: float | None = None,
        title: str | None = None,
    ) -> None:
        self.matrix = matrix
        self.labels = labels
        self.clusters = clusters
        self.accuracy = accuracy
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        normalize: str | None = None,
        display_labels: ArrayLike | None = None,
        include_values: bool | str = "auto",
        cmap: Any = "Blues",
        colorbar: bool = True,
        ax: "Axes | None" = None,
    ) -> Self:
        """Compare the clusters that a fitted estimator finds in X with labels.

        Parameters
        ----------
        estimator : fitted estimator
            Any that predicts.
        X : array-like, rows as in `fit`
        y : array-like of shape (n,)
            Known labels.
        normalize : "true", "pred", "all" or None, default=None
            What becomes one: each row (label), each column (cluster), or everything. None counts.
        display_labels : array-like of shape (labels,), default=None
            Names of the labels, in the order of the sorted labels.
        include_values : bool or "auto", default="auto"
            Whether cells have their numbers; "auto" is up to 20 clusters and labels.
        cmap : str or matplotlib Colormap, default="Blues"
        colorbar : bool, default=True
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ClusterLabelDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the arrays do not fit together, or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import load_iris
        >>> from skdeepcluster.inspection import ClusterLabelDisplay
        >>> iris = load_iris()
        >>> model = KMeans(3, n_init=1, random_state=0).fit(iris.data)
        >>> names = {"display_labels": iris.target_names, "normalize": "true"}
        >>> display = ClusterLabelDisplay.from_estimator(model, iris.data, iris.target, **names)
        >>> display.ax_.get_title()
        'KMeans: ACC 0.887'
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        found = Assignments.of(estimator, X)
        style = {"include_values": include_values, "cmap": cmap, "colorbar": colorbar, "ax": ax}
        display = cls._from(y, found, normalize, display_labels, type(estimator).__name__)
        return display.plot(**style)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        labels: ArrayLike,
        *,
        normalize: str | None = None,
        display_labels: ArrayLike | None = None,
        include_values: bool | str = "auto",
        cmap: Any = "Blues",
        colorbar: bool = True,
        ax: "Axes | None" = None,
    ) -> Self:
        """Compare given clusters with labels.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Known labels.
        labels : array-like of shape (n,)
            Clusters.
        normalize, display_labels, include_values, cmap, colorbar, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ClusterLabelDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the arrays do not fit together, or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skdeepcluster.inspection import ClusterLabelDisplay
        >>> display = ClusterLabelDisplay.from_predictions([0, 0, 1], [1, 1, 0], normalize="true")
        >>> display.matrix
        array([[1., 0.],
               [0., 1.]])
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_predictions")
        found = Assignments.given(labels)
        display = cls._from(y_true, found, normalize, display_labels, None)
        style = {"include_values": include_values, "cmap": cmap, "colorbar": colorbar, "ax": ax}
        return display.plot(**style)

    @classmethod
    def _from(cls, y_true, found: Assignments, normalize, display_labels, title) -> Self:
        check_choice("normalize", normalize, ("true", "pred", "all", None))
        true = Assignments.given(y_true)
        check_consistent_length(true.labels, found.labels)
        if display_labels is None:
            display_labels = true.clusters
        elif len(display_labels) != len(true.clusters):
            raise ValueError(
                f"display_labels must be {len(true.clusters)} names, one a label, "
                f"got {len(display_labels)}."
            )
        counts = np.zeros((len(true.clusters), len(found.clusters)), dtype=int)
        # Clusters that no row is in have no column yet.
        counts[:, np.unique(found.labels)] = contingency_matrix(true.labels, found.labels)
        rows, columns = best_map(counts)
        left = np.setdiff1d(np.arange(counts.shape[1]), columns)
        left = left[np.argsort(-counts[:, left].sum(axis=0), kind="stable")]
        order = np.concatenate([columns, left])
        # Labels that no cluster is mapped to come last, too.
        unmapped = np.setdiff1d(np.arange(len(counts)), rows)
        rows = np.concatenate([rows, unmapped])
        accuracy = counts[rows[: len(columns)], columns].sum() / counts.sum()
        matrix = _normalized(counts[np.ix_(rows, order)], normalize)
        names = np.asarray(display_labels)[rows]
        return cls(matrix, names, found.clusters[order], accuracy=float(accuracy), title=title)

    def plot(
        self,
        *,
        include_values: bool | str = "auto",
        cmap: Any = "Blues",
        colorbar: bool = True,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        include_values, cmap, colorbar, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ClusterLabelDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import ClusterLabelDisplay
        >>> display = ClusterLabelDisplay(np.eye(2, dtype=int), ["cat", "dog"], [4, 7]).plot()
        >>> display.text_.shape
        (2, 2)
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        matrix = np.asarray(self.matrix)
        n_labels, n_clusters = matrix.shape
        largest = max(matrix.shape)
        with_values = largest <= WITH_VALUES if include_values == "auto" else include_values
        side = float(np.clip(0.5 * largest, 3.2, 10.5))
        width, height = (side * count / largest for count in (n_clusters, n_labels))
        size = (max(width, 2) + 1.6, max(height, 2) + 0.9)
        self.figure_, self.ax_ = figure_and_axes(ax, size)
        self.im_ = self.ax_.imshow(matrix, interpolation="nearest", cmap=cmap, vmin=0)
        self.text_ = _write_values(self.ax_, self.im_, matrix) if with_values else None
        if colorbar:
            kind = "rows" if matrix.dtype.kind in "iu" else "share"
            self.figure_.colorbar(self.im_, ax=self.ax_, label=kind, fraction=0.046, pad=0.02)
        self.ax_.set(xlabel="cluster, in matched order", ylabel="label")
        names = [shorten(name) for name in self.clusters]
        turned = 90 if n_clusters > WITH_VALUES or max(map(len, names)) > 4 else 0
        self.ax_.set_xticks(
            range(n_clusters), names, rotation=turned, fontsize=tick_size(n_clusters, width)
        )
        self.ax_.set_yticks(
            range(n_labels),
            [shorten(name) for name in self.labels],
            fontsize=tick_size(n_labels, height),
        )
        accuracy = None if self.accuracy is None else f"ACC {self.accuracy:.3f}"
        self.ax_.set_title(": ".join(text for text in (self.title, accuracy) if text))
        return self


def _normalized(counts: np.ndarray, normalize: str | None) -> np.ndarray:
    if normalize is None:
        return counts
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    total = counts.sum(axis=axis, keepdims=True)
    return counts / np.maximum(total, 1)  # an empty cluster has zeros


def _write_values(ax: "Axes", image, matrix: np.ndarray) -> np.ndarray:
    """Write the number of each cell, in black or white, whichever can be read; no zeros."""
    texts = np.empty(matrix.shape, dtype=object)
    for (i, j), value in np.ndenumerate(matrix):
        text = f"{value:d}" if matrix.dtype.kind in "iu" else f"{value:.2f}".lstrip("0")
        red, green, blue, _ = image.cmap(image.norm(value))
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        color = "black" if luminance > 0.5 else "white"
        style = {"ha": "center", "va": "center", "color": color}
        size = 8 if max(matrix.shape) <= 12 else 6.5
        texts[i, j] = ax.text(j, i, text if value else "", fontsize=size, **style)
    return texts
