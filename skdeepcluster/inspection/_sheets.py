"""Many small images as few files, as large as they may be."""

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image, features

from skdeepcluster.inspection._images import Images, mosaic

#: Pixels of a sheet at most: a browser holds it decoded while it shows it.
SHEET = 2_000_000

#: Images of a sheet at most: one is decoded for a page of some fifty.
PER_SHEET = 250

#: Sides in pixels and qualities that are tried, the best first; None is without loss.
LADDER = (
    (256, 85),
    (160, 85),
    (128, 80),
    (96, 80),
    (64, None),
    (64, 90),
    (64, 75),
    (64, 50),
    (48, 75),
    (48, 50),
    (32, 75),
    (32, 50),
    (24, 50),
    (16, 50),
)


def encode(images: Images, rows: np.ndarray, budget: float) -> dict[str, Any]:
    """Encode rows as sheets of thumbnails, in at most `budget` bytes if that is possible.

    Parameters
    ----------
    images : Images
    rows : ndarray of shape (m,), int
        Which, in which order.
    budget : float
        Bytes of the data URIs.

    Returns
    -------
    dict
        "width", "height" of a thumbnail, "columns" and "perSheet", "sheets": data URIs.
    """
    longest = max(images.size)
    steps = [(min(side, longest), quality) for side, quality in LADDER]
    if longest <= 64:  # small enough to be kept as they are, if there is room
        steps = [(longest, None), *(step for step in steps if step[1] is not None)]
    steps = list(dict.fromkeys(steps))
    trial = rows[np.linspace(0, len(rows) - 1, min(len(rows), PER_SHEET)).astype(int)]
    for number, (side, quality) in enumerate(steps):
        is_last = number == len(steps) - 1
        size = sum(map(len, _sheets(images, trial, side, quality)["sheets"]))
        if size * len(rows) / len(trial) > budget and not is_last:
            continue
        result = _sheets(images, rows, side, quality)
        if is_last or sum(map(len, result["sheets"])) <= budget:
            return result
    raise AssertionError("the last step returns")


def _sheets(images: Images, rows: np.ndarray, side: int, quality: int | None) -> dict[str, Any]:
    height, width = images.take(rows[:1], side).shape[1:3]
    per_sheet = int(np.clip(SHEET // (height * width), 1, PER_SHEET))
    columns = math.ceil(math.sqrt(per_sheet))
    sheets = []
    for start in range(0, len(rows), per_sheet):
        tiles = images.take(rows[start : start + per_sheet], side)
        lines = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
        sheet = mosaic(lines, columns)
        picture = Image.fromarray(sheet if images.is_color else sheet[..., 0].copy())
        sheets.append(as_uri(picture, quality))
    return {
        "width": width,
        "height": height,
        "columns": columns,
        "perSheet": per_sheet,
        "sheets": sheets,
    }


def as_uri(picture: Image.Image, quality: int | None) -> str:
    """Encode as a data URI: as WebP, or where Pillow cannot write it as PNG or JPEG."""
    file = io.BytesIO()
    if features.check("webp"):
        kind, options = "webp", {"quality": quality} if quality else {"lossless": True}
    elif quality is None:
        kind, options = "png", {"optimize": True}
    else:
        kind, options = "jpeg", {"quality": quality}
    picture.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
