"""Files that are written whole or not at all."""

import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Seconds after which nobody is writing a partial file any more: the process that was has died.
ABANDONED = 24 * 60 * 60.0


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
