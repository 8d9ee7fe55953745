"""The search mode gives the trades and figures of a backtest, and says what it cannot read."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from fsm.backtest.run import BacktestError, Request, run_backtest
from fsm.search import evaluate, prepare
from fsm.search.outcome import NOT_OF_A_VARIANT, closed
from rules.load import parse_rules
from tests.integration.generated_runs import FIRST_MS, HOUR_MS, case


def changed(request: Request, **changes: object) -> Request:
    return Request(**{**{each.name: getattr(request, each.name) for each in fields(request)}, **changes})  # type: ignore[arg-type]


def test_a_variant_has_the_trades_and_the_figures_of_its_backtest(tmp_path: Path) -> None:
    request = case(2, tmp_path).request
    more = msgspec.structs.replace(
        request.config.settings,
        risk=msgspec.structs.replace(request.config.settings.risk, risk_per_trade_pct=Decimal("0.05")),
    )
    prepared = prepare(request)
    for settings in (request.config.settings, more):
        expected = run_backtest(changed(request, config=replace(request.config, settings=settings)))
        outcome = evaluate(prepared, request.rules, settings)
        assert outcome.trades == tuple(map(closed, expected.trades))
        assert len(outcome.trades) > 10
        told = {name: value for name, value in expected.to_json().items() if name not in NOT_OF_A_VARIANT}
        assert outcome.figures == told
        assert tuple(outcome.curve) == expected.curve
        assert outcome.final_equity == expected.balance + expected.wallet_change
        assert outcome.net_pnl == sum((trade.net_pnl or Decimal(0) for trade in expected.trades), Decimal(0))


def test_another_window_over_what_was_prepared_is_that_windows_backtest(tmp_path: Path) -> None:
    request = case(2, tmp_path).request
    window = {"from_ms": FIRST_MS + 300 * HOUR_MS, "to_ms": FIRST_MS + 500 * HOUR_MS}
    expected = run_backtest(changed(request, **window))
    outcome = evaluate(prepare(request).over(**window), request.rules, request.config.settings)
    assert outcome.trades == tuple(map(closed, expected.trades))
    assert tuple(outcome.curve) == expected.curve


def test_rules_that_read_what_was_not_prepared_are_told_so(tmp_path: Path) -> None:
    request = case(2, tmp_path).request
    text = request.rules.text.replace("rsi_e: {indicator: rsi, timeframe: 1h", "rsi_e: {indicator: rsi, timeframe: 4h")
    longer, settings = parse_rules(text, "rules.yaml"), request.config.settings
    with pytest.raises(BacktestError, match="4h, which were not prepared"):
        evaluate(prepare(request), longer, settings)
    outcome = evaluate(prepare(request, frozenset(longer.timeframes)), longer, settings)
    expected = run_backtest(changed(request, rules=longer))
    assert outcome.trades == tuple(map(closed, expected.trades))
