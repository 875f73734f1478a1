"""Known labels beside the training: what is recorded, and that nothing else changes."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from skorch.callbacks import Callback

from skdeepcluster import DCCS, MMDC, StatDEC
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.metrics import clustering_accuracy
from tests.estimators import QUICK, blobs, every_estimator, images, quick, unconverged

SCORES = ("acc", "nmi", "ari", "steps", "scoring_seconds")


def labels(n, seed=0):
    """Labels that have nothing to do with the rows."""
    return np.random.default_rng(seed).integers(0, 3, n)


@unconverged
@every_estimator
def test_the_run_is_that_of_a_run_without_it(name):
    X = blobs(70)
    plain = quick(name, n_clusters=3, random_state=0).fit(X)
    seen = quick(name, n_clusters=3, random_state=0, callbacks=[ScoreCurve(labels(70))]).fit(X)
    assert (plain.predict_proba(X) == seen.predict_proba(X)).all()
    for mine, other in zip(plain.history_, seen.history_, strict=True):
        assert {k: v for k, v in mine.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k not in (*SCORES, "seconds")
        }


@unconverged
@pytest.mark.parametrize("name", sorted(set(QUICK) - {"DCCS"}))  # which settles statistics
def test_the_last_scores_are_those_of_the_labels(name):
    X, y = blobs(70), labels(70)
    model = quick(name, n_clusters=3, random_state=0, callbacks=[ScoreCurve(y)])
    if name == "StatDEC":
        model.set_params(tol=0)
    last = model.fit(X).history_[-1]
    assert last["acc"] == clustering_accuracy(y, model.labels_)
    assert last["nmi"] == pytest.approx(normalized_mutual_info_score(y, model.labels_))
    assert last["ari"] == pytest.approx(adjusted_rand_score(y, model.labels_))


@unconverged
def test_only_epochs_of_the_clustering_have_scores_and_only_those_asked_for():
    X, y = blobs(70), labels(70)
    curve = ScoreCurve(y, every=3)
    model = quick("StatDEC", n_clusters=3, tol=0, max_epochs=7, callbacks=[curve]).fit(X)
    clustering = [row for row in model.history_ if row["phase"] == "clustering"]
    assert [i + 1 for i, row in enumerate(clustering) if "acc" in row] == [3, 6, 7]
    assert clustering[-1]["steps"] == 7 * clustering[2]["steps"] / 3
    assert not any("acc" in row for row in model.history_ if row["phase"] != "clustering")


@unconverged
def test_scoring_takes_no_time_from_the_training():
    deadlines = []

    class Watch(Callback):
        def on_epoch_begin(self, net, **kwargs):
            deadlines.append(net.deadline_)

    X, y = blobs(70), labels(70)
    model = quick("StatDEC", n_clusters=3, tol=0, max_epochs=4, max_time=1000)
    model.set_params(callbacks=[Watch(), ScoreCurve(y)]).fit(X)
    scoring = [row.get("scoring_seconds", 0) for row in model.history_[:-1]]
    assert sum(scoring) > 0
    np.testing.assert_allclose(np.diff(deadlines), scoring, rtol=0, atol=1e-6)


@unconverged
def test_an_auxiliary_task_has_no_scores():
    X = images(40, 8, 8, 3)
    model = MMDC(2, network="mlp", hidden_sizes=(8,), auxiliary="rotation", max_epochs=2,
                 callbacks=[ScoreCurve(labels(40))], random_state=0).fit(X)  # fmt: skip
    assert [("acc" in row) for row in model.history_] == [False, True] * 2


@unconverged
def test_clusters_that_are_found_in_the_end_have_no_scores_before():
    model = quick("MMDC", n_clusters=3, targets="uniform", callbacks=[ScoreCurve(labels(70))])
    assert not any("acc" in row for row in model.fit(blobs(70)).history_)


@unconverged
def test_a_resumed_run_keeps_what_was_recorded(tmp_path):
    X, y = blobs(70), labels(70)
    settings = {**QUICK["DCCS"], "tol": 0, "random_state": 0}
    whole = DCCS(3, callbacks=[ScoreCurve(y)], **settings).fit(X)

    class Stop(ScoreCurve):
        def on_epoch_end(self, net, **kwargs):
            super().on_epoch_end(net, **kwargs)
            if len(net.history) == 3:
                net.deadline_ = 0.0  # as if `max_time` were over

    first = DCCS(3, callbacks=[Stop(y)], checkpoint=tmp_path, **settings).fit(X)
    assert first.net_.stopped_by_ == "max_time"
    second = DCCS(3, callbacks=[ScoreCurve(y)], checkpoint=tmp_path, **settings).fit(X)
    assert [row["acc"] for row in second.history_] == [row["acc"] for row in whole.history_]


@pytest.mark.parametrize(
    "y, every, error, words",
    [
        (labels(69), 1, ValueError, "each of the 70 rows, got 69"),
        (np.zeros((70, 2)), 1, ValueError, "shape"),
        (labels(70), 0, ValueError, "every"),
        (labels(70), 1.5, TypeError, "every"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_the_training(y, every, error, words):
    model = quick("StatDEC", n_clusters=3, callbacks=[ScoreCurve(y, every)])
    with pytest.raises(error, match=words):
        model.fit(blobs(70))
    assert not hasattr(model, "net_")


def test_labels_may_be_words():
    y = np.where(labels(70) == 0, "cat", "dog")
    model = StatDEC(2, **QUICK["StatDEC"] | {"tol": 0, "max_epochs": 1}, callbacks=[ScoreCurve(y)])
    assert 0.5 <= model.fit(blobs(70)).history_[-1]["acc"] <= 1
