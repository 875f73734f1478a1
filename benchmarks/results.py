"""Result files: rows of one form, each with all that it takes to know what was measured.

A row is a JSON object:

- "command", and "row", by which it is found again (`key`);
- "ran": setting, estimator, every parameter, seed; "resolved" is what was chosen where a parameter
  was "auto"; `shared_autoencoder` says whether clustering began from an autoencoder that was
  pre-trained once for several settings, whose seconds count;
- "on": data, sampling, protocol, n, hash;
- "with": date, commit, versions, CPU with its family and model, GPU or none, threads;
- "out": acc, nmi, ari, balanced_acc, seconds by phase, cpu_s, peak_mb, epochs, stop_reason, ...,
  of all calls that the run took; `cpu_s` is null where one of them was ended from outside;
- "complete": whether the run came to its own end.
"""

import hashlib
import json
import re
import tempfile
from pathlib import Path

from filelock import FileLock

from benchmarks import _common
from skdeepcluster._files import write_whole

#: Ends that are a run's own.
OWN_ENDS = ("converged", "max_epochs", "itself")

#: The end of a row whose time was over before its clustering began.
IN_PRETRAINING = "max_time in pre-training"

#: What of "ran" was asked for; the rest is known when it has run.
_ASKED = ("setting", "estimator", "parameters", "seed", "max_time")

#: How to run an estimator; the data, the setting and the seed say what.
INCIDENTAL = {"callbacks", "checkpoint", "compile", "max_time", "verbose", "random_state",
               "device", "deterministic"}  # fmt: skip


def key(row: dict) -> str:
    """What tells a row from others that may stand in one file."""
    return json.dumps(row["row"], sort_keys=True)


def machine(row: dict) -> str:
    """On what a row ran: so many threads of a processor, or a GPU; empty where nobody knows."""
    about, threads = row["with"], row["row"].get("threads")
    if about.get("gpu"):
        return about["gpu"]
    name = processor(about)
    return f"{threads} × {name}" if threads and name else ""


def processor(about: dict) -> str:
    """The name of a processor, with its family and model where these were kept."""
    name = re.sub(r"\([A-Z]+\)|Processor|CPU.*", "", about.get("cpu", ""))
    return " ".join([*name.split(), about.get("cpu_model", "")]).strip()


def surroundings(device: str = "cpu") -> dict:
    """With what a run is made."""
    found = {k: v for k, v in _common.provenance().items() if k != "command"}
    gpu = found.pop("cuda")
    return found | {"gpu": gpu if device == "cuda" else None}


def parameters_of(model) -> dict:
    """Every parameter of an estimator that shapes what comes out, as JSON has it."""
    params = model.get_params(deep=False).items()
    return {k: plain(v) for k, v in params if k not in INCIDENTAL}


def plain(value):
    """Return a value as JSON has it: what it has no form for by its text."""
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value if isinstance(value, bool | int | float | str | None) else repr(value)


def labels_hash(labels) -> str:
    """What tells these labels from any others."""
    return hashlib.blake2b(labels.astype("int64").tobytes(), digest_size=8).hexdigest()


class Results:
    """The rows of one file, which is written whole after each."""

    def __init__(self, name: str, folder: str | Path | None = None):
        self.path = Path(folder or _common.RESULTS) / f"{name}.json"

    @property
    def _lock(self):
        """A file elsewhere: a folder of results has nothing else."""
        digest = hashlib.blake2b(str(self.path.resolve()).encode(), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"skdeepcluster-results-{digest}.lock"

    @property
    def rows(self) -> list[dict]:
        """What the file has now: another call may have added to it meanwhile."""
        return json.loads(self.path.read_text())["rows"] if self.path.exists() else []

    def find(self, wanted: dict) -> dict | None:
        """The row of a key."""
        wanted = json.dumps(wanted, sort_keys=True)
        return next((row for row in self.rows if key(row) == wanted), None)

    def put(self, *new: dict) -> None:
        """Add rows, in place of those with the same keys; other calls may do so meanwhile."""
        replaced = {key(row) for row in new}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):
            rows = [row for row in self.rows if key(row) not in replaced]
            lines = ",\n".join(json.dumps(row) for row in [*rows, *new])  # a line a row
            write_whole(self.path, [f'{{"rows": [\n{lines}\n]}}\n'.encode()])


def finished(row: dict | None) -> bool:
    """Whether there is nothing left to do: it ended by itself, or by the time that it was given."""
    ends = ("max_time", IN_PRETRAINING)
    return row is not None and (row["complete"] or row["out"]["stop_reason"] in ends)


def as_asked(row: dict, now: dict) -> bool:
    """Whether a row has the parameters and the data of another, such as one that would run now."""
    row, now = (
        json.loads(json.dumps({k: r.get(k, {}) for k in ("ran", "on")})) for r in (row, now)
    )
    same = all(row["ran"].get(k) == now["ran"].get(k) for k in _ASKED)
    return same and row["on"] == now["on"]


def merge(files: list[Path], folder: Path) -> None:
    """Take rows over from files of other machines; of two that are not finished the longer one."""
    for path in files:
        results = Results(path.stem, folder)
        for row in json.loads(path.read_text())["rows"]:
            present = results.find(row["row"])
            if finished(row) or not (finished(present) or _longer(present, row)):
                results.put(row)


def _longer(present, row):
    """Whether a row had more time than another."""
    return present is not None and present["out"]["seconds"]["fit"] > row["out"]["seconds"]["fit"]
