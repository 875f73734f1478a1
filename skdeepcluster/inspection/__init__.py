"""Displays: what a model found, as pictures."""

from skdeepcluster.inspection._choice import NClustersDisplay

__all__ = ["NClustersDisplay"]
