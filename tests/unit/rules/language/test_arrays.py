"""The two forms of every expression are equal at every row, bit for bit."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.language.arrays import numbers, truth_of, truths
from rules.language.scalar import known, logical, numeric
from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or, parse
from tests.effort import examples

ROWS = 12
KEYS = ("a", "b", "c", "a[1]")

EDGES = (0.0, -0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 5e-324, 1e-300, math.nan, math.inf, -math.inf)
values = st.one_of(st.sampled_from(EDGES), st.floats(), st.integers(-3, 3).map(float))
columns = st.fixed_dictionaries({key: st.lists(values, min_size=ROWS, max_size=ROWS) for key in KEYS})

constants = st.one_of(st.sampled_from([0.0, 1.0, 2.0, 0.5, 1e300]), st.floats(0, 100)).map(Number)
names = st.sampled_from([Name("a"), Name("b"), Name("c"), Name("a", 1)])


def _numbers(deeper: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    pairs = st.tuples(st.sampled_from(["+", "-", "*", "/"]), deeper, deeper)
    several = st.lists(deeper, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        pairs.map(lambda parts: Arithmetic(*parts)),
        deeper.map(Negative),
        deeper.map(lambda node: Call("abs", (node,))),
        st.builds(Call, st.sampled_from(["min", "max"]), several),
    )


measures = st.recursive(st.one_of(constants, names), _numbers, max_leaves=8)
comparisons = st.builds(Comparison, st.sampled_from(["<", "<=", ">", ">="]), measures, measures)


def _conditions(deeper: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(deeper, min_size=2, max_size=3).map(tuple)
    return st.one_of(deeper.map(Not), several.map(And), several.map(Or))


conditions = st.recursive(st.one_of(comparisons, names), _conditions, max_leaves=8)


def bits(value: float | None) -> bytes:
    return b"unknown" if value is None or math.isnan(value) else struct.pack(">d", value)


@given(measures, columns)
@settings(max_examples=examples(600))
def test_numbers_are_equal_bit_for_bit(node: Node, table: dict[str, list[float]]) -> None:
    whole = np.broadcast_to(numbers(node, lambda key: np.array(table[key])), (ROWS,)).tolist()
    one = numeric(node)
    for row in range(ROWS):
        facts = {key: known(column[row]) for key, column in table.items()}
        assert bits(one(facts)) == bits(whole[row])


@given(conditions, columns)
@settings(max_examples=examples(600))
def test_truths_are_equal(node: Node, table: dict[str, list[float]]) -> None:
    whole = np.broadcast_to(truths(node, lambda key: np.array(table[key])), (ROWS,)).tolist()
    test = logical(node)
    for row in range(ROWS):
        facts = {key: known(column[row]) for key, column in table.items()}
        assert test(facts) is truth_of(whole[row])


@given(st.sampled_from(["a + 0.1 * b - c / 3", "max(a, b, c) - min(a, b)", "abs(a - a[1]) / b"]), columns)
def test_written_expressions_are_equal_too(text: str, table: dict[str, list[float]]) -> None:
    node = parse(text)
    whole = numbers(node, lambda key: np.array(table[key])).tolist()
    facts = [{key: known(column[row]) for key, column in table.items()} for row in range(ROWS)]
    assert [bits(numeric(node)(row)) for row in facts] == [bits(value) for value in whole]


def test_unknown_is_nan_and_nothing_else_is_left_of_infinity() -> None:
    column = {"a": np.array([1.0, 0.0, np.inf, np.nan])}.__getitem__
    assert numbers(parse("1 / a"), column).tolist()[0] == 1.0
    assert np.isnan(numbers(parse("1 / a"), column)).tolist() == [False, True, True, True]
    assert truths(parse("1 / a > 0"), column).tolist() == [1, 0, 0, 0]
    assert truths(parse("not a > 0"), column).tolist() == [-1, 1, 0, 0]


def test_a_condition_is_no_number_and_a_number_no_condition() -> None:
    with pytest.raises(TypeError, match="yields no number"):
        numbers(parse("a > 1"), lambda _: np.zeros(1))
    with pytest.raises(TypeError, match="yields no condition"):
        truths(parse("a + 1"), lambda _: np.zeros(1))
