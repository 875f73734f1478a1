"""Sections of the results page about time and memory, and about the machines."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from benchmarks import _common, markdown
from benchmarks.results import machine, processor

FACTORS = {"n": "rows", "d": "features", "k": "clusters", "side": "side of images"}


def _contents(folder, pattern):
    folder = Path(folder or _common.RESULTS)
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob(pattern))}


def _rows(folder, name):
    return _contents(folder, f"{name}.json").get(name, {}).get("rows", [])


def machines(folder) -> str:
    """Processors, GPUs and versions of torch that the results were made with."""
    found = {}
    for content in _contents(folder, "*.json").values():
        for row in content.get("rows", []) if isinstance(content.get("rows"), list) else []:
            about = row.get("with") or content.get("provenance")
            if about and about.get("versions"):
                name = about.get("gpu") or f"{processor(about)} ({about['cores']} cores)"
                found.setdefault(name, set()).add(about["versions"].get("torch", "?"))
    parts = [f"{name} with torch {', '.join(sorted(v))}" for name, v in sorted(found.items())]
    return "; ".join(parts) or "none so far"


# ---------------------------------------------------------------------- speed


def speed(folder) -> list[str]:
    """Images a second, ratios, and shares of the machine's products."""
    lines, train, predict = [], [], []
    for row in _rows(folder, "speed"):
        asked, out = row["row"], row["out"]
        if asked["method"] == "import":
            lines = [f"Importing the package takes {out['ratio']:.2f} times as long as torch and "
                     "scikit-learn alone.", ""]  # fmt: skip
            continue
        about = [_varied(row), machine(row), asked["precision"], f"{asked['n']:,}"]
        t, p = out["training"], out["predicting"]
        peak = t.get("peak_flops", out.get("peak_flops"))  # it was measured before all, once
        ours = t["seconds"]["ours"]
        loader, ready = (t["seconds"].get(name) for name in ("loader", "augmented"))
        train.append([*about, *_compared(t), f"{peak / 1e9:,.0f}",
                      f"{ours / ready:.2f}" if ready else "",
                      f"{loader / ours:.2f}" if loader else ""])  # fmt: skip
        predict.append([*about, *_compared(p)])
    if train:
        heads = ["method", "machine", "precision", "images", "ours", "by hand", "bare passes",
                 "ours : by hand", "ours : passes", "share of peak"]  # fmt: skip
        lines += ["**Training, images/s**; ratios are of an epoch's times, below 1 where ours is "
                  "the faster one", ""]  # fmt: skip
        more = ["peak GFLOP/s", "ours : augmented before", "loader : ours"]
        lines += markdown.table([*heads, *more], train)
        lines += ["", "**Predicting, images/s**; in float32 whatever the training's precision",
                  "", *markdown.table(heads, predict)]  # fmt: skip
    return lines + _earlier_speed(folder, bool(lines))


def _varied(row):
    """A method's name, with the parameter that decides how much work a step is."""
    mass = row["ran"]["parameters"].get("posterior_mass")
    return row["row"]["method"] + (f", posterior_mass={mass:g}" if mass else "")


def _compared(out):
    """Rates of ours, by hand and of bare passes, ratios of their times, and ours of the peak."""
    names = ("ours", "by_hand", "passes")
    seconds, share = out["seconds"], out.get("share_of_peak", {}).get("ours")
    rates = (f"{out['images_per_s'][k]:,.0f}" if k in seconds else "" for k in names)
    ratios = (f"{seconds['ours'] / seconds[k]:.2f}" if k in seconds else "" for k in names[1:])
    return [*rates, *ratios, "" if share is None else f"{100 * share:.2g} %"]


def _earlier_speed(folder, below):
    """Ratios of result files whose scripts had forms of their own."""
    cells = []
    for name, content in _contents(folder, "*_speed.json").items():
        for part, out in content.items():
            if not isinstance(out, dict):
                continue
            threads = out.get("threads", content.get("provenance", {}).get("threads", ""))
            for key in ("relative", "to_one_component"):
                for which, value in _numbers(out.get(key)):
                    about = f"{name}: {part}{which}".replace("_", " ")
                    cells.append([about, key.replace("_", " "), f"{value:.3f}", str(threads)])
    if not cells:
        return []
    title = "**Single questions, as ratios to what the package is compared with**"
    return [*([""] if below else []), title, "",
            *markdown.table(["measurement", "figure", "value", "threads"], cells)]  # fmt: skip


def _numbers(value):
    """A figure, or several by name, as pairs of what to add to the measurement's name and it."""
    if isinstance(value, float):
        return [("", value)]
    return [(f", {name}", v) for name, v in value.items()] if isinstance(value, dict) else []


# ---------------------------------------------------------------------- growth


@dataclass(frozen=True)
class Series:
    """What measurements have in common between which nothing but the factor differs."""

    method: str
    factor: str
    fixed: tuple[tuple[str, int], ...]  # the other factors
    machine: str
    precision: str

    @property
    def how(self) -> str:
        """With what, beside the method and the factor."""
        fixed = [f"{value:,} {FACTORS[name]}" for name, value in self.fixed]
        precision = [] if self.precision == "auto" else [self.precision]
        return ", ".join([*fixed, self.machine, *precision])


@dataclass
class Points:
    """What was measured of a series, in the order of the factor's values."""

    measured: list[tuple[float, float, float]] = field(default_factory=list)  # value, seconds, MB
    ended: list[tuple[float, float]] = field(default_factory=list)  # value, seconds until it was


def growth(folder) -> dict[Series, Points]:
    """Measurements by what they have in common; what was cut short is none of them."""
    found = {}
    for row in _rows(folder, "scale"):
        asked, out = row["row"], row["out"]
        fixed = tuple((k, v) for k, v in asked["where"].items() if k != asked["factor"])
        series = Series(asked["method"], asked["factor"], fixed, machine(row), asked["precision"])
        points = found.setdefault(series, Points())
        if row["complete"]:
            point = (asked["value"], out["seconds"], out["peak_mb_above_torch"])
            points.measured.append(point)
        else:
            points.ended.append((asked["value"], out["seconds"]))
    for points in found.values():
        points.measured.sort()
        points.ended.sort()
    return found


def exponent(values, costs) -> float | None:
    """b of a + c v^b with a, c >= 0, by least squares of relative errors.

    A part of time and of memory depends on nothing. None of fewer than four values, where they
    differ by less than a tenth, and where the best b is at an end of those that are tried.
    """
    values, costs = np.asarray(values, float), np.asarray(costs, float)
    if len(values) < 4 or costs.min() <= 0 or costs.max() < 1.1 * costs.min():
        return None

    def error(exponent):
        terms = np.stack([np.ones(len(values)), (values / values.max()) ** exponent], axis=1)
        return nnls(terms / costs[:, None], np.ones(len(values)))[1]

    tried = np.linspace(0.2, 4, 381)
    best = int(np.argmin([error(e) for e in tried]))
    return float(tried[best]) if 0 < best < len(tried) - 1 else None


def scale(folder) -> list[str]:
    """Exponents, the measured ends, and what took too long."""
    cells = []
    for series, points in growth(folder).items():
        ended = [f"{value:,}: **cut short** after {s:.0f} s" for value, s in points.ended]
        cells.append([series.method, FACTORS[series.factor], series.how,
                      *_ends(points.measured), "; ".join(ended)])  # fmt: skip
    if not cells:
        return []
    heads = ["method", "by", "with", "from, to", "seconds", "peak MB", "exponent of time",
             "of memory", "remarks"]  # fmt: skip
    about = (
        "One epoch of each phase. Time and memory are taken as a part that does not grow and a "
        "power of what is varied, whose exponent is fitted to all points that came to their end. "
        "None stands for fewer than four points, for costs that differ by less than a tenth, and "
        "where the best of 0.2 to 4 is one of these ends. Memory is anonymous, above that after "
        "importing torch."
    )
    return [markdown.paragraph(about), "", *markdown.table(heads, cells)]  # fmt: skip


def _ends(measured):
    """Ranges of the values and of both costs, and the exponents."""
    if not measured:
        return [""] * 5
    values, seconds, mb = zip(*measured, strict=True)
    slopes = (exponent(values, cost) for cost in (seconds, mb))
    return [
        f"{values[0]:,} to {values[-1]:,}",
        f"{seconds[0]:.1f} to {seconds[-1]:.1f}",
        f"{mb[0]:.0f} to {mb[-1]:.0f}",
        *("" if slope is None else f"{slope:.2f}" for slope in slopes),
    ]


def beside(folder) -> list[str]:
    """What fits into none of the tables."""
    lines = []
    for content in _contents(folder, "image_folder.json").values():
        times = ", ".join(
            f"{r['seconds']:.0f} s with n_jobs={r['n_jobs']}" for r in content["rows"]
        )
        lines.append(f"`load_image_folder` on {content['rows'][0]['n']:,} PNG files: {times}.")
    for content in _contents(folder, "demo_*.json").values():
        lines += ["", f"`{content['command']}`:", "", "```text", *content["output"], "```"]
    return lines
