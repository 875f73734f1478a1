"""A fit that is killed and called again ends as if nothing had happened, to the last bit."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

import skdeepcluster
from skdeepcluster import StatDEC, _base
from skdeepcluster._training import _net
from skdeepcluster._training._checkpoint import CheckpointError, read
from skdeepcluster.metrics import ari_scorer

# Runs of a few steps may leave a cluster empty; what counts is that all of them do so alike.
pytestmark = pytest.mark.filterwarnings("ignore:.* (was to find|has collapsed)")

X, Y = load_digits(n_class=4, return_X_y=True)
X, Y = X[:200].astype(np.float32), Y[:200]


def small_trunk(shape):
    return torch.nn.Sequential(
        torch.nn.Conv2d(shape[0], 4, 3, stride=4),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
    )


PARAMS = {
    "n_clusters": 4,
    "hidden_sizes": (16, 12, 14),
    "embedding_dim": 3,
    "layerwise_epochs": 1,
    "pretrain_epochs": 2,
    "max_epochs": 3,
    "update_interval": 7,
    "tol": 0,
    "batch_size": 25,
    "precision": "float32",
    "random_state": 0,
}
#: Eight steps an epoch: four layers, then the whole autoencoder, then clusters.
N_PRETRAINING = 8 * (4 + 2)
N_STEPS = N_PRETRAINING + 8 * 3

#: Settings of other methods; the first is its name.
MMDC = {"method": "MMDC", "n_clusters": 4, "max_epochs": 4, "batch_size": 25, "random_state": 0}
MMDC |= {"precision": "float32", "image_shape": (8, 8), "network": small_trunk}
DCCS = {"method": "DCCS", "n_clusters": 4, "max_epochs": 4, "batch_size": 25, "random_state": 0}
DCCS |= {"precision": "float32", "hidden_sizes": (16,), "critic_sizes": (12,), "n_style": 3}
DCCS |= {"learning_rate": 0.003, "tol": 0, "n_init": 1}
MIXTURE = {"method": "VariationalGMMClustering", "n_clusters": 4, "max_epochs": 3}
MIXTURE |= {"batch_size": 25, "random_state": 0, "precision": "float32", "hidden_sizes": (16,)}
MIXTURE |= {"embedding_dim": 3, "n_init": 1, "image_shape": (8, 8)}
DCCS_IMAGES = {**DCCS, "image_shape": (8, 8), "network": small_trunk}

#: Other ways through the same code: schedulers, other targets, images that are distorted at random,
#: an end in the middle of an epoch, and the autocast of bfloat16.
VARIANTS = {
    "default": {},
    "paper": {"pretraining": "paper"},
    "dec": {"lam": 1.0, "statistics_pooling": False, "weighted_target": False},
    "augmented": {
        "augmentation": "affine",
        "image_shape": (8, 8),
        "hidden_sizes": (64, 48, 64),
        "pretrain_epochs": 10,
    },
    "converges": {"tol": 0.9, "update_interval": 11, "max_epochs": 20},
    "bfloat16": {"precision": "bfloat16"},
    "no clustering": {"max_epochs": 0, "layerwise_epochs": 0},
    "MMDC": MMDC,
    "MMDC rotation": {**MMDC, "auxiliary": "rotation", "refine_after": 2, "max_epochs": 3},
    "MMDC variance": {**MMDC, "targets": "random", "sigma": 0.01, "refine_after": 3},
    "MMDC uniform": {**MMDC, "targets": "uniform", "precision": "bfloat16"},
    "mixture": MIXTURE,
    "dccs starts": {**DCCS, "image_shape": (8, 8), "network": "mlp", "n_init": 2, "init_epochs": 2},
    "mixture starts": {**MIXTURE, "n_init": 2, "init_epochs": 1, "lambda_aug": ((0, 0.1), (2, 1))},
    "mixture mass": {**MIXTURE, "posterior_mass": 0.9, "precision": "bfloat16"},
    "mixture exact": {**MIXTURE, "posterior_mass": 1.0, "precision": "bfloat16"},
    "DCCS": DCCS,
    "DCCS images": DCCS_IMAGES,
    "DCCS decoder": {**DCCS_IMAGES, "information": "decoder", "precision": "bfloat16"},
    "DCCS converges": {**DCCS, "tol": 1.0, "patience": 2, "max_epochs": 30, "learning_rate": 0.02},
}


class Counter(Callback):
    """Count steps, and call `action` when there were so many."""

    total = 0  # of all copies: scikit-learn clones callbacks

    def __init__(self, step=None, action=None):
        self.step = step
        self.action = action
        self.n_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_ += 1
        Counter.total += 1
        if self.n_ == self.step:
            self.action()


class Dies(Exception):
    """Stands for the end of the process: nothing is saved on its way out."""


def die():
    raise Dies


def fit(folder=None, **params):
    if "method" in params:
        return getattr(skdeepcluster, params.pop("method"))(**params, checkpoint=folder).fit(X)
    return StatDEC(**{**PARAMS, **params}, checkpoint=folder).fit(X)


def can_decode(model):
    return hasattr(model, "inverse_transform")


def outcome(model):
    """All that a user sees of a fit, but for the seconds."""
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]
    z = model.transform(X)
    return {
        "labels": model.labels_.tolist(),
        "probabilities": model.predict_proba(X).tobytes(),
        "embedding": z.tobytes(),
        "decoded": model.inverse_transform(z).tobytes() if can_decode(model) else None,
        "centers": getattr(model, "cluster_centers_", np.zeros(0)).tobytes(),
        "history": history,
        "n_iter": model.n_iter_,
        "score": model.score(X),
        "converged": model.net_.converged_,
    }


@pytest.fixture
def always_saving(monkeypatch):
    monkeypatch.setattr(_net, "CHECKPOINT_INTERVAL", 0.0)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power fails here


# ------------------------------------------------------------------ within one process


@pytest.mark.parametrize("variant, every", [*((v, 9) for v in VARIANTS), ("default", 2)])
@pytest.mark.usefixtures("always_saving")
def test_a_run_that_dies_at_every_kth_step(tmp_path, variant, every):
    params = VARIANTS[variant]
    whole = fit(callbacks=[counter := Counter()], **params)
    model, n_deaths = None, 0
    while model is None and n_deaths <= counter.n_:
        try:
            model = fit(tmp_path, callbacks=[Counter(every, die)], **params)
        except Dies:
            n_deaths += 1
    # The step at which it dies is not saved, and is taken again.
    assert n_deaths == (counter.n_ - 1) // (every - 1)
    assert outcome(model) == outcome(whole)
    rows = [row for row in model.history_ if row["phase"] == "clustering"]
    assert all("loss" in row for row in rows)
    if variant == "converges":
        assert model.net_.converged_
        assert counter.n_ % 8 != 0  # in mid-epoch, as it was meant to


@pytest.mark.parametrize("step", [1, 8, 33, N_PRETRAINING, 52, 70, N_STEPS])
@pytest.mark.usefixtures("sigint")
def test_ctrl_c_then_the_same_call(tmp_path, step):
    def press():
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, callbacks=[Counter(step, press)])
    rest = Counter()
    assert outcome(fit(tmp_path, callbacks=[rest])) == outcome(fit())
    assert rest.n_ == N_STEPS - step


@pytest.mark.parametrize("step, left", [(5, N_STEPS), (60, N_STEPS - N_PRETRAINING)])
def test_the_end_of_a_phase_is_saved_whatever_the_time(tmp_path, step, left):
    with pytest.raises(Dies):
        fit(tmp_path, callbacks=[Counter(step, die)])
    rest = Counter()
    assert outcome(fit(tmp_path, callbacks=[rest])) == outcome(fit())
    assert rest.n_ == left


@pytest.mark.parametrize("step", [5, 40, 60])
@pytest.mark.usefixtures("always_saving")
def test_a_run_without_random_state_keeps_the_seed_that_it_drew(tmp_path, monkeypatch, step):
    def fit_with(drawn, folder=None, **params):
        monkeypatch.setattr(_base, "draw_seed", lambda random_state: drawn)
        return fit(folder, random_state=None, **params)

    with pytest.raises(Dies):
        fit_with(11, tmp_path, callbacks=[Counter(step, die)])
    resumed = outcome(fit_with(22, tmp_path))
    assert resumed == outcome(fit_with(11))
    assert resumed != outcome(fit_with(22))
    assert resumed == outcome(fit_with(33, tmp_path))


def test_a_finished_run_returns_at_once(tmp_path):
    first = fit(tmp_path)
    counter = Counter()
    again = fit(tmp_path, callbacks=[counter])
    assert counter.n_ == 0
    assert outcome(again) == outcome(first) == outcome(fit())
    assert again.history_ == first.history_  # the seconds, too
    assert len(list(tmp_path.iterdir())) == 1


class Clock:
    """A clock that goes on by one second whenever it is read."""

    now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize("seconds", [7, 25])
def test_max_time_then_the_same_call(tmp_path, monkeypatch, seconds):
    n_stops = 0
    for _ in range(N_STEPS):
        monkeypatch.setattr(_net, "time", Clock())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = fit(tmp_path, max_time=seconds)
        monkeypatch.setattr(_net, "time", time)
        if not any("max_time" in str(warning.message) for warning in caught):
            break
        assert np.array_equal(model.predict(X), model.labels_)
        assert model.cluster_centers_.any()
        n_stops += 1
    assert n_stops > 1
    assert outcome(model) == outcome(fit())


@pytest.mark.usefixtures("always_saving")
def test_candidates_of_a_search_share_a_folder(tmp_path):
    def search(folder):
        estimator = StatDEC(**PARAMS, checkpoint=folder, callbacks=[Counter()])
        grid = {"lam": [0.1, 0.9], "embedding_dim": [2, 3]}
        return GridSearchCV(estimator, grid, scoring=ari_scorer, cv=2, error_score="raise").fit(
            X, Y
        )

    alone, kept = search(None), search(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4 * 2 + 1  # and the best one on all rows
    before = Counter.total
    again = search(tmp_path)
    assert Counter.total == before
    for found in (kept, again):
        for key in ("split0_test_score", "split1_test_score"):
            assert np.array_equal(found.cv_results_[key], alone.cv_results_[key])
        assert outcome(found.best_estimator_) == outcome(alone.best_estimator_)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other"])
def test_a_damaged_file_is_named_and_kept(tmp_path, damage):
    with pytest.raises(Dies):
        fit(tmp_path, callbacks=[Counter(60, die)])
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    content = {
        "truncated": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
        "empty": b"",
        "other": b"something else",
    }[damage]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        fit(tmp_path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_named_before_the_first_step(tmp_path):
    (tmp_path / "file").touch()
    counter = Counter()
    folder = tmp_path / "file" / "folder"
    with pytest.raises(CheckpointError, match=re.escape(str(folder))):
        fit(folder, callbacks=[counter])
    assert counter.n_ == 0


def test_a_folder_is_made_where_there_is_none(tmp_path):
    folder = tmp_path / "some" / "folder"
    fit(str(folder))
    assert len(list(folder.iterdir())) == 1


# ------------------------------------------------------------------ processes that are killed


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class Alarm(Callback):
    """End the process, wherever it then is, so many seconds after training began."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_begin(self, net, **kwargs):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)


def attempt(folder, result, interval, when, n, params):
    """Fit in a process of its own, which is killed at the `n`-th step, write or rename."""
    _net.CHECKPOINT_INTERVAL = interval
    os.fsync = lambda handle: None  # no power fails here
    replace, left = os.replace, n

    def killing_replace(source, target):
        nonlocal left
        left -= 1
        if left == 0 and when == "before renaming":
            kill()
        replace(source, target)
        if left == 0 and when == "after renaming":
            kill()

    if when in ("before renaming", "after renaming"):
        os.replace = killing_replace
    callbacks = [Counter(n if when == "step" else None, kill)]
    if when == "seconds":
        callbacks.append(Alarm(n))
    model = fit(folder, callbacks=callbacks, **params)
    signal.setitimer(signal.ITIMER_REAL, 0)
    Path(result).write_bytes(pickle.dumps(outcome(model)))


def forked(*args):
    """Make an attempt in a fork of this process; return its exit code, or minus its signal."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            attempt(*args)
            code = 0
        finally:
            os._exit(code)
    return pid


def exit_code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main():
    """Take orders from the test: what to do one after the other, and what at once."""
    import torch._dynamo  # noqa: F401 - what the first step of an optimiser would import

    orders = json.load(sys.stdin)
    codes = [exit_code(forked(*args)) for args in orders["in turn"]]
    codes += [exit_code(pid) for pid in [forked(*args) for args in orders["at once"]]]
    print(json.dumps(codes))


def in_processes(in_turn=(), at_once=(), threads=1):
    """Let a process with nothing but the imports done make the attempts in forks of itself."""
    here = Path(__file__)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(here.parent), str(here.parents[1])]),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import {here.stem}; {here.stem}.main()"],
        input=json.dumps({"in turn": in_turn, "at once": at_once}),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_kill_9_then_the_same_call(tmp_path):
    result, reference = str(tmp_path / "result"), str(tmp_path / "reference")
    folder = tmp_path / "folder"
    moments = [
        ("step", 5),
        ("before renaming", 1),
        ("before renaming", 9),
        ("after renaming", 4),
        ("step", 12),
        ("after renaming", 13),
        ("before renaming", 6),
    ]
    attempts = [(str(folder), result, 0.0, when, n, {}) for when, n in moments]
    last = [(str(folder), result, 0.0, "never", 0, {}), (None, reference, 0.0, "never", 0, {})]
    codes, errors = in_processes([*attempts, *last])
    assert codes == [-signal.SIGKILL] * len(moments) + [0, 0], errors
    assert pickle.loads(Path(result).read_bytes()) == pickle.loads(Path(reference).read_bytes())


def test_two_processes_that_share_a_run_do_not_disturb_each_other(tmp_path):
    results = [str(tmp_path / name) for name in ("one", "other", "reference")]
    folders = [str(tmp_path / "folder")] * 2 + [None]
    calls = [(f, r, 0.0, "never", 0, {}) for f, r in zip(folders, results, strict=True)]
    codes, errors = in_processes(at_once=calls)
    assert codes == [0, 0, 0], errors
    one, other, reference = (pickle.loads(Path(result).read_bytes()) for result in results)
    assert one == other == reference
    assert len(list((tmp_path / "folder").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("interval", [0.0, 0.05])
def test_fifty_kills_at_random_moments(tmp_path, threads, interval):
    rng = np.random.default_rng(int(interval > 0))
    result, reference = str(tmp_path / "result"), str(tmp_path / "reference")
    folder = str(tmp_path / "folder")
    # Long enough not to end meanwhile.
    params = {"max_epochs": 600, "pretrain_epochs": 100, "layerwise_epochs": 20}
    n_kills = 50
    moments = rng.uniform(0.01, 0.3, n_kills)
    attempts = [(folder, result, interval, "seconds", m, params) for m in moments]
    codes, errors = in_processes(attempts, threads=threads)
    assert codes == [-signal.SIGALRM] * n_kills, errors
    (path,) = Path(folder).glob("*.checkpoint")
    state = read(path)
    assert state["phase"][0] >= 1  # it came on meanwhile
    assert not state["finished"]
    last = [
        (folder, result, interval, "never", 0, params),
        (None, reference, interval, "never", 0, params),
    ]
    codes, errors = in_processes(last, threads=threads)
    assert codes == [0, 0], errors
    assert pickle.loads(Path(result).read_bytes()) == pickle.loads(Path(reference).read_bytes())
