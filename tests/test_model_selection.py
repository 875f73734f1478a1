"""Choosing without labels: what scorers, the search and the consensus do for a user."""

import itertools
from typing import ClassVar

import numpy as np
import pytest
from estimators import blobs, images, quick, unconverged
from sklearn import config_context
from sklearn.base import BaseEstimator, ClusterMixin, clone
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdeepcluster.model_selection import (
    ConsensusClusterer,
    SilhouetteScorer,
    StabilityScorer,
    choose_n_clusters,
    objective_scorer,
    silhouette_scorer,
    stability_scorer,
)
from skdeepcluster.model_selection._consensus import _widened, match_clusters

HALVES = ShuffleSplit(2, train_size=0.4, test_size=0.6, random_state=0)


class Fixed:
    """Predicts given clusters, and embeds rows by a map."""

    def __init__(self, labels, embed=lambda X: X):
        self.labels, self.embed = np.asarray(labels), embed

    def predict(self, X):
        return self.labels[np.asarray(X)[:, 0].astype(int)]

    def transform(self, X):
        return self.embed(X)


class Recording(ClusterMixin, BaseEstimator):
    """Clusters by the sign of the first column, and writes down what it was called with."""

    calls: ClassVar[list] = []

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y=None):
        assert y is None
        self.calls.append(("fit", self.random_state, np.asarray(X).copy()))
        self.labels_ = (np.asarray(X)[:, 0] > 0).astype(int)
        return self

    def predict(self, X):
        self.calls.append(("predict", self.random_state, np.asarray(X).copy()))
        return (np.asarray(X)[:, 0] > 0).astype(int)


@pytest.fixture
def calls():
    Recording.calls.clear()
    yield Recording.calls
    Recording.calls.clear()


# ---------------------------------------------------------------------- silhouette


def silhouette(Z, labels):
    """Its definition, row by row."""
    distances = np.sqrt(((Z[:, None] - Z[None]) ** 2).sum(axis=2))
    values = []
    for i, own in enumerate(labels):
        mates = (labels == own) & (np.arange(len(Z)) != i)
        if not mates.any():
            values.append(0.0)
            continue
        a = distances[i, mates].mean()
        b = min(distances[i, labels == k].mean() for k in set(labels) - {own})
        values.append((b - a) / max(a, b))
    return np.mean(values)


@pytest.mark.parametrize("seed", range(3))
def test_silhouette_is_that_of_the_embedding(seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.arange(40), rng.normal(size=(40, 3))])
    labels = rng.integers(0, 4, 40)
    labels[0] = 4  # alone in its cluster
    model = Fixed(labels, lambda X: X[:, 1:] ** 2)
    assert silhouette_scorer(model, X) == pytest.approx(silhouette(X[:, 1:] ** 2, labels))
    in_input = SilhouetteScorer(space="input")(model, X)
    assert in_input == pytest.approx(silhouette(X, labels))


def test_silhouette_of_images_in_the_input_flattens_them():
    X = images(20).astype(float)
    labels = np.arange(20) % 2
    model = Fixed(labels)
    model.predict = lambda X: labels
    expected = silhouette(X.reshape(20, -1), labels)
    assert SilhouetteScorer(space="input")(model, X) == pytest.approx(expected)


def test_silhouette_of_many_rows_is_that_of_a_repeatable_draw():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.arange(300), rng.normal(size=(300, 2))])
    model = Fixed(rng.integers(0, 3, 300))
    drawn = [SilhouetteScorer(max_rows=50, random_state=s)(model, X) for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert SilhouetteScorer(max_rows=300)(model, X) == silhouette_scorer(model, X)


def test_silhouette_of_what_has_none():
    X = np.arange(5.0)[:, None]
    assert silhouette_scorer(Fixed(np.zeros(5, int)), X) == -1
    assert silhouette_scorer(Fixed(np.arange(5)), X) == 0


def test_silhouette_without_an_embedding_says_what_to_do():
    X = blobs(30)
    model = GaussianMixture(3, random_state=0).fit(X)
    with pytest.raises(TypeError, match="space='input'"):
        silhouette_scorer(model, X)
    assert SilhouetteScorer(space="input")(model, X) > 0.5


# ---------------------------------------------------------------------- stability


def test_the_two_models_share_no_rows_and_no_seed_and_are_compared_on_others(calls):
    X = np.random.default_rng(0).normal(size=(100, 2))
    first = Recording(random_state=7).fit(X[:40])
    assert stability_scorer(first, X[40:]) == 1
    (_, _, own), (_, seed, other), (_, _, a), (_, _, b) = calls
    rows = [{tuple(row) for row in part} for part in (own, other, a)]
    assert [len(part) for part in rows] == [40, 40, 20]
    assert len(set.union(*rows)) == 100
    assert np.array_equal(a, b)
    assert seed != 7


def test_the_second_model_leaves_a_part_of_a_small_fold(calls):
    X = np.random.default_rng(0).normal(size=(100, 2))
    for held_out, n_fit in ((1 / 3, 20), (0.5, 15), (0.9, 3)):
        calls.clear()
        StabilityScorer(held_out=held_out)(Recording().fit(X[:70]), X[70:])
        assert [len(X) for _, _, X in calls] == [70, n_fit, 30 - n_fit, 30 - n_fit]


@pytest.mark.parametrize("seed", range(3))
def test_stability_tells_the_true_number_from_others(seed):
    X = blobs(400, centers=4)
    folds = ShuffleSplit(4, train_size=0.4, test_size=0.6, random_state=seed)

    def score(k):
        model = KMeans(k, n_init=10, random_state=seed)
        return cross_validate(model, X, scoring=stability_scorer, cv=folds)["test_score"].mean()

    assert score(4) == 1
    assert score(4) > max(score(6), score(8))


def test_where_one_cluster_has_all_rows_nothing_is_stable():
    X = blobs(60)
    constant = KMeans(1, random_state=0).fit(X[:20])
    assert stability_scorer(constant, X[20:]) == 0


# ---------------------------------------------------------------------- in scikit-learn


@unconverged
def test_all_scorers_in_search_and_cross_validation_in_two_processes():
    X = blobs(120)
    scoring = {
        "silhouette": silhouette_scorer,
        "objective": objective_scorer,
        "stability": stability_scorer,
    }
    model = quick("StatDEC", n_clusters=3, random_state=0)
    scores = [cross_validate(model, X, scoring=scoring, cv=HALVES, n_jobs=n) for n in (None, 2)]
    for name in scoring:
        np.testing.assert_allclose(*(s[f"test_{name}"] for s in scores), rtol=1e-4, atol=1e-6)
    for name, scorer in scoring.items():
        search = GridSearchCV(model, {"n_clusters": [2, 3]}, scoring=scorer, cv=HALVES, n_jobs=2)
        search.fit(X)
        alone = search.cv_results_["mean_test_score"][1]
        assert alone == pytest.approx(scores[0][f"test_{name}"].mean(), rel=1e-4, abs=1e-6)


def test_an_estimator_without_score_has_no_objective():
    with pytest.raises(TypeError, match="needs an estimator with score"):
        objective_scorer(Recording(), blobs())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SilhouetteScorer(space="image"), "space must be one of"),
        (lambda: SilhouetteScorer(max_rows=1), "max_rows must be at least 2"),
        (lambda: StabilityScorer(held_out=0), "held_out must be a finite number in"),
        (lambda: StabilityScorer(held_out=1), "held_out must be below 1"),
    ],
)
def test_bad_settings_of_scorers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_scorer_can_be_read():
    assert repr(StabilityScorer(held_out=0.5)) == "StabilityScorer(held_out=0.5, random_state=0)"
    assert repr(clone(silhouette_scorer, safe=False)) == repr(silhouette_scorer)


# ---------------------------------------------------------------------- number of clusters


@pytest.mark.parametrize("scorer", [silhouette_scorer, stability_scorer])
@pytest.mark.parametrize("cv", [None, 3])
def test_the_number_of_blobs_is_found_in_rows_sorted_by_class(scorer, cv):
    X = blobs(400, centers=5)
    X = X[np.argsort(KMeans(5, n_init=10, random_state=0).fit_predict(X))]
    model = KMeans(n_init=3, random_state=0)
    search = choose_n_clusters(model, X, [2, 3, 5, 7], scoring=scorer, cv=cv)
    assert search.best_params_ == {"n_clusters": 5}
    assert len(np.unique(search.best_estimator_.labels_)) == 5


def test_the_parameter_is_found_in_pipelines_and_other_estimators():
    X = blobs(150)
    pipeline = make_pipeline(StandardScaler(), KMeans(n_init=2, random_state=0))
    for model, name in (
        (pipeline, "kmeans__n_clusters"),
        (ConsensusClusterer(pipeline, 2, random_state=0), "estimator__kmeans__n_clusters"),
    ):
        search = choose_n_clusters(model, X, [2, 3, 5], refit=False, cv=3)
        assert search.best_params_ == {name: 3}
        assert not hasattr(search, "best_estimator_")


def test_of_equal_scores_the_largest_number_is_taken():
    def constant(estimator, X):
        return 1.0

    for numbers in ([2, 3, 4], [4, 3, 2], {3, 2, 4}):
        search = choose_n_clusters(
            KMeans(random_state=0), blobs(60), numbers, scoring=constant, refit=False, cv=2
        )
        assert search.best_params_ == {"n_clusters": 4}


def test_the_first_of_several_scorers_chooses_unless_told_otherwise():
    scoring = {"stability": stability_scorer, "objective": objective_scorer}
    model = KMeans(n_init=5, random_state=0)
    search = choose_n_clusters(model, blobs(150), [2, 3, 6], scoring=scoring, cv=HALVES)
    assert search.best_params_ == {"n_clusters": 3}
    by_inertia = choose_n_clusters(
        model, blobs(150), [2, 3, 6], scoring=scoring, refit="objective", cv=HALVES
    )
    assert by_inertia.best_params_ == {"n_clusters": 6}


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("several", [True, False])
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_scores_that_are_no_numbers_choose_nothing(refit, several):
    def broken(estimator, X):
        return np.nan

    scoring = {"other": silhouette_scorer, "broken": broken} if several else broken
    refit = "broken" if several and refit else refit

    def choose():
        model = KMeans(random_state=0)
        return choose_n_clusters(model, blobs(60), [2, 3], scoring=scoring, refit=refit, cv=2)

    if several and not refit:  # nothing is chosen
        assert np.isfinite(choose().cv_results_["mean_test_other"]).all()
        return
    name = "broken" if several else "score"
    with pytest.raises(ValueError, match=rf"finite {name}, got \[nan, nan\]"):
        choose()


def test_folds_are_shuffled_for_any_int():
    search = choose_n_clusters(KMeans(random_state=0), blobs(60), [2], cv=np.int64(3))
    assert search.cv.shuffle
    assert search.n_splits_ == 3
    for cv in (True, np.True_):
        with pytest.raises(TypeError, match="cv must be an int, got"):
            choose_n_clusters(KMeans(), blobs(60), [2], cv=cv)
    with pytest.raises(ValueError, match="cv must be at least 2, got 1"):
        choose_n_clusters(KMeans(), blobs(60), [2], cv=1)


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        ([], ValueError, "must have a number"),
        ([3, 1], ValueError, "must be at least 2, got 1"),
        ([2.0], TypeError, "must be an int, got 2.0"),
    ],
)
def test_bad_ranges(numbers, error, message):
    with pytest.raises(error, match=message):
        choose_n_clusters(KMeans(), blobs(), numbers)


def test_estimators_without_such_a_parameter_or_with_several():
    with pytest.raises(ValueError, match="has no parameter n_clusters"):
        choose_n_clusters(GaussianMixture(), blobs(), [2])
    two = make_pipeline(KMeans(), KMeans())
    with pytest.raises(ValueError, match=r"kmeans-1__n_clusters.*kmeans-2__n_clusters"):
        choose_n_clusters(two, blobs(), [2])


# ---------------------------------------------------------------------- consensus


@parametrize_with_checks([ConsensusClusterer(KMeans(3, n_init=1), n_runs=3)])
def test_consensus_is_a_proper_clusterer(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


#: Trained for so long that each run has rows in all of its clusters, which a check wants to see.
LONGER = {"n_clusters": 3, "hidden_sizes": (32, 32, 32), "pretrain_epochs": 40}


@pytest.mark.slow
@unconverged
@parametrize_with_checks([ConsensusClusterer(quick("StatDEC", **LONGER), n_runs=2)])
def test_consensus_of_networks_is_a_proper_clusterer(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


def memberships(rng, n_runs, n, k):
    return [rng.dirichlet(np.full(k, 0.3), n) for _ in range(n_runs)]


def distance(memberships, matching):
    """Sum of squared distances to the mean."""
    matched = np.array([p[:, m] for p, m in zip(memberships, matching, strict=True)])
    return ((matched - matched.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("seed", range(5))
def test_renumbered_runs_are_matched_again(seed):
    rng = np.random.default_rng(seed)
    [p] = memberships(rng, 1, 50, 6)
    orders = [rng.permutation(6) for _ in range(4)]
    runs = [p[:, order] for order in orders]
    matching = match_clusters(runs, reference=2)
    for run, columns in zip(runs, matching, strict=True):
        np.testing.assert_array_equal(run[:, columns], runs[2])


@pytest.mark.parametrize("seed", range(5))
def test_two_runs_are_matched_as_well_as_can_be(seed):
    runs = memberships(np.random.default_rng(seed), 2, 30, 5)
    best = min(distance(runs, [range(5), order]) for order in itertools.permutations(range(5)))
    assert distance(runs, match_clusters(runs, 0)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_numbering_of_one_run_is_nearer_to_the_mean(seed):
    runs = memberships(np.random.default_rng(seed), 4, 30, 4)
    matching = match_clusters(runs, 1)
    reached = distance(runs, matching)
    for r in range(4):
        for order in itertools.permutations(range(4)):
            other = matching.copy()
            other[r] = order
            assert distance(runs, other) >= reached - 1e-9


@unconverged
def test_what_the_attributes_say():
    X = np.random.default_rng(0).normal(size=(200, 3))  # no clusters: runs differ
    model = ConsensusClusterer(GaussianMixture(4, max_iter=500), n_runs=4, random_state=0).fit(X)
    runs = model.estimators_
    aligned = [run.predict_proba(X)[:, m] for run, m in zip(runs, model.matching_, strict=True)]
    np.testing.assert_allclose(model.predict_proba(X), np.mean(aligned, axis=0))
    np.testing.assert_array_equal(model.labels_, np.mean(aligned, axis=0).argmax(axis=1))
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    labels = [run.predict(X) for run in runs]
    expected = [[adjusted_rand_score(a, b) for a in labels] for b in labels]
    np.testing.assert_allclose(model.agreement_, expected)
    assert model.agreement_.min() < 0.9
    np.testing.assert_allclose(
        model.run_agreement_, [adjusted_rand_score(model.labels_, a) for a in labels]
    )
    hits = [p.argmax(axis=1) == model.labels_ for p in aligned]
    np.testing.assert_allclose(model.row_agreement_, np.mean(hits, axis=0))
    np.testing.assert_allclose(model.scores_, [run.score(X) for run in runs])
    assert model.n_clusters_ == 4
    assert model.n_features_in_ == 3


def test_seeds_come_from_random_state_alone():
    X = blobs(60)
    state = np.random.mtrand._rand.get_state()[1].copy()

    def seeds(model):
        return [run.random_state for run in model.fit(X).estimators_]

    first = seeds(ConsensusClusterer(KMeans(3, random_state=1), 4, random_state=0))
    again = seeds(ConsensusClusterer(KMeans(3, random_state=2), 2, random_state=0))
    assert len(set(first)) == 4
    assert first[:2] == again
    assert first != seeds(ConsensusClusterer(KMeans(3), 4, random_state=1))
    unseeded = ConsensusClusterer(KMeans(3), 2)
    assert seeds(unseeded) != seeds(unseeded)
    np.testing.assert_array_equal(state, np.random.mtrand._rand.get_state()[1])
    nested = ConsensusClusterer(make_pipeline(StandardScaler(), KMeans(3)), 3, random_state=0)
    assert len({run[-1].random_state for run in nested.fit(X).estimators_}) == 3


def test_the_estimator_itself_stays_as_it_is():
    base = KMeans(3, random_state=1)
    model = ConsensusClusterer(base, 2, random_state=0).fit(blobs(60))
    assert model.estimator is base
    assert not hasattr(base, "labels_")
    assert base.random_state == 1


@unconverged
def test_runs_side_by_side_give_the_same():
    X = blobs(90)
    model = ConsensusClusterer(quick("StatDEC", n_clusters=3), 2, random_state=0)
    one, two = clone(model).fit(X), clone(model).set_params(n_jobs=2).fit(X)
    np.testing.assert_array_equal(one.labels_, two.labels_)
    np.testing.assert_array_equal(two.labels_, two.predict(X))


@unconverged
def test_images_are_handed_on():
    X = images()
    model = ConsensusClusterer(quick("MMDC", n_clusters=2, network="mlp"), 2, random_state=0)
    model.fit(X)
    assert model.predict_proba(X[:5]).shape == (5, 2)
    assert adjusted_rand_score(model.labels_, np.arange(len(X)) % 2) == 1


class Varying(ClusterMixin, BaseEstimator):
    """Finds three clusters from an even seed and two from an odd one, without probabilities."""

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y=None):
        self.k_ = 2 + (self.random_state % 2 == 0)
        self.labels_ = self.predict(X)
        return self

    def predict(self, X):
        return np.minimum(X[:, 0].astype(int), self.k_ - 1)


def test_runs_may_have_different_numbers_of_clusters():
    X = np.repeat([0.0, 1.0, 2.0], 20)[:, None]
    model = ConsensusClusterer(Varying(), 9, random_state=0).fit(X)
    found = [run.k_ for run in model.estimators_]
    assert set(found) == {2, 3}
    assert model.n_clusters_ == 3
    proba = model.predict_proba(X[-1:])  # a call may hold none of a run's other clusters
    assert proba.shape == (1, 3)
    assert proba.sum() == pytest.approx(1)
    assert proba.max() >= found.count(3) / 9 - 1e-9
    np.testing.assert_array_equal(model.labels_, model.predict(X))


class Counting(ClusterMixin, BaseEstimator):
    """The cluster of a row is its number; of the clusters that there may be, fit sees some."""

    def __init__(self, n_clusters=None):
        self.n_clusters = n_clusters

    def fit(self, X, y=None):
        self.labels_ = self.predict(X)
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0].astype(int)

    def score(self, X, y=None):
        return 1.0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model,
        lambda model: make_pipeline(StandardScaler(with_mean=False, with_std=False), model),
        lambda model: GridSearchCV(model, {"n_clusters": [5]}, cv=2),
    ],
    ids=["alone", "pipeline", "search"],
)
def test_new_rows_may_be_in_clusters_that_no_row_of_fit_was_in(wrap):
    X = np.repeat([0.0, 1.0, 2.0], 10)[:, None]
    model = ConsensusClusterer(wrap(Counting(5)), 2, random_state=0).fit(X)
    assert model.n_clusters_ == 5
    proba = model.predict_proba([[4.0], [0.0]])
    assert proba.shape == (2, 5)
    np.testing.assert_array_equal(proba.max(axis=1), 1)
    assert proba.argmax(axis=1)[0] not in model.labels_


def test_clusters_beyond_those_of_fit_are_named():
    X = np.repeat([0.0, 1.0, 2.0], 10)[:, None]
    model = ConsensusClusterer(Counting(), 2, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"3 clusters in fit, but Counting\(\) now predicts 3"):
        model.predict([[3.0]])


def test_scores_of_another_estimator_are_forgotten(calls):
    X = blobs(30)
    model = ConsensusClusterer(KMeans(2, n_init=1), 2, random_state=0).fit(X)
    assert model.scores_.shape == (2,)
    assert not hasattr(model.set_params(estimator=Recording()).fit(X), "scores_")


@pytest.mark.parametrize("k", [3, 4])
def test_runs_with_all_clusters_are_not_copied(k):
    p = np.eye(3)
    wide = _widened(p, k)
    assert (wide is p) == (k == 3)
    np.testing.assert_array_equal(wide, np.eye(3, k))


def test_labels_do_not_reach_the_runs(calls):
    X = blobs(30)
    ConsensusClusterer(Recording(), 2).fit(X, np.arange(30))  # Recording refuses labels
    assert sum(kind == "fit" for kind, _, _ in calls) == 2


def test_metadata_reaches_the_runs_that_ask_for_it():
    X = np.repeat(blobs(60, centers=3), 2, axis=0)
    weights = (np.arange(120) < 100).astype(float)
    plain = ConsensusClusterer(KMeans(3, n_init=2), 2, random_state=0)
    plain.fit(X, sample_weight=weights)
    centers = plain.estimators_[0].cluster_centers_
    with config_context(enable_metadata_routing=True):
        asking = clone(plain)
        asking.estimator.set_fit_request(sample_weight=True)
        asking.fit(X, sample_weight=weights)
        np.testing.assert_allclose(asking.estimators_[0].cluster_centers_, centers)
        with pytest.raises(ValueError, match="sample_weight"):
            clone(plain).fit(X, sample_weight=weights)
    unweighted = clone(plain).fit(X).estimators_[0].cluster_centers_
    assert not np.allclose(centers, unweighted)


def test_names_of_columns_are_kept_and_forgotten():
    pd = pytest.importorskip("pandas")
    X = blobs(60)
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = ConsensusClusterer(KMeans(3), 2, random_state=0).fit(frame)
    assert list(model.feature_names_in_) == list("abcd")
    assert not hasattr(model.fit(X), "feature_names_in_")


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (ConsensusClusterer(KMeans(3), 0), ValueError, "n_runs must be at least 1, got 0"),
        (ConsensusClusterer(KMeans(3), 2.0), TypeError, "n_runs must be an int, got 2.0"),
        (ConsensusClusterer(AgglomerativeClustering(3)), TypeError, "must have predict"),
        (ConsensusClusterer("kmeans"), TypeError, "must have fit, got 'kmeans'"),
    ],
)
def test_what_consensus_refuses(model, error, message):
    with pytest.raises(error, match=message):
        model.fit(blobs(30))


def test_noise_is_no_cluster():
    class Noisy(Recording):
        def predict(self, X):
            return np.full(len(X), -1)

    with pytest.raises(ValueError, match="predicts -1"):
        ConsensusClusterer(Noisy(), 2).fit(blobs(30))


def test_an_unshuffled_splitter_of_the_users_own_is_taken_as_it_is():
    search = choose_n_clusters(KMeans(random_state=0), blobs(90), [2, 3], cv=KFold(3))
    assert search.n_splits_ == 3
    assert search.cv.shuffle is False
