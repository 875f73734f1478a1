"""Images a second, training and predicting: ours, a loop by hand, bare passes, the machine's peak.

They take turns, an epoch each, in one process, so that what else the machine does meets them alike.
The peak is that of matrix products in the same precision. Reported are medians, by the clock and of
the processor, and the share of the peak that the FLOP of an epoch, counted by torch, come to. For
DCCS there is the loop on batches that were augmented before, too;
`--loader` adds a `DataLoader` that transforms one image after another. `IDEC` is StatDEC with
neither weighted target nor pooling; epochs of both have as many images as it takes for the target
to be refreshed as often as in a long training.
"""

import argparse
import itertools
import subprocess
import sys
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

import skdeepcluster
from benchmarks import costs
from benchmarks.data import hash_of, load
from benchmarks.loops import LOOPS, PreparedLoop
from benchmarks.measure import Products, synchronize
from benchmarks.results import Results, parameters_of, surroundings
from benchmarks.settings import SETTINGS
from skdeepcluster._training._device import resolve_device, resolve_precision

_STATDEC = {"layerwise_epochs": 0, "pretrain_epochs": 0, "tol": 0, "update_interval": 80}

#: What makes an estimator train its clustering epochs and nothing else.
ONLY = {
    "StatDEC": _STATDEC,
    "IDEC": _STATDEC | SETTINGS["IDEC"].params,
    "DCCS": {"tol": 0, "n_init": 1},
    "VariationalGMMClustering": {"n_init": 1, "posterior_mass": 1.0},  # as by hand
    "MMDC": {"refine_after": None},
}

#: Images in an epoch, in batches of one size. Twice in 161 steps StatDEC refreshes its target.
IMAGES = {"StatDEC": 161 * 256, "IDEC": 161 * 256}
OTHER_IMAGES = 39 * 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", nargs="+", default=[*LOOPS], choices=LOOPS)
    parser.add_argument("--dataset", default="mnist", help="of 8-bit grey images, or digits")
    parser.add_argument("--n", type=int, help="images in an epoch; by method if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", nargs="+", help="cpu, cuda or auto; CPU, and CUDA if there is")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--loader", action="store_true", help="DCCS with a DataLoader, too")
    parser.add_argument("--imports", action="store_true", help="time the package's import, too")
    parser.add_argument("--results", help="folder of the result files")


def main(args: argparse.Namespace) -> int:
    torch.set_num_threads(args.threads)
    rows, _ = load(args.dataset, args.data)
    results = Results("speed", args.results)
    names = args.device or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device, precision in itertools.product(map(resolve_device, names), args.precisions):
        for method in args.methods:
            X = _images(rows, args.n or IMAGES.get(method, OTHER_IMAGES))
            row = {"method": method, "data": args.dataset, "n": len(X), "device": device.type,
                   "precision": precision, "threads": args.threads}  # fmt: skip
            out = measure(method, X, device, precision, args.rounds, args.loader)
            model = _estimator(method, device, precision, max_epochs=2)
            ran = {"estimator": type(model).__name__, "parameters": parameters_of(model), "seed": 0}
            on = {"data": args.dataset, "n": len(X), "hash": hash_of(X)}
            results.put(_result(row, out, device, ran=ran, on=on))
            print(method, device.type, precision, out, flush=True)
    if args.imports:
        row = {"method": "import", "threads": args.threads}
        results.put(_result(row, importing(3 * args.rounds), torch.device("cpu")))
    print("\n".join(costs.speed(args.results)))
    return 0


def _images(rows, n):
    """The first 8-bit images; of digits, whose grey values are 0 to 16, such."""
    return rows[:n] if rows.dtype == np.uint8 else (rows[:n] * 15.9).astype(np.uint8)


def _result(row, out, device, **about):
    return {"command": "speed", "row": row, **about, "with": surroundings(device.type),
            "out": out | {"stop_reason": "itself"}, "complete": True}  # fmt: skip


def measure(method, X, device, precision, rounds, loader=False) -> dict:
    """Medians over the rounds; what comes before warms up."""
    dtype = resolve_precision(precision, device)
    model = _estimator(method, device, precision, max_epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X)
        flop = {"ours": _flop(method, X, device, precision)}
    loop = LOOPS[method](model, X, dtype)
    products = Products(dtype, device)
    training = {
        "ours": lambda: _epoch(method, X, device, precision),
        "by_hand": _timed(loop.epoch, device),
        "passes": _timed(loop.passes, device),
        "products": _timed(products, device),
    }
    loop.epoch()  # whose first step is not like those of an epoch that is timed
    flop |= {"by_hand": _counted(loop.epoch), "passes": _counted(loop.passes)}
    if method == "DCCS":
        ready = PreparedLoop(model, X, dtype)
        training["augmented"] = _timed(ready.epoch, device, ready.prepare)
    if loader and method == "DCCS":
        from benchmarks.loader import LoaderLoop

        training["loader"] = _timed(LoaderLoop(model, X, dtype).epoch, device)
    single = Products(torch.float32, device)  # in which all predict, whatever they trained in
    predicting = {
        "ours": _timed(lambda: model.predict(X), device),
        "by_hand": _timed(loop.predict, device),
        "passes": _timed(loop.forward_passes, device),
        "products": _timed(single, device),
    }
    forward = _counted(loop.forward_passes)  # ours has a last batch that is filled up, beside it
    return {
        "training": _rates(training, rounds, len(X), flop, products),
        "predicting": _rates(predicting, rounds, len(X), dict.fromkeys(predicting, forward),
                             single),
        "rounds": rounds,
    }  # fmt: skip


def _rates(candidates, rounds, images, flop, products):
    """Times, rates, and shares of the peak that was measured in the same turns."""
    seconds, cpu = _medians(candidates, rounds)
    peak = products.flop / seconds.pop("products")
    cpu.pop("products")
    return {
        "seconds": seconds,
        "cpu_s": cpu,
        "images_per_s": {name: images / s for name, s in seconds.items()},
        "flop_per_image": flop["ours"] / images,
        "share_of_peak": {k: flop[k] / s / peak for k, s in seconds.items() if k in flop},
        "peak_flops": peak,
    }


def _estimator(method, device, precision, **more):
    cls = getattr(skdeepcluster, SETTINGS[method].estimator if method in SETTINGS else method)
    params = ONLY[method] | {"device": str(device), "precision": precision, "random_state": 0}
    return cls(10, **params | more)


def _epoch(method, X, device, precision):
    """Seconds of the second epoch of a fit: the first one warms up."""
    processor = _Processor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _estimator(method, device, precision, max_epochs=2, callbacks=[processor]).fit(X)
    return model.history_[-1]["seconds"], processor.seconds


class _Processor(Callback):
    """Seconds of the processor, over all threads, in the last epoch."""

    def on_epoch_begin(self, net, **kwargs):
        self.started = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        self.seconds = time.process_time() - self.started

    def __deepcopy__(self, memo):  # the one that looked on is asked
        return self


class _CountFlop(Callback):
    """Count the FLOP of each epoch, forward and backward."""

    def on_epoch_begin(self, net, **kwargs):
        self.counter = FlopCounterMode(display=False)
        self.counter.__enter__()

    def on_epoch_end(self, net, **kwargs):
        self.counter.__exit__(None, None, None)
        self.total = self.counter.get_total_flops()

    def __deepcopy__(self, memo):  # the one that counted is asked
        return self


def _flop(method, X, device, precision, **more):
    counter = _CountFlop()
    _estimator(method, device, precision, max_epochs=1, callbacks=[counter], **more).fit(X)
    return counter.total


def _counted(function):
    """FLOP of a call."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def _timed(function, device, prepare=None):
    """Return what measures a call by the clock and of the processor."""

    def run():
        if prepare:
            prepare()
        synchronize(device)
        started, processor = time.perf_counter(), time.process_time()
        function()
        synchronize(device)
        return time.perf_counter() - started, time.process_time() - processor

    return run


def _medians(candidates, rounds):
    """Seconds of each, in turns: two dicts, by the clock and of the processor."""
    seconds = {name: [] for name in candidates}
    for _ in range(1 + rounds):
        for name, run in candidates.items():
            seconds[name].append(run())
    medians = {name: np.median(values[1:], axis=0) for name, values in seconds.items()}
    return tuple({name: float(both[i]) for name, both in medians.items()} for i in (0, 1))


def importing(rounds: int) -> dict:
    """Import of torch and scikit-learn, without and with the package after them."""
    base = "import time; t = time.perf_counter(); import torch, sklearn.cluster"
    codes = {"base": base, "both": f"{base}; import skdeepcluster"}
    seconds = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            command = [sys.executable, "-c", f"{code}; print(time.perf_counter() - t)"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[name].append(float(done.stdout))
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {"seconds": medians, "ratio": medians["both"] / medians["base"]}
