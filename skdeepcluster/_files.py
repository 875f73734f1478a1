"""Files that are written whole or not at all, and arrays from files that may be damaged."""

import errno
import os
import tempfile
import time
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

#: Seconds after which nobody is writing a partial file any more: the process that was has died.
ABANDONED = 24 * 60 * 60.0

#: What NumPy and the archive beneath it raise where bytes are not what they should be, or are
#: packed in an unknown way or with a password.
_DAMAGED = (
    AttributeError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def numpy_file(path: Path) -> Iterator[np.ndarray | np.lib.npyio.NpzFile]:
    """Open an .npy or .npz file, without pickles, so that nothing in it can run.

    Parameters
    ----------
    path : Path

    Yields
    ------
    ndarray or NpzFile

    Raises
    ------
    ValueError
        If it is damaged, or not of this kind; also where an array is read from what is yielded.
    OSError
        If it cannot be read.
    """
    try:
        # Opened here, since NumPy leaves a damaged file open.
        with open(path, "rb") as stream:
            yield np.load(stream, allow_pickle=False)
    except (*_DAMAGED, OSError) as error:
        # A place before the file's beginning, from a damaged index, is no failure of the disk.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(f"{path} is no file of plain arrays ({error}).") from error


def write_whole(path: Path, parts: Iterable[bytes], *, keep: bool = True) -> None:
    """Replace `path` by the concatenation of `parts`, with the permissions that a new file has.

    A reader sees the old file or the new one, whenever the process dies. What it then leaves, under
    a name of its own, is removed by the first write a day later: runs that are killed again and
    again would fill the disk.

    Parameters
    ----------
    path : Path
    parts : iterable of bytes
    keep : bool, default=True
        False only tries, and leaves everything as it was.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with open(temporary, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        if keep:
            os.replace(temporary, path)
            _sweep(path)
    finally:  # whatever went wrong, a second Ctrl-C as well
        temporary.unlink(missing_ok=True)


def without_room(what: str, error: OSError) -> OSError:
    """Return `error` of a temporary file, with what was to be kept in it, and where."""
    where = f"cannot keep {what} in a temporary file in {tempfile.gettempdir()}"
    return OSError(error.errno, f"{where}: {error.strerror}")


def _sweep(path: Path) -> None:
    """Remove what dead processes left of `path`."""
    with suppress(OSError):  # others sweep, too, and the folder may not let itself be listed
        for entry in list(os.scandir(path.parent)):
            middle = entry.name.removeprefix(f"{path.name}.").removesuffix(".partial")
            ours = entry.name == f"{path.name}.{middle}.partial" and _is_hexadecimal(middle)
            if ours and time.time() - entry.stat().st_mtime > ABANDONED:
                os.unlink(entry.path)


def _is_hexadecimal(text: str) -> bool:
    return len(text) == 32 and set(text) <= set("0123456789abcdef")
