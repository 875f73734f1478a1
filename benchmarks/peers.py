"""Other packages and ours on the same rows, epochs and seeds: in processes that take turns.

The peers run in an environment of their own (`pip install ".[peers]"` there), whose interpreter is
given. Layers, batch size and numbers of epochs are equal on both sides where both have them; no
layer-wise pre-training and no early end on ours. `VGMM` has no pre-training, and gets the epochs of
both phases of VaDE's. What is there already is not run again.
"""

import argparse
import functools
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import child, data
from benchmarks.papers import add_running, cut_short, row_of, run_rows
from benchmarks.report import peers as peers_table
from benchmarks.results import Results, finished, labels_hash, surroundings
from benchmarks.runs import scores_of

LAYERS = (500, 500, 2000)
BATCH_SIZE = 256

#: In turns, each beside what it is compared with.
METHODS = ("ClustPy IDEC", "IDEC", "ClustPy DEC", "DEC", "ClustPy DCN", "StatDEC-1",
           "ClustPy VaDE", "VGMM", "DCCS", "MMDC", "KMeans", "MiniBatchKMeans",
           "GaussianMixture", "UMAP + HDBSCAN")  # fmt: skip
OURS = ("IDEC", "DEC", "StatDEC-1", "VGMM", "DCCS", "MMDC")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", default="python", help="interpreter of the peers' environment")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--n", type=int, help="the first so many rows; all if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--pretrain-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--layers", type=int, nargs="+", default=LAYERS)
    parser.add_argument("--precisions", nargs="+", choices=["auto", "float32", "bfloat16"],
                        help="of ours, in the same turns; not given: --precision")  # fmt: skip
    add_running(parser)


def main(args: argparse.Namespace) -> int:
    args.work, args.every, args.max_time = None, 0, None  # whole fits, and nothing else, are timed
    args.precisions = args.precisions or [args.precision]
    deadline = None if args.budget is None else time.monotonic() + args.budget
    failed = 0
    for seed in range(args.seeds):
        for method in args.methods:
            if deadline is not None:
                args.budget = deadline - time.monotonic()
                if args.budget <= 0:
                    break
            ours = [_row(method, args, seed, precision) for precision in args.precisions]
            if method in OURS:
                failed += len(run_rows(ours, args, "peers"))
            else:
                failed += _run_peer(ours[0], args)
    print("\n".join(peers_table(args.results)))
    return failed


def _row(method, args, seed, precision):
    schedule = f"{args.pretrain_epochs} + {args.epochs} epochs"
    if tuple(args.layers) != LAYERS:
        schedule += f", layers {'-'.join(map(str, args.layers))}"
    row = row_of(method, args.dataset, args, seed, schedule=schedule, precision=precision)
    if method not in OURS:
        return row | {"device": "cpu", "precision": "auto", "set": {}}
    both = args.pretrain_epochs + args.epochs
    changes = {"hidden_sizes": list(args.layers), "batch_size": BATCH_SIZE}
    if method == "VGMM":
        changes |= {"max_epochs": both, "n_init": 1}
    elif method in ("DCCS", "MMDC"):  # their own networks and batches
        changes = {"max_epochs": both} | ({"tol": 0.0} if method == "DCCS" else {})
    else:
        changes |= {"layerwise_epochs": 0, "pretrain_epochs": args.pretrain_epochs,
                    "max_epochs": args.epochs, "tol": 0.0}  # fmt: skip
    return row | {"set": changes}


def _run_peer(row, args):
    """Run a peer's method in its environment; return whether it failed."""
    results = Results(f"peers_{row['data']}", args.results)
    present = results.find(row)
    try:
        rows = _select(row["data"], args.data, row["n"])
    except FileNotFoundError:
        if finished(present):  # nothing could run here, and nothing need
            return 0
        raise
    if finished(present) and present["on"] == _on(row, rows):
        return 0
    print(f"{row['setting']} on {row['data']}, seed {row['seed']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        X_file, labels_file = Path(folder) / "X.npy", Path(folder) / "labels.npy"
        np.save(X_file, rows.X)
        command = [args.python, str(Path(__file__).with_name("peer_fit.py"))]
        options = {"method": row["setting"], "rows": X_file, "labels": labels_file,
                   "n-clusters": rows.n_classes, "seed": row["seed"],
                   "pretrain-epochs": args.pretrain_epochs, "epochs": args.epochs,
                   "batch-size": BATCH_SIZE, "threads": args.threads}  # fmt: skip
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        command += ["--layers", *map(str, args.layers)]
        try:
            answer = json.loads(child.call(command, args.threads, args.budget).splitlines()[-1])
        except child.ChildFailed as error:
            if isinstance(error, child.OutOfTime):
                about = {"with": surroundings() | {"threads": args.threads, "versions": {}},
                         "ran": {"setting": row["setting"], "seed": row["seed"]},
                         "on": _on(row, rows)}  # fmt: skip
                results.put(cut_short("peers", row, about, args.budget))
            print(f"  no result: {error}", flush=True)
            return 1
        labels = np.load(labels_file)
    out = scores_of(rows.y, labels) | answer["out"]
    # Of what HDBSCAN takes for noise, all rows are one cluster
    out |= {"sizes": np.unique(labels, return_counts=True)[1].tolist(), "stop_reason": "itself",
            "labels": labels_hash(labels)}  # fmt: skip
    results.put({
        "command": "peers", "row": row,
        "ran": {"setting": row["setting"], "parameters": answer["parameters"], "seed": row["seed"]},
        "on": _on(row, rows),
        "with": surroundings() | {"threads": args.threads, "versions": answer["versions"]},
        "out": out, "complete": True,
    })  # fmt: skip
    print(f"  ACC {out['acc']:.3f}, {out['seconds']['fit']:.1f} s", flush=True)
    return 0


@functools.lru_cache(maxsize=1)
def _select(name, folder, n):
    """The rows of all methods and seeds of a call, read once."""
    return data.select(name, folder, n=n)


def _on(row, rows):
    return {"data": row["data"], "n": len(rows.X), "hash": rows.hash()}
