"""What a bot lived through and its backtest did not, read from its journal, one kind at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from exchange.types import Side
from fsm.backtest.comparing.inputs import Source
from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.comparing.side import Span, Version
from fsm.backtest.history import step_of
from fsm.backtest.injecting import AccountWish, Edit, Injected, StepsFrom
from fsm.core import small_steps
from fsm.core.exit_reasons import STOP_HIT, TARGET_HIT
from fsm.core.model.events import Commanded, SymbolEvent
from fsm.core.model.records import AccountRecord, HaltCause
from fsm.core.model.transition_table import Trigger
from indicators.candle import Timeframe
from rules.load import stored_rules
from store import queries
from store.rows import FillRow
from store.trade_rows import TradeRow

FILLS_MAX = 10_000
AT_A_CLOSE_MS = 300_000
"""A bot that runs reads its account within so much of a close."""

_read_event = msgspec.json.Decoder[SymbolEvent](SymbolEvent).decode


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing, and everything of it that happened."""

    source: Source
    injected: Injected


def lived(bot: Run, span: Span) -> list[Lived]:
    """In the order in which it is tried; kinds of which nothing happened are left out."""
    entry = stored_rules(bot.rules[-1].text, bot.name).for_symbol("").entry_timeframe
    trades = [row for row in bot.trades if span.from_ms <= row.signal_candle_ms < span.to_ms]
    fills = {row.id: queries.fills(bot.store, trade_id=row.id, limit=FILLS_MAX)[::-1] for row in trades}
    kinds = (
        (Source.EDIT, Injected(edits=tuple(_edits(bot, span)))),
        (Source.SMALL_STEPS, Injected(steps=tuple(_steps(bot, span)))),
        (Source.LATENCY, Injected(delays=dict(_delays(trades, fills, entry)))),
        (Source.OUTAGE, Injected(missed=frozenset(_missed(bot, span, entry)))),
        (Source.OPERATOR, Injected(commands=tuple(_commands(bot, span)), account=tuple(_wishes(bot, span)))),
        (Source.MISSED_ENTRY, Injected(refused=frozenset(_refused(bot, span, entry)))),
        (Source.PARTIAL_FILL, Injected(fills=_taken([row for row in trades if _is_partial(row, fills)], fills, entry))),
        (Source.SLIPPAGE, Injected(fills=_taken([row for row in trades if not _is_partial(row, fills)], fills, entry))),
    )
    return [Lived(source=source, injected=injected) for source, injected in kinds if injected]


EDITS_MAX = 50
"""Candles are read again for each; where there were more, they are named as the journal has them."""


def _edits(bot: Run, span: Span) -> list[Edit]:
    """The files as they were in force after each edit."""
    moments = sorted({each.at_ms for each in (*bot.rules[1:], *bot.configs[1:]) if each.at_ms <= span.to_ms})
    before, edits = (bot.rules[0].hash, bot.configs[0].hash), []
    for at_ms in moments:
        rules, config = _in_force(bot.rules, at_ms), _in_force(bot.configs, at_ms)
        if (rules.hash, config.hash) != before:
            edits.append(Edit(at_ms=at_ms, rules=rules.text, config=config.text))
        before = (rules.hash, config.hash)
    return edits if len(edits) <= EDITS_MAX else []


def _in_force(versions: Sequence[Version], at_ms: int) -> Version:
    return next(each for each in reversed(versions) if each.at_ms <= at_ms or each is versions[0])


Fills = dict[str, list[FillRow]]


def _delays(trades: Sequence[TradeRow], fills: Fills, entry: Timeframe) -> Iterator[tuple[tuple[str, int], int]]:
    """How long after a close its orders were filled: entries, and closes by the rules."""
    for row in trades:
        close_ms = row.signal_candle_ms + entry.ms
        if row.first_fill_ms is not None and 0 < row.first_fill_ms - close_ms < step_of(entry).ms:
            yield (row.symbol, close_ms), row.first_fill_ms - close_ms
        if row.exit_reason in (None, STOP_HIT, TARGET_HIT) or HaltCause.OPERATOR in (row.exit_reason or ""):
            continue
        left = [fill.at_ms for fill in fills[row.id] if fill.side != _side(row)]
        if left and left[-1] % entry.ms:
            at_ms = next(at_ms for at_ms in left if at_ms // entry.ms == left[-1] // entry.ms)
            yield (row.symbol, entry.floor(at_ms)), at_ms % entry.ms


class _Ended(msgspec.Struct, frozen=True):
    signal_candle_ms: int
    first_fill_ms: int | None = None


class _Effect(msgspec.Struct, frozen=True):
    trade: _Ended | None = None


def _refused(bot: Run, span: Span, entry: Timeframe) -> Iterator[tuple[str, int]]:
    """Signals that led to no position."""
    rows = bot.store.connection.execute(
        "SELECT symbol, effect_json FROM transitions WHERE at_ms >= ? AND at_ms < ? AND trigger IN (?, ?) ORDER BY id",
        (span.from_ms, span.to_ms + entry.ms, Trigger.ABANDON.value, Trigger.DROP.value),
    )
    for symbol, text in rows:
        trade = msgspec.json.decode(str(text), type=_Effect).trade
        if trade is not None and trade.first_fill_ms is None:
            yield str(symbol), trade.signal_candle_ms + entry.ms


def _is_partial(row: TradeRow, fills: Fills) -> bool:
    """Whether less was filled than ordered, or in several parts."""
    entered = [fill.quantity for fill in fills[row.id] if fill.side == _side(row)]
    return bool(entered) and (len(entered) > 1 or sum(entered, Decimal(0)) < row.quantity)


def _taken(
    trades: Sequence[TradeRow], fills: Fills, entry: Timeframe
) -> dict[tuple[str, Side, int], tuple[tuple[Decimal, Decimal], ...]]:
    found: defaultdict[tuple[str, Side, int], list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for row in trades:
        for fill in fills[row.id]:
            found[row.symbol, Side(fill.side), step_of(entry).floor(fill.at_ms)].append((fill.price, fill.quantity))
    return {key: tuple(prices) for key, prices in found.items()}


def _side(row: TradeRow) -> str:
    return "BUY" if row.side == "LONG" else "SELL"


def _commands(bot: Run, span: Span) -> Iterator[Commanded]:
    """What the operator wanted of each symbol, as it was decided on."""
    rows = bot.store.connection.execute(
        "SELECT event_json FROM transitions WHERE at_ms >= ? AND at_ms < ? AND json_extract(event_json, '$.type') = ?"
        " ORDER BY id",
        (span.from_ms, span.to_ms, Commanded.__struct_config__.tag),
    )
    for (text,) in rows:
        event = _read_event(str(text))
        if isinstance(event, Commanded) and event.cause == HaltCause.OPERATOR:
            yield event


class _AccountFacts(msgspec.Struct, frozen=True):
    account: AccountRecord


_read_account = msgspec.json.Decoder[_AccountFacts](_AccountFacts).decode


def _accounts(bot: Run, span: Span, kinds: Sequence[str]) -> list[tuple[int, str, AccountRecord]]:
    """The account's record as the comparison begins (its kind is empty), and after each event of these kinds in it."""
    rows = bot.store.connection.execute(
        "SELECT at_ms, kind, facts_json FROM system_events"
        " WHERE at_ms < ? AND json_type(facts_json, '$.account') = 'object' ORDER BY id",
        (span.to_ms,),
    )
    told = [(int(str(at_ms)), str(kind), str(text)) for at_ms, kind, text in rows]
    before = [(at_ms, "", text) for at_ms, _, text in told if at_ms <= span.from_ms][-1:]
    after = [(at_ms, kind, text) for at_ms, kind, text in told if at_ms > span.from_ms and kind in kinds]
    return [(at_ms, kind, _read_account(text).account) for at_ms, kind, text in before + after]


def _steps(bot: Run, span: Span) -> Iterator[StepsFrom]:
    """Where small steps began, or the operator ended them; a last trade that ends them does so in a backtest, too."""
    for at_ms, kind, account in _accounts(bot, span, (small_steps.BEGUN, small_steps.ENDED)):
        if kind or account.steps is not None:
            yield StepsFrom(at_ms=at_ms, steps=account.steps)


WISHES = ("PAUSE", "RESUME", "HALT", "FLATTEN")
"""Events of the operator's wishes about the whole account."""


def _wishes(bot: Run, span: Span) -> Iterator[AccountWish]:
    for at_ms, kind, account in _accounts(bot, span, WISHES):
        halt = account.halt if account.halt is not None and account.halt.cause == HaltCause.OPERATOR else None
        if kind or account.paused or halt is not None:
            yield AccountWish(at_ms=at_ms, kind=kind or "PAUSE", paused=account.paused, halt=halt)


def _missed(bot: Run, span: Span, entry: Timeframe) -> Iterator[int]:
    """Closes at which nothing was decided of any symbol."""
    whole: set[int] = set()
    partly: set[int] = set()
    rows = bot.store.connection.execute(
        "SELECT candle_ms, last_ms, count FROM decisions"
        " UNION ALL SELECT candle_ms, last_ms, count FROM decision_stretches"
    )
    for first, last, count in rows:
        candles = range(int(str(first)), int(str(last)) + 1, entry.ms)
        (whole if len(candles) == int(str(count)) else partly).update(candles)
    if not whole and not partly:
        return
    for candle_ms in range(max(span.from_ms, min(whole | partly)), min(span.to_ms, max(whole | partly)), entry.ms):
        close_ms = candle_ms + entry.ms
        if candle_ms not in whole and not (candle_ms in partly and _was_there(bot, close_ms)):
            yield close_ms


def _was_there(bot: Run, close_ms: int) -> bool:
    """Whether the account was read right after a close."""
    row = bot.store.connection.execute(
        "SELECT 1 FROM equity_snapshots WHERE at_ms >= ? AND at_ms < ? LIMIT 1", (close_ms, close_ms + AT_A_CLOSE_MS)
    ).fetchone()
    return row is not None
