"""What always holds, whatever the method: the promises that scikit-learn's users rely on."""

import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from estimators import QUICK, blobs, brief, every_estimator, has, images, quick, unconverged
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import skdeepcluster
from skdeepcluster.metrics import acc_scorer, ari_scorer, nmi_scorer

pytestmark = unconverged

SCORERS = {"acc": acc_scorer, "nmi": nmi_scorer, "ari": ari_scorer}

#: Parameters of their own that a grid search varies; else the learning rate.
GRIDS = {
    "DCCS": {"beta_aug": [0.5, 2.0], "n_style": [0, 4]},
    "StatDEC": {"lam": [0.1, 0.5], "embedding_dim": [2, 3]},
}

METHODS = ("predict", "predict_proba", "transform", "score_samples")


def answers(estimator, X) -> dict[str, np.ndarray]:
    return {m: getattr(estimator, m)(X) for m in METHODS if hasattr(estimator, m)}


def assert_same_answers(got: dict, expected: dict) -> None:
    assert got.keys() == expected.keys()
    for method in expected:
        assert_array_equal(got[method], expected[method], err_msg=method)


@pytest.fixture(scope="module", params=sorted(QUICK))
def fitted(request):
    """A fitted estimator, never to be changed, and its training data."""
    X = blobs()
    return quick(request.param, n_clusters=3, random_state=0).fit(X), X


# ------------------------------------------------------------------ labels and probabilities


def test_labels_are_the_predictions_for_the_training_data(fitted):
    model, X = fitted
    assert_array_equal(model.labels_, model.predict(X))
    assert_array_equal(model.labels_, clone(model).fit_predict(X))
    assert model.labels_.shape == (len(X),)
    assert model.labels_.dtype.kind == "i"


@every_estimator
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_labels_are_the_predictions_at_any_precision_of_training(name, precision):
    X = np.random.default_rng(0).normal(size=(150, 5))
    model = quick(name, n_clusters=4, precision=precision, random_state=0).fit(X)
    assert_array_equal(model.labels_, model.predict(X))


@every_estimator
def test_labels_are_the_predictions_for_images(name):
    X = images()
    model = quick(name, n_clusters=2, random_state=0).fit(X)
    assert_array_equal(model.labels_, model.predict(X))


def test_probabilities(fitted):
    model, X = fitted
    proba = model.predict_proba(X)
    assert proba.shape == (len(X), 3)
    assert proba.dtype == np.float32
    assert (proba >= 0).all()
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert_array_equal(model.predict(X), proba.argmax(axis=1))


def test_blobs_are_found(fitted):
    model, X = fitted
    assert len(set(model.labels_)) == 3
    assert ari_scorer(model, X, blobs_labels()) == 1


def blobs_labels():
    from sklearn.datasets import make_blobs

    return make_blobs(90, 4, centers=3, cluster_std=0.3, random_state=0)[1]


# ------------------------------------------------------------------ rows on their own


@pytest.mark.parametrize("n_rows", [1, 2, 7, 64])
def test_answers_do_not_depend_on_the_other_rows(fitted, n_rows):
    model, X = fitted
    rows = np.random.default_rng(n_rows).permutation(len(X))[:n_rows]
    whole = {method: answer[rows] for method, answer in answers(model, X).items()}
    assert_same_answers(answers(model, X[rows]), whole)


def test_answers_do_not_depend_on_the_order(fitted):
    model, X = fitted
    order = np.random.default_rng(0).permutation(len(X))
    expected = {method: answer[order] for method, answer in answers(model, X).items()}
    assert_same_answers(answers(model, X[order]), expected)


def test_answers_do_not_depend_on_the_batch_size(fitted):
    model, X = fitted
    other = pickle.loads(pickle.dumps(model)).set_params(batch_size=7)
    assert_same_answers(answers(other, X), answers(model, X))


def test_nothing_is_random_at_prediction(fitted):
    model, X = fitted
    first = answers(model, X)
    torch.rand(10), np.random.rand(10)  # noqa: NPY002
    assert_same_answers(answers(model, X), first)


def check_rows_stand_alone(name, n_features, sizes) -> None:
    """Rows alone, in other places, among other rows: answers are the same to the last bit."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, n_features)).astype(np.float32)
    model = quick(name, n_clusters=3, random_state=0, **sizes).fit(X[:40])
    expected = answers(model, X)
    subsets = [rng.permutation(len(X))[:n] for n in (2999, 1500, 100)]
    subsets += [[i] for i in (0, 511, 1023, 1024, 2047, 2500, 2999)]
    for rows in subsets:
        got = answers(model, X[rows])
        assert_same_answers(got, {method: answer[rows] for method, answer in expected.items()})


#: Layer sizes that leave products with awkward remainders; else those of the quick settings.
SIZES = {
    "DCCS": [
        dict(hidden_sizes=(500, 500, 2000), critic_sizes=(32,), max_epochs=1),
        dict(hidden_sizes=(17, 3, 5), n_style=3, critic_sizes=(32,), max_epochs=1),
    ],
    "StatDEC": [
        dict(hidden_sizes=(500, 500, 1000), pretrain_epochs=1, max_epochs=1),
        dict(hidden_sizes=(17, 3, 5), pretrain_epochs=1, max_epochs=1),
    ],
    "VariationalGMMClustering": [
        dict(hidden_sizes=(500, 500), n_init=1, max_epochs=1),
        dict(hidden_sizes=(17, 5), n_init=1, max_epochs=1),
    ],
}


@every_estimator
@pytest.mark.parametrize("n_features", [2, 64, 784])
def test_rows_stand_alone_in_networks_of_all_sizes(name, n_features):
    for sizes in SIZES.get(name, [{}]):
        check_rows_stand_alone(name, n_features, sizes)


def test_rows_stand_alone_on_older_processors():
    # Matrix products for processors without AVX-512 compute the last rows by other code.
    code = (
        "from test_identities import *\n"
        "for name in QUICK:\n"
        "    check_rows_stand_alone(name, 64, SIZES.get(name, [{}])[-1])\n"
    )
    instructions = {
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
    }
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=Path(__file__).parent,
        env={
            **os.environ,
            **instructions,
            "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), "."]),
        },
        check=True,
    )


# ------------------------------------------------------------------ random numbers


@every_estimator
def test_the_same_seed_gives_the_same_labels(name):
    X = np.random.default_rng(0).normal(size=(80, 3))
    first = quick(name, n_clusters=4, random_state=7).fit(X)
    torch.rand(3)
    second = quick(name, n_clusters=4, random_state=7).fit(X)
    assert_same_answers(answers(second, X), answers(first, X))
    assert_array_equal(first.labels_, second.labels_)


@every_estimator
def test_a_random_state_is_advanced(name):
    X = np.random.default_rng(0).normal(size=(40, 3))
    rng = np.random.RandomState(3)
    model = quick(name, n_clusters=2, random_state=rng)
    first = model.fit(X).transform(X)
    second = model.fit(X).transform(X)
    assert not np.array_equal(first, second)
    again = quick(name, n_clusters=2, random_state=np.random.RandomState(3))
    assert_array_equal(again.fit(X).transform(X), first)


@every_estimator
def test_without_a_seed_runs_differ(name):
    X = np.random.default_rng(0).normal(size=(40, 3))
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    first = quick(name, n_clusters=2).fit(X).transform(X)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    assert not np.array_equal(quick(name, n_clusters=2).fit(X).transform(X), first)


def global_states() -> list:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return [torch.get_rng_state().tolist(), numpy_state[1].tolist(), numpy_state[2:]]


@every_estimator
@pytest.mark.parametrize("random_state", [0, None])
def test_global_random_states_are_left_alone(name, random_state):
    X = blobs()
    before = global_states()
    model = quick(name, n_clusters=3, random_state=random_state).fit(X)
    assert global_states() == before
    answers(model, X)
    assert global_states() == before


@every_estimator
def test_global_random_states_are_left_alone_by_a_failing_fit(name):
    class Fail(Callback):
        """Raises in the middle of training."""

        steps = 0

        def on_batch_end(self, net, **kwargs):
            self.steps += 1
            if self.steps == 3:
                raise RuntimeError("broken")

    before = global_states()
    with pytest.raises(RuntimeError, match="broken"):
        quick(name, n_clusters=3, batch_size=32, callbacks=[Fail()]).fit(blobs())
    assert global_states() == before


# ------------------------------------------------------------------ a fit that fails


@every_estimator
def test_a_failing_fit_leaves_an_unfitted_estimator_unfitted(name):
    model = quick(name, n_clusters=3, image_shape=(3, 3))
    with pytest.raises(ValueError, match="image_shape"):
        model.fit(blobs())
    with pytest.raises(NotFittedError):
        model.predict(blobs())
    assert not [key for key in vars(model) if key.endswith("_")]


@every_estimator
def test_a_failing_fit_keeps_the_fit_before(name):
    X = blobs()
    model = quick(name, n_clusters=3, random_state=0).fit(X)
    expected = answers(model, X)
    model.set_params(image_shape=(3, 3))
    with pytest.raises(ValueError, match="image_shape"):
        model.fit(X[:, :2])
    assert model.n_features_in_ == 4
    assert_same_answers(answers(model, X), expected)


# ------------------------------------------------------------------ scikit-learn's habits


@every_estimator
def test_clone_keeps_parameters_and_forgets_the_fit(name):
    model = quick(name, n_clusters=3, random_state=0).fit(blobs())
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(blobs())


@every_estimator
def test_fit_leaves_parameters_as_they_are(name):
    image_shape = [6, 4]
    random_state = np.random.RandomState(0)
    model = quick(name, n_clusters=np.int64(2), image_shape=image_shape, random_state=random_state)
    before = dict(model.get_params())
    model.fit(images().reshape(60, -1))
    after = model.get_params()
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before)
    assert image_shape == [6, 4]


@every_estimator
def test_fit_and_prediction_leave_the_data_as_they_are(name):
    for X in (blobs(), blobs(dtype=np.float32), images()):
        before = X.copy()
        answers(quick(name, n_clusters=2, random_state=0).fit(X), X)
        assert_array_equal(X, before)


def test_feature_names_out(fitted):
    model, X = fitted
    names = model.get_feature_names_out()
    assert len(names) == model.transform(X).shape[1]
    assert names[0].startswith(type(model).__name__.lower())
    assert len(set(names)) == len(names)


@every_estimator
def test_feature_names_need_a_fit(name):
    with pytest.raises(NotFittedError):
        quick(name).get_feature_names_out()


@every_estimator
def test_pandas_output(name):
    X = pd.DataFrame(blobs(), columns=["a", "b", "c", "d"], index=np.arange(90) * 2)
    model = quick(name, n_clusters=3, random_state=0).set_output(transform="pandas").fit(X)
    Z = model.transform(X)
    assert isinstance(Z, pd.DataFrame)
    assert list(Z.columns) == list(model.get_feature_names_out())
    assert_array_equal(Z.index, X.index)
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    assert isinstance(model.predict_proba(X), np.ndarray)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(X[["b", "a", "c", "d"]])
    assert_array_equal(clone(model).fit_transform(X), Z)


@every_estimator
def test_in_a_pipeline(name):
    X = blobs(n_features=6)
    pipeline = make_pipeline(
        StandardScaler(), PCA(3), quick(name, n_clusters=3, random_state=0)
    ).fit(X)
    assert_array_equal(pipeline.predict(X), pipeline[-1].labels_)
    assert pipeline.predict_proba(X).shape == (90, 3)
    assert len(pipeline.get_feature_names_out()) == pipeline.transform(X).shape[1]
    assert_array_equal(clone(pipeline).fit_predict(X), pipeline.predict(X))


@every_estimator
def test_grid_search(name):  # in several processes: test_determinism.py
    X, y = blobs(), blobs_labels()
    search = GridSearchCV(
        quick(name, n_clusters=3, random_state=0),
        GRIDS.get(name, {"learning_rate": [0.001, 0.002]}),
        scoring=SCORERS,
        refit="acc",
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_nmi"]).all()
    assert search.best_score_ == search.cv_results_["mean_test_acc"].max() > 0.6
    assert_array_equal(search.predict(X), search.best_estimator_.labels_)


@every_estimator
def test_grid_search_without_labels(name):
    search = GridSearchCV(
        brief(name, n_clusters=3, random_state=0),
        {"batch_size": [8, 16]},
        cv=2,
        error_score="raise",
    ).fit(blobs())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@every_estimator
def test_cross_validation_on_images(name):
    X = images()
    result = cross_validate(
        quick(name, n_clusters=2, random_state=0),
        X,
        np.arange(len(X)) % 2,
        scoring=SCORERS,
        cv=3,
        return_train_score=True,
        error_score="raise",
    )
    assert result["test_acc"].shape == (3,)
    assert np.isfinite(result["train_ari"]).all()


def test_score_is_a_number_that_labels_do_not_change(fitted):
    model, X = fitted
    assert isinstance(model.score(X), float)
    assert model.score(X, np.zeros(len(X))) == model.score(X)


def test_score_is_the_mean_of_its_rows(fitted):
    model, X = fitted
    halves = [model.score(X[:45]), model.score(X[45:])]
    assert_allclose(model.score(X), np.mean(halves), rtol=1e-6)


# ------------------------------------------------------------------ what fit tells


def test_history_is_plain(fitted):
    model, _ = fitted
    assert json.loads(json.dumps(model.history_)) == model.history_
    assert type(model.history_) is list
    assert {type(row) for row in model.history_} == {dict}
    assert type(model.n_iter_) is int
    assert 1 <= model.n_iter_ <= model.max_epochs
    assert all(row["seconds"] >= 0 and "phase" in row for row in model.history_)
    assert [row["epoch"] for row in model.history_] == list(range(1, len(model.history_) + 1))


# ------------------------------------------------------------------ copies


def assert_copy_is_whole(copy, model, X) -> None:
    assert_same_answers(answers(copy, X), answers(model, X))
    assert_array_equal(copy.labels_, model.labels_)
    assert copy.score(X) == model.score(X)
    assert copy.history_ == model.history_
    if has(type(model).__name__, "inverse_transform"):
        Z = model.transform(X)
        assert_array_equal(copy.inverse_transform(Z), model.inverse_transform(Z))
    assert_array_equal(copy.fit(X).labels_, model.labels_)  # it can be fitted again


def test_pickle(fitted):
    model, X = fitted
    assert_copy_is_whole(pickle.loads(pickle.dumps(model)), model, X)


def test_joblib(fitted, tmp_path):
    model, X = fitted
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    assert_copy_is_whole(joblib.load(tmp_path / "model.joblib"), model, X)


def test_joblib_with_memory_maps(fitted, tmp_path):
    model, X = fitted
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert_same_answers(answers(mapped, X), answers(model, X))


@every_estimator
def test_an_unfitted_estimator_is_pickled(name):
    model = quick(name, n_clusters=3)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()


def test_a_pickle_holds_neither_data_nor_optimisers(fitted):
    model, _ = fitted
    rows = np.random.default_rng(0).normal(size=(4_000, 4))
    large = clone(model).set_params(max_epochs=1).fit(rows)
    difference = len(pickle.dumps(large)) - len(pickle.dumps(model))
    assert difference < large.labels_.nbytes + 10_000


# ------------------------------------------------------------------ threads


def test_predictions_from_threads(fitted):
    model, X = fitted
    parts = [X[i : i + 30] for i in range(0, 61, 4)] * 4
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda part: answers(model, part), parts))
    for got, part in zip(together, parts, strict=True):
        assert_same_answers(got, answers(model, part))


@every_estimator
def test_fit_in_a_thread(name):
    X = blobs()
    expected = quick(name, n_clusters=3, random_state=0).fit(X)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(quick(name, n_clusters=3, random_state=0).fit(X))
    )
    thread.start()
    thread.join()
    assert_same_answers(answers(found[0], X), answers(expected, X))


@every_estimator
def test_fits_in_threads_do_not_disturb_each_other(name):
    X = blobs()
    seeds = [0, 1, 0, 1]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda s: brief(name, n_clusters=3, random_state=s).fit(X), seeds))
    assert torch.equal(torch.get_rng_state(), before)
    for seed, model in zip(seeds, found, strict=True):
        expected = brief(name, n_clusters=3, random_state=seed).fit(X)
        assert_same_answers(answers(model, X), answers(expected, X))


@every_estimator
def test_a_callback_may_fit_another_estimator(name):
    inner = []

    class Fits(Callback):
        def on_batch_end(self, net, **kwargs):
            if not inner:
                inner.append(brief(name, n_clusters=3, random_state=0).fit(blobs()))

    outer = brief(name, n_clusters=3, random_state=0, callbacks=[Fits()]).fit(blobs())
    alone = brief(name, n_clusters=3, random_state=0).fit(blobs())
    for model in (*inner, outer):
        assert_same_answers(answers(model, blobs()), answers(alone, blobs()))


# ------------------------------------------------------------------ torch's switches


@every_estimator
@pytest.mark.parametrize("switch", ["no_grad", "inference_mode", "float64"])
def test_what_torch_is_switched_to_does_not_matter(name, switch, tmp_path):
    X, params = blobs(), {"n_clusters": 3, "random_state": 0}
    expected = brief(name, **params).fit(X)
    around = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}
    with around.get(switch, nullcontext)():
        try:
            torch.set_default_dtype(torch.float64 if switch == "float64" else torch.float32)
            model = brief(name, **params).fit(X)
            found, score = answers(model, X), model.score(X)
            model.save(tmp_path / "model.safetensors")
            loaded = answers(skdeepcluster.load(tmp_path / "model.safetensors"), X)
            assert torch.get_default_dtype() == (
                torch.float64 if switch == "float64" else torch.float32
            )
        finally:
            torch.set_default_dtype(torch.float32)
    assert_same_answers(found, answers(expected, X))
    assert_same_answers(loaded, found)
    assert score == expected.score(X)
