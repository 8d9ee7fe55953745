"""When a bot decided on its closes, from its journal, and what it knew by then.

A backtest decides at the close itself. What reached the bot between a close and its decision reaches the repetition
before that decision too, and what came after it comes after. Of two things at one millisecond the journal tells the
order only by what they left: the record, and the files, that a symbol was decided by.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import takewhile

import msgspec

from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.comparing.side import Span
from fsm.backtest.history import step_of
from fsm.backtest.injecting import LateClose
from fsm.core.model.events import CandleClosed, SymbolObserved
from fsm.core.model.records import State
from fsm.core.model.transition_table import Trigger
from indicators.candle import Timeframe

AT_ITS_TIME_MS = 5_000
"""What comes within so much of something is taken for having come with it."""


class _Close(msgspec.Struct, frozen=True):
    """``files``: hashes of the rules and the config that it was decided by, where no trade was open."""

    at_ms: int
    read_ms: int
    files: tuple[str, str] | None


class _Entry(msgspec.Struct, frozen=True):
    finished: bool


class _Trade(msgspec.Struct, frozen=True):
    entry: _Entry


class _Record(msgspec.Struct, frozen=True):
    state: str
    trade: _Trade | None = None


class _Prices(msgspec.Struct, frozen=True):
    time_ms: int


class _Facts(msgspec.Struct, frozen=True):
    """What a symbol was decided by: its record, and prices."""

    record: _Record
    prices: _Prices | None = None


class _Closed(msgspec.Struct, frozen=True):
    symbol: str
    candle_ms: int
    at_ms: int
    prices: _Prices | None = None


class _Look(msgspec.Struct, frozen=True):
    """What a look at the exchange came to."""

    at_ms: int
    symbol: str
    trigger: str
    dest: str


_LEAVING = (State.FLATTEN, State.EXITING, State.HALT)
_read_closed = msgspec.json.Decoder[_Closed](_Closed).decode
_read_facts = msgspec.json.Decoder[_Facts](_Facts).decode


class Decided:
    """When closes were decided on, of when the prices were, and what was known by then."""

    def __init__(self, bot: Run, span: Span, entry: Timeframe, taken_up: Mapping[int, tuple[str, str]]) -> None:
        """``taken_up``: hashes of the files that were in force from each edit on."""
        self._entry = entry
        self._taken_up = taken_up
        self._late: dict[int, LateClose] | None = None
        self._closes: dict[int, _Close] = {}
        self._records: dict[tuple[int, str], _Record] = {}
        rows = bot.store.connection.execute(
            "SELECT candle_ms, at_ms, symbol, facts_json, outcome, rules_hash, config_hash FROM decisions"
            " WHERE candle_ms >= ? AND candle_ms < ?",
            (span.from_ms, span.to_ms),
        )
        for candle_ms, at_ms, symbol, text, outcome, rules, config in rows:
            facts = _read_facts(str(text))
            self._records[int(str(candle_ms)) + entry.ms, str(symbol)] = facts.record
            files = None if outcome == "IN_TRADE" else (str(rules), str(config))
            self._add(int(str(candle_ms)), int(str(at_ms)), facts.prices, files)
        moves = bot.store.connection.execute(  # those of one outcome in a row have one decision between them
            "SELECT event_json FROM transitions WHERE at_ms >= ? AND json_extract(event_json, '$.type') = ?",
            (span.from_ms, CandleClosed.__struct_config__.tag),
        )
        self._moved: set[tuple[int, str]] = set()
        for (text,) in moves:
            event = _read_closed(str(text))
            self._moved.add((event.candle_ms + entry.ms, event.symbol))
            self._add(event.candle_ms, event.at_ms, event.prices, None)
        looks = bot.store.connection.execute(
            "SELECT at_ms, symbol, trigger, dest FROM transitions"
            " WHERE at_ms >= ? AND json_extract(event_json, '$.type') = ? ORDER BY at_ms",
            (span.from_ms, SymbolObserved.__struct_config__.tag),
        )
        self._looks = [_Look(int(str(at_ms)), *map(str, others)) for at_ms, *others in looks]

    def _add(self, candle_ms: int, at_ms: int, prices: _Prices | None, files: tuple[str, str] | None) -> None:
        found = _Close(at_ms, at_ms if prices is None else prices.time_ms, files)
        known = self._closes.setdefault(candle_ms + self._entry.ms, found)
        if found.at_ms > known.at_ms or (known.files is None and files is not None):
            self._closes[candle_ms + self._entry.ms] = found

    def known(self, at_ms: int) -> int:
        """From when on something counts: from a close on where it was known before that was decided on."""
        close = self._closes.get(close_ms := self._entry.floor(at_ms))
        if close is None or at_ms > close.at_ms:
            return at_ms
        is_later = at_ms == close.at_ms and at_ms in self._taken_up and self._taken_up[at_ms] != close.files
        return at_ms if is_later else close_ms

    def over(self, symbol: str, at_ms: int) -> int:
        """The same of the end of a trade: whether its symbol was decided on as free."""
        close_ms = self._entry.floor(at_ms)
        record = self._records.get((close_ms, symbol))
        is_tie = close_ms in self._closes and self._closes[close_ms].at_ms == at_ms
        return at_ms if is_tie and record is not None and record.trade is not None else self.known(at_ms)

    def before(self, symbol: str, at_ms: int) -> int:
        """When a command is done that was done before a close was decided on: before its prices were read."""
        close_ms = self._entry.floor(at_ms)
        close = self._closes.get(close_ms)
        if close is None or at_ms > close.at_ms or (at_ms == close.at_ms and not self._came_first(symbol, close_ms)):
            return at_ms
        late = self.late().get(close_ms)
        return min(at_ms, (close_ms if late is None else late.read_ms) - 1)

    def _heard(self, close_ms: int, at_ms: int) -> frozenset[str]:
        """Symbols of which something was heard between a close and its decision."""
        first = bisect_left(self._looks, close_ms, key=lambda look: look.at_ms)
        looks = takewhile(lambda look: look.at_ms <= at_ms, self._looks[first:])
        return frozenset(look.symbol for look in looks if look.at_ms < at_ms or self._was_decided_by(look, close_ms))

    def _was_decided_by(self, look: _Look, close_ms: int) -> bool:
        """Of one at the very moment of the decision: whether that was made with what it had shown."""
        record = self._records.get((close_ms, look.symbol))
        if record is None or record.state != look.dest:
            return False
        return look.trigger != Trigger.FILL or record.trade is None or record.trade.entry.finished

    def _came_first(self, symbol: str, close_ms: int) -> bool:
        """Of a command at the very moment of the decision: whether the trade was being left by then."""
        record = self._records.get((close_ms, symbol))
        return (close_ms, symbol) not in self._moved if record is None else record.state in _LEAVING

    def is_before(self, symbol: str, at_ms: int) -> bool:
        """Whether a command done at that moment was done between a close and its decision, or just before it."""
        return self.before(symbol, at_ms + 1) <= at_ms

    def heard(self, symbol: str, at_ms: int) -> int:
        """The same of a look at a symbol."""
        late = self.late().get(self._entry.floor(at_ms))
        if late is None or at_ms > late.at_ms or symbol not in late.heard:
            return at_ms
        return min(at_ms, late.read_ms - 1)

    def late(self) -> dict[int, LateClose]:
        """Closes that were decided on after they came, still within their bar."""
        if self._late is None:
            self._late = self._found_late(step_of(self._entry).ms)
        return self._late

    def _found_late(self, within_ms: int) -> dict[int, LateClose]:
        return {
            close_ms: LateClose(read_ms=close.read_ms, at_ms=close.at_ms, heard=self._heard(close_ms, close.at_ms))
            for close_ms, close in self._closes.items()
            if close_ms < close.read_ms <= close.at_ms < close_ms + within_ms
        }
