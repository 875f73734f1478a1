"""The version stands once, in the package."""

from importlib.metadata import PackageNotFoundError, version

import pytest

import skdeepcluster


def test_what_is_installed_has_the_packages_version():
    try:
        installed = version("skdeepcluster")
    except PackageNotFoundError:
        pytest.skip("run from a clone that is not installed")
    assert installed == skdeepcluster.__version__
