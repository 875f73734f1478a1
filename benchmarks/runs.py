"""One row: fit a setting on data, in this process, and say what came out."""

import copy
import json
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _common, data
from benchmarks.estimators import estimator
from benchmarks.extras import EXTRAS
from benchmarks.measure import Watch, phase_seconds
from benchmarks.results import OWN_ENDS, labels_hash, parameters_of, surroundings
from benchmarks.settings import SETTINGS, parameters
from skdeepcluster._base import DeepClusterer
from skdeepcluster.callbacks import ScoreCurve
from skdeepcluster.metrics import balanced_clustering_accuracy, class_recall

#: Parameters of `StatDEC` that its pre-training does not depend on.
_CLUSTERING = {"lam", "weighted_target", "statistics_pooling", "gamma", "update_interval", "tol",
               "max_epochs", "learning_rate"}  # fmt: skip


class Curve(ScoreCurve):
    """Scores also where MMDC's refinement begins: its tables have figures from before."""

    def is_due(self, net):
        begins = getattr(net, "refine_after", None) == net.task_epoch_ + 1
        return begins or super().is_due(net)


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
    params = {"n_clusters": rows.n_classes} | parameters(row["setting"], row["data"]) | row["set"]
    fits = _Fits(SETTINGS[row["setting"]].estimator, params, spec)
    result = {
        "command": spec["command"],
        "row": row,
        "ran": {"setting": row["setting"], "estimator": SETTINGS[row["setting"]].estimator,
                "parameters": parameters_of(fits.named), "seed": row["seed"],
                "max_time": row["max_time"]},
        "on": {"data": row["data"], "sampling": row["sampling"], "protocol": row["protocol"],
               "n": len(rows.X), "n_scored": len(rows.X_scored), "hash": rows.hash()},
    }  # fmt: skip
    before = fits.before = _goes_on_from(spec, result)
    spent = before.get("seconds", {}).get("fit", 0.0)
    fits.bound = np.inf if row["max_time"] is None else row["max_time"] - spent
    fits.budget = np.inf if spec["until"] is None else spec["until"] - time.time()
    with Watch() as watch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = fits.fit(rows)
    reason = _reason(model, fits)
    complete = reason in OWN_ENDS
    joined = rows.X_scored is rows.X
    labels = model.labels_ if joined else model.predict(rows.X_scored)
    scores = scores_of(rows.y_scored, labels)
    if row["sampling"]:
        scores |= recalls_of(rows.y_scored, labels, rows.y)
    out = scores | {
        "seconds": _seconds(watch, fits, before),
        "cpu_s": watch.cpu_s + before.get("cpu_s", 0.0),
        **watch.memory(),
        "epochs": getattr(model, "n_iter_", None),
        "stop_reason": reason,
        "checkpoint": _checkpoint_name(model),
        "sizes": np.bincount(model.labels_, minlength=model.n_clusters).tolist(),
        "labels": labels_hash(labels),
        "curve": curve(fits.history),
        "last_epoch": _measures(fits.history[-1]) if fits.history else {},
        "warnings": [str(w.message) for w in caught if w.category is ConvergenceWarning],
        "more": _more(model, rows, spec, complete),
        "extras": spec["extras"],
    }
    if spec.get("weights") and isinstance(model, DeepClusterer):
        model.save(spec["weights"])
    about = surroundings(_device(model)) | {"graphs": bool(spec.get("graphs"))}
    return result | {"with": about, "out": out, "complete": complete}


def _goes_on_from(spec: dict, result: dict) -> dict:
    """Return what the row's last call gave, if this one goes on from there.

    What it spent is no part of a run that begins anew: without its checkpoint, which may have
    stayed on another machine, or with other defaults or data than then.
    """
    before = spec.get("before") or {}
    name = before.get("out", {}).get("checkpoint")
    if not (name and spec["work"] and (Path(spec["work"]) / name).exists()):
        return {}
    now = json.loads(json.dumps(result))
    return before["out"] if all(before[k] == now[k] for k in ("ran", "on")) else {}


def _use_graphs() -> None:
    """Let compiled passes be replayed as CUDA graphs, one for each size of a batch."""
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.triton.cudagraphs = True
    torch._dynamo.config.automatic_dynamic_shapes = False


class _Fits:
    """The estimator of a row, and how it is fitted within its time."""

    bound = budget = np.inf  # seconds: the row's, the call's

    def __init__(self, name, params, spec):
        self.spec, self.before = spec, {}
        self.cls = estimator(name)
        self.params = params | {"random_state": spec["row"]["seed"]}
        if issubclass(self.cls, DeepClusterer):
            self.params |= {"device": spec["row"]["device"], "precision": spec["row"]["precision"],
                            "checkpoint": spec["work"],
                            "compile": bool(spec.get("graphs"))}  # fmt: skip
        else:
            known = self.cls().get_params()
            self.params = {k: v for k, v in self.params.items() if k in known}
        self.named = self.cls(**self.params)  # as a user would write it
        self.history = []
        self.found = 0.0  # seconds of a pre-training that was there already

    def fit(self, rows):
        if not issubclass(self.cls, DeepClusterer):
            return self.named.fit(rows.X)
        if self.cls.__name__ == "StatDEC":
            return self._fit_statdec(rows)
        return self._fit(self.params, rows)

    def _fit(self, params, rows):
        joined = rows.X_scored is rows.X
        curve = [Curve(rows.y, self.spec["every"])] if joined and self.spec["every"] else []
        seconds = min(self.bound, self.budget)
        limit = None if seconds == np.inf else max(0.1, seconds)
        model = self.cls(**params, max_time=limit, callbacks=curve).fit(rows.X)
        self.history += model.history_
        return model

    def _fit_statdec(self, rows):
        """Settings that share an autoencoder start from the same one, a seed.

        Its checkpoint is what the next one finds it by: a run that had finished returns at once.
        """
        if not self.spec["work"]:
            return self._fit(self.params, rows)
        started = time.monotonic()
        shared = {k: v for k, v in self.params.items() if k not in _CLUSTERING} | {"max_epochs": 0}
        first = self._fit(shared, rows)
        elapsed = time.monotonic() - started
        if not self.before:  # else it is in what was spent
            trained = sum(phase_seconds(first.history_).values())
            self.found = max(0.0, trained - elapsed)
        if first.net_.stopped_by_ == "max_time" or self.params.get("max_epochs") == 0:
            return first
        start = {"network": _copies(first.net_.module_), "layerwise_epochs": 0,
                 "pretrain_epochs": 0}  # fmt: skip
        self.bound -= elapsed + self.found
        self.budget -= elapsed
        model = self._fit(self.params | start, rows)
        if model.statistics_pooling:  # the shared network is the one that its name stands for
            model.set_params(**{name: getattr(self.named, name) for name in start})
        return model


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
    if net.stopped_by_ == "max_time":
        return "max_time" if fits.bound <= fits.budget else "budget"
    return net.stopped_by_ or ("converged" if net.phase_over_ else "max_epochs")


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


def _more(model, rows, spec, complete):
    """Other scores of the run, where it came to its end."""
    if not complete:
        return {}
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


def child_main(spec_file: str, out_file: str) -> None:
    """What a child process does."""
    found = answer(json.loads(Path(spec_file).read_text()))
    Path(out_file).write_text(json.dumps(found))
