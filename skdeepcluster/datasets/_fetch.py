"""Known image data by name: from a file at hand, else from OpenML."""

import io
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import fetch_openml, get_data_home
from sklearn.utils import Bunch

from skdeepcluster._files import numpy_file, write_whole


class _Source(NamedTuple):
    """Where OpenML has a data set, and how its rows unfold."""

    name: str
    shape: tuple[int, ...]
    n_samples: int


_OPENML = {
    "mnist": _Source("mnist_784", (28, 28), 70_000),
    "fashion_mnist": _Source("Fashion-MNIST", (28, 28), 70_000),
    "cifar10": _Source("CIFAR_10", (3, 32, 32), 60_000),
}

#: OpenML's names may be used as well.
_OWN_NAMES = {source.name: name for name, source in _OPENML.items()}


def fetch(name: str, data_home: str | Path | None = None) -> Bunch:
    """Read images and labels by name, from a file or, the first time, from OpenML.

    Parameters
    ----------
    name : str
        "mnist", "fashion_mnist" or "cifar10", which OpenML has; by OpenML's names, "mnist_784",
        "Fashion-MNIST" and "CIFAR_10", they are the same. Or any other name of which there is a
        file.
    data_home : str, path or None, default=None
        The folder. ``DATA_HOME/NAME.npz`` with the arrays ``data`` and ``target`` is read if it is
        there; else what OpenML gives is kept there. None is scikit-learn's own folder,
        :func:`sklearn.datasets.get_data_home`. OpenML's names stand for the package's own in NAME,
        unless there is a file of just that name.

    Returns
    -------
    Bunch
        - data : ndarray of shape (n, H, W) or (n, H, W, C), uint8
            The images; from a file of your own, what it holds.
        - target : ndarray of shape (n,)
            The labels.
        - filename : str
            The file.

    Raises
    ------
    TypeError
        If `name` is no str.
    ValueError
        If there is no such file and the name is none of OpenML's, if the file is damaged, lacks an
        array or has not one label a row, or if OpenML gives something else than expected.
    OSError
        If OpenML cannot be reached, or the file cannot be written.

    Notes
    -----
    Reading OpenML's format takes up to a minute and eight bytes a number, 1.5 GB for CIFAR-10; the
    file that is kept is read in a moment.

    References
    ----------
    J. Vanschoren, J. van Rijn, B. Bischl, L. Torgo, "OpenML: Networked Science in Machine
    Learning", SIGKDD Explorations 15 (2013). MNIST: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner,
    "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86 (1998). Fashion-MNIST:
    H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747. CIFAR-10: A. Krizhevsky, "Learning Multiple
    Layers of Features from Tiny Images" (2009).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skdeepcluster.datasets import fetch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "mine.npz", data=np.zeros((5, 8, 8)), target=np.arange(5))
    ...     mine = fetch("mine", folder)
    >>> mine.data.shape
    (5, 8, 8)
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, got {name!r}.")
    folder = Path(get_data_home(data_home))
    path = folder / f"{name}.npz"
    if name in _OWN_NAMES and not path.is_file():
        name = _OWN_NAMES[name]
        path = folder / f"{name}.npz"
    if path.is_file():
        return _read(path)
    if name not in _OPENML:
        raise ValueError(
            f"there is no file {path}, and name={name!r} is none of what OpenML is asked for: "
            f"{', '.join(sorted(_OPENML))}."
        )
    write_whole(path, [], keep=False)  # not to know only after the download that it cannot be kept
    data, target = _download(name, path)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=data, target=target)
    write_whole(path, [buffer.getbuffer()])
    return Bunch(data=data, target=target, filename=str(path))


def _read(path: Path) -> Bunch:
    with numpy_file(path) as file:
        if isinstance(file, np.ndarray):
            raise ValueError("it is a single array")
        arrays = {key: file[key] for key in ("data", "target") if key in file.files}
        found = file.files
    if len(arrays) < 2:
        raise ValueError(f"{path} must have the arrays 'data' and 'target', found {found}.")
    shapes = arrays["data"].shape, arrays["target"].shape
    if len(shapes[1]) != 1 or shapes[0][:1] != shapes[1]:
        raise ValueError(
            f"{path} must have rows of data and one label a row, got arrays of the shapes "
            f"{shapes[0]} and {shapes[1]}."
        )
    return Bunch(**arrays, filename=str(path))


def _download(name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    source = _OPENML[name]
    try:
        # Uncached: what is kept is the .npz. The other parser would need pandas.
        bunch = fetch_openml(
            source.name, version=1, as_frame=False, cache=False, parser="liac-arff"
        )
    except (OSError, HTTPException) as error:
        raise OSError(
            f"cannot fetch {source.name} from OpenML ({error}). Without a connection, put a file "
            f"with the arrays 'data' and 'target' at {path}."
        ) from error
    expected = (source.n_samples, int(np.prod(source.shape)))
    if bunch.data.shape != expected:
        raise ValueError(
            f"OpenML's {source.name} should have the shape {expected}, got {bunch.data.shape}."
        )
    data = bunch.data.astype(np.uint8).reshape(-1, *source.shape)
    if len(source.shape) == 3:
        data = np.ascontiguousarray(data.transpose(0, 2, 3, 1))  # (n, C, H, W) to (n, H, W, C)
    return data, bunch.target.astype(np.int64)
