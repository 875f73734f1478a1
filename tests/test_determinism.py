"""The same labels wherever and beside whatever a fit runs, and predictions from many at once."""

import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from estimators import QUICK, blobs, every_estimator, quick, unconverged
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from skdeepcluster._training._seeding import check_deterministic, deterministic_operations
from skdeepcluster.metrics import acc_scorer, ari_scorer, nmi_scorer

pytestmark = unconverged

#: Groups that overlap, so that each step counts.
X = blobs(96) + np.random.default_rng(1).normal(scale=4, size=(96, 4))

LABELS = make_blobs(96, 4, centers=3, random_state=0)[1]  # as `blobs` draws them

METHODS = ("predict", "predict_proba", "transform", "score_samples")


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def own_score(model, X, y=None):
    return model.score(X)


SCORERS = {"own": own_score, "acc": acc_scorer, "nmi": nmi_scorer, "ari": ari_scorer}


def model_of(name):
    return quick(name, n_clusters=3, max_epochs=3, random_state=0)


def answers(model, rows) -> dict[str, np.ndarray]:
    return {m: getattr(model, m)(rows) for m in METHODS if hasattr(model, m)}


def assert_same(got: dict, expected: dict) -> None:
    assert got.keys() == expected.keys()
    for method, answer in expected.items():
        assert_array_equal(got[method], answer, err_msg=method)


# ------------------------------------------------------------------ across processes

SCRIPT = """
import hashlib, json, sys, warnings
warnings.simplefilter("ignore")
from test_determinism import METHODS, QUICK, X, answers, model_of
found = {}
for name in sorted(QUICK, reverse=len(sys.argv) > 1):  # what was fitted before does not matter
    model = model_of(name).fit(X)
    digest = hashlib.blake2b(b"".join(a.tobytes() for a in answers(model, X).values()))
    found[name] = [model.labels_.tolist(), digest.hexdigest()]
print(json.dumps(found))
"""


def test_processes_with_other_hashes_of_strings():
    """Sets and dicts of strings come in another order in each process, results do not."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *more],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, more in (("0", []), ("4321", ["reversed"]))
    ]
    one, other = (json.loads(process.communicate()[0]) for process in started)
    assert one.keys() == QUICK.keys()
    assert one == other


@pytest.fixture
def processes(monkeypatch):
    """Two processes of one thread each, which the tests share."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # they do not have this one's filters
    with parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        yield


@pytest.mark.usefixtures("one_thread")
@every_estimator
def test_a_grid_search_in_one_process_and_in_two(name, processes):
    def search(n_jobs):
        grid = {"learning_rate": [0.001, 0.01]}
        return GridSearchCV(
            model_of(name), grid, scoring=SCORERS, cv=2, n_jobs=n_jobs, refit=False,
            error_score="raise",
        ).fit(X, LABELS)  # fmt: skip

    one, two = search(1).cv_results_, search(2).cv_results_
    for scorer in SCORERS:
        for split in (f"split0_test_{scorer}", f"split1_test_{scorer}"):  # to the last bit
            assert_array_equal(two[split], one[split])
    assert len(set(one["mean_test_own"])) == 2  # and they are not all the same


def fit_and_answer(model, rows):
    return model.fit(rows).labels_, answers(model, rows)


@pytest.mark.usefixtures("one_thread")
@every_estimator
def test_before_and_after_a_pickle_here_and_elsewhere(name, processes):
    model = model_of(name).fit(X)
    expected = answers(model, X)
    assert_same(answers(pickle.loads(pickle.dumps(model)), X), expected)
    jobs = [delayed(fit_and_answer)(m, X) for m in (clone(model), model)]
    for labels, found in Parallel()(jobs):
        assert_array_equal(labels, model.labels_)
        assert_same(found, expected)


# ------------------------------------------------------------------ many at once


@pytest.mark.usefixtures("one_thread")
@every_estimator
def test_a_process_pool_predicts_as_one_does(name, processes):
    model = model_of(name).fit(X)
    rows = np.random.default_rng(0).normal(scale=10, size=(3_000, 4))
    parts = np.array_split(rows, 8)
    found = Parallel()(delayed(answers)(model, part) for part in parts)
    for got, part in zip(found, parts, strict=True):
        assert_same(got, answers(model, part))


@every_estimator
def test_eight_threads_predict_as_one_does(name):
    """All at the same rows, and each at rows of its own, while others wait for the same model."""
    model = model_of(name).fit(X)
    rows = np.random.default_rng(0).normal(scale=10, size=(3_000, 4))
    parts = [rows] * 8 + np.array_split(rows, 16)
    expected = answers(model, rows)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: answers(model, part), parts))
    for got in found[:8]:
        assert_same(got, expected)
    together = {m: np.concatenate([got[m] for got in found[8:]]) for m in expected}
    assert_same(together, expected)


# ------------------------------------------------------------------ numbers of threads


@every_estimator
@pytest.mark.parametrize("threads", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 8))])
def test_a_number_of_threads_gives_the_same_twice(name, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        one, two = model_of(name).fit(X), model_of(name).fit(X)
        assert_same(answers(two, X), answers(one, X))
        assert_array_equal(one.predict(X), one.labels_)
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------ deterministic=True


class Watching(Callback):
    """Whether torch is held to deterministic operations, step by step."""

    def __init__(self):
        self.seen = set()

    def on_batch_end(self, net, **kwargs):
        self.seen.add(torch.are_deterministic_algorithms_enabled())


@every_estimator
def test_deterministic_holds_torch_to_it_for_the_fit_alone(name, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    watching, held = Watching(), Watching()
    plain = model_of(name).set_params(callbacks=[watching]).fit(X)
    model = model_of(name).set_params(callbacks=[held], deterministic=True).fit(X)
    assert (watching.seen, held.seen) == ({False}, {True})
    assert not torch.are_deterministic_algorithms_enabled()
    if torch.device(plain.net_.device).type == "cpu":
        assert_same(answers(model, X), answers(plain, X))


def test_deterministic_leaves_what_the_user_has_set():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        model_of("StatDEC").set_params(deterministic=True).fit(X)
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("given", [None, ":0:0"])
def test_deterministic_on_cuda_names_the_variable_that_it_needs(monkeypatch, given):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if given:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given)
    with pytest.raises(ValueError, match=rf"CUBLAS_WORKSPACE_CONFIG .* but it is {given}"):
        check_deterministic(True, "cuda:1")
    check_deterministic(False, "cuda:1")
    check_deterministic(True, "cpu")


def test_deterministic_fits_of_threads_overlap():
    inside, leave = threading.Barrier(2), threading.Event()
    seen = []

    def first():
        with deterministic_operations(True):
            inside.wait(60)
            leave.wait(60)

    def second():
        with deterministic_operations(True):
            inside.wait(60)
            leave.set()
            one.join(60)  # who came first has left
            seen.append(torch.are_deterministic_algorithms_enabled())

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join(60)
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()
