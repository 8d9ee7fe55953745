"""What the rules of a symbol say at every candle, over arrays: signals, and when a trade must be looked at."""

from __future__ import annotations

from bisect import bisect_left
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fsm.backtest.history import Market
from fsm.search.open_trade import OpenTrade
from rules.batch import course, prices, signals
from rules.compiled_rules import CompiledRules
from rules.facts import FactTable
from rules.language.arrays import FloatArray
from rules.language.scalar import Facts, known
from rules.measured import Measured
from rules.open_trades import OpenTrade as SeenTrade
from rules.open_trades import asks_always, first_asked
from rules.regime_track import Course
from rules.strategy import Management, SideRules, Strategy


class Signal(NamedTuple):
    """``stop`` and ``targets`` as the rules have them, not rounded; ``candle`` is the index of its candle."""

    candle: int
    strategy: Strategy
    sign: int
    regime: str
    stop: float
    targets: tuple[tuple[float, float], ...]


class Found(NamedTuple):
    """All signals in order of time: index of the candle, number of the kind, and prices as the rules have them."""

    rows: npt.NDArray[np.intp]
    kinds: npt.NDArray[np.intp]
    stops: FloatArray
    targets: list[FloatArray]


_ALMOST = 1 - 1e-9
NO_LIMIT = 2**31


class Signals:
    """Of one variant and symbol; ``at_ms`` are the closes at which a strategy signals that may trade."""

    def __init__(self, market: Market, rules: CompiledRules, candles_min: int, measured: Measured) -> None:
        self.market, self.rules = market, rules
        self.table = FactTable(rules, market.every_series, candles_min, market.holes, market.others.holes, measured)
        self.table.know(market.moments(rules))
        self.track: Course = course(self.table)
        self.kinds: list[tuple[Strategy, SideRules]] = []
        self.found = self._signals()
        self._rows: list[int] = self.found.rows.tolist()
        times = self.table.candle_ms[self.found.rows] + market.series.timeframe.ms
        self.at_ms: list[int] = times.tolist()
        self.table.settle()

    def next_ms(self, from_ms: int) -> int | None:
        """The first close from then on at which there is a signal."""
        place = bisect_left(self.at_ms, from_ms)
        return self.at_ms[place] if place < len(self.at_ms) else None

    def at(self, index: int) -> Signal | None:
        """The signal after a candle."""
        place = bisect_left(self._rows, index)
        if place == len(self._rows) or self._rows[place] != index:
            return None
        strategy, side = self.kinds[self.found.kinds.item(place)]
        levels = zip(self.found.targets, side.targets, strict=False)
        targets = tuple((prices.item(place), portion) for prices, (_, portion) in levels)
        return Signal(index, strategy, side.sign, self.regime(index), self.found.stops.item(place), targets)

    def regime(self, index: int) -> str:
        """The regime in force after a candle."""
        return self.track.names[int(self.track.codes[index])]

    def _signals(self) -> Found:
        """Of the regime's strategies the first that signals."""
        table, track = self.table, self.track
        routes = [self.rules.route(regime).strategies for regime in track.names]
        tracks = {name: signals(table, name) for name in sorted({*chain.from_iterable(routes)})}
        free = ~(table.carried | self._blocked())
        chosen: dict[str, list[npt.NDArray[np.intp]]] = {}
        for code, names in enumerate(routes):
            left = free & (track.codes == code)
            for name in names:
                rows = np.flatnonzero(left & (tracks[name].sides != 0))
                chosen.setdefault(name, []).append(rows)
                left[rows] = False
        parts = [
            self._of_side(self.rules.strategies[name], side, rows[tracks[name].sides[rows] == side.sign])
            for name, found in chosen.items()
            for rows in (np.concatenate(found),)
            for side in self.rules.strategies[name].sides
        ]
        return _in_order(parts)

    def _of_side(self, strategy: Strategy, side: SideRules, rows: npt.NDArray[np.intp]) -> Found:
        stops, targets = prices(self.table, strategy, side, rows)
        self.kinds.append((strategy, side))
        return Found(rows, np.full(len(rows), len(self.kinds) - 1), stops, targets)

    def _blocked(self) -> npt.NDArray[np.bool_]:
        """Candles behind a hole, at which nothing may be opened."""
        candle_ms = self.table.candle_ms
        blocked = np.zeros(len(candle_ms), dtype=np.bool_)
        for first_ms, until_ms in self.market.blocked_ms:
            blocked |= (candle_ms >= first_ms) & (candle_ms < until_ms)
        return blocked

    def positions_max(self, strategy: Strategy) -> int:
        """How many positions may be open at most, as far as the strategy has a say."""
        own = strategy.limits.max_open_positions
        return NO_LIMIT if own is None else own

    def may_ask(self, strategy: Strategy, side: SideRules) -> bool:
        """Whether its rules can ever say something of a trade that is open."""
        upkeep = strategy.upkeep
        asked = (side.exit_when, side.trail, upkeep.break_even_at_r, upkeep.exit_after_candles)
        opposite = upkeep.exit_on_opposite and len(strategy.sides) > 1
        ends = upkeep.exit_on_regime_end or opposite or asks_always(strategy)
        return ends or any(each is not None for each in asked)

    # --- open trades --------------------------------------------------------------------------
    def managed(self, trade: OpenTrade, index: int) -> Management | None:
        """What the rules of its strategy say of a trade after a candle; None: nothing."""
        strategy = self.rules.strategies[trade.strategy]
        if trade.asked is None:
            trade.asked = self._asked(trade, strategy, index)
        if index < trade.asked:
            return None
        trade.asked = None if index >= self.table.length - 1 else self._asked(trade, strategy, index + 1)
        return strategy.manage(
            "LONG" if trade.sign > 0 else "SHORT",
            self._facts(strategy, index),
            entry=float(trade.entry),
            stop=float(trade.stop),
            risk=float(abs(trade.entry - trade.stop_first)),
            candles_held=index - self._index_of(trade.candle_ms),
            regime_ended=trade.regime != self.regime(index),
            traced=False,
        )

    def asked_ms(self, trade: OpenTrade, now_ms: int) -> int | None:
        """The first close after this instant at which its rules may say something; None: they never do."""
        entry_ms, opens_ms = self.market.series.timeframe.ms, self.market.opens_ms
        if trade.asked is None:
            first = self._index_of(now_ms - now_ms % entry_ms)
            trade.asked = self._asked(trade, self.rules.strategies[trade.strategy], min(first, len(opens_ms)))
        return opens_ms[trade.asked] + entry_ms if trade.asked < len(opens_ms) else None

    def _facts(self, strategy: Strategy, index: int) -> Facts:
        keys = (*strategy.fact_keys, *self.rules.regime_words, *self.rules.moment_words)
        return {key: known(self.table.column(key).item(index)) for key in keys}

    def _index_of(self, candle_ms: int) -> int:
        return (candle_ms - self.market.opens_ms[0]) // self.market.series.timeframe.ms

    def _asked(self, trade: OpenTrade, strategy: Strategy, first: int) -> int:
        """The first candle from there on at which its rules may say something."""
        until = self.table.length
        if strategy.upkeep.exit_on_regime_end:
            ended = self.track.codes[first:] != self.track.names.index(trade.regime)
            until = first + int(ended.argmax()) if ended.any() else until
        seen = SeenTrade(
            strategy=trade.strategy,
            side="LONG" if trade.sign > 0 else "SHORT",
            entry=float(trade.entry),
            stop=float(trade.stop),
            risk=float(abs(trade.entry - trade.stop_first)),
            held_from=self._index_of(trade.candle_ms),
            move_min=float(trade.stop) * float(trade.terms.settings.orders.stop_move_pct_min) / 100 * _ALMOST,
        )
        return first_asked(self.table, seen, first, until)


def _in_order(parts: list[Found]) -> Found:
    """Signals of all kinds together; those with fewer targets have NaN in place of more."""
    rows = np.concatenate([np.empty(0, dtype=np.intp), *(part.rows for part in parts)])
    order = np.argsort(rows)
    most = max((len(part.targets) for part in parts), default=0)
    columns = [
        np.concatenate(
            [part.targets[number] if number < len(part.targets) else np.full(len(part.rows), np.nan) for part in parts]
        )[order]
        for number in range(most)
    ]
    kinds = np.concatenate([np.empty(0, dtype=np.intp), *(part.kinds for part in parts)])
    stops = np.concatenate([np.empty(0), *(part.stops for part in parts)])
    return Found(rows[order], kinds[order], stops[order], columns)
