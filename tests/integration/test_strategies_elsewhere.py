"""The strategies of docs/strategies trade as an independent implementation of them does, trade by trade."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules
from tests.effort import sampled
from tests.integration.strategies_elsewhere import LONG, STRATEGIES, Round, pd, rounds

FOLDER = Path(__file__).parents[2] / "docs" / "strategies"
SYMBOLS = ("SOLUSDT", "XRPUSDT")
PERIODS = (("2024-08-01", "2025-01-01"), ("2025-01-01", "2025-06-30"))
"""Neither these symbols nor these periods were looked at while the strategies were written."""

CONFIG = """\
version: 1
symbols: {SOLUSDT: {}, XRPUSDT: {}}
simulation: {balance_usdt: 1000000, taker_fee_pct: 0, maker_fee_pct: 0, slippage_pct: 0, stop_depth_share: 0}
risk: {risk_per_trade_pct: 1, stop_distance_pct_min: 0.01, stop_distance_pct_max: 50, max_open_risk_pct: 10}
account: {leverage: 1}
orders: {working_type: CONTRACT_PRICE, stop_move_pct_min: 0, price_moved_pct_max: 20}
limits: {daily_loss_pct: 60, weekly_loss_pct: 70, monthly_loss_pct: 80, drawdown_pct: 95}
"""
"""Without costs, with the stop on the last price and moved however little; all that keeps an entry away is far."""

TICKS = 2.0
"""Stops are rounded to the tick away from the entry, and recorded prices finer than the tick are filled on it."""


def ms(day: str) -> int:
    return int(pd.Timestamp(day).timestamp() * 1000)


def ours(file: Path, symbol: str, period: tuple[str, str], data: Path, folder: Path) -> list[Round]:
    rules = load_rules(file)
    frames = sorted(rules.timeframes, key=lambda timeframe: timeframe.ms)
    roles = f"timeframes: {{entry: {frames[0]}, setup: {frames[0]}, trend: {frames[-1]}}}\n"
    (folder / "config.yaml").write_text(CONFIG + roles, encoding="utf-8")
    config = load_config(folder / "config.yaml", None, {})
    from_ms, to_ms = map(ms, period)
    request = Request(config=config, rules=rules, data=(data,), symbols=(symbol,), from_ms=from_ms, to_ms=to_ms)
    grain = {"1h": "1h", "4h": "4h", "1d": "1D"}[frames[0].value]
    return [
        Round(
            entered=pd.Timestamp(trade.opened_ms, unit="ms"),
            side=trade.side.value,
            entry=float(trade.entry_price or 0),
            left=pd.Timestamp(trade.closed_ms, unit="ms").floor(grain),
            exit=float(trade.exit_price or 0),
            by_stop=trade.exit_reason == "STOP_HIT",
        )
        for trade in run_backtest(request).trades
        if trade.exit_reason != "END_OF_DATA"
    ]


def theirs(name: str, symbol: str, period: tuple[str, str], data: Path) -> list[Round]:
    """Without the one that is still open at the end: where it is closed is no decision of the strategy."""
    last = pd.Timestamp(period[1]) - LONG[STRATEGIES[name][0]]
    return [one for one in rounds(name, data, symbol, *period) if one.left < last or one.by_stop]


def differences(one: list[Round], other: list[Round], tick: float) -> list[tuple[Round | None, Round | None]]:
    mine, their = ({each.entered: each for each in found} for found in (one, other))
    pairs = [(mine.get(at), their.get(at)) for at in sorted(mine.keys() | their.keys())]
    return [(a, b) for a, b in pairs if a is None or b is None or not alike(a, b, tick)]


def alike(one: Round, other: Round, tick: float) -> bool:
    same = (one.side, one.left, one.by_stop) == (other.side, other.left, other.by_stop)
    near = (abs(one.entry - other.entry), abs(one.exit - other.exit))
    return same and max(near) <= TICKS * tick


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period[0])
@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("name", sampled(STRATEGIES, often=2))
def test_its_trades_are_those_of_an_independent_implementation(
    name: str, symbol: str, period: tuple[str, str], tmp_path: Path
) -> None:
    found = ours(FOLDER / f"{name}.yaml", symbol, period, shipped_folder(), tmp_path)
    expected = theirs(name, symbol, period, shipped_folder())
    assert len(found) >= (12 if name not in ("donchian", "rsi2") else 0)
    assert differences(found, expected, {"SOLUSDT": 0.01, "XRPUSDT": 0.0001}[symbol]) == []


def test_another_period_than_the_one_that_is_meant_is_told_apart(tmp_path: Path) -> None:
    """The comparison can fail: one candle more or less of a mean, and trades differ."""
    text = (FOLDER / "rsi2.yaml").read_text("utf-8").replace("period: 5}", "period: 6}")
    rules = tmp_path / "rsi2.yaml"
    rules.write_text(text, encoding="utf-8")
    found = ours(rules, "SOLUSDT", PERIODS[0], shipped_folder(), tmp_path)
    assert differences(found, theirs("rsi2", "SOLUSDT", PERIODS[0], shipped_folder()), 0.01)
