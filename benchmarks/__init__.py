"""Measurements of the package: each module is one question and one command."""
