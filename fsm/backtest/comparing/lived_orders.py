"""What became of a bot's orders, from its journal: late, refused, filled in parts or at other prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import Refused, Side
from fsm.backtest.comparing.lived_moments import AT_ITS_TIME_MS, Decided
from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.comparing.side import Span
from fsm.backtest.history import step_of
from fsm.backtest.injecting import Fills as Taken
from fsm.backtest.injecting import Unheard
from fsm.core.exit_reasons import STOP_HIT, TARGET_HIT
from fsm.core.model.events import Commanded, IntentEnded, SymbolEvent
from fsm.core.model.records import HaltCause
from fsm.core.model.transition_table import Trigger
from indicators.candle import Timeframe
from store.rows import FillRow
from store.trade_rows import TradeRow

FAR_MS = 2**62

_read_event = msgspec.json.Decoder[SymbolEvent](SymbolEvent).decode

Fills = dict[str, list[FillRow]]


def as_filled(row: TradeRow, fills: Sequence[FillRow]) -> TradeRow:
    """It began and ended when its orders were filled, not when the bot heard of that."""
    entered = [fill.at_ms for fill in fills if fill.side == entry_side(row)]
    left = [fill.at_ms for fill in fills if fill.side != entry_side(row)]
    if entered and row.first_fill_ms is not None:
        row = replace(row, first_fill_ms=min(entered))
    return replace(row, closed_ms=max(left)) if left and row.exit_price is not None and row.closed_ms else row


def delays(
    trades: Sequence[TradeRow], fills: Fills, sent: Mapping[str, int], entry: Timeframe
) -> Iterator[tuple[tuple[str, int], int]]:
    """How long after a close its orders reached the exchange: entries, and closes by the rules.

    One that rested there was filled long after it had come; when it was ``sent`` is the nearest to that.
    """
    for row in trades:
        close_ms = row.signal_candle_ms + entry.ms
        reached_ms = sent.get(row.id) if rested(row, fills[row.id]) else row.first_fill_ms
        if reached_ms is not None and 0 < reached_ms - close_ms < step_of(entry).ms:
            yield (row.symbol, close_ms), reached_ms - close_ms
        if row.exit_reason in (None, STOP_HIT, TARGET_HIT) or HaltCause.OPERATOR in (row.exit_reason or ""):
            continue
        left = [fill.at_ms for fill in fills[row.id] if fill.side != entry_side(row)]
        if left and left[-1] % entry.ms:
            at_ms = next(at_ms for at_ms in left if at_ms // entry.ms == left[-1] // entry.ms)
            yield (row.symbol, entry.floor(at_ms)), at_ms % entry.ms


def late_moves(bot: Run, span: Span, entry: Timeframe) -> Iterator[tuple[tuple[str, int], int]]:
    """How long after a close a move of a stop was made that an exchange did not answer to; FAR_MS: not at all."""
    rows = bot.store.connection.execute(
        "SELECT at_ms, symbol, trade_id, trigger, reason FROM transitions"
        " WHERE at_ms >= ? AND (trigger = ? OR reason IN (?, ?)) ORDER BY id",
        (span.from_ms, Trigger.RESTOP.value, CONFIRMED, UNFINISHED),
    )
    moved: dict[str, tuple[str, int]] = {}
    unfinished: set[str] = set()
    for moment, name, number, trigger, reason in rows:
        at_ms, trade = int(str(moment)), str(number)
        if trigger == Trigger.RESTOP.value:
            moved[trade] = str(name), entry.floor(at_ms)
        elif reason == UNFINISHED and trade in moved:
            unfinished.add(trade)
        elif trade in moved:
            key = moved.pop(trade)
            if trade in unfinished:
                yield key, at_ms - key[1]
            unfinished.discard(trade)
    yield from ((moved[trade], FAR_MS) for trade in unfinished)


CONFIRMED, UNFINISHED = "STOP_CONFIRMED", "STOP_MOVE_UNFINISHED"


def rested(row: TradeRow, fills: Sequence[FillRow]) -> bool:
    """Whether the first of its entry was filled as maker."""
    entered = [fill for fill in fills if fill.side == entry_side(row)]
    return bool(entered) and entered[0].maker


def was_over(bot: Run, row: TradeRow, fills: Sequence[FillRow]) -> bool:
    """Whether the last of its exits was filled before the bot decided on one."""
    left = [fill.at_ms for fill in fills if fill.side != entry_side(row)]
    found = bot.store.connection.execute(
        "SELECT min(at_ms) FROM transitions WHERE trade_id = ? AND trigger IN (?, ?) AND source != dest",
        (row.id, Trigger.FLATTEN.value, Trigger.EXIT.value),
    ).fetchone()
    return bool(left) and found is not None and found[0] is not None and max(left) < int(str(found[0]))


def sent_at(bot: Run, span: Span) -> dict[str, int]:
    """When the entry of each trade was sent first."""
    rows = bot.store.connection.execute(
        "SELECT trade_id, min(at_ms) FROM transitions WHERE at_ms >= ? AND trigger = ? GROUP BY trade_id",
        (span.from_ms, Trigger.ENTER.value),
    )
    return {str(trade): int(str(at_ms)) for trade, at_ms in rows}


def heard_at(bot: Run, span: Span) -> dict[str, int]:
    """When the first fill of each trade's entry was heard of."""
    rows = bot.store.connection.execute(
        "SELECT trade_id, min(at_ms) FROM transitions WHERE at_ms >= ? AND trigger = ? GROUP BY trade_id",
        (span.from_ms, Trigger.FILL.value),
    )
    return {str(trade): int(str(at_ms)) for trade, at_ms in rows}


def unheard(trades: Sequence[TradeRow], fills: Fills, heard: Mapping[str, int], decided: Decided) -> Iterator[Unheard]:
    """Where an entry was filled and the bot heard of it well after that: until then nothing could follow from it."""
    for row in trades:
        entered = [fill.at_ms for fill in fills[row.id] if fill.side == entry_side(row)]
        if entered and min(entered) + AT_ITS_TIME_MS < heard.get(row.id, 0):
            yield Unheard(symbol=row.symbol, from_ms=min(entered), to_ms=decided.heard(row.symbol, heard[row.id]))


def late_commands(
    commands: Sequence[Commanded], fills: Fills, trades: Sequence[TradeRow], decided: Decided
) -> Iterator[tuple[tuple[str, int], int]]:
    """How long after a command that closes something the exchange carried it out; no close is decided on between."""
    for row in trades:
        closing = [each for each in commands if each.symbol == row.symbol and each.command in CLOSING]
        left = [fill.at_ms for fill in reversed(fills[row.id]) if fill.side != entry_side(row)]
        for command in closing:
            began_ms, over_ms = row.first_fill_ms or FAR_MS, row.closed_ms or FAR_MS
            done_ms = min((at_ms for at_ms in left if at_ms >= command.at_ms), default=command.at_ms)
            if (
                began_ms <= command.at_ms < over_ms
                and done_ms > command.at_ms
                and not decided.is_before(row.symbol, command.at_ms)
            ):
                yield (row.symbol, command.at_ms), done_ms - command.at_ms


CLOSING = ("flatten", "exit", "reduce")


class _Ended(msgspec.Struct, frozen=True):
    signal_candle_ms: int
    first_fill_ms: int | None = None


class _Effect(msgspec.Struct, frozen=True):
    trade: _Ended | None = None


NO_ENTRY = Refused(-1008, "The entry came to nothing.", RefusalReason.TRY_LATER)


def refused(bot: Run, span: Span, entry: Timeframe) -> Iterator[tuple[tuple[str, int], Refused]]:
    """Signals that led to no position, each with the exchange's refusal where there was one."""
    rows = bot.store.connection.execute(
        "SELECT symbol, effect_json, event_json FROM transitions"
        " WHERE at_ms >= ? AND at_ms < ? AND trigger IN (?, ?) ORDER BY id",
        (span.from_ms, span.to_ms + entry.ms, Trigger.ABANDON.value, Trigger.DROP.value),
    )
    for symbol, text, cause in rows:
        trade = msgspec.json.decode(str(text), type=_Effect).trade
        if trade is not None and trade.first_fill_ms is None:
            event = _read_event(str(cause))
            answer = event.outcome if isinstance(event, IntentEnded) else None
            key = str(symbol), trade.signal_candle_ms + entry.ms
            yield key, answer if isinstance(answer, Refused) else NO_ENTRY


def is_partial(row: TradeRow, fills: Fills) -> bool:
    """Whether less was filled than ordered, or in several parts."""
    entered = [fill.quantity for fill in fills[row.id] if fill.side == entry_side(row)]
    return bool(entered) and (len(entered) > 1 or sum(entered, Decimal(0)) < row.quantity)


def taken(trades: Sequence[TradeRow], fills: Fills, entry: Timeframe) -> dict[tuple[str, Side, int], Taken]:
    found: defaultdict[tuple[str, Side, int], list[tuple[Decimal, Decimal, bool]]] = defaultdict(list)
    for row in trades:
        for fill in fills[row.id]:
            found[row.symbol, Side(fill.side), step_of(entry).floor(fill.at_ms)].append(
                (fill.price, fill.quantity, fill.maker)
            )
    return {key: tuple(prices) for key, prices in found.items()}


def entry_side(row: TradeRow) -> str:
    return "BUY" if row.side == "LONG" else "SELL"
