"""What ``fit``, ``predict`` and ``report`` do."""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

import skdeepcluster
from skdeepcluster._cli import _demo
from skdeepcluster._cli._data import Data, read
from skdeepcluster._cli._errors import UserError, say
from skdeepcluster._cli._labels import labels_csv
from skdeepcluster._cli._options import DEFAULTS, parameters
from skdeepcluster._files import write_whole
from skdeepcluster._layout import channels_first, check_image_shape
from skdeepcluster._training._device import resolve_device

#: Files that `fit` writes.
MODEL, LABELS, REPORT, CHECKPOINT = "model", "labels.csv", "report.html", "checkpoint"

NO_MATPLOTLIB = "matplotlib is not installed: pip install 'skdeepcluster[plot]'"


def check_parameters(args: argparse.Namespace) -> None:
    """Find out before anything is read whether the estimator will take its parameters.

    Raises
    ------
    ValueError, TypeError
        If it will not.
    """
    given = parameters(args)
    _demo.METHODS[args.method](**given)._check_parameters()
    resolve_device(given.get("device", "auto"))


def fit(args: argparse.Namespace) -> None:
    """Fit an estimator; write its labels, itself and the report."""
    output, given = args.output, parameters(args)
    report = _report_wanted(args)
    defaults = DEFAULTS | {"checkpoint": str(output / CHECKPOINT)}
    folder = (defaults | given)["checkpoint"]
    if not args.overwrite and (folder is None or not any(Path(folder).glob("*.checkpoint"))):
        _refuse_to_replace(output)  # before anything is read
    _make_folder(output)
    data = read(args)
    model = _demo.METHODS[args.method](**(defaults | _preset(args, data, given) | given))
    checkpoint = model._checkpoint_of(data.X)
    if not (args.overwrite or _is_there(checkpoint)):  # those in the folder are of other runs
        _refuse_to_replace(output)
    _describe(data, model)
    try:
        model.fit(data.X)
        _write_results(model, data, output, are_files=_files(args))
        if report:
            write_report(model, data, output / REPORT)
    except KeyboardInterrupt:
        if _is_there(checkpoint):
            raise KeyboardInterrupt(f"the same command goes on from {folder}") from None
        raise
    if model.net_.stopped_by_ != "max_time":
        if "checkpoint" not in given:  # a folder of the user's own is left alone
            _clear(checkpoint)
    elif _is_there(checkpoint):
        say(f"the same command goes on for another {model.max_time:g} s")


def _write_results(model: Any, data: Data, output: Path, *, are_files: bool) -> None:
    """Write labels and model, and say what they are."""
    _write(output / LABELS, labels_csv(_proba(model, data), data.names, are_files=are_files))
    model.save(output / MODEL)
    sizes = np.bincount(model.labels_, minlength=model.n_clusters)
    print(f"{model.n_clusters} clusters of {', '.join(map(str, sizes))} rows")
    print(f"labels: {output / LABELS}\nmodel: {output / MODEL}")


def predict(args: argparse.Namespace) -> None:
    """Write the clusters of other rows."""
    model = _load(args)
    data = read(args, model)
    content = labels_csv(_proba(model, data), data.names, are_files=_files(args))
    if args.output is not None:
        _write(args.output, content)
        print(f"labels: {args.output}")
        return
    sys.stdout.buffer.write(content)  # as in a file: the terminal's encoding may lack letters
    sys.stdout.buffer.flush()


def report(args: argparse.Namespace) -> None:
    """Write the report on a model and rows."""
    model = _load(args)
    output = args.output
    if output is None:
        output = (args.model if args.model.is_dir() else args.model.parent) / REPORT
    write_report(model, read(args, model), output)


def write_report(model: Any, data: Data, path: Path) -> None:
    """Write the report, and say where it is."""
    try:
        from skdeepcluster.inspection import report

        report(model, data.X, path, names=data.names)
    except ImportError as error:
        if not _has_matplotlib():
            raise UserError(f"no report: {NO_MATPLOTLIB}") from error
        raise
    print(f"report: {path}")


def _report_wanted(args: argparse.Namespace) -> bool:
    if args.report and not _has_matplotlib():
        say(f"no report: {NO_MATPLOTLIB}")
        return False
    return args.report


def _has_matplotlib() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _is_there(checkpoint: Path | None) -> bool:
    return checkpoint is not None and checkpoint.exists()


def _refuse_to_replace(output: Path) -> None:
    """Keep results of other commands."""
    if (output / MODEL).exists():
        raise UserError(f"{output} has a model already; --overwrite replaces it")


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}") from error


def _preset(args: argparse.Namespace, data: Data, given: dict) -> dict:
    if args.preset is None:
        return {}
    shape = tuple(data.X.shape[1:])
    if given.get("image_shape") is not None:
        shape = check_image_shape(given["image_shape"])
    input_shape = shape if len(shape) == 1 else channels_first(shape)
    return _demo.METHODS[args.method]._preset(args.preset, input_shape, len(data.X))


def _describe(data: Data, model: Any) -> None:
    shape = " x ".join(map(str, data.X.shape[1:]))
    device = resolve_device(model.device)
    name = type(model).__name__
    say(f"{len(data.X)} rows of {shape}, {model.n_clusters} clusters by {name} on {device}")
    if name == "StatDEC" and data.X.ndim == 4 and 3 in data.X.shape[1:]:
        say("StatDEC groups photographs by colours and backgrounds: see its documentation")


def _load(args: argparse.Namespace) -> Any:
    path = args.model / MODEL if args.model.is_dir() else args.model
    return skdeepcluster.load(path, device=args.device)


def _proba(model: Any, data: Data) -> np.ndarray:
    return model.predict_proba(data.X)


def _files(args: argparse.Namespace) -> bool:
    """Whether names are those of files."""
    return Path(args.data).is_dir()


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, [content])
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _clear(checkpoint: Path) -> None:
    """Remove what a finished run needs no more; anything else in the folder stays."""
    checkpoint.unlink(missing_ok=True)
    folder = checkpoint.parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
