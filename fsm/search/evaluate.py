"""One variant from rules and settings to its outcome, equal in every trade and figure to a backtest of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import localcontext
from typing import cast

from fsm.backtest.coverage import assumed, covered
from fsm.backtest.curve import Curve
from fsm.backtest.history import Market
from fsm.backtest.result import Result
from fsm.backtest.rules_through import RulesFrom
from fsm.backtest.run import run_backtest
from fsm.config import Settings
from fsm.core.model.money import MONEY
from fsm.core.model.records import Trade
from fsm.search.closed_trade import closed
from fsm.search.evaluation import Change, Evaluation
from fsm.search.outcome import Outcome, Trades
from fsm.search.portfolio import Correlated
from fsm.search.prepared import Prepared
from fsm.search.seat import Seat
from fsm.search.signals import Signals
from fsm.search.straight.compiled import Form, Wanted, form_for
from fsm.search.terms import Beyond, Terms
from rules.load import Ruleset


def evaluate(prepared: Prepared, rules: Ruleset, settings: Settings, wanted: Wanted = "fastest") -> Outcome:
    """Raises BacktestError where the rules read what was not prepared.

    ``wanted``: the form of the kernel (fsm/search/straight); None: without it.
    """
    markets = prepared.markets(rules)
    with localcontext(MONEY):
        try:
            return _evaluated(prepared, markets, rules, settings, form_for(len(markets), wanted))
        except Beyond as what:
            return by_engine(prepared, rules, settings, str(what))


def _evaluated(
    prepared: Prepared, markets: tuple[Market, ...], rules: Ruleset, settings: Settings, form: Form | None
) -> Outcome:
    seats = [_seat(prepared, market, rules, settings) for market in markets]
    closes, step_ms = prepared.closes(markets), markets[0].feed.step.ms
    changes = _changes(prepared, settings, seats, step_ms)
    found = Evaluation(settings, seats, changes, Correlated(settings, closes), step_ms, form)
    ground = replace(prepared.ground, markets=markets)
    found.run(ground.from_ms, ground.to_ms)

    def result(trades: Trades, curve: Curve) -> Result:
        with localcontext(MONEY):
            tables = {seat.symbol: seat.signals.table for seat in seats}
            return Result(
                **covered(ground, tables, settings.market_data.candles_min),
                **assumed(settings),
                trades=cast("tuple[Trade, ...]", trades),  # with the fields that figures are made of
                curve=tuple(curve),
                wallet_change=found.account.wallet - settings.simulation.balance_usdt,
                position_ms=found.position_ms,
                transitions=0,
                journal_hash="",
                rules_hash=rules.hash,
                config_hash="",
                data_hash="",
                correlation=prepared.mean_correlation(markets),
                ambiguous_candles=found.ambiguous,
                undecided_bars=found.undecided,
                fundings=found.fundings,
                fundings_missing=dict(sorted(found.fundings_missing.items())),
            )

    return Outcome(
        found.trades,
        lambda: found.account.curve,
        found.account.wallet,
        result,
        lambda: (found.trade_columns(), found.account.readings),
        by_kernel=found.by_kernel,
    )


def _seat(prepared: Prepared, market: Market, rules: Ruleset, settings: Settings) -> Seat:
    symbol, own = market.symbol, rules.for_symbol(market.symbol)
    terms = _terms(prepared.ground.rules.begins, symbol, settings, own.entry_timeframe.ms)
    signals = Signals(market, own, settings.market_data.candles_min, prepared.measured(market))
    return Seat(terms, signals, prepared.bars(market))


def _changes(prepared: Prepared, settings: Settings, seats: list[Seat], step_ms: int) -> list[Change]:
    """Each at the first instant that is not before it."""
    before, found, entry_ms = prepared.ground.rules.begins, [], prepared.entry.ms
    for rules in prepared.ground.rules.changes:
        changed = {*rules.changed_from(before)} & {seat.symbol for seat in seats}
        terms = {symbol: _terms(rules, symbol, settings, entry_ms) for symbol in sorted(changed)}
        found.append(Change(-(-rules.at_ms // step_ms) * step_ms, terms))
        before = rules
    return found


def _terms(rules: RulesFrom, symbol: str, settings: Settings, entry_ms: int) -> Terms:
    return Terms(symbol, settings, rules.filters[symbol], rules.brackets[symbol], entry_ms)


def by_engine(prepared: Prepared, rules: Ruleset, settings: Settings, why: str) -> Outcome:
    """The backtest itself, its journal thrown away."""
    request = prepared.request
    config = replace(request.config, settings=settings, text="")
    ground = replace(prepared.ground, markets=prepared.markets(rules))
    result = run_backtest(replace(request, config=config, rules=rules, db=None), ground=ground)
    trades = tuple(map(closed, result.trades))
    equity = result.balance + result.wallet_change
    return Outcome(lambda: trades, lambda: result.curve, equity, lambda *_: result, by_engine=why)
