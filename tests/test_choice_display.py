"""The curve of the number of clusters."""

import numpy as np
import pytest
from estimators import blobs
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.model_selection import GridSearchCV

from skdeepcluster.inspection import NClustersDisplay
from skdeepcluster.model_selection import choose_n_clusters, silhouette_scorer, stability_scorer


@pytest.fixture(autouse=True)
def _close():
    plt.close("all")
    yield
    plt.close("all")


def test_the_curve_shows_means_and_deviations_in_order():
    scores = np.array([[0.2, 0.4], [0.9, 0.7], [0.5, 0.5]])
    display = NClustersDisplay(n_clusters=[4, 3, 2], scores=scores, score_name="stability").plot()
    np.testing.assert_allclose(display.line_.get_xydata(), [[2, 0.5], [3, 0.8], [4, 0.3]])
    heights = display.band_.get_paths()[0].vertices
    at_three = heights[heights[:, 0] == 3, 1]
    assert (at_three.min(), at_three.max()) == pytest.approx((0.7, 0.9))
    assert display.best_n_clusters_ == 3
    assert display.best_line_.get_xdata()[0] == 3
    assert display.ax_.get_ylabel() == "stability"
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert all("." not in label for label in labels)


def test_of_equal_means_the_largest_number_is_best():
    for numbers in ([2, 3], [3, 2]):
        display = NClustersDisplay(n_clusters=numbers, scores=[[1.0], [1.0]])
        assert display.plot(ax=Figure().subplots()).best_n_clusters_ == 3


def test_curves_share_axes_and_style_is_the_users():
    ax = Figure().subplots()
    for color in ("black", "red"):
        NClustersDisplay(n_clusters=[2, 3], scores=[[1], [2]]).plot(ax=ax, color=color, label=color)
    assert {line.get_color() for line in ax.lines} >= {"black", "red"}


def test_a_number_without_a_score_is_not_the_best():
    scores = [[0.5, 0.6], [0.9, np.nan], [0.4, 0.4]]
    display = NClustersDisplay(n_clusters=[2, 3, 4], scores=scores).plot()
    assert display.best_n_clusters_ == 2
    display.figure_.canvas.draw()
    with pytest.raises(ValueError, match=r"mean is finite, got \[nan, nan\]"):
        NClustersDisplay(n_clusters=[2, 3], scores=[[np.nan], [np.nan]]).plot()
    assert len(plt.get_fignums()) == 1


def test_names_of_scores_may_hold_whatever_they_do():
    ax = Figure().subplots()
    display = NClustersDisplay(n_clusters=[2], scores=[[1]], score_name="$\\frac$" + "long" * 20)
    display.plot(ax=ax).figure_.canvas.draw()
    assert len(ax.get_ylabel()) < 50


def test_from_estimator_is_from_search():
    X = blobs(200, centers=4)
    model = KMeans(n_init=3, random_state=0)
    options = {"scoring": silhouette_scorer, "cv": 2}
    display = NClustersDisplay.from_estimator(model, X, [2, 4, 6], **options)
    search = choose_n_clusters(model, X, [2, 4, 6], refit=False, **options)
    other = NClustersDisplay.from_search(search)
    np.testing.assert_allclose(display.scores, other.scores)
    means = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(np.asarray(display.scores).mean(axis=1), means)
    assert display.best_n_clusters_ == 4 == search.best_params_["n_clusters"]
    assert display.ax_.get_ylabel() == other.ax_.get_ylabel() == "silhouette"


def test_one_of_several_scorers():
    scoring = {"st": stability_scorer, "si": silhouette_scorer}
    model = KMeans(n_init=5, random_state=0)
    search = choose_n_clusters(model, blobs(150), [2, 3], scoring=scoring, refit="si", cv=2)
    assert NClustersDisplay.from_search(search).ax_.get_ylabel() == "si"
    assert NClustersDisplay.from_search(search, scorer="st").ax_.get_ylabel() == "st"
    with pytest.raises(ValueError, match="scorer must be one of"):
        NClustersDisplay.from_search(search, scorer="acc")
    with pytest.raises(TypeError, match="shows one scorer"):
        NClustersDisplay.from_estimator(model, blobs(), [2, 3], scoring=scoring)


def test_a_search_over_more_is_no_curve():
    grid = {"n_clusters": [2, 3], "n_init": [1, 2]}
    search = GridSearchCV(KMeans(random_state=0), grid, cv=2).fit(blobs(60))
    with pytest.raises(ValueError, match="over n_clusters alone"):
        NClustersDisplay.from_search(search)
    plain = GridSearchCV(KMeans(random_state=0), {"n_clusters": [2, 3]}, cv=2).fit(blobs(60))
    assert NClustersDisplay.from_search(plain).ax_.get_ylabel() == "score"
