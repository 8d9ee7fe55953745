"""Candles for the tests of the indicators: a deterministic walk, real history where it is at hand, small builders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from indicators.candle import Candle, Timeframe
from indicators.catalog import resolve
from indicators.series import Series

KLINES = Path(__file__).parents[4] / "shared" / "data" / "klines"
MONDAY_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC

Values = Callable[..., list[float | None]]


def _walk(count: int) -> list[Candle]:
    """A walk in whole ticks, the same on every machine: with flat candles, silence, equal highs, jumps and calm."""
    state, price, candles = 2026, 250_000, []

    def draw(below: int) -> int:
        nonlocal state
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (state >> 33) % below

    for index in range(count):
        kind = draw(100)
        reach = 20 if (index // 170) % 3 == 0 else 900
        opened = max(price + (draw(2 * reach) - reach if kind >= 90 else 0), 10_000)
        closed = opened if kind < 6 else max(opened + draw(2 * reach + 1) - reach, 10_000)
        high = max(opened, closed) + (0 if kind < 3 else draw(reach))
        low = min(opened, closed) - (0 if kind < 3 else draw(reach))
        volume = 0 if kind < 2 else draw(5_000_000)
        price = closed
        numbers = (opened / 100, high / 100, low / 100, closed / 100, volume / 1000)
        candles.append(Candle(MONDAY_MS + index * Timeframe.H1.ms, *numbers))
    return candles


@pytest.fixture(scope="session")
def walk() -> Series:
    return Series.from_candles("WALKUSDT", Timeframe.H1, _walk(4_000))


def read_klines(path: Path, symbol: str, timeframe: Timeframe) -> Series:
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return Series(
        symbol=symbol,
        timeframe=timeframe,
        open_time_ms=table[:, 0].astype(np.int64),
        open=table[:, 1],
        high=table[:, 2],
        low=table[:, 3],
        close=table[:, 4],
        volume=table[:, 5],
    )


@pytest.fixture(scope="session")
def klines() -> Callable[[str, str], Series]:
    """Real candles by folder and symbol, e.g. ("sample", "BTCUSDT"); skips the test where they are not at hand."""

    def load(name: str, interval: str = "1h", folder: str = ".") -> Series:
        path = KLINES / folder / f"{name}-{interval}.csv.gz"
        if not path.exists():
            pytest.skip(f"no real candles at {path}")
        return read_klines(path, name, Timeframe(interval))

    return load


@pytest.fixture(scope="session", params=["walk", "BTCUSDT", "DOGEUSDT"])
def history(request: pytest.FixtureRequest, walk: Series, klines: Callable[..., Series]) -> Series:
    """The walk, and the first 6,000 real candles of a dear and of a cheap coin."""
    if request.param == "walk":
        return walk
    return klines(request.param).until(6_000)


def _candles(rows: Sequence[Sequence[float]]) -> list[Candle]:
    return [Candle(MONDAY_MS + index * Timeframe.H1.ms, *row) for index, row in enumerate(rows)]


@pytest.fixture(scope="session")
def values() -> Values:
    """Values of an indicator over rows of (open, high, low, close[, volume]) or plain closes, from both its forms."""

    def run(name: str, rows: Sequence[Sequence[float] | float], **params: float) -> list[float | None]:
        full = [row if isinstance(row, Sequence) else (row, row, row, row) for row in rows]
        candles = _candles([(*row, 1.0) if len(row) == 4 else row for row in full])
        indicator = resolve(name, params)
        stream = indicator.stream()
        streamed = [stream.update(candle) for candle in candles]
        batch = indicator.batch(Series.from_candles("TESTUSDT", Timeframe.H1, candles)).tolist()
        assert streamed == [None if value != value else value for value in batch]
        return streamed

    return run
