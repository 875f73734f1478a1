"""The skorch net that all methods extend: phases, steps, losses, stopping, resuming."""

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from skorch import NeuralNet
from skorch.utils import TeeGenerator
from torch import Tensor

from skdeepcluster._training import _checkpoint, _progress
from skdeepcluster._training._data import (
    Batch,
    BatchIterator,
    TensorSource,
    inference_batch_size,
)
from skdeepcluster._training._device import autocast, explained, is_available
from skdeepcluster._training._group import Group, shared_group
from skdeepcluster._training._interrupt import Interrupt, deferred_interrupt
from skdeepcluster._training._seeding import random_state, set_random_state
from skdeepcluster._training._shares import Share
from skdeepcluster._training._terms import StepTerms

#: Seconds between two checkpoints within a phase.
CHECKPOINT_INTERVAL = 60.0

#: Processes that share a run ask each other every so many steps whether it is to end.
AGREE_EVERY = 8

#: Name of the phase that all methods have, and whose epochs `n_iter_` counts.
CLUSTERING = "clustering"


@dataclass(frozen=True)
class Phase:
    """A stretch of training with its own objective and optimisers.

    Parameters
    ----------
    name : str
        Stands in the history's column ``phase``.
    max_epochs : int
        Bound of the phase; it may end earlier.
    stage : int, default=0
        What tells phases of one name apart (the layer in layer-wise pre-training).
    """

    name: str
    max_epochs: int
    stage: int = 0


class ClusteringNet(NeuralNet):
    """A skorch net whose `fit` runs through the phases of a method.

    A method extends this class and says

    - `initialize_module`: its modules, as many as it likes (``self.NAME_ = ...``);
    - `phases`: which phases there are;
    - `configure_phase`: the optimisers and schedulers of a phase;
    - `begin_phase`: what is computed once when a phase begins (k-means, targets);
    - `begin_epoch`: what is computed at the beginning of each epoch;
    - `training_step`: what one step does, returning the named terms of its objective;
    - `assign`: the soft assignments of a batch, for predictions and for who looks on;
    - `end_epoch`: the method's own measures of progress;
    - `method_state` and `load_method_state`: what else a resumed run needs.

    A phase ends when its epochs are done or when the method sets ``phase_over_``. The run
    ends with its last phase, on `max_time`, or when a callback stops it: the phases still to come
    are then begun, so that the method has its clusters, but get no epoch.

    Losses stay on the device until the epoch ends; no step waits for the device.

    Parameters
    ----------
    module : callable
        Builds the network; what skorch knows as ``module``.
    batch_size : int
    seed : int
        Seed of the shuffling. (Initialisation and dropout draw from torch's global generator, which
        the caller has seeded.)
    device : torch.device
    precision : torch.dtype, default=torch.float32
        ``torch.bfloat16`` runs the forward passes of the training under autocast.
    compile : bool, default=False
        Whether `compiled` compiles.
    max_time : float or None, default=None
        Seconds after which the run ends.
    checkpoint : pathlib.Path or None, default=None
        File to resume from and to write to.
    callbacks : list of skorch callbacks or None, default=None
    verbose : int, default=0
        0 is silent, 1 a progress bar, 2 a line an epoch.
    """

    interrupt_ = Interrupt()
    #: The processes that the run is shared out among; None where there is but one.
    group_: Group | None = None
    #: Whether the run goes on from the weights of another, and epochs that were before it.
    warm_ = False
    epochs_before_ = 0
    start_: "ClusteringNet | None" = None
    #: Whether the run is one epoch of a piece of the data, with others to follow.
    one_epoch_ = False
    _transient = (
        "iterator_",
        "interrupt_",
        "source_",
        "compiled_",
        "terms_",
        "phases_",
        "group_",
        "start_",
    )

    def __init__(
        self,
        module,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        compile: bool = False,
        max_time: float | None = None,
        checkpoint: Path | None = None,
        callbacks: list | None = None,
        verbose: int = 0,
        **kwargs,
    ):
        self.seed = seed
        self.precision = precision
        self.max_time = max_time
        self.checkpoint = checkpoint
        group = shared_group()
        if group is not None and not group.is_main:
            verbose = 0
        super().__init__(
            module,
            criterion=torch.nn.Identity,  # objectives are functions here, not modules
            train_split=None,
            iterator_train=BatchIterator,
            batch_size=batch_size,
            device=device,
            compile=compile,
            callbacks=callbacks,
            verbose=verbose,
            use_caching=False,  # scoring callbacks would gather outputs, proportional to n
            **kwargs,
        )

    # ------------------------------------------------------------------ what a method provides

    def phases(self) -> list[Phase]:
        """Return the phases of the run, in order."""
        raise NotImplementedError

    def configure_phase(self) -> None:
        """Make ``optimizer_`` (or several) and ``schedulers_`` of ``phase_``, from ``source_``.

        Called at the beginning of a phase, and again when a run resumes within it.
        """
        raise NotImplementedError

    def begin_phase(self) -> None:
        """Compute what ``phase_`` starts from; not called when a run resumes within it."""

    def begin_epoch(self) -> None:
        """Compute what an epoch starts from; not called when a run resumes within the epoch."""

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """Do one step and return the detached terms of its objective."""
        raise NotImplementedError

    def assign(self, x: Tensor) -> Tensor:
        """Return assignments (b, K) of a batch of inputs, in evaluation mode."""
        raise NotImplementedError

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Return what else the epoch's row in the history shall hold (plain numbers, lists).

        `means` are those of the terms over the epoch. The phase may end here: ``phase_over_``.
        """
        return {}

    def method_state(self) -> dict:
        """Return what a resumed run needs beside weights, optimisers and random states."""
        return {}

    def load_method_state(self, state: dict) -> None:
        """Restore what `method_state` returned, here attributes; called after `configure_phase`."""
        for name, value in state.items():
            setattr(self, name, value.to(self.device) if torch.is_tensor(value) else value)

    #: Whether the phases' epochs are the method's own schedule, whose end is no failure.
    fixed_schedule = False

    @property
    def inference_cost(self) -> int:
        """How many numbers the network holds of a row at most, as a multiple of the row's own.

        Batches of `map_rows` are smaller by this factor. The network says it, where it is not 1; it
        must follow from the shape of an input alone.
        """
        return getattr(self.module_, "inference_cost", 1)

    #: How many tasks take turns in each phase, an epoch each. What users are shown counts the
    #: epochs of each by itself; the engine's own `phase_epoch_` and a phase's `max_epochs` count
    #: those of all.
    n_tasks = 1

    @property
    def task_(self) -> str:
        """What the epoch is about, for the history: the phase, unless tasks take turns in it."""
        return self.phase_.name

    # ------------------------------------------------------------------ what a method uses

    @property
    def converged_(self) -> bool:
        """Whether the last phase ended as the method means it to."""
        return self.phase_over_ or self.fixed_schedule

    @property
    def has_clusters_(self) -> bool:
        """Whether what is running now trains clusters, so that `assign` says something."""
        return self.task_ == CLUSTERING

    @property
    def phase_(self) -> Phase:
        """The phase that is running."""
        return self.phases_[self.phase_index_]

    @property
    def task_epoch_(self) -> int:
        """Epochs of the phase's current task that are done."""
        return self.phase_epoch_ // self.n_tasks

    def autocast(self):
        """Context for the forward passes of training."""
        return autocast(self.device, self.precision)

    def compiled(self, function: Callable) -> Callable:
        """Compile `function` once, if the net is to compile."""
        if not self.compile:
            return function
        # A bound method is a new object at every access: its name is what stays.
        name = function.__qualname__
        if name not in self.compiled_:
            self.compiled_[name] = torch.compile(function)
        return self.compiled_[name]

    def mean_over_rows(self, function: Callable, *rows: Tensor | object) -> dict[str, Tensor]:
        """Compute named terms that are means over the rows of a batch.

        Where processes share the run, each computes what its rows add: the mean over the processes
        is the mean over all rows, for the terms as for their gradients.

        Parameters
        ----------
        function : callable
            Maps tensors of rows (b, ...) to a dict of means over them.
        *rows : Tensors of shape (b, ...), or anything else
            What is no tensor is passed as it is.
        """
        share = self._share_of(rows)
        if share is None:
            return function(*rows)
        return {name: share.weighted(v) for name, v in share.compute(function, *rows).items()}

    def all_rows(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Map rows (b, ...) of a batch; where processes share the run, each maps some for all."""
        share = self._share_of((x,))
        return function(x) if share is None else share.gather(share.compute(function, x))

    def _share_of(self, rows: tuple) -> Share | None:
        if self.group_ is None:
            return None
        n = next(len(r) for r in rows if isinstance(r, Tensor))
        # Fewer rows than processes are computed by each of them.
        return Share(self.group_, n) if n >= self.group_.size else None

    def on_main(self, function: Callable[[], object]) -> object:
        """Call a function once, in the main process, for all that share the run."""
        return function() if self.group_ is None else self.group_.from_main(function)

    def descend(self, loss: Tensor, batch: Batch, *optimizers: torch.optim.Optimizer) -> None:
        """One gradient step of `optimizers` on `loss`."""
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.group_ is not None:
            groups = (group for optimizer in optimizers for group in optimizer.param_groups)
            self.group_.average_gradients([p for group in groups for p in group["params"]])
        if self.callbacks_:
            parameters = TeeGenerator(self.get_all_learnable_params())  # lists none unasked
            self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        for optimizer in optimizers:
            optimizer.step()

    @torch.no_grad()
    def map_rows(
        self,
        source: TensorSource,
        function: Callable[[Tensor], Tensor],
        cost: int | None = None,
    ) -> Tensor:
        """Apply `function` to all rows, in evaluation mode and in batches of one fixed shape.

        Parameters
        ----------
        source : TensorSource
        function : callable
            Maps inputs (b, *input_shape) to a tensor of b rows.
        cost : int or None, default=None
            What stands for `inference_cost` where rows are not inputs of the network.

        Returns
        -------
        Tensor of shape (n, *output shape of one row), on the device
        """
        self._set_training(False)
        cost = self.inference_cost if cost is None else cost
        n, group = len(source), self.group_
        # Less than a batch for each process is not worth a message. Batches depend on the threads
        # of a process: what all must see alike is counted in those of a single thread.
        shape = source.preprocess.input_shape
        shared = group is not None and n > (group.size - 1) * inference_batch_size(shape, 1, cost)
        start, last = group.share(n) if shared else (0, n)
        out = None
        for x, n_valid in source.chunks(cost, start, last):
            with explained(self.device):
                y = function(x)[:n_valid]
            if out is None:
                shape = (n, *y.shape[1:])
                out = y.new_zeros(shape) if shared else y.new_empty(shape)
            out[start : start + n_valid] = y
            start += n_valid
        return group.sum(out) if shared else out

    # ------------------------------------------------------------------ skorch's hooks

    @property
    def _default_callbacks(self):
        if self.verbose == 0:
            return []
        shown = _progress.ProgressBar() if self.verbose == 1 else _progress.EpochLog()
        return [("progress", shown)]

    def initialize(self):
        """Build modules and callbacks, and stand at the beginning of the first phase."""
        super().initialize()
        self.phase_index_ = 0
        self.phase_epoch_ = 0  # epochs of the phase that are done
        self.step_count_ = 0  # steps of the phase that are done
        self.phase_over_ = False
        self.stopped_by_ = None  # "max_time" or "callback"
        self.finished_ = False
        self.schedulers_ = []
        self.terms_ = StepTerms()
        self.compiled_ = {}
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Do nothing: a phase makes its own, in `configure_phase`."""
        return self

    def torch_compile(self, module, name):
        """Leave modules as they are: methods compile whole objectives, see `compiled`."""
        return module

    def get_iterator(self, dataset: TensorSource, training: bool = False) -> BatchIterator:
        """Return the iterator over shuffled batches."""
        return self.iterator_train(
            dataset, self.batch_size, torch.Generator().manual_seed(self.seed)
        )

    def on_epoch_begin(self, net, **kwargs):
        """Keep one batch row an epoch: skorch's callbacks look for it, more would be waste."""
        super().on_epoch_begin(net, **kwargs)
        self.history.new_batch()

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Add no row of its own."""

    def notify(self, method_name: str, **kwargs) -> None:
        """Call the callbacks; a KeyboardInterrupt of theirs is skorch's way to stop early."""
        stopped = False
        try:
            super().notify(method_name, **kwargs)
        except KeyboardInterrupt:
            if self.interrupt_.requested:
                raise
            stopped = True
        if self.group_ is not None and self.callbacks:
            (stopped,) = self.group_.any(stopped)
        if stopped:
            self.stopped_by_ = "callback"

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Run from where the net stands to the end of the last phase."""
        if not self.initialized_:
            self.initialize()
        if self.warm_:
            self._take_start()
        self._join()
        with deferred_interrupt() as self.interrupt_:
            try:
                self.notify("on_train_begin", X=X, y=y)
                with explained(self.device):
                    self.fit_loop(X)
                self.notify("on_train_end", X=X, y=y)
            finally:
                _progress.close(self.callbacks_)
            if self._any(self.interrupt_.requested)[0]:  # it came after the last step
                raise KeyboardInterrupt
        return self

    def go_on_from(self, net: "ClusteringNet", epochs: int = 0) -> None:
        """Let the run begin with the weights of a fitted net, and with clustering at once.

        Parameters
        ----------
        net : ClusteringNet
        epochs : int, default=0
            Epochs that count as done, for schedules. With 1 and more the run takes over the
            optimisers' states, too, where `net` has kept them.
        """
        self.warm_, self.start_, self.epochs_before_ = True, net, epochs

    def _take_start(self) -> None:
        """Copy the weights of the net that the run goes on from.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        anew = "call fit to begin anew" if self.one_epoch_ else "fit with warm_start=False"
        advice = f"leave the parameters that shape it as they were, or {anew}."
        before = self.start_
        if set(before._modules) != set(self._modules):
            raise ValueError(
                f"the last fit had the networks {sorted(before._modules)}, this one would have "
                f"{sorted(self._modules)}: {advice}"
            )
        for name in self._modules:
            module, state = getattr(self, name + "_"), getattr(before, name + "_").state_dict()
            shapes = [
                {key: tuple(value.shape) for key, value in s.items()}
                for s in (state, module.state_dict())
            ]
            for key in sorted(shapes[0].keys() | shapes[1].keys()):
                old, new = (s.get(key) for s in shapes)
                if old != new:
                    raise ValueError(
                        f"the network {name!r} had {key!r} of shape {old or '(none)'} in the last "
                        f"fit, and would have {new or '(none)'}: {advice}"
                    )
            module.load_state_dict(state)

    def _join(self) -> None:
        """Share the run with the other processes, if there are such."""
        self.group_ = shared_group()
        if self.group_ is None:
            return
        if self.compile:
            raise ValueError("compile=True is not possible in data_parallel: pass compile=False.")
        self._copy_main()

    def _copy_main(self) -> None:
        """Take the weights of the main process: a network may draw its own otherwise."""
        if self.group_ is not None:
            for name in self._modules:
                self.group_.copy_main(getattr(self, name + "_").state_dict().values())

    def _any(self, *flags: bool) -> list[bool]:
        """Whether flags are up in any of the processes that share the run."""
        return list(flags) if self.group_ is None else self.group_.any(*flags)

    def fit_loop(self, X: TensorSource, y=None, epochs=None, **fit_params):
        """Run through the phases, from the checkpoint if there is one."""
        self.source_ = X
        self.deadline_ = math.inf if self.max_time is None else time.monotonic() + self.max_time
        self.checkpointed_at_ = time.monotonic()
        self.iterator_ = self.get_iterator(X, training=True)
        self.phases_ = self.phases()
        if self.warm_ or self.one_epoch_:
            self.phases_ = [phase for phase in self.phases_ if phase.name == CLUSTERING]
        resumed = self._resume()
        while not self.finished_:
            if not resumed:
                self._configure_phase()
                self._take_optimizers()
                self._set_training(True)
                self.begin_phase()
                self._copy_main()
            resumed = False
            while not self._phase_is_over():
                self._run_epoch()
            self._leave_phase()
        if self.one_epoch_:
            self.optimizer_states_ = {
                name: _on_cpu(getattr(self, name + "_").state_dict()) for name in self._optimizers
            }
        return self

    def _take_optimizers(self) -> None:
        """Go on with the optimisers' states of the net before, where it has kept them."""
        states = getattr(self.start_, "optimizer_states_", {}) if self.epochs_before_ else {}
        for name, state in states.items():
            optimizer = getattr(self, name + "_")
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(copy.deepcopy(state))
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Take the epoch's steps, or those that remain of it."""
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            terms = step_fn(batch)
            self.step_count_ += 1
            self.terms_.add(terms)
            self.notify("on_batch_end", batch=batch, training=training, y_pred=None, **terms)
            # Where the phase ends, what is due waits for that: a file never holds a phase that is
            # over in the middle of an epoch.
            last = self.phase_epoch_ + 1 == self.phase_.max_epochs and (
                iterator.position == len(iterator)
            )
            if not (last or self._phase_is_over()):
                self._attend()
            if self._phase_is_over():
                break

    def trim_for_prediction(self):
        """Drop what only training needs: optimisers, batches, targets."""
        for name in self._transient:
            if name != "group_":
                self.__dict__.pop(name, None)
        self._drop_optimizers()
        self.schedulers_ = []
        self._set_training(False)

    def leave_group(self):
        """Let what is computed from now on be this process's own business."""
        self.__dict__.pop("group_", None)

    def __getstate__(self):
        """Leave out what cannot travel, and take modules from the device to the CPU."""
        state = {key: value for key, value in vars(self).items() if key not in self._transient}
        for name in self._modules:
            module = getattr(self, name + "_")
            state[name + "_"] = copy.deepcopy(module).cpu()
        return {
            key: value.cpu() if isinstance(value, Tensor) else value for key, value in state.items()
        }

    def __setstate__(self, state):
        """Go back to the device of the run where there is one, else to the CPU."""
        vars(self).update(state)
        if not is_available(self.device):
            vars(self)["device"] = torch.device("cpu")
        for name in self._modules:
            getattr(self, name + "_").to(self.device)

    # ------------------------------------------------------------------ the loop

    def _configure_phase(self) -> None:
        self.schedulers_ = []
        self._drop_optimizers()
        with self._current_init_context("optimizer"):
            self.configure_phase()

    def _drop_optimizers(self) -> None:
        """Forget the optimisers of a phase, and the gradients that they left."""
        for name in list(self._optimizers):
            delattr(self, name + "_")
        for _, parameter in self.get_all_learnable_params():
            parameter.grad = None

    def _phase_is_over(self) -> bool:
        done = self.phase_epoch_ >= self.phase_.max_epochs
        return done or self.phase_over_ or self.stopped_by_ is not None

    def _run_epoch(self) -> None:
        started = time.monotonic()
        self.notify("on_epoch_begin", dataset_train=self.source_, dataset_valid=None)
        if self.iterator_.position == 0:
            self.begin_epoch()
        self._set_training(True)
        self.run_single_epoch(self.iterator_, True, "train", self.training_step)
        self.iterator_.rewind()
        means = self._mean_terms()
        row = {"phase": self.task_, **means, **self.end_epoch(means)}
        for name, value in row.items():
            self.history.record(name, value)
        self.history.record("seconds", time.monotonic() - started)
        self.terms_ = StepTerms()
        self.notify("on_epoch_end", dataset_train=self.source_, dataset_valid=None)
        self.phase_epoch_ += 1

    def _mean_terms(self) -> dict[str, float]:
        """Read the losses from the device, as means over the steps so far.

        Raises
        ------
        FloatingPointError
            If one is not finite; the message names it, the phase and the epoch.
        """
        means = {name: values.float().mean() for name, values in self.terms_.stacked().items()}
        if self.group_ is not None and means:
            average = self.group_.average(torch.stack(list(means.values())))
            means = dict(zip(means, average, strict=True))
        means = {name: value.item() for name, value in means.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss term {name!r} became {value} in epoch {self.task_epoch_ + 1} of "
                    f"the phase {self.task_!r}. A smaller learning rate may help, or "
                    "precision='float32'."
                )
        return means

    def _leave_phase(self) -> None:
        self.finished_ = self.phase_index_ + 1 == len(self.phases_)
        # Before the next phase begins: it begins alike after resuming. On max_time the file keeps
        # the run as it would go on, not the end that time forces on it.
        if self.stopped_by_ != "max_time":
            self._attend(save=True)
        if self.finished_:
            return
        self.phase_index_ += 1
        self.phase_epoch_ = 0
        self.step_count_ = 0
        self.phase_over_ = False

    def _attend(self, save: bool = False) -> None:
        """Between two steps or phases: the clock, the user, the checkpoint."""
        now = time.monotonic()
        time_is_up = now >= self.deadline_
        due = save or now - self.checkpointed_at_ >= CHECKPOINT_INTERVAL
        interrupted = self.interrupt_.requested
        if self.group_ is not None:
            if not save and self.step_count_ % AGREE_EVERY:
                return
            self._check_draws()
            main = self.group_.is_main  # its clock counts
            time_is_up, due, interrupted = self._any(main and time_is_up, main and due, interrupted)
        if not (time_is_up or interrupted or due):
            return
        if self.checkpoint is not None:
            self._save()
        if interrupted:
            raise KeyboardInterrupt
        if time_is_up and not self.finished_ and self.stopped_by_ is None:
            self.stopped_by_ = "max_time"

    def _check_draws(self) -> None:
        """Look whether the processes have drawn the same random numbers.

        Raises
        ------
        NotImplementedError
            In all of them, if not: they would train different models from here on.
        """
        states = random_state(self.device).values()
        digest = hashlib.blake2b(b"".join(s.cpu().numpy().tobytes() for s in states)).digest()
        if not self.group_.alike(digest):
            raise NotImplementedError(
                "in data_parallel the processes have drawn different random numbers: the network, "
                "or a callback, draws them otherwise than row by row along the first dimension."
            )

    def plain_history(self) -> list[dict]:
        """Return the rows of the history as files take them, without those of batches."""
        return [_plain({k: v for k, v in row.items() if k != "batches"}) for row in self.history]

    # ------------------------------------------------------------------ resuming

    def _save(self) -> None:
        self._mean_terms()  # a diverged run is not worth keeping
        rows = self.plain_history()
        if self.iterator_.position > 0:
            rows = rows[:-1]  # the epoch's row is begun anew after resuming
        state = {
            "seed": self.seed,
            "phase": [self.phase_index_, self.phase_epoch_, self.step_count_, self.phase_over_],
            "finished": self.finished_,
            "stopped_by": self.stopped_by_,
            "history": rows,
            "terms": self._stacked_terms(),
            "modules": {name: getattr(self, name + "_").state_dict() for name in self._modules},
            "optimizers": {
                name: getattr(self, name + "_").state_dict() for name in self._optimizers
            },
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers_],
            "iterator": self.iterator_.state_dict(),
            "random": random_state(self.device),
            "method": self.method_state(),
        }
        self.on_main(lambda: _checkpoint.write(self.checkpoint, state))
        self.checkpointed_at_ = time.monotonic()

    def _stacked_terms(self) -> dict[str, Tensor]:
        """Terms of the epoch's steps so far, as one process would have them."""
        stacked = self.terms_.stacked()
        if self.group_ is None:
            return stacked
        return {name: self.group_.average(values) for name, values in stacked.items()}

    def _resume(self) -> bool:
        """Go to where the checkpoint stands; return whether there was one."""
        if self.checkpoint is None:
            return False
        state = self.on_main(self._read_checkpoint)
        if state is None:
            return False
        try:
            self._load(state)
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            _checkpoint.check_memory(error, self.checkpoint)
            raise _checkpoint.CheckpointError(
                f"the checkpoint {self.checkpoint} is of another run: {error!r}. "
                "Delete it to begin anew."
            ) from error
        if not self.finished_:  # a finished run may be read where nothing can be written
            _checkpoint.check_writable(self.checkpoint)
        return True

    def _read_checkpoint(self) -> dict | None:
        state = _checkpoint.read(self.checkpoint)
        if state is None:
            _checkpoint.check_writable(self.checkpoint)
        return state

    def _load(self, state: dict) -> None:
        self.phase_index_, self.phase_epoch_, self.step_count_, self.phase_over_ = state["phase"]
        self.seed = state["seed"]  # of the run, where random_state=None drew another one now
        self.finished_ = state["finished"]
        self.stopped_by_ = self.stopped_by_ or state["stopped_by"]
        self._configure_phase()
        self.history.extend({**row, "batches": [{}]} for row in state["history"])
        self.terms_ = StepTerms({name: v.to(self.device) for name, v in state["terms"].items()})
        for name, module_state in state["modules"].items():
            getattr(self, name + "_").load_state_dict(module_state)
        for name, optimizer_state in state["optimizers"].items():
            getattr(self, name + "_").load_state_dict(optimizer_state)
        for scheduler, scheduler_state in zip(self.schedulers_, state["schedulers"], strict=True):
            scheduler.load_state_dict(scheduler_state)
        self.iterator_.load_state_dict(state["iterator"])
        self.load_method_state(state["method"])
        set_random_state(state["random"], self.device)


def _on_cpu(value: object) -> object:
    """Copy what an optimiser's state holds to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _on_cpu(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(v) for v in value)
    return value


def _plain(value: object) -> object:
    """Turn what a callback may have recorded into what a file takes."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # of NumPy or torch
        return value.tolist()
    return value if isinstance(value, bool | int | float | str | None) else repr(value)
