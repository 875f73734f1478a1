"""Time of a training step: ``python -m benchmarks.vgmm_speed --data FOLDER``.

Three questions, on MNIST's shape with the MLP, each by runs that take turns, as a ratio of medians:
K = 10 against K = 1, beside the ratio of their floating-point operations; `posterior_mass` against
exact once q(k|x) is sharp; and an epoch against one of ClustPy's VaDE with layers of the same
widths, if ``--clustpy`` names the interpreter of an environment that has it.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _common
from skdeepcluster import VariationalGMMClustering
from skdeepcluster._training import Batch, TensorSource

#: ClustPy's VaDE: 10 latent dimensions, these layers, batches of 256.
LAYERS = (500, 500, 2000)


def trained(X, n_clusters, hidden, batch_size, mass, sharpen=None):
    """A net that stands ready for steps, and batches for it."""
    model = VariationalGMMClustering(
        n_clusters,
        hidden_sizes=hidden,
        batch_size=batch_size,
        posterior_mass=mass,
        n_init=1,
        max_epochs=1,
        precision="float32",
        random_state=0,
    ).fit(X[:400])
    net = model.net_
    source = TensorSource(X.reshape(len(X), -1), model._preprocess, net.device)
    if sharpen:
        with torch.no_grad():
            net.latent_.assignment.weight *= sharpen
    net.phases_, net.compiled_ = net.phases(), {}
    net.begin_epoch()
    net._configure_phase()
    # The assignments stay as sharp as they were made: what is timed is a step, not learning.
    for group in net.optimizer_.param_groups:
        group["lr"] = 0.0
    net._set_training(True)
    index = torch.arange(batch_size)
    batches = [Batch(source[index + batch_size * i], index) for i in range(4)]
    return net, batches


def step_times(nets, n_steps, rounds):
    """Median seconds of a step of each, by rounds that take turns."""
    times = {name: [] for name in nets}
    for _ in range(rounds):
        for name, (net, batches) in nets.items():
            started = time.perf_counter()
            for i in range(n_steps):
                net.training_step(batches[i % len(batches)])
            times[name].append((time.perf_counter() - started) / n_steps)
    return {name: float(np.median(values[1:])) for name, values in times.items()}


def flops(net, batches):
    """Floating-point operations of a step's products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        net.training_step(batches[0])
    return counter.get_total_flops()


def components(X, args):
    nets = {f"K={k}": trained(X, k, args.hidden, args.batch_size, 1.0) for k in (1, 10)}
    counts = {name: flops(*pair) for name, pair in nets.items()}
    times = step_times(nets, args.steps, args.rounds)
    row = {
        "seconds": times,
        "flops": counts,
        "time_ratio": times["K=10"] / times["K=1"],
        "flop_ratio": counts["K=10"] / counts["K=1"],
    }
    return row | {"relative": row["time_ratio"] / row["flop_ratio"]}


def masses(X, args):
    """With q(k|x) sharpened by hand: nine rows in ten have one component within 0.99."""
    nets = {
        str(mass): trained(X, 10, args.hidden, args.batch_size, mass, args.sharpen)
        for mass in (1.0, 0.999, 0.99)
    }
    nets["K=1"] = trained(X, 1, args.hidden, args.batch_size, 1.0)
    shares = {name: net.training_step(b[0])["decoded"].item() for name, (net, b) in nets.items()}
    times = step_times(nets, args.steps, args.rounds)
    return {
        "seconds": times,
        "decoded": shares,
        "relative": {name: times[name] / times["1.0"] for name in times},
        "to_one_component": {name: times[name] / times["K=1"] for name in times},
    }


CLUSTPY = """
import json, sys, time
import numpy as np, torch
from clustpy.deep import VaDE
from clustpy.metrics import unsupervised_clustering_accuracy as accuracy
path, n, epochs, pretrain, threads, layers = sys.argv[1:7]
torch.set_num_threads(int(threads))
with np.load(path) as file:
    X, y = file["data"][: int(n)], file["target"][: int(n)]
X = X.reshape(len(X), -1).astype(np.float32) / 255
from clustpy.deep.neural_networks import VariationalAutoencoder
net = VariationalAutoencoder([X.shape[1], *json.loads(layers), 10])
model = VaDE(10, neural_network=net, pretrain_epochs=int(pretrain), clustering_epochs=1,
             batch_size=256, random_state=0)
started = time.perf_counter()
model.fit(X)
one = time.perf_counter() - started
net = VariationalAutoencoder([X.shape[1], *json.loads(layers), 10])
model = VaDE(10, neural_network=net, pretrain_epochs=int(pretrain), clustering_epochs=int(epochs),
             batch_size=256, random_state=0)
started = time.perf_counter()
model.fit(X)
whole = time.perf_counter() - started
print(json.dumps({"epoch_seconds": (whole - one) / (int(epochs) - 1), "seconds": whole,
                  "acc": float(accuracy(y, model.labels_))}))
"""


def vade(args):
    """ClustPy's time for a clustering epoch and its final ACC, and ours for the same epochs."""
    path = str(Path(args.data) / "mnist.npz")
    shared = [path, str(args.n), str(args.epochs), str(args.pretrain_epochs), str(args.threads)]
    done = subprocess.run(
        [args.clustpy, "-c", CLUSTPY, *shared, json.dumps(LAYERS)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": str(args.threads)},
    )
    if done.returncode:
        raise RuntimeError(f"ClustPy failed:\n{done.stderr[-2000:]}")
    rows = {"clustpy": json.loads(done.stdout.splitlines()[-1])}
    X, y = _common.load("mnist", args.data)
    X, y = X[: args.n], y[: args.n]
    for mass in (1.0, 0.99):
        model = VariationalGMMClustering(
            10,
            hidden_sizes=LAYERS,
            batch_size=256,
            posterior_mass=mass,
            n_init=1,
            max_epochs=args.epochs + args.pretrain_epochs,
            random_state=0,
        )
        started = time.perf_counter()
        model.fit(X)
        rows[f"posterior_mass={mass}"] = {
            "epoch_seconds": float(np.median([row["seconds"] for row in model.history_])),
            "last_epoch_seconds": model.history_[-1]["seconds"],
            "seconds": time.perf_counter() - started,
            **_common.scores(y, model.labels_),
        }
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--clustpy", help="Python interpreter of ClustPy's environment")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sharpen", type=float, default=300.0)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--pretrain-epochs", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["components", "masses", "vade"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, _ = _common.load("mnist", args.data)
    result = {k: v for k, v in _common.read("vgmm_speed").items() if k != "provenance"}
    parts = {
        "components": lambda: components(X, args),
        "masses": lambda: masses(X, args),
        "vade": lambda: vade(args),
    }
    for name in args.parts:
        if name == "vade" and not args.clustpy:
            continue
        result[name] = {**_common.stamp(), "hidden": args.hidden, **parts[name]()}
        print(name, json.dumps(result[name], indent=1), flush=True)
        _common.write("vgmm_speed", result)


if __name__ == "__main__":
    main()
