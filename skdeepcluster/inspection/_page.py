"""The report's HTML: what comes from elsewhere enters it as text only."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from skdeepcluster.inspection._text import printable


class Chart(NamedTuple):
    """A picture of the report."""

    title: str
    caption: str
    uri: str


def escape(text: Any) -> str:
    """Return as HTML what shows as `text`."""
    return html.escape(printable(text), quote=True)


def embed(data: Any) -> str:
    """Return `data` as JSON that cannot end the script element that it is in."""
    # Escapes would take six bytes for each letter of names that UTF-8 writes with two or three.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def page(
    title: str,
    summary: Sequence[str],
    data: dict,
    charts: Iterable[Chart],
    notes: Sequence[str],
    parameters: Iterable[tuple[str, str, bool]],
    versions: Iterable[tuple[str, str]],
) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    summary : sequence of str
        A line each.
    data : dict
        What the script shows.
    charts : iterable of Chart
    notes : sequence of str
        What there is no chart of, and why.
    parameters : iterable of (str, str, bool)
        Name, value, and whether it is another than the default.
    versions : iterable of (str, str)
    """
    style, script = (
        files("skdeepcluster.inspection").joinpath(name).read_text(encoding="utf-8")
        for name in ("_report.css", "_report.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Nothing is loaded, and no script runs but ours: what the page shows may be hostile.
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    has_confidence = data["rows"]["confidence"] is not None
    lines = "".join(f"<p>{escape(line)}</p>" for line in summary)
    pictures = "".join(_figure(chart) for chart in charts)
    remarks = "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)
    changed = "".join(
        f"<tr{' class=changed' * is_changed}><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value, is_changed in parameters
    )
    packages = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in versions
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><button type="button" id="theme">Light or dark</button></header>
{lines}
<nav><a href="#clusters">Clusters</a><a href="#pictures">Pictures</a>\
<a href="#parameters">Parameters</a><a href="#versions">Versions</a></nav>
<h2 id="clusters">Clusters</h2>
<noscript><p>The clusters are shown by a script, which this browser does not run.</p></noscript>
<div class="bar">
<label>Clusters by <select id="sort">
<option value="size">size</option>
<option value="confidence"{"" if has_confidence else " disabled"}>confidence</option>
<option value="cluster">number</option>
</select></label>
<label>Rows <select id="order"{"" if has_confidence else " disabled"}>
<option value="most">most confident first</option>
<option value="least">least confident first</option>
</select></label>
<span id="pages-above"></span>
</div>
<div id="list"></div>
<div class="bar"><span id="pages-below"></span></div>
<h2 id="pictures">Pictures</h2>
{pictures}{remarks}
<h2 id="parameters">Parameters</h2>
<p class="soft">Values in bold: other than the default.</p>
<div class="wide"><table>{changed}</table></div>
<h2 id="versions">Versions</h2>
<table>{packages}</table>
<dialog id="viewer" aria-label="Enlarged image">
<div id="view"></div>
<div class="bar"><button type="button" id="before">‹ previous</button>\
<button type="button" id="after">next ›</button><span class="soft" id="at"></span>\
<button type="button" id="close">Close</button></div>
</dialog>
<script type="application/json" id="data">{embed(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _figure(chart: Chart) -> str:
    return (
        f"<figure><h3>{escape(chart.title)}</h3>"
        f'<img src="{chart.uri}" alt="{escape(chart.caption)}">'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>\n"
    )
