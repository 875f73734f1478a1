"""What data-parallel fits cost: ``python -m benchmarks.data_parallel``.

Fits the same rows by 1 and by 2 processes that talk by gloo on this machine, an epoch of each phase
of the default networks, and reports the processor's seconds of each process. Where processes do not
share cores, the time of an epoch is that of the slowest, and what it is above the n-th part of one
process's is what is not shared out: reading, distorting, Hungarian method, messages.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import warnings

import numpy as np

from benchmarks import _common

SETTINGS = {
    "StatDEC": {"pretrain_epochs": 1, "tol": 0, "statistics_pooling": True},
    "VariationalGMMClustering": {"n_init": 1, "posterior_mass": 1.0},
    "DCCS": {"tol": 0},
    "MMDC": {"refine_after": None},
}


def measure(name: str, n: int, side: int, batch_size: int) -> dict:
    import torch

    import skdeepcluster

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    X = np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8)
    model = getattr(skdeepcluster, name)(
        10,
        max_epochs=1,
        batch_size=batch_size,
        random_state=0,
        precision="float32",
        device="auto",
        **SETTINGS[name],
    )
    with skdeepcluster.data_parallel():
        model.fit(X[:256])  # what the first steps load
        started, processor = time.perf_counter(), time.process_time()
        model.fit(X)
        seconds = time.perf_counter() - started
        processor = time.process_time() - processor
    numbers = sum(p.numel() for _, p in model.net_.get_all_learnable_params())
    return {"processor_s": processor, "seconds": seconds, "parameters": numbers}


def start(size: int, arguments: list[str]) -> list[dict]:
    """Run the measurement by so many processes, as a launcher does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    processes = []
    for rank in range(size):
        one = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
        one = {key: str(value) for key, value in one.items()} | {"MASTER_ADDR": "127.0.0.1"}
        command = [sys.executable, "-m", "benchmarks.data_parallel", "--child", *arguments]
        environment = common | (one if size > 1 else {})
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    outputs = [process.communicate()[0].decode() for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"a process of {size} failed.")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=sorted(SETTINGS), default=sorted(SETTINGS))
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        name, *numbers = args.child
        print(json.dumps(measure(name, *map(int, numbers))))
        return
    results = _common.read("data_parallel")
    results.pop("provenance", None)
    for name in args.methods:
        rest = [str(number) for number in (args.rows, args.side, args.batch_size)]
        found = {str(size): start(size, [name, *rest]) for size in args.processes}
        one = max(row["processor_s"] for row in found["1"])
        for size, rows in found.items():
            slowest = max(row["processor_s"] for row in rows)
            print(f"{name}: {size} processes, {slowest:.1f} s, {one / slowest / int(size):.0%}")
        settings = {"rows": args.rows, "side": args.side, "batch_size": args.batch_size}
        results[name] = {**settings, "processes": found, "measured": _common.stamp()}
        written = _common.write("data_parallel", results)
    print(written)


if __name__ == "__main__":
    main()
