"""The displays show what they are given, whole and legible, and leave pyplot alone."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from estimators import blobs, images, quick, unconverged
from fixed import Fixed
from sklearn.cluster import DBSCAN, KMeans
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdeepcluster import inspection
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.inspection import (
    ClusterLabelDisplay,
    ClusterSizesDisplay,
    EmbeddingDisplay,
    GalleryDisplay,
    InterpolationDisplay,
    NClustersDisplay,
    SamplesDisplay,
    TrainingCurvesDisplay,
)
from skdeepcluster.metrics import clustering_accuracy

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed():
    """No figure of another test, nor of an example that left its own."""
    plt.close("all")
    yield
    plt.close("all")


def fixed(n=60, n_clusters=4, **parameters):
    rng = np.random.default_rng(0)
    return Fixed(rng.dirichlet(np.full(n_clusters, 0.3), n), **parameters)


def coded(n=60, height=4, width=5, channels=()):
    """8-bit images of one value each: their number."""
    return np.broadcast_to(
        np.arange(n, dtype=np.uint8).reshape(n, *[1] * (2 + len(channels))),
        (n, height, width, *channels),
    ).copy()


HISTORY = [
    {"epoch": i + 1, "phase": "start" if i < 4 else "clustering", "loss": 9.0 - i, "seconds": 0.1}
    for i in range(8)
]

#: Each display of given arrays, and what draws it on given axes.
DRAWN = {
    "gallery": lambda ax: GalleryDisplay.from_predictions(coded(), np.arange(60) % 3, ax=ax),
    "embedding": lambda ax: EmbeddingDisplay.from_predictions(blobs(), np.arange(90) % 3, ax=ax),
    "curves": lambda ax: TrainingCurvesDisplay(HISTORY).plot(ax=ax),
    "matrix": lambda ax: ClusterLabelDisplay.from_predictions([0, 1, 1], [1, 0, 0], ax=ax),
    "sizes": lambda ax: ClusterSizesDisplay.from_predictions([0, 1, 1], ax=ax),
    "choice": lambda ax: NClustersDisplay(n_clusters=[2, 3], scores=[[1], [2]]).plot(ax=ax),
    "samples": lambda ax: SamplesDisplay(np.eye(6).reshape(2, 3, 6), [0, 1]).plot(ax=ax),
    "interpolations": lambda ax: InterpolationDisplay(coded(8, 4, 4, (3,))[None], ["a"]).plot(
        ax=ax
    ),
}

every_display = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)


# ---------------------------------------------------------------------- all displays


@every_display
def test_axes_given_are_drawn_on_and_pyplot_is_left_alone(draw):
    _, (first, second) = plt.subplots(1, 2)
    other = plt.figure()
    settings = dict(mpl.rcParams)
    display = draw(first)
    assert display.figure_ is first.figure
    assert display.ax_ is first or display.ax_ in first.figure.axes
    assert not second.has_data()
    assert plt.gcf() is other
    assert len(plt.get_fignums()) == 2
    assert dict(mpl.rcParams) == settings


@every_display
def test_without_axes_there_is_one_new_figure_of_pyplot(draw):
    display = draw(None)
    assert [plt.figure(number) for number in plt.get_fignums()] == [display.figure_]
    display.figure_.canvas.draw()
    assert display.ax_.has_data()


@every_display
def test_plot_draws_again_elsewhere(draw):
    display = draw(None)
    figure = display.figure_
    assert display.plot() is display
    assert display.figure_ is not figure


@every_display
def test_without_matplotlib_the_error_names_the_extra(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"requires matplotlib.*skdeepcluster\[plot\]"):
        draw(None)


def test_names_may_hold_whatever_file_names_do():
    names = ["half\udcff", "nu\x00l", "$\\frac$", "<b>", "{}", "%s", "long" * 20]
    display = EmbeddingDisplay.from_predictions(np.random.default_rng(0).random((7, 2)), names)
    display.figure_.canvas.draw()
    texts = {text.get_text() for text in display.text_}
    assert {"half\ufffd", "nu\ufffdl", "<b>"} <= texts


def test_names_that_begin_with_an_underscore_are_in_legends():
    names = ["_hidden", "_", "shown"]
    display = EmbeddingDisplay.from_predictions(np.eye(3), names, legend=True)
    texts = [text.get_text().lstrip("\u200b") for text in display.legend_.get_texts()]
    assert texts == sorted(names)
    display.figure_.canvas.draw()  # the space of no width is in the font
    curves = TrainingCurvesDisplay(HISTORY, metrics={"_acc": ([1, 2], [0, 1])}).plot()
    (text,) = curves.axes_[-1].get_legend().get_texts()
    assert text.get_text().endswith("_acc")


@pytest.mark.slow  # another interpreter
def test_matplotlib_is_imported_only_on_use():
    code = (
        "import sys, skdeepcluster.inspection as i; i.ClusterSizesDisplay([1], [0]);"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


FROM_ESTIMATOR = {
    "gallery": lambda model, X: GalleryDisplay.from_estimator(model, X),
    "embedding": lambda model, X: EmbeddingDisplay.from_estimator(model, X),
    "curves": lambda model, X: TrainingCurvesDisplay.from_estimator(model),
    "matrix": lambda model, X: ClusterLabelDisplay.from_estimator(model, X, np.zeros(len(X))),
    "sizes": lambda model, X: ClusterSizesDisplay.from_estimator(model, X),
    "samples": lambda model, X: SamplesDisplay.from_estimator(model),
    "interpolations": lambda model, X: InterpolationDisplay.from_estimator(model),
}


@pytest.mark.parametrize("make", FROM_ESTIMATOR.values(), ids=FROM_ESTIMATOR)
def test_estimators_that_are_not_fitted_or_cannot_are_refused_without_a_figure(make):
    X = coded()
    with pytest.raises(NotFittedError):
        make(KMeans(3), X)
    with pytest.raises(TypeError, match=r"DBSCAN|got"):
        make(DBSCAN().fit(X.reshape(60, -1)), X)
    assert plt.get_fignums() == []


def test_everything_public_is_exported():
    assert all(hasattr(inspection, name) for name in inspection.__all__)


# ---------------------------------------------------------------------- gallery


@pytest.mark.parametrize("order, sign", [("most", -1), ("least", 1)])
def test_gallery_has_the_most_or_least_confident_images(order, sign):
    model, X = fixed(), coded()
    display = GalleryDisplay.from_estimator(model, X, n_images=5, order=order)
    labels, confidence = model.proba.argmax(axis=1), model.proba.max(axis=1)
    for k, shown in enumerate(display.images):
        members = np.flatnonzero(labels == k)
        expected = members[np.argsort(sign * confidence[members], kind="stable")][:5]
        assert shown[:, 0, 0, 0].tolist() == expected.tolist()
    assert display.sizes.tolist() == np.bincount(labels, minlength=4).tolist()
    again = GalleryDisplay.from_predictions(
        X, labels, confidence=confidence, n_images=5, order=order
    )
    np.testing.assert_array_equal(again.im_.get_array(), display.im_.get_array())


def test_gallery_shows_chosen_clusters_in_their_order_and_empty_ones():
    proba = np.eye(4)[np.repeat([0, 2, 3], 20)]
    display = GalleryDisplay.from_estimator(Fixed(proba), coded(), clusters=[3, 1])
    assert [text.get_text() for text in display.text_] == ["3 (20)", "1 (0)"]
    with pytest.raises(ValueError, match=r"clusters must be some of \[0, 1, 2, 3\], got \[4\]"):
        GalleryDisplay.from_estimator(Fixed(proba), coded(), clusters=[4])


@pytest.mark.parametrize(
    "come",
    [
        lambda X: (X / 255, None),
        lambda X: (X.tolist(), None),
        lambda X: (X.astype(np.int64), None),
        lambda X: (np.moveaxis(X, 3, 1), None),
        lambda X: (X.reshape(12, -1), (6, 5, 3)),
        lambda X: (np.moveaxis(X, 3, 1).reshape(12, -1), (3, 6, 5)),
    ],
    ids=["unit", "lists", "integers", "channels first", "rows", "rows, channels first"],
)
def test_images_are_the_same_however_they_come(come):
    X = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3)).astype(np.uint8)
    X[0, 0, :2, 0] = 0, 255  # the range of other integers is what there is of them
    array, image_shape = come(X)
    labels = np.arange(12) % 2
    expected = GalleryDisplay.from_predictions(X, labels).images
    shown = GalleryDisplay.from_predictions(array, labels, image_shape=image_shape).images
    np.testing.assert_array_equal(shown, expected)


def test_grey_images_and_others_ranges():
    X = np.linspace(-3, 7, 4 * 6 * 5).reshape(4, 6, 5)
    (shown,) = GalleryDisplay.from_predictions(X, np.zeros(4)).images
    expected = np.rint((X + 3) / 10 * 255)
    np.testing.assert_array_equal(shown, np.repeat(expected[..., None], 3, axis=3))


def test_rows_unfold_as_the_estimator_knows():
    X = coded(60, 4, 5).reshape(60, -1)
    model = fixed(image_shape=(4, 5))
    inner = make_pipeline(FunctionTransformer(), model)
    for estimator in (model, inner):
        display = GalleryDisplay.from_estimator(estimator, X)
        assert display.images[0].shape[1:] == (4, 5, 3)


@unconverged
def test_rows_unfold_as_the_images_of_fit():
    X = images()
    model = quick("StatDEC", n_clusters=2, random_state=0).fit(X)
    display = GalleryDisplay.from_estimator(model, X.reshape(60, -1))
    np.testing.assert_array_equal(
        display.im_.get_array(), GalleryDisplay.from_estimator(model, X).im_.get_array()
    )


@pytest.mark.parametrize(
    "X, arguments, message",
    [
        (blobs(60), {}, "features.* pass image_shape"),
        (coded(), {"image_shape": (5, 4)}, r"image_shape=\(5, 4\) does not fit"),
        (coded(), {"order": "some"}, "order must be one of"),
        (coded(), {"n_images": 0}, "n_images must be at least 1"),
        (coded(50), {}, "got 50 images, but 60 labels"),
        (np.full((60, 4, 5), np.nan), {}, "NaN"),
    ],
)
def test_gallery_names_bad_input_and_leaves_no_figure(X, arguments, message):
    with pytest.raises(ValueError, match=message):
        GalleryDisplay.from_predictions(X, np.arange(60) % 3, **arguments)
    assert plt.get_fignums() == []


# ---------------------------------------------------------------------- a hundred clusters


def overlaps(texts):
    """Whether any of the texts covers a part of another."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_names_of_a_hundred_clusters_do_not_cover_each_other():
    labels = np.arange(400) % 100
    gallery = GalleryDisplay.from_predictions(coded(200, 4, 4), labels[:200], n_images=3)
    gallery.figure_.canvas.draw()
    assert not overlaps(gallery.text_)
    matrix = ClusterLabelDisplay.from_predictions(labels, labels)
    matrix.figure_.canvas.draw()
    assert not overlaps(matrix.ax_.get_xticklabels())
    assert not overlaps(matrix.ax_.get_yticklabels())
    sizes = ClusterSizesDisplay.from_predictions(labels, confidence=np.linspace(0, 1, 400))
    sizes.figure_.canvas.draw()
    assert not overlaps(sizes.axes_[-1].get_xticklabels())
    points = [matrix.ax_.get_xticklabels(), sizes.axes_[-1].get_xticklabels(), gallery.text_]
    assert min(text.get_fontsize() for texts in points for text in texts) >= 4.5


def test_each_of_a_hundred_groups_has_a_look_of_its_own():
    labels = np.arange(300) % 100
    display = EmbeddingDisplay.from_predictions(np.random.default_rng(0).random((300, 2)), labels)
    looks = {
        (scatter.get_facecolor().tobytes(), scatter.get_paths()[0].vertices.tobytes())
        for scatter in display.scatter_
    }
    assert len(looks) == 100
    assert [text.get_text() for text in display.text_] == [str(k) for k in range(100)]


# ---------------------------------------------------------------------- embedding


def test_embedding_is_in_the_plane_of_the_largest_variance():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(50, 6)) * [5, 1, 3, 0.1, 0.5, 1]
    display = EmbeddingDisplay.from_estimator(Fixed(np.eye(2)[np.arange(50) % 2], Z), Z)
    centred = Z - Z.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    expected = centred @ vectors[:, [-1, -2]]
    signs = np.sign((expected * display.points).sum(axis=0))
    np.testing.assert_allclose(display.points, expected * signs, atol=1e-9)
    share = values[-1] / values.sum()
    assert display.axis_labels[0] == f"Principal component 1 ({100 * share:.0f} % of variance)"


def test_embedding_colours_by_cluster_or_label():
    Z = np.random.default_rng(0).normal(size=(60, 2))
    model = fixed(embedding=Z)
    by_cluster = EmbeddingDisplay.from_estimator(model, Z)
    np.testing.assert_array_equal(by_cluster.labels, model.proba.argmax(axis=1))
    np.testing.assert_array_equal(by_cluster.points, Z)  # two columns need no reducer
    y = np.array(["cat", "dog", "eel"])[np.arange(60) % 3]
    by_label = EmbeddingDisplay.from_estimator(model, Z, y)
    np.testing.assert_array_equal(by_label.labels, y)
    for name, scatter in zip(["cat", "dog", "eel"], by_label.scatter_, strict=True):
        np.testing.assert_array_equal(scatter.get_offsets(), Z[y == name])


def test_points_of_every_shape_are_seen_at_low_resolution():
    points = np.column_stack([np.arange(5000) % 100, np.arange(5000) // 100])
    display = EmbeddingDisplay.from_predictions(points, np.arange(5000) // 500, legend=False)
    display.ax_.set_axis_off()
    display.figure_.set_dpi(60)
    for artist in [*display.text_, *display.scatter_]:
        artist.set_visible(False)
    for scatter in display.scatter_:
        scatter.set_visible(True)
        display.figure_.canvas.draw()
        pixels = np.asarray(display.figure_.canvas.buffer_rgba())[..., :3]
        assert (pixels.min(axis=2) < 250).sum() > 500  # points of a group: a pixel each
        scatter.set_visible(False)


def test_embedding_takes_reducers_and_draws_rows():
    Z = np.random.default_rng(0).normal(size=(80, 5))
    labels = np.arange(80) % 4
    draw = EmbeddingDisplay.from_predictions
    np.testing.assert_array_equal(draw(Z, labels, reducer=lambda Z: Z[:, 3:]).points, Z[:, 3:])
    some = draw(Z, labels, max_samples=30, reducer=lambda Z: Z[:, :2])
    again = draw(Z, labels, max_samples=30, reducer=lambda Z: Z[:, :2])
    np.testing.assert_array_equal(some.points, again.points)
    rows = [int(np.flatnonzero((Z[:, :2] == p).all(axis=1))[0]) for p in some.points]
    assert len(set(rows)) == 30
    np.testing.assert_array_equal(some.labels, labels[rows])
    tsne = draw(Z[:12], labels[:12], reducer="tsne")
    assert tsne.points.shape == (12, 2)
    assert tsne.ax_.get_xlabel() == "t-SNE 1"
    assert draw(Z[:, :1], labels).points.shape == (80, 2)
    for reducer in ("umap", 3, lambda Z: Z):
        with pytest.raises(ValueError, match="reducer must"):
            draw(Z, labels, reducer=reducer)


# ---------------------------------------------------------------------- curves


def test_curves_are_the_terms_of_the_history():
    display = TrainingCurvesDisplay(HISTORY).plot()
    start, clustering = display.ax_.get_lines()[:2]
    np.testing.assert_array_equal(start.get_xydata(), [(1, 9), (2, 8), (3, 7), (4, 6)])
    np.testing.assert_array_equal(clustering.get_xydata(), [(5, 5), (6, 4), (7, 3), (8, 2)])
    assert start.get_linestyle() != clustering.get_linestyle()


@unconverged
def test_scores_by_epoch_have_curves_but_their_cost_has_none():
    X = blobs()
    callbacks = [ScoreCurve(np.arange(90) % 3)]
    model = quick("DCCS", n_clusters=3, random_state=0, max_epochs=2, callbacks=callbacks).fit(X)
    assert "steps" in model.history_[-1]
    display = TrainingCurvesDisplay.from_estimator(model)
    assert {"acc", "nmi", "ari", "wasserstein"} <= set(display.terms_)
    assert not {"steps", "scoring_seconds"} & set(display.terms_)


@unconverged
@pytest.mark.parametrize("name", ["StatDEC", "DCCS", "MMDC", "VariationalGMMClustering"])
def test_every_term_of_every_method_has_a_curve(name):
    X = blobs()
    model = quick(name, n_clusters=3, random_state=0, max_epochs=3).fit(X)
    epochs = np.arange(1, len(model.history_) + 1)
    display = TrainingCurvesDisplay.from_estimator(model, metrics={"ACC": (epochs, epochs / 99)})
    terms = {key for row in model.history_ for key in row} - {"epoch", "phase", "seconds"}
    assert set(display.terms_) == terms
    for panel, term in zip(display.axes_, display.terms_, strict=False):
        drawn = {
            int(x): y for line in panel.get_lines() for x, y in line.get_xydata() if x % 1 == 0
        }
        expected = {r["epoch"]: np.median(r[term]) for r in model.history_ if term in r}
        assert drawn == pytest.approx(expected)
    # The critic's panel, and no other, has the accuracy on its other side.
    assert (display.twin_ is not None) == (name == "DCCS")
    np.testing.assert_array_equal(display.axes_[-1].get_lines()[0].get_ydata(), epochs / 99)
    if name == "DCCS":
        np.testing.assert_array_equal(display.twin_.get_lines()[0].get_ydata(), epochs / 99)


def test_curves_show_the_spread_of_sizes_and_where_starts_begin():
    sizes = [{"epoch": i, "phase": "clustering", "sizes": [i, 10, 30]} for i in (1, 2, 3)]
    band = TrainingCurvesDisplay(sizes).plot().ax_.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1
    assert band[:, 1].max() == 30
    starts = [{"epoch": i + 1, "phase": "start", "loss": 1.0} for i in range(4)]
    starts[1]["information"] = 0.3
    lines = TrainingCurvesDisplay(starts, terms=["loss"]).plot().ax_.get_lines()
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2], [3, 4]]


@unconverged
@pytest.mark.parametrize("name", ["DCCS", "VariationalGMMClustering"])
def test_curves_of_several_starts_are_apart(name):
    params = {"n_init": 3, "init_epochs": 2, "max_epochs": 1, "random_state": 0}
    params |= {"augmentation": "auto"} if name == "DCCS" else {}
    model = quick(name, n_clusters=3, **params).fit(images())
    starts = [row["epoch"] for row in model.history_ if row["phase"] == "start"]
    lines = TrainingCurvesDisplay(model.history_, terms=["loss"]).plot().ax_.get_lines()
    of_starts = [list(line.get_xdata()) for line in lines if line.get_xdata()[0] in starts]
    assert of_starts == [starts[0:2], starts[2:4], starts[4:6]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"terms": ["los"]}, r"terms must be some of \['loss'\], got \['los'\]"),
        ({"metrics": {"ACC": ([1, 2], [0.5])}}, "has 2 epochs, but 1 values"),
        ({"metrics": {"ACC": [1, 2, 3]}}, "must be a pair of epochs and values"),
        ({"history": []}, "nothing was trained"),
    ],
)
def test_curves_name_bad_input_and_leave_no_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainingCurvesDisplay(**{"history": HISTORY, **arguments}).plot()
    assert plt.get_fignums() == []


# ---------------------------------------------------------------------- matrix, sizes


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n_labels, n_clusters", [(4, 4), (3, 6), (6, 3)])
def test_the_matrix_has_the_accuracy_on_its_diagonal(seed, n_labels, n_clusters):
    rng = np.random.default_rng(seed)
    y, labels = rng.integers(n_labels, size=80), 10 + rng.integers(n_clusters, size=80)
    display = ClusterLabelDisplay.from_predictions(y, labels)
    accuracy = clustering_accuracy(y, labels)
    assert np.trace(display.matrix) / 80 == pytest.approx(accuracy, abs=1e-12)
    assert display.ax_.get_title() == f"ACC {accuracy:.3f}"
    for i, label in enumerate(display.labels):
        for j, cluster in enumerate(display.clusters):
            assert display.matrix[i, j] == ((y == label) & (labels == cluster)).sum()


def test_the_matrix_shares_names_and_empty_clusters():
    y = [0, 0, 0, 1]
    draw = ClusterLabelDisplay.from_predictions
    np.testing.assert_allclose(
        draw(y, [5, 5, 4, 4], normalize="true").matrix, [[2 / 3, 1 / 3], [0, 1]]
    )
    np.testing.assert_allclose(draw(y, [5, 5, 4, 4], normalize="pred").matrix, [[1, 0.5], [0, 0.5]])
    np.testing.assert_allclose(draw(y, [5, 5, 4, 4], normalize="all").matrix.sum(), 1)
    model = Fixed(np.eye(3)[[0, 0, 0, 2]])
    empty = ClusterLabelDisplay.from_estimator(
        model, np.zeros((4, 2)), y, normalize="pred", display_labels=["cat", "dog"]
    )
    assert empty.clusters.tolist() == [0, 2, 1]
    np.testing.assert_array_equal(empty.matrix, [[1, 0, 0], [0, 1, 0]])
    assert [t.get_text() for t in empty.ax_.get_yticklabels()] == ["cat", "dog"]
    with pytest.raises(ValueError, match="display_labels must be 2 names"):
        draw(y, y, display_labels=["a"])
    with pytest.raises(ValueError, match="normalize must be one of"):
        draw(y, y, normalize="rows")


def test_numbers_in_the_matrix_stand_out():
    counts = np.array([[100, 50], [3, 0]])
    display = ClusterLabelDisplay(counts, ["a", "b"], [0, 1]).plot()
    assert [t.get_text() for t in display.text_.ravel()] == ["100", "50", "3", ""]
    assert display.text_[0, 0].get_color() == "white"
    assert display.text_[1, 0].get_color() == "black"


def test_sizes_and_confidences_are_those_of_the_clusters():
    rng = np.random.default_rng(0)
    labels, confidence = rng.choice(4, 200, p=[0.1, 0.2, 0.3, 0.4]), rng.random(200)
    display = ClusterSizesDisplay.from_predictions(labels, confidence=confidence)
    assert [bar.get_height() for bar in display.bars_] == sorted(np.bincount(labels), reverse=True)
    for cluster, quantiles in zip(display.clusters, display.quantiles, strict=True):
        expected = np.percentile(confidence[labels == cluster], [5, 25, 50, 75, 95])
        np.testing.assert_allclose(quantiles, expected)
    by_confidence = ClusterSizesDisplay.from_predictions(
        labels, confidence=confidence, sort="confidence"
    )
    assert (np.diff(by_confidence.quantiles[:, 2]) <= 0).all()
    empty = ClusterSizesDisplay.from_estimator(Fixed(np.eye(3)[[0, 0, 2]]), np.zeros((3, 2)))
    assert empty.sizes.tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="needs confidences"):
        ClusterSizesDisplay.from_predictions(labels, sort="confidence")
    with pytest.raises(ValueError, match="confidence must be one-dimensional"):
        ClusterSizesDisplay.from_predictions(labels, confidence=np.ones((200, 4)))
    with pytest.raises(TypeError, match=r"labels must be of one kind.*, got int, str"):
        ClusterSizesDisplay.from_predictions(np.array([0, "a", 1], dtype=object))


# ---------------------------------------------------------------------- what is generated


@unconverged
@pytest.mark.parametrize("kind", ["images", "rows", "features"])
def test_samples_and_interpolations_are_the_estimators(kind):
    X = blobs() if kind == "features" else images()
    shape = {"image_shape": X.shape[1:]} if kind == "rows" else {}
    X = X.reshape(len(X), -1) if kind == "rows" else X
    model = quick("VariationalGMMClustering", n_clusters=3, random_state=0, **shape).fit(X)
    samples = SamplesDisplay.from_estimator(model, n_samples=4, clusters=[2, 0])
    ways = InterpolationDisplay.from_estimator(model, pairs=[(0, 2), (1, 0)], steps=5)
    assert ways.names == ["0 to 2, z", "0 to 2, k", "1 to 0, z", "1 to 0, k"]
    drawn = np.stack([model.sample(4, cluster=k)[0] for k in (2, 0)])
    way = model.interpolate(1, 0, space="k", steps=5)
    if kind == "features":
        np.testing.assert_array_equal(samples.rows, drawn)
        np.testing.assert_array_equal(ways.rows[3], way)
    else:
        expected = np.rint(drawn.reshape(2, 4, 6, 4)).clip(0, 255)
        np.testing.assert_allclose(samples.rows[..., 0], expected, atol=1)
        np.testing.assert_allclose(ways.rows[3, ..., 0], np.rint(way.reshape(5, 6, 4)), atol=1)
    with pytest.raises(ValueError, match=r"cluster.* 3"):
        SamplesDisplay.from_estimator(model, clusters=[3])
    with pytest.raises(ValueError, match="pairs must be pairs"):
        InterpolationDisplay.from_estimator(model, pairs=[])


def test_what_samples_from_all_components_is_refused():
    model = GaussianMixture(2, random_state=0).fit(blobs(30))
    with pytest.raises(TypeError, match=r"no n_clusters and sample\(\.\.\., cluster="):
        SamplesDisplay.from_estimator(model)
