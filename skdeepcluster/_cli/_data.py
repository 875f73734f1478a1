"""Data from a folder of images, an array file or a table."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from skdeepcluster._cli._errors import UserError, say
from skdeepcluster._cli._options import parameters
from skdeepcluster._files import numpy_file
from skdeepcluster._layout import unfolded_shapes
from skdeepcluster.datasets import load_image_folder
from skdeepcluster.datasets._images import _image_files
from skdeepcluster.inspection._images import pixel_limits

#: Files that are looked into to tell size and colour of a folder's images.
SAMPLED_FILES = 200

#: Images of one size up to this many pixels a side are taken as they are, others made smaller.
LARGEST_SIDE, USUAL_SIDE = 96, 32

#: Columns that may be what is to be found.
LABELS = ("label", "labels", "target", "class", "y")

#: What pandas calls a column without a name: the index that it wrote itself.
INDEX = "Unnamed: 0"

SUFFIXES = (".npy", ".npz", ".csv", ".parquet")


class Data(NamedTuple):
    """Rows, and what they are called where they have names."""

    X: Any  # (n, H, W[, C]), (n, C, H, W) or (n, d); a table's is a DataFrame
    names: list[str] | None


def add_data_options(parser: argparse.ArgumentParser, *, fitting: bool) -> None:
    """Add the options on how the data are read."""
    group = parser.add_argument_group("how the data are read")
    if fitting:
        group.add_argument(
            "--size",
            type=_size,
            metavar="SIDE|HxW",
            help="pixels that images in a folder are resized to; default: their own size, where "
            f"all have the same of up to {LARGEST_SIDE} pixels a side, else {USUAL_SIDE}",
        )
        group.add_argument(
            "--mode",
            choices=["RGB", "L"],
            help="colour or grey; default: grey where all images in the folder are",
        )
    group.add_argument(
        "--array",
        metavar="NAME",
        help="array of the .npz file; default: the one named 'data', or the only one",
    )
    group.add_argument(
        "--header",
        choices=["yes", "no"],
        help="whether the first line of the .csv file names the columns; default: yes, unless it "
        "has numbers only that are not 0, 1, 2 and so on",
    )
    group.add_argument(
        "--names",
        metavar="COLUMN",
        help="column of the table that names the rows; default: the only column of text, if its "
        "values differ",
    )
    group.add_argument(
        "--drop",
        metavar="COLUMN",
        action="append",
        default=[],
        help="column of the table to leave out; may be given several times",
    )


def read(args: argparse.Namespace, model: Any = None) -> Data:
    """Read ``args.data``.

    Parameters
    ----------
    args : Namespace
        With `data` and the options of :func:`add_data_options`.
    model : fitted estimator or None
        What the rows are for: images get the size, a table the columns that it was fitted on.

    Raises
    ------
    UserError
        If they cannot be read.
    """
    X, names = _read(Path(args.data), args, model)
    if names is not None:  # what the system's encoding cannot tell becomes backslashes and digits
        names = [name.encode(errors="backslashreplace").decode() for name in names]
    return Data(X, names)


def _read(path: Path, args: argparse.Namespace, model: Any) -> Data:
    if path.is_dir():
        return _read_folder(path, args, model)
    if not path.exists():
        raise UserError(f"no such file or folder: {path}")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return read_arrays(path, args.array)[0]
    if suffix in (".csv", ".parquet"):
        return _read_table(path, args, model)
    raise UserError(f"{path} is neither a folder of images nor a file {', '.join(SUFFIXES)}")


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected pixels such as 32 or 48x64, got {text}")
    height = int(found[1])
    return height, int(found[2] or height)


# ---------------------------------------------------------------------- images


def _read_folder(path: Path, args: argparse.Namespace, model: Any) -> Data:
    if model is None:
        size, mode = args.size, args.mode
        if size is None or mode is None:
            own_size, own_mode = _layout_of_files(path)
            size, mode = size or own_size, mode or own_mode
    else:
        shape = model._preprocess.input_shape
        if len(shape) == 1:
            raise UserError(
                f"the model is one of rows of {shape[0]} features, but {path} is a folder of images"
            )
        size, mode = shape[1:], "RGB" if shape[0] == 3 else "L"
    say(f"images are read as {size[0]} x {size[1]} pixels, {_colours(mode)}")
    verbose = int(bool(parameters(args).get("verbose", 1)))
    bunch = load_image_folder(path, size, mode, n_jobs=-1, verbose=verbose)
    X = bunch.data
    if model is not None and X.shape[1:] not in unfolded_shapes(model._preprocess):
        X = np.moveaxis(X, -1, 1)  # fitted on (n, C, H, W)
    if model is not None:
        X = _as_fitted(X, model, path)
    return Data(X, bunch.filenames.tolist())


def _as_fitted(X: np.ndarray, model: Any, path: Path) -> np.ndarray:
    """Give 8-bit images the range of values that the model was fitted on."""
    limits = pixel_limits(model)
    if limits is None:  # fitted with scaling=None, which keeps no range
        say("the pixels are read as numbers from 0 to 255")
        return X
    if np.allclose(limits, (0, 255)):
        return X
    if np.allclose(limits, (0, 1)):
        return np.divide(X, 255, dtype=np.float32)
    low, high = limits
    raise UserError(
        f"the model is one of pixels from {low:g} to {high:g}, but those of images in a folder "
        f"are 0 to 255: make {path} an array in the model's range"
    )


def _colours(mode: str) -> str:
    return "in colour" if mode == "RGB" else "in grey"


def _layout_of_files(path: Path) -> tuple[tuple[int, int], str]:
    """Size and mode that suit the images, from the heads of some files."""
    names = _image_files(path)
    sizes, grey = set(), True
    for i in np.unique(np.linspace(0, len(names) - 1, SAMPLED_FILES).astype(int)):
        try:
            with Image.open(path / names[i]) as image:
                turned = image.getexif().get(0x0112, 1) >= 5  # the sides are exchanged
                sizes.add(image.size if turned else image.size[::-1])
                grey &= image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
        except Exception:  # a broken file: whoever reads all of them says so
            continue
    size = USUAL_SIDE, USUAL_SIDE
    if len(sizes) == 1 and max(max(sizes)) <= LARGEST_SIDE:
        [size] = sizes
    return size, "L" if grey else "RGB"


# ---------------------------------------------------------------------- arrays


def read_arrays(
    path: Path, wanted: str | None, beside: Sequence[str] = ()
) -> tuple[Data, dict[str, np.ndarray]]:
    """Read an array file.

    Parameters
    ----------
    path : Path
    wanted : str or None
        Array of an .npz file; None is "data", or the only one.
    beside : sequence of str
        Other arrays to read, as far as they are there.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        with numpy_file(path) as content:
            if isinstance(content, np.ndarray):
                return Data(_checked(content, path), None), {}
            name = _array_name(content.files, wanted, path)
            X = _checked(content[name], path)
            others = {key: content[key] for key in beside if key in content.files}
            return Data(X, _filenames(content, len(X))), others
    except ValueError as error:
        raise UserError(str(error).removesuffix(".")) from error


def _array_name(names: list[str], wanted: str | None, path: Path) -> str:
    if wanted is None:
        wanted = names[0] if len(names) == 1 else "data"
    if wanted not in names:
        raise UserError(
            f"{path} has no array named {wanted!r}, it has: {', '.join(names) or 'nothing'}; "
            "--array says which"
        )
    return wanted


def _filenames(content: Any, n: int) -> list[str] | None:
    """Names beside the data, as `load_image_folder` has them."""
    if "filenames" not in content.files or content["filenames"].shape != (n,):
        return None
    return [str(name) for name in content["filenames"]]


def _checked(X: np.ndarray, path: Path) -> np.ndarray:
    if X.dtype.kind not in "buif" or X.ndim not in (2, 3, 4) or X.size == 0:
        raise UserError(
            f"{path} has an array of shape {X.shape} and type {X.dtype}; expected numbers of shape "
            "(n, height, width), (n, height, width, 1 or 3) or (n, features)"
        )
    return X


# ---------------------------------------------------------------------- tables


def _read_table(path: Path, args: argparse.Namespace, model: Any) -> Data:
    frame = _frame(path, args.header, getattr(model, "feature_names_in_", None))
    columns = {str(name): name for name in frame}  # those of a table without a head are numbers
    missing = [name for name in [*args.drop, *filter(None, [args.names])] if name not in columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}, it has: {_listed(columns)}")
    frame = frame.drop(columns=[columns[name] for name in args.drop])
    names, frame = _split_names(frame, columns.get(args.names), model)
    if frame.size == 0:
        raise UserError(f"{path} has no numbers")
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is not None:
        missing = [name for name in wanted if name not in frame]
        if missing:
            raise UserError(f"{path} lacks columns that the model needs: {_listed(missing)}")
        frame = frame[list(wanted)]
    text = [name for name in frame if frame[name].dtype.kind not in "buif"]
    if text:
        raise UserError(
            f"columns of {path} are no numbers: {_listed(text)}; --drop leaves a column out, "
            "--names says that it names the rows"
        )
    holes = [name for name in frame if frame[name].isna().any()]
    if holes:
        raise UserError(f"columns of {path} have missing values: {_listed(holes)}")
    if model is None:
        for name in frame:
            if str(name).lower() in LABELS:
                say(f"warning: the column {name!r} is a feature like others; --drop {name} "
                    "leaves it out")  # fmt: skip
    return Data(frame, names)


def _frame(path: Path, header: str | None, wanted: Any) -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise UserError(
            f"reading {path.suffix} files takes pandas, of the tables extra: "
            "pip install 'skdeepcluster[tables]'"
        ) from None
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        has_head = _has_head(path, first.iloc[0].tolist(), header, wanted)
        return pd.read_csv(path, header="infer" if has_head else None)
    except ImportError as error:  # pandas needs another package for parquet
        raise UserError(f"pandas cannot read {path}: {str(error).splitlines()[0]}") from error
    except ValueError as error:  # what its parsers raise
        raise UserError(f"{path} is no table that pandas can read ({error})") from error


def _has_head(path: Path, first: list[str], header: str | None, wanted: Any) -> bool:
    """Tell whether the first line of a table names the columns; where it may not, say so.

    A row taken for a head is lost, and a head taken for a row counts all rows one too far.
    """
    if header is not None:
        return header == "yes"
    if wanted is not None and set(wanted) <= set(first):  # as the model knows them
        return True
    index, names = first[0] == "", first[1:] if first[0] == "" else first
    if not names or not all(map(_is_number, names)):
        return True
    if names == [str(i) for i in range(len(names))]:  # as pandas numbers columns without names
        say(f"the first line of {path} is taken as names of columns; --header no: as a row")
        return True
    if index:
        raise UserError(
            f"the first line of {path} may name the columns, or be a row that lacks its first "
            "value: --header yes or no says which"
        )
    say(f"the first line of {path} is taken as a row; --header yes: as names of columns")
    return False


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except (TypeError, ValueError):
        return False
    return True


def _split_names(frame: Any, wanted: str | None, model: Any) -> tuple[list[str] | None, Any]:
    """Take the column that names the rows, and pandas' own index, out of a table."""
    features = getattr(model, "feature_names_in_", ())
    has_index = INDEX in frame and INDEX not in features
    if wanted is None:
        text = [
            name
            for name in frame
            if name not in features and name != INDEX and frame[name].dtype.kind not in "buif"
        ] or [INDEX] * has_index
        if len(text) == 1 and frame[text[0]].is_unique:
            [wanted] = text
    if has_index and wanted != INDEX:
        say("the first column, which has no name, is left out: it numbers the rows")
        frame = frame.drop(columns=INDEX)
    if wanted is None:
        return None, frame
    return [str(name) for name in frame[wanted]], frame.drop(columns=wanted)


def _listed(names: Any) -> str:
    shown = [repr(str(name)) for name in names]
    more = len(shown) - 10
    return ", ".join(shown[:10]) + (f" and {more} more" if more > 0 else "")
