"""Risk that adds up, calculated by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.core.model.decision_context import Commitment
from fsm.core.shared_risk import as_one, by_symbol, independent_positions, shared_risk, with_one_more


def held(*risks: int) -> dict[str, Commitment]:
    """A, B, C… with these risks; a negative one is short."""
    return {
        name: Commitment(Decimal(abs(risk)), Decimal(1000), Decimal(0), 1 if risk > 0 else -1)
        for name, risk in zip("ABCDE", risks, strict=False)
    }


@pytest.mark.parametrize(
    ("risks", "correlation", "together"),
    [
        ((50,), "1", "50"),
        ((30, 40), "0", "50"),
        ((30, 40), "1", "70"),
        ((30, 40), "-1", "50"),
        ((30, -40), "1", "50"),
        ((30, -40), "-1", "70"),
        ((50, 50, 50), "0.71", "134.72193585"),
        ((), "1", "0"),
    ],
)
def test_risks_add_up_as_far_as_prices_move_together(risks: tuple[int, ...], correlation: str, together: str) -> None:
    """sqrt(30² + 40²) = 50; three of 50 at 0.71: 50 x sqrt(3 + 6 x 0.71)."""
    assert shared_risk(held(*risks), lambda one, other: Decimal(correlation)).together == Decimal(together)


def test_three_positions_that_correlate_at_0_71_are_1_24_independent_ones() -> None:
    three = held(50, 50, 50)
    found = shared_risk(three, lambda one, other: Decimal("0.71"))
    assert independent_positions(three, found.together) == Decimal("1.24")
    assert independent_positions({}, Decimal(0)) == 0


def test_one_more_adds_what_it_shares_with_each() -> None:
    found = shared_risk(held(30, -40), lambda one, other: Decimal("0.5"), "E")
    assert (found.pull_long, found.pull_short) == (15, 20)
    assert with_one_more(Decimal(50), Decimal(15), Decimal(10)) == Decimal("53.85164807")  # sqrt(2500 + 300 + 100)


def test_what_is_beside_a_trade_in_its_symbol_counts_with_it() -> None:
    ours, other = held(30), {"A": Commitment(Decimal(50), Decimal(500), Decimal(0), -1)}
    assert by_symbol(ours, other)["A"] == Commitment(Decimal(80), Decimal(1500), Decimal(0), -1)
    assert by_symbol({}, other) == other


@given(
    risks=st.lists(st.integers(-500, 500).filter(bool), max_size=5),
    more=st.integers(1, 500),
    correlation=st.decimals("-1", "1", places=2),
)
def test_it_lies_between_independent_and_plain_sum_and_one_more_never_lowers_it(
    risks: list[int], more: int, correlation: Decimal
) -> None:
    positions = held(*risks)
    found = shared_risk(positions, lambda one, other: correlation, "Z")
    total = sum((each.risk for each in positions.values()), Decimal(0))
    alone = sum((each.risk**2 for each in positions.values()), Decimal(0)).sqrt()
    slack = Decimal("1e-7")
    assert alone - slack <= found.together <= total + slack
    bigger = {**positions, "Z": Commitment(Decimal(more), Decimal(1), Decimal(0), 1)}
    after = shared_risk(bigger, lambda one, other: correlation).together
    assert abs(with_one_more(found.together, found.pull_long, Decimal(more)) - after) <= Decimal("1e-6")
    assert after >= found.together
    assert as_one("A", "B") == 1
