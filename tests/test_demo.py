"""The command line does what its help says, and refuses what it cannot do in one line."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.cluster import KMeans

from skdeepcluster._cli import _demo, main
from skdeepcluster._cli._demo import IMAGES_PER_CLUSTER, gallery
from skdeepcluster.inspection._images import Images
from skdeepcluster.metrics import clustering_accuracy

METHODS = dict(_demo.METHODS)


class Nearest:
    """Stands in for a method: KMeans with the interface that the demo uses."""

    seen = None

    def __init__(self, n_clusters=8, **parameters):
        self.n_clusters = n_clusters
        type(self).seen = {"n_clusters": n_clusters, **parameters}

    def _rows(self, X):
        return np.asarray(X, dtype=float).reshape(len(X), -1)

    def fit_predict(self, X):
        type(self).seen["X"] = X
        self.kmeans = KMeans(self.n_clusters, n_init=1, random_state=0).fit(self._rows(X))
        return self.kmeans.labels_

    def predict_proba(self, X):
        return softmax(-self.kmeans.transform(self._rows(X)), axis=1)


class Refusing(Nearest):
    """A method that does not like what it gets."""

    def fit_predict(self, X):
        raise ValueError("gamma must be positive,\n got -1.")


@pytest.fixture(autouse=True)
def methods(monkeypatch, tmp_path):
    """Two quick methods, and a folder of its own to run in."""
    monkeypatch.setattr(
        _demo, "METHODS", {"nearest": Nearest, "other": type("Other", (Nearest,), {})}
    )
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images():
    """Three kinds of 6 x 5 images, uint8, 20 of each, told apart by where they are bright."""
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], 20)
    data = rng.integers(0, 60, size=(60, 6, 5), dtype=np.uint8)
    for k in range(3):
        data[target == k, 2 * k : 2 * k + 2] += 180
    return data, target


def table_of(output):
    """The lines of the table as lists of words, the head first."""
    lines = output.strip().split("\n\n")[0].splitlines()
    return [re.split(r"  +", line.strip()) for line in lines if not line.startswith("-")]


def save(path="data.npz", **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_table_and_picture_of_labelled_images(images, capsys):
    data, target = images
    file = save(data=data, target=target)
    assert main(["demo", "--data", file, "--method", "nearest", "--seed", "3"]) == 0
    output = capsys.readouterr().out
    head, kmeans, nearest = table_of(output)
    assert head == ["method", "ACC", "NMI", "ARI", "seconds"]
    assert [kmeans[0], nearest[0]] == ["KMeans", "Nearest"]
    assert kmeans[1:4] == nearest[1:4] == ["1.000"] * 3
    assert output.endswith("picture: skdeepcluster-demo.png\n")
    assert Path("skdeepcluster-demo.png").read_bytes().startswith(b"\x89PNG")
    assert Nearest.seen["n_clusters"] == 3  # as many as there are targets
    assert Nearest.seen["random_state"] == 3
    assert Nearest.seen["device"] == "auto"
    np.testing.assert_array_equal(Nearest.seen["X"], data)
    assert Nearest.seen["X"].dtype == np.uint8


def test_columns_of_the_table_are_aligned(images, capsys):
    data, target = images
    main(["demo", "--data", save(data=data, target=target)])
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(lines) == 5  # head, rule, KMeans and two methods
    assert len({len(line) for line in lines}) == 1


def test_all_methods_run_once_each(images, capsys):
    data, target = images
    file = save(data=data, target=target)
    for chosen in ([], ["all"], ["other", "nearest", "other"], ["nearest", "all"]):
        argv = [word for name in chosen for word in ("--method", name)]
        assert main(["demo", "--data", file, *argv]) == 0
        names = [row[0] for row in table_of(capsys.readouterr().out)[2:]]
        assert sorted(names) == ["Nearest", "Other"]


def test_options_reach_the_method(images):
    file = save(data=images[0])
    options = ["--n-clusters", "4", "--device", "cpu", "--max-time", "2.5", "--max-epochs", "7"]
    assert main(["demo", "--data", file, "--method", "nearest", *options]) == 0
    expected = {"n_clusters": 4, "device": "cpu", "max_time": 2.5, "max_epochs": 7}
    assert expected.items() <= Nearest.seen.items()


def test_without_target_the_table_has_the_sizes_of_clusters(images, capsys):
    file = save(data=images[0])
    assert main(["demo", "--data", file, "--n-clusters", "3", "--method", "nearest"]) == 0
    head, *rows = table_of(capsys.readouterr().out)
    assert head == ["method", "seconds", "samples in each cluster"]
    assert [row[2] for row in rows] == ["20 20 20", "20 20 20"]


def test_without_data_the_digits_are_clustered(capsys):
    assert main(["demo", "--method", "nearest"]) == 0
    assert Nearest.seen["X"].shape == (1797, 8, 8)
    assert Nearest.seen["n_clusters"] == 10
    assert float(table_of(capsys.readouterr().out)[1][1]) > 0.7


def test_features_give_a_table_and_no_picture(images, capsys):
    data, target = images
    # one column of large numbers without meaning: the baseline must standardise
    noise = np.random.default_rng(1).normal(scale=1e6, size=(60, 1))
    file = save(data=np.hstack([data.reshape(60, -1), noise]), target=target.astype(str))
    assert main(["demo", "--data", file, "--method", "nearest"]) == 0
    captured = capsys.readouterr()
    assert table_of(captured.out)[1][1] == "1.000"
    assert "not images" in captured.err
    assert not list(Path().glob("*.png"))


def test_colour_images_and_other_kinds_of_picture(images):
    grey, target = images
    colour = np.stack([grey, grey // 2, 255 - grey], axis=-1) / 255
    for array, name in ((colour, "a.pdf"), (grey[..., None] > 100, "b.PNG"), (grey, "c")):
        file = save(data=array, target=target)
        assert main(["demo", "--data", file, "--output", name]) == 0
        assert Path(name).stat().st_size > 1000


def test_without_matplotlib_the_table_still_appears(images, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    data, target = images
    assert main(["demo", "--data", save(data=data, target=target)]) == 0
    captured = capsys.readouterr()
    assert len(table_of(captured.out)) == 4
    assert "pip install 'skdeepcluster[plot]'" in captured.err
    assert "picture:" not in captured.out


def test_gallery_shows_the_most_confident_images_of_each_cluster():
    rng = np.random.default_rng(0)
    n, n_clusters = 50, 4
    images = np.tile(np.arange(n, dtype=np.uint8)[:, None, None], (1, 3, 2))  # image i is i
    proba = rng.dirichlet(np.ones(n_clusters - 1), size=n)
    proba = np.insert(proba, 2, 0.0, axis=1)  # cluster 2 is empty
    proba[:45, 3] = 0  # cluster 3 has fewer members than the row has places
    labels = proba.argmax(axis=1)
    display = gallery(Images(images), _demo.Result("m", labels, proba, 0.0))
    for k in range(n_clusters):
        members = [i for i in range(n) if labels[i] == k]
        best = sorted(members, key=lambda i: -proba[i, k])[:IMAGES_PER_CLUSTER]
        assert display.images[k].shape == (len(best), 3, 2, 3)
        assert display.images[k][:, 0, 0, 0].tolist() == best
    display.plot(ax=Figure())
    counts = np.bincount(labels, minlength=n_clusters)
    names = [f"{k} ({count})" for k, count in enumerate(counts)]
    assert [text.get_text() for text in display.text_] == names


def bad_files():
    """Files of which nothing can be made, with what the message has to say."""
    X = np.zeros((5, 4))
    return {
        "no such file": None,
        "no array named 'data', it has: images, target": {"images": X, "target": X[:, 0]},
        "shape (5,)": {"data": X[0:5, 0]},
        "(2, 2, 2) have no axis of 1 or 3 channels": {"data": np.zeros((5, 2, 2, 2))},
        "shape (0, 4)": {"data": X[:0]},
        "type <U1": {"data": np.full((5, 4), "a")},
        "type complex128": {"data": X.astype(complex)},
        "expected (5,), one label for each row": {"data": X, "target": np.zeros(4)},
        "'data' in data.npz contains NaN": {"data": np.where(np.eye(5, 4), np.nan, X)},
        "'target' in data.npz contains NaN": {"data": X, "target": np.full(5, np.inf)},
        "no file of plain arrays": {"data": X.astype(object)},
        "10 clusters asked of 5 samples": {"data": X},
    }


@pytest.mark.parametrize(("message", "arrays"), bad_files().items())
def test_bad_files_are_refused_in_one_line(message, arrays, capsys):
    if arrays is not None:
        save(**arrays)
    assert main(["demo", "--data", "data.npz"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert message in captured.err


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", b"PK\x03\x04 damaged", b"\x93NUMPY\x01\x00"]
)
def test_what_is_no_npz_file_is_refused_in_one_line(content, capsys):
    Path("data.npz").write_bytes(content)
    assert main(["demo", "--data", "data.npz"]) == 1
    assert re.fullmatch(r"error: data.npz is no file of plain.*\n", capsys.readouterr().err)


def test_npy_file_and_folder_are_refused_in_one_line(capsys):
    np.save("data.npy", np.zeros((5, 4)))
    for path in ("data.npy", "."):
        assert main(["demo", "--data", path]) == 1
        assert re.fullmatch(
            rf"error: {re.escape(path)} is not an .npz.*\n", capsys.readouterr().err
        )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--output", "missing/a.png"], "no such folder for the picture: missing"),
        (["--output", "a.doc"], "no such kind of picture: .doc"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_before_the_run(argv, message, images, capsys):
    file = save(data=images[0], target=images[1])
    assert main(["demo", "--data", file, *argv]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "running" not in captured.err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["party"],
        ["demo", "--method", "unknown"],
        ["demo", "--n-clusters", "0"],
        ["demo", "--n-clusters", "2.5"],
        ["demo", "--max-time", "-1"],
        ["demo", "--max-time", "soon"],
        ["demo", "--seed", "x"],
        ["demo", "--seed", "-1"],
        ["demo", "--n-cluster", "3"],
    ],
)
def test_bad_command_lines_show_the_usage(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: python -m skdeepcluster" in capsys.readouterr().err


def test_an_unknown_device_is_refused_before_the_run(images, capsys):
    assert main(["demo", "--data", save(data=images[0]), "--device", "abacus"]) == 1
    captured = capsys.readouterr().err
    assert re.fullmatch(r"error: device='abacus' is not .*\n", captured)


def test_what_a_method_refuses_is_one_line(images, capsys, monkeypatch):
    monkeypatch.setattr(_demo, "METHODS", {"refusing": Refusing})
    file = save(data=images[0], target=images[1])
    assert main(["demo", "--data", file]) == 1
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "error: gamma must be positive, got -1."


def test_interrupt_ends_without_a_traceback(images, capsys, monkeypatch):
    def interrupted(self, X):
        raise KeyboardInterrupt

    monkeypatch.setattr(Nearest, "fit_predict", interrupted)
    file = save(data=images[0], target=images[1])
    assert main(["demo", "--data", file]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


@pytest.mark.parametrize("name", METHODS)
def test_real_methods_run(name, images, capsys, monkeypatch):
    monkeypatch.setattr(_demo, "METHODS", METHODS)
    file = save(data=images[0], target=images[1])
    assert main(["demo", "--data", file, "--method", name, "--max-time", "0.5"]) == 0
    captured = capsys.readouterr()
    assert "was ended by max_time" in captured.err  # half a second is not meant to be enough
    assert table_of(captured.out)[2][0].lower() == name
    assert "epoch" in captured.err  # progress is shown
    assert Path("skdeepcluster-demo.png").exists()


def test_table_has_the_metrics_of_the_labels(capsys):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 40)
    labels = rng.integers(0, 3, 40)
    text = _demo.table([_demo.Result("m", labels, None, 1.25)], target, 3)
    assert f"{clustering_accuracy(target, labels):.3f}" in text.splitlines()[2]
