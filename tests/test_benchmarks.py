"""The smallest row of each command of ``python -m benchmarks``, and what keeps its figures honest.

Rows run in this process here, where they would have one of their own: an import takes longer than
they do. One test has the real thing.
"""

import importlib
import json
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("benchmarks")

from benchmarks import __main__ as command
from benchmarks import (
    child,
    collect,
    costs,
    data,
    gpu,
    large,
    papers,
    report,
    results,
    runs,
    scale,
    tables,
)
from benchmarks.settings import SETTINGS

TINY = {"hidden_sizes": (8, 8, 8), "layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 2}


def options(tmp_path, **more):
    """Words of a command line that all commands take, and some more."""
    words = {"results": tmp_path / "results", "threads": 1, **more}
    return [str(w) for name, value in words.items() for w in (f"--{name.replace('_', '-')}", value)]


@pytest.fixture
def in_process(monkeypatch):
    """Rows without a process of their own."""
    import torch

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
    text = report.as_text(report.papers_tables(tmp_path / "results"))
    changed = "\n".join(report.changed(tmp_path / "results"))
    assert "cut short" in text + changed
    assert small(tmp_path) == 0
    assert rows(tmp_path, "papers_digits")[0]["complete"]


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
        small(tmp_path, "--set", "max_epochs=4000", "tol=0", "hidden_sizes=(8,8)", max_time=0.05)
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
    printed = tomllib.loads(tables.PAPERS.read_text())
    assert {name.split("-")[0] for name in printed} == {"statdec", "dccs", "vgmm", "mmdc"}
    for table in tables.tables().values():
        for entries in table.entries.values():
            for entry in entries:
                assert entry.setting in SETTINGS
                assert all(0 <= figure <= 1 for figure in entry.printed.values())
    for content in printed.values():
        assert content["document"]
        assert content["table"].startswith("Table")


def test_samplings_by_name_have_the_sizes_of_their_formula():
    for sampling, ratio in (("long-tailed 10", 10), ("step 10", 10), ("balanced", 1)):
        y = data.select("digits", sampling=sampling, n=600).y
        sizes = np.bincount(y)
        assert sizes[0] == pytest.approx(ratio * sizes[-1], abs=ratio)
        assert 500 < len(y) <= 620


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
        assert again.protocols[where] == protocol
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
    monkeypatch.setattr(gpu, "QUEUE", (("StatDEC-1", "digits", "joined", None),))
    monkeypatch.setattr(gpu, "PART_BYTES", 1000)
    there, out, here = tmp_path / "there", tmp_path / "out", tmp_path / "here"
    words = ["gpu", "--device", "cpu", "--n", "120", "--precision", "float32", "--threads", "1",
             "--work", str(there / "work"), "--results", str(there / "results"),
             "--out", str(out), "--files", "5",
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
    assert command.main(["gpu", "--collect", str(back), "--results", str(here)]) == 0
    weights = there / "work" / "StatDEC-1-digits-0.safetensors"
    assert (back / weights.name).read_bytes() == weights.read_bytes()
    assert json.loads((here / "papers_digits.json").read_text())["rows"][0]["complete"]


def test_a_finished_row_is_not_replaced_by_one_that_was_cut_short(tmp_path):
    row = {"row": {"seed": 0}, "complete": True, "out": {"stop_reason": "converged"}}
    cut = row | {"complete": False, "out": {"stop_reason": "budget"}}
    here, there = tmp_path / "here", tmp_path / "there"
    results.Results("papers_x", here).put(row)
    results.Results("papers_x", there).put(cut)
    results.merge([there / "papers_x.json"], here)
    assert results.Results("papers_x", here).rows == [row]


def test_peers_and_ours_stand_side_by_side(tmp_path, in_process):
    words = options(tmp_path, dataset="digits", n=200, seeds=1, python=sys.executable,
                    pretrain_epochs=1, epochs=1)  # fmt: skip
    words += ["--methods", "IDEC", "--layers", "8", "8", "8", "--precisions"]
    assert command.main(["peers", *words, "float32", "bfloat16"]) == 0
    ours, other = rows(tmp_path, "peers_digits")
    assert (ours["row"]["precision"], other["row"]["precision"]) == ("float32", "bfloat16")
    assert ours["row"]["schedule"] == "1 + 1 epochs"
    assert ours["ran"]["parameters"]["pretrain_epochs"] == 1
    assert ours["out"]["curve"] == []  # nothing but the fit is timed


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
    assert costs.growth(tmp_path / "results")["StatDEC", "n"][1][0] == 96


def test_exponents_are_slopes_of_logarithms():
    values = np.array([10, 100, 1000])
    assert costs.exponent(values, 3 * values**1.5) == pytest.approx(1.5)
    assert costs.exponent([10], [1]) is None


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
    assert 0 < training["share_of_peak"]["ours"] < 1


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
