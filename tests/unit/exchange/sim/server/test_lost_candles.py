"""Faults that lose candles from answers: missing, contradictory, illegible, without a price."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance import codec_market

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
NOW_MS = 1_735_689_600_000 + 48 * HOUR_MS
FROM_MS = NOW_MS - 5 * HOUR_MS
"""When the first of the two lost hours opens."""


async def lose(bench: Any, how: str) -> None:
    lost = {"from_ms": FROM_MS, "until_ms": FROM_MS + 2 * HOUR_MS, "how": how}
    await bench.fault(match={"path": "/fapi/v1/klines", "symbol": "BTCUSDT"}, effect={"candles": lost})


async def candles(bench: Any, interval: str = "1h") -> dict[int, object]:
    """By open time, as the client reads them: None is a row that cannot be."""
    rows = await bench.get("/fapi/v1/klines", symbol="BTCUSDT", interval=interval, limit=8)
    return {row.open_time_ms: row.candle for row in codec_market.candle_rows(rows)}


async def test_candles_that_are_missing(bench: Any) -> None:
    before = await candles(bench)
    await lose(bench, "missing")
    after = await candles(bench)
    assert set(before) - set(after) == {FROM_MS, FROM_MS + HOUR_MS}
    assert all(before[at_ms] == candle for at_ms, candle in after.items())


@pytest.mark.parametrize("how", ["contradictory", "illegible", "zero"])
async def test_candles_that_cannot_be_true(bench: Any, how: str) -> None:
    before = await candles(bench)
    await lose(bench, how)
    after = await candles(bench)
    assert set(before) == set(after)
    assert {at_ms for at_ms, candle in after.items() if candle is None} == {FROM_MS, FROM_MS + HOUR_MS}


async def test_a_long_candle_with_two_lost_hours_is_there(bench: Any) -> None:
    before = await candles(bench, "4h")
    await lose(bench, "missing")
    assert await candles(bench, "4h") == before


async def test_a_span_that_ends_before_it_begins_is_refused(bench: Any) -> None:
    rule = {"effect": {"candles": {"from_ms": 2, "until_ms": 1}}}
    answer = await bench.http.post("/sim/v1/faults", json=rule)
    assert answer.status_code == 422
    assert "from_ms must be before until_ms" in answer.text
