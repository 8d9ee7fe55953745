"""Stops fill where the market lets them: hourly candles alone come close to what finer ones say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.core.pricing import depth_share, stop_price
from exchange.sim.playback.symbols import shipped_folder
from exchange.types import Side
from fsm.backtest.fill_model import Stop, measured, page
from fsm.config.settings import Settings, SymbolSettings
from fsm.config.unusual import FALL_R, fall_loss_pct

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "klines"
DOC = ROOT / "docs" / "fill-model.md"
BOTH = (Side.BUY, Side.SELL)


@pytest.fixture(scope="module")
def stops() -> list[Stop]:
    """With all finer candles at hand; those that are shipped are enough to mean something."""
    return measured(CandleFolders([SHARED if SHARED.is_dir() else shipped_folder()]))


@pytest.mark.slow
def test_hourly_candles_fill_a_stop_nearly_where_finer_ones_do(stops: list[Stop]) -> None:
    assert len(stops) >= 3
    difference = np.array([stop.hourly - stop.finer for stop in stops])
    assert abs(difference.mean()) <= 0.05
    assert np.percentile(abs(difference), 95) <= 0.3


def test_a_stop_is_never_filled_better_than_at_its_trigger(stops: list[Stop]) -> None:
    for stop in stops:
        assert stop.today >= -0.01
        assert stop.hourly >= stop.today
        assert stop.finer >= -0.01


def test_without_a_share_stops_fill_at_their_trigger_as_before() -> None:
    found = measured(CandleFolders([shipped_folder()]), BOTH, Decimal(0))
    assert found
    assert all(stop.hourly == stop.today for stop in found)


def test_the_same_run_gives_the_same_fills() -> None:
    folders = CandleFolders([shipped_folder()])
    assert measured(folders) == measured(folders)


@pytest.mark.parametrize(
    ("minutes", "share"), [(1, "0.25"), (2, "0.198425"), (5, "0.1462"), (60, "0.06385")]
)  # 0.25 times the cube root of a minute's part, four digits of it
def test_the_share_of_a_longer_candle_is_smaller(minutes: int, share: str) -> None:
    assert depth_share(Decimal("0.25"), minutes * 60_000) == Decimal(share)


def test_a_stop_outside_any_candle_fills_at_the_price() -> None:
    assert stop_price(Side.SELL, Decimal(100), None, Decimal("0.25")) == 100


def test_what_is_shipped_fits_a_fast_fall() -> None:
    symbols = {name: SymbolSettings() for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")}
    settings = Settings(version=1, symbols=symbols)
    assert fall_loss_pct(settings) == Decimal("2.7")
    assert fall_loss_pct(settings) <= settings.limits.daily_loss_pct <= settings.limits.weekly_loss_pct


def test_the_page_has_the_figures_of_the_shipped_candles() -> None:
    """Drawn with `python -m benchmarks.fill_model` on the folder of the shipped candles."""
    text = DOC.read_text()
    for line in page(measured(CandleFolders([shipped_folder()]), BOTH)):
        assert line in text
    assert f"{FALL_R} R" in text
