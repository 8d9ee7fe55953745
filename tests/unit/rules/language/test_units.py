"""Units: what may be added, multiplied and compared, and what the result is."""

from __future__ import annotations

import pytest

from indicators.catalog import Unit
from rules.language.syntax import ExpressionError, parse
from rules.language.units import ValueUnit, require_condition, require_price, unit_of

NAMES = {
    "close": ValueUnit.PRICE,
    "atr": ValueUnit.PRICE,
    "volume": ValueUnit.VOLUME,
    "rsi": ValueUnit.INDEX,
    "adx": ValueUnit.INDEX,
    "width": ValueUnit.PERCENT,
    "times": ValueUnit.RATIO,
    "crossings": ValueUnit.COUNT,
    "limit": ValueUnit.NUMBER,
    "engulfing": ValueUnit.CONDITION,
}


def problem_of(text: str) -> tuple[int, str]:
    with pytest.raises(ExpressionError) as caught:
        unit_of(parse(text), NAMES)
    return caught.value.column, caught.value.message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("close", ValueUnit.PRICE),
        ("close[1]", ValueUnit.PRICE),
        ("close - 2 * atr", ValueUnit.PRICE),
        ("(close + close[1]) / 2", ValueUnit.PRICE),
        ("close * times", ValueUnit.PRICE),
        ("limit * close", ValueUnit.PRICE),
        ("close / limit", ValueUnit.PRICE),
        ("close / atr", ValueUnit.RATIO),
        ("close / atr - 1", ValueUnit.RATIO),
        ("2 / times", ValueUnit.RATIO),
        ("times * times", ValueUnit.RATIO),
        ("rsi - 50", ValueUnit.INDEX),
        ("-rsi", ValueUnit.INDEX),
        ("limit + 2", ValueUnit.NUMBER),
        ("min(close, close[1])", ValueUnit.PRICE),
        ("max(rsi, 30)", ValueUnit.INDEX),
        ("abs(width)", ValueUnit.PERCENT),
        ("crossings / 20", ValueUnit.COUNT),
        ("close > close[1]", ValueUnit.CONDITION),
        ("close > limit", ValueUnit.CONDITION),
        ("25 < adx < rsi", ValueUnit.CONDITION),
        ("engulfing", ValueUnit.CONDITION),
        ("not engulfing or rsi > 3", ValueUnit.CONDITION),
        ("1 < 2", ValueUnit.CONDITION),
    ],
)
def test_knows_what_an_expression_yields(text: str, kind: ValueUnit) -> None:
    assert unit_of(parse(text), NAMES) is kind


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
    assert ValueUnit.of(Unit.FLAG) is ValueUnit.CONDITION
    assert {ValueUnit.of(unit) for unit in Unit} == set(ValueUnit) - {ValueUnit.NUMBER}
