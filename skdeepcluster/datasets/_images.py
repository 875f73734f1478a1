"""Folders of image files as one array."""

import math
import os
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from joblib import effective_n_jobs
from PIL import Image, ImageColor, ImageFile, ImageOps
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skdeepcluster._files import without_room
from skdeepcluster._validation import LARGEST_INTEGER, check_boolean, check_choice, check_integer

#: Share of the memory that is available which an array may take before it becomes a memory map.
MEMORY_SHARE = 0.5

#: Files that a thread reads at once: enough to make the hand-over cheap, few for a smooth bar.
FILES_AT_ONCE = 64

#: How many names of unreadable files a warning lists.
NAMES_SHOWN = 10


def load_image_folder(
    path: str | Path,
    size: int | tuple[int, int],
    mode: str = "RGB",
    *,
    labels: bool = False,
    on_error: str = "warn",
    background: str = "white",
    memory_map: bool | str = "auto",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    """Read all images under a folder into one array.

    How it works: files in all folders below `path`, linked ones included, whose suffix belongs to a
    format that Pillow reads are taken in the order of their names; hidden files and folders are
    passed over. An image is turned as its EXIF orientation says; of several frames it is the first.
    Its largest central part of the wanted proportions is resized. One that has the size already is
    not touched. Transparent pixels show the background; 16-bit grey becomes 8-bit. Pixels of floats
    or of 32-bit integers, whose range no format tells, cannot be read.

    Parameters
    ----------
    path : str or path
        The folder.
    size : int or tuple of int
        Height and width of the result, in pixels; an int is both.
    mode : "RGB" or "L", default="RGB"
        Colour or grey.
    labels : bool, default=False
        Whether the first folder below `path` that a file is in is its label.
    on_error : "warn" or "raise", default="warn"
        What becomes of a file that cannot be read: skipped with a warning that names it, or an
        error.
    background : str, default="white"
        Colour behind transparent pixels, by any name that Pillow knows.
    memory_map : bool or "auto", default="auto"
        Whether the array is a memory map of a file in Python's temporary folder (`TMPDIR`), which
        vanishes with the array. "auto" is True where it would take more than half of the memory
        that is available.
    n_jobs : int or None, default=None
        Threads, as for scikit-learn: None is 1, -1 all cores. They pay for large images.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Bunch
        - data : ndarray of shape (n, H, W, 3) or, for "L", (n, H, W), uint8
        - filenames : ndarray of shape (n,) of str
            Relative to `path`.
        - unreadable : dict of str to str
            Files that were skipped, and why.
        - target : ndarray of shape (n,), int; only with `labels`
            Number of each image's folder.
        - target_names : list of str; only with `labels`
            The folders. One of which no image can be read keeps its number.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If `path` is no folder.
    ValueError
        If there are no images, none that can be read, with `labels` one that is in no folder, or a
        parameter is not as it must be; with ``on_error="raise"``, at the first file that cannot be
        read.
    OSError
        If a folder cannot be read, or a memory map finds no room.

    Warns
    -----
    DataConversionWarning
        If files were skipped.

    See Also
    --------
    sklearn.datasets.load_files : The same for texts, a folder a class.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skdeepcluster.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "cats").mkdir()
    ...     Image.new("RGB", (40, 30), "red").save(Path(folder) / "cats" / "one.png")
    ...     images = load_image_folder(folder, size=32, labels=True)
    >>> images.data.shape, images.target_names
    ((1, 32, 32, 3), ['cats'])
    """
    height, width = _check_size(size)
    check_choice("mode", mode, ("RGB", "L"))
    check_boolean("labels", labels)
    check_choice("on_error", on_error, ("warn", "raise"))
    check_choice("memory_map", memory_map, (True, False, "auto"))
    _check_colour(background)
    if n_jobs is not None:
        check_integer("n_jobs", n_jobs, minimum=-LARGEST_INTEGER)
    threads = effective_n_jobs(n_jobs)
    path = Path(path)
    names = _image_files(path)
    target, target_names = _labels(names) if labels else (None, None)

    shape = (len(names), height, width, *([3] if mode == "RGB" else []))
    data = _empty(shape, memory_map)
    read = partial(_read_into, data, path, names, mode, background, on_error == "raise")
    chunks = [range(i, min(i + FILES_AT_ONCE, len(names)))
              for i in range(0, len(names), FILES_AT_ONCE)]  # fmt: skip
    unreadable: dict[int, str] = {}
    bar = tqdm(total=len(names), desc=str(path.name), unit="image", disable=not verbose)
    with bar, ThreadPoolExecutor(threads) as pool:
        try:
            for chunk, failures in zip(chunks, pool.map(read, chunks), strict=True):
                unreadable |= failures
                bar.update(len(chunk))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise

    if len(unreadable) == len(names):
        raise ValueError(f"none of {len(names)} images in {path} can be read: "
                         f"{_listed(names, unreadable)}")  # fmt: skip
    if unreadable:
        warnings.warn(
            f"{len(unreadable)} of {len(names)} images in {path} cannot be read and were skipped: "
            f"{_listed(names, unreadable)}",
            DataConversionWarning,
            stacklevel=2,
        )
    kept = np.array([i for i in range(len(names)) if i not in unreadable])
    bunch = Bunch(
        data=_compact(data, kept),
        filenames=np.array(names)[kept],
        unreadable={names[i]: why for i, why in unreadable.items()},
    )
    if labels:
        bunch.update(target=target[kept], target_names=target_names)
    return bunch


def _check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be an int or (height, width), got {size!r}.")
    for side in sides:
        check_integer("size", side, minimum=1)
    return int(sides[0]), int(sides[1])


def _check_colour(background: str) -> None:
    try:
        ImageColor.getrgb(background)
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"background must be a colour's name or code that Pillow knows, got {background!r}."
        ) from error


def _image_files(path: Path) -> list[str]:
    """Names of the image files below `path`, relative to it, sorted."""
    if not path.exists():
        raise FileNotFoundError(f"there is no folder {path}.")
    if not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder.")
    Image.init()
    suffixes = {s for s, name in Image.registered_extensions().items() if _reads(name)}
    names = [name for name in _files(path) if os.path.splitext(name)[1].lower() in suffixes]
    if not names:
        raise ValueError(f"there are no images in {path}.")
    return sorted(names)


def _reads(name: str) -> bool:
    """Whether Pillow reads pixels of a format, and does not only know it when it sees it."""
    factory = Image.OPEN.get(name, (None,))[0]
    stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    return factory is not None and not stub and name != "MPEG"


def _files(path: Path, inside: str = "", above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names of the files in the folder `inside` of `path` and below, relative to `path`."""
    real = os.path.realpath(path / inside)
    if real in above:  # a link to a folder that it is in
        return
    with os.scandir(path / inside) as entries:
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(path, name, above | {real})
            else:
                yield name


def _labels(names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Return the number of each name's first folder, and the folders."""
    loose = [name for name in names if "/" not in name]
    if loose:
        raise ValueError(f"labels=True needs every image in a folder, but {loose[0]} is in none.")
    folders, target = np.unique([name.split("/")[0] for name in names], return_inverse=True)
    return target, folders.tolist()


def _empty(shape: tuple[int, ...], memory_map: bool | str) -> np.ndarray:
    if memory_map == "auto":
        memory_map = math.prod(shape) > MEMORY_SHARE * _available_memory()
    if not memory_map:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # it has no name: its space is free when the map goes
        if hasattr(os, "posix_fallocate"):
            try:  # to write where there is no room for it would kill the process
                os.posix_fallocate(file.fileno(), 0, math.prod(shape))
            except OSError as error:
                raise without_room(f"the array, {math.prod(shape):,} bytes,", error) from error
        return np.memmap(file, np.uint8, "w+", shape=shape)


def _available_memory() -> float:
    """Bytes, as far as the system tells; in a container those of its limit."""
    return min(_system_memory(), _container_memory())


def _container_memory() -> float:
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # there is none, or "max", which is no limit
        return math.inf


def _system_memory() -> float:
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        return 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    except (AttributeError, OSError, ValueError):
        return math.inf


def _read_into(
    data: np.ndarray,
    path: Path,
    names: list[str],
    mode: str,
    background: str,
    strict: bool,
    chunk: range,
) -> dict[int, str]:
    """Read the files of a chunk, and return which could not be read, and why."""
    failures = {}
    for i in chunk:
        try:
            data[i] = _read(path / names[i], data.shape[1:3], mode, background)
        except Exception as error:  # whatever a decoder makes of a broken file
            reason = str(error) or type(error).__name__
            if strict:
                raise ValueError(f"{path / names[i]} cannot be read: {reason}") from error
            failures[i] = reason
    return failures


def _read(file: Path, size: tuple[int, int], mode: str, background: str) -> np.ndarray:
    height, width = size
    with Image.open(file) as image:
        # JPEG can be decoded at a fraction of its size; it may still have to be turned.
        image.draft(None, (2 * max(size), 2 * max(size)))
        # Pillow reads 16-bit grey of these two as integers of 32 bits, up to 65,535.
        is_16_bit = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
        image = _plain(ImageOps.exif_transpose(image), background, is_16_bit)
        if image.mode == "LAB":  # which Pillow turns into RGB, and into nothing else
            image = image.convert("RGB")
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height))
        return np.asarray(image)


def _plain(image: Image.Image, background: str, is_16_bit: bool) -> Image.Image:
    """Return the image without transparency, palette and wide integers."""
    if image.mode.startswith("I") and is_16_bit:  # which convert would clip
        wide = np.asarray(image).astype(np.int64)
        clear = image.info.get("transparency")
        image = Image.fromarray(((wide.clip(0, 65535) + 128) // 257).astype(np.uint8))
        if clear is not None:
            image.putalpha(Image.fromarray((wide != clear).astype(np.uint8) * 255))
    if image.mode in ("F", "I"):
        kind = "floats" if image.mode == "F" else "32-bit integers"
        raise ValueError(f"its pixels are {kind}, of which the range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, background)
        return Image.alpha_composite(ground, image).convert("RGB")
    return image


def _compact(data: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Move the kept rows together, in place: a copy might not fit."""
    first = int(np.argmax(kept != np.arange(len(kept)))) if kept[-1] >= len(kept) else len(kept)
    for place in range(first, len(kept)):
        data[place] = data[kept[place]]
    return data[: len(kept)]


def _listed(names: list[str], unreadable: dict[int, str]) -> str:
    shown = [f"{names[i]} ({why})" for i, why in list(unreadable.items())[:NAMES_SHOWN]]
    more = len(unreadable) - len(shown)
    return ", ".join(shown) + (f" and {more} more." if more else ".")
