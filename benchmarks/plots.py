"""Pictures of the results page."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks import collect, costs
from benchmarks.report import NAMES

SIZE, DPI, LINES = (7.6, 3.8), 90, ("-", "--", ":", "-.")


def draw(folder, pictures: Path) -> dict[str, list[tuple[str, str]]]:
    """Draw what there is; return file names and what they show, by section."""
    rows = sorted((row for row in collect.measured(folder) if len(row.curve) > 1), key=_place)
    return {
        "curves": _curves([row for row in rows if row.sampling is None], pictures),
        "unequal": _curves([row for row in rows if row.sampling is not None], pictures),
        "scale": _growth(folder, pictures),
    }


def _place(row):
    """Data in the order of their names, all rows of them before some."""
    known = row.data in NAMES
    data = [*NAMES].index(row.data) if known else row.data
    return not known, data, row.n or 0, row.sampling or ""


def _curves(rows, pictures):
    drawn = []
    for data, sampling, n in dict.fromkeys((r.data, r.sampling, r.n) for r in rows):
        own = [r for r in rows if (r.data, r.sampling, r.n) == (data, sampling, n)]
        where = ", ".join(filter(None, [NAMES.get(data, data), sampling, n and f"{n:,} rows"]))
        name = "-".join(filter(None, [data, sampling and sampling.replace(" ", "-"), n and str(n)]))
        drawn.append(_accuracy(own, where, pictures / f"accuracy-{name}.png"))
        critics = [row for row in own if "wasserstein" in row.curve[0]]
        if critics:
            drawn.append(_critic(critics, where, pictures / f"critic-{name}.png"))
    return drawn


def _accuracy(rows, where, path):
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    labels = _labels(rows)
    settings = list(dict.fromkeys(labels))
    for row, label in zip(rows, labels, strict=True):
        i = settings.index(label)
        seconds, acc = zip(*((p["seconds"], p["acc"]) for p in row.curve), strict=True)
        first = not any(line.get_label() == label for line in axes.lines)
        axes.plot(seconds, acc, LINES[i // 10 % 4], color=f"C{i % 10}", lw=1.2,
                  label=label if first else None)  # fmt: skip
        end = "o" if row.complete else "x" if row.stop_reason == "budget" else "s"
        axes.plot(seconds[-1], acc[-1], end, color=f"C{i % 10}", ms=4)
    ends = "● came to its end, ■ was ended by its time, × was cut short"
    axes.set(xscale="log", xlabel=f"seconds of training\n{ends}", ylabel="ACC", title=where)
    axes.grid(alpha=0.3)
    figure.legend(fontsize=7, loc="outside right upper")
    return _save(figure, path, f"Accuracy against time on {where}; {ends}")


def _labels(rows):
    """A name for each run, the same for those of a setting on one machine."""
    names = [
        " ".join(filter(None, [r.setting, r.changed, f"({r.remark})" if r.remark else ""]))
        for r in rows
    ]
    machines = {}
    for name, row in zip(names, rows, strict=True):
        machines.setdefault(name, set()).add(row.machine)
    return [
        f"{name}, {row.machine}" if len(machines[name]) > 1 or row.device != "cpu" else name
        for name, row in zip(names, rows, strict=True)
    ]


def _critic(rows, where, path):
    """Fig. 3 of DCCS: the critic's estimate beside the accuracy, by steps of the encoder."""
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    other = axes.twinx()
    for i, row in enumerate(rows):
        steps = [point["steps"] for point in row.curve]
        acc, estimate = ([point[k] for point in row.curve] for k in ("acc", "wasserstein"))
        color = f"C{i % 10}"
        axes.plot(steps, acc, color=color, lw=1.2, label=f"{row.setting}, seed {row.seed}")
        other.plot(steps, estimate, "--", color=color, lw=1.0)
    axes.set(xlabel="steps of the encoder", ylabel="ACC (solid)", title=f"DCCS on {where}")
    other.set(ylabel="Wasserstein estimate of the critic (dashed)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return _save(figure, path, f"DCCS on {where}: accuracy and the critic's estimate (its Fig. 3)")


def _growth(folder, pictures):
    found = {series: points.measured for series, points in costs.growth(folder).items()}
    drawn = []
    for factor in dict.fromkeys(series.factor for series, points in found.items() if points):
        figure, both = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained")
        shown = [series for series in found if series.factor == factor and found[series]]
        for series in shown:
            alone = sum(other.method == series.method for other in shown) == 1
            name = series.method if alone else f"{series.method}, {series.how}"
            values, seconds, mb = map(np.array, zip(*found[series], strict=True))
            for axes, cost in zip(both, (seconds, mb), strict=True):
                slope = costs.exponent(values, cost)
                label = name if slope is None else f"{name} ({slope:.2f})"
                axes.plot(values, np.maximum(cost, 1e-3), "o-", ms=3, lw=1.2, label=label)
        for axes, label in zip(both, ("seconds", "peak MB"), strict=True):
            axes.set(xscale="log", yscale="log", xlabel=costs.FACTORS[factor], ylabel=label)
            axes.grid(alpha=0.3)
            axes.legend(fontsize=6)
        path = pictures / f"scale-{factor}.png"
        about = f"Time and memory by {costs.FACTORS[factor]}, with the fitted exponents"
        drawn.append(_save(figure, path, about))
    return drawn


def _save(figure, path, about):
    # No date and no version in the file: the same results give the same picture
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    return path.name, about
