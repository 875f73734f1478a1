"""The command line: fit, predict and report do what their help says, or say why not in one line."""

import configparser
import csv
import importlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from estimators import QUICK, blobs, every_estimator, images
from PIL import Image
from sklearn.exceptions import ConvergenceWarning

import skdeepcluster
from skdeepcluster import DCCS, MMDC, StatDEC, VariationalGMMClustering, inspection
from skdeepcluster._cli import _commands, _options, main
from skdeepcluster._cli._main import build_parser
from skdeepcluster._training._progress import ProgressBar

CLASSES = {cls.__name__: cls for cls in (DCCS, MMDC, StatDEC, VariationalGMMClustering)}
REPORT = inspection.report
BRIEF = ["--hidden-sizes", "16,16,16", "--pretrain-epochs", "5", "--max-epochs", "3", "--tol", "0"]
ODD = ["=1+1.png", "a,b.png", 'quo"te.png', "two\nlines.png", "-x.png", "@x.png", "emo😀.png"]
ODD += ["a;=1+1.png", "two\r=1+1.png"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def reports(monkeypatch):
    """Calls of the report, which has tests of its own."""
    calls = []

    def report(estimator, X, path, *, names=None):
        calls.append((estimator, X, Path(path), names))
        Path(path).write_text("<!doctype html>")

    monkeypatch.setattr(inspection, "report", report, raising=False)
    return calls


@pytest.fixture
def photographs():
    """A folder of 40 images with odd names, in two folders."""
    X = images(40, 8, 8)
    names = ODD + [f"{i:02}.png" for i in range(len(ODD), 40)]
    for i, (x, name) in enumerate(zip(X, names, strict=True)):
        folder = Path("photographs") / ("cats" if i % 2 else "")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(folder / name)
    return "photographs"


def table(text):
    """Rows of a CSV text, the head first."""
    return list(csv.reader(io.StringIO(text, newline="")))


def run(*argv):
    return main([str(word) for word in argv])


def fit(*argv, output="found"):
    return run("fit", *BRIEF, "--n-clusters", 2, *argv, "--output", output)


def only_line(capsys):
    """What a failed call says."""
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    return line


# ---------------------------------------------------------------------- fit


def test_a_folder_of_images(photographs, reports, capsys):
    assert fit(photographs) == 0
    head, *rows = table(Path("found/labels.csv").read_bytes().decode())
    assert head == ["name", "cluster", "confidence"]
    files = sorted(p.relative_to("photographs").as_posix() for p in Path().glob("**/*.png"))
    model = skdeepcluster.load("found/model")
    X = np.array([np.asarray(Image.open(Path("photographs", name))) for name in files])
    proba = model.predict_proba(X)
    assert [Path(name).as_posix() for name, _, _ in rows] == files
    assert [int(cluster) for _, cluster, _ in rows] == proba.argmax(axis=1).tolist()
    np.testing.assert_allclose([float(p) for *_, p in rows], proba.max(axis=1), rtol=1e-5)
    [(estimator, data, path, names)] = reports
    assert (path, names) == (Path("found/report.html"), files)
    np.testing.assert_array_equal(data, X)
    np.testing.assert_array_equal(estimator.labels_, model.labels_)
    assert sorted(os.listdir("found")) == ["labels.csv", "model", "report.html"]
    out, err = capsys.readouterr()
    sizes = [int(n) for n in re.search(r"2 clusters of (.*) rows", out)[1].split(", ")]
    assert sizes == np.bincount(model.labels_, minlength=2).tolist()
    assert "8 x 8 pixels, in grey" in err
    assert "epoch" in err  # progress is shown


def test_no_name_of_a_file_is_a_formula(photographs):
    fit(photographs)
    text = Path("found/labels.csv").read_bytes().decode()
    assert not re.search(r'^"?[=+\-@]', text, re.MULTILINE)
    assert "./=1+1.png" in [row[0] for row in table(text)]
    # Nor with other marks between columns and rows, for a reader that keeps to the quotes
    outside = "".join(text.split('"')[::2])
    assert not re.search(r"[=@+;\r]", outside)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_in_another_encoding_is_told_by_its_bytes(photographs):
    name = os.fsencode(photographs) + b"/z\xff.png"
    Image.fromarray(images(1, 8, 8)[0]).save("other.png")
    os.rename("other.png", name)
    assert fit(photographs) == 0
    assert table(Path("found/labels.csv").read_bytes().decode())[-1][0] == "z\\udcff.png"


def save_npy(X, name="data.npy"):
    np.save(name, X)
    return name


def save_npz(name="data.npz", **arrays):
    np.savez(name, **arrays)
    return name


def labels_of(folder):
    """Clusters in a table of rows, which are checked to be numbered."""
    head, *rows = table(Path(folder, "labels.csv").read_text())
    assert head == ["row", "cluster", "confidence"]
    assert [int(row) for row, _, _ in rows] == list(range(len(rows)))
    return [int(cluster) for _, cluster, _ in rows]


def test_array_files_give_the_same_clusters_as_python():
    X = images(40, 8, 8)
    settings = dict(hidden_sizes=(16, 16, 16), pretrain_epochs=5, max_epochs=3, tol=0)
    expected = StatDEC(2, random_state=0, **settings).fit(X).labels_
    flat = save_npy(X.reshape(40, -1), "flat.npy")
    assert fit(flat, "--image-shape", "8,8") == 0
    assert labels_of("found") == expected.tolist()
    for file, options in (
        (save_npy(X), ()),
        (save_npz(data=X, target=np.arange(40)), ()),
        (save_npz("one.npz", anything=X), ()),
        (save_npz("two.npz", a=X, b=X[:3]), ("--array", "a")),
    ):
        assert run("predict", "found", file, "--output", "other.csv", *options) == 0
        assert Path("other.csv").read_bytes() == Path("found/labels.csv").read_bytes()


def test_names_beside_an_array(reports):
    names = [f"={i}" for i in range(39)] + ["-1.5"]
    assert fit(save_npz(data=images(40, 8, 8), filenames=np.array(names))) == 0
    rows = table(Path("found/labels.csv").read_text())[1:]
    assert [row[0] for row in rows] == [f"'={i}" for i in range(39)] + ["-1.5"]
    assert reports[0][3] == names


def frame():
    pd = pytest.importorskip("pandas")
    X = blobs(60, centers=2)
    return pd.DataFrame(X, columns=list("abcd")).assign(who=[f"row {i}" for i in range(60)])


def test_a_table_and_predictions_on_another(capsys):
    data = frame()
    data.to_csv("a.csv", index=False)
    assert fit("a.csv", "--no-report") == 0
    assert not Path("found/report.html").exists()
    labels = Path("found/labels.csv").read_text()
    assert table(labels)[1][0] == "row 0"
    model = skdeepcluster.load("found/model")
    assert list(model.feature_names_in_) == list("abcd")
    # Other columns, in another order, with the names that pandas gives to rows.
    other = data[["d", "who", "c", "b", "a"]].assign(more="text", number=3.0)
    other.to_csv("b.csv")
    capsys.readouterr()
    assert run("predict", "found", "b.csv", "--names", "who") == 0
    assert capsys.readouterr().out == labels
    assert run("predict", "found/model", "b.csv", "--names", "who", "--output", "b.out") == 0
    assert Path("b.out").read_text() == labels
    assert run("predict", "found", "a.csv") == 0


def test_an_index_that_pandas_wrote_is_no_feature():
    data = frame().drop(columns="who")
    data.to_csv("a.csv")
    assert fit("a.csv") == 0
    assert list(skdeepcluster.load("found/model").feature_names_in_) == list("abcd")
    assert [row[0] for row in table(Path("found/labels.csv").read_text())[1:4]] == ["0", "1", "2"]


def test_a_table_without_a_head_loses_no_row():
    np.savetxt("a.csv", blobs(60, centers=2), delimiter=",")
    assert fit("a.csv") == 0
    assert len(table(Path("found/labels.csv").read_text())) == 61
    assert not hasattr(skdeepcluster.load("found/model"), "feature_names_in_")


def test_a_head_of_numbers_is_one_if_pandas_wrote_it(capsys):
    pd = pytest.importorskip("pandas")
    data = pd.DataFrame(blobs(60, centers=2))
    data.to_csv("numbered.csv", index=False)
    data.to_csv("index.csv")
    data.to_csv("rows.csv", index=False, header=False)
    found = {}
    for name in ("numbered", "index", "rows"):
        assert fit(f"{name}.csv", "--no-report", output=name) == 0
        found[name] = table(Path(name, "labels.csv").read_text())[1:]
        taken = re.search(r"the first line of \S+ is taken as (\w+)", capsys.readouterr().err)
        assert taken[1] == ("a" if name == "rows" else "names")
    assert len(found["numbered"]) == 60
    assert found["numbered"] == found["index"] == found["rows"]
    assert list(skdeepcluster.load("index/model").feature_names_in_) == list("0123")
    assert run("predict", "numbered", "index.csv", "--output", "again.csv") == 0
    assert table(Path("again.csv").read_text())[1:] == found["index"]


def test_the_user_says_whether_there_is_a_head(capsys):
    pd = pytest.importorskip("pandas")
    data = pd.DataFrame(blobs(60, centers=2), columns=["2019", "2020", "2021", "2022"])
    data.to_csv("a.csv", index=False)
    for header, n in (("yes", 60), ("no", 61)):
        assert fit("a.csv", "--header", header, "--no-report", output=header) == 0
        assert len(table(Path(header, "labels.csv").read_text())) == n + 1
        assert "is taken as" not in capsys.readouterr().err
    assert run("predict", "yes", "a.csv", "--output", "again.csv") == 0  # the model knows the names
    assert len(table(Path("again.csv").read_text())) == 61
    data.to_csv("a.csv")
    capsys.readouterr()
    assert fit("a.csv", output="other") == 1
    assert "--header yes or no says which" in only_line(capsys)


def test_names_do_not_make_a_feature_of_the_index(capsys):
    frame().to_csv("a.csv")
    for i, options in enumerate(([], ["--names", "who"])):
        assert fit("a.csv", "--no-report", *options, output=i) == 0
        assert "it numbers the rows" in capsys.readouterr().err
        assert list(skdeepcluster.load(f"{i}/model").feature_names_in_) == list("abcd")
        assert table(Path(f"{i}/labels.csv").read_text())[1][0] == "row 0"
    assert fit("a.csv", "--names", "Unnamed: 0", "--drop", "who", output="2") == 0
    assert table(Path("2/labels.csv").read_text())[1][0] == "0"


def test_parquet_if_pandas_can(capsys):
    pytest.importorskip("pyarrow")
    frame().to_parquet("a.parquet")
    assert fit("a.parquet") == 0
    assert table(Path("found/labels.csv").read_text())[1][0] == "row 0"


def test_a_column_that_looks_like_labels_is_pointed_at(capsys):
    frame().assign(target=1).to_csv("a.csv", index=False)
    assert fit("a.csv") == 0
    assert "--drop target" in capsys.readouterr().err
    assert fit("a.csv", "--drop", "target", "--overwrite") == 0
    assert "--drop target" not in capsys.readouterr().err
    assert list(skdeepcluster.load("found/model").feature_names_in_) == list("abcd")


def test_colour_and_size_are_the_images_or_the_users(capsys):
    Path("mixed").mkdir()
    for i, x in enumerate(images(20, 12, 10, 3)):
        Image.fromarray(x if i else x[..., 0]).save(f"mixed/{i}.png")
    assert fit("mixed") == 0
    assert skdeepcluster.load("found/model")._row_shape == (12, 10, 3)
    assert fit("mixed", "--size", "6x5", "--mode", "L", "--overwrite") == 0
    assert skdeepcluster.load("found/model")._row_shape == (6, 5)
    Image.new("RGB", (40, 30)).save("mixed/other.png")
    capsys.readouterr()
    assert fit("mixed", "--overwrite", "--n-clusters", 100) == 1  # more than there are images
    assert "32 x 32 pixels, in colour" in capsys.readouterr().err


def test_other_images_get_the_size_that_the_model_knows(photographs, capsys):
    X = images(40, 6, 6, 3)
    for layout, file in (("last", X), ("first", np.moveaxis(X, -1, 1))):
        assert fit(save_npy(file), "--overwrite") == 0
        assert run("predict", "found", photographs, "--output", f"{layout}.csv") == 0
    assert Path("last.csv").read_text() == Path("first.csv").read_text()
    assert len(table(Path("last.csv").read_text())) == 41


@pytest.mark.parametrize("scale", [1, 255])
def test_a_folder_and_an_array_of_its_images_get_the_same_clusters(photographs, scale):
    names = sorted(p.relative_to(photographs).as_posix() for p in Path(photographs).rglob("*.png"))
    X = np.array([np.asarray(Image.open(Path(photographs, name))) for name in names])
    X[0, 0, :2] = 0, 255  # so that the range is whole
    Image.fromarray(X[0]).save(Path(photographs, names[0]))
    assert fit(save_npy((X / 255 * scale).astype(np.float32))) == 0
    assert run("predict", "found", photographs, "--output", "other.csv") == 0
    pairs = zip(*(table(Path(f).read_bytes().decode())[1:] for f in LABELS), strict=True)
    for (_, cluster, p), (_, other, q) in pairs:
        assert cluster == other
        assert float(p) == pytest.approx(float(q), rel=1e-3)


LABELS = ("found/labels.csv", "other.csv")


def test_a_folder_does_not_fit_a_model_of_other_pixels(photographs, capsys):
    assert fit(save_npy(images(40, 8, 8) / 100.0 - 1)) == 0
    capsys.readouterr()
    assert run("predict", "found", photographs) == 1
    assert "pixels from -1 to" in capsys.readouterr().err.splitlines()[-1]


def test_broken_images_are_left_out_with_a_word(photographs, capsys):
    Path(photographs, "aa.png").write_bytes(b"no image")
    assert fit(photographs) == 0
    assert re.search(r"^warning: 1 of 41 images .* aa\.png", capsys.readouterr().err, re.MULTILINE)
    names = [row[0] for row in table(Path("found/labels.csv").read_bytes().decode())]
    assert "aa.png" not in names


def test_results_are_not_replaced_by_accident(capsys):
    assert fit(save_npy(blobs(40, centers=2))) == 0
    before = Path("found/model").read_bytes()
    capsys.readouterr()
    assert fit("data.npy", "--random-state", 7) == 1
    assert "--overwrite" in only_line(capsys)
    assert Path("found/model").read_bytes() == before
    assert fit("data.npy", "--random-state", 7, "--overwrite") == 0
    assert skdeepcluster.load("found/model").random_state == 7


# ---------------------------------------------------------------------- interrupting


def interrupt_at(monkeypatch, epoch):
    """Press Ctrl-C at the end of an epoch of the first run to come that far."""
    original = ProgressBar.on_epoch_end

    def pressed(self, net, **kwargs):
        original(self, net, **kwargs)
        if len(net.history) == epoch:
            monkeypatch.setattr(ProgressBar, "on_epoch_end", original)
            os.kill(os.getpid(), 2)

    monkeypatch.setattr(ProgressBar, "on_epoch_end", pressed)


@pytest.mark.usefixtures("sigint")
def test_the_same_command_goes_on_after_ctrl_c(monkeypatch, capsys):
    file = save_npy(blobs(60, centers=2))
    assert fit(file, output="whole") == 0
    interrupt_at(monkeypatch, 6)  # of five to pre-train and three to cluster
    capsys.readouterr()
    assert fit(file) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted: the same command goes on from found/checkpoint"
    assert os.listdir("found") == ["checkpoint"]
    assert fit(file) == 0
    for name in ("labels.csv", "report.html"):
        assert Path("found", name).read_bytes() == Path("whole", name).read_bytes()
    went_on, whole = (skdeepcluster.load(f"{folder}/model") for folder in ("found", "whole"))
    assert [row["epoch"] for row in went_on.history_] == [row["epoch"] for row in whole.history_]
    times = [sum(row["seconds"] for row in m.history_) for m in (went_on, whole)]
    assert min(times) > 0
    assert not Path("found/checkpoint").exists()


def test_ctrl_c_elsewhere(monkeypatch, capsys):
    def pressed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(_commands, "read", pressed)
    assert fit("data.npy") == 130
    assert only_line(capsys) == "interrupted"


def test_a_run_that_time_ended_goes_on(capsys):
    file = save_npy(blobs(60, centers=2))
    argv = ["--max-time", "1e-6"]
    assert fit(file, *argv) == 0
    err = capsys.readouterr().err
    assert re.search("^warning: StatDEC was ended by max_time", err, re.MULTILINE)
    assert "goes on for another 1e-06 s" in err
    first = len(skdeepcluster.load("found/model").history_)
    assert fit(file) == 0  # without a limit, to the end
    assert len(skdeepcluster.load("found/model").history_) == 8 > first
    assert not Path("found/checkpoint").exists()


@pytest.mark.parametrize("where", [[], ["--checkpoint", "shared"]], ids=["own", "shared"])
def test_an_unfinished_run_is_not_replaced_by_another_command(where, capsys):
    first = save_npy(blobs(60, centers=2), "first.npy")
    other = save_npy(blobs(50, centers=2), "other.npy")
    assert fit(first, "--max-time", "1e-6", *where) == 0
    results = ["labels.csv", "model", "report.html"]
    before = [Path("found", name).read_bytes() for name in results]
    [checkpoint] = Path().glob("**/*.checkpoint")
    capsys.readouterr()
    assert fit(other, *where) == 1
    assert "--overwrite" in only_line(capsys)
    assert [Path("found", name).read_bytes() for name in results] == before
    assert fit(other, *where, output="elsewhere") == 0
    assert fit(other, "--overwrite", *where) == 0  # it is of no other run's checkpoint
    assert checkpoint.exists()
    assert fit(first, "--overwrite", *where) == 0
    assert len(skdeepcluster.load("found/model").history_) == 8
    assert checkpoint.exists() == bool(where)


def test_the_same_command_goes_on_from_a_folder_of_the_users_own(capsys):
    file = save_npy(blobs(60, centers=2))
    assert fit(file, "--checkpoint", "shared", "--max-time", "1e-6") == 0
    assert "the same command goes on" in capsys.readouterr().err
    assert fit(file, "--checkpoint", "shared") == 0
    assert len(skdeepcluster.load("found/model").history_) == 8


def test_without_a_checkpoint_nothing_goes_on(capsys):
    file = save_npy(blobs(60, centers=2))
    assert fit(file, "--checkpoint", "none", "--max-time", "1e-6") == 0
    assert "goes on" not in capsys.readouterr().err
    assert not list(Path().glob("**/*.checkpoint"))
    assert not Path("none").exists()
    assert fit(file, "--checkpoint", "none") == 1


def test_ctrl_c_while_the_report_is_written(monkeypatch, capsys):
    def pressed(*args, **kwargs):
        raise KeyboardInterrupt

    file = save_npy(blobs(60, centers=2))
    with monkeypatch.context() as patch:
        patch.setattr(inspection, "report", pressed)
        assert fit(file) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "interrupted: the same command goes on from found/checkpoint"
    assert fit(file) == 0
    assert sorted(os.listdir("found")) == ["labels.csv", "model", "report.html"]


def test_a_folder_of_the_users_own_for_checkpoints():
    file = save_npy(blobs(60, centers=2))
    assert fit(file, "--checkpoint", "7") == 0
    assert list(Path("7").glob("StatDEC-*.checkpoint"))
    assert not Path("found/checkpoint").exists()


# ---------------------------------------------------------------------- report


def test_the_report_goes_beside_the_model_or_where_it_is_told(photographs, reports, capsys):
    fit(photographs, "--no-report")
    assert run("report", "found", photographs) == 0
    assert run("report", "found/model", photographs, "--output", "page.html") == 0
    assert [path for _, _, path, _ in reports] == [Path("found/report.html"), Path("page.html")]
    assert capsys.readouterr().out.endswith("report: page.html\n")
    (_, X, _, names), _ = reports
    assert len(X) == len(names) == 40


def test_without_matplotlib_there_is_all_but_the_report(monkeypatch, capsys):
    def report(*args, **kwargs):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(inspection, "report", report)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert fit(save_npy(blobs(40, centers=2))) == 0
    assert "no report: matplotlib is not installed" in capsys.readouterr().err
    assert sorted(os.listdir("found")) == ["labels.csv", "model"]
    assert run("report", "found", "data.npy") == 1
    assert "pip install 'skdeepcluster[plot]'" in only_line(capsys)


def rows_of_page(path):
    """The rows that a page embeds."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["rows"]


def test_the_page_shows_what_a_folder_and_a_table_hold(photographs, monkeypatch):
    monkeypatch.setattr(inspection, "report", REPORT)
    assert fit(photographs) == 0
    frame().to_csv("a.csv")
    assert fit("a.csv", output="table") == 0
    # Fitted on (n, C, H, W), which the folder is turned to
    assert fit(save_npy(np.moveaxis(images(40, 8, 8, 3), -1, 1)), "--no-report", output="c") == 0
    assert run("report", "c", photographs) == 0
    for folder in ("found", "c"):
        names = rows_of_page(f"{folder}/report.html")["names"]
        assert len(names) == 40
        plain = {p.relative_to(photographs).as_posix() for p in Path(photographs).rglob("[0-9]*")}
        assert plain < set(names)
    assert sorted(rows_of_page("table/report.html")["names"]) == sorted(
        f"row {i}" for i in range(60)
    )


# ---------------------------------------------------------------------- options


@every_estimator
def test_every_parameter_is_an_option_with_the_default_of_the_constructor(name):
    method = name.lower()
    signature = inspect.signature(CLASSES[name])
    argv = ["fit", "data", "--method", name]  # as the class is spelt, too
    for parameter in signature.parameters.values():
        if parameter.name != "callbacks":
            spelt = _options._spelt(parameter.default)
            argv += [f"--{parameter.name.replace('_', '-')}", spelt]
    args = build_parser(argv).parse_args(argv)
    assert args.method == method
    given = _options.parameters(args)
    assert set(given) == set(signature.parameters) - {"callbacks"}
    for key, value in given.items():
        expected = signature.parameters[key].default
        if key == "checkpoint":
            expected = None
        assert value == (pytest.approx(expected, rel=1e-3) if key == "crop_aspect" else expected)
        assert isinstance(value, bool) == isinstance(expected, bool)


@every_estimator
def test_help_says_what_the_docstring_says(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "5000")  # nothing is broken into lines
    with pytest.raises(SystemExit) as ended:
        run("fit", "--help", f"--method={name}")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "examples:" in text
    described = _options.describe(CLASSES[name])
    assert set(described) == set(inspect.signature(CLASSES[name]).parameters)
    for parameter, (kind, sentence) in described.items():
        assert kind, parameter
        assert sentence, parameter
        assert not re.search(r"[`\\]|:math", kind + sentence)
        if parameter != "callbacks":
            assert " ".join(sentence.split()) in text


def test_settings_given_beside_a_preset_have_the_last_word(monkeypatch):
    seen = {}
    monkeypatch.setattr(StatDEC, "fit", lambda self, X: seen.update(self.get_params()) or 1 / 0)
    file = save_npy(images(40, 8, 8))
    run("fit", file, "--preset", "quick", "--max-epochs", 7)
    quick = StatDEC._preset("quick", (1, 8, 8), 40)
    assert seen["pretrain_epochs"] == quick["pretrain_epochs"] != "auto"
    assert seen["max_epochs"] == 7
    assert (seen["random_state"], seen["verbose"]) == (0, 1)


SHAPES = [(2,), (30,), (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 96, 96)]


@every_estimator
@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_presets_are_valid_and_fit_the_data(name, preset, shape):
    for n in (20, 2_000, 1_000_000):
        settings = CLASSES[name]._preset(preset, shape, n)
        model = CLASSES[name](n_clusters=2, **settings)
        model._check_parameters()
        if preset == "quick":
            assert settings["max_epochs"] >= 1
            assert settings["max_time"] <= 120
    if preset == "quick" and shape in [(2,), (1, 8, 8), (3, 32, 32)]:
        X = np.random.default_rng(0).uniform(size=(20, *shape)).astype(np.float32)
        limits = {"max_time": 1e-6, "hidden_sizes": QUICK[name]["hidden_sizes"]}
        image = {"image_shape": shape} if len(shape) == 3 else {}
        with pytest.warns(ConvergenceWarning):
            CLASSES[name](2, **settings | limits, **image).fit(X.reshape(20, -1))


def test_what_the_papers_say_is_in_their_presets():
    grey, colour = (1, 28, 28), (3, 32, 32)
    statdec = {"pretraining": "paper", "update_interval": 80, "batch_size": 256}
    assert StatDEC._preset("paper", grey, 70_000) == statdec
    statdec |= {"update_interval": 100, "batch_size": 128}
    assert StatDEC._preset("paper", colour, 60_000) == statdec
    dccs = DCCS._preset("paper", grey, 70_000)
    assert (dccs["beta_aug"], dccs["beta_adv"], dccs["learning_rate"]) == (2, 1, 1e-4)
    assert dccs["max_epochs"] == 600  # of which each has an encoder step for four of the critic
    assert dccs["horizontal_flip"] is False
    dccs = DCCS._preset("paper", colour, 60_000)
    assert (dccs["beta_aug"], dccs["horizontal_flip"]) == (4, True)
    assert MMDC._preset("paper", colour, 60_000) == {"batch_size": 128}
    vgmm = VariationalGMMClustering._preset("paper", colour, 60_000)
    assert vgmm["lambda_recons"] == ((0, 0.5), (40, 0.1))
    assert (vgmm["batch_size"], vgmm["learning_rate"], vgmm["network"]) == (30, 1e-4, "conv")
    assert VariationalGMMClustering._preset("paper", (2,), 10_000)["network"] == "toy"


# ---------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["party"], "invalid choice: 'party'"),
        (["fit"], "the following arguments are required: DATA"),
        (["fit", "x", "--method", "kmeans"], "invalid choice: 'kmeans'"),
        (["fit", "x", "--n-cluster", "3"], "unrecognized arguments: --n-cluster 3"),
        (["fit", "x", "--sigma", "0"], "unrecognized arguments: --sigma 0"),
        (["fit", "x", "--n-clusters", "0"], "n_clusters must be at least 1, got 0"),
        (["fit", "x", "--n-clusters", "two"], "n_clusters must be an int, got 'two'"),
        (["fit", "x", "--lam", "2"], "lam must be a finite number in [0, 1], got 2"),
        (["fit", "x", "--max-time", "soon"], "max_time must be a number, got 'soon'"),
        (["fit", "x", "--network", "vgg"], "network must be one of"),
        (["fit", "x", "--device", "abacus"], "device='abacus' is not"),
        (["fit", "x", "--size", "0"], "expected pixels such as 32 or 48x64, got 0"),
        (["fit", "x", "--preset", "slow"], "invalid choice: 'slow'"),
        (["predict", "model"], "the following arguments are required: DATA"),
    ],
)
def test_wrong_words_show_a_short_usage(argv, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    *usage, last = captured.err.splitlines()
    assert usage[0].startswith("usage: ")
    assert len(usage) <= 4
    assert message in last


def csv_file(text):
    Path("t.csv").write_text(text)
    return "t.csv"


def bytes_file(name, content):
    Path(name).write_bytes(content)
    return name


def damaged_npz():
    """An archive of which the compressed content is no more what it was."""
    np.savez_compressed("t.npz", data=np.random.default_rng(0).normal(size=(20, 4)))
    content = bytearray(Path("t.npz").read_bytes())
    content[80:200] = b"\xff" * 120
    return bytes_file("t.npz", content)


BAD_DATA = {
    "t.npz is no file of plain arrays (Error": damaged_npz,
    "no such file or folder: none": lambda: "none",
    "there are no images in": lambda: os.mkdir("empty") or "empty",
    "t.txt is neither a folder": lambda: bytes_file("t.txt", b""),
    "t.npy is no file of plain arrays": lambda: bytes_file("t.npy", b"nothing"),
    "t.npz is no file of plain arrays": lambda: bytes_file("t.npz", b"PK\x03\x04"),
    "no array named 'data', it has: a, b": lambda: save_npz(a=np.eye(3), b=np.eye(3)),
    "shape (3,) and type float64": lambda: save_npy(np.zeros(3)),
    "shape (0, 4)": lambda: save_npy(np.zeros((0, 4))),
    "type <U1": lambda: save_npy(np.full((5, 4), "a")),
    "data.npy is no file of plain": lambda: save_npy(np.full((5, 4), None)),
    "no axis of 1 or 3 channels": lambda: save_npy(np.zeros((20, 5, 2, 2))),
    "contains NaN": lambda: save_npy(np.full((20, 4), np.nan)),
    "n_samples=1 should be >= n_clusters=2": lambda: save_npy(np.zeros((1, 4))),
    "columns of t.csv are no numbers: 'a', 'c'": lambda: csv_file("a,b,c\nx,1,y\nz,2,w\n"),
    "columns of t.csv have missing values: 'b'": lambda: csv_file("a,b\n1,\n2,3\n"),
    "columns of t.csv are no numbers: 'kind'": lambda: csv_file("a,kind\n1,x\n2,x\n"),
    "t.csv is no table that pandas can read": lambda: csv_file(""),
    "t.csv has no numbers": lambda: csv_file("a,b\n"),
    "pandas can": lambda: bytes_file("t.parquet", b"nothing"),
}


@pytest.mark.parametrize(("message", "make"), BAD_DATA.items())
def test_bad_data_are_one_line_and_exit_code_1(message, make, capsys):
    pytest.importorskip("pandas")
    assert fit(make(), "--verbose", "0") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    *before, last = captured.err.splitlines()
    assert last.startswith("error: ")
    assert message in last
    assert all("rows of" in line or line.startswith("warning: ") for line in before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--drop", "z"], "t.csv has no column 'z', it has: 'a', 'b'"),
        (["--names", "z"], "t.csv has no column 'z'"),
        (["--drop", "a", "--drop", "b"], "t.csv has no numbers"),
    ],
)
def test_columns_that_are_not_there(options, message, capsys):
    pytest.importorskip("pandas")
    assert fit(csv_file("a,b\n1,2\n3,4\n"), *options) == 1
    assert message in only_line(capsys)


def test_without_pandas_a_table_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert fit(csv_file("a,b\n1,2\n3,4\n")) == 1
    assert "pip install 'skdeepcluster[tables]'" in only_line(capsys)


def test_models_and_data_that_do_not_go_together(photographs, capsys):
    assert run("predict", "none", photographs) == 1
    assert "there is no file none" in only_line(capsys)
    assert run("predict", bytes_file("model", b"nothing"), photographs) == 1
    assert "model is not a saved estimator" in only_line(capsys)
    assert fit(save_npy(blobs(40, centers=2))) == 0
    capsys.readouterr()
    assert run("predict", "found", photographs) == 1
    assert "the model is one of rows of 4 features" in only_line(capsys)
    np.save("wide.npy", np.zeros((5, 7)))
    assert run("predict", "found", "wide.npy") == 1
    assert "7 features" in only_line(capsys)
    assert run("predict", "found", "data.npy", "--output", "none/labels.csv") == 1
    assert "cannot write none/labels.csv" in only_line(capsys)
    Path("file").touch()
    assert fit("data.npy", output="file/found") == 1
    assert "cannot make the folder file/found" in only_line(capsys)


def test_columns_that_a_model_lacks(capsys):
    data = frame()
    data.to_csv("a.csv", index=False)
    fit("a.csv")
    data.drop(columns="b").to_csv("b.csv", index=False)
    capsys.readouterr()
    assert run("predict", "found", "b.csv") == 1
    assert "b.csv lacks columns that the model needs: 'b'" in only_line(capsys)


def test_a_traceback_only_when_asked_for(capsys):
    assert fit("none") == 1
    assert "Traceback" not in only_line(capsys)
    assert fit("none", "--debug") == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: no such file or folder: none\n")


def test_an_error_of_ours_is_told_apart(monkeypatch, capsys):
    def broken(*args):
        raise KeyError("z")

    monkeypatch.setattr(_commands, "read", broken)
    assert fit("data.npy") == 3
    assert only_line(capsys) == "internal error: KeyError: 'z'; --debug shows where"


def test_long_messages_are_cut_to_their_first_line(monkeypatch, capsys):
    def broken(*args):
        raise ValueError("No.\n" + "Advice on code. " * 100)

    monkeypatch.setattr(_commands, "read", broken)
    assert fit("data.npy") == 1
    assert only_line(capsys) == "error: No."


# ---------------------------------------------------------------------- as a program


def test_as_a_process():
    command = [sys.executable, "-m", "skdeepcluster", "fit", "none"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no such file or folder: none\n"


def test_a_reader_that_has_left_is_no_error():
    code = "import sys; from skdeepcluster._cli._errors import guarded; "
    code += "sys.exit(guarded(lambda: print('text'), debug=False))"
    reader, writer = os.pipe()
    os.close(reader)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_labels_on_stdout_are_those_of_a_file_in_any_encoding(photographs, monkeypatch):
    assert fit(photographs) == 0
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert run("predict", "found", photographs) == 0
    assert written.getvalue() == Path("found/labels.csv").read_bytes()


def test_the_script_is_the_same_function():
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[1] / "setup.cfg")
    name, target = config["options.entry_points"]["console_scripts"].split("=")
    assert name.strip() == "skdeepcluster"
    module, function = target.strip().split(":")
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["predict"], ["report"]])
def test_help_has_examples_of_how_the_program_was_called(command, capsys, monkeypatch):
    for called, prog in (
        ("/bin/skdeepcluster", "skdeepcluster"),
        ("-m", "python -m skdeepcluster"),
    ):
        monkeypatch.setattr(sys, "argv", [called])
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert f"\n  {prog} {command[0] if command else 'fit'} " in text
        assert "exit codes:" in text
        assert "{" not in re.sub(r"\{[\w,]+\}", "", text.split("parameters of")[0])
