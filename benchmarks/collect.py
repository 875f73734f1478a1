"""All rows of result files in one form, for tables and plots."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _common, earlier, runs
from benchmarks.results import IN_PRETRAINING, machine
from benchmarks.settings import SETTINGS

#: Result files of `papers` and `gpu`, and of `peers`.
RUNS, PEERS = "papers_*.json", "peers_*.json"

SCORES = ("acc", "nmi", "ari", "balanced_acc", "recall_smallest")


@dataclass(frozen=True)
class Measured:
    """A run, as tables see it."""

    setting: str
    data: str
    seed: int
    scores: dict
    sampling: str | None = None
    protocol: str = "joined"
    n: int | None = None  # None is all
    device: str = "cpu"
    precision: str = "auto"
    dtype: str = ""  # what "auto" came to be, where that was kept
    changed: str = ""  # parameters that differ from the setting's
    max_time: float | None = None
    stop_reason: str = ""
    complete: bool = True
    seconds: float | None = None
    cpu_s: float | None = None
    peak_mb: float | None = None
    epochs: int | None = None
    more: dict = field(default_factory=dict)
    curve: list = field(default_factory=list)
    machine: str = ""  # and how many threads of it, or the GPU
    torch: str | None = None
    parameters: str = ""  # all of them, and the data where these are the same for every seed
    remark: str = ""

    @property
    def group(self) -> tuple:
        """Runs that may be averaged differ in nothing but the seed.

        What time ended came as far as its machine got.
        """
        return (
            self.setting, self.data, self.sampling, self.protocol, self.n, self.device,
            self.precision, self.changed, self.parameters,
            None if self.complete else (self.stop_reason, self.max_time, self.machine),
        )  # fmt: skip


def measured(folder: str | Path | None = None, pattern: str = RUNS) -> list[Measured]:
    """What the files of a folder have, also those of earlier forms."""
    folder = Path(folder or _common.RESULTS)
    found = [
        _measured(row)
        for path in sorted(folder.glob(pattern))
        for row in json.loads(path.read_text())["rows"]
    ]
    adapters = earlier.RUNS if pattern == RUNS else {}
    for name, adapter in adapters.items():
        for path in sorted(folder.glob(name)):
            content = json.loads(path.read_text())
            found += [Measured(**fields) for fields in adapter(path.stem, content)]
    return found


def _measured(row):
    out, asked = row["out"], row["row"]
    changed = asked.get("schedule") or ", ".join(
        f"{k}={v}" for k, v in sorted(asked.get("set", {}).items())
    )
    return Measured(
        asked["setting"],
        asked["data"],
        asked["seed"],
        {k: out[k] for k in SCORES if k in out},
        sampling=asked.get("sampling"),
        protocol=asked.get("protocol", "joined"),
        n=asked.get("n"),
        device=asked.get("device", "cpu"),
        precision=asked.get("precision", "auto"),
        dtype=row.get("ran", {}).get("resolved", {}).get("precision", "").removeprefix("torch."),
        changed=changed,
        max_time=asked.get("max_time"),
        stop_reason=out["stop_reason"],
        complete=row["complete"],
        seconds=out["seconds"]["fit"],
        cpu_s=out.get("cpu_s"),
        peak_mb=out.get("peak_mb"),
        epochs=out.get("epochs"),
        more=out.get("more", {}),
        curve=out.get("curve", []),
        machine=machine(row),
        torch=row["with"].get("versions", {}).get("torch"),
        parameters=_parameters(row),
        remark=", ".join(_remarks(row)),
    )


def _parameters(row):
    ran, on = row.get("ran", {}), row.get("on", {})
    if "estimator" not in ran:  # another package's, with the seed among them
        return ""
    data = None if on.get("sampling") else on.get("hash")
    return json.dumps([ran["parameters"], data], sort_keys=True)


def _remarks(row):
    """What must be said of a row wherever it is shown."""
    if row["out"]["stop_reason"] == IN_PRETRAINING:
        yield "no epoch of clustering"
    if not row["complete"] and not row["out"]["seconds"]["fit"]:
        yield "not begun"
    if _is_outdated(row):
        yield "earlier defaults"


def _is_outdated(row):
    """Whether the row's setting now has other parameters."""
    ran = row.get("ran", {})
    if "estimator" not in ran or ran["setting"] not in SETTINGS:
        return False
    then = ran["parameters"]
    try:
        return runs.what(row["row"], then["n_clusters"])["parameters"] != then
    except TypeError:  # a parameter of then is no more
        return True


def groups(rows: list[Measured]) -> list[list[Measured]]:
    """Runs that differ in nothing but the seed; of a seed that was run again, the first."""
    found = {}
    for row in rows:
        found.setdefault(row.group, {}).setdefault(row.seed, row)
    return [list(seeds.values()) for seeds in found.values()]
