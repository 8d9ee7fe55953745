"""Balances, positions, income and settings over REST."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.binance import codec_account, codec_market

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000


async def test_flat_is_an_empty_list_and_a_position_has_one_row(bench: Any) -> None:
    assert await bench.call("GET", "/fapi/v3/positionRisk") == []
    await bench.call("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    await bench.call("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)
    await bench.order("SELL", "0.1")
    (row,) = await bench.call("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT")
    assert (row["positionAmt"], row["entryPrice"], row["notional"]) == ("-0.1", "59988", "-6000.00000000")
    assert (row["isolatedWallet"], row["unRealizedProfit"]) == ("599.88000000", "-1.20000000")
    assert row["isolatedMargin"] == "598.68000000"
    assert Decimal(row["liquidationPrice"]) > 65_000
    assert "leverage" not in row
    old = (await bench.call("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT"))[0]
    assert (old["leverage"], old["marginType"], old["isAutoAddMargin"]) == ("10", "isolated", "false")


async def test_a_resting_order_alone_gives_a_row_with_nothing_in_it(bench: Any) -> None:
    await bench.order("BUY", "0.01", type="LIMIT", price="59000", timeInForce="GTC")
    (row,) = await bench.call("GET", "/fapi/v3/positionRisk")
    assert (row["positionAmt"], row["openOrderInitialMargin"], row["bidNotional"]) == (
        "0",
        "29.50000000",
        "590.00000000",
    )


async def test_the_account_adds_up(bench: Any) -> None:
    await bench.order("BUY", "0.1")
    account = await bench.call("GET", "/fapi/v3/account")
    read = codec_account.account(account, at_ms=0)
    assert read.wallet_balance == Decimal("9996.9994")
    assert read.unrealized_pnl == Decimal("-1.2")
    assert account["totalMarginBalance"] == "9995.79940000"
    assert account["totalPositionInitialMargin"] == "300.00000000"
    assert read.available_balance == Decimal("9695.7994")
    assert [row["symbol"] for row in account["positions"]] == ["BTCUSDT"]
    for version in (2, 3):
        (balance,) = await bench.call("GET", f"/fapi/v{version}/balance")
        assert (balance["balance"], balance["crossUnPnl"]) == ("9996.99940000", "-1.20000000")
    old = await bench.call("GET", "/fapi/v2/account")
    assert (old["canTrade"], old["positions"][0]["leverage"], old["positions"][0]["isolated"]) == (True, "20", False)


async def test_income_has_every_change_of_the_wallet(make_bench: Any) -> None:
    funded_ms = 1_735_689_600_000 + 56 * HOUR_MS
    bench = make_bench(rates={funded_ms: 0.0001})
    await bench.order("BUY", "0.1")
    await bench.advance(8 * HOUR_MS)
    await bench.order("SELL", "0.1", reduceOnly="true")
    rows = await bench.call("GET", "/fapi/v1/income")
    assert [row["incomeType"] for row in rows] == ["COMMISSION", "FUNDING_FEE", "REALIZED_PNL", "COMMISSION"]
    wallet = Decimal((await bench.call("GET", "/fapi/v3/account"))["totalWalletBalance"])
    assert wallet == 10_000 + sum(Decimal(row["income"]) for row in rows)
    (funding,) = await bench.call("GET", "/fapi/v1/income", incomeType="FUNDING_FEE", symbol="BTCUSDT")
    assert (funding["income"], funding["time"]) == ("-0.60000000", funded_ms)
    assert len(await bench.call("GET", "/fapi/v1/income", startTime=funded_ms, limit=1)) == 1


async def test_settings_are_written_once_and_said_to_be_so_the_second_time(bench: Any) -> None:
    symbol = {"symbol": "BTCUSDT"}
    assert await bench.call("POST", "/fapi/v1/leverage", **symbol, leverage=10) == {
        "leverage": 10,
        "maxNotionalValue": "230000000",
        "symbol": "BTCUSDT",
    }
    assert (await bench.call("POST", "/fapi/v1/marginType", **symbol, marginType="ISOLATED"))["code"] == 200
    assert (await bench.call("POST", "/fapi/v1/marginType", **symbol, marginType="ISOLATED"))["code"] == -4046
    config = codec_account.symbol_config(await bench.call("GET", "/fapi/v1/symbolConfig", **symbol), "BTCUSDT")
    assert (config.leverage, config.margin_type) == (10, "ISOLATED")


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("leverage", {"symbol": "BTCUSDT", "leverage": 151}, -4028),
        ("leverage", {"symbol": "BTCUSDT"}, -1102),
        ("marginType", {"symbol": "BTCUSDT", "marginType": "isolated"}, -4044),
        ("positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("positionSide/dual", {"dualSidePosition": "true"}, -1016),
        ("multiAssetsMargin", {"multiAssetsMargin": "false"}, -4171),
        ("multiAssetsMargin", {"multiAssetsMargin": "true"}, -1016),
        ("positionMargin", {"symbol": "BTCUSDT", "amount": "1", "type": 1}, -1016),
    ],
)
async def test_what_cannot_be_set_is_refused_clearly(bench: Any, path: str, params: Any, code: int) -> None:
    answer = await bench.call("POST", f"/fapi/v1/{path}", **params)
    assert answer["code"] == code
    assert ("not modelled" in answer["msg"]) is (code == -1016)


async def test_the_account_is_one_way_and_single_asset(bench: Any) -> None:
    config = codec_account.account_modes(await bench.call("GET", "/fapi/v1/accountConfig"))
    assert (config.hedge, config.can_trade, config.multi_assets) == (False, True, False)
    assert await bench.call("GET", "/fapi/v1/positionSide/dual") == {"dualSidePosition": False}
    assert await bench.call("GET", "/fapi/v1/multiAssetsMargin") == {"multiAssetsMargin": False}


async def test_brackets_fees_and_limits_read_as_they_are(bench: Any) -> None:
    brackets = codec_market.brackets(await bench.call("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT"), "BTCUSDT")
    assert brackets == bench.emulator.state.brackets["BTCUSDT"]
    rates = codec_market.commission_rates(await bench.call("GET", "/fapi/v1/commissionRate", symbol="BTCUSDT"))
    assert rates == (Decimal("0.0002"), Decimal("0.0005"))
    assert [row["limit"] for row in await bench.call("GET", "/fapi/v1/rateLimit/order")] == [300, 1200]
    assert (await bench.call("GET", "/fapi/v1/apiTradingStatus"))["indicators"] == {}


async def test_an_account_has_one_listen_key_that_can_be_extended_and_closed(bench: Any) -> None:
    async def ask(method: str) -> Any:
        return (await bench.http.request(method, "/fapi/v1/listenKey", headers=bench.key)).json()

    assert (await ask("PUT"))["code"] == -1125
    key = (await ask("POST"))["listenKey"]
    assert (len(key), (await ask("POST"))["listenKey"], (await ask("PUT"))["listenKey"]) == (64, key, key)
    assert await ask("DELETE") == {}
    assert (await ask("PUT"))["code"] == -1125
    assert (await ask("POST"))["listenKey"] != key
    assert (await bench.http.post("/fapi/v1/listenKey")).json()["code"] == -2014
