"""scikit-learn's own checks pass whole: nothing is expected to fail, nothing is skipped."""

from unittest import SkipTest

import pytest
from estimators import QUICK, quick
from sklearn.utils.estimator_checks import parametrize_with_checks

import skdeepcluster


@pytest.fixture(autouse=True)
def _array_api(monkeypatch):
    # scikit-learn skips one of its checks without it.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


SKIPS = (SkipTest, pytest.skip.Exception)


def passes(check, estimator):
    try:
        check(estimator)
    except SKIPS as reason:
        pytest.fail(f"skipped: {reason}")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([quick(name) for name in QUICK])
def test_quick_settings(estimator, check):
    passes(check, estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([getattr(skdeepcluster, name)() for name in QUICK])
def test_default_settings(estimator, check):
    passes(check, estimator)


@pytest.mark.parametrize("skip", SKIPS)
def test_a_check_that_skips_fails(skip):
    def check(estimator):
        raise skip("no such library")

    with pytest.raises((pytest.fail.Exception, *SKIPS), match="no such library") as raised:
        passes(check, None)
    assert raised.type is pytest.fail.Exception
