"""How much the engine costs beside the mathematics: ``python -m benchmarks.statdec_speed``.

Three questions, each a ratio of medians of interleaved runs in one process:

- a clustering epoch, of the default and of IDEC, against a hand-written loop of the same steps on
  the same data;
- `predict` against the bare forward passes;
- the import of the package against that of torch and scikit-learn (in processes of their own).
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import _common
from skdeepcluster import StatDEC
from skdeepcluster.networks import MLPAutoencoder, StudentTAssignment
from skdeepcluster.objectives import target_weights

N_CLUSTERS, BATCH, INTERVAL, LAM = 10, 256, 80, 0.1

#: Both parts of the default beyond IDEC, or neither.
SETTINGS = {"default": True, "idec": False}


def ours(X, epochs, precision, whole, seed=0):
    """Seconds of each clustering epoch of the estimator."""
    model = StatDEC(
        N_CLUSTERS,
        layerwise_epochs=0,
        pretrain_epochs=0,
        max_epochs=epochs,
        tol=0,
        weighted_target=whole,
        statistics_pooling=whole,
        update_interval=INTERVAL,
        batch_size=BATCH,
        precision=precision,
        random_state=seed,
    ).fit(X)
    return [row["seconds"] for row in model.history_]


def by_hand(X, epochs, precision, whole, seed=0):
    """The same epochs as anyone would write them: steps on a tensor, nothing around them."""
    torch.manual_seed(seed)
    data = torch.from_numpy(X).flatten(1)
    network = MLPAutoencoder((data.shape[1],), n_clusters=N_CLUSTERS if whole else None)
    head = StudentTAssignment(N_CLUSTERS, 10)
    head.centers.data.normal_()
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], fused=True)
    unit = (data[::15].float() / 255).square().mean()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    target, step, seconds = None, 0, []
    for _ in range(epochs):
        started = time.perf_counter()
        for index in torch.randperm(len(data)).split(BATCH):
            if step % INTERVAL == 0:
                with torch.no_grad(), autocast:
                    q = torch.cat(
                        [
                            head(network.encode(rows.float() / 255)).exp()
                            for rows in data.split(1024)
                        ]
                    )
                target = q.square() / (target_weights(q) if whole else q.sum(dim=0))
                target = target / target.sum(dim=1, keepdim=True)
            x, p = data[index].float() / 255, target[index]
            with autocast:
                z = network.encode(x)
            log_q = head(z)
            with autocast:
                output = network.decode(z, log_q.exp() if whole else None)
            kl = (torch.xlogy(p, p) - p * log_q).sum(dim=1).mean()
            loss = LAM * kl + (1 - LAM) * F.mse_loss(output.float(), x) / unit
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        seconds.append(time.perf_counter() - started)
    return seconds


def training(X, rounds, precision, whole):
    """Ratio of medians of epochs, interleaved; each round's first epoch warms up."""
    mine, hand = [], []
    for seed in range(rounds):
        mine += ours(X, 4, precision, whole, seed)[1:]
        hand += by_hand(X, 4, precision, whole, seed)[1:]
    return {
        "ours_s": float(np.median(mine)),
        "by_hand_s": float(np.median(hand)),
        "ratio": float(np.median(mine) / np.median(hand)),
        "epochs_each": len(mine),
    }


def prediction(X, rounds):
    """`predict` against encoder and assignment alone, on batches of the same size."""
    model = StatDEC(
        N_CLUSTERS, layerwise_epochs=0, pretrain_epochs=0, max_epochs=0, random_state=0
    ).fit(X[:2000])
    network, head = model.net_.module_, model.net_.assignment_
    tensor = torch.from_numpy(X)
    mine, bare = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        labels = model.predict(X)
        mine.append(time.perf_counter() - started)
        started = time.perf_counter()
        with torch.no_grad():
            for rows in tensor.split(1024):
                head(network.encode(rows.float() / 255))
        bare.append(time.perf_counter() - started)
    return {
        "rows": len(labels),
        "predict_s": float(np.median(mine)),
        "bare_s": float(np.median(bare)),
        "ratio": float(np.median(mine) / np.median(bare)),
    }


def importing(rounds):
    """Import of torch and scikit-learn, without and with the package after them."""
    base = "import time; t = time.perf_counter(); import torch, sklearn.cluster"
    both = f"{base}; import skdeepcluster"
    seconds = {"base": [], "both": []}
    for _ in range(rounds):
        for name, code in (("base", base), ("both", both)):
            done = subprocess.run(
                [sys.executable, "-c", f"{code}; print(time.perf_counter() - t)"],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds[name].append(float(done.stdout))
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return {**medians, "ratio": medians["both"] / medians["base"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, _ = _common.load("mnist", args.data)
    rows = np.ascontiguousarray(X[:20_000])
    result = {
        f"{setting}_{precision}": training(rows, args.rounds, precision, whole)
        for setting, whole in SETTINGS.items()
        for precision in ("float32", "bfloat16")
    } | {
        "predict": prediction(X, args.rounds),
        "import": importing(3 * args.rounds),
    }
    for name, row in result.items():
        print(f"{name:16} ratio {row['ratio']:.3f}  {row}")
    print(_common.write("statdec_speed", result))


if __name__ == "__main__":
    main()
