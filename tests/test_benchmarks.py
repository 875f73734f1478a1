"""The smallest row of each command of ``python -m benchmarks``, and what keeps its figures honest.

Rows run in this process here, where they would have one of their own: an import takes longer than
they do. One test has the real thing.
"""

import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import stats

pytest.importorskip("benchmarks")

from benchmarks import __main__ as command
from benchmarks import (
    child,
    collect,
    costs,
    data,
    extras,
    gpu,
    large,
    papers,
    peer_fit,
    report,
    results,
    runs,
    scale,
    speed,
    tables,
)
from benchmarks.loops import LOOPS, IDECLoop, StatDECLoop
from benchmarks.settings import SETTINGS
from skdeepcluster._training import Batch, ClusteringNet, TensorSource
from skdeepcluster._training._data import n_batches
from skdeepcluster.metrics import clustering_accuracy

TINY = {"hidden_sizes": (8, 8, 8), "layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 2}


def options(tmp_path, **more):
    """Words of a command line that all commands take, and some more."""
    words = {"results": tmp_path / "results", "threads": 1, **more}
    return [str(w) for name, value in words.items() for w in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture
def in_process(monkeypatch):
    """Rows without a process of their own."""

    def run(kind, spec, timeout=None):
        return {"row": runs, "scale-row": scale}[kind].answer(json.loads(json.dumps(spec)))

    threads = torch.get_num_threads()
    monkeypatch.setattr(child, "run", run)
    yield
    torch.set_num_threads(threads)


def rows(tmp_path, name):
    return json.loads((tmp_path / "results" / f"{name}.json").read_text())["rows"]


def small(tmp_path, *words, **more):
    """A call of `papers` on a few digits."""
    sets = ["max_epochs=2", "pretrain_epochs=1", "hidden_sizes=(8,8,8)", "layerwise_epochs=0"]
    given = options(tmp_path, table="small", dataset="digits", n=120, methods="StatDEC-1",
                    precision="float32", work=tmp_path / "work", **more)  # fmt: skip
    return command.main(["papers", *given, "--set", *sets, *words])


def test_a_row_has_all_that_it_takes_to_know_what_was_measured(tmp_path, in_process):
    assert small(tmp_path) == 0
    (row,) = rows(tmp_path, "papers_digits")
    assert row["command"] == "papers"
    assert row["ran"]["parameters"]["hidden_sizes"] == [8, 8, 8]
    assert row["ran"]["parameters"]["lam"] == 0.1  # a default is there, too
    assert (row["ran"]["estimator"], row["ran"]["seed"]) == ("StatDEC", 0)
    assert row["ran"]["resolved"]["network"] == "MLPAutoencoder"
    assert (row["on"]["data"], row["on"]["n"]) == ("digits", 120)
    assert row["on"]["hash"] == data.select("digits", n=120).hash()
    assert {"versions", "commit", "cpu", "gpu", "threads", "date"} <= set(row["with"])
    out = row["out"]
    assert all(0 <= out[name] <= 1 for name in ("acc", "nmi", "balanced_acc"))
    assert {"autoencoder", "clustering", "fit"} <= set(out["seconds"])
    assert out["peak_mb"] >= out["start_mb"] > 0
    assert out["epochs"] == len(out["curve"]) == 2
    assert out["curve"][-1]["acc"] == out["acc"]
    assert (out["stop_reason"], row["complete"]) == ("max_epochs", True)


def test_imbalance_is_told_by_the_recall_of_each_class_and_by_sizes(tmp_path, in_process):
    words = options(tmp_path, table="readings", dataset="digits", sampling="long-tailed 10", n=150,
                    methods="StatDEC-1", precision="float32", work=tmp_path / "w")  # fmt: skip
    command.main(["papers", *words, "--set", *(f"{k}={v!r}" for k, v in TINY.items())])
    (row,) = rows(tmp_path, "papers_digits")
    out = row["out"]
    assert len(out["recall"]) == 10
    assert np.mean(out["recall"]) == pytest.approx(out["balanced_acc"])
    assert out["recall_smallest"] == pytest.approx(np.mean(out["recall"][-3:]))
    assert [sum(point["cluster_sizes"]) for point in out["curve"]] == [row["on"]["n"]] * 2


def test_the_rarest_classes_are_those_of_the_rows_that_were_fitted():
    y = np.repeat(np.arange(5), [2, 30, 4, 3, 30])
    labels = np.where(np.isin(y, [2, 3]), 1, y)  # 2 and 3 are lost in 1
    out = runs.recalls_of(y, labels, y)
    assert out["recall"] == [1, 1, 0, 0, 1]
    assert out["recall_smallest"] == pytest.approx(1 / 3)


def test_the_same_command_gives_the_same_labels(tmp_path, in_process):
    for folder in ("a", "b"):
        small(tmp_path / folder)
    labels = [rows(tmp_path / f, "papers_digits")[0]["out"]["labels"] for f in ("a", "b")]
    assert labels[0] == labels[1]


def test_what_is_finished_is_not_run_again(tmp_path, in_process, monkeypatch):
    small(tmp_path)
    monkeypatch.setattr(child, "run", None)
    assert small(tmp_path) == 0


def test_a_row_that_a_budget_cut_short_is_marked_and_goes_on(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(papers, "RESERVE_S", 60.0)  # all of it: the shortest run that there is
    monkeypatch.setattr(papers, "LEAST_S", -1000.0)
    sets = ["--set", "max_epochs=100", "tol=0", "pretrain_epochs=1", "hidden_sizes=(8,8)"]
    small(tmp_path, *sets, budget=60, every=0)
    (cut,) = rows(tmp_path, "papers_digits")
    assert (cut["complete"], cut["out"]["stop_reason"]) == (False, "budget")
    small(tmp_path, *sets, every=0)
    (whole,) = rows(tmp_path, "papers_digits")
    assert whole["complete"]
    assert whole["out"]["epochs"] == 100 > cut["out"]["epochs"]
    assert whole["out"]["seconds"]["fit"] > cut["out"]["seconds"]["fit"]  # of both calls
    assert whole["row"] == cut["row"]


@pytest.mark.parametrize("lost", ["checkpoint", "parameters"])
def test_what_was_spent_counts_only_where_a_run_goes_on(lost, tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(papers, "RESERVE_S", 60.0)
    monkeypatch.setattr(papers, "LEAST_S", -1000.0)
    sets = ["--set", "max_epochs=30", "tol=0", "pretrain_epochs=1", "hidden_sizes=(8,8)"]
    small(tmp_path, *sets, budget=60, every=0, max_time=1000)
    (cut,) = rows(tmp_path, "papers_digits")
    assert not cut["complete"]
    cut["out"]["seconds"]["fit"] = cut["out"]["cpu_s"] = 2000.0
    if lost == "parameters":  # a default that has changed since
        cut["ran"]["parameters"]["gamma"] = 7.0
    else:
        shutil.rmtree(tmp_path / "work")
    results.Results("papers_digits", tmp_path / "results").put(cut)
    small(tmp_path, *sets, every=0, max_time=1000)
    (whole,) = rows(tmp_path, "papers_digits")
    assert (whole["complete"], whole["out"]["epochs"]) == (True, 30)
    assert whole["out"]["seconds"]["fit"] < 1000
    assert whole["out"]["cpu_s"] < 1000


def test_a_row_whose_process_had_to_be_ended_is_told_and_runs_again(
    tmp_path, in_process, monkeypatch
):
    def slow(kind, spec, timeout):
        raise child.OutOfTime("its time was up")

    with monkeypatch.context() as patch:
        patch.setattr(child, "run", slow)
        for _ in range(2):
            assert small(tmp_path, budget=60) == 1
    (row,) = rows(tmp_path, "papers_digits")
    assert (row["complete"], row["out"]["stop_reason"]) == (False, "budget")
    assert row["ran"]["parameters"]["hidden_sizes"] == [8, 8, 8]
    assert row["on"]["hash"] == data.select("digits", n=120).hash()
    text = report.as_text(report.papers_tables(tmp_path / "results"))
    changed = "\n".join(report.changed(tmp_path / "results"))
    assert "cut short" in text + changed
    assert small(tmp_path) == 0
    assert rows(tmp_path, "papers_digits")[0]["complete"]


@pytest.mark.parametrize("other", [{"max_time": 1e-6}, {"threads": 2}])
def test_rows_of_other_bounds_or_threads_do_not_go_on_from_each_other(
    other, tmp_path, in_process, monkeypatch
):
    small(tmp_path)
    trained, epoch = [], ClusteringNet.run_single_epoch

    def run_single_epoch(net, *args):
        trained.append(net)
        epoch(net, *args)

    monkeypatch.setattr(ClusteringNet, "run_single_epoch", run_single_epoch)
    small(tmp_path)
    assert not trained
    small(tmp_path, **other)
    assert trained
    found = [row["out"]["stop_reason"] for row in rows(tmp_path, "papers_digits")]
    assert found == ["max_epochs", "max_epochs" if "threads" in other else results.IN_PRETRAINING]


def test_what_an_autoencoder_took_is_part_of_each_row_that_begins_with_it(tmp_path, in_process):
    for epochs in (0, 2):
        small(tmp_path, "pretrain_epochs=30", f"max_epochs={epochs}")
    first, second = (row["out"] for row in rows(tmp_path, "papers_digits"))
    assert second["seconds"]["autoencoder"] == first["seconds"]["autoencoder"]
    assert second["cpu_s"] > first["cpu_s"] > 0
    before = {path: path.read_bytes() for path in (tmp_path / "work").glob("*/*.costs.json")}
    assert len(before) == 2  # of the autoencoder and of the clustering
    small(tmp_path, "pretrain_epochs=30", "max_epochs=1")
    assert all(path.read_bytes() == content for path, content in before.items())
    assert second["peak_mb"] >= first["peak_mb"]


def test_calls_that_left_a_checkpoint_alone_count_for_a_bound():
    net = SimpleNamespace(history=[{"seconds": 40.0}, {"seconds": 30.0}, {}])
    now = time.monotonic()
    for whole, ends, left, of_call in ((100, 500, 30, False), (100, 20, 20, True)):
        net.deadline_ = now + 100
        bound = runs.Bound(whole, now + ends)
        bound.on_epoch_begin(net)
        bound.on_epoch_begin(net)  # later epochs are none that were spent before
        assert net.deadline_ - now == pytest.approx(left, abs=1)
        assert (bound.spent, bound.is_of_call(net)) == (70, of_call)
    net.deadline_ += 5  # scoring
    bound.on_epoch_end(net)
    assert net.deadline_ == now + 20


def test_what_comes_before_the_fit_is_part_of_the_budget(tmp_path, in_process, monkeypatch):
    def late(kind, spec, timeout):
        spec["until"] -= 1000  # torch took long to import
        return runs.answer(json.loads(json.dumps(spec)))

    monkeypatch.setattr(child, "run", late)
    small(tmp_path, "--set", "max_epochs=100000", "tol=0", "hidden_sizes=(8,8)", budget=900)
    (row,) = rows(tmp_path, "papers_digits")
    assert row["out"]["stop_reason"] == "budget"


def test_a_bound_on_a_row_is_its_end_and_is_told(tmp_path, in_process):
    for _ in range(2):
        sets = ["max_epochs=9000", "tol=0", "hidden_sizes=(8,8)", "pretrain_epochs=0"]
        small(tmp_path, "--set", *sets, "layerwise_epochs=0", max_time=1)
    (row,) = rows(tmp_path, "papers_digits")
    assert (row["out"]["stop_reason"], row["complete"]) == ("max_time", False)
    assert results.finished(row)


def test_runs_that_were_cut_short_share_no_mean_with_complete_ones():
    one = dict(setting="DCCS", data="digits", scores={"acc": 0.5}, max_time=9)
    found = collect.groups([
        collect.Measured(**one, seed=0),
        collect.Measured(**one, seed=1, complete=False, stop_reason="budget"),
        collect.Measured(**one, seed=2),
        collect.Measured(**one, seed=3, complete=False, stop_reason="max_time"),
    ])  # fmt: skip
    assert sorted([row.seed for row in group] for group in found) == [[0, 2], [1], [3]]


def test_settings_share_an_autoencoder(tmp_path, in_process, monkeypatch):
    small(tmp_path)
    first = rows(tmp_path, "papers_digits")[0]["out"]["seconds"]["autoencoder"]
    words = options(tmp_path, table="all", dataset="digits", n=120, methods="IDEC",
                    precision="float32", work=tmp_path / "work")  # fmt: skip
    monkeypatch.setitem(tables.OWN, "all", ("", "joined", {"digits": ("IDEC",)}))
    sets = ["max_epochs=2", "pretrain_epochs=1", "hidden_sizes=(8,8,8)", "layerwise_epochs=0"]
    command.main(["papers", *words, "--set", *sets])
    second = next(r for r in rows(tmp_path, "papers_digits") if r["row"]["setting"] == "IDEC")
    assert second["out"]["seconds"]["autoencoder"] == first
    assert second["ran"]["parameters"]["weighted_target"] is False


def test_every_row_of_the_papers_is_a_setting_with_figures():
    published = tomllib.loads(tables.PAPERS.read_text())
    assert {name.split("-")[0] for name in published} == {"statdec", "dccs", "vgmm", "mmdc"}
    for table in tables.tables().values():
        for entries in table.entries.values():
            for entry in entries:
                assert entry.setting in SETTINGS
                assert all(0 <= figure <= 1 for figure in entry.published.values())
    for content in published.values():
        assert content["document"]
        assert content["table"].startswith("Table")


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        ("long-tailed 10", 10 ** (-np.arange(10) / 9)),
        ("long-tailed 100", 100 ** (-np.arange(10) / 9)),
        ("step 10", np.repeat([1, 0.1], 5)),
        ("step 100", np.repeat([1, 0.01], 5)),
        ("balanced", np.ones(10)),
    ],
)
def test_samplings_by_name_have_the_sizes_of_their_formula(sampling, shares):
    y = data.select("digits", sampling=sampling, n=300).y
    sizes = np.bincount(y)
    assert_array_equal(sizes, np.maximum(1, np.floor(shares * sizes[0] + 0.5)))
    assert len(y) == pytest.approx(300, abs=10)


def test_distortions_of_the_shift():
    X = np.zeros((1, 28, 28), np.uint8)
    X[0, 4:24, 13:15] = 200  # an upright stroke
    found = dict(extras._distorted(X, 0))
    assert_array_equal(found["undistorted"], X)
    assert_array_equal(found["inverted"], 255 - X)
    assert (found["thick"] >= X).all()
    assert (found["thick"] > 0).sum() == 21 * 3
    rows, columns = np.nonzero(found["rotated"][0] > 100)
    slope = np.polyfit(rows, columns, 1)[0]
    assert abs(np.degrees(np.arctan(slope))) == pytest.approx(15, abs=2)
    for share in (0.1, 0.3):
        grey = np.full((1, 100, 100), 128, np.uint8)
        noise = dict(extras._distorted(grey, 0))[f"noise {share}"].astype(float) - 128
        limit = 127.5 / (255 * share)
        assert noise.std() == pytest.approx(
            255 * share * np.sqrt(clipped_variance(limit)), rel=0.03
        )


def clipped_variance(limit):
    """Variance of a standard normal number that is clipped at +-limit."""
    inside = stats.truncnorm(-limit, limit)
    share = 1 - 2 * stats.norm.sf(limit)
    return share * inside.var() + (1 - share) * limit**2


def test_protocols_say_what_is_scored():
    joined = data.select("digits", sampling="step 10")
    assert joined.X_scored is joined.X
    split = data.select("digits", sampling="step 10", protocol="split")
    images, y = data.load("digits")
    cut = round(0.8 * len(images))
    assert (split.X_scored == images[cut:]).all()
    assert (split.y_scored == y[cut:]).all()
    fitted = {row.tobytes() for row in split.X}
    assert fitted <= {row.tobytes() for row in images[:cut]}
    assert np.bincount(split.y).max() == pytest.approx(10 * np.bincount(split.y).min(), abs=10)


def test_a_figure_that_two_tables_print_is_measured_once():
    known = tables.tables()
    again = known["statdec-5"]
    for where, protocol in known["statdec-1"].protocols.items():
        assert again.protocols[where] == protocol == "split"  # StatDEC's own, and joined beside
    assert again.protocols["mnist", None] == "split"


def test_every_setting_is_in_some_table():
    found = {
        e.setting for t in tables.tables().values() for rows in t.entries.values() for e in rows
    }
    assert found == set(SETTINGS)


def test_words_that_no_row_has_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="no row"):
        command.main(["papers", *options(tmp_path, table="small", methods="VGMM conv")])


def test_pieces_of_data_come_together_again(tmp_path, monkeypatch):
    X = np.arange(60, dtype=np.uint8).reshape(10, 2, 3)
    y = np.arange(10)
    np.savez(tmp_path / "some.npz", data=X, target=y)
    monkeypatch.setattr(data, "PIECE_BYTES", 25)
    paths = data.write_pieces("some", tmp_path, tmp_path / "pieces")
    assert len(paths) == 3
    again = data.load("some", tmp_path / "pieces")
    assert (again[0] == X).all()
    assert (again[1] == y).all()
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match="2 of the 3"):
        data.load("some", tmp_path / "pieces")


def test_the_queue_for_a_gpu_runs_sends_and_is_collected(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(gpu._common, "RESULTS", tmp_path / "committed")
    monkeypatch.setattr(gpu, "QUEUE", (("StatDEC-1", "digits", "joined", None),))
    monkeypatch.setattr(gpu, "PART_BYTES", 1000)
    there, out, here = tmp_path / "there", tmp_path / "out", tmp_path / "here"
    words = ["gpu", "--device", "cpu", "--n", "120", "--precision", "float32", "--threads", "1",
             "--work", str(there / "work"), "--out", str(out), "--files", "5",
             "--set", *(f"{name}={value!r}" for name, value in TINY.items())]  # fmt: skip
    back = tmp_path / "back"
    back.mkdir()
    calls = 0
    while calls == 0 or any("of" in path.name for path in out.iterdir()):
        for path in out.iterdir() if out.exists() else ():
            path.replace(back / path.name)
        assert command.main(words) == 0
        assert len(list(out.iterdir())) <= 5  # the results, and parts of weights
        calls += 1
    assert calls > 2
    assert not (tmp_path / "committed").exists()  # all that a call leaves is below its work
    assert command.main(["gpu", "--collect", str(back), "--results", str(here)]) == 0
    weights = there / "work" / "StatDEC-1-digits-0.safetensors"
    assert (back / weights.name).read_bytes() == weights.read_bytes()
    assert json.loads((here / "papers_digits.json").read_text())["rows"][0]["complete"]


def test_the_queue_for_a_gpu_fits_into_half_an_hour_and_has_lines():
    known = tables.tables().values()
    entries = {(entry.setting, data, table.protocols[data, sampling])
               for table in known for (data, sampling), rows in table.entries.items()
               for entry in rows if not sampling}  # fmt: skip
    assert {row[:3] for row in gpu.QUEUE} <= entries
    assert 1200 < sum(seconds for *_, seconds in gpu.QUEUE) < 1700
    assert gpu.QUEUE[0][:2] == ("MMDC", "cifar10")


def test_what_the_queue_for_a_gpu_did_not_begin_is_told(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(gpu, "QUEUE", (("StatDEC-1", "digits", "joined", 9.0),
                                       ("IDEC", "digits", "joined", 9.0)))  # fmt: skip
    words = ["--device", "cpu", "--n", "120", "--threads", "1",
             "--precision", "float32", "--work", str(tmp_path / "work"),
             "--set", *(f"{name}={value!r}" for name, value in TINY.items())]  # fmt: skip
    command.main(["gpu", "--only", "1", *words])
    found = {row.setting: row for row in collect.measured(tmp_path / "work" / "results")}
    assert found["IDEC"].complete
    assert (found["StatDEC-1"].remark, found["StatDEC-1"].stop_reason) == ("not begun", "budget")
    with monkeypatch.context() as patch:
        error = child.OutOfTime("its time was up")
        patch.setattr(child, "run", lambda *args: (_ for _ in ()).throw(error))
        command.main(["gpu", *words])
    killed = results.Results("papers_digits", tmp_path / "work" / "results").rows[-1]
    assert killed["ran"]["parameters"]["hidden_sizes"] == [8, 8, 8]
    assert killed["on"]["n"] == 120
    command.main(["gpu", *words])
    found = {row.setting: row for row in collect.measured(tmp_path / "work" / "results")}
    assert found["StatDEC-1"].complete


def test_a_row_of_the_queue_that_failed_is_not_said_not_to_have_begun(tmp_path, monkeypatch):
    def fail(*args):
        raise child.ChildFailed("CUDA out of memory")

    monkeypatch.setattr(gpu, "QUEUE", (("StatDEC-1", "digits", "joined", 9.0),))
    monkeypatch.setattr(child, "run", fail)
    words = ["--device", "cpu", "--n", "120", "--threads", "1", "--work", str(tmp_path)]
    assert command.main(["gpu", *words]) == 1
    assert collect.measured(tmp_path / "results") == []


def row_of(setting, seed=0, name="mnist", complete=True, seconds=1.0, more=None, **asked):
    """A row as result files have it."""
    out = {"acc": 0.5, "nmi": 0.5, "ari": 0.5} if complete else {}
    out |= {"seconds": {"fit": seconds}, "stop_reason": "max_epochs" if complete else "budget"}
    return {"row": {"setting": setting, "data": name, "seed": seed, **asked}, "with": {},
            "out": out | {"more": more or {}}, "complete": complete}  # fmt: skip


def cells(text, setting):
    """Cells of the lines of a Markdown table that begin with a setting."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line] for line in lines]
    return [line for line in found if line[0] == setting]


def test_only_rows_of_the_queue_are_sent(tmp_path):
    own, other = row_of("StatDEC-1", name="digits"), row_of("KMeans", name="digits")
    results.Results("papers_digits", tmp_path / "results").put(other, own)
    for name in ("iris", "wine", "mnist"):
        results.Results(f"papers_{name}", tmp_path / "results").put(row_of("KMeans", name=name))
    out = tmp_path / "out"
    (tmp_path / "StatDEC-1-digits-0.safetensors").write_bytes(b"weights")
    gpu.send([own["row"]], tmp_path, tmp_path / "results", out, files=2, n_bytes=1e6)
    assert results.Results("papers_digits", out).rows == [own]
    (part,) = (path for path in out.iterdir() if path.name != "papers_digits.json")
    assert part.read_bytes() == b"weights"


def test_weights_of_finished_runs_are_sent_first(tmp_path):
    cut, whole = row_of("DCCS", complete=False), row_of("MMDC")
    results.Results("papers_mnist", tmp_path / "results").put(cut, whole)
    for setting in ("DCCS", "MMDC"):
        (tmp_path / f"{setting}-mnist-0.safetensors").write_text(setting)
    asked = [cut["row"], whole["row"]]
    gpu.send(asked, tmp_path, tmp_path / "results", tmp_path / "out", files=2, n_bytes=1e6)
    names = sorted(path.name.split("-")[0] for path in (tmp_path / "out").iterdir())
    assert names == ["MMDC", "papers_mnist.json"]


def test_weights_of_different_calls_are_not_mixed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PART_BYTES", 4)
    row = row_of("DCCS", complete=False)
    results.Results("papers_mnist", tmp_path / "results").put(row)
    back, name = tmp_path / "back", "DCCS-mnist-0.safetensors"

    def call(files):
        out = tmp_path / "out"
        gpu.send([row["row"]], tmp_path, tmp_path / "results", out, files, 1e6)
        shutil.copytree(out, back, dirs_exist_ok=True)
        shutil.rmtree(out)
        gpu.join(back)

    (tmp_path / name).write_bytes(b"of the first call")
    call(files=9)
    assert (back / name).read_bytes() == b"of the first call"
    (tmp_path / name).write_bytes(b"of the later call")
    call(files=2)
    assert (back / name).read_bytes() == b"of the first call"
    call(files=9)
    assert (back / name).read_bytes() == b"of the later call"


@pytest.mark.parametrize(
    ("present", "other", "kept"),
    [
        (("converged", 9), ("budget", 99), 0),
        (("budget", 99), ("converged", 9), 1),
        (("budget", 9), ("budget", 99), 1),
        (("budget", 9), ("budget", 0), 0),  # another machine did not begin it
    ],
)
def test_of_two_rows_the_finished_and_else_the_longer_one_is_kept(present, other, kept, tmp_path):
    both = [
        {"row": {"seed": 0}, "complete": reason != "budget",
         "out": {"stop_reason": reason, "seconds": {"fit": seconds}}}
        for reason, seconds in (present, other)
    ]  # fmt: skip
    here, there = tmp_path / "here", tmp_path / "there"
    results.Results("papers_x", here).put(both[0])
    results.Results("papers_x", there).put(both[1])
    results.merge([there / "papers_x.json"], here)
    assert results.Results("papers_x", here).rows == [both[kept]]


def test_peers_and_ours_stand_side_by_side(tmp_path, in_process):
    words = options(tmp_path, dataset="digits", n=200, seeds=1, python=sys.executable,
                    pretrain_epochs=1, epochs=1)  # fmt: skip
    words += ["--methods", "IDEC", "--layers", "8", "8", "8", "--precisions"]
    assert command.main(["peers", *words, "float32", "bfloat16"]) == 0
    ours, other = rows(tmp_path, "peers_digits")
    assert (ours["row"]["precision"], other["row"]["precision"]) == ("float32", "bfloat16")
    assert ours["row"]["schedule"] == "1 + 1 epochs, layers 8-8-8"
    assert ours["ran"]["parameters"]["pretrain_epochs"] == 1
    assert ours["out"]["curve"] == []  # nothing but the fit is timed


def test_the_same_call_of_peers_gives_the_same_labels(tmp_path, in_process):
    found = []
    for folder in ("a", "b"):
        words = options(tmp_path / folder, dataset="digits", n=200, seeds=1, pretrain_epochs=1,
                        epochs=1, precision="float32", methods="IDEC")  # fmt: skip
        assert command.main(["peers", *words, "--layers", "8", "8", "8"]) == 0
        found += rows(tmp_path / folder, "peers_digits")
    first, second = (row["out"]["labels"] for row in found)
    assert first == second


@pytest.mark.parametrize("also_complete", [True, False])
def test_ratios_compare_complete_runs_alone(tmp_path, also_complete):
    cut = row_of("ClustPy IDEC", seed=1, complete=False, seconds=2.0)
    whole = [row_of("ClustPy IDEC", seconds=10.0)] if also_complete else []
    ours = row_of("IDEC", seconds=4.0), row_of("IDEC", seed=1, complete=False, seconds=1.0)
    results.Results("peers_mnist", tmp_path).put(*ours, *whole, cut)
    text = "\n".join(report.peers(tmp_path))
    found = {(line[5], line[6], line[10]) for line in cells(text, "IDEC")}
    ratio = "0.40" if also_complete else ""
    assert found == {("4.0", ratio, ""), ("1.0", "", "**cut short**")}


def test_ratios_are_of_the_seeds_that_both_have(tmp_path):
    others = [row_of("ClustPy DEC", seed=s, seconds=[100.0, 200.0, 200.0][s]) for s in range(3)]
    results.Results("peers_mnist", tmp_path).put(row_of("DEC", seconds=100.0), *others)
    (line,) = cells("\n".join(report.peers(tmp_path)), "DEC")
    assert (line[5], line[6]) == ("100.0", "1.00")
    (line,) = cells("\n".join(report.peers(tmp_path)), "ClustPy DEC")
    assert (line[5], line[6]) == ("200.0", "")


def test_runs_that_time_ended_on_other_machines_are_not_averaged():
    def run(seed, machine, **more):
        return collect.Measured("DCCS", "mnist", seed, {"acc": 0.5}, max_time=1200.0,
                                machine=machine, **more)  # fmt: skip

    ended = {"complete": False, "stop_reason": "max_time"}
    slow, fast = run(0, "1 × A", **ended), run(1, "1 × B", **ended)
    assert collect.groups([slow, fast]) == [[slow], [fast]]
    assert collect.groups([slow, run(1, "1 × A", **ended)])[0][1].seed == 1
    assert len(collect.groups([run(0, "1 × A"), run(1, "1 × B")])) == 1  # both to their end


def test_processors_of_one_name_are_told_apart():
    def name(**about):
        return results.machine({"with": about, "row": {"threads": 2}})

    assert name(cpu="AMD EPYC", cpu_model="25/17", gpu=None) == "2 × AMD EPYC 25/17"
    assert name(cpu="AMD EPYC") == "2 × AMD EPYC"
    assert name(cpu="Intel(R) Xeon(R) Processor", cpu_model="6/143") == "2 × Intel Xeon 6/143"
    assert name(cpu="Intel(R) Xeon(R) CPU @ 2.20GHz") == "2 × Intel Xeon"
    assert name(cpu="AMD EPYC", cpu_model="25/17", gpu="NVIDIA H200") == "NVIDIA H200"


def test_runs_that_were_cut_short_have_lines_where_scores_are_others(tmp_path):
    ended = {name: {"acc": 0.7, "nmi": 0.6, "ari": 0.5} for name in ("undistorted", "inverted")}
    results.Results("papers_mnist", tmp_path).put(
        row_of("StatDEC-1", protocol="split", more=ended),
        row_of("IDEC", protocol="split", complete=False),
        row_of("DEC", protocol="joined", complete=False),
        row_of("MMDC", complete=False),
    )
    text = {table.name: "\n".join(blocks) for table, blocks in report.papers_tables(tmp_path)}
    assert [line[1] for line in cells(text["shift"], "StatDEC-1: inverted")] == ["0.700"]
    assert [line[-1] for line in cells(text["shift"], "IDEC")] == ["1 s; **cut short**, not scored"]
    assert cells(text["shift"], "DEC") == []  # not of this table
    for setting in ("MMDC", "MMDC: before refinement"):
        ((_, published, *measured),) = cells(text["mmdc-5"], setting)
        assert published.startswith("0.9")
        assert measured == ["1", "1 s; **cut short**, not scored"]


@pytest.mark.parametrize("method", ["KMeans", "MiniBatchKMeans", "GaussianMixture"])
def test_a_peer_clusters_rows_from_a_file_without_labels(method, tmp_path, monkeypatch, capsys):
    X, y = data.load("digits")
    np.save(tmp_path / "X.npy", X[:300])
    found = []
    for seed in (0, 0, 1):
        words = ["--method", method, "--rows", tmp_path / "X.npy", "--n-clusters", 10,
                 "--labels", tmp_path / "labels.npy", "--seed", seed]  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["peer_fit", *map(str, words)])
        peer_fit.main()
        answer = json.loads(capsys.readouterr().out)
        assert answer["out"]["seconds"]["fit"] > 0
        assert answer["out"]["peak_mb"] >= answer["out"]["start_mb"]
        assert answer["parameters"]["random_state"] == str(seed)
        found.append(np.load(tmp_path / "labels.npy"))
    assert_array_equal(*found[:2])
    assert (found[0] != found[2]).any()
    assert clustering_accuracy(y[:300], found[0]) > 0.5


@pytest.mark.slow
def test_a_peer_runs_in_a_process_of_its_own(tmp_path):
    words = options(tmp_path, dataset="digits", n=200, seeds=1, python=sys.executable)
    assert command.main(["peers", *words, "--methods", "KMeans"]) == 0
    (row,) = rows(tmp_path, "peers_digits")
    assert row["out"]["acc"] > 0.5
    assert "scikit-learn" in row["with"]["versions"]


def test_growth_is_measured_by_one_factor_at_a_time(tmp_path, in_process):
    words = ["scale", *options(tmp_path), "--methods", "StatDEC", "--factors", "n"]
    assert command.main([*words, "--values", "64", "96"]) == 0
    found = rows(tmp_path, "scale")
    assert [row["row"]["where"] for row in found] == [{"n": n, "d": 64, "k": 10} for n in (64, 96)]
    assert all(row["out"]["seconds"] > 0 for row in found)
    assert [row["on"]["n"] for row in found] == [64, 96]
    assert len({row["on"]["hash"] for row in found}) == 2
    assert found[0]["ran"]["parameters"]["layerwise_epochs"] == 1
    assert found[0]["ran"]["parameters"]["lam"] == 0.1  # a default is there, too
    for out in (row["out"] for row in found):
        assert out["peak_mb_above_torch"] == out["peak_mb"] - out["torch_mb"]
        assert 0 < out["torch_mb"] <= out["start_mb"]
    ((series, points),) = costs.growth(tmp_path / "results").items()
    assert (series.method, series.factor) == ("StatDEC", "n")
    assert dict(series.fixed) == {"d": 64, "k": 10}
    assert [value for value, *_ in points.measured] == [64, 96]


def test_the_same_fit_of_growth_gives_the_same_labels(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(scale, "BASE", {"n": 100, "d": 6, "k": 3})
    for folder in ("a", "b"):
        words = options(tmp_path / folder, methods="StatDEC", factors="d", values=4)
        assert command.main(["scale", *words]) == 0
    labels = [rows(tmp_path / f, "scale")[0]["out"]["labels"] for f in ("a", "b")]
    assert labels[0] == labels[1]


def test_features_clusters_and_sides_grow_one_at_a_time(tmp_path, in_process, monkeypatch):
    monkeypatch.setattr(scale, "BASE", {"n": 100, "d": 6, "k": 3})
    words = ["scale", *options(tmp_path, images=50), "--methods", "VariationalGMMClustering"]
    assert command.main([*words, "--factors", "d", "k", "side", "--values", "4"]) == 0
    found = {row["row"]["factor"]: row for row in rows(tmp_path, "scale")}
    wheres = {factor: row["row"]["where"] for factor, row in found.items()}
    assert wheres == {"d": {"n": 100, "d": 4, "k": 3}, "k": {"n": 100, "d": 6, "k": 4},
                      "side": {"n": 50, "side": 4, "k": 3}}  # fmt: skip
    assert {factor: row["ran"]["parameters"]["n_clusters"] for factor, row in found.items()} == {
        "d": 3, "k": 4, "side": 3
    }  # fmt: skip
    for factor, row in found.items():
        X = scale_rows(tmp_path, **wheres[factor])
        assert row["on"] == {"data": "clusters of random numbers", "n": len(X),
                             "hash": data.hash_of(X)}  # fmt: skip


def scale_rows(tmp_path, **where):
    scale._write_rows(tmp_path / "X.npy", **where)
    return np.load(tmp_path / "X.npy")


def test_rows_for_growth_are_clusters_and_images(tmp_path):
    X = scale_rows(tmp_path, n=300, d=5, k=4)
    assert (X.shape, X.dtype) == ((300, 5), np.float32)
    images = scale_rows(tmp_path, n=30, k=2, side=6)
    assert (images.shape, images.dtype) == ((30, 6, 6), np.uint8)
    assert (images.min(), images.max()) == (0, 255)
    many = scale_rows(tmp_path, n=250, d=2, k=1, block=100)  # of which each has other rows
    assert len(np.unique(many, axis=0)) == 250


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")
def test_a_command_that_is_terminated_ends_its_child(tmp_path):
    python, pid_file = tmp_path / "python", tmp_path / "pid"  # an interpreter that takes long
    python.write_text(f"#!/bin/sh\necho $$ > {pid_file}.part\nmv {pid_file}.part {pid_file}\n"
                      "exec sleep 600\n")  # fmt: skip
    python.chmod(0o755)
    words = ["--dataset", "digits", "--methods", "KMeans", "--python", str(python)]
    parent = subprocess.Popen([sys.executable, "-m", "benchmarks", "peers", *words,
                               *options(tmp_path)], cwd=child.ROOT)  # fmt: skip
    while not pid_file.exists():
        assert parent.poll() is None
        time.sleep(0.05)
    parent.terminate()
    assert parent.wait(60) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_memory_is_that_above_torch_and_nothing_else():
    # What the child has imported when it looks: a stand-in for torch saves the time
    code = ("import sys; from unittest.mock import MagicMock; sys.modules['torch'] = MagicMock(); "
            "import benchmarks.__main__, benchmarks.scale; print(*sys.modules)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=child.ROOT, capture_output=True,
                          text=True, check=True)  # fmt: skip
    imported = {name.split(".")[0] for name in done.stdout.split()}
    assert "numpy" in imported
    assert not imported & {"sklearn", "scipy", "skorch", "skdeepcluster"}


def test_a_fit_that_took_too_long_is_kept_and_told(tmp_path, monkeypatch):
    calls = []

    def slow(kind, spec, timeout):
        calls.append(timeout)
        raise child.OutOfTime("its time was up")

    monkeypatch.setattr(child, "run", slow)
    words = ["scale", *options(tmp_path), "--methods", "StatDEC", "--factors", "d"]
    words += ["--values", "8", "--timeout"]
    assert command.main([*words, "30"]) == 1
    (row,) = rows(tmp_path, "scale")
    assert (row["complete"], row["out"]["seconds"]) == (False, 30)
    assert (row["ran"]["parameters"]["n_clusters"], row["on"]["n"]) == (10, 10_000)
    (points,) = costs.growth(tmp_path / "results").values()
    assert (points.measured, points.ended) == ([], [(8, 30)])
    assert "8: **cut short** after 30 s" in "\n".join(costs.scale(tmp_path / "results"))
    assert command.main([*words, "20"]) == 0  # it would not come to its end
    assert command.main([*words, "40"]) == 1
    assert calls == [30, 40]


@pytest.mark.parametrize("what", ["device", "precision", "threads", "images", "cpu_model"])
def test_growth_is_fitted_to_what_differs_in_one_factor_alone(what, tmp_path):
    def row(value, seconds, **other):
        asked = {"method": "DCCS", "factor": "side", "value": value, "device": "cpu",
                 "precision": "float32", "threads": 1, **other}  # fmt: skip
        where = {"n": asked.pop("images", 2000), "side": value, "k": 10}
        gpu_name = "H100" if asked["device"] == "cuda" else None
        about = {"gpu": gpu_name, "cpu": "AMD EPYC", "cpu_model": asked.pop("cpu_model", "25/1")}
        return {"row": asked | {"where": where}, "with": about, "complete": True,
                "out": {"seconds": seconds, "peak_mb_above_torch": 1.0}}  # fmt: skip

    other = {"device": "cuda", "precision": "bfloat16", "threads": 2, "images": 500,
             "cpu_model": "25/17"}[what]  # fmt: skip
    results.Results("scale", tmp_path).put(
        *(row(side, (side / 8) ** 2) for side in (8, 16, 32, 64)),
        *(row(side, side / 8, **{what: other}) for side in (8, 16, 32, 64)),
    )
    found = [[line[2], line[6]] for line in cells("\n".join(costs.scale(tmp_path)), "DCCS")]
    assert [slope for _, slope in found] == ["2.00", "1.00"]
    assert found[0][0] != found[1][0]  # and a reader sees why


def test_exponents_are_of_what_grows_above_what_depends_on_nothing():
    for values in (np.array([8, 16, 32, 64]), 10.0 ** np.arange(3, 7)):
        for exponent in (0.5, 1, 2):
            for constant in (0, 2, 280):
                seconds = constant + 75 * (values / values[-1]) ** exponent
                found = costs.exponent(values, seconds)
                assert found == pytest.approx(exponent, abs=0.01)  # the grid's step
        assert costs.exponent(values[:3], [1.0, 2.0, 3.0]) is None  # any would fit
        assert costs.exponent(values, [1.0] * len(values)) is None
        assert costs.exponent(values, [100.0, 101.0, 99.0, 102.0]) is None
        assert costs.exponent(values, [300.0, 250.0, 251.0, 240.0]) is None  # it shrinks


@pytest.mark.parametrize("method", ["StatDEC", "IDEC"])
def test_speed_compares_with_a_loop_by_hand(method, tmp_path):
    words = ["speed", *options(tmp_path, dataset="digits", n=64, rounds=1)]
    assert command.main([*words, "--methods", method, "--precisions", "float32"]) == 0
    (row,) = rows(tmp_path, "speed")
    assert row["ran"]["estimator"] == "StatDEC"
    assert row["ran"]["parameters"]["weighted_target"] == (method == "StatDEC")
    assert (row["on"]["data"], row["on"]["n"]) == ("digits", 64)
    assert row["out"]["stop_reason"] == "itself"
    training = row["out"]["training"]
    assert all(seconds > 0 for seconds in training["cpu_s"].values())
    assert set(training["seconds"]) == {"ours", "by_hand", "passes"}
    # An encoder and its mirror, 64-500-500-1000-10, forward once and backward twice: at least
    weights = 2 * (64 * 500 + 500 * 500 + 500 * 1000 + 1000 * 10)
    assert training["flop_per_image"] > 2.5 * 2 * weights
    for out in (training, row["out"]["predicting"]):
        assert set(out["share_of_peak"]) == {"ours", "by_hand", "passes"}
        assert all(share > 0 for share in out["share_of_peak"].values())
    assert 0 < training["share_of_peak"]["ours"] < 1
    assert training["share_of_peak"]["ours"] * training["peak_flops"] == pytest.approx(
        training["flop_per_image"] * training["images_per_s"]["ours"]
    )


def ready(model, X):
    """The net of a fitted model, at the beginning of clustering again."""
    net = model.net_
    net.source_ = TensorSource(X.reshape(len(X), -1), model._preprocess, net.device)
    net.phases_, net.compiled_, net.step_count_, net.phase_epoch_ = net.phases(), {}, 0, 0
    net._configure_phase()
    net.best_ = None  # of the starts
    net.begin_phase()
    net.begin_epoch()
    net._set_training(True)
    return net


def without_chance(net, monkeypatch):
    """Let DCCS's critic see the same rows and draws, in whatever order they are drawn."""
    monkeypatch.setattr(torch, "randint", lambda high, size, **kw: torch.arange(*size) % high)
    monkeypatch.setattr(torch, "randn", lambda *size, **kw: torch.full(size, 0.7))
    monkeypatch.setattr(torch, "rand", lambda *size, **kw: torch.full(size, 0.3))
    monkeypatch.setattr(torch, "randperm", lambda n, **kw: torch.arange(n).roll(1))
    net.augment = net.augment_ = lambda x: x.flip(-1)


def plain_descent(optimizer):
    """Gradient descent in place of Adam, which makes a step of what rounding leaves of zero."""
    (group,) = optimizer.param_groups
    return torch.optim.SGD(group["params"], lr=0.01)


def small_networks(method):
    """Parameters for small networks; StatDEC refreshes its target at each step."""
    params = {} if method in ("DCCS", "MMDC") else {"hidden_sizes": (16, 16, 8)}
    return params | ({"update_interval": 1} if method in ("StatDEC", "IDEC") else {})


def small_model(method):
    """A model of 20 digits, and these."""
    X = speed._images(data.load("digits")[0], 20)
    model = speed._estimator(
        method, torch.device("cpu"), "float32", max_epochs=1, **small_networks(method)
    )
    return model.fit(X), X


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 20 rows, an epoch
@pytest.mark.parametrize("method", LOOPS)
def test_loops_by_hand_have_the_losses_of_the_package(method, monkeypatch):
    model, X = small_model(method)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ready(model, X)
        if method == "DCCS":
            without_chance(net, monkeypatch)
        loop = LOOPS[method](model, X, torch.float32)
        loop.train(True)
        if method == "MMDC":
            loop.points = net.points_[net.index_]
        elif method in ("StatDEC", "IDEC"):
            net.update_interval = loop.every = 2
        elif method == "DCCS":
            pairs = ((net.encoder_optimizer_, loop.optimizer),
                     (net.critic_optimizer_, loop.critic_optimizer))  # fmt: skip
            for ours, by_hand in pairs:
                assert ours.defaults == by_hand.defaults
            net.encoder_optimizer_, loop.optimizer = map(plain_descent, pairs[0])
            net.critic_optimizer_, loop.critic_optimizer = map(plain_descent, pairs[1])
        index = torch.arange(len(X))
        losses = []
        for step in range(4):
            torch.manual_seed(step)
            ours = net.training_step(Batch(net.source_[index], index))["loss"]
            net.step_count_ += 1
            torch.manual_seed(step)
            losses.append((ours.item(), loop.step(index).item()))
    # Sums of some thousand float32 numbers in another order: a rounding is 6e-8 of each. DCCS's is
    # a difference of terms of about 1, and may come near zero.
    ours, by_hand = np.transpose(losses)
    np.testing.assert_allclose(by_hand, ours, rtol=1e-5, atol=1e-6)
    assert len(set(ours)) == 4
    if method == "MMDC":  # weights decay, biases do not: losses hardly tell
        for weights, others in zip(net.module_.parameters(), loop.trunk.parameters(), strict=True):
            torch.testing.assert_close(others, weights, rtol=1e-5, atol=1e-6)
    assert speed._counted(loop.epoch) > 0


def small_loop(method, monkeypatch):
    """A model of 20 digits, these, and the loop by hand on its modules."""
    model, X = small_model(method)
    monkeypatch.setattr(IDECLoop, "every", 1, raising=False)
    monkeypatch.setattr(StatDECLoop, "every", 1)
    return model, X, LOOPS[method](model, X, torch.float32)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 20 rows, an epoch
@pytest.mark.parametrize("method", LOOPS)
def test_all_sides_of_a_comparison_do_the_same(method, monkeypatch):
    model, X, loop = small_loop(method, monkeypatch)
    assert speed._counted(loop.passes) == pytest.approx(speed._counted(loop.epoch), rel=0.05)
    whole = np.resize(X, (2 * loop.chunk, *X.shape[1:]))  # no batch that ours has to fill up
    half = whole[: loop.chunk]
    ours = speed._flop(method, half, torch.device("cpu"), "float32", **small_networks(method))
    # Ours has the slopes of DCCS's critic from its weights, without a pass to go back through
    by_hand = speed._counted(LOOPS[method](model, half, torch.float32).epoch)
    assert by_hand == pytest.approx(ours, rel=0.08 if method == "DCCS" else 0.01)
    loop = LOOPS[method](model, whole, torch.float32)
    assert_array_equal(loop.predict(), model.predict(whole))
    flop = [speed._counted(f) for f in (lambda: model.predict(whole), loop.predict,
                                        loop.forward_passes)]  # fmt: skip
    assert min(flop) == pytest.approx(max(flop), rel=0.01)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # 20 rows, an epoch
@pytest.mark.parametrize("method", LOOPS)
def test_bare_passes_train_nothing(method, monkeypatch):
    _, _, loop = small_loop(method, monkeypatch)
    weights = [p for module in loop.modules for p in module.parameters()]
    before = [p.detach().clone() for p in weights]
    reached = []
    for p in weights:
        p.register_post_accumulate_grad_hook(lambda p: reached.append(id(p)))
    loop.passes()
    for p, weight in zip(weights, before, strict=True):
        assert_array_equal(p.detach(), weight)
        assert p.grad is None
    assert len(set(reached)) > 0.5 * len(weights)  # but the backward pass was there


@pytest.mark.parametrize("method", ["StatDEC", "IDEC"])
def test_a_timed_epoch_has_refreshes_of_the_target(method):
    batch_size = speed._estimator(method, "cpu", "float32").batch_size
    steps = n_batches(speed.IMAGES[method], batch_size)
    assert steps // speed.ONLY[method]["update_interval"] == 2
    assert speed.IMAGES[method] == steps * batch_size  # no smaller batch among them


@pytest.mark.slow
@pytest.mark.parametrize("method", ["DCCS", "VariationalGMMClustering", "MMDC"])
def test_every_method_has_its_loop(method, tmp_path):
    words = ["speed", *options(tmp_path, dataset="digits", n=256, rounds=1), "--loader"]
    assert command.main([*words, "--methods", method, "--precisions", "float32"]) == 0
    (row,) = rows(tmp_path, "speed")
    seconds = row["out"]["training"]["seconds"]
    more = {"loader", "augmented"} if method == "DCCS" else set()
    assert set(seconds) == {"ours", "by_hand", "passes"} | more
    assert all(value > 0 for value in seconds.values())


def test_every_module_can_be_imported():
    for path in Path(command.__file__).parent.glob("*.py"):
        importlib.import_module(f"benchmarks.{path.stem}")


def test_memory_beside_a_map_is_measured(tmp_path, in_process):
    large.write_rows(tmp_path / "X.npy", 300)
    found = large.measure(tmp_path / "X.npy", 200, "StatDEC")
    assert (found["method"], found["n"]) == ("StatDEC", 200)
    assert found["fit_processor_s"] > found["predict_processor_s"] > 0
    assert found["fit_peak_mb"] >= 0


def test_the_page_is_made_from_the_files(tmp_path, in_process):
    small(tmp_path)
    page = tmp_path / "docs"
    assert (
        command.main(["report", "--results", str(tmp_path / "results"), "--docs", str(page)]) == 0
    )
    text = (page / "results.md").read_text()
    (row,) = rows(tmp_path, "papers_digits")
    assert f"{row['out']['acc']:.3f}" in text
    pictures = [path.name for path in (page / "images" / "results").iterdir()]
    assert pictures == ["accuracy-digits-120.png"]
    assert pictures[0] in text


def test_earlier_files_are_read():
    found = collect.measured()
    settings = {(row.setting, row.data) for row in found}
    assert {("DCCS", "digits"), ("MMDC", "digits"), ("KMeans", "mnist")} <= settings
    assert all(0 <= row.scores["acc"] <= 1 for row in found)
    rivals = {row.setting for row in collect.measured(pattern=collect.PEERS)}
    assert {"ClustPy IDEC", "IDEC"} <= rivals


def test_figures_by_name_are_on_the_page(tmp_path):
    content = {"provenance": {"threads": 2},
               "masses": {"threads": 1, "relative": {"1.0": 1.0, "0.99": 0.324}}}  # fmt: skip
    (tmp_path / "vgmm_speed.json").write_text(json.dumps(content))
    text = "\n".join(costs.speed(tmp_path))
    assert cells(text, "vgmm speed: masses, 0.99") == [
        ["vgmm speed: masses, 0.99", "relative", "0.324", "1"]
    ]


def test_the_page_is_that_of_the_results():
    """``python -m benchmarks report`` was called after the last measurement."""
    page = (report.DOCS / "results.md").read_text(encoding="utf-8")
    named = re.findall(r"!\[(.*?)\]\(images/results/(.*?)\)", page)
    equal = page.partition("## Accuracy against time where")[0]
    pictures = {"curves": [], "unequal": [], "scale": []}
    for about, file in named:
        curves = "curves" if file in equal else "unequal"
        pictures["scale" if file.startswith("scale-") else curves].append((file, about))
    assert page == report.page_text(None, pictures)
    drawn = {path.name for path in (report.DOCS / "images" / "results").glob("*.png")}
    assert drawn == {file for _, file in named}


@pytest.mark.parametrize("table, data, setting, figures", [
    ("statdec-2", "mnist", "StatDEC-1", (0.9343, 0.8931, 0.8764)),
    ("statdec-2", "cifar10", "IDEC", (0.3169, 0.2731, 0.1723)),
    ("statdec-1", "cifar10 step 100", "StatDEC-1", (0.4511,)),
    ("statdec-5", "mnist", "StatDEC+UNet", (0.9407, 0.9066, 0.8826)),
    ("dccs-2", "mnist", "DCCS", (0.989, 0.970, 0.976)),
    ("dccs-3", "cifar10", "DCCS", (0.656, 0.569, 0.469)),
    ("dccs-4", "mnist", "DCCS: k-means on Z_s", (0.5164, 0.4722, 0.3571)),
    ("dccs-5", "fashion_mnist", "DCCS M1", (0.618, 0.551, 0.435)),
    ("vgmm-1", "mnist", "VGMM", (0.982,)),
    ("vgmm-1", "cifar10", "VGMM", (0.445,)),
    ("vgmm-4", "mnist retention 0.5", "VGMM", (0.961,)),
    ("vgmm-5", "fashion_mnist", "VGMM paper, W2", (0.676,)),
    ("mmdc-1", "cifar10", "MMDC: before refinement", (0.820, 0.703)),
    ("mmdc-4", "cifar10", "MMDC: linear probe", (0.869,)),
    ("mmdc-5", "cifar10", "MMDC", (0.829, 0.715)),
])  # fmt: skip
def test_figures_are_those_that_the_papers_print(table, data, setting, figures):
    name, _, sampling = data.partition(" ")
    setting, _, score = setting.partition(": ")
    (entry,) = (e for e in tables.tables()[table].entries[name, sampling or None]
                if (e.setting, e.score or "") == (setting, score))  # fmt: skip
    published = [entry.published[s] for s in ("acc", "nmi", "ari") if s in entry.published]
    assert tuple(published) == figures


@pytest.mark.slow
def test_a_row_has_a_process_of_its_own(tmp_path):
    for folder in ("a", "b"):
        assert small(tmp_path / folder) == 0
    labels = [rows(tmp_path / f, "papers_digits")[0]["out"]["labels"] for f in ("a", "b")]
    assert labels[0] == labels[1]


def test_of_equal_scores_the_largest_number_of_clusters_is_reported_as_chosen():
    from benchmarks import label_free

    scores = dict.fromkeys([*label_free.SCORERS, "acc"], 1.0)
    key = {"part": "n_clusters", "method": "statdec", "n": 10}
    lines = label_free.report([{**key, **scores, "k": k} for k in (2, 4, 3)])
    assert "'stability': 4" in lines
    assert "by ACC 4" in lines
