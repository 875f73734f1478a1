"""Which settings run on which data: the papers' tables, and comparisons of our own."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from skdeepcluster.objectives import TARGET_READINGS

PAPERS = Path(__file__).with_name("papers.toml")

_SAMPLINGS = ("balanced", "long-tailed 10", "long-tailed 100", "step 10", "step 100")
_OTHERS = ("DCCS", "VGMM", "MMDC")
_IMBALANCE = ("KMeans", "AE + KMeans", "DEC", "IDEC", "StatDEC-1", "StatDEC-2", "StatDEC-3",
              "VAE + KMeans", "VDEC")  # fmt: skip
_READINGS = tuple(f"StatDEC-1 {name}" for name in TARGET_READINGS[1:-1])  # of eq. 5

#: Comparisons that no paper has, by name: title, protocol, data (and sampling) to settings.
OWN = {
    "small": (
        "Small data, with the defaults",
        "joined",
        {
            "digits": ("KMeans", "StatDEC-1", *_OTHERS, "VGMM: recalled"),
            **dict.fromkeys(("iris", "wine", "breast_cancer", "blobs"), ("KMeans", "StatDEC-1")),
        },
    ),
    "all": (
        "All methods and baselines, with the defaults",
        "joined",
        dict.fromkeys(
            ("mnist", "fashion_mnist", "cifar10"),
            ("KMeans", "AE + KMeans", "VAE + KMeans", "DEC", "IDEC", "StatDEC-1", *_OTHERS),
        ),
    ),
    "imbalance": (
        "Classes of unequal size",
        "joined",
        {
            f"{data} {sampling}": (*_IMBALANCE, *_OTHERS)
            for data in ("mnist", "fashion_mnist", "cifar10")
            for sampling in _SAMPLINGS
        },
    ),
    "readings": (
        "Readings of eq. 5 of StatDEC, where classes are of unequal size",
        "joined",
        {
            where: ("StatDEC-1", "StatDEC-3", *_READINGS)
            for data in ("digits", "mnist", "fashion_mnist", "cifar10")
            for where in (data, *(f"{data} {sampling}" for sampling in _SAMPLINGS[1:]))
        },
    ),
    "shift": (
        "Fitted on one kind of images, asked for another",
        "split",
        {"mnist": ("AE + KMeans", "DEC", "IDEC", "StatDEC-1", "StatDEC-2", "StatDEC-3")},
    ),
    "curves": (
        "DCCS for as long as it is given, and variants of it",
        "joined",
        dict.fromkeys(
            ("mnist", "fashion_mnist", "cifar10"),
            ("DCCS long", "DCCS paper", "DCCS paper, 5e-4", "DCCS 5e-4", "DCCS without style"),
        ),
    ),
    "variational": (
        "Variants of VGMM that are neither its paper's nor the default",
        "joined",
        dict.fromkeys(
            ("digits", "mnist", "fashion_mnist", "cifar10"),
            tuple(
                f"{setting}{score}"
                for setting in (
                    "VGMM",
                    "VGMM posterior_mass=0.99",
                    "VGMM posterior_mass=1",
                    "VGMM conv",
                )
                for score in ("", ": bound")
            ),
        ),
    ),
    "toy": ("Five circle arcs", "joined", {"circle_arcs": ("KMeans", "VGMM toy")}),
}


_EXTRAS = {
    "dccs-4": ("representation",),
    "mmdc-4": ("features",),
    "small": ("recalled",),
    "shift": ("distortions",),
    "variational": ("bound",),
}


@dataclass(frozen=True)
class Entry:
    """A row of a table on one data set."""

    setting: str
    score: str | None  # of the run's other scores, None for that of its labels
    published: dict  # the paper's figures, empty if it has none


@dataclass(frozen=True)
class Table:
    """A table, of a paper or our own."""

    name: str
    title: str
    document: str | None
    protocols: dict  # (data, sampling or None) to "joined" or "split"
    entries: dict  # the same to a list of Entry

    @property
    def extras(self) -> tuple[str, ...]:
        """What this table looks at beside the labels, see `extras.py`."""
        return _EXTRAS.get(self.name, ())


def tables() -> dict[str, Table]:
    """All tables, by name."""
    published = tomllib.loads(PAPERS.read_text(encoding="utf-8"))
    found = {
        name: Table(
            name,
            content["table"],
            content["document"],
            {_where(key): content["protocol"] for key in content["data"]},
            {
                _where(key): [_entry(row, figures) for row, figures in rows.items()]
                for key, rows in content["data"].items()
            },
        )
        for name, content in published.items()
    }
    for name, (title, protocol, data) in OWN.items():
        entries = {_where(key): [_entry(row, {}) for row in rows] for key, rows in data.items()}
        found[name] = Table(name, title, None, dict.fromkeys(entries, protocol), entries)
    return found


def _where(key: str) -> tuple[str, str | None]:
    data, _, sampling = key.partition(" ")
    return data, sampling or None


def _entry(row: str, figures: dict) -> Entry:
    setting, _, score = row.partition(": ")
    return Entry(setting, score or None, figures)
