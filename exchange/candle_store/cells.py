"""What stands in the cells of a table and above its columns: numbers, times, and which column is which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

PRICES = ("open", "high", "low", "close", "volume")
_ALIASES = {
    "time": ("opentime", "opentimems", "timestamp", "time", "date", "datetime", "unix", "ts", "calctime", "fundingtime",
             "fundingtimems", "opentimeutc"),
    "open": ("open", "o"), "high": ("high", "h"), "low": ("low", "l"), "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "volumebase"),
    "end": ("closetime", "closetimems"),
    "rate": ("fundingrate", "lastfundingrate", "rate"),
    "hours": ("fundingintervalhours", "intervalhours"),
}  # fmt: skip
_UTC = re.compile(r"(Z|\+00:?00| ?UTC)$")

NO_TIME = "is no time in UTC; write milliseconds, or 2024-01-31 15:00:00"
NO_NUMBER = "is not a number; fetch the file again, or write numbers with a point"


def wanted_of(*, funding: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that a table must have, and those that are used where it has them."""
    return (("time", "rate"), ("hours",)) if funding else (("time", *PRICES), ("end",))


def places_of(names: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Where each of the wanted columns stands, by the names above them; without those that are not there."""
    spelt = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    found = {name: next((spelt.index(alias) for alias in _ALIASES[name] if alias in spelt), None) for name in wanted}
    return {name: place for name, place in found.items() if place is not None}


def number_in(text: str) -> float:
    """An empty cell is a number that is missing. Raises ValueError."""
    written = text.strip().strip('"')
    if "_" in written:
        raise ValueError
    return float(written or "nan")


def time_in(text: str) -> float:
    """A number, or a moment in UTC where it names no other zone; then in milliseconds. Raises ValueError."""
    written = text.strip().strip('"')
    try:
        return number_in(written or "no time")
    except ValueError:
        moment = datetime.fromisoformat(_UTC.sub("", written))
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
