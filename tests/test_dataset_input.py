"""Memory maps and torch datasets as X give what the same rows in an array give."""

import tempfile
from collections import Counter

import numpy as np
import pytest
import torch
from estimators import blobs, every_estimator, images, quick, unconverged
from numpy.testing import assert_array_equal
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from skdeepcluster import StatDEC, _rows

pytestmark = unconverged

#: Short runs: what is compared is bits.
SHORT = {
    "StatDEC": {"layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 1},
    "DCCS": {"max_epochs": 1},
    "MMDC": {"max_epochs": 2},
    "VariationalGMMClustering": {"max_epochs": 1},
}


def short(name, **params):
    return quick(name, random_state=0, **{"n_clusters": 3, **SHORT[name], **params})


class Items(Dataset):
    """Items by number, as something that `form` makes of a row; counts how often each is read."""

    def __init__(self, X, form=lambda row: row):
        self.X, self.form, self.reads = X, form, Counter()

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        self.reads[i] += 1
        return self.form(self.X[i])


class Fetched(Items):
    """The same, several at a time."""

    def __getitems__(self, numbers):
        self.reads.update(numbers)
        return [self.form(self.X[i]) for i in numbers]


class Stream(IterableDataset):
    def __init__(self, X):
        self.X = X

    def __iter__(self):
        buffer = np.empty_like(self.X[0])
        for row in self.X:
            buffer[:] = row  # one buffer for all, as a reader of files may have
            yield buffer, "a label"


def assert_alike(model, other, X, dataset):
    for method in ("predict", "predict_proba", "transform", "score"):
        if hasattr(model, method):
            assert_array_equal(getattr(other, method)(dataset), getattr(model, method)(X))
    assert_array_equal(other.labels_, model.labels_)
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in m.history_]
            for m in (model, other)]  # fmt: skip
    assert rows[0] == rows[1]


@every_estimator
@pytest.mark.parametrize("kind", ["array", "image"])
def test_a_dataset_is_the_array_of_its_items(name, kind):
    X = blobs(dtype=np.float32) if kind == "array" else images(60, 6, 5, 3)
    model = short(name).fit(X)
    dataset = Items(X, lambda row: (torch.from_numpy(row), "a label"))
    assert_alike(model, short(name).fit(dataset), X, dataset)


@pytest.mark.parametrize(
    ("dataset", "dtype"),
    [
        (Fetched, "float64"),
        (lambda X: TensorDataset(torch.from_numpy(X)), "float32"),
        (lambda X: Subset(Items(np.concatenate([X, X])), range(len(X), 2 * len(X))), "int16"),
        (Stream, "float64"),
        (Stream, "uint8"),
        (Items, ">f4"),
        (Items, "bool"),
    ],
)
def test_kinds_of_datasets(dataset, dtype):
    X = (10 * blobs() + 128).clip(0, 255).astype(dtype)
    model = short("StatDEC").fit(X)
    given = dataset(X)
    assert_alike(model, short("StatDEC").fit(given), X, given)


@every_estimator
def test_a_memory_map_is_an_array(name, tmp_path):
    X = blobs(dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = short(name).fit(X)
    assert_alike(model, short(name).fit(mapped), X, mapped)


@pytest.mark.parametrize("kind", [Items, Fetched])
def test_prediction_reads_each_item_once(kind):
    X = blobs()
    model = short("StatDEC").fit(X)
    dataset = kind(X)
    model.predict(dataset)
    # The first is looked at, and checked as one row, before.
    assert all(dataset.reads[i] == 1 for i in range(1, len(X)))
    assert dataset.reads[0] <= 3


def test_of_8_bit_images_nothing_is_read_before_training():
    dataset = Items(images())
    model = short("StatDEC", n_clusters=2, pretrain_epochs=0, max_epochs=0)
    model.fit(dataset)
    # k-means, target, labels; a mean square of some
    assert max(dataset.reads[i] for i in range(1, 60)) <= 4


def test_a_run_on_a_dataset_goes_on_from_the_checkpoint_of_the_array(tmp_path):
    X = blobs()
    model = short("StatDEC", checkpoint=tmp_path)
    first = model.fit(X).labels_
    dataset = Items(X)
    assert_array_equal(model.fit(dataset).labels_, first)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_file_of_a_stream_goes_with_the_call(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(_rows, "_BLOCK", 64)
    X = blobs()
    model = short("StatDEC").fit(Stream(X))
    assert_array_equal(model.predict(Stream(X)), model.labels_)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_that_cannot_be_kept_names_the_folder(tmp_path, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exc):
            pass

        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **kwargs: Full())
    with pytest.raises(OSError, match=f"more than 0 rows .* in {tmp_path}: No space left"):
        short("StatDEC").fit(Stream(blobs()))


class Endless(Dataset):
    def __getitem__(self, i):
        return np.zeros(3)


def with_row(value):
    X = blobs()
    X[7, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (Endless(), TypeError, "must have a length, Endless has none"),
        (Items(np.empty((0, 3))), ValueError, "X, a Items, has no items"),
        (Stream(np.empty((0, 3)) if False else np.zeros((1, 3))), ValueError, "n_samples=1"),
        (Items(with_row(np.nan)), ValueError, "item 7 of X contains NaN or infinity"),
        (Stream(with_row(-np.inf)), ValueError, "item 7 of X contains NaN or infinity"),
        (Items(blobs(), lambda row: {"x": row}), ValueError, "item 0 is a dict"),
        (Items(blobs(), lambda row: row[0]), ValueError, r"of shape \(\)"),
        (Items(blobs().astype(complex)), ValueError, "dtype complex128"),
        (Items(np.zeros((9, 2, 2, 2, 2))), ValueError, r"item 0 is a ndarray of shape \(2, 2, 2"),
        (Items(range(3, 60), np.zeros), ValueError, r"item \d+ of X has the shape \(\d+,\)"),
        (DataLoader(TensorDataset(torch.zeros(9, 2))), TypeError, "got a DataLoader: pass its dat"),
    ],
)
def test_what_is_no_dataset_of_rows_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        short("StatDEC").fit(X)


def test_rows_of_another_shape_than_in_fit_are_refused():
    X = images(60, 6, 4)
    model = short("StatDEC", n_clusters=2).fit(X)
    with pytest.raises(ValueError, match=r"rows of shape \(4, 6\)"):
        model.predict(Items(images(10, 4, 6)))
    with pytest.raises(ValueError, match="X has 5 features, but StatDEC is expecting 24"):
        model.predict(Items(blobs(n_features=5)))
    assert_array_equal(model.predict(Items(X.reshape(60, -1))), model.labels_)


def test_feature_names_are_forgotten():
    pd = pytest.importorskip("pandas")
    X = blobs()
    model = short("StatDEC").fit(pd.DataFrame(X, columns=list("abcd")))
    model.fit(Items(X))
    assert not hasattr(model, "feature_names_in_")
    assert isinstance(model, StatDEC)
