"""Scorers that need no labels: silhouette, the method's own objective, stability.

They are called as ``scorer(estimator, X)`` with a fitted estimator and rows that it was not fitted
on, and return a float of which more is better. Each looks at something else, and none of them sees
a label: how far they go along with accuracy differs from data to data.

Examples
--------
>>> from sklearn.datasets import make_blobs
>>> from sklearn.model_selection import GridSearchCV, ShuffleSplit
>>> from skdeepcluster import StatDEC
>>> from skdeepcluster.model_selection import (
...     objective_scorer, silhouette_scorer, stability_scorer
... )
>>> X, _ = make_blobs(150, centers=3, random_state=0)
>>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 2, "tol": 0}
>>> scoring = {
...     "silhouette": silhouette_scorer,
...     "objective": objective_scorer,
...     "stability": stability_scorer,
... }
>>> folds = ShuffleSplit(1, train_size=0.4, test_size=0.6, random_state=0)
>>> search = GridSearchCV(
...     StatDEC(3, random_state=0, **quick),
...     {"embedding_dim": [2, 5]},
...     scoring=scoring,
...     refit="stability",
...     cv=folds,
... )
>>> sorted(search.fit(X).best_params_)
['embedding_dim']
"""

from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, resample
from sklearn.utils.validation import _num_samples

from skdeepcluster._validation import check_choice, check_integer, check_real
from skdeepcluster.model_selection._seeds import reseeded


def objective_scorer(estimator: Any, X: ArrayLike, y: Any = None) -> float:
    """Score rows by the method's own objective.

    It is what the estimator's `score` says of rows that it was not fitted on.

    Parameters
    ----------
    estimator : fitted estimator with `score`
    X : array-like, rows as in `fit`
    y : None
        Ignored.

    Returns
    -------
    float
        More is better.

    Raises
    ------
    TypeError
        If the estimator has no `score`.

    Notes
    -----
    Parameters that change the objective itself cannot be compared by it: each method's `score` says
    which these are. A weight in the objective is one always. The number of clusters is one but for
    :class:`~skdeepcluster.VariationalGMMClustering`, whose objective is a likelihood.

    References
    ----------
    The objectives are those of the methods' papers; see their `score`.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC
    >>> from skdeepcluster.model_selection import objective_scorer
    >>> X, _ = make_blobs(90, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
    >>> model = StatDEC(3, random_state=0, **quick).fit(X[:60])
    >>> objective_scorer(model, X[60:]) == model.score(X[60:])
    True
    """
    if not hasattr(estimator, "score"):
        raise TypeError(f"objective_scorer needs an estimator with score, got {estimator!r}.")
    return float(estimator.score(X))


class _Scorer:
    """What is common to scorers with parameters: a name, and words that make one again."""

    __name__: str

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name != "__name__"
        )
        return f"{type(self).__name__}({given})"


class SilhouetteScorer(_Scorer):
    r"""Scorer of how far clusters lie apart, in the embedding or in X itself.

    .. math:: s = \frac{1}{n} \sum_i \frac{b_i - a_i}{\max(a_i, b_i)}

    where :math:`a_i` is the mean distance of row i to the other rows of its cluster, and
    :math:`b_i` that to the rows of the nearest other cluster.

    Parameters
    ----------
    space : {"embedding", "input"}, default="embedding"
        Where distances are measured: in what `transform` returns, or in X, with images flattened.
    max_rows : int, default=2000
        Rows that are looked at, drawn at random where there are more: time and memory grow with
        their square.
    metric : str, default="euclidean"
        Any metric of :func:`sklearn.metrics.pairwise_distances`.
    random_state : int or RandomState, default=0
        Of the draw. With an int, the same rows are drawn in each call with as many rows.

    See Also
    --------
    sklearn.metrics.silhouette_score : What computes it.

    Notes
    -----
    In [-1, 1]. Where all rows are in one cluster it is -1, for such a result is of no use; where
    each row has a cluster of its own it is 0.

    Each candidate is measured in an embedding of its own. One that pulls clusters together harder
    scores higher, whether the clusters are right or wrong: compare candidates that leave the
    objective's weights alone, or measure in the input.

    References
    ----------
    P. Rousseeuw, "Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster
    Analysis", Journal of Computational and Applied Mathematics 20 (1987).

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster.model_selection import SilhouetteScorer
    >>> X, _ = make_blobs(300, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> scorer = SilhouetteScorer(space="input", max_rows=200)
    >>> scores = [scorer(KMeans(k, n_init=10, random_state=0).fit(X), X) for k in (2, 3, 4)]
    >>> scores.index(max(scores))
    1
    """

    def __init__(
        self,
        *,
        space: str = "embedding",
        max_rows: int = 2000,
        metric: str = "euclidean",
        random_state: int | RandomState = 0,
    ) -> None:
        check_choice("space", space, ("embedding", "input"))
        check_integer("max_rows", max_rows, minimum=2)
        self.__name__ = "silhouette_scorer"
        self.space = space
        self.max_rows = max_rows
        self.metric = metric
        self.random_state = random_state

    def __call__(self, estimator: Any, X: ArrayLike, y: Any = None) -> float:
        if _num_samples(X) > self.max_rows:
            X = resample(X, replace=False, n_samples=self.max_rows, random_state=self.random_state)
        labels = estimator.predict(X)
        n_labels = len(np.unique(labels))
        if n_labels < 2:
            return -1.0
        if n_labels == len(labels):
            return 0.0
        return float(silhouette_score(self._points(estimator, X), labels, metric=self.metric))

    def _points(self, estimator: Any, X: Any) -> Any:
        if self.space == "input":
            return np.reshape(X, (len(X), -1)) if np.ndim(X) > 2 else X
        if not hasattr(estimator, "transform"):
            raise TypeError(
                "the silhouette in the embedding needs an estimator with transform, got "
                f"{estimator!r}; SilhouetteScorer(space='input') measures in X."
            )
        return estimator.transform(X)


class StabilityScorer(_Scorer):
    """Scorer of how far a second model, fitted on other rows, finds the same clusters.

    How it works: a scorer sees a fitted estimator and the rows of the fold that it was not fitted
    on. Of these a clone of the estimator gets one part to be fitted on, as many rows as the
    estimator had if there are so many; it begins from another seed. The score is the adjusted Rand
    index of what both predict for the other part, which neither has seen.

    Parameters
    ----------
    held_out : float, default=1/3
        Least share of the fold's rows on which the two models are compared.
    random_state : int or RandomState, default=0
        Of the split, and of the clone's seed.

    See Also
    --------
    sklearn.metrics.adjusted_rand_score : The agreement of two clusterings.

    Notes
    -----
    At most 1, and about 0 for models that agree by chance. Where either model has all rows in one
    cluster it is 0: there is nothing to agree on.

    Each call is a second fit. The two models are fitted on equally many rows with
    ``cv=ShuffleSplit(5, train_size=0.4, test_size=0.6, random_state=0)``: 40 % of the rows are for
    each of them, on 20 % they are compared. With k folds the second model has fewer rows, and
    agreement is the lower for it. Few rows in the folds make it so in any case: k-fold with many
    folds is not for this scorer.

    What is stable need not be right: a method that always finds the same wrong clusters has a high
    score. Fewer clusters are stable more easily, and so is a number below the true one where
    classes lie in pairs.

    References
    ----------
    T. Lange, V. Roth, M. Braun, J. Buhmann, "Stability-Based Validation of Clustering Solutions",
    Neural Computation 16 (2004); U. von Luxburg, "Clustering Stability: An Overview", Foundations
    and Trends in Machine Learning 2 (2010).

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.model_selection import ShuffleSplit, cross_val_score
    >>> from skdeepcluster.model_selection import StabilityScorer
    >>> X, _ = make_blobs(300, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> folds = ShuffleSplit(3, train_size=0.4, test_size=0.6, random_state=0)
    >>> model = KMeans(3, n_init=10, random_state=0)
    >>> cross_val_score(model, X, scoring=StabilityScorer(), cv=folds)
    array([1., 1., 1.])
    """

    def __init__(self, *, held_out: float = 1 / 3, random_state: int | RandomState = 0) -> None:
        check_real("held_out", held_out, maximum=1.0, exclusive=True)
        if held_out == 1:
            raise ValueError("held_out must be below 1, or there is nothing to fit on, got 1.")
        self.__name__ = "stability_scorer"
        self.held_out = held_out
        self.random_state = random_state

    def __call__(self, estimator: Any, X: ArrayLike, y: Any = None) -> float:
        seeds = check_random_state(self.random_state)
        n = _num_samples(X)
        n_fit = min(n - max(1, round(n * self.held_out)), _n_fitted(estimator) or n)
        if n_fit < 1:
            raise ValueError(f"a fold of {n} rows cannot be parted into two.")
        rows, held_out = train_test_split(X, train_size=n_fit, random_state=seeds)
        second = reseeded(estimator, seeds).fit(rows)
        labels = [np.asarray(model.predict(held_out)) for model in (estimator, second)]
        if any((a == a[0]).all() for a in labels):
            return 0.0
        return float(adjusted_rand_score(*labels))


def _n_fitted(estimator: Any) -> int | None:
    """How many rows an estimator was fitted on, if it tells."""
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    labels = getattr(last, "labels_", None)
    return None if labels is None else len(labels)


#: :class:`SilhouetteScorer` with its defaults, for ``scoring=`` of scikit-learn's model selection.
silhouette_scorer = SilhouetteScorer()

#: :class:`StabilityScorer` with its defaults.
stability_scorer = StabilityScorer()
