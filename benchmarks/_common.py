"""What all measurements share: data, provenance, result files."""

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from skdeepcluster._files import write_whole
from skdeepcluster.metrics import clustering_accuracy

RESULTS = Path(__file__).parent / "results"


def load(name: str, folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read data and target of ``folder/name.npz``; digits come with scikit-learn."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return digits.images, digits.target
    with np.load(Path(folder) / f"{name}.npz", allow_pickle=False) as file:
        return file["data"], file["target"]


def provenance() -> dict:
    """Versions, machine and commit, for a result file."""
    packages = ("skdeepcluster", "torch", "scikit-learn", "skorch", "numpy", "scipy")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "cpu": _cpu(),
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": _command(),
    }


def stamp() -> dict:
    """When and from which commit a row is: results are added to over many runs."""
    full = provenance()
    return {key: full[key] for key in ("date", "commit", "threads")}


def _command() -> str:
    """The words of this call, without where files lie, which differs from machine to machine."""
    words = ("PATH" if os.sep in word else word for word in sys.argv[1:])
    return shlex.join([Path(sys.argv[0]).name, *words])


def _commit() -> str:
    """Describe the commit; a machine that the files were brought to may have no git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:  # run from a clone that is not installed
        return "not installed"


def _cpu() -> str:
    return _cpu_info("model name") or platform.processor()


def _cpu_model() -> str:
    """Family and model, such as "25/17": processors of several kinds have one name."""
    return "/".join(filter(None, map(_cpu_info, ("cpu family", "model"))))


def _cpu_info(field):
    """What Linux says of the first core, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == field), "")


def scores(target: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI."""
    return {
        "acc": clustering_accuracy(target, labels),
        "nmi": float(normalized_mutual_info_score(target, labels)),
        "ari": float(adjusted_rand_score(target, labels)),
    }


def write(name: str, content: dict) -> Path:
    """Write a result file, with its provenance."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"provenance": provenance(), **content}, indent=1) + "\n"
    write_whole(path, [text.encode()])
    return path


def read(name: str) -> dict:
    """Read a result file, empty if there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def summary(values: list[float]) -> str:
    """Mean and standard deviation over the seeds, if there are several."""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"
