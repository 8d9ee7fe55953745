"""The third party to the contract: recorded payloads. What the simulator sends has their fields, of their types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.binance import codec_account, codec_market, codec_orders
from exchange.binance.endpoints import Security
from exchange.binance.signing import query, signed
from exchange.types import Side
from tests.contract.grounds import BTC, OverHttp, cleared
from tests.contract.requests import limit, market, stop

pytestmark = pytest.mark.anyio
RECORDED = Path(__file__).parents[1] / "data" / "binance"
Reader = Callable[[Any], object]

# recorded file, where the simulator says the same, and the codec that reads both
CASES: list[tuple[str, str, dict[str, str], Security, Reader]] = [
    ("exchange_info", "/fapi/v1/exchangeInfo", {}, Security.NONE, codec_market.exchange_info),
    ("http_futures_market_premium_index", "/fapi/v1/premiumIndex", {}, Security.NONE, codec_market.mark_price),
    ("http_futures_market_ticker_price", "/fapi/v2/ticker/price", {}, Security.NONE, codec_market.last_price),
    ("http_futures_market_klines", "/fapi/v1/klines", {"interval": "1h"}, Security.NONE, codec_market.candle_rows),
    ("position_risk", "/fapi/v3/positionRisk", {}, Security.SIGNED, codec_account.positions),
    ("open_algo_orders", "/fapi/v1/openAlgoOrders", {}, Security.SIGNED, codec_orders.algo_orders),
    ("http_futures_account_trades", "/fapi/v1/userTrades", {}, Security.SIGNED, codec_account.fills),
    ("http_futures_account_symbol_config", "/fapi/v1/symbolConfig", {}, Security.SIGNED,
     lambda payload: codec_account.symbol_config(payload, payload[0]["symbol"])),
    ("leverage_bracket", "/fapi/v1/leverageBracket", {}, Security.SIGNED,
     lambda payload: codec_market.brackets(payload, payload[0]["symbol"])),
]  # fmt: skip
NOT_ANY_MORE = {
    # recorded from v2; GET /fapi/v3/positionRisk has them no more, they are in symbolConfig (checked 2026-11)
    "position_risk": {"leverage", "marginType", "isAutoAddMargin", "maxNotionalValue"},
    # an older name of orderType (POST /fapi/v1/algoOrder, checked 2026-11)
    "open_algo_orders": {"type"},
}


def _row(payload: Any) -> Any:
    """The first row of a list; of exchangeInfo the first symbol."""
    if isinstance(payload, dict) and "symbols" in payload:
        return payload["symbols"][0]
    return payload[0] if isinstance(payload, list) else payload


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.fixture
async def told(simulator: Any) -> Any:
    """Asks the simulator as it is; the account holds a position, a limit order and a stop."""
    async with cleared(simulator) as ground:
        await ground.exchange.place_order(market(Side.BUY, "0.010"))
        await ground.exchange.place_order(limit(Side.BUY, "0.010", "59000"))
        await ground.exchange.place_algo(stop(Side.SELL, "58000"))
        yield lambda path, params, security: _asked(ground, path, params, security)


async def _asked(ground: OverHttp, path: str, params: dict[str, str], security: Security) -> Any:
    given = {"symbol": BTC, **params}
    headers = {}
    if security is Security.SIGNED:
        payload = query({**given, "timestamp": str(await ground.now_ms())})
        path = f"{path}?{signed(payload, ground.credentials.api_secret)}"
        headers["X-MBX-APIKEY"] = ground.credentials.api_key.reveal()
    else:
        path = f"{path}?{query(given)}"
    answer = await ground.control.get(path, headers=headers)
    return answer.raise_for_status().json()


@pytest.mark.parametrize(("name", "path", "params", "security", "read"), CASES, ids=[case[0] for case in CASES])
async def test_the_simulator_says_what_was_recorded(
    told: Any, name: str, path: str, params: dict[str, str], security: Security, read: Reader
) -> None:
    recorded = json.loads((RECORDED / f"{name}.json").read_bytes())
    simulated = await told(path, params, security)
    assert type(read(recorded)) is type(read(simulated))
    there, here = _row(recorded), _row(simulated)
    if isinstance(there, list):
        assert [_kind(value) for value in here] == [_kind(value) for value in there]
        return
    missing = {field for field in there if field not in here} - NOT_ANY_MORE.get(name, set())
    assert missing == set()
    different = {
        field: (there[field], here[field])
        for field in there
        if field in here and None not in (there[field], here[field]) and _kind(there[field]) != _kind(here[field])
    }
    assert different == {}
