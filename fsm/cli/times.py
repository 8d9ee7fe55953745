"""Times and sizes as people type and read them. Everything is UTC; inside, times are milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_AGE = re.compile(r"(\d{1,6})([smhd])")
_AGE_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"(\d{1,9}(?:\.\d+)?) ?([KMG]B)")
_SIZES = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
_DIGITS = re.compile(r"\d+")
_MS_MIN = 10**11  # the year 1973; a smaller number is most likely in seconds
_MS_MAX = 10**13


class Time(click.ParamType[int]):
    """A date, a date with a time (UTC unless it has an offset) or milliseconds; gives milliseconds.

    ``end``: a date without a time means the end of that day, as in ``--until 2025-06-30``.
    """

    name = "time"
    forms = "2025-06-30, 2025-06-30T14:00 (UTC) or milliseconds"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if _DIGITS.fullmatch(text) and len(text) > 8:
            if not _MS_MIN <= int(text) < _MS_MAX:
                self.fail(f"{text} is not in milliseconds; 2025-01-01 is 1735689600000", param, ctx)
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time; write {self.forms}", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if self._end and _DATE.fullmatch(text):
            moment += timedelta(days=1)
        return round(moment.timestamp() * 1000)


class Age(click.ParamType[int]):
    """A length of time as in ``90s``, ``30m``, ``6h``, ``1d``; gives milliseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _AGE.fullmatch(str(value).strip())
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no length of time; write 30m, 6h or 1d", param, ctx)
        return int(found[1]) * _AGE_MS[found[2]]


class Size(click.ParamType[int]):
    """A size as in ``500MB`` or ``2GB``; gives bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip().upper())
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size; write 500MB or 2GB", param, ctx)
        return int(float(found[1]) * _SIZES[found[2]])


def shown(at_ms: int | None) -> str:
    """``2025-06-30 14:00`` with seconds and milliseconds only where there are some; empty for None."""
    if at_ms is None:
        return ""
    moment = datetime.fromtimestamp(at_ms // 1000, tz=UTC)
    millis = at_ms % 1000
    if millis:
        return f"{moment:%Y-%m-%d %H:%M:%S}.{millis:03d}"
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"


def to_the_minute(at_ms: int) -> str:
    """A time in a list, where seconds only take room."""
    return shown(at_ms)[: len("2025-06-30 14:00")]


def typed(at_ms: int) -> str:
    """The same instant as one word that every command takes: ``2025-06-30T14:00Z``."""
    return f"{shown(at_ms).replace(' ', 'T')}Z"
