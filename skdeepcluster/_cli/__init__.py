"""Command line: ``python -m skdeepcluster``, also as the script ``skdeepcluster``."""

from skdeepcluster._cli._main import main

__all__ = ["main"]
