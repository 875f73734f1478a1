"""Several processes fit what one process fits at the same batch size, and end with one model."""

import math
import multiprocessing
import os
import socket
import time
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from estimators import blobs, every_estimator, images, quick, unconverged
from numpy.testing import assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from turns import together

from skdeepcluster import data_parallel
from skdeepcluster._training import Preprocessor, TensorSource
from skdeepcluster._training._group import Group, current_group, shared_group
from skdeepcluster._training._shares import Share
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.networks import (
    CNNAutoencoder,
    MLPAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
)

Adam = torch.optim.Adam

pytestmark = unconverged


def numbers(model):
    """Rows of the history without what differs from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]


def assert_same_curve(one, other, rel=2e-4):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key, value in a.items():
            if isinstance(value, float):
                assert b[key] == pytest.approx(value, rel=rel, abs=1e-5), (key, a["epoch"])
            elif key not in ("cluster_sizes", "target_sizes"):
                assert b[key] == value, key


# ------------------------------------------------------------------ shares of a batch


def shares(n, size):
    return [Share(Group(rank, size, torch.device("cpu")), n) for rank in range(size)]


def draw_dropout(x):
    return F.dropout(torch.ones_like(x), 0.4)


def draw_alpha(x):
    return nn.AlphaDropout(0.3).train()(torch.ones_like(x))


DRAWS = [
    torch.randn_like,
    torch.rand_like,
    draw_dropout,
    draw_alpha,
    lambda x: torch.rand(len(x), 1),
    lambda x: torch.randn(len(x), 3, 2, dtype=torch.float64),
    lambda x: torch.randint(10, (len(x),)),
    lambda x: torch.randint(2, 10, (len(x), 2)),
    lambda x: torch.empty(len(x), 2).normal_(1, 2),
    lambda x: torch.empty(len(x)).uniform_(1, 2),
    lambda x: torch.empty(len(x)).exponential_(),
    lambda x: F.gumbel_softmax(x),
    lambda x: nn.Dropout2d().train()(torch.ones(len(x), 3, 4, 4)),
    lambda x: torch.rand(()) + torch.zeros(len(x)),
]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("n", "size"), [(10, 2), (11, 2), (11, 3), (4, 3)])
@pytest.mark.parametrize("versions", [1, 2])
def test_random_numbers_are_those_of_the_whole_batch(draw, n, size, versions):
    x = torch.zeros(versions * n, 5)
    torch.manual_seed(0)
    whole, state = draw(x), torch.get_rng_state()
    own = []
    for share in shares(n, size):
        torch.manual_seed(0)
        own.append(share.compute(draw, x))
        assert torch.equal(torch.get_rng_state(), state)
    own = [part.unflatten(0, (versions, -1)) for part in own]
    assert torch.equal(torch.cat(own, dim=1).flatten(0, 1), whole)


def test_draws_that_cannot_be_divided_are_refused():
    (share, _) = shares(8, 2)
    with pytest.raises(NotImplementedError, match="bernoulli draws random numbers in a way"):
        share.compute(torch.bernoulli, torch.full((8, 2), 0.5))


@pytest.mark.parametrize(
    "draw",
    [
        torch.randn_like,
        lambda x: torch.empty_like(x).normal_(),
        lambda x: F.dropout(x, 0.4),
    ],
)
def test_draws_for_what_is_not_of_rows_are_refused(draw):
    (share, _) = shares(8, 2)
    with pytest.raises(NotImplementedError, match=r"shape \(7, 2\), where this one has 4 rows"):
        share.compute(lambda x: draw(torch.cat([x, x[:3]])), torch.ones(8, 2))
    share.compute(lambda x: F.dropout(torch.cat([x, x[:3]]), 0.4, training=False), torch.ones(8, 2))


@pytest.mark.parametrize("n", [4, 9, 10])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("versions", [1, 2])
def test_rows_are_divided_and_put_together(n, size, versions, monkeypatch):
    x = torch.randn(versions * n, 3, dtype=torch.float64)

    def gathered(rank):
        share = Share(Group(rank, size, torch.device("cpu")), n)
        own = share.own(x)
        assert len(own) in (versions * (n // size), versions * math.ceil(n / size))
        torch.testing.assert_close(share.mean(own), x.mean(dim=0))
        flat = share.gather(own[:, 0])
        assert torch.equal(flat, x[:, 0])
        return share.gather(own)

    for whole in together(size, gathered, monkeypatch):
        assert torch.equal(whole, x)


class Coupled(nn.Module):
    """Rows that see each other by batch normalisation, of features and of maps."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh())
        self.maps = nn.Sequential(nn.BatchNorm2d(2, momentum=None), nn.Tanh(), nn.Flatten())
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.maps(self.first(x).reshape(-1, 2, 2, 2)))


@pytest.mark.parametrize(("n", "size"), [(10, 2), (11, 2), (7, 3)])
def test_gradients_and_statistics_are_those_of_the_whole_batch(n, size, monkeypatch):
    torch.manual_seed(0)
    whole = Coupled().double().train()
    x = 3 + torch.randn(n, 5, dtype=torch.float64)
    weights = torch.rand(n, 2, dtype=torch.float64)

    def objective(net):
        return lambda x, weights: {"loss": ((net(x) - 1) * weights).square().mean()}

    before = {name: value.clone() for name, value in whole.state_dict().items()}
    expected = objective(whole)(x, weights)["loss"]
    expected.backward()

    def step(rank):
        group = Group(rank, size, torch.device("cpu"))
        net = Coupled().double().train()
        net.load_state_dict(before)
        share = Share(group, n)
        loss = share.weighted(share.compute(objective(net), x, weights)["loss"])
        loss.backward()
        group.average_gradients(net.parameters())
        return net, group.average(loss)

    for net, loss in together(size, step, monkeypatch):
        # The statistics are computed in float32.
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-7)
        for mine, theirs in zip(net.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        for mine, theirs in zip(net.buffers(), whole.buffers(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


class Whole(nn.Module):
    """An autoencoder with statistics pooling, and whatever skips it has."""

    def __init__(self, network, shape):
        super().__init__()
        self.network = network(shape, n_clusters=3)
        nn.init.normal_(self.network.pooling.project.weight, std=0.1)

    def forward(self, x, q):
        if hasattr(self.network, "encoding"):
            encoding = self.network.encoding(x)
            if encoding.skips:
                return self.network.decode(encoding.code, q, encoding.skips)
            return self.network.decode(encoding.code, q)
        return self.network.decode(self.network.encode(x), q)


@pytest.mark.parametrize(
    "network", [MLPAutoencoder, VariationalAutoencoder, CNNAutoencoder, UNetAutoencoder]
)
def test_a_step_of_an_autoencoder_is_that_of_the_whole_batch(network, monkeypatch):
    n, size, shape = 13, 2, (1, 8, 8)
    torch.manual_seed(0)
    whole = Whole(network, shape).train()
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    x, q = torch.rand(n, *shape), torch.randn(n, 3).mul(2).softmax(dim=1)

    def objective(net):
        return lambda x, q: {"loss": (net(x, q) - x).square().mean()}

    torch.manual_seed(1)
    expected = objective(whole)(x, q)["loss"]
    expected.backward()

    def step(rank):
        group = Group(rank, size, torch.device("cpu"))
        net = Whole(network, shape).train()
        net.load_state_dict(before)
        share = Share(group, n)
        torch.manual_seed(1)
        loss = share.weighted(share.compute(objective(net), x, q)["loss"])
        loss.backward()
        group.average_gradients(net.parameters())
        return net, group.average(loss)

    for net, loss in together(size, step, monkeypatch):
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)
        for mine, theirs in zip(net.parameters(), whole.parameters(), strict=True):
            assert (mine.grad is None) == (theirs.grad is None)
            if theirs.grad is not None:
                scale = theirs.grad.abs().max().item()
                torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-3 * scale + 1e-7)
        for mine, theirs in zip(net.buffers(), whole.buffers(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n", "size"), [(10, 2), (11, 3), (3, 3)])
def test_statistics_are_of_all_rows_where_a_network_takes_some_of_them(n, size, monkeypatch):
    torch.manual_seed(0)
    x = 3 + torch.randn(n, 2, 3, dtype=torch.float64)
    kept = torch.rand(n, 4) < 0.5
    kept[:, 0] = True  # each row is there, some of them several times

    def objective(net):
        def compute(x, kept):
            rows = kept.nonzero(as_tuple=True)[0]
            y = net(x[rows]).square().flatten(1).sum(dim=1)
            return x.new_zeros(len(x)).index_add(0, rows, y).mean()

        return compute

    def norm():
        return nn.BatchNorm1d(2).double()

    whole = norm()
    expected = objective(whole)(x, kept)
    expected.backward()

    def step(rank):
        group, net = Group(rank, size, torch.device("cpu")), norm()
        share = Share(group, n)
        loss = share.weighted(share.compute(objective(net), x, kept))
        loss.backward()
        group.average_gradients(net.parameters())
        return net, group.average(loss)

    for net, loss in together(size, step, monkeypatch):
        # The statistics are computed in float32.
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-7)
        for mine, theirs in zip(net.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net.running_mean, whole.running_mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(net.running_var, whole.running_var, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ whole fits

BRIEF = {"layerwise_epochs": 0, "pretrain_epochs": 2, "max_epochs": 2}
CASES = {
    "StatDEC": ["StatDEC", lambda: blobs(91), {"pretrain_epochs": 2, "max_epochs": 2}],
    # The game of encoder and critic makes of a difference of 1e-7 in X one of 1e-3 in the second
    # epoch, in one process as in several: the first epoch, of 40 steps, is what can be compared.
    "DCCS": ["DCCS", lambda: blobs(91), {"max_epochs": 1}],
    "MMDC": ["MMDC", lambda: blobs(91), {"max_epochs": 5}],
    "VariationalGMMClustering": [
        "VariationalGMMClustering",
        lambda: blobs(91),
        {"max_epochs": 3},
    ],
    # Several batches of inference, which are shared out, too.
    "StatDEC, many rows": ["StatDEC", lambda: blobs(2500), {**BRIEF, "pretrain_epochs": 1}],
    "StatDEC, vae": ["StatDEC", lambda: blobs(91), {"network": "vae", **BRIEF}],
    "VariationalGMMClustering, starts": [
        "VariationalGMMClustering",
        lambda: blobs(91),
        {"n_init": 2, "init_epochs": 1, "max_epochs": 2},
    ],
    "DCCS, decoder": ["DCCS", lambda: blobs(91), {"information": "decoder", "max_epochs": 1}],
}
#: Of convolutions on small batches, whose epochs make 1e-3 of a difference of 1e-7 in X, too, the
#: first one; the step itself is compared above.
ONE_EPOCH = {"layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 0}
LONG = {
    "StatDEC, cnn": ["StatDEC", lambda: images(61, 8, 8, 3), {"network": "cnn", **ONE_EPOCH}, 5e-3],
    "StatDEC, unet": ["StatDEC", lambda: images(61, 8, 8), {"network": "unet", **ONE_EPOCH}, 5e-3],
    "StatDEC, affine": ["StatDEC", lambda: images(61, 8, 8), {"augmentation": "affine"}],
    "StatDEC, paper": ["StatDEC", lambda: blobs(91), {"pretraining": "paper"}],
    "VariationalGMMClustering, strokes": ["VariationalGMMClustering", lambda: images(61, 8, 8), {}],
    # Three epochs: what is but within 1e-7 of the mass is kept in one process and not in another,
    # which changes the fifth epoch's entropy by 3e-4, as a difference of 1e-7 in X does.
    "VariationalGMMClustering, mass": [
        "VariationalGMMClustering",
        lambda: blobs(91),
        {"posterior_mass": 0.9, "max_epochs": 3},
    ],
    "VariationalGMMClustering, exact": [
        "VariationalGMMClustering",
        lambda: blobs(91),
        {"posterior_mass": 1.0, "max_epochs": 3},
    ],
    "DCCS, conv": ["DCCS", lambda: images(61, 8, 8, 3), {"max_epochs": 1}, 5e-3],
    "MMDC, rotation": [
        "MMDC",
        lambda: images(61, 8, 8, 3),
        {"network": "vgg", "auxiliary": "rotation", "max_epochs": 2},
    ],
    "MMDC, uniform": ["MMDC", lambda: blobs(91), {"targets": "uniform"}],
}


def calm(name):
    """Return an Adam that does not make much of gradients that are but rounding.

    Those of the critic's biases cancel, and those that a batch normalisation takes away do; Adam
    divides by their size: one rounding more or less is a step there, whatever the number of
    processes.
    """
    return partial(Adam, eps=1e-3) if name in ("DCCS", "VariationalGMMClustering") else Adam


def check(case, size, monkeypatch):
    name, data, params, *rel = case
    X = data()
    monkeypatch.setattr(torch.optim, "Adam", calm(name))

    def fit(rank=0):
        return quick(name, n_clusters=3, random_state=0, **params).fit(X)

    one = fit()
    before = torch.get_rng_state()
    many = together(size, fit, monkeypatch)
    assert torch.equal(torch.get_rng_state(), before)
    for model in many:
        assert_same_curve(numbers(one), numbers(model), *rel)
        assert numbers(model) == numbers(many[0])
        assert_array_equal(model.labels_, many[0].labels_)
        assert_array_equal(model.predict(X), model.labels_)
    assert (many[0].labels_ == one.labels_).mean() > 0.95


@pytest.mark.parametrize("case", sorted(CASES))
def test_two_fit_what_one_fits(case, monkeypatch):
    check(CASES[case], 2, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(CASES | LONG))
@pytest.mark.parametrize("size", [2, 3])
def test_several_fit_what_one_fits(case, size, monkeypatch):
    check((CASES | LONG)[case], size, monkeypatch)


@pytest.mark.parametrize(
    ("name", "params"), [("StatDEC", BRIEF), ("VariationalGMMClustering", {"max_epochs": 2})]
)
def test_batches_of_fewer_rows_than_processes(name, params, monkeypatch):
    check([name, lambda: blobs(9), params], 3, monkeypatch)


def test_processes_may_have_other_numbers_of_threads(monkeypatch):
    X = blobs(2500)

    def fit(rank):
        params = BRIEF | {"pretrain_epochs": 1}
        return quick("StatDEC", n_clusters=3, random_state=0, **params).fit(X)

    alike = together(2, fit, monkeypatch)[0]
    # Batches of inference would have 960 and 1008 rows.
    threads = {0: 8, 1: 6}
    monkeypatch.setattr(
        torch, "get_num_threads", lambda: threads[group.rank] if (group := current_group()) else 1
    )
    for model in together(2, fit, monkeypatch):
        assert_same_curve(numbers(alike), numbers(model))
        assert_array_equal(model.labels_, model.predict(X))


@pytest.mark.parametrize(("room", "place"), [((True, False), "cpu"), ((True, True), "meta")])
def test_rows_live_on_the_device_everywhere_or_nowhere(room, place, monkeypatch):
    # Where they live, numbers of rows are drawn: by generators that differ among devices.
    X = blobs()
    monkeypatch.setattr(TensorSource, "_fits", lambda self, tensor: room[shared_group().rank])

    def index_device(rank):
        source = TensorSource(X, Preprocessor.identity(4), "meta", shared_group())
        return source.index_device.type

    assert together(2, index_device, monkeypatch) == [place, place]


def test_a_seed_is_agreed_on(monkeypatch):
    X = blobs()
    many = together(2, lambda rank: quick("StatDEC", n_clusters=3, **BRIEF).fit(X), monkeypatch)
    assert numbers(many[0]) == numbers(many[1])


class Stacked(Dataset):
    """Rows that are read several at a time, and never none."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i]

    def __getitems__(self, numbers):
        return list(np.stack([self.X[i] for i in numbers]))


def test_a_dataset_is_shared_as_its_rows_are(monkeypatch):
    X = blobs()

    def fit(rank, rows):
        return quick("StatDEC", n_clusters=3, random_state=0, **BRIEF).fit(rows)

    arrays = together(2, partial(fit, rows=X), monkeypatch)
    for model in together(2, partial(fit, rows=Stacked(X)), monkeypatch):
        assert numbers(model) == numbers(arrays[0])
        assert_array_equal(model.labels_, arrays[0].labels_)


def test_one_checkpoint_serves_any_number_of_processes(tmp_path, monkeypatch):
    X = blobs()
    params = {"n_clusters": 3, "random_state": 0, "checkpoint": tmp_path}

    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 4:
                raise RuntimeError("a process is lost")

    one = quick("StatDEC", **params | {"checkpoint": None}).fit(X)
    with pytest.raises(RuntimeError, match="a process is lost"):
        together(2, lambda rank: quick("StatDEC", **params, callbacks=[Stop()]).fit(X), monkeypatch)
    assert len(list(tmp_path.iterdir())) == 1
    three = together(3, lambda rank: quick("StatDEC", **params).fit(X), monkeypatch)
    assert_same_curve(numbers(one), numbers(three[2]))
    finished = quick("StatDEC", **params).fit(X)
    assert_array_equal(finished.labels_, three[0].labels_)


def test_the_main_clock_ends_all(monkeypatch):
    X = blobs()

    def fit(rank):
        # The other would never end.
        model = quick("MMDC", n_clusters=3, random_state=0, max_time=0.2 if rank == 0 else None)
        return model.set_params(max_epochs=100_000).fit(X)

    started = time.monotonic()
    many = together(2, fit, monkeypatch)
    assert time.monotonic() - started < 60
    assert many[0].n_iter_ == many[1].n_iter_ < 100_000
    assert_array_equal(many[0].labels_, many[1].labels_)


def test_progress_is_shown_once(monkeypatch, capsys):
    X = blobs()
    together(
        2,
        lambda rank: quick("StatDEC", n_clusters=3, random_state=0, verbose=2, **BRIEF).fit(X),
        monkeypatch,
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "clustering epoch" in line]
    assert len(lines) == BRIEF["max_epochs"]


@pytest.mark.parametrize(
    ("differs", "message"),
    [
        (
            lambda rank: ({}, blobs(90 + rank)),
            r"the same shape of X, but they have \(90, 4\), \(91",
        ),
        (lambda rank: ({}, blobs() + rank * 1e-3), "the same rows of X"),
        (lambda rank: ({"lam": 0.1 * (rank + 1)}, blobs()), "the same parameters"),
        (
            lambda rank: ({"compile": rank == 0}, blobs()),
            "the same compile, but they have True, False",
        ),
        (
            lambda rank: ({"callbacks": [ScoreCurve(np.zeros(90))][rank:]}, blobs()),
            r"the same callbacks, but they have \['ScoreCurve'\], \[\]",
        ),
        (
            lambda rank: ({"checkpoint": "a folder" if rank else None}, blobs()),
            "the same use of a checkpoint, but they have none, a folder",
        ),
        (
            lambda rank: ({}, blobs() if rank else Stacked(blobs())),
            "the same kind of X, but they have a dataset, an array",
        ),
        (lambda rank: ({"compile": True}, blobs()), "compile=True is not possible in data_para"),
        (lambda rank: ({"device": "cuda"}, blobs()), "this process's device is 'cpu', got devi"),
    ],
)
def test_what_cannot_be_shared_is_refused_everywhere(differs, message, monkeypatch):
    refused = []

    def fit(rank):
        params, X = differs(rank)
        with pytest.raises(ValueError, match=message):
            quick("StatDEC", n_clusters=3, random_state=0, **params).fit(X)
        refused.append(rank)

    together(2, fit, monkeypatch)
    assert sorted(refused) == [0, 1]


def test_all_go_on_from_a_fit_or_none_does(monkeypatch):
    X = blobs()
    fitted = quick("StatDEC", n_clusters=3, random_state=0, warm_start=True, **BRIEF).fit(X)
    refused = []

    def fit(rank):
        model = fitted if rank else clone(fitted)
        with pytest.raises(ValueError, match="same start, but they have a new one, a fit of 2 ep"):
            model.fit(X)
        refused.append(rank)

    together(2, fit, monkeypatch)
    assert sorted(refused) == [0, 1]


def test_other_random_numbers_in_one_process_are_noticed(monkeypatch):
    X, refused = blobs(), []

    class Draw(Callback):
        def on_epoch_end(self, net, **kwargs):
            if shared_group().rank == 1:
                torch.rand(1)

    def fit(rank):
        model = quick("StatDEC", n_clusters=3, random_state=0, callbacks=[Draw()], **BRIEF)
        with pytest.raises(NotImplementedError, match="have drawn different random numbers"):
            model.fit(X)
        refused.append(rank)

    together(2, fit, monkeypatch)
    assert sorted(refused) == [0, 1]


@every_estimator
def test_outside_of_it_nothing_is_shared(name, monkeypatch):
    X = blobs(40)
    (model, _) = together(
        2, lambda rank: quick(name, n_clusters=3, random_state=0, max_epochs=1).fit(X), monkeypatch
    )
    assert model.net_.group_ is None
    model.fit(X)  # would wait for the others


# ------------------------------------------------------------------ real processes


def test_processes_wait_longer_than_nccl_does_unasked(monkeypatch):
    accelerate = pytest.importorskip("accelerate")

    def accelerator(kwargs_handlers):
        (handler,) = kwargs_handlers
        assert handler.to_kwargs()["timeout"].total_seconds() >= 24 * 3600
        return SimpleNamespace(process_index=0, num_processes=1, device=torch.device("cpu"))

    monkeypatch.setattr(accelerate, "Accelerator", accelerator)
    with data_parallel():
        assert shared_group() is None


def _process(rank, size, port, name, directory):
    os.environ |= {
        "ACCELERATE_USE_CPU": "true",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.optim.Adam = calm(name)
    from skdeepcluster import data_parallel

    with data_parallel():
        model = quick(name, n_clusters=3, random_state=0, **SMALL_RUN).fit(blobs(91))
    np.savez(
        f"{directory}/{rank}.npz",
        labels=model.labels_,
        loss=[row["reconstruction" if name == "StatDEC" else "loss"] for row in model.history_],
    )
    torch.distributed.destroy_process_group()
    # A thread of it that is left may abort the process while Python shuts down.
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").glob("*")]
    left = [name for name in names if "gloo" in name]
    assert not left, f"threads of the group are left: {left}"


SMALL_RUN = {"max_epochs": 1}


def check_processes(name, size, directory, monkeypatch):
    pytest.importorskip("accelerate")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=_process, args=(rank, size, port, name, str(directory)))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * size
    monkeypatch.setattr(torch.optim, "Adam", calm(name))
    one = quick(name, n_clusters=3, random_state=0, **SMALL_RUN).fit(blobs(91))
    term = "reconstruction" if name == "StatDEC" else "loss"
    for rank in range(size):
        with np.load(f"{directory}/{rank}.npz") as found:
            assert_array_equal(found["labels"], one.labels_)
            np.testing.assert_allclose(
                found["loss"], [row[term] for row in one.history_], rtol=2e-4
            )


def test_two_processes_by_gloo(tmp_path, monkeypatch):
    check_processes("StatDEC", 2, tmp_path, monkeypatch)


@pytest.mark.slow
@every_estimator
@pytest.mark.parametrize("size", [2, 3])
def test_processes_by_gloo(name, size, tmp_path, monkeypatch):
    check_processes(name, size, tmp_path, monkeypatch)
