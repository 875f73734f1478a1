"""The training engine by itself, on a toy method of two modules that take turns."""

import contextlib
import io
import json
import math
import os
import pickle
import re
import signal
import threading
import time

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    GradientNormClipping,
    PrintLog,
    ProgressBar,
)
from torch import nn

from skdeepcluster._training import ClusteringNet, Phase, Preprocessor, TensorSource, _net
from skdeepcluster._training._checkpoint import CheckpointError
from skdeepcluster._training._interrupt import deferred_interrupt
from skdeepcluster._training._seeding import random_state, seeded, set_random_state
from skdeepcluster._training._terms import StepTerms

CPU = torch.device("cpu")
N_ROWS, BATCH_SIZE, STEPS = 60, 6, 10  # STEPS an epoch


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.dtypes = set()

    def forward(self, x):
        h = nn.functional.dropout(self.layer(x), 0.3, training=self.training)
        self.dtypes.add(h.dtype)
        return self.norm(h.float())


class ToyNet(ClusteringNet):
    """Phase "warm": the encoder alone. Phase "play": critic and encoder take turns."""

    def __init__(self, module=Encoder, *, epochs=(2, 3), over_at=None, poison=None, **kwargs):
        self.epochs = epochs
        self.over_at = over_at  # (phase, step) at which a phase is over
        self.poison = poison  # (phase, step) at which a term is no number
        self.log = []
        common = {"batch_size": BATCH_SIZE, "seed": 0, "device": CPU, **kwargs}
        super().__init__(module, **common)

    def initialize_module(self):
        super().initialize_module()
        self.critic_ = nn.Linear(4, 1)
        return self

    def phases(self):
        return [Phase("warm", self.epochs[0]), Phase("play", self.epochs[1])]

    def configure_phase(self):
        self.log.append(("configure", self.phase_.name))
        if self.phase_.name == "warm":
            self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=0.1, momentum=0.9)
            self.schedulers_ = [torch.optim.lr_scheduler.StepLR(self.optimizer_, 7, 0.5)]
        else:
            self.optimizer_ = torch.optim.Adam(self.module_.parameters(), lr=0.01, fused=True)
            self.critic_optimizer_ = torch.optim.Adam(
                self.critic_.parameters(), lr=0.02, fused=True
            )
            self.schedulers_ = [
                torch.optim.lr_scheduler.CosineAnnealingLR(self.critic_optimizer_, 20),
                torch.optim.lr_scheduler.StepLR(self.optimizer_, 3, 0.9),
            ]

    def begin_phase(self):
        self.log.append(("begin", self.phase_.name))
        if self.phase_.name == "play":
            z = self.map_rows(self.source_, self.module_)
            self.memory_ = z + torch.rand(z.shape)

    def begin_epoch(self):
        self.pull_ = 0.1 * torch.rand(())

    def training_step(self, batch):
        assert self.module_.training
        if self.over_at == (self.phase_.name, self.step_count_ + 1):
            self.phase_over_ = True
        bad = self.poison == (self.phase_.name, self.step_count_ + 1)
        with self.autocast():
            z = self.module_(batch.x)
        if self.phase_.name == "warm":
            warm = (z.square().mean() - 1).square()
            self._finish(warm, batch, self.optimizer_)
            return {"warm": warm.detach()}
        self.memory_.index_add_(0, batch.index, self.pull_ * z.detach())
        old = self.memory_.index_select(0, batch.index)
        if self.step_count_ % 2 == 0:
            critic = self.critic_(old).mean() - self.critic_(z.detach()).mean()
            self._finish(critic, batch, self.critic_optimizer_)
            return {"critic": critic.detach() * (math.nan if bad else 1)}
        encoder = self.critic_(z).mean() + (z - old).square().mean()
        self._finish(encoder, batch, self.optimizer_)
        return {"encoder": encoder.detach() / (0 if bad else 1)}

    def _finish(self, loss, batch, optimizer):
        self.descend(loss, batch, optimizer)
        for scheduler in self.schedulers_:
            if scheduler.optimizer is optimizer:
                scheduler.step()

    def end_epoch(self, means):
        return {"norm": float(self.module_.layer.weight.detach().norm())}

    def method_state(self):
        state = {"pull": self.pull_} if self.phase_epoch_ or self.iterator_.position else {}
        return state | ({"memory": self.memory_} if self.phase_.name == "play" else {})

    def load_method_state(self, state):
        for name, value in state.items():
            setattr(self, f"{name}_", value)

    _transient = (*ClusteringNet._transient, "memory_")


class At(Callback):
    """Call `action` when the run has taken `step` steps."""

    def __init__(self, step, action):
        self.step = step
        self.action = action

    def on_train_begin(self, net, **kwargs):
        self.count_ = 0

    def on_batch_end(self, net, **kwargs):
        self.count_ += 1
        if self.count_ == self.step:
            self.action(net)


class Recorder(Callback):
    """Keep what each step reported, and the events in their order."""

    def initialize(self):
        self.steps_, self.events_ = [], []
        return self

    def on_batch_end(self, net, batch, training, y_pred, **terms):
        values = {name: term.item() for name, term in terms.items()}
        self.steps_.append((net.phase_.name, net.phase_epoch_, values))

    def on_train_begin(self, net, **kwargs):
        self.events_.append("train begins")

    def on_epoch_begin(self, net, **kwargs):
        self.events_.append(f"{net.phase_.name} {net.phase_epoch_} begins")

    def on_epoch_end(self, net, **kwargs):
        self.events_.append(f"{net.phase_.name} {net.phase_epoch_} ends")

    def on_train_end(self, net, **kwargs):
        self.events_.append("train ends")


def stop(net):
    """Stop as skorch's callbacks do."""
    raise KeyboardInterrupt


def press_ctrl_c(net=None):
    os.kill(os.getpid(), signal.SIGINT)


def source():
    X = np.random.default_rng(0).normal(size=(N_ROWS, 3)).astype(np.float32)
    return TensorSource(X, Preprocessor.identity(3), CPU)


def run(net=None, seed=0, **kwargs):
    net = ToyNet(**kwargs) if net is None else net
    with seeded(seed, CPU):
        net.fit(source())
    return net


def weights(net):
    modules = (net.module_, net.critic_)
    return torch.cat([p.detach().ravel() for m in modules for p in m.state_dict().values()])


def rows(net):
    """History without what is measured in seconds."""
    left_out = {"seconds", "dur", "batches"}
    return [{k: v for k, v in row.items() if k not in left_out} for row in net.history]


# ------------------------------------------------------------------ phases and history


def test_phases_run_in_order_and_each_is_set_up_once():
    recorder = Recorder()
    net = run(callbacks=[recorder])
    assert net.log == [
        ("configure", "warm"),
        ("begin", "warm"),
        ("configure", "play"),
        ("begin", "play"),
    ]
    epochs = [("warm", i) for i in range(2)] + [("play", i) for i in range(3)]
    turns = [f"{name} {i} {what}" for name, i in epochs for what in ("begins", "ends")]
    assert recorder.events_ == ["train begins", *turns, "train ends"]
    assert [row["phase"] for row in net.history] == [name for name, _ in epochs]
    assert [row["epoch"] for row in net.history] == [1, 2, 3, 4, 5]
    assert [(name, i) for name, i, _ in recorder.steps_] == [e for e in epochs for _ in range(10)]
    assert net.stopped_by_ is None


def test_the_history_holds_the_means_of_the_named_terms():
    recorder = Recorder()
    net = run(callbacks=[recorder])
    names = {"warm": {"warm"}, "play": {"critic", "encoder"}}
    numbers = [(phase, epoch) for phase, epoch, _ in recorder.steps_]
    for row, key in zip(net.history, dict.fromkeys(numbers), strict=True):
        for name in names[key[0]]:
            values = [
                values[name]
                for phase, epoch, values in recorder.steps_
                if (phase, epoch) == key and name in values
            ]
            assert len(values) == (10 if name == "warm" else 5)
            assert row[name] == pytest.approx(np.mean(values, dtype=np.float64), rel=1e-5)
        assert names[key[0]] == set(row) - {"epoch", "phase", "norm", "seconds", "batches"}
    assert net.history[-1]["norm"] == pytest.approx(net.module_.layer.weight.norm().item())


def test_means_of_low_precision_terms_are_not_rounded_to_their_precision():
    class Low(ToyNet):
        def training_step(self, batch):
            self.step_count_ += 0
            return {"low": torch.tensor(1.0 + (self.step_count_ % 2) / 128, dtype=torch.bfloat16)}

    net = run(Low(epochs=(1, 0)))
    assert net.history[0]["low"] == 1.0 + 1 / 256


def test_the_history_is_json_and_keeps_one_batch_row_an_epoch():
    net = run(callbacks=[EpochTimer()])
    assert json.loads(json.dumps(net.history.to_list())) == net.history.to_list()
    assert [len(row["batches"]) for row in net.history] == [1] * 5
    assert all(row["seconds"] > 0 for row in net.history)


@pytest.mark.parametrize("step, epochs", [(1, 1), (9, 1), (10, 1), (11, 2), (15, 2)])
def test_a_phase_that_is_over_ends_at_that_step(step, epochs):
    recorder = Recorder()
    net = run(over_at=("play", step), callbacks=[recorder])
    assert sum(name == "play" for name, *_ in recorder.steps_) == step
    assert [row["phase"] for row in net.history] == ["warm"] * 2 + ["play"] * epochs
    assert net.converged_
    last = [v["critic"] for _, e, v in recorder.steps_[20:] if e == epochs - 1 and "critic" in v]
    assert net.history[-1]["critic"] == pytest.approx(np.mean(last), rel=1e-5)


def test_the_phase_after_one_that_ended_early_is_whole():
    recorder = Recorder()
    net = run(over_at=("warm", 13), callbacks=[recorder])
    assert [name for name, *_ in recorder.steps_] == ["warm"] * 13 + ["play"] * 30
    assert not net.converged_


@pytest.mark.parametrize("epochs, phases", [((0, 2), ["play"] * 2), ((2, 0), ["warm"] * 2)])
def test_a_phase_without_epochs_is_begun_all_the_same(epochs, phases):
    net = run(epochs=epochs)
    assert [row["phase"] for row in net.history] == phases
    assert [name for what, name in net.log if what == "begin"] == ["warm", "play"]
    assert net.memory_.shape == (N_ROWS, 4)


def test_convergence_is_a_phase_that_is_over_or_a_fixed_schedule():
    class Fixed(ToyNet):
        fixed_schedule = True

    assert not run().converged_
    assert run(Fixed()).converged_


def test_the_same_seeds_give_the_same_run_and_others_do_not():
    net = run()
    assert torch.equal(weights(net), weights(run()))
    assert rows(net) == rows(run())
    assert not torch.equal(weights(net), weights(run(ToyNet(), seed=1)))
    assert not torch.equal(weights(net), weights(run(ToyNet(seed=1))))


# ------------------------------------------------------------------ time


class Clock:
    """A clock that goes on by one second whenever it is read."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


def test_max_time_ends_the_run_within_an_epoch_and_begins_what_is_left(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(_net, "time", Clock())
    net = run(max_time=8, callbacks=[recorder])
    monkeypatch.undo()
    assert 1 < len(recorder.steps_) < 10
    assert net.stopped_by_ == "max_time"
    assert [what for what, name in net.log if name == "play"] == ["configure", "begin"]
    assert [row["phase"] for row in net.history] == ["warm"]
    assert recorder.events_[-1] == "train ends"


def test_time_that_is_up_when_a_phase_ends_gives_the_next_no_step(monkeypatch):
    recorder = Recorder()

    class Slow(ToyNet):
        def end_epoch(self, means):
            clock.now += 1e6
            return {}

    clock = Clock()
    monkeypatch.setattr(_net, "time", clock)
    net = run(Slow(epochs=(1, 3), max_time=1000, callbacks=[recorder]))
    monkeypatch.undo()
    assert len(recorder.steps_) == 10
    assert net.stopped_by_ == "max_time"
    assert net.log[-1] == ("begin", "play")


def test_time_that_is_up_after_the_last_step_ended_nothing(monkeypatch):
    clock = Clock()
    late = At(50, lambda net: setattr(clock, "now", 1e6))
    monkeypatch.setattr(_net, "time", clock)
    net = run(max_time=1000, callbacks=[late])
    monkeypatch.undo()
    assert clock.now > 1e6
    assert net.stopped_by_ is None


def test_max_time_in_real_seconds():
    start = time.monotonic()
    net = run(epochs=(100_000, 3), max_time=0.2)
    assert 0.2 <= time.monotonic() - start < 5
    assert net.stopped_by_ == "max_time"


# ------------------------------------------------------------------ callbacks that stop


@pytest.mark.parametrize("step, n_rows", [(1, 1), (13, 2), (20, 2), (25, 3)])
def test_a_callback_that_raises_ends_the_run(step, n_rows):
    recorder = Recorder()
    net = run(callbacks=[recorder, At(step, stop)])
    assert net.stopped_by_ == "callback"
    assert len(recorder.steps_) == step
    assert len(net.history) == n_rows
    assert net.log[-1] == ("begin", "play")
    assert recorder.events_[-1] == "train ends"


def test_a_callback_that_raises_before_training_leaves_it_out():
    class Never(Callback):
        def on_train_begin(self, net, **kwargs):
            raise KeyboardInterrupt

    net = run(callbacks=[Never()])
    assert net.stopped_by_ == "callback"
    assert len(net.history) == 0
    assert net.log[-1] == ("begin", "play")


def test_early_stopping_ends_the_run():
    class Flat(ToyNet):
        def end_epoch(self, means):
            return {"flat": 1.0}

    stopping = EarlyStopping(monitor="flat", patience=3, sink=lambda text: None)
    net = run(Flat(epochs=(2, 50), callbacks=[stopping]))
    assert net.stopped_by_ == "callback"
    assert len(net.history) == 4  # the first sets the mark


def test_a_method_may_end_its_phase_by_the_means_of_an_epoch():
    class Settled(ToyNet):
        def end_epoch(self, means):
            self.phase_over_ = self.phase_.name == "play" and self.phase_epoch_ == 1
            return {"seen": dict(means)}

    net = run(Settled(epochs=(1, 50)))
    assert [row["phase"] for row in net.history] == ["warm", "play", "play"]
    assert net.converged_
    for row in net.history:
        assert row["seen"] == {name: row[name] for name in row["seen"]} != {}


class Turns(ToyNet):
    """Two tasks take turns in a phase "play" of four epochs."""

    n_tasks = 2

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{"epochs": (2, 4), **kwargs})

    @property
    def task_(self):
        return "odd" if self.phase_epoch_ % 2 else "even"


def test_tasks_take_turns_within_a_phase():
    begun = []

    class Counted(Turns):
        def begin_epoch(self):
            super().begin_epoch()
            begun.append(self.task_epoch_)

    net = run(Counted())
    assert [row["phase"] for row in net.history] == ["even", "odd"] * 3
    assert begun == [0, 0, 0, 0, 1, 1]


def test_verbose_tells_whose_turn_it_is_and_counts_each_task_by_itself(capfd):
    run(Turns(verbose=2))
    lines = capfd.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "even epoch 1/1",
        "odd epoch 1/1",
        "even epoch 1/2",
        "odd epoch 1/2",
        "even epoch 2/2",
        "odd epoch 2/2",
    ]
    run(Turns(verbose=1))
    _, err = capfd.readouterr()
    for text in ("even:   0%", "odd:   0%", "odd:  50%", "odd: 100%", "2/2"):
        assert text in err
    assert "/4" not in err


def test_what_is_not_finite_is_of_a_task():
    with pytest.raises(FloatingPointError, match="epoch 2 of the phase 'odd'"):
        run(Turns(poison=("play", 40)))


@pytest.mark.parametrize("step", [5, 10**9])
def test_a_bar_ends_its_line_however_the_run_ends(step, capsys):
    def fail(net):
        raise ValueError("no more")

    with contextlib.suppress(ValueError):
        run(callbacks=[At(step, fail)], verbose=1)
    error = capsys.readouterr().err
    assert "warm" in error
    assert error.endswith("\n")


def test_an_exception_of_a_callback_comes_through():
    def fail(net):
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run(callbacks=[At(3, fail)])


# ------------------------------------------------------------------ Ctrl-C


@pytest.fixture(autouse=True)
def _sigint(sigint):
    """Each test begins with Python's own handler and must leave it there."""
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("step", [1, 13, 20, 25, 50])
def test_ctrl_c_raises_when_the_step_is_done_and_saved(tmp_path, step):
    recorder = Recorder()
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[recorder, At(step, press_ctrl_c)])
    assert len(recorder.steps_) == step

    rest = Recorder()
    net = run(checkpoint=path, callbacks=[rest])
    assert len(rest.steps_) == 50 - step
    assert torch.equal(weights(net), weights(run()))


def test_ctrl_c_without_a_checkpoint_raises_when_the_step_is_done():
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        run(callbacks=[At(4, press_ctrl_c), recorder])
    assert len(recorder.steps_) == 4


def test_ctrl_c_from_outside_in_the_middle_of_a_step(tmp_path):
    begun = threading.Event()

    class Signalled(ToyNet):
        def training_step(self, batch):
            if self.phase_.name == "play" and self.step_count_ == 4:
                begun.set()
                deadline = time.monotonic() + 10
                while not self.interrupt_.requested and time.monotonic() < deadline:
                    time.sleep(0.001)
            return super().training_step(batch)

    def press():
        assert begun.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    recorder = Recorder()
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        run(Signalled(checkpoint=path, callbacks=[recorder]))
    thread.join()
    assert len(recorder.steps_) == 25
    assert torch.equal(weights(run(checkpoint=path)), weights(run()))


class In(Callback):
    """Call `action` at an event of skorch, the n-th time that it comes."""

    def __init__(self, event, action, n=1):
        self.event = event
        self.action = action
        self.n = n
        self.left_ = n

    def on_train_begin(self, net, **kwargs):
        self._at("on_train_begin")

    def on_epoch_begin(self, net, **kwargs):
        self._at("on_epoch_begin")

    def on_batch_begin(self, net, **kwargs):
        self._at("on_batch_begin")

    def on_grad_computed(self, net, **kwargs):
        self._at("on_grad_computed")

    def on_epoch_end(self, net, **kwargs):
        self._at("on_epoch_end")

    def on_train_end(self, net, **kwargs):
        self._at("on_train_end")

    def _at(self, event):
        self.left_ -= event == self.event
        if event == self.event and self.left_ == 0:
            self.action()


EVENTS = [name for name in vars(In) if name.startswith("on_")]


@pytest.mark.parametrize("event", EVENTS)
def test_ctrl_c_is_never_taken_for_early_stopping(event):
    with pytest.raises(KeyboardInterrupt):
        run(callbacks=[In(event, press_ctrl_c)])


@pytest.mark.parametrize("event", EVENTS)
def test_early_stopping_is_never_taken_for_ctrl_c(event):
    def raise_it():
        raise KeyboardInterrupt

    assert run(callbacks=[In(event, raise_it)]).stopped_by_ == "callback"


def test_ctrl_c_while_a_phase_begins_waits_for_a_step(tmp_path):
    class Pressed(ToyNet):
        def begin_phase(self):
            super().begin_phase()
            if self.phase_.name == "play":
                press_ctrl_c()

    path = tmp_path / "run.checkpoint"
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        run(Pressed(checkpoint=path, callbacks=[recorder]))
    assert len(recorder.steps_) == 21
    assert torch.equal(weights(run(checkpoint=path)), weights(run()))


def test_ctrl_c_while_the_last_phase_begins_without_epochs():
    class Pressed(ToyNet):
        def begin_phase(self):
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        run(Pressed(epochs=(0, 0)))


def test_a_second_ctrl_c_raises_at_once():
    class Stubborn(ToyNet):
        reached = False

        def training_step(self, batch):
            press_ctrl_c()
            type(self).reached = True
            press_ctrl_c()
            raise AssertionError("the second Ctrl-C had to raise")

    with pytest.raises(KeyboardInterrupt):
        run(Stubborn())
    assert Stubborn.reached


def test_a_handler_of_the_users_own_keeps_its_say():
    calls = []
    signal.signal(signal.SIGINT, lambda *args: calls.append(args))
    try:
        recorder = Recorder()
        net = run(callbacks=[recorder, At(3, press_ctrl_c), At(4, press_ctrl_c)])
        assert len(calls) == 2
        assert len(recorder.steps_) == 50
        assert net.stopped_by_ is None
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_handler_of_the_users_own_that_raises_is_obeyed_at_once():
    def handler(signum, frame):
        raise KeyboardInterrupt("mine")

    signal.signal(signal.SIGINT, handler)
    try:
        recorder = Recorder()
        with pytest.raises(KeyboardInterrupt, match="mine"):
            run(callbacks=[At(3, press_ctrl_c), recorder])
        assert len(recorder.steps_) == 2
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(callbacks=[At(3, press_ctrl_c)]).stopped_by_ is None
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_run_in_another_thread_needs_no_signals():
    nets = []
    thread = threading.Thread(target=lambda: nets.append(run()))
    thread.start()
    thread.join()
    assert len(nets[0].history) == 5


def test_the_handler_comes_back_after_an_error():
    def fail():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), deferred_interrupt():
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ------------------------------------------------------------------ losses that are no numbers


@pytest.mark.parametrize(
    "poison, words",
    [
        (("play", 3), ["'critic'", "nan", "epoch 1 ", "'play'"]),
        (("play", 12), ["'encoder'", "inf", "epoch 2 ", "'play'"]),
        (("play", 30), ["'encoder'", "inf", "epoch 3 ", "'play'"]),
    ],
)
def test_a_term_that_is_not_finite_is_named_with_phase_and_epoch(poison, words):
    with pytest.raises(FloatingPointError) as caught:
        run(poison=poison)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_run_that_diverges_does_not_replace_its_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    monkeypatch.setattr(_net, "CHECKPOINT_INTERVAL", 0.0)
    kept = []

    def look(net):
        kept.append(path.read_bytes())

    with pytest.raises(FloatingPointError, match="epoch 1 of the phase 'play'"):
        run(poison=("play", 3), checkpoint=path, callbacks=[At(23, look)])
    assert path.read_bytes() == kept[0]


# ------------------------------------------------------------------ skorch's callbacks, and output


def test_skorch_callbacks_work():
    lines = []
    seen = []

    def mean_norm(net, X, y):
        seen.append(len(X))
        return net.map_rows(X, net.module_).norm(dim=1).mean().numpy()[()]

    net = run(
        callbacks=[
            EpochTimer(),
            EpochScoring(mean_norm, name="mean_norm", on_train=True),
            PrintLog(sink=lines.append),
            ProgressBar(detect_notebook=False),
        ]
    )
    assert all(row["dur"] > 0 for row in net.history)
    assert seen == [N_ROWS] * 5
    assert net.history[:, "mean_norm_best"][0] is True
    net.module_.eval()
    with torch.no_grad():
        expected = net.module_(source().rows).norm(dim=1).mean().item()
    assert net.history[-1, "mean_norm"] == pytest.approx(expected, rel=1e-6)
    assert sum("play" in line for line in lines) == 3


def test_callbacks_see_and_change_gradients():
    norms = []

    class Look(Callback):
        def on_grad_computed(self, net, named_parameters, training, **kwargs):
            grads = [p.grad for _, p in named_parameters if p.grad is not None]
            norms.append(torch.cat([g.ravel() for g in grads]).norm().item())

    run(epochs=(1, 2), callbacks=[GradientNormClipping(1e-3), Look()])
    assert len(norms) == 30
    assert max(norms) <= 1.001e-3
    free = run()
    assert not torch.equal(weights(free), weights(run(callbacks=[GradientNormClipping(1e-3)])))


@pytest.mark.parametrize("callbacks", [None, [Recorder()]])
def test_verbose_0_prints_nothing(capfd, callbacks):
    run(verbose=0, callbacks=callbacks)
    assert capfd.readouterr() == ("", "")


def test_verbose_1_shows_a_bar_a_phase(capfd):
    run(verbose=1)
    out, err = capfd.readouterr()
    assert out == ""
    for text in ("warm: 100%", "2/2", "play: 100%", "3/3", "critic="):
        assert text in err


def test_verbose_1_counts_on_from_the_checkpoint(capfd, tmp_path):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=path, callbacks=[At(45, press_ctrl_c)])
    capfd.readouterr()
    run(checkpoint=path, verbose=1)
    _, err = capfd.readouterr()
    assert "3/3" in err
    assert "0/3" not in err
    assert "warm" not in err


def test_verbose_2_prints_a_line_an_epoch(capfd):
    net = run(verbose=2)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert [line.split("  ")[0] for line in lines] == [
        "warm epoch 1/2",
        "warm epoch 2/2",
        "play epoch 1/3",
        "play epoch 2/3",
        "play epoch 3/3",
    ]
    for line, row in zip(lines, net.history, strict=True):
        assert f"norm {row['norm']:.4g}" in line
        assert re.search(r"\d\.\d\d s$", line)


@pytest.mark.parametrize("verbose", [1, 2])
def test_phases_of_one_name_are_told_apart(capfd, verbose):
    class Layers(ToyNet):
        def phases(self):
            return [Phase("warm", 2, stage=0), Phase("warm", 2, stage=1), Phase("play", 1)]

    run(Layers(verbose=verbose))
    out, err = capfd.readouterr()
    shown = out if verbose == 2 else err
    for text in ("warm 1/2", "warm 2/2", "play"):
        assert text in shown
    assert "play 1/1:" not in shown
    if verbose == 1:
        assert max(map(int, re.findall(r"(\d+)/2 \[", err))) == 2


# ------------------------------------------------------------------ precision, random states


def test_bfloat16_is_the_forward_passes_alone():
    net = run(precision=torch.bfloat16)
    # In training under autocast; by `map_rows`, when "play" begins, in float32.
    assert net.module_.dtypes == {torch.bfloat16, torch.float32}
    assert {p.dtype for p in net.module_.parameters()} == {torch.float32}
    moments = [s[key] for s in net.optimizer_.state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert {m.dtype for m in moments} == {torch.float32}
    assert run().module_.dtypes == {torch.float32}
    assert not torch.equal(weights(net), weights(run()))


def test_random_states_are_as_they_were():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the global state is what the test is about
    before, numpy_before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    run()
    assert torch.equal(torch.get_rng_state(), before)
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, after, strict=True))


def test_random_states_are_restored_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(FloatingPointError):
        run(poison=("play", 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_draws_follow_the_seed_alone():
    torch.manual_seed(1)
    with seeded(5, "cpu"):
        first = torch.rand(3)
        state = random_state("cpu")
        second = torch.rand(3)
    torch.manual_seed(2)
    with seeded(5, "cpu"):
        assert torch.equal(torch.rand(3), first)
        torch.rand(100)
        set_random_state(state, "cpu")
        assert torch.equal(torch.rand(3), second)


# ------------------------------------------------------------------ prediction and pickling


def test_map_rows_gives_each_row_its_own_answer_whatever_is_beside_it():
    net = run()
    X = np.random.default_rng(1).normal(size=(1500, 3)).astype(np.float32)
    preprocess = Preprocessor.identity(3)
    whole = net.map_rows(TensorSource(X, preprocess, CPU), net.module_)
    assert whole.shape == (1500, 4)
    for chosen in ([0], [7, 1499, 3], range(1400)):
        part = net.map_rows(TensorSource(X[list(chosen)], preprocess, CPU), net.module_)
        assert torch.equal(part, whole[list(chosen)])
    assert not net.module_.training
    assert not whole.requires_grad


def test_map_rows_takes_smaller_batches_for_rows_that_grow():
    net = run()
    X = np.zeros((5000, 3), np.float32)
    lengths = {}
    for cost in (None, 1, 1000):
        seen = []

        def function(x, seen=seen):
            seen.append(len(x))
            return x

        net.map_rows(TensorSource(X, Preprocessor.identity(3), CPU), function, cost)
        assert len(set(seen)) == 1
        lengths[cost] = seen[0]
    assert lengths[1] == lengths[None] > lengths[1000]


def test_a_trimmed_net_travels_without_what_training_needed():
    net = run(callbacks=[EpochTimer()], verbose=0)
    expected = net.map_rows(source(), net.module_)
    before = len(pickle.dumps(net))
    net.trim_for_prediction()
    assert not hasattr(net, "optimizer_")
    assert not hasattr(net, "critic_optimizer_")
    assert all(p.grad is None for p in net.module_.parameters())
    for name in ("iterator_", "source_", "memory_", "terms_"):
        assert not hasattr(net, name)
    stored = pickle.dumps(net)
    assert len(stored) < before
    copy = pickle.loads(stored)
    assert torch.equal(copy.map_rows(source(), copy.module_), expected)
    assert rows(copy) == rows(net)
    assert not copy.module_.training


def test_pickling_does_not_disturb_a_run():
    net = run(callbacks=[At(33, pickle.dumps)])
    assert torch.equal(weights(net), weights(run()))


def test_a_bar_is_no_obstacle_to_pickling():
    with contextlib.redirect_stderr(io.StringIO()):
        net = run(verbose=1)
    assert len(pickle.loads(pickle.dumps(net)).history) == 5


# ------------------------------------------------------------------ resuming


@pytest.fixture
def always_saving(monkeypatch):
    monkeypatch.setattr(_net, "CHECKPOINT_INTERVAL", 0.0)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # no power fails here


class Dies(Exception):
    """Stands for the end of the process: nothing is saved on its way out."""


def die(net=None):
    raise Dies


def goes_on(path, **kwargs):
    """Run from the file, with another seed, that must not count."""
    return run(checkpoint=path, seed=9 if path.exists() else 0, **kwargs)


@pytest.mark.parametrize("over_at", [None, ("warm", 13), ("warm", 20), ("play", 17)])
@pytest.mark.usefixtures("always_saving")
def test_a_run_that_dies_at_every_step_ends_as_if_it_never_had(tmp_path, over_at):
    whole = run(over_at=over_at)
    path = tmp_path / "run.checkpoint"
    n_runs, net = 0, None
    while net is None and n_runs < 100:
        n_runs += 1
        # Its first step is the last that was not saved: the second one brings it on.
        with contextlib.suppress(Dies):
            net = goes_on(path, over_at=over_at, callbacks=[At(2, die)])
    assert n_runs > (30 if over_at else 45)
    assert torch.equal(weights(net), weights(whole))
    assert rows(net) == rows(whole)
    assert torch.equal(net.memory_, whole.memory_)
    assert net.converged_ == whole.converged_


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("occasion", [1, 3, 4])
@pytest.mark.usefixtures("always_saving")
def test_a_run_that_dies_at_any_event(tmp_path, event, occasion):
    path = tmp_path / "run.checkpoint"
    with contextlib.suppress(Dies):
        run(checkpoint=path, callbacks=[In(event, die, occasion)])
    net = goes_on(path)
    assert torch.equal(weights(net), weights(run()))
    assert rows(net) == rows(run())


@pytest.mark.parametrize("phase, over_at", [("warm", 13), ("play", 13), ("play", 20)])
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.usefixtures("always_saving")
def test_a_run_that_dies_after_the_last_step_of_a_phase(tmp_path, phase, over_at, stopped):
    class Dying(ToyNet):
        def end_epoch(self, means):
            if self.phase_.name == phase and self.step_count_ == over_at:
                raise Dies
            return super().end_epoch(means)

    def how(step):
        if stopped:
            return {"callbacks": [At(step, stop)]}
        return {"over_at": (phase, over_at)}

    path = tmp_path / "run.checkpoint"
    last = over_at if phase == "warm" else 20 + over_at
    with pytest.raises(Dies):
        run(Dying(checkpoint=path, **how(last)))
    net = goes_on(path, **how(1))  # the step was not saved, and is taken again
    whole = run(**how(last))
    assert torch.equal(weights(net), weights(whole))
    assert rows(net) == rows(whole)


@pytest.mark.parametrize("phase", ["warm", "play"])
@pytest.mark.parametrize("method", ["configure_phase", "begin_phase", "begin_epoch", "end_epoch"])
@pytest.mark.usefixtures("always_saving")
def test_a_run_that_dies_between_steps(tmp_path, phase, method):
    class Dying(ToyNet):
        pass

    def dying(self, *args):
        if self.phase_.name == phase:
            raise Dies
        return getattr(ToyNet, method)(self, *args)

    setattr(Dying, method, dying)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Dies):
        run(Dying(checkpoint=path))
    net = goes_on(path)
    assert torch.equal(weights(net), weights(run()))
    assert rows(net) == rows(run())


@pytest.mark.parametrize("step", [3, 13, 20, 33])
@pytest.mark.parametrize("interval", [0.0, 1e9])
def test_early_stopping_is_the_same_after_resuming(tmp_path, monkeypatch, step, interval):
    monkeypatch.setattr(_net, "CHECKPOINT_INTERVAL", interval)
    whole = run(callbacks=[At(step, stop)])
    path = tmp_path / "run.checkpoint"
    stopped = run(checkpoint=path, callbacks=[At(step, stop)])
    recorder = Recorder()
    again = run(checkpoint=path, callbacks=[recorder])
    assert recorder.steps_ == []
    for net in (stopped, again):
        assert net.stopped_by_ == "callback"
        assert torch.equal(weights(net), weights(whole))
        assert rows(net) == rows(whole)


def test_early_stopping_is_kept_when_the_run_dies_in_the_next_phase(tmp_path):
    class Dying(ToyNet):
        def begin_phase(self):
            if self.phase_.name == "play":
                raise Dies

    path = tmp_path / "run.checkpoint"
    with pytest.raises(Dies):
        run(Dying(checkpoint=path, callbacks=[At(13, stop)]))
    net = run(checkpoint=path)
    assert net.stopped_by_ == "callback"
    assert rows(net) == rows(run(callbacks=[At(13, stop)]))
    assert torch.equal(net.memory_, run(callbacks=[At(13, stop)]).memory_)


@pytest.mark.parametrize("step", [1, 10, 13, 20, 33, 50])
def test_max_time_leaves_a_file_that_goes_on(tmp_path, monkeypatch, step):
    path = tmp_path / "run.checkpoint"
    clock = Clock()
    monkeypatch.setattr(_net, "time", clock)
    late = At(step, lambda net: setattr(clock, "now", clock.now + 1e6))
    net = run(checkpoint=path, max_time=1000, callbacks=[late])
    monkeypatch.undo()
    assert net.stopped_by_ == (None if step == 50 else "max_time")

    rest = Recorder()
    net = run(checkpoint=path, callbacks=[rest])
    assert len(rest.steps_) == 50 - step
    assert net.stopped_by_ is None
    assert torch.equal(weights(net), weights(run()))
    assert rows(net) == rows(run())


def test_max_time_in_slices_comes_to_the_same_end(tmp_path, monkeypatch):
    path = tmp_path / "run.checkpoint"
    stops, net = 0, None
    monkeypatch.setattr(_net, "time", Clock())
    while stops < 50 and (net is None or net.stopped_by_ == "max_time"):
        net = run(checkpoint=path, max_time=12)
        stops += net.stopped_by_ == "max_time"
    monkeypatch.undo()
    assert stops > 3
    assert torch.equal(weights(net), weights(run()))
    assert rows(net) == rows(run())


def test_a_finished_run_returns_at_once(tmp_path):
    path = tmp_path / "run.checkpoint"
    whole = run(checkpoint=path)
    recorder = Recorder()
    again = run(checkpoint=path, callbacks=[recorder], seed=5)
    assert recorder.events_ == ["train begins", "train ends"]
    assert recorder.steps_ == []
    assert torch.equal(weights(again), weights(whole))
    assert rows(again) == rows(whole)
    assert [row["seconds"] for row in again.history] == [row["seconds"] for row in whole.history]


def test_saving_changes_nothing(tmp_path, always_saving):
    saved = run(checkpoint=tmp_path / "run.checkpoint")
    assert torch.equal(weights(saved), weights(run()))


def test_the_seed_of_the_file_is_kept(tmp_path):
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Dies):
        run(ToyNet(seed=3, checkpoint=path, callbacks=[At(25, die)]))
    net = run(ToyNet(seed=4, checkpoint=path), seed=4)
    assert net.seed == 3
    assert torch.equal(weights(net), weights(run(ToyNet(seed=3))))


def test_whatever_callbacks_record_can_be_saved_and_read(tmp_path):
    class Records(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("score", np.float64(0.5))
            net.history.record("best", np.bool_(True))
            net.history.record("sizes", np.arange(3))
            net.history.record("tensor", torch.tensor([0.5]))
            net.history.record("nested", {"a": (1, None)})
            net.history.record("other", Preprocessor)

    path = tmp_path / "run.checkpoint"
    with pytest.raises(Dies):
        run(checkpoint=path, callbacks=[Records(), At(35, die)])
    row = run(checkpoint=path, callbacks=[Records()]).history[0]
    assert row["score"] == 0.5
    assert row["best"] is True
    assert row["sizes"] == [0, 1, 2]
    assert row["tensor"] == [0.5]
    assert row["nested"] == {"a": [1, None]}
    assert "Preprocessor" in row["other"]


def test_a_file_of_another_net_is_named(tmp_path):
    path = tmp_path / "run.checkpoint"

    class Wider(Encoder):
        def __init__(self):
            super().__init__()
            self.more = nn.Linear(2, 2)

    run(checkpoint=path)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        run(module=Wider, checkpoint=path)


def test_a_folder_that_cannot_be_written_is_named_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    path = tmp_path / "file" / "run.checkpoint"
    recorder = Recorder()
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        run(checkpoint=path, callbacks=[recorder])
    assert recorder.steps_ == []


# ------------------------------------------------------------------ no waiting for the device


class Watch(torch.utils._python_dispatch.TorchDispatchMode):
    """Count the reads of a number from the device, which wait for all work there."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("verbose", [0, 1])
def test_steps_do_not_read_from_the_device(capfd, verbose):
    def reads(epochs):
        net = ToyNet(epochs=epochs, verbose=verbose)
        with Watch() as watch:
            run(net)
        return watch.reads

    # An epoch has two terms and the toy's own norm to read, however many steps it has; 100 more
    # epochs of ten steps show what a step costs.
    assert (reads((0, 30)) - reads((0, 10))) / 20 == 3


def test_terms_of_steps_are_kept_in_order_and_in_few_tensors():
    terms, expected = StepTerms(), {"a": [], "b": []}
    for i in range(1000):
        step = {"a": torch.tensor(float(i))} | ({"b": torch.tensor(-1.0 * i)} if i % 5 == 0 else {})
        terms.add(step)
        for name, value in step.items():
            expected[name].append(value.item())
        value.fill_(7)  # a step's own tensors are not needed any more
    stacked = terms.stacked()
    assert {name: values.tolist() for name, values in stacked.items()} == expected
    again = StepTerms(stacked)
    again.add({"a": torch.tensor(1.5)})
    assert again.stacked()["a"].tolist() == [*expected["a"], 1.5]
    assert terms.stacked()["a"].tolist() == expected["a"]
