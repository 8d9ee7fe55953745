"""What the simulated exchange tells of its symbols can change: gone, illegible, without brackets, other rules."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance import codec_market

pytestmark = pytest.mark.anyio
INFO = "/fapi/v1/exchangeInfo"


async def listed(bench: Any) -> tuple[bool, bool]:
    """Whether the bot's own reading of exchangeInfo knows BTCUSDT, and whether it was named as illegible."""
    info = codec_market.exchange_info(await bench.call("GET", INFO))
    return "BTCUSDT" in info.filters, "BTCUSDT" in info.skipped


async def test_r63_a_symbol_may_be_gone_or_illegible_and_come_back(bench: Any) -> None:
    assert await listed(bench) == (True, False)
    await bench.sim("POST", "account", action="listing", symbol="BTCUSDT", how="unreadable")
    assert await listed(bench) == (False, True)
    await bench.sim("POST", "account", action="listing", symbol="BTCUSDT", how="gone")
    assert await listed(bench) == (False, False)
    answer = await bench.call("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
    assert answer["code"] == -1121
    await bench.sim("POST", "account", action="listing", symbol="BTCUSDT", how="listed")
    assert await listed(bench) == (True, False)


async def test_r65_rules_may_change(bench: Any) -> None:
    filters = {"PRICE_FILTER": {"tickSize": "5"}}
    await bench.sim("POST", "account", action="rules", symbol="BTCUSDT", filters=filters, status="PRE_SETTLE")
    found = codec_market.exchange_info(await bench.call("GET", INFO)).filters["BTCUSDT"]
    assert (str(found.tick_size), found.status) == ("5", "PRE_SETTLE")
    assert bench.emulator.state.filters["BTCUSDT"] == found


async def test_r68_a_settlement_closes_the_position_under_its_own_name(bench: Any) -> None:
    await bench.order("BUY", "0.01")
    await bench.sim("POST", "account", action="settle", symbol="BTCUSDT")
    account = await bench.sim("GET", "account")
    assert not [row for row in account["positions"] if float(row["quantity"])]
    last = bench.emulator.state.orders.get(bench.emulator.state.fills[-1].order_id)
    assert last.client_id.startswith("settlement_autoclose-")
