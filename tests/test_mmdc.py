"""MMDC: targets, the two tasks, refinement, what its networks see, and that it clusters."""

import colorsys
import copy
import warnings
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from skorch.callbacks import Callback

from skdeepcluster import MMDC, _mmdc
from skdeepcluster._training import Preprocessor, TensorSource, _net
from skdeepcluster._training._sampling import column_moments
from skdeepcluster._views import make_views
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import RotationTask

SMALL = {
    "hidden_sizes": (32, 32),
    "max_epochs": 10,
    "batch_size": 32,
    "random_state": 0,
    "precision": "float32",
}

#: Runs of a few epochs may leave clusters empty, or of sizes that were not meant, where that is not
#: what is tested.
short = pytest.mark.filterwarnings("ignore:MMDC (was to find|has collapsed|had targets for)")


class Tiny(torch.nn.Module):
    """A trunk for images of any size."""

    def __init__(self, shape):
        super().__init__()
        self.convolution = torch.nn.Conv2d(shape[0], 6, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(6)

    def forward(self, x):
        return self.norm(self.convolution(x)).relu().mean(dim=(2, 3))


class Watch(Callback):
    """Call a function with the net when an epoch ends."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        self.function(net)


class StepWatch(Callback):
    """Call a function with the net and the batch before and after each step."""

    def __init__(self, begin, end):
        self.begin = begin
        self.end = end

    def on_batch_begin(self, net, batch, **kwargs):
        self.begin(net, batch)

    def on_batch_end(self, net, batch, **kwargs):
        self.end(net, batch, **kwargs)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(240, n_features=6, centers=4, cluster_std=1.0, random_state=3)


@pytest.fixture(scope="module")
def photographs():
    """Colour images of 32 pixels."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 60, (40, 32, 32, 3))
    X[::2, 8:16, :, 0] += 180
    X[1::2, 16:24, :, 2] += 180
    return X.astype(np.uint8)


def phases(model):
    return [row["phase"] for row in model.history_]


def embedded(net, x):
    """Embeddings of what the trunk sees, in evaluation mode; the net stays as it is."""
    trunk, head = (copy.deepcopy(module).eval() for module in (net.module_, net.head_))
    with torch.no_grad():
        return head(trunk(x)).double().numpy()


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


# ------------------------------------------------------------------ clusters


@pytest.mark.parametrize("seed", range(3))
def test_default_finds_blobs_as_well_as_kmeans(seed):
    X, y = make_blobs(300, n_features=5, centers=4, cluster_std=1.0, random_state=seed)
    params = {"hidden_sizes": (64, 64), "precision": "float32", "random_state": seed}
    labels = MMDC(4, **params).fit_predict(X)
    kmeans = KMeans(4, n_init=10, random_state=0).fit_predict(standardised(X))
    assert clustering_accuracy(y, labels) >= clustering_accuracy(y, kmeans) - 0.02


def test_cluster_is_the_nearest_mean(blobs):
    model = MMDC(4, **SMALL | {"max_epochs": 1}).fit(blobs[0])
    z = model.transform(blobs[0]).astype(np.float64)
    np.testing.assert_allclose((z**2).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.cluster_centers_, np.eye(4))
    squared = ((z[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, squared.argmin(axis=1))
    variance = squared.min(axis=1).mean() / 4
    expected = softmax(-squared / (2 * variance), axis=1)
    np.testing.assert_allclose(model.predict_proba(blobs[0]), expected, atol=1e-4)
    assert model.score(blobs[0]) == pytest.approx(-squared.min(axis=1).mean(), rel=1e-5)


@short
def test_proportions_of_targets_leave_prediction_to_the_nearest_mean(blobs):
    X, _ = blobs
    params = SMALL | {"max_epochs": 1, "learning_rate": 0.001, "refine_after": None}
    model = MMDC(3, weights=(8, 1, 1), **params).fit(X)
    squared = cdist(model.transform(X), model.cluster_centers_) ** 2
    np.testing.assert_array_equal(model.predict(X), squared.argmin(axis=1))
    np.testing.assert_array_equal(model.labels_, squared.argmin(axis=1))
    p = model.predict_proba(X)
    assert ((p * (8, 1, 1)).argmax(axis=1) != p.argmax(axis=1)).any()  # what a prior would change


def test_what_is_certain_is_said_to_be(blobs):
    model = MMDC(4, **SMALL | {"max_epochs": 30}).fit(blobs[0])
    assert np.median(model.predict_proba(blobs[0]).max(axis=1)) > 0.99


# ------------------------------------------------------------------ targets


@short
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"weights": (5, 2, 2, 1)},
        {"targets": "random", "embedding_dim": 3},
        {"targets": "random", "embedding_dim": 9, "sigma": 0.05},
        {"sigma": 0.01},
        {"targets": "uniform"},
    ],
)
def test_no_target_is_lost_or_doubled(blobs, params, seed):
    counts = []

    def count(net):
        counts.append(torch.bincount(net.index_, minlength=len(net.points_)).tolist())

    given = SMALL | {"refine_after": None, "max_epochs": 4, "random_state": seed, "batch_size": 50}
    model = MMDC(4, **given, **params, callbacks=[Watch(count)]).fit(blobs[0])
    assert len(counts) == 4
    assert all(count == counts[0] for count in counts)
    assert sum(counts[0]) == 240
    if params.get("sigma") or ("targets" in params and params["targets"] == "uniform"):
        assert counts[0] == [1] * 240
    assert any(row["change"] > 0 for row in model.history_) or params.get("targets") == "uniform"


@short
@pytest.mark.parametrize("params", [{}, {"targets": "random", "sigma": 0.05}])
@pytest.mark.parametrize("seed", range(2))
def test_assignment_costs_least_and_never_more(blobs, monkeypatch, params, seed):
    costs, z = [], []
    begin, assign = _mmdc.MMDCNet._begin_distances, _mmdc.MMDCNet._assign_targets

    def watched_begin(net, x, points):
        net._set_training(False)
        with torch.no_grad():
            z[:] = [net.embed(x).double().numpy()]
        net._set_training(True)
        return begin(net, x, points)

    def watched(net, rows, index, distances):
        before = cdist(z[0], net.points_[net.index_[rows]].double())
        result = assign(net, rows, index, distances)
        after = cdist(z[0], net.points_[net.index_[rows]].double())
        least = before[linear_sum_assignment(before)].sum()
        costs.append((before.trace(), after.trace(), least))
        return result

    monkeypatch.setattr(_mmdc.MMDCNet, "_begin_distances", watched_begin)
    monkeypatch.setattr(_mmdc.MMDCNet, "_assign_targets", watched)
    given = SMALL | {"max_epochs": 3, "random_state": seed, "refine_after": None}
    MMDC(4, **given, **params).fit(blobs[0])
    before, after, least = np.array(costs).T
    assert len(costs) == 3 * 8
    np.testing.assert_allclose(after, least, rtol=1e-5)
    assert (before > after + 0.1).any()


def test_rows_get_the_targets_that_the_permutation_says():
    # Row 0 of the batch is nearest to the target of row 1, that to row 2's, and that to row 0's:
    # the permutation back is another one.
    cost = np.array([[2.0, 1.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    rows = torch.tensor([4, 0, 2])
    net = SimpleNamespace(
        index_=torch.tensor([11, 12, 13, 14, 10]),
        component_=torch.tensor([0] * 12 + [1] * 8),
        device=torch.device("cpu"),
    )
    new, change = _mmdc.MMDCNet._assign_targets(net, rows, net.index_[rows], lambda: cost)
    assert new.tolist() == [11, 13, 10]  # the batch had 10, 11, 13
    assert net.index_.tolist() == [13, 12, 10, 14, 11]
    assert change.item() == pytest.approx(2 / 3)


@short
def test_targets_are_exchanged_by_the_centre_crops(photographs, monkeypatch):
    begin, calls = _mmdc.MMDCNet._begin_distances, []

    def watched(net, x, points):
        middle, corner = (cdist(embedded(net, x[..., s, s]), points) for s in crops)
        found = begin(net, x, points)()
        np.testing.assert_allclose(found, middle, atol=1e-5)
        assert not np.allclose(found, corner, atol=1e-3)
        calls.append(len(x))
        return lambda: found

    crops = (slice(6, 26), slice(0, 20))
    monkeypatch.setattr(_mmdc.MMDCNet, "_begin_distances", watched)
    params = SMALL | {"network": Tiny, "auxiliary": None, "max_epochs": 2, "refine_after": None}
    MMDC(2, crop_size=20, input_size=20, **params).fit(photographs)
    assert calls == [5] * 16


@pytest.mark.parametrize("seed", range(3))
def test_proportions_decide_where_nothing_else_does(seed):
    X = np.random.default_rng(seed).normal(size=(400, 2))
    params = SMALL | {"refine_after": None, "max_epochs": 40, "random_state": seed}
    model = MMDC(3, weights=[6, 3, 1], augmentation=None, **params).fit(X)
    drawn = np.array(model.history_[0]["target_sizes"])
    np.testing.assert_allclose(drawn, [240, 120, 40], atol=30)
    np.testing.assert_allclose(np.bincount(model.labels_), drawn, atol=40)


def test_uniform_targets_have_no_proportions(blobs):
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match=r"leave weights as None, got array\(\[1., 2., 3., 4.\]\)"):
        MMDC(4, targets="uniform", weights=weights, **SMALL).fit(blobs[0])


def test_uniform_targets_are_clustered_by_kmeans(blobs):
    X, _ = blobs
    model = MMDC(4, targets="uniform", **SMALL).fit(X)
    z = model.transform(X)
    for k in range(4):
        members = z[model.labels_ == k]
        np.testing.assert_allclose(model.cluster_centers_[k], members.mean(axis=0), atol=1e-3)
    squared = ((z[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.predict(X), squared.argmin(axis=1))
    assert "target_sizes" not in model.history_[-1]
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


# ------------------------------------------------------------------ the step


class Narrow(torch.nn.Module):
    """A trunk for features, which batch normalisation makes depend on the mode."""

    def __init__(self, shape):
        super().__init__()
        self.linear = torch.nn.Linear(shape[0], 7, bias=False)
        self.norm = torch.nn.BatchNorm1d(7)

    def forward(self, x):
        return self.norm(self.linear(x)).tanh()


def narrow_output(x, linear, gamma, beta, weight, bias):
    """What `Narrow` and the head make of a batch in training mode."""
    h = x @ linear.T
    h = (h - h.mean(dim=0)) / (h.var(dim=0, correction=0) + 1e-5).sqrt()
    z = (gamma * h + beta).tanh() @ weight.T + bias
    return z / z.norm(dim=1, keepdim=True)


@short
def test_a_step_descends_the_mean_squared_error_to_the_new_targets():
    X = np.random.default_rng(0).normal(size=(48, 5)).astype(np.float32)
    start, moved = [], []

    def state(net):
        parameters = [*net.module_.parameters(), *net.head_.parameters()]
        buffers = [net.optimizer_.state[p]["momentum_buffer"] for p in parameters]
        return [[t.detach().double().clone() for t in ts] for ts in (parameters, buffers)]

    def begin(net, batch):
        start[:] = *state(net), net.index_[batch.index].clone()

    def end(net, batch, loss, **kwargs):
        p, v, old = start
        new = net.index_[batch.index]
        moved.append(not torch.equal(old, new))
        p = [each.requires_grad_() for each in p]
        z = narrow_output(torch.from_numpy(X[batch.index]).double(), *p)
        errors = z - net.points_[new].double()
        assert loss.item() == pytest.approx((errors.detach().numpy() ** 2).mean(), rel=1e-5)
        gradients = torch.autograd.grad(errors.square().mean(), p)
        for before, momentum, gradient, *after in zip(p, v, gradients, *state(net), strict=True):
            decay = 0.3 * before.detach() if before.ndim > 1 else 0
            momentum = 0.8 * momentum + gradient + decay
            expected = before.detach() - 0.1 * momentum
            # Sums of about a hundred terms below one, in float32.
            np.testing.assert_allclose(after[1], momentum, atol=1e-5)
            np.testing.assert_allclose(after[0], expected, atol=1e-6)

    params = SMALL | {"max_epochs": 3, "refine_after": None, "scaling": None, "decay_after": 9}
    params |= {"learning_rate": 0.1, "momentum": 0.8, "weight_decay": 0.3, "augmentation": None}
    model = MMDC(3, network=Narrow, sigma=0.05, callbacks=[StepWatch(begin, end)], **params)
    model.fit(X)
    assert len(moved) == 24
    assert any(moved)


# ------------------------------------------------------------------ refinement


@short
def test_after_the_refinement_targets_are_not_exchanged():
    X = np.random.default_rng(0).normal(size=(120, 3))
    before, moved = [], []

    def begin(net, batch):
        before[:] = [net.index_.clone()]

    def end(net, batch, **kwargs):
        moved.append((net.task_epoch_ >= 2, not torch.equal(net.index_, before[0])))

    params = SMALL | {"max_epochs": 5, "callbacks": [StepWatch(begin, end)]}
    MMDC(3, refine_after=2, **params).fit(X)
    assert moved.count((True, False)) == 3 * 8
    assert (False, True) in moved


@short
def test_refinement_names_clusters_of_all_rows_after_their_targets(photographs, monkeypatch):
    refine, kmeans = _mmdc.MMDCNet.refine, _mmdc.kmeans
    clusters, n_points = [], []

    def watched_kmeans(z, *args):
        clusters[:] = z, kmeans(z, *args).labels_
        return SimpleNamespace(labels_=clusters[1])

    def watched(net):
        x = torch.from_numpy(photographs[:, 6:26, 6:26]).permute(0, 3, 1, 2) / 255
        expected = embedded(net, x)
        before = net.component_[net.index_].numpy()
        n_points.append(len(net.points_))
        refine(net)
        z, labels = clusters
        np.testing.assert_allclose(z, expected, atol=1e-5)
        index = net.index_.numpy()
        np.testing.assert_array_equal(index[:, None] == index, labels[:, None] == labels)
        kept = [(np.array(p)[labels] == before).sum() for p in permutations(range(3))]
        assert (index == before).sum() == max(kept)
        assert net.change_ == pytest.approx(1 - max(kept) / 40)
        assert torch.equal(net.points_, net.assignment_.means)
        assert net.component_.tolist() == [0, 1, 2]

    monkeypatch.setattr(_mmdc.MMDCNet, "refine", watched)
    monkeypatch.setattr(_mmdc, "kmeans", watched_kmeans)
    params = SMALL | {"network": Tiny, "auxiliary": None, "max_epochs": 4, "refine_after": 1}
    params |= {"targets": "random", "sigma": 0.05, "crop_size": 20, "input_size": 20}
    MMDC(3, **params).fit(photographs)
    assert n_points == [40, 3, 3]


def test_refinement_finds_clusters_of_other_sizes():
    X, y = make_blobs([300, 60, 40], n_features=5, cluster_std=0.4, random_state=1)
    params = SMALL | {"max_epochs": 30}
    refined = MMDC(3, **params).fit(X)
    assert clustering_accuracy(y, refined.labels_) > 0.98
    assert sorted(refined.history_[-1]["target_sizes"]) == pytest.approx([40, 60, 300], abs=4)
    with pytest.warns(UserWarning, match="had targets for clusters of .* Pass refine_after='auto'"):
        MMDC(3, refine_after=None, **params).fit(X)


def test_refinement_starts_when_it_is_told_to(blobs):
    model = MMDC(4, refine_after=6, **SMALL).fit(blobs[0])
    sizes = [row["target_sizes"] for row in model.history_]
    assert all(size == sizes[0] for size in sizes[:6])
    assert sizes[6] != sizes[0]
    assert all("change" in row for row in model.history_)


@short
@pytest.mark.parametrize("max_epochs, refined", [(1, []), (2, [1]), (3, [1, 2]), (5, [2, 3, 4])])
def test_refinement_waits_for_the_end_of_an_epoch(blobs, monkeypatch, max_epochs, refined):
    seen = []
    refine = _mmdc.MMDCNet.refine

    def watched(net):
        seen.append(net.task_epoch_)
        refine(net)

    monkeypatch.setattr(_mmdc.MMDCNet, "refine", watched)
    MMDC(4, **SMALL | {"max_epochs": max_epochs}).fit(blobs[0])
    assert seen == refined


@pytest.mark.parametrize(
    "given, epochs",
    [({"refine_after": 30}, 30), ({"refine_after": 20}, 10)],
)
def test_sizes_are_judged_where_the_refinement_did_not_take_place(given, epochs, tmp_path):
    def stop(net):
        if net.phase_epoch_ == 9 and epochs == 10:
            raise KeyboardInterrupt  # how callbacks of skorch end a run

    X, _ = make_blobs([300, 60, 40], n_features=5, cluster_std=0.4, random_state=1)
    params = SMALL | {"max_epochs": 30, "callbacks": [Watch(stop)], "checkpoint": tmp_path}
    model = MMDC(3, **params, **given)
    for _ in range(2):  # the second time from what was saved
        message = f"No refinement took place: it begins after .* epochs, and there were {epochs}. "
        with pytest.warns(UserWarning, match=message):
            model.fit(X)


def test_sizes_are_not_judged_after_a_refinement(tmp_path):
    X, _ = make_blobs([300, 60, 40], n_features=5, cluster_std=0.4, random_state=1)
    params = SMALL | {"max_epochs": 30, "checkpoint": tmp_path}
    first = MMDC(3, **params).fit(X)
    again = MMDC(3, **params).fit(X)  # finished: it returns what was saved
    np.testing.assert_array_equal(first.labels_, again.labels_)


# ------------------------------------------------------------------ tasks and schedules


@short
def test_tasks_take_turns(photographs):
    model = MMDC(2, network=Tiny, **SMALL | {"max_epochs": 8}).fit(photographs)
    assert phases(model) == ["rotation", "clustering"] * 8
    assert model.n_iter_ == 8
    for row in model.history_:
        assert ("accuracy" in row) == (row["phase"] == "rotation")
        assert ("target_sizes" in row) == (row["phase"] == "clustering")
        assert row["loss"] > 0
    rates = [row["learning_rate"] for row in model.history_ if row["phase"] == "clustering"]
    assert rates == pytest.approx([0.05] * 7 + [0.01])
    assert model.net_.auxiliary_.linear.out_features == 4


@short
def test_a_line_an_epoch_counts_each_task_by_itself(photographs, capsys):
    MMDC(2, network=Tiny, verbose=2, **SMALL | {"max_epochs": 2}).fit(photographs)
    lines = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "rotation epoch 1/2",
        "clustering epoch 1/2",
        "rotation epoch 2/2",
        "clustering epoch 2/2",
    ]


@short
def test_automatic_choices(photographs):
    grey = photographs.mean(axis=3)
    small = photographs[:, :16, :16]
    params = SMALL | {"network": Tiny, "max_epochs": 5}
    cases = [
        (photographs, {}, ["rotation", "clustering"], 0.05, 0.01),
        (photographs, {"auxiliary": None}, ["clustering"], 0.01, 0.002),
        (grey, {}, ["clustering"], 0.05, 0.005),
        (grey, {"auxiliary": "rotation"}, ["rotation", "clustering"], 0.05, 0.005),
        (small, {}, ["clustering"], 0.05, 0.005),
        (photographs, {"learning_rate": 0.02, "decay_after": 1}, [], 0.02, 0.004),
    ]
    for X, given, names, first, last in cases:
        model = MMDC(2, **params | given).fit(X)
        assert names in ([], phases(model)[: len(names)])
        rates = [row["learning_rate"] for row in model.history_ if "learning_rate" in row]
        assert (rates[0], rates[-1]) == pytest.approx((first, last))


@short
def test_schedules_of_the_paper(photographs):
    ends = {}

    def stop(net):
        ends[net.input_shape] = (net.max_epochs, net.decay_after, net.refine_after)
        raise KeyboardInterrupt  # how callbacks of skorch end a run

    mnist = np.random.default_rng(0).integers(0, 256, (2000, 28, 28)).astype(np.uint8)
    params = {"network": Tiny, "callbacks": [Watch(stop)], "random_state": 0}
    for X in (photographs, mnist):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an end in the first epoch
            MMDC(2, batch_size=32, **params).fit(X)
    assert ends == {(3, 32, 32): (400, 350, 350), (1, 28, 28): (50, 40, 20)}


def test_few_images_make_more_and_smaller_steps():
    seen = []

    def stop(net):
        seen.append((net.batch_size, net.max_epochs, net.decay_after, net.refine_after))
        raise KeyboardInterrupt

    for n in (40, 600, 5000):
        X = np.random.default_rng(0).random((n, 8, 8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MMDC(2, network=Tiny, callbacks=[Watch(stop)], random_state=0).fit(X)
    # Eight steps an epoch at least; then nineteen; then 53 of 96 images.
    assert seen == [(32, 188, 150, 150), (32, 79, 63, 63), (96, 50, 40, 40)]


@short
def test_matrices_decay_and_vectors_do_not(photographs):
    groups = []

    def note(net):
        groups[:] = [
            (group["weight_decay"], {p.ndim for p in group["params"]}, len(group["params"]))
            for group in net.optimizer_.param_groups
        ]

    params = SMALL | {"max_epochs": 1, "weight_decay": 0.3}
    MMDC(2, network=Tiny, callbacks=[Watch(note)], **params).fit(photographs)
    # Convolution, head, rotation head; their biases, and both of batch normalisation.
    assert groups == [(0.3, {2, 4}, 3), (0.0, {1}, 5)]


@short
def test_an_auxiliary_task_of_ones_own(photographs):
    class Brightness(torch.nn.Module):
        name = "brightness"

        def __init__(self, n_features):
            super().__init__()
            self.linear = torch.nn.Linear(n_features, 1)

        def forward(self, trunk, x, crop):
            assert x.shape[1:] == (3, 32, 32)
            x = crop(x)
            assert x.shape[1:] == (3, 48, 48)
            error = self.linear(trunk(x)).float()[:, 0] - x.mean(dim=(1, 2, 3))
            return {"loss": error.square().mean()}

    params = SMALL | {"network": Tiny, "auxiliary": Brightness, "input_size": 48}
    model = MMDC(2, **params).fit(photographs)
    assert phases(model)[:2] == ["brightness", "clustering"]
    losses = [row["loss"] for row in model.history_ if row["phase"] == "brightness"]
    assert losses[-1] < losses[0]


def test_an_auxiliary_task_must_have_a_name_of_its_own(photographs):
    class Namesake(RotationTask):
        name = "clustering"

    with pytest.raises(ValueError, match=r"auxiliary must .* another name, got 'clustering'"):
        MMDC(2, network=Tiny, auxiliary=Namesake, **SMALL).fit(photographs)


class HeadWatch(Callback):
    """Weights and momentum of both heads, at the ends of each epoch."""

    def __init__(self):
        self.epochs_ = []

    def on_epoch_begin(self, net, **kwargs):
        self.epochs_.append([net.task_, self.state(net)])

    def on_epoch_end(self, net, **kwargs):
        self.epochs_[-1].append(self.state(net))

    def state(self, net):
        return {
            (task, name): [
                tensor.detach().double().clone()
                for tensor in (p, net.optimizer_.state[p]["momentum_buffer"])
            ]
            for task, module in (("clustering", net.head_), ("rotation", net.auxiliary_))
            for name, p in module.linear.named_parameters()
        }


@short
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_idle_head_moves_by_decay_and_momentum_alone(photographs, weight_decay):
    watch = HeadWatch()
    params = SMALL | {"max_epochs": 3, "network": Tiny, "weight_decay": weight_decay}
    MMDC(2, decay_after=3, learning_rate=0.05, callbacks=[watch], **params).fit(photographs)
    assert [task for task, *_ in watch.epochs_] == ["rotation", "clustering"] * 3
    for i, (task, begin, end) in enumerate(watch.epochs_):
        for (owner, name), (p, v) in begin.items():
            if owner == task:
                assert not torch.equal(end[owner, name][0], p)
                continue
            if i > 0:  # before its first turn, the head stays as it was drawn
                for _ in range(8):
                    v = 0.9 * v + (weight_decay if name == "weight" else 0) * p
                    p = p - 0.05 * v
            np.testing.assert_allclose(end[owner, name][0], p, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(end[owner, name][1], v, rtol=1e-5, atol=1e-7)
    last = watch.epochs_[-2]
    moved = last[1]["clustering", "weight"][0] - last[2]["clustering", "weight"][0]
    assert moved.abs().max() > 1e-3  # by its momentum
    assert RotationTask.name == "rotation"


@short
def test_rotation_task_trains_the_trunk(photographs):
    weights = []

    def note(net):
        weights.append(net.module_.convolution.weight.clone())

    params = SMALL | {"max_epochs": 2, "network": Tiny, "callbacks": [Watch(note)]}
    MMDC(2, **params).fit(photographs)
    assert not torch.equal(weights[1], weights[2])  # before and after rotation


@short
@pytest.mark.parametrize("auxiliary", [None, "rotation"])
def test_what_is_frozen_stays(photographs, auxiliary):
    class Frozen(Tiny):
        def __init__(self, shape):
            super().__init__(shape)
            torch.nn.init.constant_(self.convolution.weight, 0.5)
            self.convolution.requires_grad_(False)

    params = SMALL | {"max_epochs": 2, "network": Frozen, "auxiliary": auxiliary}
    model = MMDC(2, **params).fit(photographs)
    assert (model.net_.module_.convolution.weight == 0.5).all()


# ------------------------------------------------------------------ what the networks see


@short
def test_prediction_looks_at_the_centre_crop(photographs):
    model = MMDC(2, network=Tiny, crop_size=20, **SMALL | {"max_epochs": 1}).fit(photographs)
    other = photographs.copy()
    other[:, :6], other[:, -6:], other[:, :, :6], other[:, :, -6:] = 0, 255, 7, 99
    np.testing.assert_array_equal(model.transform(other), model.transform(photographs))
    other[:, 6] = 255
    assert not np.array_equal(model.transform(other), model.transform(photographs))


@short
def test_with_sobel_only_differences_count(photographs):
    X = photographs.astype(np.float32) / 600
    params = SMALL | {"network": Tiny, "max_epochs": 1, "scaling": None}
    model = MMDC(2, sobel=True, **params).fit(X)
    np.testing.assert_allclose(model.transform(X + 0.25), model.transform(X), atol=1e-3)
    plain = MMDC(2, **params).fit(X)
    assert not np.allclose(plain.transform(X + 0.25), plain.transform(X), atol=1e-2)
    assert model.net_.module_.convolution.in_channels == 2


@short
def test_augmentation_of_ones_own_distorts_crops_in_training_only():
    X = load_digits().images[:100]
    seen = []

    def watched(x):
        seen.append(tuple(x.shape[1:]))
        return x + 0.0

    params = SMALL | {"max_epochs": 2, "network": Tiny}
    model = MMDC(3, augmentation=watched, crop_size=(7, 5), input_size=12, **params).fit(X)
    assert seen == [(1, 12, 12)] * 16
    model.predict(X)
    assert len(seen) == 16
    assert MMDC(3, augmentation=None, **params).fit(X).labels_.shape == (100,)


@short
@pytest.mark.parametrize("low, high", [(0.0, 2.0), (-1.0, 1.0)])
def test_colours_are_changed_of_images_in_0_1_only(photographs, low, high):
    X = low + (high - low) * photographs / np.float32(255)
    params = SMALL | {"network": Tiny, "max_epochs": 1, "scaling": None}
    for given, image in (({}, X), ({"augmentation": "colour"}, X[..., :1])):
        message = rf"in \[0, 1\], .* got scaling=None and values from {image.min():g} to"
        with pytest.raises(ValueError, match=message):
            MMDC(2, **params | given).fit(image)
    for given in ({"augmentation": None}, {"scaling": "auto"}):
        MMDC(2, **params | given).fit(X)
    MMDC(2, **params).fit(photographs / np.float32(255))
    MMDC(2, **params).fit(X.mean(axis=3))


@pytest.fixture
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


@pytest.mark.usefixtures("_seed")
def test_views_of_the_paper():
    x = torch.rand(200, 1, 28, 28)
    views = make_views((1, 28, 28))
    assert (views.crop_sizes, views.size) == ((24, 20, 16), 32)
    assert views.augment(x).shape == (200, 1, 32, 32)
    views = make_views((3, 32, 32))
    assert (views.crop_sizes, views.size) == ((20,), 32)
    x = torch.rand(400, 3, 1, 1).expand(400, 3, 32, 32)
    out = views.augment(x)
    grey = (out.amax(dim=1) - out.amin(dim=1)).amax(dim=(1, 2)) < 1e-5
    assert 0.13 < grey.float().mean() < 0.27
    assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.usefixtures("_seed")
def test_colour_images_are_mirrored_half_the_time_and_never_turned():
    ramp = torch.linspace(0.35, 0.65, 32)
    across = make_views((3, 32, 32)).augment(ramp.expand(400, 3, 32, 32))
    np.testing.assert_allclose(across, across[:, :, :1].expand_as(across), atol=1e-5)
    slopes = across[:, 0, 0, -1] - across[:, 0, 0, 0]
    assert slopes.abs().min() > 0.05
    assert (slopes < 0).double().mean() == pytest.approx(0.5, abs=0.1)  # four standard deviations
    down = make_views((3, 32, 32)).augment(ramp[:, None].expand(400, 3, 32, 32))
    np.testing.assert_allclose(down, down[..., :1].expand_as(down), atol=1e-5)
    assert (down[:, 0, -1, 0] - down[:, 0, 0, 0]).min() > 0.05


@pytest.mark.usefixtures("_seed")
def test_colours_change_as_much_as_in_the_paper():
    # Two bands of grey and one of a colour: what was done to them can be told from what is seen.
    light, dark, colour = 0.4, 0.2, (0.4, 0.3, 0.2)
    image = torch.empty(3, 32, 32)
    image[:, :8], image[:, 8:16], image[:, 16:] = light, dark, torch.tensor(colour)[:, None, None]
    mean = (light + dark + 2 * np.dot([0.299, 0.587, 0.114], colour)) / 4
    out = make_views((3, 32, 32), crop_size=32).augment(image.expand(600, 3, 32, 32)).double()
    ranges = []
    for seen in out.numpy():
        spread = seen[0, 4, 4] - seen[0, 12, 4]  # brightness times contrast, times the first one
        brightness = (seen[0, 4, 4] - spread * (light - mean) / (light - dark)) / mean
        contrast = spread / (light - dark) / brightness
        red, green, blue = seen[:, 24, 4]
        chroma = max(red, green, blue) - min(red, green, blue)
        saturation = chroma / 0.2 / (brightness * contrast)
        hue = colorsys.rgb_to_hsv(red, green, blue)[0] - colorsys.rgb_to_hsv(*colour)[0]
        if chroma > 0.01:  # else it was made grey
            ranges.append([brightness, contrast, saturation, (hue + 0.5) % 1 - 0.5])
    assert 0.7 < len(ranges) / 600 < 0.9
    middle, reach = np.array([1, 1, 1, 0]), np.array([0.4, 0.4, 0.4, 0.125])
    shares = (np.array(ranges) - middle) / reach
    np.testing.assert_allclose(shares.min(axis=0), -1, atol=0.05)
    np.testing.assert_allclose(shares.max(axis=0), 1, atol=0.05)
    np.testing.assert_allclose(shares.mean(axis=0), 0, atol=0.1)


@pytest.mark.usefixtures("_seed")
def test_grey_images_are_turned_and_never_mirrored():
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    x = torch.stack([torch.ones(28, 28), rows, columns])  # a pixel tells where it is from
    out = make_views((1, 28, 28)).augment(x.expand(400, 3, 28, 28)).double().numpy()
    centre = out[:, 1:, 15:17, 15:17]
    down = (centre[:, :, 1] - centre[:, :, 0]).mean(axis=2)  # (n, 2): what a pixel down is in x
    across = (centre[..., 1] - centre[..., 0]).mean(axis=2)
    np.testing.assert_allclose(down, across[:, ::-1] * (1, -1), atol=1e-4)  # a turn
    angles = np.degrees(np.arctan2(across[:, 0], across[:, 1]))
    assert 24 < angles.max() < 25.01
    assert -25.01 < angles.min() < -24
    steps = np.unique((32 * np.hypot(*across.T)).round(2))
    np.testing.assert_allclose(steps, [16, 20, 24], atol=0.02)
    # Where each pixel is read, and what is there.
    offset = np.arange(32) - 15.5
    middle = centre.mean(axis=(2, 3))
    places = (
        middle[:, :, None, None]
        + down[:, :, None, None] * offset[:, None]
        + across[:, :, None, None] * offset
    )
    inside = ((places >= 0.01) & (places <= 26.99)).all(axis=1)
    outside = ((places < -1.01) | (places > 28.01)).any(axis=1)
    np.testing.assert_allclose(out[:, 0][inside], 1, atol=1e-5)
    assert not out[:, 0][outside].any()
    assert outside.sum() > 400


@short
def test_crops_of_the_auxiliary_task_are_not_distorted():
    rows, columns = np.meshgrid(np.arange(32) / 32, np.arange(32) / 32, indexing="ij")
    number = np.broadcast_to(np.arange(40)[:, None, None] / 40, (40, 32, 32))
    X = np.stack(np.broadcast_arrays(rows, columns, number), axis=-1).astype(np.float32)
    places = set()

    class Watching(RotationTask):
        def forward(self, trunk, x, crop):
            for image, cut in zip(x, crop(x), strict=True):
                top, left = (32 * cut[:2, 0, 0]).round().int().tolist()
                expected = image[:, top : top + 20, left : left + 20]
                np.testing.assert_allclose(cut, expected, atol=1e-5)
                places.add((top, left))
            return super().forward(trunk, x, crop)

    params = SMALL | {"network": Tiny, "auxiliary": Watching, "max_epochs": 3}
    MMDC(2, crop_size=20, input_size=20, **params).fit(X)
    assert len(places) > 60  # of 120 draws from 169


# ------------------------------------------------------------------ noise on features


def tables(n):
    """Columns of all sizes, one of them constant, far from zero."""
    X = np.random.default_rng(0).normal(size=(n, 4))
    return (X * (100, 1, 0.01, 0) + (0, 1000, -3, 7)).astype(np.float32)


@pytest.mark.parametrize("n, step", [(50, 1), (9000, 2)])
def test_deviation_of_columns_is_that_of_a_sample(n, step):
    X = tables(n) + np.float32([0, 1e6, 0, 0])  # beside which squares of one are lost
    _, found = column_moments(TensorSource(X, Preprocessor.identity(4), "cpu"))
    np.testing.assert_allclose(found, X[::step].std(axis=0, dtype=np.float64), rtol=1e-6)


@short
@pytest.mark.parametrize("scaling", ["auto", None])
def test_noise_is_as_large_as_the_columns_deviation(scaling):
    X = tables(2000)
    rows, noisy = [], []

    class Watching(Narrow):
        def forward(self, x):
            if self.training:
                noisy.append(x.clone())
            return super().forward(x)

    watch = StepWatch(lambda net, batch: rows.append(batch.x), lambda *args, **kwargs: None)
    params = SMALL | {"max_epochs": 1, "scaling": scaling, "callbacks": [watch]}
    MMDC(3, network=Watching, **params).fit(X)
    x, noise = torch.cat(rows), torch.cat(noisy) - torch.cat(rows)
    expected = x.std(dim=0)
    assert expected[3] == 0
    np.testing.assert_allclose(expected[:3], [1] * 3 if scaling else [100, 1, 0.01], rtol=0.1)
    # 2000 draws: four standard deviations of their own.
    np.testing.assert_allclose(noise.std(dim=0), expected, rtol=4 / 4000**0.5)


@short
def test_noise_is_the_same_after_resuming(tmp_path, monkeypatch):
    def die(net, batch, **kwargs):
        if net.step_count_ == 13:
            raise RuntimeError("died")

    monkeypatch.setattr(_net, "CHECKPOINT_INTERVAL", 0)
    watch = StepWatch(lambda net, batch: None, die)
    params = SMALL | {"max_epochs": 4, "scaling": None}
    with pytest.raises(RuntimeError, match="died"):
        MMDC(3, checkpoint=tmp_path, callbacks=[watch], **params).fit(tables(60))
    resumed = MMDC(3, checkpoint=tmp_path, **params).fit(tables(60))
    whole = MMDC(3, **params).fit(tables(60))
    np.testing.assert_array_equal(resumed.transform(tables(60)), whole.transform(tables(60)))
    assert len(resumed.history_) == 4


# ------------------------------------------------------------------ networks


@short
def test_features_of_the_penultimate_layer(blobs):
    X, _ = blobs
    output = MMDC(4, **SMALL).fit(X)
    features = MMDC(4, embedding="features", **SMALL).fit(X)
    assert output.transform(X).shape == (240, 4)
    h = features.transform(X)
    assert h.shape == (240, 32)
    assert len(features.get_feature_names_out()) == 32
    other = copy.deepcopy(output).set_params(embedding="features")  # what is asked for may change
    np.testing.assert_array_equal(other.transform(X), h)
    assert len(other.get_feature_names_out()) == 32
    np.testing.assert_array_equal(features.labels_, output.labels_)
    linear = output.net_.head_.linear
    z = h @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(output.transform(X), z, atol=1e-4)


def test_network_with_wrong_features_is_an_error(photographs):
    class Wrong(Tiny):
        def forward(self, x):
            return self.convolution(x)

    with pytest.raises(ValueError, match=r"2 inputs of the shape \(3, 32, 32\) gave the shape"):
        MMDC(2, network=Wrong, **SMALL).fit(photographs)


@short
@pytest.mark.parametrize("network", ["vgg", "resnet18", "mlp"])
def test_named_networks(network):
    X = load_digits().images[:40]
    model = MMDC(3, network=network, **SMALL | {"max_epochs": 1}).fit(X)
    assert model.predict(X).shape == (40,)


@short
def test_resnet34_has_the_parameters_of_34_layers():
    X = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3)).astype(np.uint8)
    params = SMALL | {"input_size": 4, "max_epochs": 0}
    model = MMDC(10, network="resnet34", **params).fit(X)
    modules = (model.net_.module_, model.net_.head_, model.net_.auxiliary_)
    # With a head of 10 numbers; and a head for four rotations.
    expected = 21_282_122 + 4 * 513
    assert sum(p.numel() for module in modules for p in module.parameters()) == expected


@short
@pytest.mark.parametrize(
    "network, shape", [("vgg", (8, 8)), ("vgg", (28, 28)), ("resnet18", (32, 32, 3))]
)
def test_images_stand_alone_in_convolutional_networks(network, shape):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (100, *shape)).astype(np.uint8)
    model = MMDC(3, network=network, **SMALL | {"max_epochs": 0}).fit(X)
    z, p = model.transform(X), model.predict_proba(X)
    for n_rows in (1, 7, 73):
        rows = rng.permutation(100)[:n_rows]
        np.testing.assert_array_equal(model.transform(X[rows]), z[rows])
        np.testing.assert_array_equal(model.predict_proba(X[rows]), p[rows])


@short
def test_what_is_for_images_is_refused_for_features(blobs):
    for given in (
        {"network": "vgg"},
        {"auxiliary": "rotation"},
        {"augmentation": "colour"},
        {"sobel": True},
        {"crop_size": 20},
        {"input_size": 32},
    ):
        with pytest.raises(ValueError, match=r"pass image_shape if"):
            MMDC(4, **SMALL | given).fit(blobs[0])
    images = load_digits().images[:40]
    with pytest.raises(ValueError, match=r"'noise' does not fit .* one of \('grey', 'colour'\)"):
        MMDC(4, augmentation="noise", **SMALL).fit(images)
    with pytest.raises(ValueError, match=r"crop_size=\(9, 3\) is larger than the images, of 8"):
        MMDC(4, crop_size=(9, 3), **SMALL).fit(images)


def test_bfloat16_agrees_with_float32_roughly(blobs):
    X, y = blobs
    for precision in ("float32", "bfloat16"):
        labels = MMDC(4, **SMALL | {"precision": precision, "max_epochs": 25}).fit_predict(X)
        assert clustering_accuracy(y, labels) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_digits_with_defaults(seed):
    digits = load_digits()
    labels = MMDC(10, random_state=seed).fit_predict(digits.images)
    assert clustering_accuracy(digits.target, labels) > 0.86  # KMeans has 0.79


@pytest.mark.slow
@short
def test_compiled_passes_agree(photographs):
    params = SMALL | {"network": Tiny, "max_epochs": 2, "augmentation": None, "crop_size": 32}
    plain = MMDC(2, **params).fit(photographs)
    compiled = MMDC(2, compile=True, **params).fit(photographs)
    for name in ("rotation", "clustering"):
        losses = [[r["loss"] for r in m.history_ if r["phase"] == name] for m in (plain, compiled)]
        np.testing.assert_allclose(*losses, rtol=2e-2)


@pytest.mark.gpu
@short
@pytest.mark.parametrize("given", [{}, {"compile": True}, {"precision": "bfloat16"}])
def test_on_cuda(photographs, given):
    params = SMALL | {"network": Tiny, "max_epochs": 3} | given
    model = MMDC(2, device="cuda", **params).fit(photographs)
    np.testing.assert_array_equal(model.predict(photographs), model.labels_)
    sizes = [row["target_sizes"] for row in model.history_ if "target_sizes" in row]
    assert sizes[0] == sizes[1]
    assert all(np.isfinite(row["loss"]) for row in model.history_)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_copy_from_the_second_gpu_is_waited_for():
    x = torch.rand(4000, 4000, device="cuda:1")
    for _ in range(100):
        x = x @ x / 4000
    copied = _mmdc._to_host(x)()
    np.testing.assert_array_equal(copied, x.cpu())
