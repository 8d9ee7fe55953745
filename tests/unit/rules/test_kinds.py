"""Units: what may be added, multiplied and compared, and what the result is."""

from __future__ import annotations

import pytest

from indicators.catalog import Unit
from rules.kinds import Kind, kind_of, require_condition, require_price
from rules.syntax import ExpressionError, parse

NAMES = {
    "close": Kind.PRICE,
    "atr": Kind.PRICE,
    "volume": Kind.VOLUME,
    "rsi": Kind.INDEX,
    "adx": Kind.INDEX,
    "width": Kind.PERCENT,
    "times": Kind.RATIO,
    "crossings": Kind.COUNT,
    "limit": Kind.NUMBER,
    "engulfing": Kind.CONDITION,
}


def problem_of(text: str) -> tuple[int, str]:
    with pytest.raises(ExpressionError) as caught:
        kind_of(parse(text), NAMES)
    return caught.value.column, caught.value.message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("close", Kind.PRICE),
        ("close[1]", Kind.PRICE),
        ("close - 2 * atr", Kind.PRICE),
        ("(close + close[1]) / 2", Kind.PRICE),
        ("close * times", Kind.PRICE),
        ("limit * close", Kind.PRICE),
        ("close / limit", Kind.PRICE),
        ("close / atr", Kind.RATIO),
        ("close / atr - 1", Kind.RATIO),
        ("2 / times", Kind.RATIO),
        ("times * times", Kind.RATIO),
        ("rsi - 50", Kind.INDEX),
        ("-rsi", Kind.INDEX),
        ("limit + 2", Kind.NUMBER),
        ("min(close, close[1])", Kind.PRICE),
        ("max(rsi, 30)", Kind.INDEX),
        ("abs(width)", Kind.PERCENT),
        ("crossings / 20", Kind.COUNT),
        ("close > close[1]", Kind.CONDITION),
        ("close > limit", Kind.CONDITION),
        ("25 < adx < rsi", Kind.CONDITION),
        ("engulfing", Kind.CONDITION),
        ("not engulfing or rsi > 3", Kind.CONDITION),
        ("1 < 2", Kind.CONDITION),
    ],
)
def test_knows_what_an_expression_yields(text: str, kind: Kind) -> None:
    assert kind_of(parse(text), NAMES) is kind


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("close > rsi", 0, "a price and an index (0 to 100) cannot be compared"),
        ("rsi > 3 and volume < close", 12, "a volume and a price cannot be compared"),
        ("close + rsi", 0, "a price and an index (0 to 100) cannot add up"),
        ("rsi + width", 0, "an index (0 to 100) and a percentage cannot add up"),
        ("min(close, rsi)", 0, "a price and an index (0 to 100) cannot add up"),
        ("close - 5", 0, "a bare number cannot be mixed with a price"),
        ("2 * (limit + close)", 5, "a bare number cannot be mixed with a price"),
        ("max(volume, 1)", 0, "a bare number cannot be mixed with a volume"),
        ("close * atr", 0, "a price multiplied by a price has no meaning"),
        ("close * width", 0, "a price multiplied by a percentage has no meaning"),
        ("1 / close", 0, "a number divided by a price has no meaning"),
        ("rsi / close", 0, "an index (0 to 100) divided by a price has no meaning"),
        ("engulfing + 1", 0, "a number is needed here, and this is a condition (it already holds or not)"),
        ("engulfing >= 1", 0, "a number is needed here, and this is a condition"),
        ("(rsi > 3) * 2", 1, "a number is needed here, and this is a condition (join conditions"),
        ("min(rsi > 3, 2)", 4, "a number is needed here, and this is a condition"),
        ("rsi and engulfing", 0, "this is an index (0 to 100) and not a condition: compare it"),
        ("not close", 4, "this is a price and not a condition"),
        ("limit[1] > 2", 0, "limit is a fixed number: it has no earlier candles"),
    ],
)
def test_refuses_what_has_no_meaning_and_points_at_it(text: str, column: int, message: str) -> None:
    found_column, found = problem_of(text)
    assert message in found
    assert found_column == column


def test_a_stop_must_be_a_price() -> None:
    require_price(parse("close - 2 * atr"), NAMES)
    with pytest.raises(ExpressionError, match="a price is needed here, and this is a ratio"):
        require_price(parse("close / atr"), NAMES)


def test_a_condition_must_be_one() -> None:
    require_condition(parse("engulfing"), NAMES)
    with pytest.raises(ExpressionError, match="a number and not a condition"):
        require_condition(parse("1"), NAMES)


def test_every_unit_of_the_catalog_has_a_kind() -> None:
    assert Kind.of(Unit.FLAG) is Kind.CONDITION
    assert {Kind.of(unit) for unit in Unit} == set(Kind) - {Kind.NUMBER}
