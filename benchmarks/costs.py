"""Sections of the results page about time and memory, and about the machines."""

import json
from pathlib import Path

import numpy as np

from benchmarks import _common

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
                machine = about.get("gpu") or f"{about['cpu']} ({about['cores']} cores)"
                found.setdefault(machine, set()).add(about["versions"].get("torch", "?"))
    parts = [f"{name} with torch {', '.join(sorted(v))}" for name, v in sorted(found.items())]
    return "; ".join(parts) or "none so far"


def _markdown(heads, rows):
    from benchmarks.report import markdown

    return markdown(heads, rows)


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
        where = row["with"]["gpu"] or f"CPU, {asked['threads']} threads"
        about = [asked["method"], where, asked["precision"]]
        t, p = out["training"], out["predicting"]
        ours, share = t["seconds"]["ours"], t["share_of_peak"]
        loader, ready = (t["seconds"].get(name) for name in ("loader", "augmented"))
        hand, passes = t["seconds"]["by_hand"], t["seconds"]["passes"]
        rates = (f"{t['images_per_s'][k]:,.0f}" for k in ("ours", "by_hand", "passes"))
        train.append([*about, *rates, f"{ours / hand:.2f}", f"{ours / passes:.2f}",
                      f"{100 * share['ours']:.0f} %", f"{out['peak_flops'] / 1e9:,.0f}",
                      f"{ours / ready:.2f}" if ready else "",
                      f"{loader / ours:.2f}" if loader else ""])  # fmt: skip
        predict.append([*about, *(f"{p['images_per_s'][k]:,.0f}" for k in ("ours", "by_hand")),
                        f"{p['seconds']['ours'] / p['seconds']['by_hand']:.2f}"])  # fmt: skip
    if train:
        heads = ["method", "machine", "precision"]
        lines += ["**Training, images/s** (times are those of an epoch, as ratios)", ""]
        lines += _markdown([*heads, "ours", "by hand", "bare passes", "ours : by hand",
                            "ours : passes", "share of peak", "peak GFLOP/s",
                            "ours : augmented before", "loader : ours"],
                           train)  # fmt: skip
        lines += ["", "**Predicting, images/s**", ""]
        lines += _markdown([*heads, "ours", "by hand", "ours : by hand"], predict)
    return lines + _earlier_speed(folder, bool(lines))


def _earlier_speed(folder, below):
    """Ratios of result files whose scripts had forms of their own."""
    cells = []
    for name, content in _contents(folder, "*_speed.json").items():
        threads = content.get("provenance", {}).get("threads", "")
        for part, out in content.items():
            for key in ("ratio", "relative", "beside"):
                if isinstance(out, dict) and isinstance(out.get(key), float):
                    about = f"{name}: {part}".replace("_", " ")
                    cells.append([about, key, f"{out[key]:.3f}", str(threads)])
    if not cells:
        return []
    title = "**Single questions, as ratios to what the package is compared with**"
    return [*([""] if below else []), title, "",
            *_markdown(["measurement", "figure", "value", "threads"], cells)]  # fmt: skip


# ---------------------------------------------------------------------- growth


def growth(folder) -> dict[tuple[str, str], list[tuple[float, float, float]]]:
    """Value, seconds and MB by method and factor, in the order of the values."""
    found = {}
    for row in _rows(folder, "scale"):
        asked, out = row["row"], row["out"]
        point = (asked["value"], out["seconds"], out["peak_mb_above"])
        found.setdefault((asked["method"], asked["factor"]), []).append(point)
    for row in _rows(folder, "statdec_scale"):  # of an earlier form
        point = (row["n"], row["seconds"], row["peak_mb_above_torch"])
        found.setdefault(("StatDEC (64 features)", "n"), []).append(point)
    return {key: sorted(points) for key, points in found.items()}


def exponent(values, costs) -> float | None:
    """Slope of log cost over log value, by least squares."""
    usable = [(v, c) for v, c in zip(values, costs, strict=True) if v > 0 and c > 0]
    if len(usable) < 2:
        return None
    x, y = np.log(np.array(usable)).T
    return float(np.polyfit(x, y, 1)[0])


def scale(folder) -> list[str]:
    """Exponents, and the measured ends."""
    cells = []
    for (method, factor), points in growth(folder).items():
        values, seconds, mb = zip(*points, strict=True)
        slopes = [exponent(values, seconds), exponent(values, mb)]
        cells.append([
            method, FACTORS[factor], f"{values[0]:,} to {values[-1]:,}",
            f"{seconds[0]:.1f} to {seconds[-1]:.1f}", f"{mb[0]:.0f} to {mb[-1]:.0f}",
            *("" if slope is None else f"{slope:.2f}" for slope in slopes),
        ])  # fmt: skip
    if not cells:
        return []
    heads = ["method", "by", "from, to", "seconds", "peak MB", "exponent of time", "of memory"]
    return ["One epoch of each phase. Cost is taken to grow as a power of what is varied, and the",
            "exponent is fitted to all points. Memory is anonymous, above that of the imports.",
            "", *_markdown(heads, cells)]  # fmt: skip


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
