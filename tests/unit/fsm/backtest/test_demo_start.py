"""Where a newcomer's simulation begins: before the first trade that is soon over, without reading on after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.demo_start import HOLD_MS_MAX, LEAD_MS, worth_seeing
from fsm.backtest.run import Request, run_backtest
from fsm.config import Config, load_config
from rules.load import load_rules

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})


def request_of(config: Config, **given: int) -> Request:
    return Request(
        config=config,
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=("ETHUSDT",),
        **given,
    )


def test_it_is_two_hours_before_the_first_covered_trade_that_ends_within_twelve(config: Config) -> None:
    begin_ms = worth_seeing(request_of(config))
    assert begin_ms is not None
    for trade in run_backtest(request_of(config)).trades:
        if trade.opened_ms - LEAD_MS == begin_ms:
            assert trade.protected_ms is not None
            assert trade.closed_ms is not None
            assert trade.closed_ms - trade.opened_ms <= HOLD_MS_MAX
            return
        assert trade.protected_ms is None or (trade.closed_ms or 2**62) - trade.opened_ms > HOLD_MS_MAX
    raise AssertionError("no trade begins there")


def test_where_nothing_is_traded_there_is_no_such_moment(config: Config) -> None:
    assert worth_seeing(request_of(config, to_ms=1_706_745_600_000)) is None
