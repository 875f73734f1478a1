"""Training curves: every term of a run, and measures of its clusters beside them."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skdeepcluster.inspection._plotting import (
    COLORS,
    LINES,
    MARKERS,
    figure_and_panels,
    makes_figure,
    require_matplotlib,
)
from skdeepcluster.inspection._text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What a row of a history has beside terms, the counts of `ScoreCurve` included.
_NO_TERMS = ("epoch", "phase", "seconds", "batches", "steps", "scoring_seconds")

#: DCCS's critic estimates this distance, beside which its paper shows the accuracy.
CRITIC = "wasserstein"

#: What starts are compared by: the last row of each has it, and no other row.
START_MEASURES = frozenset({"information", "invariance"})

#: Panels side by side.
COLUMNS = 3

#: A term whose largest value is more than this many times its smallest has a logarithmic axis.
WIDE = 200

#: Of measures: none that the first phases have, and dark enough for an axis to be read in.
MEASURE_COLORS = ("#832db6", "#a96b59", "#717581", "#e76300")

_TITLES = {CRITIC: "critic's estimate", "kl": "KL", "l2": "L2", "w2": "W2"}


class TrainingCurvesDisplay:
    """Terms of the objective by epoch, a panel a term.

    Use :meth:`from_estimator`. Epochs count over all phases; each phase has a line of its own, by
    colour and style, and a dotted line where one follows another. Of sizes of clusters, a band
    shows the smallest, the median and the largest. A term that spans more than a factor of 200 has
    a logarithmic axis.

    Parameters
    ----------
    history : sequence of dict
        `history_` of an estimator of the package.
    metrics : dict of str to (array-like, array-like), default=None
        Measures by name: the epochs, counted over all phases from 1, and the values. They have a
        panel of their own. "ACC", or else the first, is also drawn on the panel of the critic's
        estimate, if there is one, as in Fig. 3 of DCCS [1]_.
    terms : sequence of str, default=None
        Which terms, in which order; None is all.
    title : str, default=None

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels, in the order of `terms_`, that of the measures last.
    terms_ : list of str
        Names of the terms.
    twin_ : matplotlib Axes or None
        The measure's axis on the critic's panel.
    ax_ : matplotlib Axes
        The first panel.
    figure_ : matplotlib Figure

    References
    ----------
    .. [1] J. Zhao, D. Lu, K. Ma, Y. Zhang, Y. Zheng, "Deep Image Clustering with Category-Style
       Representation", ECCV 2020, Fig. 3.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC
    >>> from skdeepcluster.inspection import TrainingCurvesDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 3, "tol": 0}
    >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
    >>> accuracy = {"ACC": ([6, 7, 8], [0.8, 0.9, 0.9])}  # after pre-training's 5 epochs
    >>> display = TrainingCurvesDisplay.from_estimator(model, metrics=accuracy)
    >>> display.terms_
    ['reconstruction', 'loss', 'kl', 'label_change', 'cluster_sizes']
    >>> plt.close()
    """

    def __init__(
        self,
        history: Sequence[dict],
        *,
        metrics: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        terms: Sequence[str] | None = None,
        title: str | None = None,
    ) -> None:
        self.history = history
        self.metrics = metrics
        self.terms = terms
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metrics: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        terms: Sequence[str] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Show how a fitted estimator was trained.

        Parameters
        ----------
        estimator : fitted estimator
            With a `history_`.
        metrics : dict of str to (array-like, array-like), default=None
            Measures by name: the epochs, counted over all phases from 1, and the values.
        terms : sequence of str, default=None
            Which terms, in which order; None is all.
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        TrainingCurvesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If the estimator has no `history_`.
        ValueError
            If there is no such term, the history is empty, or epochs and values of a measure are
            not as many.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> from skdeepcluster.inspection import TrainingCurvesDisplay
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 3, "tol": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> display = TrainingCurvesDisplay.from_estimator(model, terms=["kl", "label_change"])
        >>> [panel.get_title() for panel in display.axes_]
        ['KL', 'label change']
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise TypeError(f"{type(estimator).__name__} has no history_ of its training.")
        title = type(estimator).__name__
        return cls(estimator.history_, metrics=metrics, terms=terms, title=title).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        TrainingCurvesDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As :meth:`from_estimator`.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from skdeepcluster.inspection import TrainingCurvesDisplay
        >>> history = [{"epoch": i, "phase": "clustering", "loss": 1 / i} for i in (1, 2, 3)]
        >>> display = TrainingCurvesDisplay(history).plot()
        >>> display.ax_.get_title()
        'loss'
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        self.terms_ = _chosen(self.history, self.terms)
        measures = _checked(self.metrics)
        count = len(self.terms_) + bool(measures)
        columns = min(COLUMNS, count)
        rows = math.ceil(count / columns)
        size = (3.6 * columns + 0.3, 2.5 * rows + 0.5)
        self.figure_, panels = figure_and_panels(ax, rows, columns, size, sharex=True)
        self.axes_ = panels.ravel()[:count]
        for spare in panels.ravel()[count:]:
            spare.remove()
        phases = list(dict.fromkeys(row.get("phase") for row in self.history))
        for panel, term in zip(self.axes_, self.terms_, strict=False):
            _draw_term(panel, self.history, term, phases)
        self.twin_ = None
        if measures:
            _draw_measures(self.axes_[-1], measures)
            if CRITIC in self.terms_:
                self.twin_ = _draw_twin(self.axes_[self.terms_.index(CRITIC)], measures)
        is_alone = makes_figure(ax)
        _finish(self.axes_, columns, self.history, phases, self.figure_ if is_alone else None)
        if is_alone and self.title:
            self.figure_.suptitle(self.title)
        self.ax_ = self.axes_[0]
        return self


def _chosen(history: Sequence[dict], terms: Sequence[str] | None) -> list[str]:
    """Return the terms to show, those of the whole objective in the order in which they come."""
    known = [name for row in history for name in row if name not in _NO_TERMS]
    known = list(dict.fromkeys(known))
    if not known:
        raise ValueError("the history has no terms: nothing was trained.")
    if terms is None:
        return known
    unknown = [name for name in terms if name not in known]
    if unknown or not len(terms):
        raise ValueError(f"terms must be some of {known}, got {terms!r}.")
    return list(terms)


def _checked(metrics: Mapping | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    measures = {}
    for name, pair in (metrics or {}).items():
        try:
            epochs, values = (np.asarray(part, dtype=float).reshape(-1) for part in pair)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"metrics[{name!r}] must be a pair of epochs and values, got {pair!r}."
            ) from error
        if len(epochs) != len(values):
            raise ValueError(
                f"metrics[{name!r}] has {len(epochs)} epochs, but {len(values)} values."
            )
        measures[name] = epochs, values
    return measures


def _draw_term(panel: "Axes", history: Sequence[dict], term: str, phases: list) -> None:
    everything = []
    for number, phase in enumerate(phases):
        color, line = _style(phases, number)
        for part in _parts(history, term, phase):
            epochs = np.array([row["epoch"] for row in part])
            values = [np.atleast_1d(row[term]).astype(float) for row in part]
            middle = np.array([np.median(v) for v in values])
            single = "." if len(part) == 1 else None
            panel.plot(epochs, middle, line, marker=single, color=color, lw=1.5)
            if max(map(len, values)) > 1:
                low, high = [v.min() for v in values], [v.max() for v in values]
                panel.fill_between(epochs, low, high, color=color, alpha=0.25, lw=0)
            everything.extend(middle)
    low, high = min(everything), max(everything)
    if low > 0 and high > WIDE * low:
        panel.set_yscale("log")
    panel.set_title(_TITLES.get(term, term.replace("_", " ")), fontsize=10)


def _style(phases: list, number: int) -> tuple[str, str]:
    """Colour and line of a phase; the last one, which counts, has the plainest."""
    turn = len(phases) - 1 - number
    return COLORS[turn % len(COLORS)], LINES[turn % len(LINES)]


def _parts(history: Sequence[dict], term: str, phase: Any) -> list[list[dict]]:
    """Split the rows of a phase where its training starts anew."""
    parts, is_over = [], True
    for row in history:
        if row.get("phase") != phase or term not in row:
            continue
        if is_over:
            parts.append([])
        parts[-1].append(row)
        is_over = not START_MEASURES.isdisjoint(row)
    return parts


def _draw_measures(panel: "Axes", measures: dict) -> None:
    for number, (name, (epochs, values)) in enumerate(measures.items()):
        panel.plot(
            epochs,
            values,
            LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)],
            markevery=max(1, len(epochs) // 12),
            label=shorten(name),
            color=MEASURE_COLORS[number % len(MEASURE_COLORS)],
            lw=1.5,
            ms=3.5,
        )
    panel.set_title("measures", fontsize=10)
    panel.legend(fontsize=8, frameon=False)


def _draw_twin(panel: "Axes", measures: dict) -> "Axes":
    name = "ACC" if "ACC" in measures else next(iter(measures))
    epochs, values = measures[name]
    twin = panel.twinx()
    color = MEASURE_COLORS[0]
    every = max(1, len(epochs) // 12)
    twin.plot(epochs, values, "--", marker="o", ms=3.5, markevery=every, color=color, lw=1.2)
    twin.set_ylabel(f"{shorten(name)}, dashed", color=color)
    twin.tick_params(axis="y", colors=color)
    return twin


def _finish(panels, columns: int, history: Sequence[dict], phases: list, figure) -> None:
    """Mark where phases change, and say once what the lines and axes are."""
    from matplotlib.lines import Line2D

    changes = [
        row["epoch"] - 0.5
        for before, row in pairwise(history)
        if row.get("phase") != before.get("phase")
    ]
    alternating = len(changes) >= 2 * len(phases)
    for number, panel in enumerate(panels):
        for change in () if alternating else changes:
            panel.axvline(change, color="0.6", ls=":", lw=0.9, zorder=0)
        panel.spines[["top", "right"]].set_visible(False)
        if number + columns >= len(panels):
            panel.set_xlabel("epoch")
            panel.tick_params(labelbottom=True)
    if len(phases) < 2:
        return
    styles = [_style(phases, number) for number in range(len(phases))]
    handles = [
        Line2D([], [], color=color, ls=line, label=shorten(phase))
        for (color, line), phase in zip(styles, phases, strict=True)
    ]
    place = {"fontsize": 8, "frameon": False, "title_fontsize": 8}
    if figure is None:
        panels[0].legend(handles=handles, **place)
    else:
        figure.legend(handles=handles, loc="outside upper right", ncols=len(phases), **place)
