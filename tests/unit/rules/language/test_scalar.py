"""Expressions over one set of facts: what is calculated, and what is UNKNOWN."""

from __future__ import annotations

import math

import pytest

from rules.language.scalar import known, logical, numeric
from rules.language.syntax import parse
from rules.language.truth import Truth

FACTS = {"a": 2.0, "b": -3.0, "zero": 0.0, "none": None, "nan": math.nan, "inf": math.inf, "huge": 1e308, "a[1]": 5.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a", 2.0),
        ("a[1]", 5.0),
        ("-a", -2.0),
        ("a + b * 2", -4.0),
        ("a / b", 2.0 / -3.0),
        ("a - b - 1", 4.0),
        ("min(a, b, 7)", -3.0),
        ("max(a, b, 1)", 2.0),
        ("abs(b)", 3.0),
        ("3", 3.0),
    ],
)
def test_calculates(text: str, value: float) -> None:
    assert numeric(parse(text))(FACTS) == value


@pytest.mark.parametrize(
    "text",
    ["none", "nan", "inf", "missing", "a / zero", "zero / zero", "huge * 10", "huge + huge", "-none", "abs(nan)",
     "min(a, none)", "max(none, a)", "0 * none", "none + 1", "1 - inf", "min(a / zero, 1)"],
)  # fmt: skip
def test_what_cannot_be_counted_with_is_unknown(text: str) -> None:
    assert numeric(parse(text))(FACTS) is None


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("a > b", Truth.TRUE),
        ("a < b", Truth.FALSE),
        ("a >= 2", Truth.TRUE),
        ("a <= 1.9", Truth.FALSE),
        ("b < zero < a", Truth.TRUE),
        ("b < zero < none", Truth.UNKNOWN),
        ("a < zero < none", Truth.FALSE),
        ("none > 1", Truth.UNKNOWN),
        ("not none > 1", Truth.UNKNOWN),
        ("none > 1 and a > 3", Truth.FALSE),
        ("none > 1 or a > 1", Truth.TRUE),
        ("none > 1 or a > 3", Truth.UNKNOWN),
        ("a / zero > 1", Truth.UNKNOWN),
        ("a", Truth.TRUE),
        ("zero", Truth.FALSE),
        ("none", Truth.UNKNOWN),
        ("nan", Truth.UNKNOWN),
        ("not zero", Truth.TRUE),
    ],
)
def test_tells_whether_a_condition_holds(text: str, truth: Truth) -> None:
    assert logical(parse(text))(FACTS) is truth


def test_a_condition_is_no_number_and_a_number_no_condition() -> None:
    with pytest.raises(TypeError, match="yields no number"):
        numeric(parse("a > 1"))
    with pytest.raises(TypeError, match="yields no condition"):
        logical(parse("a + 1"))


def test_known_keeps_numbers_only() -> None:
    assert [known(value) for value in (0.0, -1.5, None, math.nan, -math.inf)] == [0.0, -1.5, None, None, None]
