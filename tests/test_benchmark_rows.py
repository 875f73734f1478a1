"""Rows of ``python -m benchmarks papers``: when they run, when they end, and what they tell."""

import json
import time

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

pytest.importorskip("benchmarks")

from benchmarks import __main__ as command
from benchmarks import child, collect, data, extras, report, results, runs, tables
from benchmarks.settings import SETTINGS, parameters
from skdeepcluster import DCCS, StatDEC, VariationalGMMClustering

TINY = {"hidden_sizes": (8, 8), "layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 2,
        "tol": 0.0}  # fmt: skip
TINY_VGMM = {"hidden_sizes": (8, 8), "n_init": 1, "max_epochs": 1}


def words(tmp_path, **more):
    """A call of `papers` on a few digits."""
    given = {"table": "small", "dataset": "digits", "n": 120, "methods": "StatDEC-1",
             "precision": "float32", "threads": 1, "work": tmp_path / "work",
             "results": tmp_path / "results", **more}  # fmt: skip
    return [str(w) for name, value in given.items() for w in (f"--{name.replace('_', '-')}", value)]


def papers(tmp_path, params=TINY, **more):
    changes = [f"{name}={value!r}" for name, value in params.items()]
    return command.main(["papers", *words(tmp_path, **more), "--set", *changes])


def rows(tmp_path):
    return json.loads((tmp_path / "results" / "papers_digits.json").read_text())["rows"]


def answer(setting, params, work=None, budget=None, looks=(), every=0, **more):
    """What a row gives, in this process."""
    row = {"setting": setting, "set": params, "data": "digits", "sampling": None, "n": 120,
           "protocol": "joined", "seed": 0, "device": "cpu", "precision": "float32", "threads": 1,
           "max_time": None, **more}  # fmt: skip
    return runs.answer({
        "command": "papers", "row": row, "folder": ".", "work": work and str(work), "every": every,
        "extras": list(looks), "until": None if budget is None else time.time() + budget,
        "before": None,
    })  # fmt: skip


@pytest.fixture(autouse=True)
def children(monkeypatch):
    """Rows without a process of their own; their specs, in order."""
    import torch

    specs, threads = [], torch.get_num_threads()

    def run(kind, spec, timeout=None):
        specs.append(spec)
        return runs.answer(json.loads(json.dumps(spec)))

    monkeypatch.setattr(child, "run", run)
    yield specs
    torch.set_num_threads(threads)


# ---------------------------------------------------------------------- which rows run


def test_imbalance_compares_both_parts_of_statdec():
    for entries in tables.tables()["imbalance"].entries.values():
        assert {"StatDEC-1", "StatDEC-2", "StatDEC-3"} <= {entry.setting for entry in entries}


def test_images_without_a_sampling_can_be_chosen(tmp_path, children):
    papers(tmp_path, table="readings", sampling="none")
    assert [spec["row"]["sampling"] for spec in children] == [None]
    with pytest.raises(SystemExit, match="no row"):  # also balanced ones are sampled there
        papers(tmp_path, table="imbalance", dataset="mnist", sampling="none")


def test_every_setting_has_parameters_that_its_estimator_knows():
    for setting in SETTINGS:
        for name in ("digits", "mnist", "fashion_mnist", "cifar10"):
            row = {"setting": setting, "data": name, "set": {}, "seed": 0, "precision": "auto",
                   "max_time": None}  # fmt: skip
            assert runs.what(row, 10)["setting"] == setting


@pytest.mark.parametrize("name, shape", [("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32))])
@pytest.mark.parametrize(
    "setting, cls",
    [("VGMM paper", VariationalGMMClustering), ("DCCS paper", DCCS), ("StatDEC-1 paper", StatDEC)],
)
def test_settings_of_the_papers_are_the_presets(setting, cls, name, shape):
    preset = cls._preset("paper", shape, 60_000)
    assert preset.items() <= parameters(setting, name).items()


def test_settings_of_the_papers_know_photographs():
    assert parameters("DCCS paper", "cifar10")["beta_aug"] == 4
    assert parameters("VGMM paper", "cifar10")["augmentation"] == "affine"
    assert parameters("VGMM paper", "mnist")["augmentation"] == "rotation"


def change_parameter(row):
    row["ran"]["parameters"]["gamma"] = 7.0  # a default that has changed since


def change_data(row):
    row["on"]["hash"] = "0123456789abcdef"


@pytest.mark.parametrize("change", [change_parameter, change_data])
def test_a_row_of_other_defaults_or_data_is_run_anew(change, tmp_path, children):
    papers(tmp_path)
    (first,) = rows(tmp_path)
    old = json.loads(json.dumps(first))
    change(old)
    results.Results("papers_digits", tmp_path / "results").put(old)
    papers(tmp_path)
    (again,) = rows(tmp_path)
    assert again["ran"] == first["ran"]
    assert again["on"] == first["on"]
    assert len(children) == 2


def test_a_row_of_another_commit_stays(tmp_path, children):
    papers(tmp_path)
    (row,) = rows(tmp_path)
    row["with"] |= {"commit": "0000000", "date": "2020-01-01"}
    results.Results("papers_digits", tmp_path / "results").put(row)
    papers(tmp_path)
    assert rows(tmp_path) == [row]
    assert len(children) == 1


def test_a_row_stays_where_its_data_are_not_at_hand(tmp_path, children):
    folder = tmp_path / "data"
    folder.mkdir()
    X, y = data.load("digits")
    np.savez(folder / "mnist.npz", data=X, target=y)
    asked = {"table": "all", "dataset": "mnist", "methods": "KMeans"}
    assert papers(tmp_path, {}, **asked, data=folder) == 0
    assert papers(tmp_path, {}, **asked, data=tmp_path) == 0
    assert len(children) == 1
    np.savez(folder / "mnist.npz", data=X[::-1], target=y[::-1])
    assert papers(tmp_path, {}, **asked, data=folder) == 0
    assert len(children) == 2


def test_rows_of_earlier_defaults_share_no_mean_and_are_told(tmp_path):
    papers(tmp_path, {}, methods="KMeans", seeds=3)
    folder = tmp_path / "results"
    old = rows(tmp_path)[1]
    old["ran"]["parameters"]["n_init"] = 3
    results.Results("papers_digits", folder).put(old)
    found = collect.groups(collect.measured(folder))
    assert sorted([row.seed for row in group] for group in found) == [[0, 2], [1]]
    lines = report.as_text(report.papers_tables(folder, ["small"])).splitlines()
    lines = [line for line in lines if "KMeans" in line]
    assert ["earlier defaults" in line for line in lines] == [False, True]


# ---------------------------------------------------------------------- when they end


@pytest.fixture
def slow_scores(monkeypatch):
    """Scores that take 1000 s each, of a clock that is put forward."""
    from skdeepcluster import callbacks

    accuracy, clock, late = callbacks.clustering_accuracy, time.monotonic, [0.0]

    def slow(*args):
        late[0] += 1000.0
        return accuracy(*args)

    monkeypatch.setattr(time, "monotonic", lambda: clock() + late[0])
    monkeypatch.setattr(callbacks, "clustering_accuracy", slow)


@pytest.mark.parametrize("max_time", [400.0, 100_000.0])
def test_scores_are_part_of_a_budget(max_time, slow_scores):
    out = answer("IDEC", TINY | {"max_epochs": 9}, every=1, budget=500, max_time=max_time)["out"]
    assert out["stop_reason"] == "budget"  # not max_time: scores count for no row's own time
    assert len(out["curve"]) == 1
    assert out["seconds"]["fit"] < 400


def test_scores_take_nothing_from_a_row_that_no_budget_bounds(slow_scores):
    out = answer("IDEC", TINY, every=1, max_time=500.0)["out"]
    assert out["stop_reason"] == "max_epochs"
    assert len(out["curve"]) == 2


LONG_PRETRAINING = TINY | {"pretrain_epochs": 100_000}


@pytest.mark.parametrize("shares", [True, False])
def test_a_row_that_never_clustered_is_not_its_setting(shares, tmp_path):
    work = tmp_path if shares else None
    row = answer("StatDEC-1", LONG_PRETRAINING, work=work, max_time=0.2)
    assert row["out"]["stop_reason"] == "max_time in pre-training"
    assert (row["out"]["epochs"], row["complete"]) == (0, False)
    assert results.finished(row)  # the same call would come no further


def test_a_pretraining_found_that_took_longer_than_a_row_may_take(tmp_path):
    long = TINY | {"pretrain_epochs": 5}
    whole = answer("StatDEC-1", long, work=tmp_path)
    seconds = whole["out"]["seconds"]["autoencoder"]
    row = answer("IDEC", long, work=tmp_path, max_time=seconds / 2)
    assert row["out"]["stop_reason"] == "max_time in pre-training"
    row = answer("IDEC", long, work=tmp_path, max_time=seconds + 1000)
    assert row["complete"]


def test_an_autoencoder_alone_has_nothing_but_pretraining(tmp_path):
    params = {k: v for k, v in LONG_PRETRAINING.items() if k != "max_epochs"}
    row = answer("AE + KMeans", params, work=tmp_path, max_time=0.2)
    assert row["out"]["stop_reason"] == "max_time"


def test_rows_that_never_clustered_share_no_mean_and_are_told(tmp_path, children):
    one = {"setting": "StatDEC-1", "data": "digits", "scores": {}, "complete": False}
    found = collect.groups([
        collect.Measured(**one, seed=0, stop_reason="max_time"),
        collect.Measured(**one, seed=1, stop_reason="max_time in pre-training"),
    ])  # fmt: skip
    assert len(found) == 2
    for _ in range(2):
        papers(tmp_path, LONG_PRETRAINING, max_time=0.2)
    assert len(children) == 1
    assert "no epoch of clustering" in "\n".join(report.changed(tmp_path / "results"))


# ---------------------------------------------------------------------- what they tell


def test_a_row_tells_whether_it_began_from_a_shared_autoencoder(tmp_path):
    def shared(*args, **more):
        return answer(*args, **more)["ran"]["shared_autoencoder"]

    assert shared("IDEC", TINY, work=tmp_path)
    assert not shared("IDEC", TINY)
    assert not shared("AE + KMeans", {k: TINY[k] for k in TINY if k != "max_epochs"}, work=tmp_path)
    assert not shared("KMeans", {})


def test_epochs_of_rotnet_are_those_of_its_rotations():
    out = answer("RotNet", {"max_epochs": 2, "network": "mlp", "hidden_sizes": (8,)}, n=40)["out"]
    assert out["epochs"] == 2


@pytest.mark.parametrize("ends", ["budget", "max_time"])
def test_extras_are_of_rows_that_are_done(ends):
    params = TINY_VGMM | {"max_epochs": 3000}
    row = answer("VGMM", params, looks=["recalled"], **{ends: 0.5})
    assert (row["out"]["stop_reason"], row["complete"]) == (ends, False)
    assert set(row["out"]["more"]) == ({"recalled"} if ends == "max_time" else set())


def test_extras_are_for_estimators_that_have_them():
    assert extras.suiting(["bound", "recalled"], "StatDEC") == []
    assert extras.suiting(["bound", "recalled"], "VariationalGMMClustering") == [
        "bound",
        "recalled",
    ]


def test_extras_of_other_tables_are_kept(tmp_path, children, monkeypatch):
    monkeypatch.setitem(tables.OWN, "variational", ("", "joined", {"digits": ("VGMM",)}))
    for table in ("small", "variational", "small", "variational"):
        papers(tmp_path, TINY_VGMM, table=table, methods="VGMM")
    assert [spec["extras"] for spec in children] == [["recalled"], ["bound", "recalled"]]
    assert set(rows(tmp_path)[0]["out"]["more"]) == {"bound", "recalled"}


def test_the_bound_is_that_of_the_model_with_every_component():
    params = TINY_VGMM | {"posterior_mass": 0.5}
    row = answer("VGMM", params, looks=["bound"])
    X, _ = data.load("digits")
    model = VariationalGMMClustering(10, **params, precision="float32", random_state=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X[:120])
    assert row["out"]["more"]["bound"]["elbo"] == pytest.approx(model.score(X[:120]), rel=1e-5)


def test_what_extras_found_has_lines_in_its_table(tmp_path):
    entries = [e for rows in tables.tables()["variational"].entries.values() for e in rows]
    assert {e.setting for e in entries if e.score == "bound"} == {e.setting for e in entries}
    # Kept as of the setting itself, whose table shows it
    row = answer("VGMM", TINY_VGMM, looks=["recalled"])
    row |= {"row": row["row"] | {"set": {}}}
    folder = tmp_path / "results"
    results.Results("papers_digits", folder).put(row)
    text = report.as_text(report.papers_tables(folder, ["small"]))
    (line,) = [line for line in text.splitlines() if "VGMM: recalled" in line]
    assert f"{row['out']['more']['recalled']['acc']:.3f}" in line
