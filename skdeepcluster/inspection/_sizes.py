"""How large clusters are, and how sure."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdeepcluster._validation import check_choice
from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._plotting import (
    COLORS,
    figure_and_panels,
    require_matplotlib,
    tick_size,
)
from skdeepcluster.inspection._text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is drawn of the confidences of a cluster: whiskers, box, median.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

SORTS = ("size", "confidence", "cluster")


class ClusterSizesDisplay:
    """Sizes of clusters, and below them the confidence of their rows.

    Use :meth:`from_estimator` or :meth:`from_predictions`. The dashed line is the mean size. A box
    has the middle half of a cluster's confidences and their median, whiskers reach from the 5th to
    the 95th percentile.

    Parameters
    ----------
    sizes : ndarray of shape (K,)
        Rows of each cluster.
    clusters : sequence of length K
        Names of the clusters.
    quantiles : ndarray of shape (K, 5), default=None
        Of the confidences in each cluster: 0.05, 0.25, 0.5, 0.75 and 0.95; NaN for an empty one.
    title : str, default=None

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        Sizes.
    axes_ : ndarray of matplotlib Axes
        The panel of sizes and, with confidences, theirs.
    ax_ : matplotlib Axes
        The first panel.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skdeepcluster.inspection import ClusterSizesDisplay
    >>> labels, confidence = [0, 0, 0, 1, 1, 1, 1], [0.9, 0.8, 1, 0.5, 0.6, 0.7, 0.6]
    >>> display = ClusterSizesDisplay.from_predictions(labels, confidence=confidence)
    >>> display.clusters.tolist(), display.sizes.tolist()  # the largest first
    ([1, 0], [4, 3])
    >>> plt.close()
    """

    def __init__(
        self,
        sizes: np.ndarray,
        clusters: ArrayLike,
        *,
        quantiles: np.ndarray | None = None,
        title: str | None = None,
    ) -> None:
        self.sizes = sizes
        self.clusters = clusters
        self.quantiles = quantiles
        self.title = title

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: ArrayLike, *, sort: str = "size", ax: "Axes | None" = None
    ) -> Self:
        """Show the clusters that a fitted estimator finds in X.

        Parameters
        ----------
        estimator : fitted estimator
            With `predict_proba`, or `predict` for sizes only.
        X : array-like, rows as in `fit`
        sort : "size", "confidence" or "cluster", default="size"
            Clusters by size, or median confidence, the largest first; or by name.
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        ClusterSizesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.mixture import GaussianMixture
        >>> from skdeepcluster.inspection import ClusterSizesDisplay
        >>> X = load_iris().data
        >>> model = GaussianMixture(3, random_state=0).fit(X)
        >>> display = ClusterSizesDisplay.from_estimator(model, X, sort="confidence")
        >>> int(display.sizes.sum()), display.quantiles.shape
        (150, (3, 5))
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        found = Assignments.of(estimator, X)
        return cls._from(found, sort, type(estimator).__name__).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        labels: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        sort: str = "size",
        ax: "Axes | None" = None,
    ) -> Self:
        """Show given clusters.

        Parameters
        ----------
        labels : array-like of shape (n,)
            Cluster of each row.
        confidence : array-like of shape (n,), default=None
            Probability of each row's cluster.
        sort, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        ClusterSizesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the arrays do not fit together, or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skdeepcluster.inspection import ClusterSizesDisplay
        >>> display = ClusterSizesDisplay.from_predictions([0, 1, 1], sort="cluster")
        >>> display.sizes.tolist(), len(display.axes_)
        ([1, 2], 1)
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_predictions")
        return cls._from(Assignments.given(labels, confidence), sort, None).plot(ax=ax)

    @classmethod
    def _from(cls, found: Assignments, sort: str, title: str | None) -> Self:
        check_choice("sort", sort, SORTS)
        if sort == "confidence" and found.confidence is None:
            raise ValueError("sort='confidence' needs confidences, and there are none.")
        quantiles = None
        if found.confidence is not None:
            quantiles = np.full((len(found.clusters), len(QUANTILES)), np.nan)
            for k, rows in enumerate(found.members()):
                if len(rows):
                    quantiles[k] = np.quantile(found.confidence[rows], QUANTILES)
        order = np.arange(len(found.clusters))
        if sort != "cluster":
            key = found.sizes if sort == "size" else np.nan_to_num(quantiles[:, 2], nan=-1)
            order = np.argsort(-key, kind="stable")
        return cls(
            found.sizes[order],
            found.clusters[order],
            quantiles=None if quantiles is None else quantiles[order],
            title=title,
        )

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        ClusterSizesDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import ClusterSizesDisplay
        >>> display = ClusterSizesDisplay(np.array([30, 20, 10]), ["a", "b", "c"]).plot()
        >>> len(display.bars_)
        3
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        count = len(self.sizes)
        n_panels = 1 if self.quantiles is None else 2
        width = float(np.clip(0.32 * count + 1.2, 4.5, 13))
        size = (width, 2.4 * n_panels + 0.4)
        self.figure_, panels = figure_and_panels(ax, n_panels, 1, size, sharex=True)
        self.axes_ = panels[:, 0]
        self.ax_ = self.axes_[0]
        places = np.arange(count)
        self.bars_ = self.ax_.bar(places, self.sizes, width=0.8, color=COLORS[0])
        self.ax_.axhline(np.mean(self.sizes), color="0.3", ls="--", lw=1)
        if count <= 25:
            self.ax_.bar_label(self.bars_, [f"{s:,}" for s in self.sizes], fontsize=7, padding=1)
        self.ax_.set(ylabel="rows", title=self.title or "")
        if n_panels == 2:
            _draw_boxes(self.axes_[1], places, np.asarray(self.quantiles))
        for panel in self.axes_:
            panel.spines[["top", "right"]].set_visible(False)
            panel.set_xlim(-0.7, count - 0.3)
        names = [shorten(name) for name in self.clusters]
        turned = 90 if count > 30 or max(map(len, names)) > 4 else 0
        self.axes_[-1].set_xticks(
            places, names, rotation=turned, fontsize=tick_size(count, width - 1)
        )
        self.axes_[-1].set_xlabel("cluster")
        return self


def _draw_boxes(panel: "Axes", places: np.ndarray, quantiles: np.ndarray) -> None:
    low, quarter, middle, three, high = quantiles.T
    panel.vlines(places, low, high, color="0.3", lw=1)
    panel.bar(places, three - quarter, 0.6, quarter, color=COLORS[1], ec="0.3", lw=0.7)
    panel.hlines(middle, places - 0.3, places + 0.3, color="black", lw=1.8)
    panel.set_ylabel("confidence")
    panel.set_ylim(0, 1.03)
