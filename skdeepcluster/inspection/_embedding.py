"""The embedding in two dimensions."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from skdeepcluster._validation import check_integer
from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._plotting import (
    figure_and_axes,
    look,
    makes_figure,
    require_matplotlib,
)
from skdeepcluster.inspection._text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Groups that a legend lists at most; the points' numbers serve for more.
IN_LEGEND = 20


class EmbeddingDisplay:
    """Rows as points in a plane, coloured by cluster or by label.

    Use :meth:`from_estimator` or :meth:`from_predictions`. Each group has a colour and a shape, and
    its name stands amid its points, so that a hundred of them can be read without colours.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    labels : ndarray of shape (n,)
        Cluster or label of each point.
    axis_labels : (str, str), default=None
        What the axes are.
    groups : ndarray, default=None
        All clusters or labels that there may be, which fixes their colours; None is those in
        `labels`.
    title : str, default=None

    Attributes
    ----------
    scatter_ : list of matplotlib PathCollection
        The points of each group.
    text_ : list of matplotlib Annotation
        The names amid the points.
    legend_ : matplotlib Legend or None
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skdeepcluster.inspection import EmbeddingDisplay
    >>> digits = load_digits()
    >>> display = EmbeddingDisplay.from_predictions(digits.data, digits.target, max_samples=500)
    >>> display.points.shape, len(display.scatter_)
    ((500, 2), 10)
    >>> display.ax_.get_xlabel()
    'Principal component 1 (1... % of variance)'
    >>> plt.close()
    """

    def __init__(
        self,
        points: np.ndarray,
        labels: np.ndarray,
        *,
        axis_labels: tuple[str, str] | None = None,
        groups: np.ndarray | None = None,
        title: str | None = None,
    ) -> None:
        self.points = points
        self.labels = labels
        self.axis_labels = axis_labels
        self.groups = groups
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        reducer: Any = "auto",
        max_samples: int | None = 5000,
        random_state: Any = 0,
        ax: "Axes | None" = None,
        legend: bool | str = "auto",
        scatter_kw: dict | None = None,
    ) -> Self:
        """Show the embedding of X.

        Parameters
        ----------
        estimator : fitted estimator
            With `transform` and, without `y`, `predict`.
        X : array-like, rows as in `fit`
        y : array-like of shape (n,), default=None
            Labels to colour the points by; None colours them by cluster.
        reducer : "auto", "pca", "tsne", estimator or callable, default="auto"
            What takes the embedding to two dimensions: an estimator with `fit_transform`, or a
            function from (n, e) to (n, 2). "auto" leaves an embedding of two columns as it is and
            is "pca" for others. t-SNE shows who is whose neighbour; distances between groups and
            their sizes mean little in it.
        max_samples : int or None, default=5000
            How many rows are shown, drawn at random if there are more; None is all.
        random_state : int, RandomState or None, default=0
            Of the draw and of t-SNE.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        legend : bool or "auto", default="auto"
            Whether there is a legend; "auto" is in a new figure of up to 20 groups.
        scatter_kw : dict, default=None
            Passed to matplotlib's `scatter`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If the estimator has no `transform`.
        ValueError
            If the arrays do not fit together or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> from skdeepcluster.inspection import EmbeddingDisplay
        >>> X, y = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> display = EmbeddingDisplay.from_estimator(model, X)
        >>> display.points.shape
        (60, 2)
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"{type(estimator).__name__} has no transform: use from_predictions with an "
                "embedding of your own."
            )
        if not hasattr(X, "shape"):
            X = np.asarray(X)
        rows = _draw(X.shape[0], max_samples, random_state)
        if y is not None:
            check_consistent_length(X, y)
        X = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
        if y is None:
            found = Assignments.of(estimator, X)
            labels, groups, kind = found.clusters[found.labels], found.clusters, "cluster"
        else:
            found = Assignments.given(y)
            labels, groups, kind = np.asarray(y)[rows], found.clusters, "label"
        points, axis_labels = _reduce(np.asarray(estimator.transform(X)), reducer, random_state)
        title = f"{type(estimator).__name__}: embedding by {kind}"
        display = cls(points, labels, axis_labels=axis_labels, groups=groups, title=title)
        return display.plot(ax=ax, legend=legend, scatter_kw=scatter_kw)

    @classmethod
    def from_predictions(
        cls,
        embedding: ArrayLike,
        labels: ArrayLike,
        *,
        reducer: Any = "auto",
        max_samples: int | None = 5000,
        random_state: Any = 0,
        ax: "Axes | None" = None,
        legend: bool | str = "auto",
        scatter_kw: dict | None = None,
    ) -> Self:
        """Show a given embedding.

        Parameters
        ----------
        embedding : array-like of shape (n, e)
        labels : array-like of shape (n,)
            Clusters or labels to colour the points by.
        reducer, max_samples, random_state, ax, legend, scatter_kw
            As in :meth:`from_estimator`.

        Returns
        -------
        EmbeddingDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the arrays do not fit together or a parameter is not as it must be.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skdeepcluster.inspection import EmbeddingDisplay
        >>> display = EmbeddingDisplay.from_predictions([[0, 0], [1, 0], [0, 1]], list("aab"))
        >>> [text.get_text() for text in display.text_]
        ['a', 'b']
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_predictions")
        embedding = check_array(embedding, input_name="embedding")
        found = Assignments.given(labels)
        check_consistent_length(embedding, found.labels)
        rows = _draw(len(embedding), max_samples, random_state)
        points, axis_labels = _reduce(embedding[rows], reducer, random_state)
        labels = found.clusters[found.labels[rows]]
        display = cls(points, labels, axis_labels=axis_labels, groups=found.clusters)
        return display.plot(ax=ax, legend=legend, scatter_kw=scatter_kw)

    def plot(
        self,
        *,
        ax: "Axes | None" = None,
        legend: bool | str = "auto",
        scatter_kw: dict | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax, legend, scatter_kw
            As in :meth:`from_estimator`.

        Returns
        -------
        EmbeddingDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import EmbeddingDisplay
        >>> display = EmbeddingDisplay(np.eye(2), np.array([0, 1])).plot(legend=False)
        >>> display.legend_ is None
        True
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        groups = np.unique(self.labels) if self.groups is None else np.asarray(self.groups)
        few = len(groups) <= IN_LEGEND
        # It stands beside the axes, where the user's figure may have others.
        legend = few and makes_figure(ax) if legend == "auto" else legend
        size = (6.4 + 0.8 * bool(legend), 5.6) if few else (9.0, 8.0)
        self.figure_, self.ax_ = figure_and_axes(ax, size)
        area = float(np.clip(20_000 / max(len(self.points), 1), 6, 36))
        self.scatter_, self.text_ = [], []
        for position, group in enumerate(groups):
            points = self.points[self.labels == group]
            style = {"s": area, "alpha": 0.65, "linewidths": 0, "label": shorten(group)}
            # Snapped to whole pixels, small crosses have no area where these are large.
            style["snap"] = False
            # An image within a vector format: thousands of points would make large files.
            style = {**style, **look(position), "rasterized": True, **(scatter_kw or {})}
            self.scatter_.append(self.ax_.scatter(*points.T, **style))
            if len(points):
                self.text_.append(_name(self.ax_, points, shorten(group), 9 if few else 7))
        names = self.axis_labels or ("", "")
        self.ax_.set(xlabel=names[0], ylabel=names[1], title=self.title or "")
        self.ax_.set_xticks([])
        self.ax_.set_yticks([])
        self.legend_ = None
        if legend:
            place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
            self.legend_ = self.ax_.legend(**place)
            for handle in self.legend_.legend_handles:
                handle.set(sizes=[36], alpha=1)
        return self


def _name(ax: "Axes", points: np.ndarray, name: str, size: float):
    """Write a group's name at the one of its points that is nearest to their median."""
    from matplotlib.patheffects import withStroke

    distance = ((points - np.median(points, axis=0)) ** 2).sum(axis=1)
    outline = [withStroke(linewidth=2.5, foreground="white")]
    style = {"ha": "center", "va": "center", "fontsize": size, "fontweight": "bold"}
    return ax.annotate(name, points[distance.argmin()], path_effects=outline, **style)


def _draw(n: int, max_samples: int | None, random_state: Any) -> np.ndarray:
    """Return the rows that are shown, in their order."""
    if max_samples is not None:
        check_integer("max_samples", max_samples, minimum=2)
    if max_samples is None or n <= max_samples:
        return np.arange(n)
    return np.sort(check_random_state(random_state).choice(n, max_samples, replace=False))


def _reduce(embedding: np.ndarray, reducer: Any, random_state: Any) -> tuple[np.ndarray, tuple]:
    """Take an embedding (n, e) to (n, 2), and say what the axes are."""
    n, e = embedding.shape
    word = reducer if isinstance(reducer, str) else None
    if word == "auto" and e == 2:
        return embedding, ("Embedding 1", "Embedding 2")
    if word in ("auto", "pca"):
        return _principal(embedding)
    if word == "tsne":
        # It must be less than the number of rows.
        perplexity = min(30.0, (n - 1) / 3)
        init = "pca" if e > 1 else "random"
        reducer = TSNE(2, perplexity=perplexity, init=init, random_state=random_state)
    if hasattr(reducer, "fit_transform"):
        name, points = type(reducer).__name__, reducer.fit_transform(embedding)
    elif callable(reducer):
        name, points = getattr(reducer, "__name__", type(reducer).__name__), reducer(embedding)
    else:
        raise ValueError(
            "reducer must be 'auto', 'pca', 'tsne', an estimator with fit_transform or a "
            f"function, got {reducer!r}."
        )
    points = np.asarray(points)
    if points.shape != (n, 2):
        raise ValueError(f"reducer must return an array of shape {(n, 2)}, got {points.shape}.")
    name = "t-SNE" if name == "TSNE" else name.strip("<>")
    return points, (f"{name} 1", f"{name} 2")


def _principal(embedding: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Project on two principal components; what there is less of is zero."""
    pca = PCA(min(2, *embedding.shape))
    with np.errstate(invalid="ignore"):  # the share of no variance at all
        points = pca.fit_transform(embedding.astype(np.float64))
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    names = [f"Principal component {i + 1} ({s:.0%} of variance)" for i, s in enumerate(shares)]
    names = [name.replace("%", " %") for name in names]
    missing = 2 - points.shape[1]
    return np.pad(points, ((0, 0), (0, missing))), (*names, *[""] * missing)
