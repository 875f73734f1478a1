"""Text from anywhere, as fonts, HTML and JSON can hold it."""

import re
from typing import Any

#: Control characters, and halves of a character, which file names may hold that are no UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: Any) -> str:
    """Return as text what can be drawn and written."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def shorten(name: Any, length: int = 16) -> str:
    """Return a name in at most `length` characters, as matplotlib shows it whatever it holds.

    To matplotlib, dollars enclose mathematics, and a label that begins with an underscore is one
    that legends leave out: a space of no width stands before it.
    """
    text = " ".join(printable(name).split())
    text = text if len(text) <= length else text[: length - 1] + "…"
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text
