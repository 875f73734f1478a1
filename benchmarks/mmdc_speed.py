"""What MMDC costs beside its network's passes: ``python -m benchmarks.mmdc_speed --data FOLDER``.

An epoch of the estimator on MNIST with the small VGG, against the passes alone on images that were
prepared before: for each batch one forward pass without gradients, one with them, the backward pass
and the step of the optimiser. What the epoch takes longer is data handling, crops, rotations, the
Hungarian method, and the engine. Epochs of the two take turns in one process; the ratio is that of
their medians.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.nn import functional as F

from benchmarks import _common
from skdeepcluster import MMDC
from skdeepcluster._training._data import _boundaries, n_batches
from skdeepcluster.networks import NormalizedHead, SmallVGG

N_CLUSTERS = 10


def ours(X, epochs, precision, seed):
    """Seconds of each epoch of the estimator, the first one left out; and its largest batch."""
    params = {"refine_after": None, "precision": precision, "random_state": seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MMDC(N_CLUSTERS, max_epochs=1 + epochs, **params).fit(X)
    return [row["seconds"] for row in model.history_][1:], model.net_.batch_size


def passes(n, batch_size, epochs, precision, seed):
    """The same of the network's passes alone."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(SmallVGG((1, 32, 32)), NormalizedHead(1024, N_CLUSTERS))
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, fused=True
    )
    n_steps = n_batches(n, batch_size)
    sizes = np.diff([0, *_boundaries(n, n_steps, batch_size), n]).tolist()
    prepared = torch.rand(batch_size, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    target = F.one_hot(torch.arange(batch_size) % N_CLUSTERS).float()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    seconds = []
    for _ in range(1 + epochs):
        started = time.perf_counter()
        for size in sizes:
            x = prepared[:size]
            network.eval()
            with torch.no_grad(), autocast:
                network(x)
            network.train()
            with autocast:
                z = network(x)
            optimizer.zero_grad()
            F.mse_loss(z, target[:size]).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def compare(X, rounds, precision):
    """Ratio of medians, and what the epochs took."""
    mine, bare = [], []
    for seed in range(rounds):
        seconds, batch_size = ours(X, 1, precision, seed)
        mine += seconds
        bare += passes(len(X), batch_size, 1, precision, seed)
    ratios = np.divide(mine, bare)
    return {
        "n": len(X),
        "epoch_s": float(np.median(mine)),
        "passes_s": float(np.median(bare)),
        "beside": float(np.median(mine) / np.median(bare) - 1),
        "beside_each": sorted(float(ratio - 1) for ratio in ratios),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--n", type=int, default=70_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["bfloat16", "float32"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, _ = _common.load("mnist", args.data)
    result = {p: compare(X[: args.n], args.rounds, p) for p in args.precisions}
    print(result)
    _common.write("mmdc_speed", result)


if __name__ == "__main__":
    main()
