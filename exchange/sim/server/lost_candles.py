"""Candles that an exchange does not have, or delivers so that they cannot be true: a fault in an answer of klines."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

Row = list[object]
_LOW, _HIGH, _CLOSE, _END = 3, 2, 4, 6


class How(StrEnum):
    """``CONTRADICTORY``: the high is below the low. ``ILLEGIBLE``: the close is no number. ``ZERO``: no price."""

    MISSING = "missing"
    CONTRADICTORY = "contradictory"
    ILLEGIBLE = "illegible"
    ZERO = "zero"


class LostCandles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Candles that lie wholly in [from_ms, until_ms): of two lost hours a candle of four hours says nothing."""

    from_ms: int
    until_ms: int
    how: How = How.MISSING

    def applied(self, answer: object) -> object:
        """An answer of klines without them, or with them as they cannot have been."""
        if not isinstance(answer, list):
            return answer
        rows = [_SPOILT[self.how](row) if self._is_lost(row) else row for row in answer]
        return [row for row in rows if row is not None]

    def _is_lost(self, row: object) -> bool:
        if not isinstance(row, list):
            return False
        opened, ended = int(row[0]), int(row[_END])
        return self.from_ms <= opened and ended < self.until_ms


def _with(row: Row, **values: object) -> Row:
    places = {"high": _HIGH, "low": _LOW, "close": _CLOSE}
    changed = list(row)
    for name, value in values.items():
        changed[places[name]] = value
    return changed


_SPOILT: dict[How, Callable[[Row], Row | None]] = {
    How.MISSING: lambda row: None,
    How.CONTRADICTORY: lambda row: _with(row, high=f"{float(str(row[_LOW])) / 2:.8f}"),
    How.ILLEGIBLE: lambda row: _with(row, close="?"),
    How.ZERO: lambda row: _with(row, low="0", close="0"),
}
