"""Tries rules on the candles at hand: is each regime ever entered, and does each strategy ever signal in its own?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exchange.candle_columns import CandleFileError
from exchange.candle_files import CandleFolders
from fsm.backtest.history import SIGNAL, History, build_history, read_market, step_of
from indicators.series import SeriesError
from rules.load import Ruleset

DAY_MS = 86_400_000
MONTH_DAYS = 30.4
NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Entered:
    """What one symbol's candles enter, of what they could."""

    symbol: str
    days: int
    told: tuple[str, ...]
    """The regimes that its rules tell apart."""
    regimes: frozenset[str]
    strategies: frozenset[str]
    routed: frozenset[str]
    """Strategies that some regime leads to, for this symbol."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Symbols in the order in which they were read. ``unusable``: what is wrong with the candle files of others."""

    symbols: tuple[Entered, ...]
    unusable: tuple[str, ...]

    @property
    def span(self) -> str:
        """How long the candles are, of the symbols that were read."""
        days = max((entered.days for entered in self.symbols), default=0)
        length = f"{days / MONTH_DAYS:.0f} months" if days >= 2 * MONTH_DAYS else f"{days} days"
        names = [entered.symbol for entered in self.symbols]
        return f"{length} of {', '.join(names) if len(names) <= NAMED_MAX else f'{len(names)} symbols'}"

    def alone(self, symbol: str) -> Trial:
        """Of one symbol; empty where it was not read."""
        return Trial(tuple(entered for entered in self.symbols if entered.symbol == symbol), ())

    def never_entered(self) -> list[str]:
        """Regimes that no symbol ever enters."""
        told = dict.fromkeys(regime for entered in self.symbols for regime in entered.told)
        return [regime for regime in told if not any(regime in entered.regimes for entered in self.symbols)]

    def never_signalled(self) -> list[str]:
        """Strategies that no symbol ever signals, though one of its regimes that leads to them is entered."""
        routed = sorted(frozenset().union(*(entered.routed for entered in self.symbols)))
        return [name for name in routed if not any(name in entered.strategies for entered in self.symbols)]


def try_rules(folders: CandleFolders, symbols: Sequence[str], rules: Ruleset, candles_min: int) -> Trial:
    """Symbols with values of their own, and then as many others as it takes until everything was entered."""
    found: list[Entered] = []
    unusable: list[str] = []
    for symbol in sorted(symbols, key=lambda symbol: symbol not in rules.definition.symbols):
        trial = Trial(tuple(found), ())
        if found and symbol not in rules.definition.symbols and not (trial.never_entered() or trial.never_signalled()):
            break
        if symbol not in folders.symbols(step_of(rules.for_symbol(symbol).entry_timeframe)):
            continue
        try:
            found.append(enter(folders, symbol, rules, candles_min))
        except (CandleFileError, SeriesError) as error:
            unusable.append(str(error))
    return Trial(tuple(found), tuple(unusable))


def enter(folders: CandleFolders, symbol: str, rules: Ruleset, candles_min: int) -> Entered:
    """What the candles of a symbol enter. Raises CandleFileError or SeriesError."""
    own = rules.for_symbol(symbol)
    market = read_market(folders, symbol, own, candles_only=True)
    history = build_history(market, rules, candles_min)
    opens_ms = history.market.opens_ms
    return Entered(
        symbol=symbol,
        days=(opens_ms[-1] - opens_ms[0]) // DAY_MS,
        told=tuple(own.classifier.names[:-1]),
        regimes=history.regimes.met,
        strategies=frozenset(_signalled(history)),
        routed=frozenset(_routed(history)),
    )


def _routed(history: History) -> Iterator[str]:
    """Strategies that a regime leads to which is entered: of the others, the regime is told."""
    for regime in history.regimes.met:
        yield from history.rules.route(regime).strategies


def _signalled(history: History) -> Iterable[str]:
    codes = history.codes
    for index, regime in enumerate(history.regimes.names):
        here = (history.regimes.codes == index) & (codes == SIGNAL)
        for strategy in history.rules.route(regime).strategies:
            if bool((history.signals[strategy].sides[here] != 0).any()):
                yield strategy
