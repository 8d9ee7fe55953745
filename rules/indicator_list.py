"""Every indicator that a feature may name, described as plain data."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from indicators.catalog import CATALOG, describe
from rules.features import CANDLE_CLOSED

_CLOSED: dict[str, Any] = {
    "name": CANDLE_CLOSED,
    "summary": "1 when a candle of this timeframe closed together with the entry candle that is decided on, else 0.",
    "unit": "flag",
    "lowest": 0.0,
    "highest": 1.0,
    "parameters": [],
    "example": {"indicator": CANDLE_CLOSED, "timeframe": "4h"},
    "warmup_candles": 1,
    "may_be_unknown_after_warmup": False,
    "reads": [],
}


class IndicatorUnknown(ValueError):
    """No indicator is called so. The message says which one may have been meant."""


def described(name: str | None = None) -> list[dict[str, Any]] | dict[str, Any]:
    """All of them; one; or, where ``name`` is none but others begin with it, these. Raises IndicatorUnknown."""
    every = [_CLOSED, *map(describe, CATALOG.values())]
    if name is None:
        return every
    wanted = name.lower().replace("-", "_")
    names = [str(each["name"]) for each in every]
    if wanted in names:
        return every[names.index(wanted)]
    beginning = [each for each in every if str(each["name"]).startswith(wanted)]
    if beginning:
        return beginning
    near = get_close_matches(wanted, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "none is spelt nearly so"
    raise IndicatorUnknown(f"no indicator is called {name!r}: {hint}")
