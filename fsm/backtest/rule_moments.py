"""Moments of recorded history for tests of rules: what was known at a close, and the regime in force after it."""

from __future__ import annotations

from exchange.candle_columns import CandleFileError
from exchange.candle_files import CandleFolders
from fsm.backtest.history import History, build_history, read_market, step_of
from indicators.series import SeriesError
from rules.load import Ruleset
from rules.testing.run import Moment


class NoSuchMoment(ValueError):
    """The candles at hand do not have it; the message says why."""


class RuleMoments:
    """Each symbol's candles are read once, when they are asked for."""

    def __init__(self, folders: CandleFolders, rules: Ruleset, candles_min: int) -> None:
        self._folders, self._rules, self._candles_min = folders, rules, candles_min
        self._histories: dict[str, History] = {}

    def at(self, symbol: str, close_ms: int) -> Moment:
        """Raises NoSuchMoment."""
        history = self._histories.get(symbol)
        if history is None:
            history = self._histories[symbol] = self._read(symbol)
        index = history.market.index_at(close_ms - history.rules.entry_timeframe.ms)
        if index is None or close_ms % history.rules.entry_timeframe.ms:
            raise NoSuchMoment(f"no {history.rules.entry_timeframe} candle of {symbol} closed then")
        return Moment(history.table.facts_at(index), history.regime_state(index))

    def _read(self, symbol: str) -> History:
        own = self._rules.for_symbol(symbol)
        if symbol not in self._folders.symbols(step_of(own.entry_timeframe)):
            raise NoSuchMoment(f"there are no candles of {symbol}: --data names a folder with them")
        try:
            market = read_market(self._folders, symbol, own, candles_only=True)
        except (CandleFileError, SeriesError) as error:
            raise NoSuchMoment(str(error)) from error
        return build_history(market, self._rules, self._candles_min)
