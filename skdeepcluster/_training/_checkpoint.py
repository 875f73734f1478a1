"""Checkpoint files: written whole or not at all, checked when read, named after what they hold."""

import hashlib
import io
import json
import pickle
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType

import numpy as np
import torch

from skdeepcluster._files import write_whole

_MAGIC = b"skdeepcluster checkpoint 1\n"
_DIGEST_SIZE = 32

#: Raised when the same parameters come to mean another computation: no file of before fits then.
_COMPUTATION = 4


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


def fingerprint(name: str, params: dict, data: np.ndarray) -> str:
    """Hash of all that shapes a run: method, parameters and data.

    Parameters
    ----------
    name : str
        The method's name.
    params : dict of str to object
        Parameters that shape the result. Functions count by name, code and what they hold, other
        objects by what they hold or their `repr`; addresses never do.
    data : ndarray
    """
    digest = hashlib.blake2b(digest_size=12)
    described = {key: _describe(value) for key, value in sorted(params.items())}
    head = [_COMPUTATION, name, described, list(data.shape), str(data.dtype)]
    digest.update(json.dumps(head).encode())
    step = max(1, (1 << 24) // max(1, data[:1].nbytes))
    for start in range(0, len(data), step):
        digest.update(np.ascontiguousarray(data[start : start + step]).data)
    return digest.hexdigest()


def _describe(value: object, above: tuple[int, ...] = ()) -> str:
    """Describe a parameter so that the same call in another process gives the same words."""
    if id(value) in above:  # a function may hold itself
        return "..."
    above = (*above, id(value))

    def inside(*values) -> str:
        return f"{type(value).__qualname__}({', '.join(_describe(v, above) for v in values)})"

    match value:
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case list() | tuple():
            return inside(*value)
        case set() | frozenset():
            return inside(*sorted(_describe(v, above) for v in value))
        case Mapping():
            return inside(*value.items())
        case FunctionType():
            held = [cell.cell_contents for cell in value.__closure__ or ()]
            own = inside(value.__code__, value.__defaults__, value.__kwdefaults__, *held)
            return f"{value.__module__}.{value.__qualname__} {own}"
        case CodeType():
            return inside(value.co_code, value.co_names, value.co_consts)
        case MethodType():
            return inside(value.__self__, value.__func__)
        case partial():
            return inside(value.func, value.args, value.keywords)
        case np.ndarray() if not value.dtype.hasobject:
            return inside(str(value.dtype), value.shape, value.tobytes())
        case bytes():
            return inside(hashlib.blake2b(value, digest_size=12).hexdigest())
        case torch.Tensor():
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            return inside(str(value.dtype), tuple(value.shape), content.numpy())
        case torch.nn.Module():
            return inside(repr(value), value.state_dict())
    if type(value).__repr__ is object.__repr__:
        return inside(vars(value) if hasattr(value, "__dict__") else type(value))
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
