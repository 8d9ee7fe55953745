"""Finds how far a backtest may jump: the first instant at which anything may happen, by arrays, before it is lived.

Between two such instants prices reach no order and no liquidation, no rule speaks, no regime changes and no funding is
due. Where that cannot be told (an entry rests, a stop is being moved, a candle is missing), there is no jump.
"""

from __future__ import annotations

from typing import NamedTuple

from exchange.sim.account_api import AccountApi
from exchange.sim.core.holding import Holding
from exchange.sim.core.motion import levels_of
from fsm.backtest.history import SIGNAL, History
from fsm.backtest.recorder import Recorder
from fsm.core.engine import Engine
from fsm.core.model.records import Flag, HaltCause, State, SymbolRecord, Trade
from indicators.candle import Timeframe
from rules.open_trades import OpenTrade, first_asked

ASK = SIGNAL
COOLING, HALTED = 20_000, 30_000
REGIMES_MAX = 128
_CAUSES = list(HaltCause)

_ALMOST = 1 - 1e-9
"""Of the smallest move of a stop: what is left out for being too small must be too small after rounding as well."""


class _Found(NamedTuple):
    """What was found for a symbol, and what it was found from: it stands while that is the same."""

    record: SymbolRecord
    holding: Holding | None
    halt: Flag | None
    code: int | None
    until_ms: int

    def stands(self, record: SymbolRecord, holding: Holding | None, halt: Flag | None, code: int | None) -> bool:
        same = self.record is record and self.holding is holding and self.halt is halt
        return same and self.code == code


class Jumps:
    """Looks ahead for all symbols of one backtest."""

    def __init__(
        self,
        engine: Engine,
        account: AccountApi,
        histories: dict[str, History],
        recorder: Recorder,
        *,
        entry: Timeframe,
        step_ms: int,
    ) -> None:
        self._engine = engine
        self._account = account
        self._histories = histories
        self._recorder = recorder
        self._entry_ms = entry.ms
        self._step_ms = step_ms
        self._found: dict[str, _Found] = {}

    def code(self, symbol: str, index: int, now_ms: int) -> int:
        """What the symbol makes of a candle, as a number that tells readings apart; ASK when only the engine knows.

        Flat and free, it depends on the candle alone; halted or cooling down, on the regime, and on what halted it.
        """
        record, history = self._engine.record(symbol), self._histories[symbol]
        if record.state is State.HALT:
            cause = 0 if record.halt is None else 1 + _CAUSES.index(HaltCause(record.halt.cause))
            return HALTED + cause * REGIMES_MAX + int(history.regimes.codes[index])
        if record.state is not State.IDLE or record.paused or record.quarantine or self._engine.account.halt:
            return ASK
        if now_ms < record.cooldown_until_ms:
            return COOLING + int(history.regimes.codes[index])
        return history.codes.item(index)

    def end(self, now_ms: int, last_ms: int, codes: dict[str, int]) -> int:
        """The first instant after this one, and at most ``last_ms``, that must be lived through.

        ``codes`` are those of the latest candles that were noted.
        """
        end_ms, least_ms = last_ms, now_ms + self._step_ms
        account, holdings = self._engine.account, self._account.venue.state.holdings
        if account.breach is not None and self._engine.active():
            return least_ms
        for symbol, history in self._histories.items():
            record, holding, code = self._engine.record(symbol), holdings.get(symbol), codes.get(symbol)
            found = self._found.get(symbol)
            if found is None or found.until_ms <= now_ms or not found.stands(record, holding, account.halt, code):
                ahead_ms = self._ahead(record, history, holding, code, now_ms, last_ms)
                found = self._found[symbol] = _Found(record, holding, account.halt, code, ahead_ms)
            end_ms = min(end_ms, found.until_ms)
            if end_ms <= least_ms:
                return least_ms
        return end_ms

    def _ahead(
        self,
        record: SymbolRecord,
        history: History,
        holding: Holding | None,
        code: int | None,
        now_ms: int,
        last_ms: int,
    ) -> int:
        """The next instant at which something may happen in the symbol; ``now_ms`` if it cannot be told."""
        index = history.market.index_at(now_ms - now_ms % self._entry_ms - self._entry_ms)
        if index is None:
            return self._ahead_of_candles(record, history, now_ms, last_ms)
        if record.state is State.PROTECTED:
            return self._ahead_of_trade(record, history, index, now_ms, last_ms)
        flat = holding is None or not holding.quantity
        if not flat or record.state not in (State.IDLE, State.HALT) or code is None or code == ASK:
            return now_ms
        if code != self.code(record.symbol, index, now_ms):
            return now_ms
        if record.state is State.IDLE and now_ms >= record.cooldown_until_ms:
            return self._close_of(history, history.codes_change_after(index), last_ms)
        changed_ms = self._close_of(history, history.regime_changes_after(index), last_ms)
        if record.state is State.HALT:
            return changed_ms
        over_ms = -(-record.cooldown_until_ms // self._step_ms) * self._step_ms  # the first instant not before it
        return min(changed_ms, over_ms)

    def _ahead_of_candles(self, record: SymbolRecord, history: History, now_ms: int, last_ms: int) -> int:
        """Before its first candle, or behind its last one, a symbol without a trade does nothing."""
        if record.trade is not None:
            return now_ms
        opens_ms = history.market.opens_ms
        if now_ms < opens_ms[0] + self._entry_ms:
            return opens_ms[0] + self._entry_ms
        return last_ms if now_ms > opens_ms[-1] + self._entry_ms else now_ms

    def _close_of(self, history: History, index: int, last_ms: int) -> int:
        """When the candle of this index closes; behind the last candle there is nothing."""
        opens_ms = history.market.opens_ms
        return opens_ms[index] + self._entry_ms if index < len(opens_ms) else last_ms

    def _ahead_of_trade(self, record: SymbolRecord, history: History, index: int, now_ms: int, last_ms: int) -> int:
        trade, feed = record.trade, history.market.feed
        assert trade is not None
        levels = levels_of(self._account.venue.state, record.symbol)
        regime = history.regime(index)
        if levels is None or not _is_settled(trade):
            return now_ms
        if not self._recorder.holds(record.symbol, regime, trade.rules_hash):
            return now_ms
        until = history.regime_changes_after(index)
        asked = first_asked(history.table, self._open_trade(trade, history), index + 1, until)
        ahead_ms = min(last_ms, self._close_of(history, asked, last_ms))
        ahead_ms = feed.funding_ahead(now_ms + self._step_ms, ahead_ms)
        return feed.bounds.first_reached(levels, now_ms, ahead_ms)

    def _open_trade(self, trade: Trade, history: History) -> OpenTrade:
        assert trade.stop is not None
        entry = trade.entry_price or trade.entry_price_planned
        stop = float(trade.stop.trigger_price)
        least_pct = float(self._engine.policy.orders.stop_move_pct_min)
        return OpenTrade(
            strategy=trade.strategy,
            side=trade.side.value,
            entry=float(entry),
            stop=stop,
            risk=float(abs(entry - trade.stop_price_initial)),
            held_from=(trade.signal_candle_ms - history.market.opens_ms[0]) // self._entry_ms,
            move_min=stop * least_pct / 100 * _ALMOST,
        )


def _is_settled(trade: Trade) -> bool:
    """Its entry is over, its stop rests, and nothing is being replaced or looked for."""
    doubts = (trade.uncovered_ms, trade.stop_before, trade.no_position_ms, trade.unseen_ms)
    return trade.entry.finished and trade.stop is not None and all(doubt is None for doubt in doubts)
