"""What the clock says at the close of a candle: hour, minute, weekday, and whether a session is on. All in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from indicators.candle import Candle, Timeframe
from indicators.catalog import Unit
from indicators.indicator import Domain
from indicators.series import FloatArray, Series
from indicators.workspace import Workspace

Whole = npt.NDArray[np.int64] | npt.NDArray[np.bool_]
"""Whole numbers, one a candle."""

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
DAY_MINUTES = 1_440
THURSDAY = 3
"""1970-01-01, counted from Monday as 0."""

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Session:
    """A stretch of the day: from a minute of it up to, but without, another one, which may be after midnight.

    ``days`` are those on which it begins, Monday is 1.
    """

    begins: int
    ends: int
    days: tuple[int, ...] = EVERY_DAY


CLOCK: Mapping[str, Domain] = {"hour": Domain(0, 23), "minute": Domain(0, 59), "weekday": Domain(1, 7)}
"""Names that an expression may use for the time at which the candle closed, unless the file declares them."""

SESSIONS: Mapping[str, Session] = {
    "asia": Session(0, 8 * 60),
    "london": Session(7 * 60, 16 * 60),
    "new_york": Session(13 * 60, 22 * 60),
}
"""Sessions that need not be declared. They follow UTC the whole year: summer time does not move them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One of CLOCK, or a session by its name."""

    name: str
    timeframe: Timeframe
    session: Session | None = None

    @property
    def unit(self) -> Unit:
        return Unit.COUNT if self.session is None else Unit.FLAG

    @property
    def params(self) -> Mapping[str, float]:
        return MappingProxyType({})

    @property
    def warmup(self) -> int:
        return 1

    @property
    def domain(self) -> Domain:
        return CLOCK[self.name] if self.session is None else Domain(0.0, 1.0)

    def stream(self) -> MomentStream:
        return MomentStream(self)

    def batch(self, source: Series | Workspace) -> FloatArray:
        """One value per candle."""
        series = source.series if isinstance(source, Workspace) else source
        found: FloatArray = np.asarray(self.at(series.open_time_ms + self.timeframe.ms), dtype=np.float64)
        return found

    def at(self, close_ms: Whole) -> Whole:
        """The value at each close."""
        if self.session is not None:
            return self._is_on(close_ms, self.session)
        if self.name == "weekday":
            return _weekday(close_ms)
        return close_ms // HOUR_MS % 24 if self.name == "hour" else close_ms // MINUTE_MS % 60

    def _is_on(self, close_ms: Whole, session: Session) -> Whole:
        minute = close_ms // MINUTE_MS % DAY_MINUTES
        lasts = (session.ends - session.begins) % DAY_MINUTES or DAY_MINUTES
        begun_ms = close_ms - (minute - session.begins) % DAY_MINUTES * MINUTE_MS
        is_on = (minute - session.begins) % DAY_MINUTES < lasts
        return is_on & np.isin(_weekday(begun_ms), session.days)

    def __str__(self) -> str:
        return self.name


class MomentStream:
    """The live form: feed it closed candles."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def update(self, candle: Candle) -> float | None:
        closed = np.array([candle.open_time_ms + self._moment.timeframe.ms], dtype=np.int64)
        return float(self._moment.at(closed)[0])


def _weekday(at_ms: Whole) -> Whole:
    """Monday is 1, Sunday 7."""
    return (at_ms // DAY_MS + THURSDAY) % 7 + 1


def minute_of(written: str) -> int:
    """``08:30`` as a minute of the day; 24:00 is the end of it."""
    hours, minutes = written.split(":")
    return int(hours) * 60 + int(minutes)
