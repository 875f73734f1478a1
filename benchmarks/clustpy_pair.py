"""StatDEC as IDEC against ClustPy's IDEC: ``python -m benchmarks.clustpy_pair --clustpy PYTHON``.

Same images (the first N of MNIST), layers, batch size and numbers of epochs, no layer-wise
pre-training on either side, no early end. Each fit runs in a process of its own, ClustPy's in the
environment whose interpreter is given; the two take turns, and the ratio of medians is reported.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import _common

LAYERS = (500, 500, 2000)


def ours(args, seed, precision):
    """Fit in this process; called in a child."""
    import torch

    from skdeepcluster import StatDEC

    torch.set_num_threads(args.threads)
    X, y = _common.load("mnist", args.data)
    X, y = X[: args.n], y[: args.n]
    model = StatDEC(
        10,
        hidden_sizes=LAYERS,
        weighted_target=False,
        statistics_pooling=False,
        layerwise_epochs=0,
        pretrain_epochs=args.pretrain_epochs,
        max_epochs=args.epochs,
        tol=0,
        batch_size=256,
        precision=precision,
        random_state=seed,
    )
    started = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, **_common.scores(y, model.labels_)}


def child(command, threads):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def summarise(rows):
    """Medians of seconds, their ratio to ClustPy's, accuracy over the seeds so far."""
    medians = {name: np.median([r["seconds"] for r in results]) for name, results in rows.items()}
    return {
        name: {
            "seconds": float(medians[name]),
            "ratio": float(medians[name] / medians["clustpy"]),
            "acc": _common.summary([r["acc"] for r in results]),
        }
        for name, results in rows.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clustpy", help="Python interpreter of ClustPy's environment")
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ours", nargs=2, metavar=("SEED", "PRECISION"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        print(json.dumps(ours(args, int(args.ours[0]), args.ours[1])))
        return
    shared = ["--data", args.data, "--n", str(args.n), "--threads", str(args.threads)]
    shared += ["--pretrain-epochs", str(args.pretrain_epochs), "--epochs", str(args.epochs)]
    rival_data = [*shared]
    rival_data[1] = str(Path(args.data) / "mnist.npz")
    rows = {"clustpy": [], "float32": [], "bfloat16": []}
    for seed in args.seeds:
        script = str(Path(__file__).with_name("clustpy_idec.py"))
        rival = [args.clustpy, script, "--seed", str(seed), "--batch-size", "256", *rival_data]
        rival += ["--layers", *map(str, LAYERS)]
        rows["clustpy"].append(child(rival, args.threads))
        for precision in ("float32", "bfloat16"):
            own = [sys.executable, "-m", "benchmarks.clustpy_pair", *shared]
            rows[precision].append(child([*own, "--ours", str(seed), precision], args.threads))
        for name, results in rows.items():
            print(seed, name, {k: round(results[-1][k], 3) for k in ("seconds", "acc", "nmi")},
                  flush=True)  # fmt: skip
        summary = summarise(rows)
        path = _common.write("clustpy_pair", {"summary": summary, "rows": rows})
    for name, row in summary.items():
        print(name, row)
    print(path)


if __name__ == "__main__":
    main()
