"""Limits are told with the amount, its measure, since when, and until when there are no entries (R69)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from fsm.config.settings import Settings, SymbolSettings
from fsm.core.limits import Budget
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import HaltCause
from fsm.live.operator.news import limit_news

SETTINGS = Settings(version=1, symbols={"BTCUSDT": SymbolSettings()})
SATURDAY_MS = 1_796_479_200_000  # 2026-12-05 14:00 UTC


def budget(cause: HaltCause) -> Budget:
    return Budget(
        cause=cause, period="x", allowed=Decimal("50"), used_realized=Decimal("52.1"), used_equity=Decimal("12")
    )


@pytest.mark.parametrize(
    ("cause", "since", "until"),
    [
        (HaltCause.LIMIT_DAY, "since 2026-12-05 00:00 UTC", "2026-12-06 00:00 UTC"),
        (HaltCause.LIMIT_WEEK, "since 2026-11-30 00:00 UTC", "2026-12-07 00:00 UTC"),
        (HaltCause.LIMIT_MONTH, "since 2026-12-01 00:00 UTC", "2027-01-01 00:00 UTC"),
    ],
)
def test_a_limit_that_was_hit_names_amounts_and_times(cause: HaltCause, since: str, until: str) -> None:
    text = limit_news("hit", cause.value, SETTINGS, [budget(cause)], SATURDAY_MS)
    period = cause.value.removeprefix("LIMIT_").lower()
    assert f"The loss limit of the {period} was hit: 52.10 USDT are lost {since}, 50.00 USDT are allowed." in text
    assert f"No entries until {until}. " in text
    assert text.endswith("Open positions keep their stops.")


def test_what_ends_only_by_hand_says_so_and_a_flatten_says_what_it_closes() -> None:
    limits = replace(SETTINGS.limits, action=LimitAction.FLATTEN, auto_resume=False)
    settings = replace(SETTINGS, limits=limits)
    text = limit_news("hit", "LIMIT_DAY", settings, [budget(HaltCause.LIMIT_DAY)], SATURDAY_MS)
    assert "No entries until `resume`, which is refused before 2026-12-06 00:00 UTC. Open positions are being" in text
    fall = limit_news("hit", "LIMIT_DRAWDOWN", SETTINGS, [budget(HaltCause.LIMIT_DRAWDOWN)], SATURDAY_MS)
    assert "equity is 52.10 USDT below its highest, 50.00 USDT are allowed. No entries until `resume`." in fall
    lost = limit_news("hit", "EQUITY_STALE", settings, [], SATURDAY_MS)
    assert lost.startswith("Equity could not be read for 15 minutes.")
