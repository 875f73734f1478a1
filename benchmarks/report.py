"""The results page, docs/results.md, and its pictures: made from the result files, never typed."""

import argparse
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import _common, collect, costs, markdown
from benchmarks.settings import COUNTERPARTS
from benchmarks.tables import Entry, Table, tables

DOCS = Path(__file__).parents[1] / "docs"

NAMES = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "digits": "digits",
    "breast_cancer": "breast cancer",
    "circle_arcs": "circle arcs",
}

INTRODUCTION = """
    Made by `python -m benchmarks report` from the files in `benchmarks/results/`, each row of which
    has its parameters, data, versions, commit and machine; of files in earlier forms, what those
    have. Scores are means over seeds with the standard deviation; labels are used for scoring
    alone. Seconds are of `fit`, their median over seeds, by the clock of a machine that did other
    work, too, unless it says CPU: then they are the processor's, over all threads. "2 × AMD EPYC
    25/17" is two threads of such a processor, of family 25 and model 17 where that was kept;
    "bfloat16" or "float32" after it is the precision, where that was kept and all seeds had it.
    "Published" is what the paper has in that table.

    A line says in its last column what was different: another protocol ("joined": all images are
    fitted and scored; "split": the training split is fitted, the other images are scored), fewer
    rows, a bound on its time. Where classes are of unequal size, balanced ACC is the mean recall of
    all, and "recall of the rarest" that of the three smallest. "Labels kept" is the share of images
    with the label that they have undistorted. **Cut short** is a run that a budget ended before its
    own end; it shares no line, and so no mean, with runs that came to theirs.
"""


CURVES = """\
Runs that were scored at two epochs or more while they trained; a curve ends with the last epoch
that was scored, tables have the run's end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", help="folder of the result files")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page")


def main(args: argparse.Namespace) -> int:
    from benchmarks import plots

    pictures = args.docs / "images" / "results"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    page = args.docs / "results.md"
    page.write_text(page_text(args.results, plots.draw(args.results, pictures)), encoding="utf-8")
    print(page)
    return 0


def page_text(folder, pictures: dict[str, list[tuple[str, str]]]) -> str:
    """The whole page. `pictures` are (file name, what it shows) by section."""
    shown, missing = [], []
    for table, blocks in papers_tables(folder):
        if blocks:
            shown.append((table, blocks))
        else:
            missing.append(table.name)
    parts = ["# Results", textwrap.dedent(INTRODUCTION).strip()]
    parts.append(markdown.paragraph(f"Machines: {costs.machines(folder)}."))
    parts.append("## The papers' tables")
    parts += [_section(*both) for both in shown if both[0].document]
    parts += ["## Comparisons of our own", *(_section(*both) for both in shown
                                             if not both[0].document)]  # fmt: skip
    parts += changed(folder)
    if missing:
        names = ", ".join(missing)
        parts.append(markdown.paragraph(f"Runnable, and not measured so far: {names}."))
    sections = [
        (
            "Accuracy against time",
            "curves",
            [markdown.paragraph(CURVES)] if pictures.get("curves") else [],
        ),
        ("Accuracy against time where classes are of unequal size", "unequal", []),
        ("Other packages", "peers", peers(folder)),
        ("Speed", "speed", costs.speed(folder)),
        ("Scaling", "scale", costs.scale(folder)),
        ("Other measurements", "beside", costs.beside(folder)),
    ]
    for title, name, lines in sections:
        if lines or pictures.get(name):
            parts.append(f"## {title}")
            parts += ["\n".join(lines)] if lines else []
            parts += [
                f"![{about}](images/results/{file})" for file, about in pictures.get(name, [])
            ]
    return "\n\n".join(parts) + "\n"


def _section(table, blocks):
    heading = f"### {table.name}: {table.title}" if table.document else f"### {table.title}"
    about = [] if table.document is None else [markdown.paragraph(f"{table.document}.")]
    return "\n\n".join([heading, *about, *blocks])


# ---------------------------------------------------------------------- tables of runs


#: Heads of the columns, by what a line has in them.
HEADS = {
    "setting": "setting",
    "published": "published",
    "acc": "ACC",
    "nmi": "NMI",
    "ari": "ARI",
    "balanced_acc": "balanced ACC",
    "recall_smallest": "recall of the rarest",
    "kept": "labels kept",
    "elbo": "ELBO",
    "seeds": "seeds",
    "remarks": "remarks",
}


@dataclass
class Line:
    """A table's row and what a group of runs gave of it, as text; without runs just the former."""

    setting: str
    published: str
    acc: str = ""
    nmi: str = ""
    ari: str = ""
    balanced_acc: str = ""
    recall_smallest: str = ""
    kept: str = ""
    elbo: str = ""
    seeds: str = ""
    remarks: str = ""

    @property
    def measured(self) -> bool:
        return bool(self.seeds)


def papers_tables(folder=None, names=None) -> list[tuple[Table, list[str]]]:
    """Each table, with a Markdown table for each data set that has results."""
    rows = collect.measured(folder)
    found = []
    for name, table in tables().items():
        if names and name not in names:
            continue
        blocks = []
        for (data, sampling), entries in table.entries.items():
            here = [r for r in rows if (r.data, r.sampling) == (data, sampling)]
            protocol = table.protocols[data, sampling]
            lines = [line for entry in entries for line in _lines(table, entry, here, protocol)]
            if any(line.measured for line in lines):
                blocks.append(_block(data, sampling, lines))
        found.append((table, blocks))
    return found


def _lines(table, entry, rows, protocol):
    """A line for each group of runs of an entry; one without runs if there is none."""
    # Where the paper splits the data, joined runs are shown beside; else these alone
    own = [row for row in rows if row.setting == entry.setting and not row.changed
           and row.protocol in (protocol, "joined")]  # fmt: skip
    lines = [
        _line(which, group, protocol)
        for group in collect.groups(own)
        for which in _entries(table, entry, group, protocol)
    ]
    # What was not measured has a line where there is a figure to compare with
    return lines or ([Line(_name(entry), _published(entry))] if entry.published else [])


def _entries(table, entry, group, protocol):
    """What a group has lines for: the entry, or each distortion of the images.

    Runs that were cut short have no scores but those of their labels, perhaps not even these: they
    have a line nevertheless.
    """
    first = group[0]
    if table.name == "shift":
        names = dict.fromkeys(name for row in group for name in row.more)
        found = [Entry(entry.setting, name, {}) for name in names]
        is_of_table = first.protocol == protocol
    else:
        found = [entry] if any(_scores(entry, row) for row in group) else []
        is_of_table = True
    return found or ([entry] if is_of_table and not first.complete else [])


def _scores(entry, row):
    return row.more.get(entry.score, {}) if entry.score else row.scores


def _line(entry, group, protocol):
    scores, first = [_scores(entry, row) for row in group], group[0]
    names = ["acc", "nmi", "ari", "kept", "elbo"]
    if first.sampling:
        names += ["balanced_acc", "recall_smallest"]
    return Line(
        _name(entry),
        _published(entry),
        **{name: summary(scores, name) for name in names},
        seeds=str(len(group)),
        remarks=f"{_seconds(group)} {_how(group, protocol)}".strip(" ;")
        + ("" if any(scores) else ", not scored"),
    )


def summary(scores, name):
    """Mean and standard deviation over seeds."""
    values = [s[name] for s in scores if name in s]
    return _common.summary(values) if values else ""


def _name(entry):
    return entry.setting + (f": {entry.score}" if entry.score else "")


def _published(entry):
    figures = [f"{entry.published[s]:.3f}" for s in ("acc", "nmi", "ari") if s in entry.published]
    ste = f" (±{entry.published['ste']:.3f})" if "ste" in entry.published else ""
    return (f"{figures[0]}{ste}" + "".join(f" / {f}" for f in figures[1:])) if figures else ""


def _seconds(group):
    if all(row.seconds is not None for row in group):
        median, unit = np.median([row.seconds for row in group]), "s"
    elif all(row.cpu_s is not None for row in group):
        median, unit = np.median([row.cpu_s for row in group]), "s CPU"
    else:
        return ""
    machines = {row.machine for row in group}
    if len(machines) > 1:  # seconds of one are none of another
        return ""
    return f"{median:.0f} {unit};" + "".join(f" {name};" for name in machines if name)


def _how(group, protocol):
    """What a line's runs have that its table does not say."""
    row = group[0]
    notes = [row.remark] if row.remark else []
    notes += [] if row.complete else ["**cut short**" if row.stop_reason == "budget" else
                                     f"**ended after {row.max_time:g} s**"]  # fmt: skip
    if row.protocol != protocol:
        notes.append(row.protocol)
    if row.n is not None:
        notes.append(f"{row.n:,} rows")
    if row.changed:
        notes.append(row.changed)
    notes.append(_precision(group))
    return ", ".join(filter(None, notes))


def _precision(group):
    """What was asked for or, where that was "auto", what it came to be."""
    if group[0].precision != "auto":
        return group[0].precision
    found = {row.dtype for row in group}
    return found.pop() if len(found) == 1 else ""


def _block(data, sampling, lines):
    """A Markdown table; columns that are empty throughout are left out."""
    used = [name for name in HEADS if any(getattr(line, name) for line in lines)]
    where = NAMES.get(data, data) + (f", {sampling}" if sampling else "")
    rows = [[getattr(line, name) for name in used] for line in lines]
    return "\n".join([f"**{where}**", "", *markdown.table([HEADS[name] for name in used], rows)])


def as_text(found) -> str:
    """Tables with results, for a terminal."""
    return "\n\n".join(
        f"{table.name}: {table.title}\n\n" + "\n\n".join(blocks)
        for table, blocks in found
        if blocks
    )


def changed(folder) -> list[str]:
    """Runs of settings with other parameters: they are rows of no table."""
    rows = [row for row in collect.measured(folder) if row.changed]
    cells = []
    for group in collect.groups(rows):
        first = group[0]
        where = ", ".join(filter(None, [NAMES.get(first.data, first.data), first.sampling]))
        scores = [row.scores for row in group]
        cells.append([first.setting, where, *(summary(scores, s) for s in ("acc", "nmi", "ari")),
                      str(len(group)), f"{_seconds(group)} {_how(group, 'joined')}"])  # fmt: skip
    if not cells:
        return []
    heads = ["setting", "data", "ACC", "NMI", "ARI", "seeds", "remarks"]
    return ["### Settings with other parameters", "\n".join(markdown.table(heads, cells))]


# ---------------------------------------------------------------------- other packages


def peers(folder) -> list[str]:
    """Medians of time and memory, ratios of medians to the counterpart, and scores."""
    rows = collect.measured(folder, collect.PEERS)
    lines = []
    for where in dict.fromkeys(_place(row) for row in rows):
        groups = collect.groups([row for row in rows if _place(row) == where])
        # A run that was cut short has no time that another one's could be compared with
        whole = {g[0].setting: g for g in groups if g[0].complete}
        data, n, changed, machine = where
        title = [NAMES.get(data, data), n and f"{n:,} rows", changed, machine]
        heads = ["method", "precision", "ACC", "NMI", "ARI", "seconds", "ratio", "peak MB", "ratio",
                 "seeds", "remarks"]  # fmt: skip
        lines += [f"**{', '.join(filter(None, title))}**", "",
                  *markdown.table(heads, [_peer(g, whole) for g in groups]), ""]  # fmt: skip
    if lines:
        lines.append(markdown.paragraph(
            "Seconds and peak memory are medians over the seeds, of processes that took turns in a "
            "call; what another call has added had a turn of its own. The "
            "ratio is that of a method's median to its counterpart's in the other package, over "
            "the seeds that both have: IDEC to "
            "ClustPy's IDEC, DEC to DEC, VGMM to VaDE, StatDEC-1 to DCN. VGMM has no pre-training: "
            "it gets the epochs of both phases. The rows that HDBSCAN leaves out as noise count "
            "as one more cluster."))  # fmt: skip
    return lines


def _place(row):
    """What runs have in common that are compared with each other."""
    return row.data, row.n, row.changed, row.machine


def _peer(group, whole):
    """Cells of a method: its runs, beside complete ones by setting."""
    first, scores = group[0], [row.scores for row in group]
    seconds, peak = _median(group, "seconds"), _median(group, "peak_mb")
    rivals = whole.get(COUNTERPARTS.get(first.setting), []) if first.complete else []
    remarks = [first.remark, "" if first.complete else "**cut short**"]
    versions = [{row.torch for row in rows} for rows in (group, rivals)]
    if rivals and versions[0] != versions[1]:
        own, other = (" and ".join(sorted(map(str, found))) for found in versions)
        remarks.append(f"torch {own}, the other {other}")
    ratios = [_ratio(group, rivals, name) for name in ("seconds", "peak_mb")]
    time, memory = ("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
    return [
        first.setting, _precision(group),
        *(summary(scores, s) for s in ("acc", "nmi", "ari")),
        f"{seconds:.1f}", time, f"{peak:.0f}" if peak else "", memory,
        str(len(group)), ", ".join(filter(None, remarks)),
    ]  # fmt: skip


def _ratio(group, rivals, name):
    """That of the medians, of the seeds which both have; None where these are none."""
    seeds = {row.seed for row in group} & {row.seed for row in rivals}
    own, others = (
        _median([row for row in rows if row.seed in seeds], name) for rows in (group, rivals)
    )
    return own / others if own and others else None


def _median(group, name):
    values = [getattr(row, name) for row in group if getattr(row, name) is not None]
    return float(np.median(values)) if values else None
