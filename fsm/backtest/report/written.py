"""How figures are written on the page: money to the cent, R to three places, a dash for what is not defined."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from fsm.backtest.report.html import Part, tag

Amount = Decimal | float | int | None

NONE = "–"


def money(value: Amount) -> str:
    return NONE if value is None else f"{value:,.2f}"


def percent(value: Amount, places: int = 2) -> str:
    return NONE if value is None else f"{value:,.{places}f} %"


def ratio(value: Amount) -> str:
    return NONE if value is None else f"{value:,.2f}"


def in_r(value: Amount) -> str:
    return NONE if value is None else f"{value:+.3f} R"


def change(value: float) -> str:
    """A change in percent with its sign; what rounds to nothing has none."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text


def words(code: str) -> str:
    """A reason as words: STOP_HIT is stop hit."""
    return code.lower().replace("_", " ")


def hours(value: float | None) -> str:
    """Hours up to two days, then days."""
    if value is None:
        return NONE
    return f"{value:.1f} h" if value < 48 else f"{value / 24:.1f} days"


def when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M")


def coloured(text: str, value: Amount) -> Part:
    """Green above 0, red below it."""
    return tag("span", text, class_="gain" if value and value > 0 else "loss" if value and value < 0 else None)
