"""Measures of a clustering against known labels, and scorers for model selection.

Labels never reach ``fit``: they are only compared with the labels that ``predict`` gives.

The scorers ``acc_scorer``, ``balanced_acc_scorer``, ``nmi_scorer`` and ``ari_scorer`` are what
``scoring=`` takes in scikit-learn's model selection, alone or several in a dict. They are called as
``scorer(estimator, X, y)`` with a fitted estimator, any one that predicts, and return a float of
which more is better.

See Also
--------
sklearn.metrics.make_scorer : What they are made by.

References
----------
ACC: Variational Clustering, eq. 19. NMI: A. Strehl, J. Ghosh, "Cluster Ensembles", JMLR 3 (2002);
here with the arithmetic mean of the entropies. ARI: L. Hubert, P. Arabie, "Comparing Partitions",
Journal of Classification 2 (1985).

Examples
--------
>>> from sklearn.cluster import KMeans
>>> from sklearn.datasets import make_blobs
>>> from sklearn.model_selection import GridSearchCV, cross_validate
>>> from skdeepcluster.metrics import acc_scorer, ari_scorer, balanced_acc_scorer, nmi_scorer
>>> X, y = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
>>> model = KMeans(3, n_init=10, random_state=0).fit(X)
>>> acc_scorer(model, X, y), balanced_acc_scorer(model, X, y)
(1.0, 1.0)
>>> scoring = {"nmi": nmi_scorer, "ari": ari_scorer}
>>> cross_validate(model, X, y, scoring=scoring, cv=2)["test_ari"]
array([1., 1.])
>>> search = GridSearchCV(model, {"n_clusters": [2, 3]}, scoring=scoring, refit="nmi", cv=2)
>>> search.fit(X, y).best_params_
{'n_clusters': 3}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, make_scorer, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils import check_consistent_length

from skdeepcluster._validation import check_labels

__all__ = [
    "acc_scorer",
    "ari_scorer",
    "balanced_acc_scorer",
    "balanced_clustering_accuracy",
    "class_recall",
    "clustering_accuracy",
    "nmi_scorer",
]


def _mapped(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Map clusters to labels one-to-one, so that most samples are in the cluster of their label.

    Returns
    -------
    hits, sizes : ndarray of shape (labels,), int
        How many samples of each label are in its cluster, and how many there are. Labels sorted.
    """
    y_true = check_labels("y_true", y_true)
    y_pred = check_labels("y_pred", y_pred)
    check_consistent_length(y_true, y_pred)
    counts = contingency_matrix(y_true, y_pred)  # (labels, clusters)
    sizes = counts.sum(axis=1)
    rows, columns = best_map(counts)
    hits = np.zeros(len(sizes), dtype=int)
    hits[rows] = counts[rows, columns]
    return hits, sizes


def best_map(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map columns (clusters) to rows (labels) one-to-one, so that the counts sum to the most.

    Parameters
    ----------
    counts : ndarray of shape (labels, clusters), int
        No row of zeros.

    Returns
    -------
    rows, columns : ndarray of shape (min(labels, clusters),), int
        Pairs, by ascending row.
    """
    # Of the maps that are equally good by counts, the one with the largest sum of recalls: a mean
    # recall would else depend on the order of the clusters. That sum counts less than one sample.
    recall = counts / counts.sum(axis=1, keepdims=True)
    return linear_sum_assignment(counts + recall / (len(counts) + 1), maximize=True)


def clustering_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    r"""Share of samples whose cluster is mapped to their label, under the best such map.

    .. math::

        \mathrm{ACC} = \max_m \frac{1}{n} \sum_{i=1}^n 1\{y_i = m(c_i)\}

    where :math:`m` ranges over the one-to-one maps between clusters and labels. Where there
    are more clusters than labels, the clusters left over are mapped to nothing and their samples
    count as wrong; where there are fewer, the samples of the labels left over do. Two clusters
    are never mapped to the same label, so splitting a class does not raise the accuracy.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Known labels: any values that can be sorted (integers, strings, ...).
    y_pred : array-like of shape (n_samples,)
        Cluster of each sample. Only which samples share a value matters, not the values.

    Returns
    -------
    accuracy : float
        In (0, 1]; 1 if the clusters are the classes. Exchanging `y_true` and `y_pred` does not
        change it. Unlike the adjusted Rand index it is not corrected for chance.

    Raises
    ------
    ValueError
        If an argument is empty or not one-dimensional, holds NaN, or their lengths differ.
    TypeError
        If labels of one argument are of several kinds, which cannot be sorted.

    See Also
    --------
    sklearn.metrics.adjusted_rand_score : Agreement of pairs, corrected for chance.
    sklearn.metrics.normalized_mutual_info_score : Mutual information, scaled to [0, 1].

    Notes
    -----
    The best map is found by the Hungarian algorithm on the contingency table, which is dense:
    memory is proportional to the number of labels times the number of clusters.

    References
    ----------
    V. Prasad, D. Das, B. Bhowmick. "Variational Clustering: Leveraging Variational Autoencoders
    for Image Clustering". IJCNN 2020, eq. 19.

    Examples
    --------
    >>> from skdeepcluster.metrics import clustering_accuracy
    >>> clustering_accuracy(["cat", "cat", "dog", "dog"], [1, 1, 0, 0])
    1.0
    >>> clustering_accuracy([0, 0, 0, 1, 1], [0, 0, 2, 1, 1])  # one cluster too many
    0.8
    """
    hits, sizes = _mapped(y_true, y_pred)
    return float(hits.sum() / sizes.sum())


def class_recall(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    r"""Share of each label's samples that are in the cluster mapped to it.

    .. math::

        R_c = \frac{|\{i : y_i = c, m(c_i) = c\}|}{|\{i : y_i = c\}|}

    where :math:`m` is the one-to-one map of :func:`clustering_accuracy`. A label that no cluster is
    mapped to has a recall of zero.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Known labels: any values that can be sorted.
    y_pred : array-like of shape (n_samples,)
        Cluster of each sample.

    Returns
    -------
    recall : ndarray of shape (number of labels,)
        In [0, 1], in the order of the sorted labels.

    Raises
    ------
    ValueError
        If an argument is empty or not one-dimensional, holds NaN, or their lengths differ.
    TypeError
        If labels of one argument are of several kinds, which cannot be sorted.

    Notes
    -----
    Of several maps with the highest accuracy, one with the largest mean recall is taken.

    See Also
    --------
    sklearn.metrics.recall_score : The same where labels are predicted, not clusters.

    References
    ----------
    The map is that of Variational Clustering, eq. 19; the recall of a class is its part in the
    balanced accuracy of K. Brodersen, C. Ong, K. Stephan, J. Buhmann, "The Balanced Accuracy and
    Its Posterior Distribution", ICPR 2010.

    Examples
    --------
    >>> from skdeepcluster.metrics import class_recall
    >>> class_recall([0, 0, 0, 0, 1, 1], [2, 2, 2, 1, 1, 1])
    array([0.75, 1.  ])
    """
    hits, sizes = _mapped(y_true, y_pred)
    return hits / sizes


def balanced_clustering_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean over the labels of :func:`class_recall`: each class counts the same, however rare.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Known labels: any values that can be sorted.
    y_pred : array-like of shape (n_samples,)
        Cluster of each sample.

    Returns
    -------
    accuracy : float
        In (0, 1]; 1 if the clusters are the classes, and for classes of equal size the same as
        :func:`clustering_accuracy`. It is not corrected for chance.

    Raises
    ------
    ValueError
        If an argument is empty or not one-dimensional, holds NaN, or their lengths differ.
    TypeError
        If labels of one argument are of several kinds, which cannot be sorted.

    See Also
    --------
    sklearn.metrics.balanced_accuracy_score : The same where labels are predicted, not clusters.

    References
    ----------
    K. Brodersen, C. Ong, K. Stephan, J. Buhmann, "The Balanced Accuracy and Its Posterior
    Distribution", ICPR 2010.

    Examples
    --------
    Of 90 samples of one class and 10 of another, all in one cluster:

    >>> from skdeepcluster.metrics import balanced_clustering_accuracy, clustering_accuracy
    >>> y = [0] * 90 + [1] * 10
    >>> clustering_accuracy(y, [0] * 100), balanced_clustering_accuracy(y, [0] * 100)
    (0.9, 0.5)
    """
    return float(class_recall(y_true, y_pred).mean())


class _LabelScorer:
    """Score of an estimator's predictions against labels, with an error where there are none.

    scikit-learn's own scorers, called without labels, complain of a missing argument. For
    clustering that is an easy mistake, since everything but the scoring works without labels.
    """

    def __init__(self, name: str, metric: Callable[[ArrayLike, ArrayLike], float]) -> None:
        self.__name__ = name  # scikit-learn's displays write it on an axis
        self._scorer = make_scorer(metric)

    def __call__(self, estimator: Any, X: ArrayLike, y: ArrayLike | None = None) -> float:
        if y is None:
            raise ValueError(
                f"{self.__name__} compares predictions with labels, so it needs them: pass y to "
                "the call that scores, such as GridSearchCV.fit(X, y) or cross_validate("
                "estimator, X, y). The labels only score, the estimators of skdeepcluster do "
                "not learn from them."
            )
        return float(self._scorer(estimator, X, y))

    def __repr__(self) -> str:
        return self.__name__


#: Scorer of :func:`clustering_accuracy`, for ``scoring=`` of scikit-learn's model selection.
acc_scorer = _LabelScorer("acc_scorer", clustering_accuracy)

#: Scorer of :func:`balanced_clustering_accuracy`.
balanced_acc_scorer = _LabelScorer("balanced_acc_scorer", balanced_clustering_accuracy)

#: Scorer of :func:`sklearn.metrics.normalized_mutual_info_score` (arithmetic mean).
nmi_scorer = _LabelScorer("nmi_scorer", normalized_mutual_info_score)

#: Scorer of :func:`sklearn.metrics.adjusted_rand_score`.
ari_scorer = _LabelScorer("ari_scorer", adjusted_rand_score)
