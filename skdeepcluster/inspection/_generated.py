"""What a generative clustering makes: samples of clusters, and ways from one to another."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skdeepcluster._validation import check_choice, check_integer
from skdeepcluster.inspection._gallery import SIDE, draw_rows
from skdeepcluster.inspection._images import images_of, pixel_limits
from skdeepcluster.inspection._plotting import (
    figure_and_axes,
    require_matplotlib,
    tick_size,
)
from skdeepcluster.inspection._text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPACES = ("both", "z", "k")

#: Pairs of clusters that are shown if none are named.
PAIRS = 5

#: What tells a method that generates by cluster from others of its name.
_ARGUMENT = {"sample": "cluster", "interpolate": "space"}


class SamplesDisplay:
    """Rows drawn from each cluster of a generative estimator.

    Use :meth:`from_estimator`. Images are shown as such, a row a cluster, as in Fig. 6 of
    Variational Clustering [1]_; features as a table of colours: a line a sample, a column a
    feature, in standard deviations from the mean of what is shown.

    Parameters
    ----------
    rows : ndarray of shape (K, m, H, W, 3), uint8, or (K, m, d)
        Samples of each cluster: images or features.
    clusters : sequence of length K
        Names of the clusters.
    feature_names : sequence of str of length d, default=None
    title : str, default=None

    Attributes
    ----------
    im_ : matplotlib AxesImage
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    References
    ----------
    .. [1] V. Prasad, D. Das, B. Bhowmick, "Variational Clustering: Leveraging Variational
       Autoencoders for Image Clustering", IJCNN 2020, Fig. 6.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import VariationalGMMClustering
    >>> from skdeepcluster.inspection import SamplesDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
    >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
    >>> display = SamplesDisplay.from_estimator(model, n_samples=4)
    >>> display.rows.shape
    (3, 4, 2)
    >>> plt.close()
    """

    def __init__(
        self,
        rows: np.ndarray,
        clusters: Sequence,
        *,
        feature_names: Sequence[str] | None = None,
        title: str | None = None,
    ) -> None:
        self.rows = rows
        self.clusters = clusters
        self.feature_names = feature_names
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_samples: int = 10,
        clusters: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw from the clusters of a fitted estimator.

        Parameters
        ----------
        estimator : fitted VariationalGMMClustering
            Or another with ``sample(n_samples, cluster=...)`` and `n_clusters`.
        n_samples : int, default=10
            Samples of each cluster.
        clusters : array-like of int, default=None
            Which clusters, in which order; None is all.
        image_shape : tuple of int, default=None
            How a row of shape (d,) unfolds, if the estimator does not know it.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SamplesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If the estimator does not generate.
        ValueError
            If there is no such cluster, or `n_samples` is not positive.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> from skdeepcluster.inspection import SamplesDisplay
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> display = SamplesDisplay.from_estimator(model, n_samples=4, clusters=[0, 2])
        >>> display.rows.shape
        (2, 4, 2)
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        _check_generates(estimator, "sample")
        check_integer("n_samples", n_samples, minimum=1)
        chosen = np.arange(estimator.n_clusters) if clusters is None else np.ravel(clusters)
        rows = [estimator.sample(n_samples, cluster=k)[0] for k in chosen.tolist()]
        return cls(
            _shown(np.stack(rows), image_shape, estimator),
            chosen,
            feature_names=getattr(estimator, "feature_names_in_", None),
            title=f"{type(estimator).__name__}: samples",
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SamplesDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import SamplesDisplay
        >>> display = SamplesDisplay(np.eye(6).reshape(2, 3, 6), ["a", "b"]).plot()
        >>> display.ax_.get_xlabel()
        'feature'
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        names = [shorten(name) for name in self.clusters]
        drawn = _draw(ax, self.rows, names, self.feature_names)
        self.figure_, self.ax_, self.im_ = drawn
        self.ax_.set_title(self.title or "")
        return self


class InterpolationDisplay:
    """Ways from one cluster to another, in the latent space and between the components.

    Use :meth:`from_estimator`. A row starts at one cluster and ends at another, as in Fig. 7 of
    Variational Clustering [1]_: "z" goes straight from mean to mean of the priors (Fig. 7a), "k"
    mixes the components that the prior's network takes (Fig. 7b). Features are shown as by
    :class:`SamplesDisplay`.

    Parameters
    ----------
    rows : ndarray of shape (ways, steps, H, W, 3), uint8, or (ways, steps, d)
    names : sequence of str of length ways
    feature_names : sequence of str of length d, default=None
    title : str, default=None

    Attributes
    ----------
    im_ : matplotlib AxesImage
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    References
    ----------
    .. [1] V. Prasad, D. Das, B. Bhowmick, "Variational Clustering: Leveraging Variational
       Autoencoders for Image Clustering", IJCNN 2020, Fig. 7.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import VariationalGMMClustering
    >>> from skdeepcluster.inspection import InterpolationDisplay
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
    >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
    >>> display = InterpolationDisplay.from_estimator(model, pairs=[(0, 2)], steps=6)
    >>> display.names, display.rows.shape
    (['0 to 2, z', '0 to 2, k'], (2, 6, 2))
    >>> plt.close()
    """

    def __init__(
        self,
        rows: np.ndarray,
        names: Sequence[str],
        *,
        feature_names: Sequence[str] | None = None,
        title: str | None = None,
    ) -> None:
        self.rows = rows
        self.names = names
        self.feature_names = feature_names
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        pairs: Sequence[tuple[int, int]] | None = None,
        space: str = "both",
        steps: int = 10,
        image_shape: tuple[int, ...] | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Go between clusters of a fitted estimator.

        Parameters
        ----------
        estimator : fitted VariationalGMMClustering
            Or another with ``interpolate(a, b, space=..., steps=...)`` and `n_clusters`.
        pairs : sequence of (int, int), default=None
            Where to start and where to end. None is from 0 to 1, from 1 to 2 and so on, five at
            most.
        space : "both", "z" or "k", default="both"
        steps : int, default=10
            Rows of each way, ends included.
        image_shape : tuple of int, default=None
            How a row of shape (d,) unfolds, if the estimator does not know it.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        InterpolationDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If the estimator does not interpolate.
        ValueError
            If there is no such cluster, or no pair.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> from skdeepcluster.inspection import InterpolationDisplay
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> InterpolationDisplay.from_estimator(model, space="z", steps=4).names
        ['0 to 1, z', '1 to 2, z']
        >>> plt.close()
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        _check_generates(estimator, "interpolate")
        check_choice("space", space, SPACES)
        check_integer("steps", steps, minimum=2)
        if pairs is None:
            count = min(PAIRS, estimator.n_clusters - 1)
            pairs = [(k, k + 1) for k in range(count)] or [(0, 0)]
        pairs = [tuple(pair) for pair in pairs]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"pairs must be pairs of clusters, one at least, got {pairs!r}.")
        spaces = ("z", "k") if space == "both" else (space,)
        ways = [(a, b, s) for a, b in pairs for s in spaces]
        rows = [estimator.interpolate(a, b, space=s, steps=steps) for a, b, s in ways]
        return cls(
            _shown(np.stack(rows), image_shape, estimator),
            [f"{a} to {b}, {s}" for a, b, s in ways],
            feature_names=getattr(estimator, "feature_names_in_", None),
            title=f"{type(estimator).__name__}: interpolations",
        ).plot(ax=ax)

    def plot(self, *, ax: "Axes | None" = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        InterpolationDisplay
            Itself.

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skdeepcluster.inspection import InterpolationDisplay
        >>> display = InterpolationDisplay(np.eye(6).reshape(2, 3, 6), ["there", "back"]).plot()
        >>> display.ax_.get_xlabel()
        'feature'
        >>> plt.close()
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        drawn = _draw(ax, self.rows, [shorten(n, 24) for n in self.names], self.feature_names)
        self.figure_, self.ax_, self.im_ = drawn
        self.ax_.set_title(self.title or "")
        return self


def generates(estimator: Any, method: str) -> bool:
    """Whether an estimator has clusters by number, and its `method` makes rows of them.

    A mixture of scikit-learn's has a `sample`, too, which draws from all components.
    """
    function = getattr(estimator, method, None)
    if function is None or not hasattr(estimator, "n_clusters"):
        return False
    return _ARGUMENT[method] in inspect.signature(function).parameters


def _check_generates(estimator: Any, method: str) -> None:
    check_is_fitted(estimator)
    if not generates(estimator, method):
        raise TypeError(
            f"{type(estimator).__name__} has no n_clusters and {method}(..., "
            f"{_ARGUMENT[method]}=...): VariationalGMMClustering does."
        )


def _shown(rows: np.ndarray, image_shape: tuple | None, estimator: Any) -> np.ndarray:
    """Return rows (K, m, ...) as images (K, m, H, W, 3) where they are, else as (K, m, d)."""
    flat = rows.reshape(-1, *rows.shape[2:])
    images = images_of(flat, image_shape, estimator, pixel_limits(estimator))
    if images is None:
        return flat.reshape(*rows.shape[:2], -1)
    pixels = images.take(np.arange(len(flat)), SIDE)
    return pixels.reshape(*rows.shape[:2], *pixels.shape[1:])


def _draw(ax: "Axes | None", rows: np.ndarray, names: list, feature_names) -> tuple:
    """Draw images, or features as a table of colours; return figure, axes and image."""
    rows = np.asarray(rows)
    if rows.ndim == 5:
        return draw_rows(ax, list(rows), names)[:3]
    n_groups, per_group, n_features = rows.shape
    table = rows.reshape(-1, n_features).astype(np.float64)
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)
    height = float(np.clip(0.09 * len(table), 2.5, 12))
    width = float(np.clip(0.35 * n_features + 2.2, 4, 11))
    figure, ax = figure_and_axes(ax, (width, height))
    limit = min(3.0, max(1.0, float(np.abs(table).max())))
    style = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}
    image = ax.imshow(table, aspect="auto", interpolation="nearest", **style)
    for line in range(1, n_groups):
        ax.axhline(line * per_group - 0.5, color="black", lw=0.8)
    middles = np.arange(n_groups) * per_group + (per_group - 1) / 2
    ax.set_yticks(middles, names, fontsize=tick_size(n_groups, height))
    if feature_names is not None and n_features <= 40:
        ax.set_xticks(range(n_features), [shorten(n) for n in feature_names], rotation=90)
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("feature")
    figure.colorbar(image, ax=ax, label="standard deviations from the mean")
    return figure, ax, image
