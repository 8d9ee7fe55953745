"""Lists of symbols as events of the journal, each with the answers that it was made of: written by the bot, made again
by a replay."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from fsm.core.model.policy import ListRule
from fsm.core.symbol_list import Candidate, NoList, made

if TYPE_CHECKING:
    from store.database import Store

KIND = "SYMBOL_LIST"
"""Kind of the event, with a SymbolList as its facts."""

DAY_MS = 86_400_000
NEW_LIST_MS = 5 * 60_000
"""So long after midnight UTC a new list is made: the closes of midnight, of all timeframes, are decided by then."""


class SymbolList(msgspec.Struct, frozen=True, kw_only=True):
    """``entered`` and ``left`` are told from the list before. Good until ``until_ms``, and until there is a new one."""

    day_ms: int
    until_ms: int
    rule: ListRule
    listed: tuple[str, ...]
    entered: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    answers: str

    @property
    def told(self) -> tuple[Candidate, ...]:
        return unpacked(self.answers)


def new_list(rule: ListRule, told: tuple[Candidate, ...], now_ms: int, before: SymbolList | None) -> SymbolList:
    """The list of the day that ``now_ms`` is in. Raises NoList."""
    day_ms = (now_ms - NEW_LIST_MS) // DAY_MS * DAY_MS
    return _list(rule, told, day_ms, before)


def by_another_rule(rule: ListRule, before: SymbolList) -> SymbolList:
    """The same day's list, made of the same answers. Raises NoList."""
    return _list(rule, before.told, before.day_ms, before)


def _list(rule: ListRule, told: tuple[Candidate, ...], day_ms: int, before: SymbolList | None) -> SymbolList:
    listed = made(rule, told)
    return SymbolList(
        day_ms=day_ms,
        until_ms=day_ms + DAY_MS + NEW_LIST_MS,
        rule=rule,
        listed=listed,
        answers=packed(told),
        **_changes(listed, before),
    )


def _changes(listed: tuple[str, ...], before: SymbolList | None) -> dict[str, tuple[str, ...]]:
    was = set(before.listed if before is not None else ())
    return {
        "entered": tuple(name for name in listed if name not in was),
        "left": tuple(sorted(was - set(listed))),
    }


def made_again(found: SymbolList, before: SymbolList | None) -> SymbolList:
    """What the stored answers give now; where they give none, an empty list."""
    try:
        listed = made(found.rule, found.told)
    except NoList:
        listed = ()
    return msgspec.structs.replace(found, listed=listed, **_changes(listed, before))


def newest(store: Store, *, by_ms: int | None = None) -> SymbolList | None:
    """The list in force, or that was when the bot ran last; or the newest that was made by then."""
    from store import queries

    row = next(iter(queries.system_events(store, kind=KIND, limit=1, by_ms=by_ms)), None)
    return None if row is None else read(row.facts_json)


def read(facts_json: str) -> SymbolList:
    return msgspec.json.decode(facts_json, type=SymbolList)


# --- the answers, compactly -------------------------------------------------------------------
_NOTHING = "-"


def packed(told: Iterable[Candidate]) -> str:
    """A line a symbol, compressed: some thousand bytes for all symbols of an exchange."""
    lines = (f"{each.symbol} {_NOTHING if each.volume is None else each.volume} {each.barred}" for each in told)
    return base64.b64encode(zlib.compress("\n".join(lines).encode(), level=9)).decode()


def unpacked(text: str) -> tuple[Candidate, ...]:
    """Raises ValueError for what was not packed here."""
    try:
        return _unpacked(text)
    except zlib.error as error:
        raise ValueError(f"the answers of a list cannot be read: {error}") from error


def _unpacked(text: str) -> tuple[Candidate, ...]:
    lines = zlib.decompress(base64.b64decode(text)).decode().split("\n")
    return tuple(_candidate(*line.split(" ", 2)) for line in lines if line)


def _candidate(symbol: str, volume: str, barred: str) -> Candidate:
    return Candidate(symbol, None if volume == _NOTHING else Decimal(volume), barred)
