"""The report's pictures: the displays, as images of a page."""

import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from skdeepcluster.inspection._assignments import Assignments
from skdeepcluster.inspection._curves import CRITIC, TrainingCurvesDisplay
from skdeepcluster.inspection._embedding import EmbeddingDisplay
from skdeepcluster.inspection._generated import InterpolationDisplay, SamplesDisplay, generates
from skdeepcluster.inspection._matrix import ClusterLabelDisplay
from skdeepcluster.inspection._page import Chart
from skdeepcluster.inspection._plotting import require_matplotlib
from skdeepcluster.inspection._sheets import as_uri
from skdeepcluster.inspection._sizes import ClusterSizesDisplay

#: Dots per inch: sharp on screens that show two for one, at the size that pages have room for.
RESOLUTION = 110


def charts(
    estimator: Any,
    X: ArrayLike,
    found: Assignments,
    y: ArrayLike | None,
    metrics: Mapping | None,
    image_shape: tuple[int, ...] | None,
) -> tuple[list[Chart], list[str]]:
    """Return the pictures that there can be of an estimator, and why there are no others."""
    try:
        require_matplotlib("The section of pictures")
    except ImportError as error:
        return [], [str(error)]
    name = type(estimator).__name__
    result = []

    def add(title, caption, draw):
        result.append(Chart(title, caption, _render(draw)))

    add(
        "Sizes and confidence",
        "Rows of each cluster, the dashed line is their mean; below, the confidence of these rows: "
        "the middle half, its median, and from the 5th to the 95th percentile.",
        lambda figure: ClusterSizesDisplay._from(found, "size", name).plot(ax=figure),
    )
    if hasattr(estimator, "transform"):
        add(
            "Embedding by cluster",
            "At most 5,000 rows, drawn at random, in the plane of the two principal components.",
            lambda figure: EmbeddingDisplay.from_estimator(estimator, X, ax=figure),
        )
        if y is not None:
            add(
                "Embedding by label",
                "The same rows, coloured by label.",
                lambda figure: EmbeddingDisplay.from_estimator(estimator, X, y, ax=figure),
            )
    if y is not None:
        add(
            "Clusters against labels",
            "How many rows of each label are in each cluster; what is on the diagonal is right.",
            lambda figure: ClusterLabelDisplay._from(y, found, None, None, name).plot(ax=figure),
        )
    history = getattr(estimator, "history_", None)
    if history:
        beside = CRITIC in history[-1] and metrics
        add(
            "Training",
            "Each term by epoch"
            + "; dashed, a measure beside the critic's estimate." * bool(beside),
            lambda figure: TrainingCurvesDisplay.from_estimator(
                estimator, metrics=metrics, ax=figure
            ),
        )
    for method, title, display in (
        ("sample", "Samples of each cluster", SamplesDisplay),
        ("interpolate", "From one cluster to another", InterpolationDisplay),
    ):
        if generates(estimator, method):
            add(
                title,
                _GENERATED[method],
                lambda figure, display=display: display.from_estimator(
                    estimator, image_shape=image_shape, ax=figure
                ),
            )
    return result, []


_GENERATED = {
    "sample": "Drawn from the model, cluster by cluster.",
    "interpolate": "z: straight through the latent space; k: by mixing the components.",
}


def _render(draw: Callable) -> str:
    """Draw on a figure that pyplot does not know, in matplotlib's default style."""
    import matplotlib.style
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.style.context("default"), warnings.catch_warnings():
        # Of labels that its fonts do not have; the page's own text shows them.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure = Figure()
        draw(figure)
        figure.savefig(file, format="png", dpi=RESOLUTION)
    with Image.open(file) as picture:
        return as_uri(picture, None)


def mean_differences(
    rows: np.ndarray, found: Assignments, names: list[str], count: int = 5
) -> list[list[tuple[str, float]]]:
    """Tell, for each cluster, the features whose means differ most from those of all rows.

    Returns
    -------
    list of list of (str, float)
        Names, and differences in standard deviations of all rows; nothing of an empty cluster.
    """
    rows = rows.astype(np.float64)
    spread = rows.std(axis=0)
    centred = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    result = []
    for members in found.members():
        score = centred[members].mean(axis=0) if len(members) else np.zeros(0)
        best = np.argsort(-np.abs(score), kind="stable")[:count]
        result.append([(names[i], float(score[i])) for i in best])
    return result
