"""The curve by which a number of clusters is chosen."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skdeepcluster.inspection._plotting import COLORS, figure_and_axes, require_matplotlib
from skdeepcluster.inspection._text import shorten
from skdeepcluster.model_selection import choose_n_clusters, stability_scorer
from skdeepcluster.model_selection._n_clusters import parameter_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a figure of its own.
SIZE = (6.4, 4.2)


class NClustersDisplay:
    """Label-free scores over the number of clusters: mean and spread over the folds.

    Make it by :meth:`from_estimator` or :meth:`from_search`; all parameters are kept as attributes.

    Parameters
    ----------
    n_clusters : array-like of shape (m,), int
        The numbers of clusters.
    scores : array-like of shape (m, folds)
        Score of each fold.
    score_name : str or None, default=None
        What the scores are, for the axis.

    Attributes
    ----------
    best_n_clusters_ : int
        The number with the highest mean; of equal ones, the largest.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The means.
    band_ : matplotlib collection
        One standard deviation of the folds about them.
    best_line_ : matplotlib Line2D
        Where the best number is.

    See Also
    --------
    skdeepcluster.model_selection.choose_n_clusters : What computes the curve.
    sklearn.model_selection.ValidationCurveDisplay : The like for supervised scores.

    Examples
    --------
    >>> from skdeepcluster.inspection import NClustersDisplay
    >>> display = NClustersDisplay(n_clusters=[2, 3, 4], scores=[[0.8], [0.9], [0.5]])
    >>> display.plot().best_n_clusters_
    3
    """

    def __init__(
        self, *, n_clusters: ArrayLike, scores: ArrayLike, score_name: str | None = None
    ) -> None:
        self.n_clusters = n_clusters
        self.scores = scores
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        n_clusters: Iterable[int],
        *,
        scoring: Callable | str = stability_scorer,
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: int | None = 0,
        ax: "Axes | None" = None,
        **kwargs: Any,
    ) -> Self:
        """Compute the curve and plot it.

        Parameters
        ----------
        estimator, X, n_clusters, scoring, cv, n_jobs, random_state
            As for :func:`~skdeepcluster.model_selection.choose_n_clusters`.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        **kwargs
            For the line of the means.

        Returns
        -------
        NClustersDisplay

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster.inspection import NClustersDisplay
        >>> X, _ = make_blobs(200, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
        >>> model = KMeans(n_init=10, random_state=0)
        >>> NClustersDisplay.from_estimator(model, X, range(2, 6)).best_n_clusters_
        3
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        if isinstance(scoring, Mapping):
            raise TypeError(
                "a display shows one scorer: pass several to choose_n_clusters, and its result to "
                "from_search for each of them."
            )
        search = choose_n_clusters(
            estimator,
            X,
            n_clusters,
            scoring=scoring,
            refit=False,
            cv=cv,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        return cls.from_search(search, ax=ax, **kwargs)

    @classmethod
    def from_search(
        cls, search: Any, *, scorer: str | None = None, ax: Any = None, **kwargs: Any
    ) -> Self:
        """Plot the curve of a fitted grid search over the number of clusters alone.

        Parameters
        ----------
        search : GridSearchCV
            What :func:`~skdeepcluster.model_selection.choose_n_clusters` returns.
        scorer : str or None, default=None
            Which of several scorers; None is the one that chose.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        **kwargs
            For the line of the means.

        Returns
        -------
        NClustersDisplay

        Raises
        ------
        ValueError
            If there is no such scorer, or the search went over other parameters, too.

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster.inspection import NClustersDisplay
        >>> from skdeepcluster.model_selection import (
        ...     choose_n_clusters, silhouette_scorer, stability_scorer
        ... )
        >>> X, _ = make_blobs(200, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
        >>> scoring = {"stability": stability_scorer, "silhouette": silhouette_scorer}
        >>> model = KMeans(n_init=10, random_state=0)
        >>> search = choose_n_clusters(model, X, range(2, 6), scoring=scoring)
        >>> display = NClustersDisplay.from_search(search, scorer="silhouette")
        >>> display.ax_.get_ylabel()
        'silhouette'
        """
        require_matplotlib(f"{cls.__name__}.from_search")
        name = parameter_name(search.estimator)
        candidates = search.cv_results_["params"]
        if any(set(candidate) != {name} for candidate in candidates):
            raise ValueError(f"the search must be over {name} alone, got {candidates[0]}.")
        key, score_name = _score_key(search, scorer)
        folds = [search.cv_results_[f"split{i}_test_{key}"] for i in range(search.n_splits_)]
        display = cls(
            n_clusters=np.array([candidate[name] for candidate in candidates]),
            scores=np.array(folds).T,
            score_name=score_name,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, *, ax: "Axes | None" = None, score_name: str | None = None, **kwargs: Any
    ) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        score_name : str or None, default=None
            What to write on the axis in place of `score_name`.
        **kwargs
            For the line of the means.

        Returns
        -------
        NClustersDisplay
            With the parts of the picture as attributes.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from skdeepcluster.inspection import NClustersDisplay
        >>> ax = Figure().subplots()
        >>> display = NClustersDisplay(n_clusters=[2, 3], scores=[[0.8, 0.7], [0.9, 0.6]])
        >>> display.plot(ax=ax, score_name="stability").ax_ is ax
        True
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        order = np.argsort(self.n_clusters, kind="stable")
        k = np.asarray(self.n_clusters)[order]
        scores = np.asarray(self.scores, dtype=float)
        means, spread = scores.mean(axis=1), scores.std(axis=1)
        if not np.isfinite(means).any():
            raise ValueError(
                f"scores must have a number of clusters whose mean is finite, got {means.tolist()}."
            )
        # As in a search, a number without a score in some fold cannot be the best.
        self.best_n_clusters_ = int(np.asarray(self.n_clusters)[means == np.nanmax(means)].max())
        self.figure_, ax = figure_and_axes(ax, SIZE)
        style = {"color": COLORS[0], "marker": "o", "label": "mean of the folds", **kwargs}
        (self.line_,) = ax.plot(k, means[order], **style)
        color = self.line_.get_color()
        low, high = (means - spread)[order], (means + spread)[order]
        self.band_ = ax.fill_between(
            k, low, high, color=color, alpha=0.2, linewidth=0, label="standard deviation"
        )
        self.best_line_ = ax.axvline(
            self.best_n_clusters_,
            color="0.3",
            linestyle="--",
            linewidth=1,
            label=f"best: {self.best_n_clusters_}",
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("number of clusters")
        ax.set_ylabel(shorten(score_name or self.score_name or "score", 40))
        ax.legend()
        self.ax_ = ax
        return self


def _score_key(search: Any, scorer: str | None) -> tuple[str, str]:
    """Return the name of a scorer in `cv_results_`, and for the axis."""
    known = [
        key.removeprefix("mean_test_") for key in search.cv_results_ if key.startswith("mean_test_")
    ]
    if known == ["score"] and scorer is None:
        name = getattr(search.scoring, "__name__", search.scoring)
        return "score", str(name or "score").removesuffix("_scorer")
    if scorer is None:
        scorer = search.refit if isinstance(search.refit, str) else known[0]
    if scorer not in known:
        raise ValueError(f"scorer must be one of {tuple(known)}, got {scorer!r}.")
    return scorer, scorer
