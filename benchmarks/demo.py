"""The demo as a user runs it, in a process of its own: ``python -m benchmarks.demo``.

Keeps the table that it prints, and the seconds of the clock and of the processor that the whole
command took. Digits by default; with ``--dataset mnist --data FOLDER`` those of FOLDER/mnist.npz.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import _common


def table(output: str) -> list[str]:
    """The lines of the table, which a line about the picture follows."""
    return output[output.index("method ") :].split("\n\n")[0].splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", help="where the picture goes; not kept by default")
    args = parser.parse_args()
    words = [f"--method={name}" for name in args.methods] + [f"--seed={args.seed}"]
    given = [] if args.dataset == "digits" else [f"--data={args.dataset}.npz"]
    shown = " ".join(["python -m skdeepcluster demo", *given, *words])
    folder = Path(args.data).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(args.picture or Path(scratch) / "picture.png").resolve()
        command = [sys.executable, "-m", "skdeepcluster", "demo", *given, *words]
        environment = os.environ | {"OMP_NUM_THREADS": str(args.threads)}
        started = time.perf_counter()
        done = subprocess.run(
            [*command, f"--output={picture}"],
            cwd=folder if given else scratch,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "command": shown,
        "threads": args.threads,
        "output": table(done.stdout),
        "seconds": seconds,
        "processor_seconds": used.ru_utime + used.ru_stime,
    }
    print(done.stdout, f"{seconds:.0f} s by the clock", sep="\n")
    _common.write(f"demo_{args.dataset}", result)


if __name__ == "__main__":
    main()
