"""Time of a training step: ``python -m benchmarks.vgmm_speed --data FOLDER``.

Two questions, on MNIST's shape with the MLP, each by runs that take turns, as a ratio of medians:
K = 10 against K = 1, beside the ratio of their floating-point operations; and `posterior_mass`
against exact once q(k|x) is sharp. Against ClustPy's VaDE: ``python -m benchmarks peers``.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import _common
from skdeepcluster import VariationalGMMClustering
from skdeepcluster._training import Batch, TensorSource


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
    """With q(k|x) sharpened by hand; "decoded" is the share of components that is left."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, nargs="+", default=[500, 500])
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sharpen", type=float, default=300.0)
    parser.add_argument("--parts", nargs="+", default=["components", "masses"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, _ = _common.load("mnist", args.data)
    result = {k: v for k, v in _common.read("vgmm_speed").items() if k != "provenance"}
    parts = {
        "components": lambda: components(X, args),
        "masses": lambda: masses(X, args),
    }
    for name in args.parts:
        result[name] = {**_common.stamp(), "hidden": args.hidden, **parts[name]()}
        print(name, json.dumps(result[name], indent=1), flush=True)
        _common.write("vgmm_speed", result)


if __name__ == "__main__":
    main()
