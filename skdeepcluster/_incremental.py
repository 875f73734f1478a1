"""Fitting to data that arrive in pieces, for methods without anything that belongs to a row."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike


class IncrementalMixin:
    """Gives an estimator `partial_fit`: its objective is about batches, whatever rows they have."""

    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Go on with one epoch of X, a piece of the data.

        The first call fits the scaling to its piece, and begins from random weights, without
        several starts: give it a large and typical piece. Further calls go on with weights,
        optimisers and schedules; after `fit` or `load` with weights and scaling.

        It is stochastic gradient descent on the pieces: rows that come again and again are what
        the method is about, and what came long ago is forgotten. The result is not that of `fit` on
        all pieces together, whose epochs mix their rows. Shuffle rows among pieces, and go over all
        pieces several times.

        Parameters
        ----------
        X : array-like, rows as in `fit`
            The first piece must have `n_clusters` rows at least.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The estimator. `labels_` are those of the rows of this piece, `n_iter_` and `history_`
            count all calls.

        Raises
        ------
        ValueError
            If X is not as it must be, or parameters that shape the networks have changed.
        FloatingPointError
            If a term of the objective stops being finite; the message names it.

        Notes
        -----
        `max_epochs`, `checkpoint` and `warm_start` play no role, and nothing is said about
        convergence. A call that raises leaves the estimator as it was. Statistics that batch
        normalisation predicts with are those of the last piece (:class:`~skdeepcluster.DCCS`). The
        mean that networks subtract is that of the first (VariationalGMMClustering).

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(600, centers=3, random_state=0)
        >>> model = VariationalGMMClustering(3, hidden_sizes=(16, 16), random_state=0)
        >>> for _ in range(2):
        ...     for piece in (X[:300], X[300:]):
        ...         model = model.partial_fit(piece)
        >>> model.n_iter_, model.predict(X).shape
        (4, (600,))
        """
        with self._as_it_was_on_error():
            self._fit(X, one_epoch=True)
        return self
