"""Time and memory by number of rows: ``python -m benchmarks.statdec_scale``.

Fits one epoch of each phase on memory maps of n x 64 float32, each in a process of its own, and
reports seconds a row and the peak of anonymous memory above what importing torch takes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks import _common


def anonymous_mb() -> float:
    """Anonymous memory of this process in MB: pages of a map are not counted."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("/proc/self/status has no RssAnon")


class Peak:
    """Sample the anonymous memory until told to stop."""

    def __enter__(self):
        self.mb, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.01):
            self.mb = max(self.mb, anonymous_mb())

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()


def measure(path: str, n: int, threads: int) -> dict:
    import torch

    torch.set_num_threads(threads)
    after_torch = anonymous_mb()
    from skdeepcluster import StatDEC

    X = np.load(path, mmap_mode="r")[:n]
    model = StatDEC(10, layerwise_epochs=1, pretrain_epochs=1, max_epochs=1, tol=0, random_state=0)
    started, processor = time.perf_counter(), time.process_time()
    with Peak() as peak:
        model.fit(X)
    seconds = time.perf_counter() - started
    processor = time.process_time() - processor
    phases = {}
    for row in model.history_:
        phases[row["phase"]] = phases.get(row["phase"], 0.0) + row["seconds"]
    return {
        "n": n,
        "seconds": seconds,
        "microseconds_per_row": 1e6 * seconds / n,
        "processor_microseconds_per_row": 1e6 * processor / n,
        "peak_mb_above_torch": peak.mb - after_torch,
        "phases_s": phases,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, metavar=("FILE", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child[0], int(args.child[1]), args.threads)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        shape = (max(args.rows), 64)
        X = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        rng = np.random.default_rng(0)
        centers = rng.normal(size=(10, 64)).astype(np.float32) * 2
        for start in range(0, len(X), 100_000):
            rows = X[start : start + 100_000]
            rows[:] = rng.standard_normal(rows.shape, np.float32)
            rows += centers[rng.integers(10, size=len(rows))]
        X.flush()
        for n in args.rows:
            child = [sys.executable, "-m", "benchmarks.statdec_scale", "--child", str(path), str(n)]
            child += ["--threads", str(args.threads)]
            done = subprocess.run(child, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(results[-1], flush=True)
            written = _common.write("statdec_scale", {"rows": results})
    print(written)


if __name__ == "__main__":
    main()
