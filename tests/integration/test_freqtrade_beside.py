"""docs/strategies/donchian_freqtrade.py says what donchian.yaml says, at every candle, in more lines."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.history import build_history, read_market
from rules.batch import signal_sides
from rules.language.arrays import TRUE
from rules.load import load_rules

FOLDER = Path(__file__).parents[2] / "docs" / "strategies"
OURS, THEIRS = FOLDER / "donchian.yaml", FOLDER / "donchian_freqtrade.py"


class _Bare:
    """What stands for freqtrade's base class where freqtrade is not installed: the file asks nothing of it here."""


@pytest.fixture
def strategy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Their strategy. Where freqtrade is installed it is freqtrade's own class."""
    is_theirs = importlib.util.find_spec("freqtrade") is not None
    if not is_theirs:
        module = ModuleType("freqtrade.strategy")
        module.IStrategy, module.stoploss_from_absolute = _Bare, None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "freqtrade", ModuleType("freqtrade"))
        monkeypatch.setitem(sys.modules, "freqtrade.strategy", module)
    spec = importlib.util.spec_from_file_location("donchian_freqtrade", THEIRS)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made.Donchian({}) if is_theirs else made.Donchian()


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "SOLUSDT"])
def test_both_files_signal_and_leave_at_the_same_candles(strategy: Any, symbol: str) -> None:
    rules = load_rules(OURS)
    own = rules.for_symbol(symbol)
    market = read_market(CandleFolders((shipped_folder(),)), symbol, own, candles_only=True)
    table = build_history(market, rules, 200).table
    columns = {name: np.array(getattr(market.series, name)) for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame({"date": pd.to_datetime(market.series.open_time_ms, unit="ms", utc=True), **columns})
    for step in (strategy.populate_indicators, strategy.populate_entry_trend, strategy.populate_exit_trend):
        frame = step(frame, {"pair": symbol})
    known = slice(200, None)
    held = {name: (frame[name] == 1).to_numpy()[known] for name in ("enter_long", "enter_short")}
    assert (signal_sides(table, "donchian")[known] == held["enter_long"].astype(int) - held["enter_short"]).all()
    assert held["enter_long"].any()
    for side, column in zip(own.strategies["donchian"].sides, ("exit_long", "exit_short"), strict=True):
        assert side.exit_when is not None
        leaves = np.broadcast_to(side.exit_when.truths(table.column), (table.length,)) == TRUE
        assert (leaves[known] == (frame[column] == 1).to_numpy()[known]).all()
    near = np.abs(table.column("atr_1d")[known] / frame["atr"].to_numpy()[known] - 1)
    assert near.max() < 1e-3, "TA-Lib leaves the first candle's range out of its first mean"


def lines(path: Path) -> int:
    """Without blank ones and comments."""
    rows = (line.strip() for line in path.read_text("utf-8").splitlines())
    return sum(1 for line in rows if line and not line.startswith("#"))


def test_the_page_counts_the_lines_as_they_are() -> None:
    page = FOLDER.joinpath("donchian.md").read_text("utf-8")
    found = re.search(r"(\d+) lines of YAML, (\d+) of Python", page)
    assert found is not None
    assert (int(found[1]), int(found[2])) == (lines(OURS), lines(THEIRS))
    assert THEIRS.name in page
