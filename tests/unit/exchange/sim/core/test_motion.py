"""When a line reaches a level."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.sim.core.motion import reach
from exchange.sim.playback.candle_path import Quote, between

D = Decimal


@pytest.mark.parametrize(
    ("start", "end", "level", "rising", "since", "expected"),
    [
        ("100", "110", "105", True, "0", "0.5"),
        ("100", "90", "95", False, "0", "0.5"),
        ("100", "104", "105", True, "0", None),
        ("100", "96", "95", False, "0", None),
        ("105", "110", "105", True, "0", "0"),
        ("106", "110", "105", True, "0.3", "0.3"),
        ("106", "100", "105", True, "0.1", "0.1"),
        ("106", "100", "105", True, "0.5", None),
        ("100", "110", "105", True, "0.7", "0.7"),
        ("100", "100", "100", True, "0", "0"),
        ("100", "100", "101", True, "0", None),
    ],
)
def test_the_first_moment_at_or_beyond_a_level(start, end, level, rising, since, expected) -> None:
    found = reach(D(start), D(end), D(level), rising, D(since))
    assert found == (None if expected is None else D(expected))


@given(
    start=st.decimals("0.0001", "100000", places=4),
    end=st.decimals("0.0001", "100000", places=4),
    level=st.decimals("0.0001", "100000", places=4),
)
def test_a_level_crossed_on_the_way_is_hit_exactly(start: D, end: D, level: D) -> None:
    """Rounding may not push an execution to the next tick."""
    fraction = reach(start, end, level, end > start, D(0))
    if fraction is not None and fraction > 0:
        assert between(Quote(start, start), Quote(end, end), fraction).last == level
