"""Imbalanced samples of labelled data, with class sizes that are exactly those of a formula."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.random import RandomState
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, check_random_state

from skdeepcluster._validation import check_labels, check_real


def make_long_tailed(
    X: Any, y: ArrayLike, ratio: float = 100.0, *, random_state: int | RandomState | None = None
) -> tuple[Any, np.ndarray]:
    r"""Sample classes whose sizes fall exponentially, from the first label to the last.

    .. math:: n_k = n_\mathrm{max} \, \rho^{-k / (K - 1)}, \quad k = 0, \dots, K - 1

    rounded to the nearest integer, but one at least, where :math:`n_\mathrm{max}` is the size of
    the smallest class, so that no class has too few rows for it.

    Parameters
    ----------
    X : array, list, DataFrame or sparse matrix of n rows
        Data of any number of dimensions.
    y : array-like of shape (n,)
        Labels; class k is the k-th of them in sorted order.
    ratio : float, default=100.0
        Size :math:`\rho` of the largest class over that of the smallest, 1 at least.
    random_state : int, RandomState or None, default=None
        Draws the rows that stay.

    Returns
    -------
    X : of the type of X (an array of a list or memory map), of shape (m, ...)
        The rows that stay, in the order that they had.
    y : ndarray of shape (m,)
        Their labels.

    Raises
    ------
    ValueError
        If `ratio` is below 1, there is one class only, or the lengths of X and y differ.
    TypeError
        If X is None, or the labels cannot be sorted.

    References
    ----------
    K. Cao, C. Wei, A. Gaidon, N. Arechiga, T. Ma, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss", NeurIPS 2019, section 4; StatDEC, Table I.

    Examples
    --------
    >>> import numpy as np
    >>> from skdeepcluster.datasets import make_long_tailed
    >>> X, y = make_long_tailed(np.zeros((300, 28, 28)), np.repeat([0, 1, 2], 100), random_state=0)
    >>> np.bincount(y)
    array([100,  10,   1])
    """
    check_real("ratio", ratio, minimum=1.0)

    def size(k: int, sizes: np.ndarray) -> float:
        return sizes.min() * float(ratio) ** (-k / (len(sizes) - 1))

    return _sample(X, y, size, random_state)


def make_step_imbalanced(
    X: Any, y: ArrayLike, ratio: float = 100.0, *, random_state: int | RandomState | None = None
) -> tuple[Any, np.ndarray]:
    r"""Sample large classes for the first half of the labels and small ones for the second.

    .. math::

        n_k = n_\mathrm{max} \text{ for } k < K / 2, \quad n_\mathrm{max} / \rho \text{ otherwise}

    rounded to the nearest integer, but one at least, where :math:`n_\mathrm{max}` is the size of
    the smallest class.

    Parameters
    ----------
    X : array, list, DataFrame or sparse matrix of n rows
        Data of any number of dimensions.
    y : array-like of shape (n,)
        Labels; class k is the k-th of them in sorted order.
    ratio : float, default=100.0
        Size :math:`\rho` of a large class over that of a small one, 1 at least.
    random_state : int, RandomState or None, default=None
        Draws the rows that stay.

    Returns
    -------
    X : of the type of X (an array of a list or memory map), of shape (m, ...)
        The rows that stay, in the order that they had.
    y : ndarray of shape (m,)
        Their labels.

    Raises
    ------
    ValueError
        If `ratio` is below 1, there is one class only, or the lengths of X and y differ.
    TypeError
        If X is None, or the labels cannot be sorted.

    References
    ----------
    Cao et al. (2019), section 4; StatDEC, Table I.

    Examples
    --------
    >>> import numpy as np
    >>> from skdeepcluster.datasets import make_step_imbalanced
    >>> X, y = make_step_imbalanced(np.zeros((400, 5)), np.repeat(range(4), 100), random_state=0)
    >>> np.bincount(y)
    array([100, 100,   1,   1])
    """
    check_real("ratio", ratio, minimum=1.0)

    def size(k: int, sizes: np.ndarray) -> float:
        return sizes.min() if k < len(sizes) / 2 else sizes.min() / ratio

    return _sample(X, y, size, random_state)


def make_retention_imbalanced(
    X: Any, y: ArrayLike, r_min: float = 0.1, *, random_state: int | RandomState | None = None
) -> tuple[Any, np.ndarray]:
    r"""Keep a share of each class that rises linearly, from `r_min` of the first label to all.

    .. math:: n_k = N_k \left( r_\mathrm{min} + (1 - r_\mathrm{min}) \frac{k}{K - 1} \right)

    rounded to the nearest integer, but one at least, where :math:`N_k` is the size that class k
    has. (In DEC each row stays with that probability; here the expected number of them stays.)

    Parameters
    ----------
    X : array, list, DataFrame or sparse matrix of n rows
        Data of any number of dimensions.
    y : array-like of shape (n,)
        Labels; class k is the k-th of them in sorted order.
    r_min : float, default=0.1
        Share :math:`r_\mathrm{min}` of the first class that is kept, in (0, 1].
    random_state : int, RandomState or None, default=None
        Draws the rows that stay.

    Returns
    -------
    X : of the type of X (an array of a list or memory map), of shape (m, ...)
        The rows that stay, in the order that they had.
    y : ndarray of shape (m,)
        Their labels.

    Raises
    ------
    ValueError
        If `r_min` is not in (0, 1], there is one class only, or the lengths of X and y differ.
    TypeError
        If X is None, or the labels cannot be sorted.

    References
    ----------
    J. Xie, R. Girshick, A. Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML
    2016, section 5.3; Variational Clustering, Table IV.

    Examples
    --------
    >>> import numpy as np
    >>> from skdeepcluster.datasets import make_retention_imbalanced
    >>> X, y = make_retention_imbalanced(np.zeros((300, 5)), np.repeat([0, 1, 2], 100), r_min=0.2)
    >>> np.bincount(y)
    array([ 20,  60, 100])
    """
    check_real("r_min", r_min, maximum=1.0, exclusive=True)

    def size(k: int, sizes: np.ndarray) -> float:
        return sizes[k] * (r_min + (1 - r_min) * k / (len(sizes) - 1))

    return _sample(X, y, size, random_state)


def _sample(
    X: Any, y: ArrayLike, size: Callable[[int, np.ndarray], float], random_state: Any
) -> tuple[Any, np.ndarray]:
    """Keep ``size(k, sizes)`` rows of class k, where `sizes` are those that the classes have."""
    if X is None:
        raise TypeError("X must be rows of data, got None.")
    y = check_labels("y", y)
    check_consistent_length(X, y)
    classes, class_of, sizes = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"y must have two classes at least, got only {classes.tolist()[0]!r}.")
    random = check_random_state(random_state)
    kept = []
    for k in range(len(classes)):
        # A share of a float may be a hair below the half that it stands for: rounded before.
        n = max(1, int(np.floor(round(size(k, sizes), 9) + 0.5)))
        kept.append(random.permutation(np.flatnonzero(class_of == k))[:n])
    index = np.sort(np.concatenate(kept))
    if scipy.sparse.issparse(X) and X.format in ("coo", "dia", "bsr"):
        return X.tocsr()[index].asformat(X.format), y[index]  # they give no rows
    rows = getattr(X, "iloc", X if hasattr(X, "shape") else np.asarray(X))
    return rows[index], y[index]
