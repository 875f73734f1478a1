"""A clustering as one HTML file that a person opens and pages through."""

import inspect
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.utils.validation import check_array, check_is_fitted

from skdeepcluster._files import write_whole
from skdeepcluster._layout import flatten_rows
from skdeepcluster._validation import check_integer, check_real
from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._charts import charts, mean_differences
from skdeepcluster.inspection._images import images_of
from skdeepcluster.inspection._page import page
from skdeepcluster.inspection._sheets import encode
from skdeepcluster.inspection._text import printable
from skdeepcluster.metrics import clustering_accuracy

PACKAGES = ("skdeepcluster", "scikit-learn", "torch", "skorch", "numpy", "scipy", "Pillow")

#: Characters of a parameter's value that are shown.
LONGEST_VALUE = 300

#: What images have at least, in bytes, however long the names are.
LEAST_BUDGET = 50_000


def report(
    estimator: Any,
    X: ArrayLike,
    path: str | Path,
    *,
    y: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    image_shape: tuple[int, ...] | None = None,
    metrics: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    title: str | None = None,
    max_images: int = 10_000,
    max_megabytes: float = 5.0,
) -> Path:
    """Write a clustering as one HTML file, to be opened in a browser and paged through.

    It has the clusters, by size or confidence, with their images, of which a click enlarges one; of
    features a table of rows, and which means set a cluster apart; the displays of
    :mod:`skdeepcluster.inspection`, if matplotlib is installed; parameters and versions. It is
    light or dark as the browser is, or as its button says.

    The file needs nothing else: no network, no server. Names and labels are shown as text, whatever
    they hold, and no script but the report's own can run in it.

    Parameters
    ----------
    estimator : fitted estimator
        Any that predicts, a pipeline or a search included.
    X : array-like of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
        Rows as in `fit`.
    path : str or path
        The file to write, whole or not at all.
    y : array-like of shape (n,), default=None
        Labels, where they are known: they are shown beside the rows, and compared with.
    names : sequence of str of length n, default=None
        Names of the rows, such as `filenames` of
        :func:`~skdeepcluster.datasets.load_image_folder`.
    image_shape : tuple of int, default=None
        ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``, how a row of shape (d,) unfolds. None is as the
        estimator knows it.
    metrics : dict of str to (array-like, array-like), default=None
        Measures by epoch, as for :class:`TrainingCurvesDisplay`.
    title : str, default=None
    max_images : int, default=10000
        Rows in the file at most. If X has more, the most and the least confident of each cluster
        are taken, as many of each as it takes; sizes and charts are of all rows.
    max_megabytes : float, default=5.0
        Size of the file in 10^6 bytes: images are made smaller, and encoded with more loss, until
        they fit. Only where even images of 16 pixels are too large, or the names alone, it is
        exceeded.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X, `y` or `names` do not fit together, or a parameter is not as it must be.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import load_digits
    >>> from skdeepcluster.inspection import report
    >>> images = load_digits().data[:200]
    >>> model = KMeans(10, n_init=1, random_state=0).fit(images)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = report(model, images, f"{folder}/report.html", image_shape=(8, 8))
    ...     file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    True
    """
    path = Path(path)
    names = None if names is None else list(names)  # a Series is indexed by label
    check_integer("max_images", max_images, minimum=1)
    check_real("max_megabytes", max_megabytes, exclusive=True)
    check_is_fitted(estimator)
    write_whole(path, [], keep=False)  # before the work, not after it

    proba = estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else None
    found = Assignments.of(estimator, X) if proba is None else Assignments.from_proba(proba)
    n = len(found.labels)
    true = None if y is None else Assignments.given(y)
    for name, array in (("y", None if true is None else true.labels), ("names", names)):
        if array is not None and len(array) != n:
            raise ValueError(f"{name} must have {n} entries, one a row of X, got {len(array)}.")
    images = images_of(X, image_shape, estimator)
    pictures, notes = charts(estimator, X, found, y, metrics, image_shape)

    chosen = _choose(found, max_images)
    data = _data(found, chosen, true, names, proba)
    if images is None:
        rows = check_array(flatten_rows(X)[0])
        features = mean_differences(rows, found, _feature_names(X, estimator, rows.shape[1]))
        for cluster, differing in zip(data["clusters"], features, strict=True):
            cluster["features"] = [(printable(f), round(score, 2)) for f, score in differing]
    kind = "rows" if images is None else "images"
    title = title or f"{type(estimator).__name__}: {len(found.clusters)} clusters of {n:,} {kind}"

    def write(data: dict) -> bytes:
        about = (_parameters(estimator), _versions())
        text = page(title, _summary(estimator, X, found, y), data, pictures, notes, *about)
        return text.encode()

    if images is not None:
        data["images"] = None
        budget = 1e6 * max_megabytes - len(write(data)) - 1000
        data["images"] = encode(images, np.concatenate(chosen), max(budget, LEAST_BUDGET))
    write_whole(path, [write(data)])
    return path


def _choose(found: Assignments, max_images: int) -> list[np.ndarray]:
    """Choose rows of each cluster, the most confident first: all, or the ends."""
    chosen = []
    for rows, count in zip(found.members("most"), _shares(found.sizes, max_images), strict=True):
        if len(rows) > count:
            first = (count + 1) // 2
            rows = np.concatenate([rows[:first], rows[len(rows) - (count - first) :]])
        chosen.append(rows)
    return chosen


def _shares(sizes: np.ndarray, total: int) -> list[int]:
    """Share out `total` rows: small clusters whole, others alike, the largest get what is over."""
    shares = [0] * len(sizes)
    for i, k in enumerate(np.argsort(sizes, kind="stable")):
        shares[k] = min(int(sizes[k]), total // (len(sizes) - i))
        total -= shares[k]
    return shares


def _data(
    found: Assignments,
    chosen: list[np.ndarray],
    true: Assignments | None,
    names: Sequence[str] | None,
    proba: np.ndarray | None,
) -> dict[str, Any]:
    """Collect what the page's script shows, but for images."""
    order = np.concatenate(chosen)
    clusters, start = [], 0
    for k, members in enumerate(found.members("most")):
        confidence, labels = None, []
        if found.confidence is not None and len(members):
            confidence = round(float(found.confidence[members].mean()), 4)
        if true is not None:
            counts = np.bincount(true.labels[members], minlength=len(true.clusters))
            best = np.argsort(-counts, kind="stable")[:3]
            labels = [(int(i), int(counts[i])) for i in best if counts[i]]
        clusters.append(
            {
                "number": k,
                "name": printable(found.clusters[k]),
                "size": len(members),
                "start": start,
                "shown": len(chosen[k]),
                "confidence": confidence,
                "labels": labels,
                "features": [],
            }
        )
        start += len(chosen[k])
    rows: dict[str, Any] = {"index": order.tolist()}
    rows["names"] = None if names is None else [printable(names[i]) for i in order]
    rows["labels"] = None if true is None else true.labels[order].tolist()
    rows["confidence"] = None
    if found.confidence is not None:
        rows["confidence"] = np.rint(1000 * found.confidence[order]).astype(int).tolist()
    rows["next"] = None
    if proba is not None and proba.shape[1] > 1:
        others = proba[order].copy()
        others[np.arange(len(order)), found.labels[order]] = -1
        share = np.rint(1000 * others.max(axis=1)).astype(int)
        rows["next"] = list(zip(others.argmax(axis=1).tolist(), share.tolist(), strict=True))
    confident = found.confidence is not None
    return {
        "clusters": clusters,
        "rows": rows,
        "labels": None if true is None else [printable(name) for name in true.clusters],
        "total": len(found.labels),
        "choice": "the most and the least confident" if confident else "the first and the last",
        "images": None,
    }


def _summary(estimator: Any, X: ArrayLike, found: Assignments, y: ArrayLike | None) -> list[str]:
    shape = " × ".join(map(str, np.shape(X)[1:]))
    dtype = getattr(X, "dtype", None)
    lines = [f"{len(found.labels):,} rows of {shape}" + (f", {dtype}" if dtype is not None else "")]
    empty = int((found.sizes == 0).sum())
    lines[0] += f"; {len(found.clusters)} clusters" + (f", {empty} of them empty" if empty else "")
    if y is not None:
        y, labels = np.asarray(y), found.labels
        lines.append(
            f"ACC {clustering_accuracy(y, labels):.3f}, "
            f"NMI {normalized_mutual_info_score(y, labels):.3f}, "
            f"ARI {adjusted_rand_score(y, labels):.3f} against the labels"
        )
    history = getattr(estimator, "history_", None)
    if history:
        seconds = sum(row.get("seconds", 0.0) for row in history)
        lines.append(f"Trained for {len(history)} epochs, {seconds:,.1f} seconds")
    lines.append(f"Written on {time.strftime('%Y-%m-%d', time.gmtime())}")
    return lines


def _parameters(estimator: Any) -> list[tuple[str, str, bool]]:
    """Return names and values, and whether these are others than the defaults."""
    signature = inspect.signature(type(estimator).__init__).parameters
    result = []
    for name, value in estimator.get_params(deep=False).items():
        default = signature[name].default if name in signature else inspect.Parameter.empty
        text = _written(value)
        # Of an array, == is no truth value.
        result.append((name, text, text != _written(default)))
    return result


def _written(value: Any) -> str:
    if inspect.isfunction(value) or inspect.isclass(value):  # else its address in memory
        return f"{value.__module__}.{value.__qualname__}"
    text = os.fspath(value) if isinstance(value, Path) else repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for name in (*PACKAGES, "matplotlib"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # not installed, or run from a clone
            continue
    return found


def _feature_names(X: Any, estimator: Any, count: int) -> list[str]:
    known = getattr(X, "columns", None)
    known = getattr(estimator, "feature_names_in_", None) if known is None else known
    if known is not None and len(known) == count:
        return [str(name) for name in known]
    return [f"feature {i}" for i in range(count)]
