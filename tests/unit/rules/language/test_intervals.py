"""Proofs over conditions: what is called impossible is impossible, and what is meant to be proved is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.language.intervals import TooComplex, describe, implies, possible
from rules.language.reach import ANYTHING, NOT_NEGATIVE, Interval
from rules.language.scalar import logical
from rules.language.syntax import And, Comparison, Name, Node, Not, Number, Or, parse
from rules.language.truth import Truth
from tests.effort import examples


def domain(node: Node) -> Interval:
    if not isinstance(node, Name):
        return ANYTHING
    return {"rsi": Interval(0.0, 100.0), "price": NOT_NEGATIVE, "other": NOT_NEGATIVE}.get(node.name, ANYTHING)


def is_possible(*texts: str) -> bool:
    return possible([parse(text) for text in texts], domain) is not None


@pytest.mark.parametrize(
    "texts",
    [
        ("a >= 25", "a <= 20"),
        ("a > 20", "a <= 20"),
        ("a >= 20 and a < 20",),
        ("a >= 25", "not a > 20"),
        ("a >= 25", "a < 20 or a < 22"),
        ("20 <= a <= 30 and a > 30",),
        ("a > b", "a < b"),
        ("a > b", "b >= a"),
        ("a - b > 0", "a <= b"),
        ("a > 1.02 * b", "a - 1.02 * b < 0"),
        ("2 * a > 50", "a < 25"),
        ("a / 2 > 50", "a < 100"),
        ("-a > -10", "a >= 10"),
        ("10 < a - 5", "a < 15"),
        ("a - a > 0",),
        ("0 > 1",),
        ("rsi > 100",),
        ("rsi < 0",),
        ("price < 0",),
        ("abs(x) < 0",),
        ("abs(x) >= 2", "abs(x) < 2"),
        ("max(a, b) > c", "max(a, b) <= c"),
        ("a[1] > 5", "a[1] < 5"),
        ("flag", "not flag"),
        ("a > 5 and (b > 5 or a < 3)", "b < 5"),
        ("not (a < 5 or b < 5)", "b < 4"),
    ],
)
def test_sees_what_can_never_hold(texts: tuple[str, ...]) -> None:
    assert not is_possible(*texts)


@pytest.mark.parametrize(
    "texts",
    [
        ("a >= 25", "a <= 25"),
        ("a >= 20", "a <= 25"),
        ("a >= 25", "b <= 20"),
        ("a >= 25", "a[1] <= 20"),
        ("rsi >= 100",),
        ("price <= 0",),
        ("a > b", "b > c"),
        ("a > 5 or a < 3", "a < 5"),
        ("flag", "not other"),
        ("abs(x) > 2", "x < 0"),
    ],
)
def test_leaves_open_what_may_hold(texts: tuple[str, ...]) -> None:
    assert is_possible(*texts)


@pytest.mark.parametrize(
    ("premises", "conclusion", "proved"),
    [
        (["a >= 25"], "a >= 20", True),
        (["a >= 20"], "a >= 25", False),
        (["a >= 25", "b > 3"], "b > 2 or a > 99", True),
        (["a > 1 or a < -1"], "a > 0 or a < 0", True),
        (["abs(x) >= 1"], "abs(x) >= 0.5", True),
        (["flag"], "flag", True),
        ([], "rsi >= 0", True),
        ([], "rsi > 0", False),
        ([], "price + 1 > price", True),
    ],
)
def test_proves_that_one_follows_from_others(premises: list[str], conclusion: str, proved: bool) -> None:
    assert implies([parse(text) for text in premises], parse(conclusion), domain) is proved


def test_a_witness_says_with_which_values() -> None:
    witness = possible([parse("a >= 20"), parse("a <= 25"), parse("b - 2 * c > 1"), parse("-b < 0")], domain)
    assert witness is not None
    assert describe(witness) == "a from 20 to 25 and b - 2 * c above 1 and b above 0"


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(1, 1), "at 1"),
        (Interval(1, 2.5), "from 1 to 2.5"),
        (Interval(lower=1), "at least 1"),
        (Interval(lower=1, lower_open=True), "above 1"),
        (Interval(upper=1), "at most 1"),
        (Interval(upper=1, upper_open=True), "below 1"),
        (ANYTHING, "anywhere"),
    ],
)
def test_intervals_read_as_one_would_say_them(interval: Interval, text: str) -> None:
    assert str(interval) == text


def test_many_cases_of_one_comparison_are_looked_at_only_as_they_stand() -> None:
    assert is_possible(" + ".join(["abs(a)"] * 12) + " > 1")


def test_gives_up_on_too_many_alternatives() -> None:
    either = " or ".join(f"(a > {n} and b > {n})" for n in range(9))
    with pytest.raises(TooComplex):
        possible([parse(either)] * 5, domain)
    with pytest.raises(TooComplex):
        implies([parse(either)] * 3, parse(f"not ({either})"), domain)


whole = st.integers(-2, 2).map(float)
sides = st.sampled_from(["a", "b", "a - b", "2 * a", "-b", "a + b", "a / 2"]).map(parse)
comparisons = st.builds(Comparison, st.sampled_from(["<", "<=", ">", ">="]), sides, st.one_of(whole.map(Number), sides))


def _conditions(deeper: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(deeper, min_size=2, max_size=3).map(tuple)
    return st.one_of(deeper.map(Not), several.map(And), several.map(Or))


conditions = st.recursive(st.one_of(comparisons, st.just(Name("f"))), _conditions, max_leaves=6)


@given(conditions)
@settings(max_examples=examples(400))
def test_nothing_that_happens_was_called_impossible(node: Node) -> None:
    found = possible([node], domain)
    test = logical(node)
    numbers = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
    happens = any(test({"a": a, "b": b, "f": f}) is Truth.TRUE for a in numbers for b in numbers for f in (0.0, 1.0))
    assert found is not None or not happens
