"""The measures keep their definitions, and the scorers work wherever scikit-learn takes one."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

from skdeepcluster.metrics import (
    acc_scorer,
    ari_scorer,
    balanced_acc_scorer,
    balanced_clustering_accuracy,
    class_recall,
    clustering_accuracy,
    nmi_scorer,
)

SCORERS = {
    "acc": acc_scorer,
    "nmi": nmi_scorer,
    "ari": ari_scorer,
    "balanced_acc": balanced_acc_scorer,
}


def accuracy_by_trying_all_maps(y_true, y_pred):
    """The definition, word for word: every one-to-one map of the smaller side into the larger."""
    labels, clusters = sorted(set(y_true)), sorted(set(y_pred))
    if len(clusters) <= len(labels):
        maps = (
            dict(zip(clusters, m, strict=True))
            for m in itertools.permutations(labels, len(clusters))
        )
    else:
        maps = (
            dict(zip(m, labels, strict=True)) for m in itertools.permutations(clusters, len(labels))
        )
    hits = [sum(m.get(c) == t for t, c in zip(y_true, y_pred, strict=True)) for m in maps]
    return max(hits) / len(y_true)


pairs_of_labels = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        *(
            st.integers(1, 5).flatmap(
                lambda k: st.lists(st.integers(0, k - 1), min_size=n, max_size=n)
            )
            for _ in range(2)
        )
    )
)


@given(pairs_of_labels)
def test_accuracy_is_the_best_of_all_one_to_one_maps(pair):
    y_true, y_pred = pair
    assert_allclose(
        clustering_accuracy(y_true, y_pred), accuracy_by_trying_all_maps(y_true, y_pred)
    )


@given(pairs_of_labels, st.permutations(range(5)), st.permutations(range(5)))
def test_accuracy_ignores_names_of_labels_order_of_samples_and_of_arguments(pair, f, g):
    y_true, y_pred = (np.array(y) for y in pair)
    expected = clustering_accuracy(y_true, y_pred)
    assert clustering_accuracy(np.array(f)[y_true], np.array(g)[y_pred]) == expected
    assert clustering_accuracy(y_true[::-1], y_pred[::-1]) == expected
    assert clustering_accuracy(y_pred, y_true) == expected


@given(pairs_of_labels)
def test_accuracy_is_at_least_the_largest_cell_and_at_most_one(pair):
    y_true, y_pred = (np.array(y) for y in pair)
    largest_cell = max(
        np.mean((y_true == t) & (y_pred == c)) for t in set(y_true) for c in set(y_pred)
    )
    assert largest_cell <= clustering_accuracy(y_true, y_pred) <= 1
    assert clustering_accuracy(y_true, y_true) == 1


def test_accuracy_of_one_cluster_is_the_share_of_the_largest_class():
    assert clustering_accuracy([0, 0, 0, 1, 2], np.zeros(5, int)) == 0.6


def test_accuracy_counts_each_class_once_when_it_is_split():
    # a many-to-one map would call this clustering perfect
    y = np.repeat([0, 1], 6)
    assert clustering_accuracy(y, np.arange(12) // 3) == 0.5
    assert clustering_accuracy(y, np.arange(12)) == 2 / 12


def recalls_by_trying_all_maps(y_true, y_pred):
    """Mean recalls of all maps that reach the accuracy."""
    labels, clusters = sorted(set(y_true)), sorted(set(y_pred))
    padded = clusters + [None] * max(0, len(labels) - len(clusters))
    best, recalls = -1, set()
    for chosen in itertools.permutations(padded, len(labels)):
        hits = [
            sum(t == label and c == cluster for t, c in zip(y_true, y_pred, strict=True))
            for label, cluster in zip(labels, chosen, strict=True)
        ]
        recall = np.mean(
            [hit / list(y_true).count(label) for hit, label in zip(hits, labels, strict=True)]
        )
        if sum(hits) > best:
            best, recalls = sum(hits), set()
        if sum(hits) == best:
            recalls.add(recall)
    return recalls


@given(pairs_of_labels)
def test_balanced_accuracy_is_the_mean_recall_of_the_most_accurate_map(pair):
    y_true, y_pred = pair
    expected = max(recalls_by_trying_all_maps(y_true, y_pred))
    assert_allclose(balanced_clustering_accuracy(y_true, y_pred), expected)
    assert_allclose(class_recall(y_true, y_pred).mean(), expected)


@given(pairs_of_labels)
def test_recalls_weighted_by_class_size_are_the_accuracy(pair):
    y_true, y_pred = pair
    recall = class_recall(y_true, y_pred)
    assert recall.shape == (len(set(y_true)),)
    sizes = np.unique(y_true, return_counts=True)[1]
    assert_allclose((recall * sizes).sum() / len(y_true), clustering_accuracy(y_true, y_pred))


@given(pairs_of_labels, st.permutations(range(5)), st.permutations(range(5)))
def test_balanced_accuracy_ignores_names_and_order(pair, f, g):
    y_true, y_pred = (np.array(y) for y in pair)
    expected = balanced_clustering_accuracy(y_true, y_pred)
    assert_allclose(
        balanced_clustering_accuracy(np.array(f)[y_true], np.array(g)[y_pred]), expected
    )
    assert_allclose(balanced_clustering_accuracy(y_true[::-1], y_pred[::-1]), expected)


def test_recalls_stand_in_the_order_of_the_labels():
    y = ["b"] * 4 + ["a"] * 2 + ["c"]
    np.testing.assert_array_equal(class_recall(y, [7, 7, 7, 2, 2, 2, 2]), [1, 0.75, 0])


def test_balanced_accuracy_of_classes_of_equal_size_is_the_accuracy():
    rng = np.random.default_rng(0)
    for _ in range(20):
        y, c = np.repeat(range(4), 25), rng.integers(0, 5, 100)
        assert_allclose(balanced_clustering_accuracy(y, c), clustering_accuracy(y, c))


@pytest.mark.parametrize("function", [balanced_clustering_accuracy, class_recall])
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1, 1], [0, 1], "inconsistent numbers of samples"),
        ([], [], r"0 sample\(s\)"),
        (np.zeros((3, 1)), [0, 1, 1], r"y_true must be one-dimensional.*\(3, 1\)"),
    ],
)
def test_recall_of_bad_input_is_an_error(function, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        function(y_true, y_pred)


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        (["b", "b", "a", "a"], [3, 3, -1, 3]),
        (np.array(["b", "b", "a", "a"], dtype=object), np.array([3, 3, -1, 3], dtype=np.int8)),
        ([-5, -5, 1000, 1000], [1.0, 1.0, 0.0, 1.0]),
        ([True, True, False, False], ["x", "x", "", "x"]),
        (pd.Series(["b", "b", "a", "a"], index=[7, 3, 5, 9]), pd.Series([3, 3, -1, 3])),
        (pd.Series(["b", "b", "a", "a"], dtype="category"), (3, 3, -1, 3)),
    ],
)
def test_accuracy_takes_any_values(y_true, y_pred):
    result = clustering_accuracy(y_true, y_pred)
    assert result == 0.75
    assert type(result) is float


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 1, 1], [0, 1], "inconsistent numbers of samples"),
        ([], [], r"0 sample\(s\)"),
        (np.zeros((3, 1)), [0, 1, 1], r"y_true must be one-dimensional.*\(3, 1\)"),
        ([0, 1, 1], np.zeros((3, 2)), r"y_pred must be one-dimensional.*\(3, 2\)"),
        (0, 0, r"y_true must be one-dimensional.*\(\)"),
        (None, [0, 1], r"y_true must be one-dimensional"),
        ([0.0, np.nan], [0, 1], "y_true contains NaN"),
    ],
)
def test_accuracy_of_bad_input_is_an_error(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        clustering_accuracy(y_true, y_pred)


@pytest.mark.parametrize(
    "function", [clustering_accuracy, balanced_clustering_accuracy, class_recall]
)
def test_labels_that_cannot_be_sorted_are_an_error(function):
    mixed = np.array([0, "a", 1], dtype=object)
    for name, labels in (("y_true", (mixed, [0, 1, 1])), ("y_pred", ([0, 1, 1], mixed))):
        with pytest.raises(TypeError, match=f"{name} must be of one kind.*, got int, str"):
            function(*labels)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def kmeans(iris):
    return KMeans(3, n_init=2, random_state=0).fit(iris[0])


def test_scorers_give_their_metric_of_predict(kmeans, iris):
    X, y = iris
    labels = kmeans.predict(X)
    assert acc_scorer(kmeans, X, y) == clustering_accuracy(y, labels)
    assert nmi_scorer(kmeans, X, y) == normalized_mutual_info_score(y, labels)
    assert ari_scorer(kmeans, X, y) == adjusted_rand_score(y, labels)
    assert balanced_acc_scorer(kmeans, X, y) == balanced_clustering_accuracy(y, labels)


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_single_scorer_in_grid_search(name, n_jobs, iris):
    X, y = iris
    search = GridSearchCV(
        KMeans(n_init=2, random_state=0),
        {"n_clusters": [2, 3]},
        scoring=SCORERS[name],
        cv=2,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert search.score(X, y) == SCORERS[name](search.best_estimator_, X, y)
    clone(search)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_dict_of_scorers_in_grid_search_and_cross_validate(n_jobs, iris):
    X, y = iris
    kmeans = KMeans(3, n_init=2, random_state=0)
    search = GridSearchCV(
        kmeans,
        {"n_clusters": [2, 3]},
        scoring=SCORERS,
        refit="nmi",
        cv=3,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y)
    results = cross_validate(
        kmeans, X, y, scoring=SCORERS, cv=3, n_jobs=n_jobs, error_score="raise"
    )
    for name, scorer in SCORERS.items():
        alone = cross_val_score(kmeans, X, y, scoring=scorer, cv=3)
        assert_allclose(results[f"test_{name}"], alone)
        assert_allclose(search.cv_results_[f"mean_test_{name}"][1], alone.mean())


@pytest.mark.parametrize("name", SCORERS)
def test_scorer_without_labels_says_that_it_needs_them(name, kmeans, iris):
    X, _ = iris
    message = f"{name}_scorer .* needs them: pass y"
    with pytest.raises(ValueError, match=message):
        SCORERS[name](kmeans, X)
    with pytest.raises(ValueError, match=message):
        SCORERS[name](kmeans, X, None)
    with pytest.raises(ValueError, match=message):
        cross_validate(kmeans, X, scoring=SCORERS[name], error_score="raise")


def test_dict_of_scorers_without_labels_says_that_it_needs_them(iris):
    search = GridSearchCV(
        KMeans(n_init=1), {"n_clusters": [2]}, scoring=SCORERS, refit=False, error_score="raise"
    )
    with pytest.raises(ValueError, match="needs them: pass y"):
        search.fit(iris[0])


def test_scorer_of_an_estimator_without_predict_is_an_error(iris):
    X, y = iris
    with pytest.raises(AttributeError, match="predict"):
        acc_scorer(DBSCAN().fit(X), X, y)


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_are_named_and_survive_pickling(name, kmeans, iris):
    X, y = iris
    copy = pickle.loads(pickle.dumps(SCORERS[name]))
    assert copy(kmeans, X, y) == SCORERS[name](kmeans, X, y)
    assert repr(copy) == copy.__name__ == f"{name}_scorer"
