"""What an edit of rules changes, in words and over candles: regimes, signals, and the trades of two backtests."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec

from exchange.candle_files import CandleFolders
from fsm.backtest.comparing.decided import (
    RegimeStretch,
    SignalDifference,
    regime_stretches,
    signal_differences,
    signals_in,
)
from fsm.backtest.comparing.matching import Difference, differences
from fsm.backtest.comparing.side import ALL, Side, Span, net, read_side
from fsm.backtest.ground import Progress
from fsm.backtest.history import History, build_history, read_market
from fsm.backtest.run import Request, run_backtest
from rules.changes import Change, changes
from rules.load import Ruleset
from rules.looseness import loosenings
from store.database import open_store

EVERYTHING = Span(-ALL, ALL)


class OneSide(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the two files comes to."""

    file: str
    rules_hash: str
    signals: int
    trades: int
    net_pnl_usdt: Decimal


class RulesDiff(msgspec.Struct, frozen=True, kw_only=True):
    """``changes`` is empty where both mean the same; ``allows_more``: of these, what plainly allows more."""

    old: OneSide
    new: OneSide
    symbols: tuple[str, ...]
    span: tuple[int, int]
    candles: int
    changes: tuple[Change, ...]
    allows_more: tuple[str, ...]
    regimes: tuple[RegimeStretch, ...]
    signals: tuple[SignalDifference, ...]
    trades: tuple[Difference, ...]

    @property
    def pnl_change(self) -> Decimal:
        """What the new rules made more than the old ones, in USDT."""
        return self.new.net_pnl_usdt - self.old.net_pnl_usdt


def diff_rules(old: Ruleset, new: Ruleset, request: Request, scratch: Path, *, progress: Progress) -> RulesDiff:
    """``request`` says over what; its rules do not matter. Raises BacktestError and CannotCompare."""
    with ExitStack() as stack:
        one, other = (
            _ran(stack, replace(request, rules=rules, db=scratch / f"{name}.sqlite"), name, progress)
            for name, rules in (("old", old), ("new", new))
        )
        assert one.ran is not None, "it is a backtest"
        span, symbols = one.ran, one.symbols
        histories = [(_history(request, old, symbol), _history(request, new, symbol)) for symbol in symbols]
        counts = [sum(signals_in(pair[side], span) for pair in histories) for side in (0, 1)]
        regimes = [each for pair in histories for each in regime_stretches(*pair, span)]
        signals = [each for pair in histories for each in signal_differences(*pair, span)]
        opens_ms = (open_ms for before, _ in histories for open_ms in before.market.opens_ms)
        candles = sum(1 for open_ms in opens_ms if span.from_ms <= open_ms < span.to_ms)
        return RulesDiff(
            old=_told(old, one, counts[0]),
            new=_told(new, other, counts[1]),
            symbols=tuple(symbols),
            span=(span.from_ms, span.to_ms),
            candles=candles,
            changes=tuple(changes(old.definition, new.definition)),
            allows_more=tuple(map(str, loosenings(old.definition, new.definition))),
            regimes=tuple(sorted(regimes, key=lambda each: (each.from_ms, each.symbol))),
            signals=tuple(sorted(signals, key=lambda each: (each.candle_ms, each.symbol))),
            trades=tuple(differences(one.trades, other.trades, EVERYTHING)),
        )


def _ran(stack: ExitStack, request: Request, name: str, progress: Progress) -> Side:
    assert request.db is not None
    run_backtest(request, progress=progress)
    return read_side(name, stack.enter_context(open_store(request.db, mode="read")))


def _history(request: Request, rules: Ruleset, symbol: str) -> History:
    own = rules.for_symbol(symbol)
    folders = CandleFolders(request.data, request.instead)
    market = read_market(folders, symbol, own, candles_only=True)
    return build_history(market, rules, request.config.settings.market_data.candles_min)


def _told(rules: Ruleset, side: Side, signals: int) -> OneSide:
    return OneSide(
        file=rules.name,
        rules_hash=rules.hash,
        signals=signals,
        trades=len(side.trades),
        net_pnl_usdt=net(side.trades),
    )
