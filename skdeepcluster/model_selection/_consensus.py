"""One clustering from several seeds."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.base import BaseEstimator, ClusterMixin, MetaEstimatorMixin
from sklearn.metrics import adjusted_rand_score
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skdeepcluster._training._seeding import draw_seed
from skdeepcluster._validation import check_integer
from skdeepcluster.model_selection._seeds import reseeded


class ConsensusClusterer(ClusterMixin, MetaEstimatorMixin, BaseEstimator):
    r"""Clusters on which several runs of a clusterer, from different seeds, agree best.

    .. math::

        \min_{\Pi_1, \dots, \Pi_R, \bar{P}} \sum_r \lVert P_r \Pi_r - \bar{P} \rVert^2

    where :math:`P_r` are the probabilities (n, K) of run r, and :math:`\Pi_r` exchanges its
    clusters.

    How it works: R clones are fitted on the same rows, each from a seed of its own. The numbers of
    clusters mean nothing across runs, so that they are matched first: to those of the run that
    agrees best with the others, then each run in turn to the sum of the others (Hungarian method),
    until nothing changes. Probabilities are then averaged, and a row belongs to the cluster with
    the largest mean.

    Parameters
    ----------
    estimator : estimator
        A clusterer with `predict`. Where it has no `predict_proba`, its clusters count as certain.
    n_runs : int, default=5
        Number of runs R.
    n_jobs : int or None, default=None
        Runs at a time, as for scikit-learn: None is 1, -1 all cores.
    random_state : int, RandomState or None, default=None
        What the runs' seeds are drawn from; the `random_state` of the estimator itself, and of what
        is nested in it, takes no part. More runs with the same number have the same first seeds.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int
        Cluster of each row.
    n_clusters_ : int
        Number of clusters K, the largest of the runs', those without rows included.
    estimators_ : list of estimators
        The fitted runs.
    matching_ : ndarray of shape (n_runs, K), int
        Which cluster of a run stands for each cluster of the consensus.
    agreement_ : ndarray of shape (n_runs, n_runs)
        Adjusted Rand index of each two runs on the training rows: how much depends on the seed.
    run_agreement_ : ndarray of shape (n_runs,)
        Adjusted Rand index of each run with the consensus.
    row_agreement_ : ndarray of shape (n,)
        Share of the runs that have a row in its cluster.
    scores_ : ndarray of shape (n_runs,)
        What each run's `score` says of the training rows; only where the estimator has one.
    n_features_in_ : int
        Numbers in a row, where the estimator tells.
    feature_names_in_ : ndarray of str
        Names of X's columns, where it has such.

    See Also
    --------
    sklearn.cluster.KMeans : With `n_init`, takes the best of several runs instead.

    Notes
    -----
    Labels are the consensus of what a method finds, not better than its usual result in what all
    runs do wrong. `fit` holds the probabilities of all runs: n K R numbers.

    There is no `transform` and no `score`: the runs' embeddings have nothing in common.

    References
    ----------
    E. Dimitriadou, A. Weingessel, K. Hornik, "A Combination Scheme for Fuzzy Clustering",
    International Journal of Pattern Recognition and Artificial Intelligence 16 (2002).

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC
    >>> from skdeepcluster.model_selection import ConsensusClusterer
    >>> X, _ = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    >>> model = StatDEC(3, hidden_sizes=(16, 16), pretrain_epochs=10, max_epochs=5, tol=0)
    >>> consensus = ConsensusClusterer(model, n_runs=3, random_state=0).fit(X)
    >>> consensus.labels_.shape, consensus.agreement_.shape
    ((90,), (3, 3))
    >>> consensus.predict_proba(X[:2]).shape
    (2, 3)
    """

    def __init__(
        self,
        estimator: Any,
        n_runs: int = 5,
        *,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_runs = n_runs
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> Self:
        """Fit the runs and match their clusters.

        Parameters
        ----------
        X : array-like, rows as in the estimator's `fit`
        y : None
            Ignored: it does not reach the estimator, either.
        **fit_params
            Passed to each run's `fit`; where scikit-learn's metadata routing is enabled, what the
            estimator requests.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If `n_runs` is below 1, or the estimator does not accept X.
        TypeError
            If `n_runs` is no int, the estimator has no `fit` or no `predict`, or X is sparse.

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster.model_selection import ConsensusClusterer
        >>> X, _ = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
        >>> consensus = ConsensusClusterer(KMeans(3), n_runs=4, random_state=0).fit(X)
        >>> consensus.run_agreement_
        array([1., 1., 1., 1.])
        """
        check_integer("n_runs", self.n_runs, minimum=1)
        for method in ("fit", "predict"):
            if not hasattr(self.estimator, method):
                raise TypeError(f"estimator must have {method}, got {self.estimator!r}.")
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        _check_dense(X)
        seeds = RandomState(draw_seed(self.random_state))
        runs = [reseeded(self.estimator, seeds) for _ in range(self.n_runs)]
        runs = Parallel(n_jobs=self.n_jobs)(delayed(_fit)(run, X, fit_params) for run in runs)

        memberships = _padded([_membership(run, X) for run in runs])
        labels = [p.argmax(axis=1) for p in memberships]
        agreement = _agreement(labels)
        matching = match_clusters(memberships, int(agreement.sum(axis=1).argmax()))
        mean = _mean(memberships, matching)
        consensus = mean.argmax(axis=1)

        self.estimators_ = list(runs)
        self.n_clusters_ = mean.shape[1]
        self.matching_ = matching
        self.labels_ = consensus
        self.agreement_ = agreement
        self.run_agreement_ = np.array([adjusted_rand_score(consensus, a) for a in labels])
        hits = [matching[r][consensus] == a for r, a in enumerate(labels)]
        self.row_agreement_ = np.mean(hits, axis=0)
        told = {n: getattr(runs[0], n, None) for n in ("n_features_in_", "feature_names_in_")}
        if hasattr(runs[0], "score"):
            told["scores_"] = np.array([float(run.score(X)) for run in runs])
        for name in ("n_features_in_", "feature_names_in_", "scores_"):
            if told.get(name) is not None:
                setattr(self, name, told[name])
            elif hasattr(self, name):  # of a fit before, on X with names or of another estimator
                delattr(self, name)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Assign rows to the cluster with the largest mean probability.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n,), int

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the runs do not accept X, or one without probabilities finds a cluster beyond
            `n_clusters_`.

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster.model_selection import ConsensusClusterer
        >>> X, _ = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
        >>> consensus = ConsensusClusterer(KMeans(3), random_state=0).fit(X)
        >>> bool((consensus.predict(X) == consensus.labels_).all())
        True
        """
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Mean of the runs' probabilities, or of runs without such the share of their votes.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n, n_clusters_), float64
            Rows sum to one.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the runs do not accept X, or one without probabilities finds a cluster beyond
            `n_clusters_`.

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster.model_selection import ConsensusClusterer
        >>> X, _ = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
        >>> consensus = ConsensusClusterer(KMeans(3), random_state=0).fit(X)
        >>> consensus.predict_proba(X)[:2].sum(axis=1)
        array([1., 1.])
        """
        check_is_fitted(self)
        _check_dense(X)
        memberships = (_membership(run, X, self.n_clusters_) for run in self.estimators_)
        return _mean((_widened(p, self.n_clusters_) for p in memberships), self.matching_)

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata `fit` hands on to the estimator.

        Returns
        -------
        MetadataRouter

        Examples
        --------
        >>> from sklearn.cluster import KMeans
        >>> from skdeepcluster.model_selection import ConsensusClusterer
        >>> router = ConsensusClusterer(KMeans(3)).get_metadata_routing()
        >>> type(router).__name__
        'MetadataRouter'
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self.estimator).input_tags
        tags.input_tags.allow_nan = own.allow_nan
        tags.input_tags.pairwise = own.pairwise
        return tags


def match_clusters(memberships: list[np.ndarray], reference: int) -> np.ndarray:
    """Match the clusters of all runs.

    Parameters
    ----------
    memberships : list of ndarray of shape (n, K)
        Probabilities of each run.
    reference : int
        The run whose numbers are kept as far as the others agree.

    Returns
    -------
    ndarray of shape (R, K), int
        Columns of each run in the common order. No exchange of two clusters of a run brings the
        runs nearer to their mean.
    """
    n_runs, k = len(memberships), memberships[0].shape[1]
    overlaps = np.empty((n_runs, n_runs, k, k))
    for r in range(n_runs):
        for s in range(r + 1):
            overlap = memberships[r].T @ memberships[s]  # (K of r, K of s)
            overlaps[r, s], overlaps[s, r] = overlap, overlap.T
    matching = np.tile(np.arange(k), (n_runs, 1))
    for r in range(n_runs):
        if r != reference:
            matching[r] = _best(overlaps[r, reference])
    value = -np.inf
    while True:
        for r in range(n_runs):
            others = [overlaps[r, s][:, matching[s]] for s in range(n_runs) if s != r]
            if others:
                matching[r] = _best(sum(others))
        before, value = value, _total_overlap(overlaps, matching)
        # It never falls but by rounding, and there are finitely many matchings.
        if value <= before * (1 + 1e-9):
            return matching


def _best(overlap: np.ndarray) -> np.ndarray:
    """Return, for each column of the overlap (K, K), the row that the Hungarian method gives it."""
    return linear_sum_assignment(overlap.T, maximize=True)[1]


def _total_overlap(overlaps: np.ndarray, matching: np.ndarray) -> float:
    return float(
        sum(
            overlaps[r, s][matching[r], matching[s]].sum()
            for r in range(len(matching))
            for s in range(r)
        )
    )


def _check_dense(X: Any) -> None:
    """Raise where X is sparse: the runs that this class is for do not take it."""
    if issparse(X):
        raise TypeError("X is sparse, which ConsensusClusterer does not take: pass X.toarray().")


def _fit(run: Any, X: Any, fit_params: dict) -> Any:
    return run.fit(X, **fit_params)


def _membership(run: Any, X: Any, known: int | None = None) -> np.ndarray:
    """Probabilities (n, K) of a run, or ones and zeros; of clusters that are `known` since fit."""
    if hasattr(run, "predict_proba"):
        return np.asarray(run.predict_proba(X), dtype=np.float64)
    labels = np.asarray(run.predict(X))
    if labels.min() < 0:
        raise ValueError(
            f"clusters must be numbered from 0 on, but {run!r} predicts {labels.min()}."
        )
    if known is not None and labels.max() >= known:
        raise ValueError(
            f"the runs had {known} clusters in fit, but {run!r} now predicts {labels.max()}."
        )
    return np.eye(max(_n_clusters(run), int(labels.max()) + 1))[labels]


def _n_clusters(run: Any) -> int:
    """How many clusters a run has, as far as it tells; a call may be of a few rows alone."""
    if hasattr(run, "best_estimator_"):
        return _n_clusters(run.best_estimator_)
    if hasattr(run, "steps"):
        return _n_clusters(run[-1])
    told = getattr(run, "n_clusters", None)
    count = int(told) if isinstance(told, Integral) else 0
    return max(count, int(np.max(run.labels_)) + 1) if hasattr(run, "labels_") else count


def _padded(memberships: list[np.ndarray]) -> list[np.ndarray]:
    k = max(p.shape[1] for p in memberships)
    return [_widened(p, k) for p in memberships]


def _widened(membership: np.ndarray, k: int) -> np.ndarray:
    """Add clusters without rows to a run that has fewer than others; a run of `k` is no copy."""
    if membership.shape[1] == k:
        return membership
    return np.pad(membership, ((0, 0), (0, k - membership.shape[1])))


def _mean(memberships: Any, matching: np.ndarray) -> np.ndarray:
    """Average in one order, so that fitting and predicting round alike."""
    total = 0.0
    for p, columns in zip(memberships, matching, strict=True):
        total = total + p[:, columns]
    return total / len(matching)


def _agreement(labels: list[np.ndarray]) -> np.ndarray:
    agreement = np.eye(len(labels))
    for r in range(len(labels)):
        for s in range(r):
            agreement[r, s] = agreement[s, r] = adjusted_rand_score(labels[r], labels[s])
    return agreement
