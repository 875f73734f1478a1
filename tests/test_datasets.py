"""Samplings have the sizes that their formulas say; files and folders come back as written."""

import builtins
import errno
import os
import re
from http.client import IncompleteRead
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import Bunch

from skdeepcluster import StatDEC, datasets
from skdeepcluster.datasets import (
    _fetch,
    _images,
    fetch,
    load_image_folder,
    make_long_tailed,
    make_retention_imbalanced,
    make_step_imbalanced,
)

SAMPLINGS = [make_long_tailed, make_step_imbalanced, make_retention_imbalanced]


def labelled(sizes, seed=0):
    """Rows that tell their own number, and labels in random order."""
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return np.column_stack([np.arange(len(y)), y]), y


# ------------------------------------------------------------------ samplings


def test_long_tailed_sizes_are_those_of_the_paper():
    # CIFAR-10's 5,000 a class at 1:100, as Cao et al. and many after them have them, but rounded
    # to the nearest instead of down
    _, y = make_long_tailed(*labelled([5000] * 10), ratio=100, random_state=0)
    assert np.bincount(y).tolist() == [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50]


@pytest.mark.parametrize(("ratio", "small"), [(10, 500), (100, 50), (1, 5000)])
def test_step_sizes(ratio, small):
    _, y = make_step_imbalanced(*labelled([5000] * 10), ratio, random_state=0)
    assert np.bincount(y).tolist() == [5000] * 5 + [small] * 5


def test_step_of_an_odd_number_of_classes_has_one_large_class_more():
    _, y = make_step_imbalanced(*labelled([20] * 5), 10, random_state=0)
    assert np.bincount(y).tolist() == [20, 20, 20, 2, 2]


def test_retention_sizes():
    _, y = make_retention_imbalanced(*labelled([1000] * 10), r_min=0.1, random_state=0)
    assert np.bincount(y).tolist() == [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
    _, y = make_retention_imbalanced(*labelled([100, 400, 60]), r_min=0.5, random_state=0)
    assert np.bincount(y).tolist() == [50, 300, 60]


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8), st.floats(1, 300))
def test_long_tail_and_step_start_from_the_smallest_class(sizes, ratio):
    X, y = labelled(sizes)
    counts = np.bincount(make_long_tailed(X, y, ratio, random_state=0)[1])
    assert counts[0] == min(sizes)
    assert abs(counts[-1] - min(sizes) / ratio) <= 0.5 or counts[-1] == 1
    assert (np.diff(counts) <= 0).all()
    assert counts.min() >= 1
    counts = np.bincount(make_step_imbalanced(X, y, ratio, random_state=0)[1])
    half = -(-len(sizes) // 2)
    assert (counts[:half] == min(sizes)).all()
    assert len(set(counts[half:])) == 1


@pytest.mark.parametrize("make", SAMPLINGS)
def test_rows_keep_their_labels_and_their_order(make):
    X, y = labelled([30, 40, 50])
    rows, target = make(X, y, random_state=0)
    assert_array_equal(rows[:, 1], target)
    assert (np.diff(rows[:, 0]) > 0).all()


@pytest.mark.parametrize("make", SAMPLINGS)
def test_the_seed_draws_the_rows(make):
    X, y = labelled([30, 40, 50])
    first = make(X, y, random_state=3)[0]
    assert_array_equal(first, make(X, y, random_state=3)[0])
    assert not np.array_equal(first, make(X, y, random_state=4)[0])


@pytest.mark.parametrize("make", SAMPLINGS)
def test_every_row_of_a_class_is_as_likely(make):
    X, y = labelled([8, 8])
    ratio, small_class = (0.5, 0) if make is make_retention_imbalanced else (2, 1)
    kept = np.zeros(16)
    for seed in range(300):
        rows, _ = make(X, y, ratio, random_state=seed)
        kept[rows[:, 0]] += 1
    small = kept[y == small_class]
    assert small.sum() == 4 * 300
    assert abs(small - 150).max() < 5 * np.sqrt(300 / 4)


def test_all_kinds_of_rows():
    X, y = labelled([10, 10])
    expected = make_long_tailed(X, y, 5, random_state=0)[0]
    frame = pd.DataFrame(X, index=np.arange(20)[::-1])
    rows = make_long_tailed(frame, pd.Series(y), 5, random_state=0)[0]
    assert isinstance(rows, pd.DataFrame)
    assert_array_equal(rows, expected)
    for kind in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil"):
        sparse = make_long_tailed(scipy.sparse.csr_array(X).asformat(kind), y, 5, random_state=0)[0]
        assert sparse.format == kind
        assert_array_equal(sparse.toarray(), expected)
    assert_array_equal(make_long_tailed(X.tolist(), y.tolist(), 5, random_state=0)[0], expected)
    images = np.zeros((20, 4, 4, 3), np.uint8)
    assert make_long_tailed(images, y, 5, random_state=0)[0].shape == (12, 4, 4, 3)
    names = np.array(["b", "a"])[y]
    _, target = make_long_tailed(X, names, 5, random_state=0)
    assert (target == "a").sum() == 10  # sorted: "a" is the first class
    assert (target == "b").sum() == 2


@pytest.mark.parametrize(
    ("make", "args", "error", "message"),
    [
        (make_long_tailed, (0.5,), ValueError, "ratio must be a finite number in [1, inf]"),
        (make_step_imbalanced, ("10",), TypeError, "ratio must be a number, got '10'"),
        (make_retention_imbalanced, (0,), ValueError, "r_min must be a finite number in (0, 1]"),
        (make_retention_imbalanced, (1.5,), ValueError, "r_min must be a finite number in (0, 1]"),
    ],
)
def test_bad_ratios(make, args, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(*labelled([5, 5]), *args)


@pytest.mark.parametrize("make", SAMPLINGS)
def test_bad_labels(make):
    with pytest.raises(ValueError, match="two classes at least, got only"):
        make(np.zeros((3, 1)), np.zeros(3, int))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make(np.zeros((3, 1)), [0, 1])
    with pytest.raises(TypeError, match="X must be rows of data, got None"):
        make(None, [0, 1])
    for labels, kinds in (([0, None, 1], "NoneType, int"), ([0, "a", 1], "int, str")):
        with pytest.raises(TypeError, match=f"y must be of one kind.*, got {kinds}"):
            make(np.zeros((3, 1)), np.array(labels, object))
    with pytest.raises(ValueError, match=r"one label a row, got shape \(2, 2\)"):
        make(np.zeros((2, 1)), [[0, 1], [1, 0]])


# ------------------------------------------------------------------ fetch


class Remote:
    """What OpenML would give where pandas is missing: strings for labels, channels first."""

    def __init__(self, monkeypatch):
        self.calls = []
        monkeypatch.setattr(_fetch, "fetch_openml", self)

    def __call__(self, name, **kwargs):
        self.calls.append((name, kwargs))
        if kwargs.get("as_frame", "auto") or kwargs.get("parser", "auto") != "liac-arff":
            raise ImportError("Returning pandas objects, and the parsers but one, require pandas")
        n, d = {"mnist_784": (70_000, 784), "CIFAR_10": (60_000, 3072)}[name]
        data = np.broadcast_to((np.arange(d) % 251).astype(np.uint8), (n, d))
        return Bunch(data=data, target=(np.arange(n) % 10).astype(str).astype(object))


def test_what_openml_gives_is_kept(monkeypatch, tmp_path):
    remote = Remote(monkeypatch)
    first = fetch("mnist", tmp_path)
    assert first.data.shape == (70_000, 28, 28)
    assert first.data.dtype == np.uint8
    assert first.target.dtype == np.int64
    assert_array_equal(first.target[:12], [*range(10), 0, 1])
    second = fetch("mnist", tmp_path)
    assert len(remote.calls) == 1
    assert_array_equal(first.data, second.data)
    assert_array_equal(first.target, second.target)
    assert first.filename == second.filename == str(tmp_path / "mnist.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["mnist.npz"]


def test_openmls_names_are_the_packages(monkeypatch, tmp_path):
    remote = Remote(monkeypatch)
    first = fetch("mnist_784", tmp_path)
    second = fetch("mnist", tmp_path)
    assert [name for name, _ in remote.calls] == ["mnist_784"]
    assert first.filename == second.filename == str(tmp_path / "mnist.npz")
    assert_array_equal(first.target, second.target)
    for name, own in [("Fashion-MNIST", "fashion_mnist"), ("CIFAR_10", "cifar10")]:
        np.savez(tmp_path / f"{own}.npz", data=np.zeros((2, 3)), target=[0, 1])
        assert fetch(name, tmp_path).filename == str(tmp_path / f"{own}.npz")
    # A file of that very name comes first.
    np.savez(tmp_path / "CIFAR_10.npz", data=np.ones((3, 4)), target=[0, 1, 2])
    assert fetch("CIFAR_10", tmp_path).data.shape == (3, 4)


def test_rows_of_cifar_unfold_channel_first(monkeypatch, tmp_path):
    Remote(monkeypatch)
    monkeypatch.setattr(_fetch, "write_whole", lambda path, parts, keep=True: None)
    monkeypatch.setattr(np, "savez_compressed", lambda *args, **kwargs: None)
    data = fetch("cifar10", tmp_path).data
    assert data.shape == (60_000, 32, 32, 3)
    row = np.arange(3072) % 251
    for channel in range(3):
        expected = row[1024 * channel : 1024 * (channel + 1)].reshape(32, 32)
        assert_array_equal(data[5, :, :, channel], expected)


def test_files_of_ones_own(tmp_path):
    np.savez(tmp_path / "mine.npz", data=np.ones((4, 3)), target=["a", "b", "a", "b"], more=1)
    mine = fetch("mine", tmp_path)
    assert_array_equal(mine.data, np.ones((4, 3)))
    assert set(mine) == {"data", "target", "filename"}


def test_without_a_connection(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(_fetch, "fetch_openml", fail)
    with pytest.raises(OSError, match=r"mnist_784 from OpenML \(no route to host\).*mnist\.npz"):
        fetch("mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_ends_in_the_middle(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise IncompleteRead(b"some")

    monkeypatch.setattr(_fetch, "fetch_openml", fail)
    with pytest.raises(OSError, match=r"Fashion-MNIST from OpenML \(IncompleteRead.*put a file"):
        fetch("fashion_mnist", tmp_path)


def test_what_cannot_be_kept_is_not_fetched(monkeypatch, tmp_path):
    fetched, opened = [], builtins.open
    monkeypatch.setattr(_fetch, "fetch_openml", lambda *args, **kwargs: fetched.append(args))

    def open_(file, mode="r", *args, **kwargs):
        if "x" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, mode, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", open_)
    with pytest.raises(PermissionError, match=r"mnist\.npz"):
        fetch("mnist", tmp_path)
    assert not fetched


def test_openml_with_something_else(monkeypatch, tmp_path):
    monkeypatch.setattr(
        _fetch, "fetch_openml", lambda *args, **kwargs: Bunch(data=np.zeros((5, 3)), target=[])
    )
    with pytest.raises(ValueError, match=r"shape \(70000, 784\), got \(5, 3\)"):
        fetch("fashion_mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_and_damaged_files(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*stl\.npz.*cifar10, fashion_mnist, mnist"):
        fetch("stl", tmp_path)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"broken\.npz is no file of plain arrays"):
        fetch("broken", tmp_path)
    np.savez(tmp_path / "half.npz", data=np.zeros(3))
    with pytest.raises(ValueError, match=r"'data' and 'target', found \['data'\]"):
        fetch("half", tmp_path)
    np.savez(tmp_path / "uneven.npz", data=np.zeros(3), target=np.zeros(2))
    with pytest.raises(ValueError, match=r"uneven\.npz .* the shapes \(3,\) and \(2,\)"):
        fetch("uneven", tmp_path)
    np.savez(tmp_path / "number.npz", data=np.float64(3), target=np.zeros(2))
    with pytest.raises(ValueError, match=r"number\.npz .* the shapes \(\) and \(2,\)"):
        fetch("number", tmp_path)
    np.savez(tmp_path / "columns.npz", data=np.zeros((3, 2)), target=np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"columns\.npz .* the shapes \(3, 2\) and \(3, 2\)"):
        fetch("columns", tmp_path)
    with pytest.raises(TypeError, match=r"name must be a str, got \['mnist'\]"):
        fetch(["mnist"], tmp_path)
    np.savez(tmp_path / "pickled.npz", data=np.array([{}], object), target=np.zeros(1))
    with pytest.raises(ValueError, match=r"pickled\.npz is no file of plain arrays"):
        fetch("pickled", tmp_path)
    with open(tmp_path / "single.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"single\.npz is no file .* \(it is a single array\)"):
        fetch("single", tmp_path)


def test_a_wrong_byte_is_seen_or_does_no_harm(tmp_path):
    data = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    np.savez_compressed(tmp_path / "whole.npz", data=data, target=np.arange(3))
    content = (tmp_path / "whole.npz").read_bytes()
    refused = 0
    for place in range(len(content)):
        wrong = bytearray(content)
        wrong[place] ^= 0xFF
        (tmp_path / "wrong.npz").write_bytes(wrong)
        try:
            found = fetch("wrong", tmp_path)
        except ValueError:
            refused += 1
        else:
            assert_array_equal(found.data, data)
    assert refused > len(content) / 2


# ------------------------------------------------------------------ folders of images


def noise(height=8, width=8, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two classes in nested folders, three images each."""
    for label in ("cats", "dogs/small"):
        (tmp_path / label).mkdir(parents=True)
    for i in range(6):
        name = f"{'cats' if i < 3 else 'dogs/small'}/{i}.png"
        Image.fromarray(noise(seed=i)).save(tmp_path / name)
    return tmp_path


def test_linked_folders_are_read_and_loops_end(folder):
    (folder / "birds").symlink_to(folder / "cats")
    (folder / "dogs" / "all").symlink_to(folder)
    images = load_image_folder(folder, 8, labels=True)
    assert images.target_names == ["birds", "cats", "dogs"]
    assert images.filenames.tolist()[:4] == [f"birds/{i}.png" for i in range(3)] + ["cats/0.png"]
    assert np.bincount(images.target).tolist() == [3, 3, 3]


def test_files_that_pillow_only_recognises_are_no_images(folder):
    for suffix in ("h5", "mpg", "grib", "wmf"):
        (folder / "cats" / f"a.{suffix}").write_bytes(b"nothing")
    assert len(load_image_folder(folder, 8, on_error="raise").data) == 6


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("memory_map", [False, True])
def test_pixels_come_back_as_written(folder, n_jobs, memory_map):
    images = load_image_folder(folder, 8, n_jobs=n_jobs, memory_map=memory_map)
    assert isinstance(images.data, np.memmap) == memory_map
    assert_array_equal(images.data, [noise(seed=i) for i in range(6)])
    assert images.filenames.tolist() == [f"cats/{i}.png" for i in range(3)] + [
        f"dogs/small/{i}.png" for i in range(3, 6)
    ]
    assert images.unreadable == {}
    assert "target" not in images


def test_labels_are_the_first_folders(folder):
    images = load_image_folder(folder, 8, labels=True)
    assert images.target.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.target_names == ["cats", "dogs"]


def test_a_loose_file_has_no_label(folder):
    Image.new("L", (8, 8)).save(folder / "loose.png")
    with pytest.raises(ValueError, match=r"every image in a folder, but loose\.png is in none"):
        load_image_folder(folder, 8, labels=True)
    assert len(load_image_folder(folder, 8).data) == 7


def test_an_estimator_takes_what_is_loaded(folder):
    images = load_image_folder(folder, 8, memory_map=True)
    model = StatDEC(2, hidden_sizes=(4, 4), max_epochs=0, pretrain_epochs=1, random_state=0)
    assert model.fit(images.data).labels_.shape == (6,)


@pytest.mark.filterwarnings("error")
def test_what_is_no_image_is_passed_over(folder):
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").mkdir()
    Image.new("L", (8, 8)).save(folder / ".hidden" / "a.png")
    Image.new("L", (8, 8)).save(folder / ".b.png")
    assert len(load_image_folder(folder, 8).data) == 6


def test_unreadable_files_are_named_and_skipped(folder):
    (folder / "cats" / "1.png").write_bytes(b"no image")
    whole = (folder / "dogs" / "small" / "4.png").read_bytes()
    (folder / "dogs" / "small" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(DataConversionWarning, match=r"2 of 6 images.*cats/1\.png.*small/4\.png"):
        images = load_image_folder(folder, 8, labels=True)
    assert_array_equal(images.data, [noise(seed=i) for i in (0, 2, 3, 5)])
    assert images.target.tolist() == [0, 0, 1, 1]
    assert [name[-5:] for name in images.filenames] == ["0.png", "2.png", "3.png", "5.png"]
    assert set(images.unreadable) == {"cats/1.png", "dogs/small/4.png"}
    assert "truncated" in images.unreadable["dogs/small/4.png"]


def test_the_first_and_the_last_may_be_unreadable(folder):
    for name in ("cats/0.png", "dogs/small/5.png"):
        (folder / name).write_bytes(b"")
    with pytest.warns(DataConversionWarning):
        images = load_image_folder(folder, 8)
    assert_array_equal(images.data, [noise(seed=i) for i in (1, 2, 3, 4)])


def test_unreadable_files_may_be_errors(folder):
    (folder / "cats" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.png cannot be read: cannot identify"):
        load_image_folder(folder, 8, on_error="raise")


def test_nothing_readable_is_an_error(tmp_path):
    for i in range(12):
        (tmp_path / f"{i:02}.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of 12 images.*00\.jpg.*and 2 more"):
        load_image_folder(tmp_path, 8)


def draw(height=24, width=16):
    """An image with a mark in its upper left corner."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).rectangle((0, 0, width // 2 - 1, height // 3), fill="black")
    return image


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation(tmp_path, orientation, turn):
    stored = draw() if turn is None else draw().transpose(turn)  # as the sensor saw it
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    images = load_image_folder(tmp_path, (24, 16))
    assert_array_equal(images.data[0], np.asarray(draw()))


def test_palettes_and_their_transparency(tmp_path):
    red_and_clear = Image.new("P", (8, 8))
    red_and_clear.putpalette([255, 0, 0, 0, 0, 255])
    red_and_clear.paste(1, (0, 0, 8, 4))  # the upper half is clear
    red_and_clear.save(tmp_path / "a.png", transparency=1)
    red_and_clear.save(tmp_path / "b.png")
    data = load_image_folder(tmp_path, 8, background="lime").data
    assert data[0, 0, 0].tolist() == [0, 255, 0]
    assert data[0, 7, 7].tolist() == [255, 0, 0]
    assert data[1, 0, 0].tolist() == [0, 0, 255]


def test_transparent_grey_of_16_bits(tmp_path):
    wide = np.full((8, 8), 1000, np.uint16)
    wide[4:] = 40_000
    Image.fromarray(wide).save(tmp_path / "a.png", transparency=1000)
    data = load_image_folder(tmp_path, 8, background="lime").data
    assert data[0, 0, 0].tolist() == [0, 255, 0]
    assert data[0, 7, 7].tolist() == [156, 156, 156]  # 40,000 of 65,535


def test_a_folder_without_a_readable_image_keeps_its_number(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        draw().save(tmp_path / name / "x.png")
    (tmp_path / "b" / "x.png").write_bytes(b"nothing")
    with pytest.warns(DataConversionWarning, match="1 of 3"):
        images = load_image_folder(tmp_path, 8, labels=True)
    assert images.target.tolist() == [0, 2]
    assert images.target_names == ["a", "b", "c"]


def test_alpha_shows_the_background(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 128)).save(tmp_path / "b.png")
    Image.new("LA", (8, 8), (0, 255)).save(tmp_path / "c.png")
    colour = load_image_folder(tmp_path, 8).data[:, 0, 0]
    assert colour.tolist() == [[255, 255, 255], [127, 127, 127], [0, 0, 0]]
    grey = load_image_folder(tmp_path, 8, "L", background="black").data[:, 0, 0]
    assert grey.tolist() == [0, 0, 0]


def test_wide_grey_is_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).reshape(8, 8)
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "b.tiff")
    Image.fromarray(ramp.astype(np.int32)).save(tmp_path / "c.pgm")
    for image in load_image_folder(tmp_path, 8, "L").data:
        np.testing.assert_allclose(image, ramp / 257, atol=0.51)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_of_unknown_range_are_unreadable(tmp_path, dtype):
    Image.fromarray(np.ones((8, 8), dtype)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match=r"a\.tiff.*the range is not known"):
        load_image_folder(tmp_path, 8)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "JPEG", "png", "ppm", "tiff", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_formats_and_modes(tmp_path, suffix, mode):
    draw().save(tmp_path / f"a.{suffix}")
    data = load_image_folder(tmp_path, (24, 16), mode).data
    assert data.shape == ((1, 24, 16, 3) if mode == "RGB" else (1, 24, 16))
    np.testing.assert_allclose(data[0], np.asarray(draw().convert(mode)), atol=24)


def test_cmyk_is_converted(tmp_path):
    draw().convert("CMYK").save(tmp_path / "a.jpg")
    data = load_image_folder(tmp_path, (24, 16)).data
    assert abs(data[0].astype(int) - np.asarray(draw())).mean() < 12


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lab_is_converted(tmp_path, mode):
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(
        *map(ImageCms.createProfile, ("sRGB", "LAB")), "RGB", "LAB"
    )  # fmt: skip
    ImageCms.applyTransform(draw(), to_lab).save(tmp_path / "a.tiff")
    data = load_image_folder(tmp_path, (24, 16), mode).data
    np.testing.assert_allclose(data[0], np.asarray(draw().convert(mode)), atol=24)


@pytest.mark.parametrize(("n_jobs", "error"), [("a", TypeError), (2.5, TypeError), (0, ValueError)])
def test_numbers_of_threads_that_are_none(folder, n_jobs, error):
    with pytest.raises(error, match="n_jobs"):
        load_image_folder(folder, 8, n_jobs=n_jobs)


def test_the_centre_is_cut_out_and_resized(tmp_path):
    # Black bars left and right of a white square: nothing of them but what a filter takes in at
    # the cut.
    image = Image.new("L", (60, 20), 0)
    image.paste(255, (20, 0, 40, 20))
    image.save(tmp_path / "a.png")
    assert (load_image_folder(tmp_path, 10, "L").data[0, :, 1:-1] == 255).all()
    assert load_image_folder(tmp_path, (10, 30), "L").data.shape == (1, 10, 30)


def test_large_photographs_are_decoded_small(tmp_path):
    image = Image.fromarray(noise(5, 4)).resize((800, 1000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    expected = np.asarray(image.transpose(Image.Transpose.ROTATE_270).resize((50, 40)))
    data = load_image_folder(tmp_path, (40, 50)).data[0]
    assert abs(data.astype(int) - expected).mean() < 3


def test_a_map_when_the_result_would_not_fit(folder, monkeypatch):
    n_bytes = 6 * 8 * 8 * 3
    monkeypatch.setattr(_images, "_available_memory", lambda: 2 * n_bytes)
    assert not isinstance(load_image_folder(folder, 8).data, np.memmap)
    monkeypatch.setattr(_images, "_available_memory", lambda: 2 * n_bytes - 1)
    assert isinstance(load_image_folder(folder, 8).data, np.memmap)
    assert not isinstance(load_image_folder(folder, 8, memory_map=False).data, np.memmap)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing reserves room here")
def test_a_map_without_room_for_it_is_an_error(folder, monkeypatch):
    def full(descriptor, start, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"1,152 bytes, in a temporary file in .*: No space left"):
        load_image_folder(folder, 8, memory_map=True)


def test_a_container_s_limit_counts(monkeypatch):
    files = {"memory.max": "3000000", "memory.current": "1000000"}
    monkeypatch.setattr(Path, "read_text", lambda path: files[path.name])
    assert _images._available_memory() == 2_000_000
    files["memory.max"] = "max"
    assert _images._available_memory() > 2_000_000


def test_memory_is_known_here():
    assert 2**20 < _images._available_memory() < 2**50


def test_progress_counts_the_images(folder, capsys):
    load_image_folder(folder, 8, verbose=1)
    assert "6/6" in capsys.readouterr().err
    load_image_folder(folder, 8)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": (8, 8, 3)}, ValueError, "size must be an int or (height, width), got (8, 8, 3)"),
        ({"size": 8.0}, TypeError, "size must be an int, got 8.0"),
        ({"mode": "RGBA"}, ValueError, "mode must be one of ('RGB', 'L'), got 'RGBA'"),
        ({"labels": "yes"}, TypeError, "labels must be True or False, got 'yes'"),
        ({"on_error": "ignore"}, ValueError, "on_error must be one of ('warn', 'raise')"),
        ({"memory_map": "yes"}, ValueError, "memory_map must be one of (True, False, 'auto')"),
        ({"background": "no colour"}, ValueError, "background must be a colour's name"),
    ],
)
def test_bad_parameters(folder, params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        load_image_folder(folder, **{"size": 8, **params})


def test_bad_folders(folder):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        load_image_folder(folder / "nowhere", 8)
    with pytest.raises(NotADirectoryError, match=r"0\.png is not a folder"):
        load_image_folder(folder / "cats" / "0.png", 8)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no images in .*empty"):
        load_image_folder(folder / "empty", 8)


def test_public_names():
    assert set(datasets.__all__) <= set(dir(datasets))
