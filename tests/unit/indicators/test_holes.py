"""R66: what a hole in the candles does: how it is found, carried over, and how long it keeps entries away."""

from __future__ import annotations

import pytest

from indicators.candle import Candle, Timeframe
from indicators.holes import RESTART_ABOVE, SETTLE_CANDLES, Hole, carried_over, holes

HOUR = 3_600_000


def candle(number: int) -> Candle:
    return Candle(number * HOUR, 10.0 + number, 12.0 + number, 9.0 + number, 11.0 + number, 5.0)


def test_the_last_close_stands_for_what_is_missing_with_no_volume() -> None:
    full = carried_over([candle(0), candle(1), candle(4)], Timeframe.H1)
    assert [each.open_time_ms // HOUR for each in full] == [0, 1, 2, 3, 4]
    assert [each.carried for each in full] == [False, False, True, True, False]
    for each in full[2:4]:
        assert {each.open, each.high, each.low, each.close} == {12.0}
        assert each.volume == 0.0


def test_a_hole_is_named_by_its_first_candle_and_how_many_are_missing() -> None:
    [found] = holes([0, HOUR, 4 * HOUR, 5 * HOUR], Timeframe.H1)
    assert found == Hole(timeframe=Timeframe.H1, first_ms=2 * HOUR, count=2)
    assert found.end_ms == 4 * HOUR
    assert not found.restarts


@pytest.mark.parametrize(("missing", "carried"), [(RESTART_ABOVE, True), (RESTART_ABOVE + 1, False)])
def test_a_hole_over_a_day_of_candles_is_not_carried(missing: int, carried: bool) -> None:
    full = carried_over([candle(0), candle(1 + missing)], Timeframe.H1)
    assert len(full) == (2 + missing if carried else 2)
    assert holes([0, (1 + missing) * HOUR], Timeframe.H1)[0].restarts is not carried


def test_entries_wait_for_a_window_of_bands_and_as_long_again_as_the_hole() -> None:
    two = Hole(timeframe=Timeframe.H1, first_ms=0, count=2)
    assert two.blocks_until_ms(Timeframe.H1) == (2 + SETTLE_CANDLES + 2) * HOUR
    slow = Hole(timeframe=Timeframe.H4, first_ms=0, count=1)
    assert slow.blocks_until_ms(Timeframe.H1) == (4 + SETTLE_CANDLES + 4) * HOUR


def test_the_share_of_an_atr_that_is_missing_afterwards_is_what_the_module_says() -> None:
    keeps = 13 / 14
    shares = [(1 - keeps**count) * keeps ** (SETTLE_CANDLES + count) for count in range(1, RESTART_ABOVE + 1)]
    assert max(shares) < 0.06
