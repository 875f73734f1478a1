"""Run a row in a process of its own: what it leaves in memory reaches no other row."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


class ChildFailed(RuntimeError):
    """A child ended with an error, or had to be ended."""


class OutOfTime(ChildFailed):
    """A child had to be ended."""


def call(command: list[str], threads: int, timeout: float | None = None) -> str:
    """Run a command with so many threads, and return what it printed."""
    folders = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(folders),
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise OutOfTime("its time was up") from error
    if done.returncode:
        raise ChildFailed(done.stderr[-2000:])
    return done.stdout


def run(kind: str, spec: dict, timeout: float | None = None) -> dict:
    """Let a child do what `kind` says (see `__main__`) with a spec, and return what it found."""
    with tempfile.TemporaryDirectory() as folder:
        spec_file, out_file = Path(folder) / "spec.json", Path(folder) / "out.json"
        spec_file.write_text(json.dumps(spec))
        command = [sys.executable, "-m", "benchmarks", kind, str(spec_file), str(out_file)]
        call(command, spec["row"]["threads"], timeout)
        return json.loads(out_file.read_text())
