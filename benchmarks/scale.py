"""How time and memory grow: by rows, features, clusters, and the side of images, one at a time.

Each fit is one epoch of each phase, in a process of its own, on clusters of random numbers: 10,000
rows of 64 features in 10 clusters but for what is varied, and `--images` grey images where that is
their side, all in a memory map. Reported are the seconds of `fit`, and the peak of the anonymous
memory above what there is once torch is imported, and nothing else: scikit-learn and the package
count, pages of the map do not. A fit that took longer than `--timeout` is kept as cut short, and
tried again only with more.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

# What imports more than torch is imported where it is needed: see `answer`
from benchmarks import child
from benchmarks.measure import Watch, anonymous_mb, phase_seconds

BASE = {"n": 10_000, "d": 64, "k": 10}
FACTORS = {
    "n": (1_000, 10_000, 100_000, 1_000_000),
    "d": (16, 64, 256, 1_024, 4_096),
    "k": (2, 10, 100, 1_000),
    "side": (8, 16, 32, 64, 128),
}

#: One epoch of each phase, and networks that do not depend on the size of a row.
BRIEF = {
    "StatDEC": {"layerwise_epochs": 1, "pretrain_epochs": 1, "tol": 0},
    "DCCS": {"tol": 0, "n_init": 1},
    "VariationalGMMClustering": {"n_init": 1, "hidden_sizes": (500, 500)},
    "MMDC": {"refine_after": None},
}

#: The same for sides: small images would get a smaller encoder and critic.
IMAGES = {"DCCS": {"network": "residual", "n_style": 50, "critic_sizes": (1024, 512)}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", nargs="+", default=[*BRIEF], choices=BRIEF)
    parser.add_argument("--factors", nargs="+", default=[*FACTORS], choices=FACTORS)
    parser.add_argument("--values", type=int, nargs="+", help="of the factors, not the usual ones")
    parser.add_argument("--images", type=int, default=2_000, help="how many, where sides vary")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--budget", type=float, help="seconds, after which what runs is ended")
    parser.add_argument("--timeout", type=float, help="seconds of a fit, which then is ended")
    parser.add_argument("--results", help="folder of the result files")


def main(args: argparse.Namespace) -> int:
    from benchmarks import costs
    from benchmarks.results import Results
    from skdeepcluster._training._device import resolve_device

    started = time.monotonic()
    if args.device == "auto":
        args.device = resolve_device("auto").type
    results, failed = Results("scale", args.results), 0
    todo = [_row(method, factor, value, args) for factor in args.factors
            for value in args.values or FACTORS[factor] for method in args.methods]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        rows, written = Path(folder) / "rows.npy", None
        for row in todo:
            spent = time.monotonic() - started
            left = None if args.budget is None else args.budget - spent
            present = results.find(row)
            if _is_known(present, args.timeout) or (left is not None and left <= 0):
                continue
            if written != row["where"]:
                _write_rows(rows, **row["where"])
                written = row["where"]
            bounds = [bound for bound in (left, args.timeout) if bound is not None]
            bound = min(bounds, default=None)
            print(row["method"], row["factor"], row["value"], flush=True)
            try:
                result = child.run("scale-row", {"row": row, "map": str(rows)}, bound)
            except child.ChildFailed as error:
                failed += 1
                if isinstance(error, child.OutOfTime) and not _is_known(present, bound):
                    results.put(_cut_short(row, rows, bound))
                print(f"  no result: {error}", flush=True)
                continue
            results.put(result)
            print(f"  {result['out']}", flush=True)
    print("\n".join(costs.scale(args.results)))
    return failed


def _row(method, factor, value, args):
    images = {"n": args.images, "side": value, "k": BASE["k"]}
    where = images if factor == "side" else BASE | {factor: value}
    return {"method": method, "factor": factor, "value": value, "where": where,
            "device": args.device, "precision": args.precision,
            "threads": args.threads}  # fmt: skip


def _is_known(row, timeout):
    """Whether a fit came to its end, or took longer than it would be given now."""
    if row is None or row["complete"]:
        return row is not None
    return timeout is not None and row["out"]["seconds"] >= timeout


def _cut_short(row, rows, seconds):
    """A row of a fit that had to be ended."""
    out = {"seconds": seconds, "stop_reason": "budget"}
    return _result(row, _estimator(row), np.load(rows, mmap_mode="r"), row["device"], out, False)


def _write_rows(path, n, k, d=None, side=None, block=100_000):
    """Rows in clusters as a file, block by block; or images with a side."""
    if side is not None:
        X = _blobs(n, side**2, k)
        X = (X - X.min()) / (X.max() - X.min()) * 255
        np.save(path, X.astype(np.uint8).reshape(n, side, side))
        return
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    for start in range(0, n, block):
        X[start : start + block] = _blobs(min(block, n - start), d, k, start)
    X.flush()


def _blobs(n, d, k, seed=0):
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).normal(size=(k, d)).astype(np.float32) * 2
    X = rng.standard_normal((n, d), np.float32)
    X += centers[rng.integers(k, size=n)]
    return X


def answer(spec: dict) -> dict:
    """Measure one fit, in this process."""
    torch_mb = anonymous_mb()  # before scikit-learn and the package are imported
    from benchmarks.results import labels_hash

    row = spec["row"]
    torch.set_num_threads(row["threads"])
    X = np.load(spec["map"], mmap_mode="r")
    model = _estimator(row)
    with Watch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    out = {
        "seconds": watch.seconds,
        "cpu_s": watch.cpu_s,
        "phases_s": phase_seconds(model.history_),
        "peak_mb_above_torch": watch.peak_mb - torch_mb,
        "torch_mb": torch_mb,
        **watch.memory(),
        "epochs": len(model.history_),
        "labels": labels_hash(model.labels_),
        "stop_reason": "itself",
    }
    return _result(row, model, X, model.net_.device.type, out, True)


def _estimator(row):
    import skdeepcluster

    method = row["method"]
    params = BRIEF[method] | (IMAGES.get(method, {}) if row["factor"] == "side" else {})
    return getattr(skdeepcluster, method)(
        row["where"]["k"], **params, max_epochs=1, device=row["device"],
        precision=row["precision"], random_state=0,
    )  # fmt: skip


def _result(row, model, X, device, out, complete):
    from benchmarks.data import hash_of
    from benchmarks.results import parameters_of, surroundings

    return {
        "command": "scale",
        "row": row,
        "ran": {"estimator": row["method"], "parameters": parameters_of(model), "seed": 0},
        "on": {"data": "clusters of random numbers", "n": len(X), "hash": hash_of(X)},
        "with": surroundings(device),
        "out": out,
        "complete": complete,
    }
