"""The demo: every method of the package beside KMeans, as a table and a picture."""

import argparse
import math
import time
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
from skdeepcluster._cli._data import LARGEST_SIDE, read_arrays
from skdeepcluster._cli._errors import UserError, say
from skdeepcluster._layout import channel_axis
from skdeepcluster._training._device import resolve_device
from skdeepcluster.inspection import GalleryDisplay
from skdeepcluster.inspection._images import Images
from skdeepcluster.metrics import clustering_accuracy

#: The methods that the demo runs, by their name on the command line.
METHODS: dict[str, Any] = {
    "statdec": StatDEC,
    "dccs": DCCS,
    "variationalgmmclustering": VariationalGMMClustering,
    "mmdc": MMDC,
}

IMAGES_PER_CLUSTER = 12


class Labelled(NamedTuple):
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


def load_data(path: str | None) -> Labelled:
    """Read the arrays `data` and `target` of an .npz file, or scikit-learn's digits."""
    if path is None:
        digits = load_digits()
        return Labelled(digits.images, digits.target)
    if not Path(path).exists():
        raise UserError(f"no such file: {path}")
    if Path(path).suffix.lower() != ".npz":
        raise UserError(f"{path} is not an .npz file")
    data, beside = read_arrays(Path(path), "data", beside=["target"])
    _check(data.X, beside.get("target"), path)
    return Labelled(data.X, beside.get("target"))


def _check(X: np.ndarray, target: np.ndarray | None, path: str) -> None:
    """Find what would stop a run, or spoil its end, before the run."""
    if X.ndim == 4:
        channel_axis(X.shape[1:])
    if target is not None and target.shape != X.shape[:1]:
        raise UserError(
            f"'target' in {path} has shape {target.shape}; expected {X.shape[:1]}, one label for "
            "each row of 'data'"
        )
    for name, array in (("data", X), ("target", target)):
        if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"'{name}' in {path} contains NaN or infinity")


def run_kmeans(data: Labelled, n_clusters: int, seed: int) -> Result:
    """Run the baseline: on pixels as they are, on a table with its columns standardised."""
    say("KMeans: running")
    start = time.perf_counter()
    X = data.X.reshape(len(data.X), -1)
    if X.dtype.kind != "f":
        X = X.astype(np.float32)  # KMeans would take eight bytes for each of an image's one
    kmeans = KMeans(n_clusters, n_init=10, random_state=seed)
    model = kmeans if data.are_images else make_pipeline(StandardScaler(), kmeans)
    labels = model.fit_predict(X)
    return Result("KMeans", labels, None, time.perf_counter() - start)


def run_method(method: Any, data: Labelled, n_clusters: int, args: argparse.Namespace) -> Result:
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
    say(f"{name}: running")
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


def gallery(images: Images, result: Result) -> GalleryDisplay:
    """Return the most confident images of each cluster, those without images included."""
    shown, n_clusters = [], result.proba.shape[1]
    for k in range(n_clusters):
        members = np.flatnonzero(result.labels == k)
        best = members[np.argsort(-result.proba[members, k], kind="stable")]
        shown.append(images.take(best[:IMAGES_PER_CLUSTER], LARGEST_SIDE))
    sizes = np.bincount(result.labels, minlength=n_clusters)
    return GalleryDisplay(shown, range(n_clusters), sizes)


def draw(results: Sequence[Result], data: Labelled, path: Path) -> None:
    """Save the galleries of all methods side by side."""
    from matplotlib.figure import Figure

    results = [r for r in results if r.proba is not None]
    images = Images(data.X)
    galleries = [gallery(images, result) for result in results]
    sizes = [g.plot(ax=Figure()).figure_.get_size_inches() for g in galleries]
    widths, heights = zip(*sizes, strict=True)
    figure = Figure(figsize=(sum(widths), max(heights) + 0.3), layout="constrained")
    panels = figure.subplots(1, len(galleries), squeeze=False, width_ratios=widths)[0]
    for axes, result, display in zip(panels, results, galleries, strict=True):
        display.plot(ax=axes)
        title = result.name
        if data.target is not None:
            title += f", ACC {clustering_accuracy(data.target, result.labels):.3f}"
        axes.set_title(title)
    figure.savefig(path, format=path.suffix[1:] or "png", dpi=100)


def _check_picture(path: Path, data: Labelled) -> str | None:
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
        raise UserError(f"no such folder for the picture: {path.parent}")
    formats = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in formats:
        raise UserError(f"no such kind of picture: {path.suffix}; known are {', '.join(formats)}")
    return None


def run(args: argparse.Namespace) -> None:
    """Run KMeans and the chosen methods, then print the table and save the picture."""
    data = load_data(args.data)
    n_clusters = args.n_clusters
    if n_clusters is None:
        n_clusters = 10 if data.target is None else len(np.unique(data.target))
    if n_clusters > len(data.X):
        raise UserError(f"{n_clusters} clusters asked of {len(data.X)} samples")
    no_picture = _check_picture(args.output, data)
    if no_picture:
        say(no_picture)
    chosen = METHODS if args.method is None or "all" in args.method else args.method
    shape = " x ".join(map(str, data.X.shape[1:]))
    device = resolve_device(args.device)
    say(f"{len(data.X)} samples of {shape}, {n_clusters} clusters, on {device}")
    results = [run_kmeans(data, n_clusters, args.seed)]
    for name in dict.fromkeys(chosen):
        results.append(run_method(METHODS[name], data, n_clusters, args))
    say("")
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options."""
    option = parser.add_argument
    option(
        "--data",
        metavar="FILE.npz",
        help="arrays 'data' (n, H, W), (n, H, W, C) or (n, d) and, if known, 'target' (n,); "
        "default: scikit-learn's digits",
    )
    option(
        "--method",
        action="append",
        type=str.lower,
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
