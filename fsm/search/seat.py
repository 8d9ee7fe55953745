"""One symbol of a variant under way: its signals, its prices of now, its trade, and what keeps it from trading."""

from __future__ import annotations

from exchange.sim.playback.candle_path import Bias, Quote, Stretch
from fsm.core.model.records import Flag, HaltCause
from fsm.core.refusals import REFUSAL_COOLDOWN_CANDLES, REFUSALS_BEFORE_COOLDOWN, REFUSALS_BEFORE_HALT
from fsm.search.bars import Bars
from fsm.search.closed_trade import ClosedTrade
from fsm.search.open_trade import OpenTrade
from fsm.search.signals import Signals
from fsm.search.terms import Beyond, Terms

HAIR = 1e-9
"""Marks may be computed, so their levels are taken for reached a little too soon."""


class Seat:
    """``quote`` is what the exchange told last, at ``told_ms``."""

    def __init__(self, terms: Terms, signals: Signals, bars: Bars) -> None:
        self.terms, self.signals, self.bars = terms, signals, bars
        self.symbol = terms.symbol
        self.market = signals.market
        self.quote: Quote | None = None
        self.told_ms = bars.start_ms - 1
        self.candle: Stretch | None = None
        self.trade: OpenTrade | None = None
        self.opened = 0
        self.halt: Flag | None = None
        self.losses = 0
        self.resting_until_ms = 0
        self.refusal: tuple[int, int] | None = None

    def take(self, terms: Terms) -> None:
        """Other rules of the exchange are in force. Raises Beyond where an open trade is not simply gone on with."""
        if terms.can_set_up != self.terms.can_set_up:
            raise Beyond(f"the leverage that brackets of {self.symbol} allow changes on the way")
        trade = self.trade
        if trade is not None:
            if not trade.held or not terms.differs_in_prices_alone(self.terms):
                raise Beyond(
                    f"rules of {self.symbol} change while an order rests there, or its lots while it is traded"
                )
            trade.terms = terms
        self.terms = terms

    @property
    def now(self) -> Quote:
        assert self.quote is not None
        return self.quote

    def bias(self) -> Bias:
        """The extreme of a candle that hurts more if it comes first, as the simulated exchange has it."""
        trade = self.trade
        if trade is None:
            return Bias.LOW_FIRST
        if trade.held:
            return Bias.LOW_FIRST if trade.sign > 0 else Bias.HIGH_FIRST
        return Bias.HIGH_FIRST if trade.sign > 0 else Bias.LOW_FIRST

    def price(self, now_ms: int) -> None:
        """Prices at the open of the bar that begins now; where it was not recorded, those that were told last."""
        for at_ms in range(now_ms, self.told_ms, -self.terms.entry_ms):
            if (found := self.bars.opening(at_ms)) is not None:
                self.quote = found
                break
        self.told_ms = now_ms

    def tell(self, number: int, *, at_end: bool) -> None:
        """Prices are those at which a bar begins, or ends."""
        open_ms = self.bars.start_ms + number * self.bars.step_ms
        self.quote = self.bars.closing(open_ms) if at_end else self.bars.opening(open_ms)
        self.told_ms = open_ms + self.bars.step_ms - 1 if at_end else open_ms

    def is_quiet(self, open_ms: int) -> bool:
        """Whether nothing of its trade can happen in the bar that opens then."""
        trade, number = self.trade, self.bars.number(open_ms)
        if trade is None:
            return True
        if number is None:
            return not self.bars.has(open_ms)
        bars = self.bars
        if not trade.held:
            assert trade.limit is not None
            level = float(trade.limit)
            return bars.low_last[number] > level if trade.sign > 0 else bars.high_last[number] < level
        low, high = trade.levels or self._levels(trade)
        if self.terms.by_mark:
            return bars.low_mark[number] > low and bars.high_mark[number] < high
        return bars.low_last[number] > low and bars.high_last[number] < high and self.is_afloat(number)

    def may_hit(self, start: Quote, end: Quote) -> bool:
        """Whether something of its trade may happen on the way from one to the other."""
        trade = self.trade
        assert trade is not None
        if not trade.held:
            assert trade.limit is not None
            return (
                min(start.last, end.last) <= trade.limit if trade.sign > 0 else max(start.last, end.last) >= trade.limit
            )
        low, high = trade.levels or self._levels(trade)
        prices = (start.mark, end.mark) if self.terms.by_mark else (start.last, end.last)
        one, other = map(float, prices)  # as the levels are: a float is not quite the Decimal that it was made of
        if min(one, other) <= low or max(one, other) >= high:
            return True
        level = trade.liquidation
        if level is None or self.terms.by_mark:
            return False
        return min(start.mark, end.mark) <= level if trade.sign > 0 else max(start.mark, end.mark) >= level

    def _levels(self, trade: OpenTrade) -> tuple[float, float]:
        """The nearest prices, below and above, at which something happens, of the price that its orders watch."""
        below = [trade.stop] if trade.sign > 0 else []
        above = [] if trade.sign > 0 else [trade.stop]
        (above if trade.sign > 0 else below).extend(target.trigger for target in trade.targets if target.is_open)
        if self.terms.by_mark and trade.liquidation is not None:
            (below if trade.sign > 0 else above).append(trade.liquidation)
        low = float(max(below)) if below else -1.0
        high = float(min(above)) if above else float("inf")
        if self.terms.by_mark:
            low, high = low * (1 + HAIR) if low > 0 else low, high * (1 - HAIR)
        trade.levels = (low, high)
        return trade.levels

    def bounds(self) -> tuple[memoryview, memoryview, float, float]:
        """Lows and highs of bars of the price that its orders watch, and where they must not come."""
        assert self.trade is not None
        low, high = self.trade.levels or self._levels(self.trade)
        bars = self.bars
        if self.terms.by_mark:
            return bars.low_mark, bars.high_mark, low, high
        return bars.low_last, bars.high_last, low, high

    def is_afloat(self, number: int) -> bool:
        """The mark does not come to where its trade is liquidated; where orders watch the mark, the bounds say it."""
        trade = self.trade
        assert trade is not None
        if trade.liquidation is None or self.terms.by_mark:
            return True
        level = float(trade.liquidation)
        if trade.sign > 0:
            return self.bars.low_mark[number] > level * (1 + HAIR)
        return self.bars.high_mark[number] < level * (1 - HAIR)

    # --- what ends a trade does to the symbol -------------------------------------------------
    def after(self, closed: ClosedTrade, now_ms: int) -> None:
        """Loss streak, cooldown, and the halt that a liquidation asks for."""
        net = closed.net_pnl
        assert net is not None
        rules, entry_ms = self.signals.rules, self.terms.entry_ms
        streak = self.losses + 1 if net < 0 else 0
        rule, own = rules.cooldown, rules.strategies[closed.strategy].cooldown
        if own is not None and net < 0 and self.losses + 1 >= own.losses:
            self.resting_until_ms = max(self.resting_until_ms, now_ms + own.candles * entry_ms)
        if rule is not None and streak >= rule.losses:
            self.resting_until_ms = max(self.resting_until_ms, now_ms + rule.candles * entry_ms)
            streak = 0
        self.losses = streak
        self.trade = None
        if closed.exit_reason == "LIQUIDATED":
            self.halted(HaltCause.LIQUIDATED, now_ms)

    def halted(self, cause: HaltCause, now_ms: int) -> bool:
        """The first cause stands, except that a limit's gives way to one of another kind."""
        if self.halt is not None and (not is_limit(self.halt.cause) or is_limit(cause)):
            return False
        self.halt = Flag(cause.value, now_ms)
        return True

    def refused(self, code: int, now_ms: int) -> None:
        """The exchange refused the entry; again and again cools the symbol down, then halts it."""
        self.trade = None
        count = self.refusal[1] + 1 if self.refusal is not None and self.refusal[0] == code else 1
        self.refusal = (code, count)
        if count >= REFUSALS_BEFORE_HALT:
            self.halted(HaltCause.REFUSALS, now_ms)
        elif count >= REFUSALS_BEFORE_COOLDOWN:
            until_ms = now_ms + REFUSAL_COOLDOWN_CANDLES * self.terms.entry_ms
            self.resting_until_ms = max(self.resting_until_ms, until_ms)


def is_limit(cause: str) -> bool:
    return cause.startswith("LIMIT_")
