"""Going on with what was fitted: `warm_start`, and `partial_fit` for data in pieces."""

import pickle

import numpy as np
import pytest
import torch
from estimators import QUICK, blobs, brief, every_estimator, has, images, quick, unconverged
from numpy.testing import assert_array_equal
from sklearn.metrics import adjusted_rand_score
from turns import together

import skdeepcluster

pytestmark = unconverged

#: Short runs: how they go on is looked at, not how well they end.
SHORT = {
    "StatDEC": {"layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 1},
    "DCCS": {"max_epochs": 1},
    "MMDC": {"max_epochs": 2},
    "VariationalGMMClustering": {"max_epochs": 2},
}


def short(name, **params):
    return quick(name, random_state=0, **{"n_clusters": 3, **SHORT[name], **params})


incremental = pytest.mark.parametrize("name", [n for n in sorted(QUICK) if has(n, "partial_fit")])


def weights(model):
    net = model.net_
    return {
        f"{name}.{key}": value.clone()
        for name in net._modules
        for key, value in getattr(net, name + "_").state_dict().items()
    }


# ------------------------------------------------------------------ warm_start


def test_targets_of_another_kind_cannot_go_on():
    X = blobs()
    model = short("MMDC", warm_start=True, targets="random").fit(X)
    with pytest.raises(ValueError, match=r"targets='uniform' cannot go on .* targets='random'"):
        model.set_params(targets="uniform").fit(X)
    labels = model.labels_
    assert_array_equal(model.predict(X), labels)  # the model is still the last fit's


@every_estimator
def test_no_epoch_more_changes_nothing(name):
    X = blobs()
    model = short(name, warm_start=True).fit(X)
    labels, embedding = model.labels_, model.transform(X)
    model.set_params(max_epochs=0).fit(X)
    assert_array_equal(model.labels_, labels)
    # Sums for batch normalisation come in the same order, and so do not differ either.
    assert_array_equal(model.transform(X), embedding)
    assert model.n_iter_ == 0


@every_estimator
def test_training_goes_on_where_it_stood(name):
    X = blobs()
    model = short(name, warm_start=True).fit(X)
    before = weights(model)
    model.set_params(max_epochs=1, learning_rate=1e-9).fit(X)
    after = weights(model)
    trained = [key for key, value in before.items() if value.is_floating_point()]
    trained = [key for key in trained if "running" not in key and "variance" not in key]
    trained = [key for key in trained if "pooling" not in key]
    for key in trained:
        torch.testing.assert_close(after[key], before[key], rtol=0, atol=1e-5)
    assert [row["phase"] for row in model.history_] == ["clustering"]


@every_estimator
def test_without_warm_start_a_fit_begins_anew(name):
    X = blobs()
    model = short(name)
    first, second = model.fit(X).transform(X), model.fit(X).transform(X)
    assert_array_equal(first, second)


def test_rows_may_be_others_in_number_but_not_in_shape():
    X = blobs()
    model = short("StatDEC", warm_start=True).fit(X)
    assert model.fit(X[:50]).labels_.shape == (50,)
    with pytest.raises(ValueError, match="X has 3 features, but StatDEC is expecting 4"):
        model.fit(X[:, :3])
    assert model.n_features_in_ == 4
    model = short("StatDEC", n_clusters=2, warm_start=True).fit(images())
    with pytest.raises(ValueError, match=r"rows of shape \(4, 6\)"):
        model.fit(images(60, 4, 6))


def test_the_scaling_stays():
    X = blobs()
    model = short("StatDEC", warm_start=True).fit(X)
    same = model.transform(X[:5])
    model.set_params(max_epochs=0).fit(X[40:] * 2 + 1)
    assert_array_equal(model.transform(X[:5]), same)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"scaling": None},
            "scaling was 'auto' in the fit that this one goes on from, and is None",
        ),
        ({"image_shape": (2, 2)}, r"image_shape was None in .*, and is \(2, 2\)"),
    ],
)
def test_what_would_be_left_aside_is_refused(changed, message, tmp_path):
    X = blobs()
    name = "VariationalGMMClustering"
    model = short(name, warm_start=True).fit(X)
    model.save(tmp_path / "model")
    for fitted in (model, skdeepcluster.load(tmp_path / "model")):
        before = fitted.transform(X)
        fitted.set_params(**changed)
        for go_on in (fitted.fit, fitted.partial_fit):
            with pytest.raises(ValueError, match=message):
                go_on(X)
        assert_array_equal(fitted.transform(X), before)


def test_a_shape_in_a_list_is_the_same_shape():
    X = images()
    model = short("StatDEC", n_clusters=2, image_shape=X.shape[1:], warm_start=True).fit(X)
    model.set_params(image_shape=list(X.shape[1:])).fit(X)


@every_estimator
@pytest.mark.parametrize("changed", [{"n_clusters": 4}, {"hidden_sizes": (8, 8, 8)}])
def test_other_networks_are_refused(name, changed):
    X = blobs()
    model = short(name, warm_start=True).fit(X)
    labels = model.labels_
    with pytest.raises(ValueError, match=r"of shape .* in the last fit, and would have"):
        model.set_params(**changed).fit(X)
    assert_array_equal(model.labels_, labels)


def test_a_loaded_estimator_goes_on(tmp_path):
    X = blobs()
    model = short("StatDEC", warm_start=True).fit(X)
    model.save(tmp_path / "model")
    loaded = skdeepcluster.load(tmp_path / "model")
    assert_array_equal(loaded.fit(X).transform(X), model.fit(X).transform(X))


def test_a_checkpoint_of_the_first_run_is_not_the_answer_to_the_second(tmp_path):
    X = blobs()
    model = short("StatDEC", warm_start=True, checkpoint=tmp_path).fit(X)
    first = model.transform(X)
    again = pickle.loads(pickle.dumps(model))
    second = model.fit(X).transform(X)
    assert not np.array_equal(first, second)
    assert_array_equal(again.fit(X).transform(X), second)
    assert len(list(tmp_path.iterdir())) == 2


@every_estimator
def test_a_run_that_time_cut_is_ended_before_another_goes_on_from_it(name, tmp_path):
    X = blobs()
    whole = short(name).fit(X)
    model = short(name, warm_start=True, checkpoint=tmp_path, max_time=1e-6).fit(X)
    assert model.net_.stopped_by_ == "max_time"
    model = pickle.loads(pickle.dumps(model)).set_params(max_time=None).fit(X)
    assert_array_equal(model.transform(X), whole.transform(X))
    assert len(model.history_) == len(whole.history_)
    model.fit(X)
    assert {row["phase"] for row in model.history_} == {"clustering"}
    assert not np.array_equal(model.transform(X), whole.transform(X))


def test_a_run_that_time_cut_is_a_start_for_other_rows_or_without_its_checkpoint(tmp_path):
    X = blobs()
    for rows, keep in ((X[:50], True), (X, False)):
        model = short("StatDEC", warm_start=True, checkpoint=tmp_path, max_time=1e-6).fit(X)
        for file in [] if keep else tmp_path.iterdir():
            file.unlink()
        model.set_params(max_time=None).fit(rows)
        assert {row["phase"] for row in model.history_} == {"clustering"}


def test_processes_end_a_cut_run_together(tmp_path, monkeypatch):
    X = blobs()
    whole = together(2, lambda rank: short("StatDEC").fit(X), monkeypatch)[0]

    def fit(rank):
        folder = tmp_path / str(rank)  # a disk of their own each
        model = short("StatDEC", warm_start=True, checkpoint=folder, max_time=1e-6).fit(X)
        return model.set_params(max_time=None).fit(X)

    for model in together(2, fit, monkeypatch):
        assert_array_equal(model.transform(X), whole.transform(X))


# ------------------------------------------------------------------ partial_fit


@pytest.mark.parametrize("name", ["DCCS", "VariationalGMMClustering"])
def test_a_piece_for_other_networks_is_refused_with_the_way_out(name):
    model = brief(name, n_clusters=3).partial_fit(blobs())
    with pytest.raises(ValueError, match="call fit to begin anew"):
        model.set_params(n_clusters=5).partial_fit(blobs())


def test_methods_with_something_of_each_row_have_no_partial_fit():
    assert not has("StatDEC", "partial_fit")
    assert not has("MMDC", "partial_fit")


@incremental
def test_pieces_are_learnt_from(name):
    X = blobs(240)
    model = short(name)
    for _ in range(3):
        for piece in np.split(X, 2):
            assert model.partial_fit(piece) is model
    assert model.n_iter_ == len(model.history_) == 6
    assert [row["epoch"] for row in model.history_] == [1, 2, 3, 4, 5, 6]
    assert_array_equal(model.labels_, model.predict(X[120:]))
    term = "wasserstein" if name == "DCCS" else "loss"
    assert np.isfinite([row[term] for row in model.history_]).all()


def test_pieces_in_turn_find_the_clusters():
    X = blobs(300)
    found = []
    for seed in range(3):
        model = quick("VariationalGMMClustering", n_clusters=3, random_state=seed)
        for _ in range(12):
            for piece in np.split(X, 2):
                model.partial_fit(piece)
        found.append(adjusted_rand_score(quick_groups(X), model.predict(X)))
    assert np.mean(np.array(found) > 0.5) == 1


def quick_groups(X):
    from sklearn.cluster import KMeans

    return KMeans(3, n_init=5, random_state=0).fit_predict(X)


@incremental
def test_optimisers_go_on_also_after_a_pickle(name):
    X = blobs()
    model = short(name).partial_fit(X)
    other = pickle.loads(pickle.dumps(model))
    assert_array_equal(model.partial_fit(X).transform(X), other.partial_fit(X).transform(X))
    steps = {
        int(state["step"])
        for kept in model.net_.optimizer_states_.values()
        for state in kept["state"].values()
    }
    assert min(steps) >= 2 * 8  # two epochs of eight steps


@incremental
def test_a_piece_may_be_small_but_not_the_first_one(name):
    X = blobs()
    model = short(name)
    with pytest.raises(ValueError, match="n_samples=2 should be >= n_clusters=3"):
        model.partial_fit(X[:2])
    assert not hasattr(model, "net_")
    assert model.partial_fit(X).partial_fit(X[:2]).labels_.shape == (2,)


@incremental
def test_pieces_that_do_not_fit_change_nothing(name):
    X = blobs()
    model = short(name).partial_fit(X)
    before = model.transform(X)
    with pytest.raises(ValueError, match="is expecting 4"):
        model.partial_fit(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(np.full((9, 4), np.nan))
    assert_array_equal(model.transform(X), before)
