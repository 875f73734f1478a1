"""What all displays share: matplotlib on demand, axes, colours."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Ten colours that people with any colour vision tell apart as well as can be, and that differ in
#: lightness, too: M. Petroff, "Accessible Color Sequences for Data Visualization",
#: arXiv:2107.02270.
COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

#: Shapes of points. With the colours they give each of a hundred clusters a look of its own.
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")

#: Styles of lines, for prints without colours.
LINES = ("-", "--", ":", "-.")


def require_matplotlib(caller: str) -> None:
    """Raise an error that names the extra, unless matplotlib is there.

    Displays call it before they compute anything.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib, which comes with the extra 'plot': "
            "pip install 'skdeepcluster[plot]'"
        ) from error


def makes_figure(ax: "Axes | Figure | None") -> bool:
    """Whether a display has a figure for itself: a new one, or an empty one that it was given."""
    from matplotlib.figure import Figure

    return ax is None or isinstance(ax, Figure)


def _figure(ax: "Figure | None", size: tuple[float, float]) -> "Figure":
    """Return a figure of `size` in inches.

    As with scikit-learn's displays, a new figure is one of pyplot's: `plt.show()` shows it, and a
    notebook does. The report gives one that pyplot does not know.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.figure(figsize=size, layout="constrained")
    ax.set_size_inches(size)
    ax.set_layout_engine("constrained")
    return ax


def figure_and_axes(ax: "Axes | Figure | None", size: tuple[float, float]) -> "tuple[Figure, Axes]":
    """Return the axes given and their figure, or new ones of `size` in inches.

    With axes given, nothing of pyplot's changes.
    """
    if not makes_figure(ax):
        return ax.figure, ax
    figure = _figure(ax, size)
    return figure, figure.subplots()


def figure_and_panels(
    ax: "Axes | Figure | None",
    rows: int,
    columns: int,
    size: tuple[float, float],
    **subplots: Any,
) -> "tuple[Figure, np.ndarray]":
    """Return a grid of axes (rows, columns): in the place of `ax`, or in a new figure of `size`.

    Axes given are emptied and stay as an invisible frame.
    """
    if makes_figure(ax):
        figure = _figure(ax, size)
        return figure, figure.subplots(rows, columns, squeeze=False, **subplots)
    figure = ax.figure
    place = ax.get_subplotspec()
    if place is not None:
        grid = place.subgridspec(rows, columns, wspace=0.5, hspace=0.65)
    else:  # it was put at a place of its own
        box = ax.get_position()
        sides = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = figure.add_gridspec(rows, columns, **sides, wspace=0.5, hspace=0.65)
    ax.set_axis_off()
    return figure, grid.subplots(squeeze=False, **subplots)


def look(position: int) -> dict[str, str]:
    """Colour and marker of a cluster, by its position."""
    turn, color = divmod(position, len(COLORS))
    return {"color": COLORS[color], "marker": MARKERS[(color + turn) % len(MARKERS)]}


def tick_size(count: int, length: float) -> float:
    """Return the size in points at which `count` labels fit side by side into `length` inches."""
    return float(np.clip(0.8 * 72 * length / max(count, 1), 4.5, 10))
