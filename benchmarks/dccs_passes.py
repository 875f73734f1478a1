"""The critic's rows encoded in one pass, and in n_critic passes.

``python -m benchmarks.dccs_passes``: digits, the defaults. DCCS encodes the rows of all the
critic's steps of a cycle in one pass, whose batch normalisation sees them together; Algorithm 1 of
the paper encodes those of each step by themselves. Both draw the same random numbers.

``--budget`` ends the call after so many seconds, and the same call goes on later: each fit is
written when it is done. Seconds are of the processor.
"""

import argparse
import time
import warnings
from unittest import mock

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from benchmarks import _common
from skdeepcluster import DCCS
from skdeepcluster._dccs import DCCSNet

SCORES = ("acc", "nmi", "ari")

in_one_pass = DCCSNet.latent_for_critic


def in_n_critic_passes(net, rows):
    """Encode the rows of each of the critic's steps by themselves."""
    return torch.cat([in_one_pass(net, part) for part in rows.chunk(net.n_critic)])


PASSES = {"one": in_one_pass, "n_critic": in_n_critic_passes}


def fit(key, X, target):
    """Scores and seconds of a fit."""
    given = {} if key["max_epochs"] is None else {"max_epochs": key["max_epochs"]}
    model = DCCS(10, image_shape=(8, 8), device="cpu", random_state=key["seed"], **given)
    started = time.process_time()
    with mock.patch.object(DCCSNet, "latent_for_critic", PASSES[key["passes"]]):
        model.fit(X)
    seconds = time.process_time() - started
    return _common.scores(target, model.labels_) | {"seconds": seconds, "epochs": model.n_iter_}


def report(rows):
    """Means over the seeds, and how far ACC is from that of one pass with the same seed."""
    heads = f"{'ACC':15} {'NMI':15} {'ARI':15} {'ACC - one pass':16}"
    lines = [f"{'passes':9} {'epochs':7} {'seeds':6} {heads} seconds"]
    for bound in dict.fromkeys(row["max_epochs"] for row in rows):
        own = [row for row in rows if row["max_epochs"] == bound]
        acc = {row["seed"]: row["acc"] for row in own if row["passes"] == "one"}
        for passes in PASSES:
            group = [row for row in own if row["passes"] == passes]
            if group:
                scores = (_common.summary([row[name] for row in group]) for name in SCORES)
                beside = [row["acc"] - acc[row["seed"]] for row in group if row["seed"] in acc]
                differs = _common.summary(beside) if beside and passes != "one" else ""
                cells = " ".join(f"{cell:15}" for cell in scores)
                seconds = np.mean([row["seconds"] for row in group])
                lines.append(f"{passes:9} {bound or 'default':<7} {len(group):<6} {cells} "
                             f"{differs:16} {seconds:7.1f}")  # fmt: skip
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--max-epochs", type=int, help="the method's default where left out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", type=float, default=float("inf"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", ConvergenceWarning)
    deadline = time.monotonic() + args.budget
    X, target = load_digits(return_X_y=True)
    rows = _common.read("dccs_passes").get("rows", [])
    keys = [{"passes": passes, "seed": seed, "max_epochs": args.max_epochs}
            for seed in args.seeds for passes in PASSES]  # fmt: skip
    keys = [key for key in keys if not any(key.items() <= row.items() for row in rows)]
    if keys:  # the first fit of a process takes longer
        fit(keys[0] | {"max_epochs": 1}, X[:100], target[:100])
    for key in keys:
        if time.monotonic() > deadline:
            break
        rows.append(key | _common.stamp() | fit(key, X, target))
        print({a: round(v, 4) if isinstance(v, float) else v for a, v in rows[-1].items()},
              flush=True)  # fmt: skip
        _common.write("dccs_passes", {"rows": rows})
    print(report(rows))


if __name__ == "__main__":
    main()
