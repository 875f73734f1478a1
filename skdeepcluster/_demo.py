"""The demo: every method of the package beside KMeans, as a table and a picture."""

import argparse
import math
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdeepcluster import DCCS, MMDC, StatDEC, VariationalGMMClustering
from skdeepcluster._training._device import resolve_device
from skdeepcluster.metrics import clustering_accuracy

#: The methods that the demo runs, by their name on the command line.
METHODS: dict[str, Any] = {
    "statdec": StatDEC,
    "dccs": DCCS,
    "variationalgmmclustering": VariationalGMMClustering,
    "mmdc": MMDC,
}

IMAGES_PER_CLUSTER = 12


class DemoError(Exception):
    """Something the user can put right; its text is all there is to show."""


class Data(NamedTuple):
    """What is clustered, and the labels to compare with where there are some."""

    X: np.ndarray  # (n, H, W), (n, H, W, C) or (n, d)
    target: np.ndarray | None  # (n,)

    @property
    def are_images(self) -> bool:
        """Whether the rows of X can be shown."""
        return self.X.ndim > 2


@dataclass
class Result:
    """What one method made of the data."""

    name: str
    labels: np.ndarray  # (n,)
    proba: np.ndarray | None  # (n, K); KMeans has none
    seconds: float


def load_data(path: str | None) -> Data:
    """Read the arrays `data` and `target` of an .npz file, or scikit-learn's digits."""
    if path is None:
        digits = load_digits()
        return Data(digits.images, digits.target)
    try:
        # Without pickles, nothing in the file can run. Opened here, since NumPy would leave a
        # damaged file open.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("data", "target") if key in file.files}
            found = ", ".join(file.files)
    except FileNotFoundError:
        raise DemoError(f"no such file: {path}") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DemoError(f"{path} is not an .npz file of plain arrays ({error})") from None
    if "data" not in arrays:
        raise DemoError(f"{path} has no array named 'data', it has: {found or 'nothing'}")
    data = Data(arrays["data"], arrays.get("target"))
    _check(data, path)
    return data


def _check(data: Data, path: str) -> None:
    """Find what would stop a run, or spoil its end, before the run."""
    X, target = data
    plain = X.dtype.kind in "buif" and X.size > 0
    if not plain or X.ndim not in (2, 3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3)):
        raise DemoError(
            f"'data' in {path} has shape {X.shape} and type {X.dtype}; expected numbers of shape "
            "(n, height, width), (n, height, width, 1 or 3) or (n, features)"
        )
    if target is not None and target.shape != X.shape[:1]:
        raise DemoError(
            f"'target' in {path} has shape {target.shape}; expected {X.shape[:1]}, one label for "
            "each row of 'data'"
        )
    for name, array in (("data", X), ("target", target)):
        if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DemoError(f"'{name}' in {path} contains NaN or infinity")


def _say(text: str) -> None:
    """Tell the user on stderr, which keeps stdout for the table."""
    print(text, file=sys.stderr, flush=True)


def run_kmeans(data: Data, n_clusters: int, seed: int) -> Result:
    """Run the baseline: on pixels as they are, on a table with its columns standardised."""
    _say("KMeans: running")
    start = time.perf_counter()
    X = data.X.reshape(len(data.X), -1)
    if X.dtype.kind != "f":
        X = X.astype(np.float32)  # KMeans would take eight bytes for each of an image's one
    kmeans = KMeans(n_clusters, n_init=10, random_state=seed)
    model = kmeans if data.are_images else make_pipeline(StandardScaler(), kmeans)
    labels = model.fit_predict(X)
    return Result("KMeans", labels, None, time.perf_counter() - start)


def run_method(method: Any, data: Data, n_clusters: int, args: argparse.Namespace) -> Result:
    """Fit one estimator of the package, with its defaults unless the user says otherwise."""
    name = method.__name__
    parameters = {"max_time": args.max_time, "max_epochs": args.max_epochs}
    model = method(
        n_clusters=n_clusters,
        device=args.device,
        random_state=args.seed,
        verbose=1,  # a progress bar for each phase
        **{key: value for key, value in parameters.items() if value is not None},
    )
    _say(f"{name}: running")
    start = time.perf_counter()
    labels = model.fit_predict(data.X)
    seconds = time.perf_counter() - start
    return Result(name, labels, model.predict_proba(data.X), seconds)


def table(results: Sequence[Result], target: np.ndarray | None, n_clusters: int) -> str:
    """Lay the results out in columns; without labels, how large the clusters are."""
    if target is not None:
        head = ["method", "ACC", "NMI", "ARI", "seconds"]
        measures = (clustering_accuracy, normalized_mutual_info_score, adjusted_rand_score)
        rows = [
            [r.name, *(f"{m(target, r.labels):.3f}" for m in measures), f"{r.seconds:.1f}"]
            for r in results
        ]
    else:
        head = ["method", "seconds", "samples in each cluster"]
        rows = []
        for r in results:
            sizes = np.sort(np.bincount(r.labels, minlength=n_clusters))[::-1]
            rows.append([r.name, f"{r.seconds:.1f}", " ".join(map(str, sizes))])
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in [head, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)


def mosaic(images: np.ndarray, result: Result) -> np.ndarray:
    """Tile the most confident images of each cluster, a row a cluster.

    Returns an array of shape (K * (H + 1) - 1, m * (W + 1) - 1, 3) of floats in [0, 1], where m
    is ``IMAGES_PER_CLUSTER``; what no image fills is white.
    """
    if images.ndim == 3:
        images = images[..., None]  # (n, H, W, 1), which spreads to three channels
    height, width = images.shape[1:3]
    n_clusters = result.proba.shape[1]
    low, high = (0, 255) if images.dtype == np.uint8 else (images.min(), images.max())
    low, span = float(low), max(float(high) - float(low), 1e-12)
    tiles = np.ones((n_clusters, height + 1, IMAGES_PER_CLUSTER, width + 1, 3))
    for k in range(n_clusters):
        members = np.flatnonzero(result.labels == k)
        best = members[np.argsort(-result.proba[members, k], kind="stable")][:IMAGES_PER_CLUSTER]
        shown = (images[best].astype(float) - low) / span  # (m, H, W, C)
        tiles[k, :height, : len(best), :width] = np.moveaxis(shown, 0, 1)
    return tiles.reshape(n_clusters * (height + 1), -1, 3)[:-1, :-1]


def draw(results: Sequence[Result], data: Data, path: Path) -> None:
    """Save the mosaics of all methods side by side."""
    from matplotlib.figure import Figure

    results = [r for r in results if r.proba is not None]
    n_clusters = results[0].proba.shape[1]
    tile = min(0.4, 60 / n_clusters)  # inches; a picture has at most 2^16 pixels a side
    size = (len(results) * (IMAGES_PER_CLUSTER * tile + 1), n_clusters * tile + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    for axes, result in zip(
        figure.subplots(1, len(results), squeeze=False)[0], results, strict=True
    ):
        axes.imshow(mosaic(data.X, result), interpolation="nearest")
        title = result.name
        if data.target is not None:
            title += f", ACC {clustering_accuracy(data.target, result.labels):.3f}"
        axes.set_title(title)
        counts = np.bincount(result.labels, minlength=n_clusters)
        rows = np.arange(n_clusters) * (data.X.shape[1] + 1) + (data.X.shape[1] - 1) / 2
        axes.set_yticks(rows, [f"{k} ({count})" for k, count in enumerate(counts)])
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.savefig(path, format=path.suffix[1:] or "png", dpi=100)


def _check_picture(path: Path, data: Data) -> str | None:
    """Return why there can be no picture, if so; a path that cannot be written is an error."""
    if not data.are_images:
        return "no picture: the rows of 'data' are not images"
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError:
        return (
            "no picture: matplotlib is not installed; it comes with the plot extra, "
            "pip install 'skdeepcluster[plot]'"
        )
    if not path.parent.is_dir():
        raise DemoError(f"no such folder for the picture: {path.parent}")
    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise DemoError(f"no such kind of picture: {path.suffix}; known are {', '.join(formats)}")
    return None


def demo(args: argparse.Namespace) -> None:
    """Run KMeans and the chosen methods, then print the table and save the picture."""
    data = load_data(args.data)
    n_clusters = args.n_clusters
    if n_clusters is None:
        n_clusters = 10 if data.target is None else len(np.unique(data.target))
    if n_clusters > len(data.X):
        raise DemoError(f"{n_clusters} clusters asked of {len(data.X)} samples")
    no_picture = _check_picture(args.output, data)
    if no_picture:
        _say(no_picture)
    chosen = METHODS if args.method is None or "all" in args.method else args.method
    shape = " x ".join(map(str, data.X.shape[1:]))
    try:
        device = resolve_device(args.device)
        _say(f"{len(data.X)} samples of {shape}, {n_clusters} clusters, on {device}")
        results = [run_kmeans(data, n_clusters, args.seed)]
        for name in dict.fromkeys(chosen):
            results.append(run_method(METHODS[name], data, n_clusters, args))
    except ValueError as error:  # how scikit-learn's estimators refuse data and parameters
        raise DemoError(str(error)) from error
    _say("")
    print(table(results, data.target, n_clusters))
    if not no_picture:
        draw(results, data, args.output)
        print(f"\npicture: {args.output}")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")
        return int(text)

    return whole_number


def add_command(commands: Any) -> None:
    """Add the demo to the command line.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` returns
    """
    command = commands.add_parser(
        "demo",
        help="compare the methods with KMeans",
        description="Cluster images with KMeans and with the methods of the package; print a "
        "table, and save a picture of each cluster's most confident images.",
    )
    option = command.add_argument
    option(
        "--data",
        metavar="FILE.npz",
        help="arrays 'data' (n, H, W), (n, H, W, C) or (n, d) and, if known, 'target' (n,); "
        "default: scikit-learn's digits",
    )
    option(
        "--method",
        action="append",
        choices=[*METHODS, "all"],
        help="may be given several times; default: all",
    )
    option(
        "--n-clusters",
        type=_at_least(1),
        metavar="K",
        help="default: the number of distinct targets, else 10",
    )
    option("--seed", type=_at_least(0), default=0, help="default: 0")
    option("--device", default="auto", help="auto, cpu, cuda, mps, ...; default: auto")
    option(
        "--max-epochs",
        type=_at_least(1),
        metavar="N",
        help="bound on a method's clustering phase; default: the method's own",
    )
    option(
        "--max-time",
        type=_positive,
        metavar="SECONDS",
        help="bound on the time of each method; default: none",
    )
    option(
        "--output",
        type=Path,
        default=Path("skdeepcluster-demo.png"),
        metavar="FILE",
        help="where the picture goes; default: skdeepcluster-demo.png",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo and return its exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    try:
        demo(args)
    except DemoError as error:
        _say(f"error: {' '.join(str(error).split())}")
        return 2
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    return 0
