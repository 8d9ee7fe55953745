"""Expressions: what they may contain, what is refused and where, and that nothing of Python gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.syntax import (
    DEPTH_MAX,
    LENGTH_MAX,
    And,
    Arithmetic,
    Call,
    Comparison,
    ExpressionError,
    Name,
    Negative,
    Not,
    Number,
    Or,
    fill,
    names_in,
    parse,
)


def error_of(text: str) -> ExpressionError | None:
    try:
        parse(text)
    except ExpressionError as error:
        return error
    return None


def problem_of(text: str) -> tuple[int, str]:
    error = error_of(text)
    assert error is not None
    return error.column, error.message


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("adx_4h", Name("adx_4h")),
        ("close_1h[3]", Name("close_1h", 3)),
        ("close_1h[0]", Name("close_1h")),
        ("2.50", Number(2.5)),
        ("-a", Negative(Name("a"))),
        ("a + b * 2", Arithmetic("+", Name("a"), Arithmetic("*", Name("b"), Number(2.0)))),
        ("(a + b) * 2", Arithmetic("*", Arithmetic("+", Name("a"), Name("b")), Number(2.0))),
        ("a - b - c", Arithmetic("-", Arithmetic("-", Name("a"), Name("b")), Name("c"))),
        ("min(a, b, 1)", Call("min", (Name("a"), Name("b"), Number(1.0)))),
        ("abs(a)", Call("abs", (Name("a"),))),
        ("a >= 25", Comparison(">=", Name("a"), Number(25.0))),
        ("not a < b", Not(Comparison("<", Name("a"), Name("b")))),
        ("a and b or c", Or((And((Name("a"), Name("b"))), Name("c")))),
        ("1 < a <= 2", And((Comparison("<", Number(1.0), Name("a")), Comparison("<=", Name("a"), Number(2.0))))),
        ("  a\n  > b", Comparison(">", Name("a"), Name("b"))),
    ],
)
def test_reads_what_is_allowed(text: str, node: object) -> None:
    assert parse(text) == node


def test_a_comparison_keeps_its_text_and_a_chain_that_of_each_part() -> None:
    chain = parse("low_1h  <  (a + b) * 2 <= c[1]")
    assert isinstance(chain, And)
    assert [part.text for part in chain.operands if isinstance(part, Comparison)] == [
        "low_1h < (a + b) * 2",
        "(a + b) * 2 <= c[1]",
    ]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("a == b", 0, "equality of measured numbers is chance"),
        ("a != b", 0, "only < <= > >= compare"),
        ("x and a is b", 6, "only < <= > >= compare"),
        ("a in b", 0, "only < <= > >= compare"),
        ("a ** 2", 0, "only + - * /"),
        ("1 + a // 2", 4, "only + - * /"),
        ("+a", 0, "'+a' is not allowed"),
        ("a if b else c", 0, "not allowed"),
        ("(a, b)", 0, "not allowed"),
        ("[a]", 0, "not allowed"),
        ("a.b", 0, "a is no symbol"),
        ("True", 0, "True is not allowed"),
        ("a > None", 4, "None is not allowed"),
        ("sqrt(a)", 0, "can be called"),
        ("a.b(1)", 0, "can be called"),
        ("min(a)", 0, "is written as"),
        ("abs(a, b)", 0, "is written as"),
        ("max(*a)", 0, "is written as"),
        ("max(a, *b)", 7, "not allowed"),
        ("max(a, key=b)", 0, "is written as"),
        ("a[-1]", 2, "from 0 to 50"),
        ("a[51]", 2, "from 0 to 50"),
        ("a[1.5]", 2, "from 0 to 50"),
        ("a[True]", 2, "from 0 to 50"),
        ("a[b]", 2, "from 0 to 50"),
        ("a[1][2]", 0, "only a name or a function can have an offset"),
        ("(a + b)[1]", 0, "only a name or a function can have an offset"),
        ("a > 1e3", 5, "run into each other"),
        ("0x10", 1, "run into each other"),
        ("3a > 2", 1, "run into each other"),
        ("1_000", 1, "run into each other"),
        ("a > 'b'", 4, "has no meaning"),
        ("a; b", 1, "has no meaning"),
        ("lambda: a", 6, "has no meaning"),
        ("(x := a)", 3, "has no meaning"),
        ("a % 2", 2, "has no meaning"),
        ("a & b", 2, "has no meaning"),
        ("größe > 1", 2, "has no meaning"),
        ("a >", 2, "cannot be read"),
        ("a b", 2, "cannot be read"),
        ("  (a", 2, "cannot be read"),
        ("", 0, "cannot be read"),
        ("   ", 0, "cannot be read"),
        ("9" * 400, 0, "too large"),
    ],
)
def test_refuses_everything_else_and_says_where(text: str, column: int, message: str) -> None:
    found_column, found = problem_of(text)
    assert message in found
    assert found_column == column


def test_has_a_limit_on_length() -> None:
    assert problem_of("a" * (LENGTH_MAX + 1)) == (
        LENGTH_MAX,
        f"longer than {LENGTH_MAX} characters: split it into several conditions",
    )


@pytest.mark.parametrize("text", ["-" * 390 + "a", "not " * 90 + "a", "(" * 190 + "a" + ")" * 190 + "+(-(-(-a)))"])
def test_never_breaks_on_deep_nesting(text: str) -> None:
    error = error_of(text)
    assert error is None or "deep" in error.message or "cannot be read" in error.message


def test_has_a_limit_on_depth() -> None:
    parse(" + ".join(["a"] * DEPTH_MAX))
    assert "nested deeper" in problem_of(" + ".join(["a"] * (DEPTH_MAX + 1)))[1]


@given(st.text(alphabet="ab01.+-*/()<>=![], ndotrmix_", max_size=40))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str) -> None:
    error = error_of(text)
    assert error is None or 0 <= error.column <= len(text)


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    error = error_of(text)
    assert error is None or error.message


def test_names_know_their_keys_and_places() -> None:
    node = parse("max(close_1h[2], ema) > ema")
    assert [(name.key, name.column) for name in names_in(node)] == [("close_1h[2]", 4), ("ema", 17), ("ema", 24)]


def test_filling_in_replaces_names_everywhere_and_keeps_texts() -> None:
    node = parse("not (a >= limit) and max(limit, -b) < abs(limit / 2) or c")
    filled = fill(node, {"limit": Number(7.0, "limit")})
    assert [name.name for name in names_in(filled)] == ["a", "b", "c"]
    assert filled == parse("not (a >= 7) and max(7, -b) < abs(7 / 2) or c")
    first = filled.operands[0].operands[0].operand  # type: ignore[union-attr]
    assert (first.text, first.right.label) == ("a >= limit", "limit")
