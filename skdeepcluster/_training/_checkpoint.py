"""Checkpoint files: written whole or not at all, and checked when read."""

import hashlib
import io
import pickle
from pathlib import Path

import torch

from skdeepcluster._files import write_whole

_MAGIC = b"skdeepcluster checkpoint 1\n"
_DIGEST_SIZE = 32


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be used; the message names the file and what is wrong.

    See Also
    --------
    skdeepcluster.StatDEC.fit : What raises it, with `checkpoint`, as the other estimators do.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import CheckpointError, StatDEC
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = StatDEC(n_clusters=3, checkpoint=folder, random_state=0, **quick).fit(X)
    ...     for file in Path(folder).iterdir():
    ...         _ = file.write_bytes(file.read_bytes()[:-1])
    ...     try:
    ...         model.fit(X)
    ...     except CheckpointError as error:
    ...         print("is damaged" in str(error))
    True
    """


def write(path: Path, state: dict) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) to `path` atomically.

    A reader sees the old file or the new one, whenever the process dies.

    Raises
    ------
    CheckpointError
        If the file cannot be written; the message names it.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_SIZE).digest()
    _write(path, _MAGIC, digest, payload)


def check_writable(path: Path) -> None:
    """Find out before a long run whether `path` could be written.

    Raises
    ------
    CheckpointError
        If it cannot; the message names it.
    """
    _write(path, b"", keep=False)


def _write(path: Path, *parts: bytes, keep: bool = True) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, parts, keep=keep)
    except OSError as error:
        raise CheckpointError(f"cannot write the checkpoint {path}: {error}.") from error


def read(path: Path) -> dict | None:
    """Read what :func:`write` wrote; None if there is no file.

    Raises
    ------
    CheckpointError
        If the file is damaged, or is no checkpoint.
    MemoryError
        If there is not enough memory for it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error}.") from error
    advice = "Delete it to begin anew, or restore it from a copy."
    if not content.startswith(_MAGIC):
        raise CheckpointError(f"{path} is not a checkpoint of this version. {advice}")
    start = len(_MAGIC) + _DIGEST_SIZE
    digest, payload = content[len(_MAGIC) : start], memoryview(content)[start:]
    if hashlib.blake2b(payload, digest_size=_DIGEST_SIZE).digest() != digest:
        raise CheckpointError(
            f"the checkpoint {path} is damaged: its content does not match its checksum. {advice}"
        )
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        check_memory(error, path)
        raise CheckpointError(f"cannot read the checkpoint {path}: {error} {advice}") from error


def check_memory(error: Exception, path: Path) -> None:
    """Raise MemoryError if `error` is torch's for that: nothing is wrong with the file then."""
    words = ("can't allocate memory", "not enough memory", "bad_alloc")
    if isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words):
        raise MemoryError(f"not enough memory to resume from {path}: {error}") from error
