"""Which cluster each row is in, and how surely."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from skdeepcluster._validation import check_choice, check_labels

ORDERS = ("most", "least")


@dataclass(frozen=True)
class Assignments:
    """Clusters of rows.

    Attributes
    ----------
    clusters : ndarray of shape (K,)
        Names of the clusters.
    labels : ndarray of shape (n,), int
        For each row the position of its cluster in `clusters`.
    confidence : ndarray of shape (n,) or None
        Probability of each row's cluster, where it is known.
    """

    clusters: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray | None

    @classmethod
    def of(cls, estimator: Any, X: ArrayLike) -> Self:
        """Ask a fitted estimator; clusters that no row is in count, too, if it has probabilities.

        Raises
        ------
        TypeError
            If it cannot predict.
        NotFittedError
            If it is not fitted.
        """
        check_is_fitted(estimator)
        if hasattr(estimator, "predict_proba"):
            return cls.from_proba(estimator.predict_proba(X))
        if not hasattr(estimator, "predict"):
            raise TypeError(
                f"expected an estimator with predict or predict_proba, got {estimator!r}: use "
                "from_predictions with its labels_."
            )
        return cls.given(estimator.predict(X))

    @classmethod
    def from_proba(cls, proba: np.ndarray) -> Self:
        """Take soft assignments (n, K)."""
        return cls(np.arange(proba.shape[1]), proba.argmax(axis=1), proba.max(axis=1))

    @classmethod
    def given(cls, labels: ArrayLike, confidence: ArrayLike | None = None) -> Self:
        """Take labels (n,) of any values that can be sorted, and confidences (n,).

        Raises
        ------
        ValueError
            If they are not one-dimensional or of different length, empty, or hold NaN.
        TypeError
            If labels are of several kinds, which cannot be sorted.
        """
        labels = check_labels("labels", labels)
        if confidence is not None:
            if np.ndim(confidence) != 1:
                raise ValueError(
                    "confidence must be one-dimensional, the probability of each row's cluster "
                    f"(predict_proba(X).max(axis=1)), got shape {np.shape(confidence)}."
                )
            confidence = check_array(
                confidence, ensure_2d=False, dtype=np.float64, input_name="confidence"
            )
            check_consistent_length(labels, confidence)
        clusters, positions = np.unique(labels, return_inverse=True)
        return cls(clusters, positions, confidence)

    @property
    def sizes(self) -> np.ndarray:
        """How many rows each cluster has, (K,)."""
        return np.bincount(self.labels, minlength=len(self.clusters))

    def members(self, order: str = "most") -> list[np.ndarray]:
        """Return the rows of each cluster: the most or the least confident first.

        Without confidences, and where they are equal, rows stay in their order.
        """
        check_choice("order", order, ORDERS)
        if self.confidence is None:
            rows = np.argsort(self.labels, kind="stable")
        else:
            sign = -1 if order == "most" else 1
            rows = np.lexsort((sign * self.confidence, self.labels))
        return np.split(rows, np.cumsum(self.sizes)[:-1])

    def select(self, clusters: ArrayLike | None) -> np.ndarray:
        """Return the positions of the clusters of these names; None is all.

        Raises
        ------
        ValueError
            If there is no such cluster.
        """
        if clusters is None:
            return np.arange(len(self.clusters))
        position = {name: i for i, name in enumerate(self.clusters.tolist())}
        wanted = np.asarray(clusters).reshape(-1).tolist()
        missing = [name for name in wanted if name not in position]
        if missing or not wanted:
            raise ValueError(
                f"clusters must be some of {list(position)[:10]}{'...' * (len(position) > 10)}, "
                f"got {clusters!r}."
            )
        return np.array([position[name] for name in wanted])
