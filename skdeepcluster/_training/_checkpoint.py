"""Checkpoint files: written whole or not at all, checked when read, named after what they hold."""

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

_MAGIC = b"skdeepcluster checkpoint 1\n"
_DIGEST_SIZE = 32


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be used; the message names the file and what is wrong."""


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
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
        with os.fdopen(handle, "wb") as file:
            for part in (_MAGIC, digest, payload):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise CheckpointError(f"cannot write the checkpoint {path}: {error}.") from error


def read(path: Path) -> dict | None:
    """Read what :func:`write` wrote; None if there is no file.

    Raises
    ------
    CheckpointError
        If the file is damaged, or is no checkpoint.
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
    return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)


def fingerprint(name: str, params: dict, data: np.ndarray) -> str:
    """Hash of all that shapes a run: method, parameters and data.

    Parameters
    ----------
    name : str
        The method's name.
    params : dict of str to object
        Parameters that shape the result. Functions count by name and byte code, other objects by
        their `repr`.
    data : ndarray
    """
    digest = hashlib.blake2b(digest_size=12)
    described = {key: _describe(value) for key, value in sorted(params.items())}
    digest.update(json.dumps([name, described, list(data.shape), str(data.dtype)]).encode())
    step = max(1, (1 << 24) // max(1, data[:1].nbytes))
    for start in range(0, len(data), step):
        digest.update(np.ascontiguousarray(data[start : start + step]).data)
    return digest.hexdigest()


def _describe(value: object) -> str:
    code = getattr(value, "__code__", None)
    if code is not None:
        body = hashlib.blake2b(code.co_code, digest_size=12).hexdigest()
        return f"{value.__module__}.{value.__qualname__} {body}"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
