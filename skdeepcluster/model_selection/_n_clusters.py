"""The number of clusters, chosen from a range by scorers that need no labels."""

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit

from skdeepcluster._validation import check_integer
from skdeepcluster.model_selection._scorers import stability_scorer

#: Folds by default; of the rows, the part that a model is fitted on. The second model of
#: `StabilityScorer` takes as many of the others.
N_SPLITS, TRAIN_SIZE = 5, 0.4


def choose_n_clusters(
    estimator: Any,
    X: ArrayLike,
    n_clusters: Iterable[int],
    *,
    scoring: Callable | str | Mapping[str, Any] = stability_scorer,
    refit: bool | str = True,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: int | None = 0,
) -> GridSearchCV:
    """Choose the number of clusters from a range, without labels.

    This is scikit-learn's grid search over one parameter, with shuffled folds. The number with the
    highest mean score over the folds is taken; of equal ones, the largest.

    Parameters
    ----------
    estimator : estimator with a parameter `n_clusters`
        Not fitted; it may be the last step of a pipeline, or inside another estimator.
    X : array-like, rows as in the estimator's `fit`
    n_clusters : iterable of int
        The numbers to try, each at least 2.
    scoring : callable, str or dict of these, default=stability_scorer
        As for :class:`sklearn.model_selection.GridSearchCV`.
    refit : bool or str, default=True
        Whether the estimator with the chosen number is fitted on all rows. With several scorers,
        which of them chooses; True is the first.
    cv : int, splitter, iterable or None, default=None
        Folds. None: five times two fifths of the rows at random to fit on, the others to score. An
        int: as many folds of shuffled rows.
    n_jobs : int or None, default=None
        Fits at a time, as for scikit-learn.
    verbose : int, default=0
        As for scikit-learn's grid search.
    random_state : int or None, default=0
        Of the folds.

    Returns
    -------
    GridSearchCV
        Fitted: the number is in `best_params_`, the curve in `cv_results_`, and with `refit` the
        model in `best_estimator_`.

    Raises
    ------
    ValueError
        If the estimator has no such parameter, or several; if a number is below 2, or there is
        none; if no number has a finite score. What the estimator raises in a fit is raised, too.
    TypeError
        If a number is no int.

    See Also
    --------
    skdeepcluster.inspection.NClustersDisplay : The curve.

    Notes
    -----
    No scorer knows how many classes a person would see. Look at the whole curve: a clear peak says
    more than the highest of many equal values, and at a peak of stability below the number of
    classes, classes are merged in the same way again and again.

    References
    ----------
    T. Lange, V. Roth, M. Braun, J. Buhmann, "Stability-Based Validation of Clustering Solutions",
    Neural Computation 16 (2004).

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster.model_selection import choose_n_clusters, silhouette_scorer
    >>> X, _ = make_blobs(300, centers=[[0, 0], [9, 0], [0, 9], [9, 9]], random_state=0)
    >>> model = KMeans(n_init=10, random_state=0)
    >>> search = choose_n_clusters(model, X, range(2, 7), scoring=silhouette_scorer, cv=3)
    >>> search.best_params_
    {'n_clusters': 4}
    >>> search.best_estimator_.labels_.shape
    (300,)
    """
    # The search takes the first of equal scores. It is to be the largest number, for the fewer the
    # clusters, the easier are they stable.
    numbers = sorted(n_clusters, reverse=True)
    if not numbers:
        raise ValueError("n_clusters must have a number at least, got none.")
    for number in numbers:
        check_integer("each of n_clusters", number, minimum=2)
    if cv is None:
        cv = ShuffleSplit(
            N_SPLITS, train_size=TRAIN_SIZE, test_size=1 - TRAIN_SIZE, random_state=random_state
        )
    elif isinstance(cv, Integral | np.bool_):
        check_integer("cv", cv, minimum=2)
        cv = KFold(cv, shuffle=True, random_state=random_state)
    if isinstance(scoring, Mapping) and refit is True:
        refit = next(iter(scoring))
    search = GridSearchCV(
        estimator,
        {parameter_name(estimator): numbers},
        scoring=scoring,
        refit=refit,
        cv=cv,
        n_jobs=n_jobs,
        verbose=verbose,
        error_score="raise",
    )
    search.fit(X)
    if hasattr(search, "best_index_"):
        _check_scored(search)
    return search


def _check_scored(search: GridSearchCV) -> None:
    """Raise where nothing was chosen by its score: of NaN alone, the search takes the first."""
    name = search.refit if isinstance(search.refit, str) else "score"
    means = search.cv_results_[f"mean_test_{name}"]
    if not np.isfinite(means).any():
        raise ValueError(f"no number of clusters has a finite {name}, got {means.tolist()}.")


def parameter_name(estimator: Any) -> str:
    """Name of the parameter `n_clusters`, which may be inside of another estimator.

    Raises
    ------
    ValueError
        If there is none, or several equally deep.
    """
    names = [n for n in estimator.get_params(deep=True) if n.split("__")[-1] == "n_clusters"]
    if not names:
        raise ValueError(f"{estimator!r} has no parameter n_clusters.")
    least = min(name.count("__") for name in names)
    outermost = [name for name in names if name.count("__") == least]
    if len(outermost) > 1:
        raise ValueError(f"{estimator!r} has several parameters n_clusters: {outermost}.")
    return outermost[0]
