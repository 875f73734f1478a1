"""Memory beside a memory map of many rows: ``python -m benchmarks.large``.

Writes n x 64 float32 as a file, and for each method and number of rows, in a process of its own,
fits one epoch of each phase and predicts; reports the processor's seconds and the peak of anonymous
memory above what importing the package takes. The pages of the map are none of it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from benchmarks import _common
from benchmarks.measure import Watch, anonymous_mb

N_FEATURES, N_CLUSTERS = 64, 10

#: One epoch of each phase, of small networks: what is measured is what grows with the rows.
SETTINGS = {
    "StatDEC": {"hidden_sizes": (32, 32), "pretrain_epochs": 1, "tol": 0},
    "VariationalGMMClustering": {"hidden_sizes": (16,), "embedding_dim": 4, "n_init": 1},
    "DCCS": {"hidden_sizes": (32,), "critic_sizes": (32,), "n_style": 4, "n_critic": 1, "tol": 0},
    "MMDC": {"hidden_sizes": (32,), "refine_after": None},
}
BATCH_SIZE = {"MMDC": 256}


def write_rows(path: Path, n: int) -> None:
    """Write rows about ten centres, a block at a time."""
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n, N_FEATURES))
    rng = np.random.default_rng(0)
    centers = 2 * rng.standard_normal((N_CLUSTERS, N_FEATURES), np.float32)
    noise = rng.standard_normal((50_000, N_FEATURES), np.float32)
    for start in range(0, n, len(noise)):
        rows = X[start : start + len(noise)]
        # The same noise in another order: to draw it would take as long as to fit.
        rows[:] = np.roll(noise, start // len(noise), axis=1)[: len(rows)]
        rows += centers[rng.integers(N_CLUSTERS, size=len(rows))]
    X.flush()


def measure(path: str, n: int, name: str) -> dict:
    import torch

    import skdeepcluster

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    before = anonymous_mb()
    X = np.load(path, mmap_mode="r")[:n]
    model = getattr(skdeepcluster, name)(
        N_CLUSTERS,
        max_epochs=1,
        batch_size=BATCH_SIZE.get(name, 4096),
        random_state=0,
        **SETTINGS[name],
    )
    with Watch() as fitting:
        model.fit(X)
    with Watch() as predicting:
        labels = model.predict(X)
    assert (labels == model.labels_).all()
    return {
        "method": name,
        "n": n,
        "fit_peak_mb": fitting.peak_mb - before,
        "predict_peak_mb": predicting.peak_mb - before,
        "fit_processor_s": fitting.cpu_s,
        "predict_processor_s": predicting.cpu_s,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--methods", nargs="+", choices=sorted(SETTINGS), default=["StatDEC"])
    parser.add_argument("--folder", help="where the file is to lie meanwhile")
    parser.add_argument("--name", default="large", help="of the file of results")
    parser.add_argument("--child", nargs=3, metavar=("FILE", "N", "METHOD"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        path, n, name = args.child
        print(json.dumps(measure(path, int(n), name)))
        return
    results = _common.read(args.name).get("rows", [])
    folder = Path(tempfile.mkdtemp(prefix="large-", dir=args.folder))
    try:
        path = folder / "X.npy"
        write_rows(path, max(args.rows))
        for name in args.methods:
            for n in args.rows:
                child = [
                    sys.executable,
                    "-m",
                    "benchmarks.large",
                    "--child",
                    str(path),
                    str(n),
                    name,
                ]
                done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
                row = json.loads(done.stdout.splitlines()[-1])
                print(row, flush=True)
                results = [r for r in results if (r["method"], r["n"]) != (name, n)]
                results.append(row | {"measured": _common.stamp()})
                written = _common.write(args.name, {"rows": results})
        print(written)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
