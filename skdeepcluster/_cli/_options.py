"""An estimator's parameters as options, derived from its constructor and docstring."""

import argparse
import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

#: Parameters that no word on a command line can be.
LEFT_OUT = ("callbacks",)

#: Parameters that are text, a folder may be called 7, but for what it says there.
TEXT = {"checkpoint": {"none": None}, "device": {}}

#: What the command line has in place of the constructor's default. (`fit` sets the checkpoint.)
DEFAULTS = {"random_state": 0, "verbose": 1}

_PREFIX = "parameter:"


def add_parameters(parser: argparse.ArgumentParser, method: type) -> None:
    """Add an option for each parameter of an estimator.

    Parameters
    ----------
    parser : ArgumentParser
    method : class
        An estimator with a numpydoc docstring.
    """
    described = describe(method)
    group = parser.add_argument_group(
        f"parameters of {method.__name__}",
        "The same as in Python; true, false, none and tuples as 500,500 or 64, need no quotes.\n"
        "What is a function in Python cannot be given here.",
    )
    for name, parameter in inspect.signature(method).parameters.items():
        if name in LEFT_OUT:
            continue
        default = DEFAULTS.get(name, parameter.default)
        kind, sentence = described.get(name, ("", ""))
        default_text = "DIR/checkpoint" if name == "checkpoint" else _spelt(default)
        text = f"{sentence} {kind}; default: {default_text}".strip()
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=_PREFIX + name,
            metavar="VALUE",
            type=_text(TEXT[name]) if name in TEXT else value,
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
        )


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that were given."""
    return {
        name.removeprefix(_PREFIX): given
        for name, given in vars(args).items()
        if name.startswith(_PREFIX)
    }


def _text(words: dict[str, Any]) -> Callable[[str], Any]:
    """Make what reads a text, but for some words."""
    return lambda text: words.get(text.lower(), text)


def value(text: str) -> Any:
    """Read a value as Python would, but text without quotes.

    Examples
    --------
    >>> [value(text) for text in ("3", "1e-4", "500,500", "true", "None", "auto")]
    [3, 0.0001, (500, 500), True, None, 'auto']
    """
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def describe(method: type) -> dict[str, tuple[str, str]]:
    """Return type and first sentence of each parameter in a class's docstring."""
    # A line that goes on in the next one is not indented there.
    lines = inspect.cleandoc(method.__doc__.replace("\\\n", "")).splitlines()
    section = _section(lines, "Parameters")
    described: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    kind, text = "", []
    for line in [*section, "end : "]:
        head = re.match(r"(\w[\w, ]*) : (.*)", line)
        if not head:
            text.append(line.strip())
            continue
        for name in names:
            described[name] = (kind, _first_sentence(" ".join(text)))
        names = head[1].split(", ")
        kind, text = _plain(head[2]).split(", default=")[0], []
    return described


def _section(lines: list[str], title: str) -> list[str]:
    start = lines.index(title) + 2
    for i in range(start, len(lines)):
        if set(lines[i]) == {"-"}:
            return lines[start : i - 1]
    return lines[start:]


def _first_sentence(text: str) -> str:
    text = _plain(text.strip())
    end = re.search(r"\.(?= [A-Z\"]|$)", text)
    return text[: end.end()] if end else text


def _plain(text: str) -> str:
    """Leave the marks of reStructuredText away."""
    text = re.sub(r":math:`([^`]*)`", lambda found: re.sub(r"[\\{}]", "", found[1]), text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?([\w]+)`", r"\1", text)
    return text.replace("`", "").replace(" ,", ",").replace(" .", ".")


def _spelt(default: Any) -> str:
    """Write a value as it would be given."""
    if isinstance(default, tuple):
        return ",".join(map(_spelt, default))
    if isinstance(default, float):
        return f"{default:.4g}"
    return str(default).lower() if isinstance(default, bool | None) else str(default)
