"""Where a newcomer's simulation begins: before a stop and a target that are hit soon, without reading on after them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.demo_start import BRIEF_MS, LEAD_MS, SPAN_MS, worth_seeing
from fsm.backtest.run import Request, run_backtest
from fsm.config import Config, load_config
from fsm.core.model.decision import Step
from rules.load import load_rules

ROOT = Path(__file__).parents[4]
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"})


def request_of(config: Config, *symbols: str, **given: int) -> Request:
    return Request(
        config=config, rules=load_rules(ROOT / "rules.yaml"), data=(shipped_folder(),), symbols=symbols, **given
    )


def test_the_first_ten_minutes_of_the_shipped_candles_show_a_stop_and_a_target(config: Config) -> None:
    wanted = request_of(config, *config.settings.symbols)
    begin_ms = worth_seeing(wanted)
    assert begin_ms is not None
    shown_ms = 10 * MINUTE_MS * int(config.settings.simulation.speed)
    seen: dict[str, int] = {}

    def hear(step: Step) -> None:
        if begin_ms <= step.at_ms <= begin_ms + shown_ms and step.reason in ("STOP_HIT", "TARGET_HIT"):
            seen.setdefault(step.reason, step.at_ms)

    run_backtest(request_of(config, *config.settings.symbols, to_ms=begin_ms + SPAN_MS + 2 * LEAD_MS), on_step=hear)
    assert set(seen) == {"STOP_HIT", "TARGET_HIT"}


def test_where_never_both_are_seen_it_begins_before_a_trade_that_is_soon_over(config: Config) -> None:
    wanted = request_of(config, "ETHUSDT", to_ms=1_725_930_000_000)
    trades = run_backtest(wanted).trades
    brief = [trade for trade in trades if trade.closed_ms and trade.closed_ms - trade.opened_ms <= BRIEF_MS]
    assert brief[0].exit_reason == "STOP_HIT"
    assert worth_seeing(wanted) == brief[0].opened_ms - LEAD_MS


def test_where_nothing_is_traded_there_is_no_such_moment(config: Config) -> None:
    assert worth_seeing(request_of(config, "ETHUSDT", to_ms=1_706_745_600_000)) is None
