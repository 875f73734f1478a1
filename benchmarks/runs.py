"""One row: fit a setting on data, in this process, and say what came out."""

import copy
import hashlib
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from benchmarks import _common, data
from benchmarks.estimators import RotNet, estimator
from benchmarks.extras import EXTRAS
from benchmarks.measure import Watch, phase_seconds
from benchmarks.results import (
    IN_PRETRAINING,
    INCIDENTAL,
    OWN_ENDS,
    as_asked,
    labels_hash,
    parameters_of,
    plain,
    surroundings,
)
from benchmarks.settings import SETTINGS, parameters
from skdeepcluster._base import DeepClusterer
from skdeepcluster._files import write_whole
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.metrics import balanced_clustering_accuracy, class_recall

#: Parameters of `StatDEC` that its pre-training does not depend on.
_CLUSTERING = {"lam", "weighted_target", "statistics_pooling", "gamma", "update_interval", "tol",
               "max_epochs", "learning_rate"}  # fmt: skip


class Curve(ScoreCurve):
    """Scores within the time of a call, and also where MMDC's refinement begins.

    MMDC's tables have figures from before that. `ends` is the moment (`time.monotonic()`) at which
    the fit must have ended.
    """

    def __init__(self, y_true, every=1, ends=math.inf):
        super().__init__(y_true, every)
        self.ends = ends

    def is_due(self, net):
        if time.monotonic() >= self.ends:
            return False
        begins = getattr(net, "refine_after", None) == net.task_epoch_ + 1
        return begins or super().is_due(net)


class Bound(Callback):
    """Ends a fit when its own seconds, over all calls, or those of this call are over.

    A checkpoint may be of a call that was ended from outside, and left nothing else: what was spent
    is in the history that comes with it. What scoring takes is added to a fit's own time
    (:class:`~skdeepcluster.callbacks.ScoreCurve`), but not beyond the call's.

    Parameters
    ----------
    whole : float
        Seconds of training, over all calls.
    ends : float
        The moment (`time.monotonic()`) at which the call must have ended.

    Attributes
    ----------
    spent : float or None
        Seconds that earlier calls took; None if nothing was left to do.
    """

    def __init__(self, whole: float, ends: float):
        self.whole = whole
        self.ends = ends
        self.spent = None

    def on_epoch_begin(self, net, **kwargs):
        if self.spent is None:
            self.spent = sum(row.get("seconds", 0.0) for row in net.history)
            left = self.whole - self.spent
            net.deadline_ = min(net.deadline_, time.monotonic() + left, self.ends)

    def on_epoch_end(self, net, **kwargs):
        net.deadline_ = min(net.deadline_, self.ends)

    def is_of_call(self, net) -> bool:
        """Whether it is the call, and not the fit's own time, that bounds it."""
        return net.deadline_ == self.ends


def answer(spec: dict) -> dict:
    """Run a row until its end or that of its time.

    Parameters
    ----------
    spec : dict
        "row" (setting, set, data, sampling, protocol, n, seed, device, precision, threads,
        max_time) says what; "folder", "work", "every", "extras", "until" (`time.time()` when the
        fit must have ended: also what comes before this call takes time), "before" (what the row's
        last call gave), "weights" (a file to save the model to) say how.

    Returns
    -------
    dict
        The row as `results` has it.
    """
    row = spec["row"]
    torch.set_num_threads(row["threads"])
    torch.backends.cudnn.benchmark = True  # shapes do not change
    if spec.get("graphs"):
        _use_graphs()
    rows = data.select(row["data"], spec["folder"], n=row["n"], sampling=row["sampling"],
                       protocol=row["protocol"], seed=row["seed"])  # fmt: skip
    fits = _Fits(spec, rows.n_classes)
    result = {"command": spec["command"], "row": row, "ran": what(row, rows.n_classes),
              "on": on_what(row, rows)}  # fmt: skip
    before = _goes_on_from(spec, result)
    budget = math.inf if spec["until"] is None else spec["until"] - time.time()
    with Watch() as watch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = fits.fit(rows, before, budget)
    result["ran"] |= {"shared_autoencoder": fits.shared, "resolved": resolved(model)}
    reason = _reason(model, fits)
    joined = rows.X_scored is rows.X
    labels = model.labels_ if joined else model.predict(rows.X_scored)
    scores = scores_of(rows.y_scored, labels)
    if row["sampling"]:
        scores |= recalls_of(rows.y_scored, labels, rows.y)
    out = scores | {
        "seconds": _seconds(watch, fits, before),
        **(fits.costs() or {"cpu_s": watch.cpu_s, **watch.memory()}),
        "epochs": _epochs(model),
        "stop_reason": reason,
        "checkpoint": _checkpoint_name(model),
        "sizes": np.bincount(model.labels_, minlength=model.n_clusters).tolist(),
        "labels": labels_hash(labels),
        "curve": curve(fits.history),
        "last_epoch": _measures(fits.history[-1]) if fits.history else {},
        "warnings": [str(w.message) for w in caught if w.category is ConvergenceWarning],
        "more": {} if reason == "budget" else _more(model, rows, spec),
        "extras": spec["extras"],
    }
    if spec.get("weights") and isinstance(model, DeepClusterer):
        model.save(spec["weights"])
    about = surroundings(_device(model)) | {"graphs": bool(spec.get("graphs"))}
    return result | {"with": about, "out": out, "complete": reason in OWN_ENDS}


def what(row: dict, n_classes: int) -> dict:
    """What a row is to run: "ran" of its result, but for what is only known afterwards."""
    cls, params = _parameters(row, n_classes)
    return {"setting": row["setting"], "estimator": SETTINGS[row["setting"]].estimator,
            "parameters": parameters_of(cls(**params)), "seed": row["seed"],
            "max_time": row["max_time"]}  # fmt: skip


def on_what(row: dict, rows: data.Data) -> dict:
    """On what a row is to run: "on" of its result."""
    return {"data": row["data"], "sampling": row["sampling"], "protocol": row["protocol"],
            "n": len(rows.X), "n_scored": len(rows.X_scored), "hash": rows.hash()}  # fmt: skip


def _parameters(row, n_classes):
    """A row's estimator, and what a user would give it."""
    cls = estimator(SETTINGS[row["setting"]].estimator)
    params = {"n_clusters": n_classes} | parameters(row["setting"], row["data"]) | row["set"]
    params |= {"precision": row["precision"], "random_state": row["seed"]}
    if issubclass(cls, DeepClusterer):
        return cls, params
    known = cls().get_params()
    return cls, {k: v for k, v in params.items() if k in known}


def _goes_on_from(spec: dict, result: dict) -> dict:
    """Return what the row's last call gave, if this one goes on from there.

    What it spent is no part of a run that begins anew: without its checkpoint, which may have
    stayed on another machine, or with other defaults or data than then.
    """
    before = spec.get("before") or {}
    name = before.get("out", {}).get("checkpoint")
    if not (name and spec["work"] and (_checkpoints(spec) / name).exists()):
        return {}
    return before["out"] if as_asked(before, result) else {}


def _checkpoints(spec: dict) -> Path:
    """Return the folder of the checkpoints that a row may go on from, or begin with.

    Its runs have the same time, threads and device: what they took is the row's, too.
    """
    how = {name: spec["row"][name] for name in ("max_time", "threads", "device", "precision")}
    how["graphs"] = bool(spec.get("graphs"))
    digest = hashlib.blake2b(json.dumps(how, sort_keys=True).encode(), digest_size=6)
    return Path(spec["work"]) / digest.hexdigest()


def _use_graphs() -> None:
    """Let compiled passes be replayed as CUDA graphs, one for each size of a batch."""
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.triton.cudagraphs = True
    torch._dynamo.config.automatic_dynamic_shapes = False


class _Fits:
    """The estimator of a row, and how it is fitted within its time."""

    def __init__(self, spec, n_classes):
        self.spec, row = spec, spec["row"]
        self.cls, self.params = _parameters(row, n_classes)
        self.named = self.cls(**self.params)  # as a user would write it
        self.whole = math.inf if row["max_time"] is None else row["max_time"]
        if issubclass(self.cls, DeepClusterer):
            work = _checkpoints(spec) if spec["work"] else None
            self.params |= {"device": row["device"], "checkpoint": work,
                            "compile": bool(spec.get("graphs"))}  # fmt: skip
        self.history = []
        self.found = 0.0  # seconds of a pre-training that was there already
        self.shared = False  # whether clustering began from an autoencoder of other settings, too
        self.overdue = False  # whether that autoencoder had taken more than the row's time
        self.by_budget = False  # whether the call, and not the row, bounds the last fit
        self._costs = []

    def fit(self, rows, before, budget):
        """Fit within the row's and the call's seconds, going on from what was there before."""
        self.ends = time.monotonic() + budget
        if not issubclass(self.cls, DeepClusterer):
            return self.named.fit(rows.X)
        bound = self.whole - before.get("seconds", {}).get("fit", 0.0)
        if self.cls.__name__ == "StatDEC" and self.spec["work"]:
            return self._fit_statdec(rows, before, bound)
        return self._fit(self.params, rows, bound, self.whole)

    def _fit(self, params, rows, bound, whole):
        """Fit for `bound` seconds, or less if there were calls that left nothing but `whole`'s."""
        joined = rows.X_scored is rows.X
        scored = joined and self.spec["every"]
        curve = [Curve(rows.y, self.spec["every"], self.ends)] if scored else []
        ending = Bound(whole, self.ends)
        seconds = min(bound, self.ends - time.monotonic())
        limit = None if seconds == math.inf else max(0.1, seconds)
        with Watch() as watch:
            model = self.cls(**params, max_time=limit, callbacks=[*curve, ending]).fit(rows.X)
        self.by_budget = ending.is_of_call(model.net_)
        self.history += model.history_
        self._costs.append(_costs_of_all_calls(model, watch, ending.spent))
        return model

    def _fit_statdec(self, rows, before, bound):
        """Settings that share an autoencoder start from the same one, a seed.

        Its checkpoint is what the next one finds it by: a run that had finished returns at once.
        """
        started = time.monotonic()
        shared = {k: v for k, v in self.params.items() if k not in _CLUSTERING} | {"max_epochs": 0}
        first = self._fit(shared, rows, bound, self.whole)
        elapsed = time.monotonic() - started
        trained = sum(phase_seconds(first.history_).values())
        if not before:  # else it is in what was spent
            self.found = max(0.0, trained - elapsed)
        bound -= elapsed + self.found
        if first.net_.stopped_by_ == "max_time" or self.params.get("max_epochs") == 0:
            return first
        self.overdue = bound <= 0 and not before
        if self.overdue:
            return first
        start = {"network": _copies(first.net_.module_), "layerwise_epochs": 0,
                 "pretrain_epochs": 0}  # fmt: skip
        self.shared = True
        model = self._fit(self.params | start, rows, bound, self.whole - trained)
        if model.statistics_pooling:  # the shared network is the one that its name stands for
            model.set_params(**{name: getattr(self.named, name) for name in start})
        return model

    def costs(self):
        """Processor seconds and peak memory of all fits, over all calls; empty without a fit."""
        if not self._costs:
            return {}
        cpu = [each["cpu_s"] for each in self._costs]
        memory = {k: max(each[k] for each in self._costs) for k in self._costs[0] if k != "cpu_s"}
        return {"cpu_s": None if None in cpu else sum(cpu), **memory}


def _costs_of_all_calls(model, watch, spent):
    """What a fit took, over all calls: beside its checkpoint is what the earlier ones took.

    `spent` is the seconds of training that there were when it began, None for all of them. If not
    all of these are accounted for, since a call was ended from outside, `cpu_s` is None.
    """
    found = {"cpu_s": watch.cpu_s, **watch.memory()}
    name, folder = _checkpoint_name(model), model.checkpoint
    if name is None:
        return found
    path = Path(folder) / f"{name}.costs.json"
    earlier = json.loads(path.read_text()) if path.exists() else {"seconds": 0.0, "cpu_s": 0.0}
    trained = sum(phase_seconds(model.history_).values())
    missing = (trained if spent is None else spent) - earlier.pop("seconds")
    cpu = earlier.pop("cpu_s")
    found["cpu_s"] = None if cpu is None or missing > 1.0 else cpu + found["cpu_s"]
    found |= {k: max(v, found.get(k, v)) for k, v in earlier.items() if k != "start_mb"}
    if spent is not None:  # else this call did but look
        write_whole(path, [json.dumps({"seconds": trained, **found}).encode()])
    return found


def resolved(model) -> dict:
    """What a fit has chosen where a parameter was left to it ("auto"), as JSON has it."""
    net = getattr(model, "net_", None)
    if net is None:
        return {}
    names = {"learning_rate": "lr"}
    automatic = [k for k, v in model.get_params(deep=False).items() if isinstance(v, str)
                 and v == "auto" and k not in INCIDENTAL]  # fmt: skip
    found = {k: getattr(net, names.get(k, k)) for k in automatic if hasattr(net, names.get(k, k))}
    if isinstance(getattr(net, "module_", None), torch.nn.Module):
        found["network"] = type(net.module_).__name__
    return {k: plain(v) for k, v in found.items()}


def _copies(module):
    """What builds copies of a trained network, whatever the shape of an input."""

    def network(shape):
        return copy.deepcopy(module)

    return network


def _reason(model, fits):
    """Why a run ended."""
    net = getattr(model, "net_", None)
    if net is None:
        return "itself"
    if fits.overdue:
        return IN_PRETRAINING
    if net.stopped_by_ == "max_time":
        if fits.by_budget:
            return "budget"
        return "max_time" if _epochs(model) or fits.named.max_epochs == 0 else IN_PRETRAINING
    return net.stopped_by_ or ("converged" if net.phase_over_ else "max_epochs")


def _epochs(model):
    """Epochs of the clustering; RotNet has none, and learns in all of its epochs."""
    if isinstance(model, RotNet):
        return len(model.history_)
    return getattr(model, "n_iter_", None)


def scores_of(y, labels) -> dict[str, float]:
    """ACC, NMI, ARI and balanced ACC."""
    return _common.scores(y, labels) | {"balanced_acc": balanced_clustering_accuracy(y, labels)}


def recalls_of(y, labels, y_fitted) -> dict:
    """Recall of each class, and its mean over the three that are rarest where the run was fitted.

    Of classes of one size the last ones count as the rarest, as in the samplings.
    """
    recall = class_recall(y, labels)
    sizes = np.unique(y_fitted, return_counts=True)[1]
    rarest = sorted(range(len(sizes)), key=lambda label: (sizes[label], -label))[:3]
    return {"recall": recall.tolist(), "recall_smallest": float(recall[rarest].mean())}


def _seconds(watch, fits, before):
    """By phase, and of `fit` whole, without what scoring took; over all calls of the row."""
    scoring = sum(row.get("scoring_seconds", 0.0) for row in fits.history)
    earlier = before.get("seconds", {})
    now = watch.seconds - max(0.0, scoring - earlier.get("scoring", 0.0)) + fits.found
    phases = phase_seconds(fits.history)
    whole = earlier.get("fit", 0.0) + max(0.0, now)
    # A call that was ended from outside may have left a checkpoint and no row
    return phases | {"scoring": scoring, "fit": max(whole, sum(phases.values()))}


def curve(history: list[dict]) -> list[dict]:
    """Scores by epoch, with the seconds of training so far and the method's own measures."""
    found, seconds = [], 0.0
    for epoch, row in enumerate(history, start=1):
        seconds += row["seconds"]
        if "acc" in row:
            found.append(_measures(row) | {"epoch": epoch, "seconds": seconds})
    return found


def _measures(row):
    """Numbers of an epoch, and how many rows its clusters and targets have."""
    sizes = {k: row[k] for k in ("cluster_sizes", "target_sizes") if k in row}
    numbers = {k: v for k, v in row.items() if isinstance(v, int | float)}
    return {k: v for k, v in (numbers | sizes).items() if k != "scoring_seconds"}


def _more(model, rows, spec):
    """Other scores of the run."""
    found = {}
    for name in spec["extras"]:
        found |= EXTRAS[name](model, rows, spec["row"]["seed"])
    net = getattr(model, "net_", None)
    if getattr(net, "refine_after", None):
        due = [r for r in curve(model.history_) if r["epoch"] == net.refine_after * net.n_tasks]
        if due:
            found["before refinement"] = {k: due[0][k] for k in ("acc", "nmi", "ari")}
    return found


def _checkpoint_name(model):
    """File of the run's state, in the folder for that; None if there is none."""
    path = getattr(getattr(model, "net_", None), "checkpoint", None)
    return None if path is None else path.name


def _device(model):
    net = getattr(model, "net_", None)
    return "cpu" if net is None else net.device.type
