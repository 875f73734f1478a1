"""Checks of parameters: what passes, what does not, and that messages name the value."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from skdeepcluster._validation import check_boolean, check_choice, check_integer, check_real


@pytest.mark.parametrize("value", [2, 10**30, np.int8(2), np.uint64(7)])
def test_integers(value):
    check_integer("k", value, minimum=2)


@pytest.mark.parametrize(
    "value", [2.0, "2", None, True, np.True_, np.float32(2), [2], np.array([2])]
)
def test_what_is_no_integer(value):
    with pytest.raises(TypeError, match="k must be an int, got") as caught:
        check_integer("k", value, minimum=2)
    assert repr(value) in str(caught.value)
    assert type(value).__name__ in str(caught.value)


def test_integers_too_small():
    with pytest.raises(ValueError, match=r"^k must be at least 2, got 1\.$"):
        check_integer("k", 1, minimum=2)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int16(1), Fraction(1, 2)])
def test_reals(value):
    check_real("w", value, maximum=1)


@pytest.mark.parametrize("value", ["0.5", None, True, np.False_, 1j, Decimal("0.5"), np.ones(1)])
def test_what_is_no_real(value):
    with pytest.raises(TypeError, match="w must be a number, got") as caught:
        check_real("w", value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [-1, 1.001, np.nan, np.inf, -np.inf, np.float32("nan")])
def test_reals_out_of_bounds(value):
    with pytest.raises(ValueError, match=r"w must be a finite number in \[0, 1\], got") as caught:
        check_real("w", value, maximum=1)
    assert repr(value) in str(caught.value)


def test_numbers_that_floats_do_not_hold():
    with pytest.raises(ValueError, match=r"finite number in \[0, inf\], got an int of 1329 bits"):
        check_real("w", 10**400)
    check_real("w", 10**300)


def test_integers_too_large():
    check_integer("k", 7, minimum=2, maximum=7)
    with pytest.raises(ValueError, match=r"^k must be at most 7, got 8\.$"):
        check_integer("k", 8, minimum=2, maximum=7)
    with pytest.raises(ValueError, match=r"^k must be at most 7, got an int of 16610 bits\.$"):
        check_integer("k", 10**5000, minimum=2, maximum=7)


def test_bounds_that_do_not_belong():
    check_real("w", 1e-300, exclusive=True)
    with pytest.raises(ValueError, match=r"w must be a finite number in \(0, inf\], got 0\."):
        check_real("w", 0, exclusive=True)


@pytest.mark.parametrize("value", [True, False, "dec", None, np.str_("dec")])
def test_choices(value):
    check_choice("c", str(value) if isinstance(value, str) else value, (True, False, "dec", None))


@pytest.mark.parametrize("value", [1, 0, "DEC", 1.0, "", np.zeros(2), ["dec"]])
def test_what_is_no_choice(value):
    with pytest.raises(ValueError, match="c must be one of") as caught:
        check_choice("c", value, (True, False, "dec"))
    assert repr(value) in str(caught.value)
    assert "(True, False, 'dec')" in str(caught.value)


@pytest.mark.parametrize("value", [True, False, np.True_])
def test_booleans(value):
    check_boolean("b", value)


@pytest.mark.parametrize("value", [1, 0, "yes", None, 1.0])
def test_what_is_no_boolean(value):
    with pytest.raises(TypeError, match="b must be True or False, got") as caught:
        check_boolean("b", value)
    assert repr(value) in str(caught.value)
