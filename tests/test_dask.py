"""A grid search over a Dask cluster; data on a disk that the workers see are not sent to them."""

import os
import pickle
from collections import Counter
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from estimators import blobs, quick, unconverged
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch.utils.data import Dataset

pytestmark = [pytest.mark.slow, unconverged]


class FileRows(Dataset):
    """Rows of a file by number; what travels is its name."""

    def __init__(self, path, numbers):
        self.path, self.numbers = path, numbers

    def __len__(self):
        return len(self.numbers)

    def __getitems__(self, indices):
        rows = np.load(self.path, mmap_mode="r")
        return list(rows[self.numbers[indices]])

    def __getitem__(self, i):
        return self.__getitems__([i])[0]


def open_rows(path, numbers):
    return FileRows(path, np.asarray(numbers).ravel())


class Logged(np.ndarray):
    """An array that writes down each process that it arrives in."""

    def __array_finalize__(self, other):
        self.log = getattr(other, "log", None)


def _arrive(array, log):
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()}\n")
    array = array.view(Logged)
    array.log = log
    return array


def _log_arrivals():
    """Tell Dask how to send such arrays, which it would send as plain ones."""
    from distributed.protocol.serialize import dask_deserialize, dask_serialize

    @dask_serialize.register(Logged)
    def _(x):
        return {"log": x.log, "shape": x.shape, "dtype": x.dtype.str}, [x.tobytes()]

    @dask_deserialize.register(Logged)
    def _(header, frames):
        array = np.frombuffer(frames[0], header["dtype"]).reshape(header["shape"])
        return _arrive(array, header["log"])


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        client.run(_log_arrivals)
        _log_arrivals()
        yield client


def search(estimator, prefix=""):
    grid = {f"{prefix}lam": [0.1, 0.5], f"{prefix}embedding_dim": [2, 3]}
    return GridSearchCV(estimator, grid, cv=2, refit=False)


def test_what_travels_of_a_file_is_its_name(cluster, tmp_path):
    X = np.tile(blobs(200, dtype=np.float32), (1, 64))
    path = tmp_path / "X.npy"
    np.save(path, X)
    model = quick("StatDEC", n_clusters=3, random_state=0)
    pipeline = make_pipeline(FunctionTransformer(partial(open_rows, str(path))), model)
    numbers = np.arange(len(X))[:, None]
    by_name = search(pipeline, "statdec__")
    assert len(pickle.dumps((by_name, numbers))) < X.nbytes / 10
    with joblib.parallel_config(backend="dask"):
        by_name.fit(numbers)
    expected = search(model).fit(X)
    np.testing.assert_allclose(
        by_name.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_an_array_travels_once_to_each_worker(cluster, tmp_path):
    X = blobs(200).view(Logged)
    X.log = str(tmp_path / "log")
    with joblib.parallel_config(backend="dask"):
        search(quick("StatDEC", n_clusters=3, random_state=0)).fit(X)
    workers = cluster.run(os.getpid).values()
    arrived = Counter(int(line) for line in Path(X.log).read_text().split())
    assert all(arrived[worker] <= 1 for worker in workers), arrived
    assert sum(arrived[worker] for worker in workers) >= 1
