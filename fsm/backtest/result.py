"""What came of a backtest: its trades, its curve, what it read, and the figures that follow from them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any

from exchange.sim.playback.past_ticks import TickKnown, TickSpan
from exchange.sim.playback.rulebook import Dated
from fsm.backtest.curve import OfCurve, figures_of
from fsm.backtest.summary import OfTrades, grouped, results, sequence
from fsm.core.model.records import Trade
from indicators.correlation import independent
from indicators.holes import Hole


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it; ``to_json`` has the fields of the command's contract.

    ``ready_ms``: from when each symbol could trade, its rules having seen enough candles; ``short`` has those that
    never could, with what was short of their candles at the end. ``correlation`` is the mean of all pairs' returns,
    ``fall_loss_pct`` what the stops of as many positions as may be open lose of equity in a fast fall.
    """

    symbols: tuple[str, ...]
    from_ms: int
    to_ms: int
    candles: int
    trades: tuple[Trade, ...]
    curve: tuple[tuple[int, Decimal], ...]
    wallet_change: Decimal
    balance: Decimal
    position_ms: int
    transitions: int
    journal_hash: str
    rules_hash: str
    config_hash: str
    data_hash: str
    ready_ms: dict[str, int]
    short: dict[str, str]
    correlation: Decimal | None
    positions_max: int
    fall_loss_pct: Decimal
    daily_loss_pct: Decimal
    marks_smoothed: tuple[str, ...]
    ambiguous_candles: int
    undecided_bars: int
    fundings: int = 0
    fundings_missing: dict[str, int] = field(default_factory=dict)
    rules_dated: Mapping[str, Dated] = field(default_factory=dict)
    ticks: Mapping[str, tuple[TickSpan, ...]] = field(default_factory=dict)
    holes: tuple[tuple[str, Hole], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Money in USDT, percentages in percent, times as ISO dates, durations in seconds."""
        return self.told(self._of_trades(), figures_of(self.curve, self.tried_ms))

    @property
    def tried_ms(self) -> int:
        """From when on anything could be traded."""
        return min(self.ready_ms.values(), default=self.to_ms)

    def _of_trades(self) -> OfTrades:
        together = results(self.trades)
        groups = {name: grouped(self.trades, attrgetter(name), together) for name in ("regime", "strategy", "symbol")}
        at_end = sum(1 for trade in self.trades if trade.flagged == "END_OF_DATA")
        return OfTrades(together, sequence(self.trades), groups, at_end)

    def told(self, trades: OfTrades, curve: OfCurve) -> dict[str, Any]:
        """``to_json`` with these figures of its trades and its curve."""
        covered_ms = sum(self.to_ms - at_ms for at_ms in self.ready_ms.values())
        return {
            "symbols": list(self.symbols),
            "from": iso(self.from_ms),
            "to": iso(self.to_ms),
            "candles": self.candles,
            **trades.together,
            "return_pct": round(float(self.wallet_change / self.balance * 100), 6),
            **curve._asdict(),
            **trades.sequence,
            "exposure_pct": round(100 * self.position_ms / covered_ms, 6) if covered_ms else 0.0,
            **{f"per_{name}": found for name, found in trades.groups.items()},
            "could_trade_from": self._could_trade_from(),
            "warnings": self.warnings(),
            "correlation": None if self.correlation is None else float(self.correlation),
            "positions_max": self.positions_max,
            "fast_fall_loss_pct": float(self.fall_loss_pct),
            "independent_positions": self._independent(),
            "transitions": self.transitions,
            "closed_at_end": trades.closed_at_end,
            "marks_smoothed": list(self.marks_smoothed),
            "ambiguous_candles": self.ambiguous_candles,
            "ambiguous_without_finer": self.undecided_bars,
            "funding_settlements": self.fundings,
            "funding_missing": self.fundings_missing,
            "symbol_rules": {symbol: self._rules(dated) for symbol, dated in self.rules_dated.items()},
            "ticks": {symbol: ticks_as_json(spans) for symbol, spans in self.ticks.items()},
            "candle_holes": [
                {"symbol": symbol, "timeframe": hole.timeframe, "from": iso(hole.first_ms), "candles": hole.count}
                for symbol, hole in self.holes
            ],
            "journal_hash": self.journal_hash,
            "rules_hash": self.rules_hash,
            "config_hash": self.config_hash,
            "data_hash": self.data_hash,
            "seconds": self.seconds,
        }

    def _could_trade_from(self) -> dict[str, str | None]:
        return {symbol: iso(self.ready_ms[symbol]) if symbol in self.ready_ms else None for symbol in self.symbols}

    def _independent(self) -> float | None:
        """How many independent positions as many as may be open are, in one direction."""
        return None if self.correlation is None else float(independent(self.positions_max, self.correlation))

    def warnings(self) -> list[str]:
        """What makes the figures mean less than they seem to, in sentences."""
        return [*self._short_words(), *self._fall_words()]

    def _short_words(self) -> list[str]:
        if not self.short:
            return []
        whose = ", ".join(f"{symbol} ({short})" for symbol, short in self.short.items())
        who = "No symbol could" if not self.ready_ms else "Some symbols could not"
        return [
            f"{who} trade in this run: too few candles had closed for the rules. At its end: {whose}. "
            "Let the data begin earlier, or the run end later."
        ]

    def _fall_words(self) -> list[str]:
        if self.fall_loss_pct <= self.daily_loss_pct:
            return []
        return [
            f"All stops in a fast fall lose {self.fall_loss_pct:f} % of equity, and limits.daily_loss_pct is "
            f"{self.daily_loss_pct}: `check` says what fits."
        ]

    def _rules(self, dated: Dated) -> dict[str, Any]:
        """Since when the rules are known that a symbol was traded by, and whether they were so when the run began."""
        first, last = iso(self.from_ms)[:10], iso(self.to_ms)[:10]
        return {
            "filters_since": dated.filters,
            "brackets_since": dated.brackets,
            "known_then": dated.is_known(first),
            "changed_on": [day for day in dated.changes if first < day < last],
        }


def ticks_as_json(spans: Iterable[TickSpan]) -> list[dict[str, str]]:
    """The price steps of a symbol, each from when on and how it is known."""
    return [
        {"from": iso(span.since_ms), "tick": f"{span.tick.normalize():f}", "known_by": span.known.value}
        for span in spans
    ]


def tick_words(ticks: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """Each symbol's price steps where they changed on the way or are not those of its rules, and how that is known."""
    told = []
    for symbol, (first, *later) in ticks.items():
        if later or first["known_by"] == TickKnown.CANDLES:
            changes = "".join(f", {_tick(each)} from {each['from'][:16].replace('T', ' ')} on" for each in later)
            told.append(f"{symbol} {_tick(first)}{changes}")
    return told


def _tick(span: Mapping[str, str]) -> str:
    return f"{span['tick']} (as its candles show)" if span["known_by"] == TickKnown.CANDLES else span["tick"]


def ready_words(result: dict[str, Any]) -> list[str]:
    """From when each symbol could trade, where that is not the beginning of the run."""
    late = [
        f"{name} {at or 'never'}" for name, at in result.get("could_trade_from", {}).items() if at != result["from"]
    ]
    whose = ", ".join(late)
    return [f"Could trade from: {whose}. Exposure and ratios count from there."] if late else []


def together_words(result: dict[str, Any]) -> str:
    """How far open positions are risks of their own."""
    if result.get("correlation") is None:
        return "Too little is known of how the symbols move together."
    count, alone = result["positions_max"], result["independent_positions"]
    return (
        f"Returns of the symbols correlate at {result['correlation']:.2f} on average: {count} positions in one "
        f"direction, as many as may be open, are {alone:.2f} independent ones."
    )


def fall_words(result: dict[str, Any]) -> str:
    """What all stops lose together where the market lets them fill far from their triggers."""
    lost = result.get("fast_fall_loss_pct")
    if lost is None:
        return ""
    return f"As many positions as may be open lose {lost:.2f} % of equity where all stops are hit in a fast fall."


def ambiguity_words(result: dict[str, Any]) -> str:
    """How many bars held both a stop and its target, and how many of them finer candles have decided."""
    left = result["ambiguous_candles"]
    before = result.get("ambiguous_without_finer", left)
    if not before and not left:
        return "No bar in which something was hit held both a stop and a target."
    decided = f"; finer candles say it of {before - left}" if before > left else ""
    return (
        f"{before} bars held both a stop and a target, and one of them was hit{decided}. In {left} the worse was taken."
    )


def funding_words(result: dict[str, Any]) -> str:
    """How much of the funding that positions were due for is in the figures."""
    missing = result["funding_missing"]
    if not missing:
        return "Every funding rate that a position was due for was recorded."
    count, whose = sum(missing.values()), ", ".join(f"{symbol} {times}" for symbol, times in missing.items())
    due = count + result["funding_settlements"]
    return f"{count} of {due} fundings that positions were due for are not in the data and count as 0: {whose}."


def iso(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))
