"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, parts: Iterable[bytes], *, keep: bool = True) -> None:
    """Replace `path` by the concatenation of `parts`, with the permissions that a new file has.

    A reader sees the old file or the new one, whenever the process dies.

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
    finally:  # whatever went wrong, a second Ctrl-C as well
        temporary.unlink(missing_ok=True)
