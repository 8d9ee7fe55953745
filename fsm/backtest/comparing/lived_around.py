"""What others did on a bot's account, and what came before each of its trades, from its journal."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from exchange.origin import Origin, origin_of
from exchange.types import Order
from fsm.backtest.comparing.lived_closes import blocked_closes
from fsm.backtest.comparing.lived_moments import Decided
from fsm.backtest.comparing.lived_orders import FAR_MS
from fsm.backtest.comparing.side import ALL, Span
from fsm.backtest.comparing.side import Side as Run
from fsm.backtest.injecting import Foreign, HandOrder, Injected, Past
from fsm.core.model.events import SymbolObserved
from fsm.core.model.records import Flag, Trade
from fsm.core.model.records import Foreign as Held
from indicators.candle import Timeframe
from store import queries


class _Shown(msgspec.Struct, frozen=True):
    orders: tuple[Order, ...] = ()


class _Look(msgspec.Struct, frozen=True):
    snapshot: _Shown


_read_look = msgspec.json.Decoder[_Look](_Look).decode


FOREIGN = frozenset({"RELEASED", *(f"QUARANTINE FOREIGN_{what}" for what in ("POSITION", "CHANGED", "ORDER"))})


def by_others(bot: Run, span: Span, entry: Timeframe) -> Injected:
    """What other hands traded, and where nothing was entered for what they held or ordered."""
    return Injected(
        hands=tuple(_hands(bot, span)),
        foreign=tuple(_foreign(bot, span)),
        blocked=frozenset(blocked_closes(bot, span, entry, FOREIGN)),
    )


def _hands(bot: Run, span: Span) -> Iterator[HandOrder]:
    """Orders of others that looks at the exchange showed, each once, as they were filled at last."""
    rows = bot.store.connection.execute(
        "SELECT event_json FROM transitions WHERE at_ms >= ? AND json_extract(event_json, '$.type') = ? ORDER BY id",
        (span.from_ms, SymbolObserved.__struct_config__.tag),
    )
    found: dict[tuple[str, int], Order] = {}
    own = bot.store.identity.database_id if bot.store.identity is not None else ""
    for (text,) in rows:
        for order in _read_look(str(text)).snapshot.orders:
            if origin_of(order.origin, order.client_id, own) is Origin.FOREIGN and order.executed_quantity > 0:
                found[order.symbol, order.order_id] = order
    for order in found.values():
        if span.from_ms <= order.update_time_ms < span.to_ms:
            yield HandOrder(
                at_ms=order.update_time_ms, symbol=order.symbol, side=order.side, quantity=order.executed_quantity
            )


class _Left(msgspec.Struct, frozen=True):
    foreign: Held | None = None
    quarantine: Flag | None = None


class _After(msgspec.Struct, frozen=True):
    record: _Left


_read_after = msgspec.json.Decoder[_After](_After).decode


def _foreign(bot: Run, span: Span) -> Iterator[Foreign]:
    """Where nothing was entered for what others held or ordered."""
    rows = bot.store.connection.execute(
        "SELECT at_ms, symbol, effect_json FROM transitions WHERE at_ms >= ? AND at_ms < ? ORDER BY id",
        (span.from_ms, span.to_ms),
    )
    began: dict[str, tuple[int, Held | None]] = {}
    for number, name, text in rows:
        at_ms, symbol, left = int(str(number)), str(name), _read_after(str(text)).record
        quarantined = left.quarantine is not None and left.quarantine.cause.startswith("FOREIGN")
        if left.foreign is not None or quarantined:
            began.setdefault(symbol, (at_ms, left.foreign))
        elif symbol in began:
            from_ms, held = began.pop(symbol)
            yield Foreign(symbol=symbol, from_ms=from_ms, to_ms=at_ms, held=held)
    for symbol, (from_ms, held) in began.items():
        yield Foreign(symbol=symbol, from_ms=from_ms, to_ms=FAR_MS, held=held)


class _Booked(msgspec.Struct, frozen=True):
    trade: Trade | None = None


_read_booked = msgspec.json.Decoder[_Booked](_Booked).decode


def past_trades(bot: Run, span: Span, entry: Timeframe, decided: Decided) -> Iterator[Past]:
    """Trades as they were booked, and signals that came to nothing, from their candle's close to their end.

    What was over before a close, and heard of before that close was decided on, was in nobody's way there.
    """
    rows = bot.store.connection.execute(
        "SELECT effect_json FROM transitions WHERE at_ms >= ? AND json_type(effect_json, '$.trade') = 'object'"
        " ORDER BY id",
        (span.from_ms,),
    )
    last_fills = _last_fills(bot, span)
    for (text,) in rows:
        trade = _read_booked(str(text)).trade
        if trade is None or trade.signal_candle_ms < span.from_ms:
            continue
        to_ms = trade.closed_ms or FAR_MS
        if last_fills.get(trade.id, 0) < entry.floor(to_ms):
            to_ms = decided.over(trade.symbol, to_ms)
        yield Past(from_ms=trade.signal_candle_ms + entry.ms, to_ms=to_ms, trade=trade)


def _last_fills(bot: Run, span: Span) -> dict[str, int]:
    rows = bot.store.connection.execute(
        "SELECT trade_id, max(at_ms) FROM fills WHERE at_ms >= ? AND trade_id IS NOT NULL GROUP BY trade_id",
        (span.from_ms,),
    )
    return {str(trade): int(str(at_ms)) for trade, at_ms in rows}


AT_ONCE_MS = 60_000
"""A reading of the account within so much of a close is what was sized by, if nothing was filled meanwhile."""


def wallets_at_closes(bot: Run, span: Span, entry: Timeframe, decided: Decided) -> Iterator[tuple[int, Decimal]]:
    """What the exchange said that the wallet held at closes, or when they were decided on."""
    late = decided.late()
    fills = queries.fills(bot.store, since_ms=span.from_ms, limit=ALL)
    times_ms = sorted(fill.at_ms for fill in fills)
    rows = bot.store.connection.execute(
        "SELECT at_ms, balance FROM equity_snapshots WHERE at_ms >= ? AND at_ms < ? ORDER BY id DESC",
        (span.from_ms, span.to_ms + entry.ms),
    )
    for at_ms, balance in rows:
        read_ms = int(str(at_ms))
        close_ms = entry.floor(read_ms)
        if read_ms - (late[close_ms].read_ms if close_ms in late else close_ms) < AT_ONCE_MS and bisect_left(
            times_ms, close_ms
        ) == bisect_right(times_ms, read_ms):
            yield close_ms, Decimal(str(balance))
