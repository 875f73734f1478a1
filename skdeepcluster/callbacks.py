"""Callbacks that look on while an estimator is fitted, for its parameter `callbacks`."""

import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.utils import column_or_1d
from skorch.callbacks import Callback

from skdeepcluster._validation import check_integer
from skdeepcluster.metrics import clustering_accuracy

__all__ = ["ScoreCurve"]


class ScoreCurve(Callback):
    """Record ACC, NMI and ARI by epoch, for labels that the training never sees.

    After an epoch of the clustering, all rows are assigned to clusters as `predict` would do it
    with the weights as they then are, and compared with the labels. What comes out is written to
    the epoch's row in `history_`, and nothing else: the run and its labels are those of a run
    without the callback, and one that is resumed from a checkpoint keeps what was recorded before.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Known labels of the rows that `fit` gets, in their order.
    every : int, default=1
        Epochs of the clustering between two scores. The last epoch of the schedule is always
        scored; one at which training ends early may not be.

    Raises
    ------
    TypeError, ValueError
        From `fit`: if `every` is not an integer above 0, or `y_true` not a label for each row.

    Notes
    -----
    The rows of `history_` get ``acc``, ``nmi`` and ``ari``, ``steps``, the number of steps of the
    clustering so far, and ``scoring_seconds``, which are not in ``seconds``: accuracy against time
    is ``acc`` against the sum of ``seconds`` so far. They do not count for `max_time` either: a run
    that it bounds trains as long as without the callback, and takes longer by them.

    Epochs of a pre-training, or of `MMDC`'s auxiliary task, have no scores. Nor has `MMDC` with
    ``targets="uniform"``, whose clusters are only found in the end. `DCCS` sets the statistics of
    its batch normalisation when training has ended, so that its `labels_` may score otherwise than
    its last epoch.

    References
    ----------
    Deep Image Clustering with Category-Style Representation, Fig. 3, has the accuracy beside the
    critic's estimate, which is ``wasserstein`` in the rows of `DCCS`.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC
    >>> from skdeepcluster.callbacks import ScoreCurve
    >>> X, y = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 2, "tol": 0}
    >>> model = StatDEC(n_clusters=3, callbacks=[ScoreCurve(y)], random_state=0, **quick).fit(X)
    >>> curve = [row for row in model.history_ if "acc" in row]
    >>> len(curve), curve[-1]["steps"], 0 <= curve[-1]["acc"] <= 1
    (2, 16, True)
    """

    def __init__(self, y_true: ArrayLike, every: int = 1) -> None:
        self.y_true = y_true
        self.every = every

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Check the labels against the rows."""
        check_integer("every", self.every, minimum=1)
        self.target_ = column_or_1d(np.asarray(self.y_true))
        if len(self.target_) != len(X):
            raise ValueError(
                f"y_true must have a label for each of the {len(X)} rows, got {len(self.target_)}."
            )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the rows and write it down, if the epoch is one of those."""
        if not net.has_clusters_ or not self.is_due(net):
            return
        started = time.monotonic()
        labels = net.map_rows(net.source_, lambda x: net.assign(x).argmax(dim=1)).cpu().numpy()
        scores = {
            "acc": clustering_accuracy(self.target_, labels),
            "nmi": float(normalized_mutual_info_score(self.target_, labels)),
            "ari": float(adjusted_rand_score(self.target_, labels)),
            "steps": net.step_count_,
        }
        for name, value in scores.items():
            net.history.record(name, value)
        seconds = time.monotonic() - started
        net.history.record("scoring_seconds", seconds)
        net.deadline_ += seconds  # max_time bounds the training

    def is_due(self, net: Any) -> bool:
        """Whether the epoch that ends is to be scored.

        Parameters
        ----------
        net : skorch net
            The one that trains.

        Returns
        -------
        bool

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> from skdeepcluster.callbacks import ScoreCurve
        >>> phase = SimpleNamespace(max_epochs=10)
        >>> net = SimpleNamespace(phase_=phase, phase_epoch_=4, task_epoch_=4)  # the fifth ends
        >>> ScoreCurve([0, 1], every=2).is_due(net), ScoreCurve([0, 1], every=5).is_due(net)
        (False, True)
        """
        last = net.phase_epoch_ + 1 >= net.phase_.max_epochs
        return last or (net.task_epoch_ + 1) % self.every == 0
