"""scikit-learn's own checks pass whole: nothing is expected to fail, nothing is skipped."""

import pytest
from estimators import QUICK, quick
from sklearn.utils.estimator_checks import parametrize_with_checks

import skdeepcluster


@pytest.fixture(autouse=True)
def _array_api(monkeypatch):
    # scikit-learn skips one of its checks without it.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([quick(name) for name in QUICK])
def test_quick_settings(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([getattr(skdeepcluster, name)() for name in QUICK])
def test_default_settings(estimator, check):
    check(estimator)
