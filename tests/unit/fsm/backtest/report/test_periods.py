"""Days, months and correlations of a run, worked out by hand."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from fsm.backtest.report.periods import correlations, days, months, years

DAY_MS = 86_400_000
NEW_YEAR = 1_735_689_600_000  # 2025-01-01


def curve(*readings: tuple[float, str]) -> list[tuple[int, Decimal]]:
    return [(NEW_YEAR + int(day * DAY_MS), Decimal(equity)) for day, equity in readings]


def test_a_reading_at_midnight_closes_the_day_that_ends_and_a_day_without_one_stands_still() -> None:
    found = days(curve((-1, "100"), (-0.5, "90"), (0, "110"), (1.5, "121"), (3, "121")))
    assert {day.isoformat(): float(change.usdt) for day, change in found.items()} == {
        "2024-12-31": 10.0,
        "2025-01-01": 0.0,
        "2025-01-02": 11.0,
        "2025-01-03": 0.0,
    }
    assert found[date(2025, 1, 2)].pct == pytest.approx(10.0)


def test_months_and_years_go_from_the_first_equity_to_the_last() -> None:
    found = days(curve((-1, "100"), (0, "110"), (1, "99"), (40, "198")))
    assert {month: change.pct for month, change in months(found).items()} == {
        (2024, 12): pytest.approx(10.0),
        (2025, 1): pytest.approx(-10.0),
        (2025, 2): pytest.approx(100.0),
    }
    assert {year: change.pct for year, change in years(found).items()} == {
        2024: pytest.approx(10.0),
        2025: pytest.approx(80.0),
    }
    assert days([]) == {}


def test_correlations_are_pearsons_and_none_where_nothing_changes() -> None:
    found = correlations([[1, 2, 3, 4], [2, 4, 6, 8], [4, 3, 2, 1], [5, 5, 5, 5]])
    assert found[0][:3] == [1.0, 1.0, -1.0]
    assert found[3] == [None, None, None, None]
    assert correlations([[1, 2], [2, 1]]) == [[None, None], [None, None]]
    assert correlations([]) == []
