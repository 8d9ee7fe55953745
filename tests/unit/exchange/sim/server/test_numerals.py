"""What was ordered is shown as it was, whatever the exchange has made of its ticks and lots since."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.sim.server.numerals import Numerals


@pytest.mark.parametrize(
    ("tick", "price", "shown"),
    [("0.10", "59940", "59940.00"), ("50", "59940", "59940"), ("50", "59950", "59950"), ("0.5", "0.12", "0.12")],
)
def test_an_ordered_price_is_never_rounded(tick: str, price: str, shown: str) -> None:
    numerals = Numerals(Decimal(tick), Decimal("0.001"))
    assert numerals.ordered(Decimal(price)) == shown


@pytest.mark.parametrize(
    ("step", "quantity", "shown"), [("0.001", "0.064", "0.064"), ("0.1", "0.064", "0.064"), ("0.1", "0.5", "0.5")]
)
def test_an_ordered_quantity_is_never_rounded_away(step: str, quantity: str, shown: str) -> None:
    numerals = Numerals(Decimal("0.10"), Decimal(step))
    assert numerals.ordered_quantity(Decimal(quantity)) == shown


def test_what_can_be_traded_is_on_the_grid_and_nothing_is_zero() -> None:
    numerals = Numerals(Decimal(50), Decimal("0.1"))
    assert (numerals.price(Decimal(59940)), numerals.quantity(Decimal("0.064"))) == ("59950", "0.0")
    assert (numerals.ordered(None), numerals.ordered_quantity(None)) == ("0", "0.0")
