"""Settings are read first, written only if different, and believed only when read back (R44)."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.types import Confirmed, MarginType, Refused, Unknown

pytestmark = pytest.mark.anyio
CONFIG, LEVERAGE, MARGIN = "GET /fapi/v1/symbolConfig", "POST /fapi/v1/leverage", "POST /fapi/v1/marginType"
BALANCES = "GET /fapi/v3/account"
ACCOUNT, MODE = "GET /fapi/v1/accountConfig", "POST /fapi/v1/positionSide/dual"
DONE = {"code": 200, "msg": "success"}


def _config(leverage: int, margin_type: str = "ISOLATED") -> list[dict[str, Any]]:
    return [{"symbol": "BTCUSDT", "marginType": margin_type, "leverage": leverage}]


async def test_r44_what_is_already_so_is_not_written(exchange: Any, client: BinanceClient) -> None:
    exchange.on(CONFIG, _config(2))
    assert await client.ensure_leverage("BTCUSDT", 2) == Confirmed()
    assert await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED) == Confirmed()
    assert exchange.names() == [CONFIG, CONFIG]


async def test_a_different_setting_is_written_and_read_back(exchange: Any, client: BinanceClient) -> None:
    exchange.on(CONFIG, _config(20), _config(2))
    exchange.on(LEVERAGE, {"leverage": 2, "maxNotionalValue": "1", "symbol": "BTCUSDT"})
    assert await client.ensure_leverage("BTCUSDT", 2) == Confirmed()
    assert exchange.names() == [CONFIG, LEVERAGE, CONFIG]
    assert exchange.calls(LEVERAGE)[0].params["leverage"] == "2"


async def test_minus_4046_means_somebody_did_it_meanwhile(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(CONFIG, _config(2, "CROSSED"), _config(2, "ISOLATED"))
    exchange.on(MARGIN, answer({"code": -4046, "msg": "No need to change margin type."}, status=400))
    assert await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED) == Confirmed()


@pytest.mark.parametrize("code", [-4047, -4048, -4067])
async def test_a_refusal_is_told_with_its_code(exchange: Any, client: BinanceClient, answer: Any, code: int) -> None:
    exchange.on(CONFIG, _config(2, "CROSSED"))
    exchange.on(MARGIN, answer({"code": code, "msg": "no"}, status=400))
    outcome = await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED)
    assert isinstance(outcome, Refused)
    assert outcome.code == code


async def test_r44_a_refusal_of_something_that_holds_anyway_is_no_refusal(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(CONFIG, _config(2, "CROSSED"), _config(2, "ISOLATED"))
    exchange.on(MARGIN, answer({"code": -4067, "msg": "open orders"}, status=400))
    assert await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED) == Confirmed()


async def test_an_unknown_write_is_settled_by_reading(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(CONFIG, _config(20), _config(2))
    exchange.on(LEVERAGE, answer(b"", status=502))
    assert await client.ensure_leverage("BTCUSDT", 2) == Confirmed()
    exchange.on(CONFIG, _config(20))
    assert isinstance(await client.ensure_leverage("BTCUSDT", 2), Unknown)


async def test_a_success_that_changed_nothing_is_not_believed(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(CONFIG, _config(20))
    exchange.on(LEVERAGE, {"leverage": 2, "symbol": "BTCUSDT"})
    outcome = await client.ensure_leverage("BTCUSDT", 2)
    assert isinstance(outcome, Unknown)
    assert "old setting" in outcome.reason
    exchange.on(CONFIG, _config(20), answer(b"garbage"))
    assert isinstance(await client.ensure_leverage("BTCUSDT", 2), Unknown)


async def test_a_setting_that_cannot_be_read_is_not_written(exchange: Any, client: BinanceClient, answer: Any) -> None:
    exchange.on(CONFIG, answer(b"", status=502))
    assert isinstance(await client.ensure_leverage("BTCUSDT", 2), Unknown)
    exchange.on(CONFIG, answer({"code": -2015, "msg": "no"}, status=401))
    assert isinstance(await client.ensure_leverage("BTCUSDT", 2), Refused)
    assert exchange.calls(LEVERAGE) == []


async def test_position_mode_is_made_one_way(exchange: Any, client: BinanceClient, answer: Any) -> None:
    hedge, one_way = {"dualSidePosition": True, "canTrade": True}, {"dualSidePosition": False, "canTrade": True}
    exchange.on(ACCOUNT, hedge, one_way)
    exchange.on(MODE, DONE)
    assert await client.ensure_one_way() == Confirmed()
    assert exchange.calls(MODE)[0].params["dualSidePosition"] == "false"
    exchange.on(BALANCES, {"assets": []})
    assert not (await client.account_modes()).hedge
    exchange.on(ACCOUNT, hedge, one_way)
    exchange.on(MODE, answer({"code": -4059, "msg": "No need to change position side."}, status=400))
    assert await client.ensure_one_way() == Confirmed()
    exchange.on(ACCOUNT, hedge)
    exchange.on(MODE, answer({"code": -4068, "msg": "position"}, status=400))
    assert isinstance(await client.ensure_one_way(), Refused)
    assert (await client.account_modes()).unsupported == ("hedge mode",)
    assert (await client.account_modes()).can_trade


async def test_modes_that_are_not_supported_have_their_names(exchange: Any, client: BinanceClient, answer: Any) -> None:
    """R67: multi-assets, credits, portfolio margin."""
    exchange.on(ACCOUNT, {"dualSidePosition": False, "multiAssetsMargin": True})
    exchange.on(BALANCES, {"assets": [{"asset": "BNFCR", "walletBalance": "12.5"}]})
    assert (await client.account_modes()).unsupported == ("multi-assets mode", "credits trading mode (BNFCR)")
    exchange.on(ACCOUNT, answer({"code": -2015, "msg": "Not allowed for Portfolio Margin accounts."}, status=400))
    assert (await client.account_modes()).unsupported == ("portfolio margin",)


@pytest.mark.parametrize("missing", [(b"<html>404</html>", 404), ({"code": -1099, "msg": "Not found"}, 404)])
async def test_where_account_config_is_not_served_the_modes_are_asked_one_by_one(
    exchange: Any, client: BinanceClient, answer: Any, missing: tuple[Any, int]
) -> None:
    """Seen: an exchange without that call was never started on; each mode has a call of its own (R67)."""
    exchange.on(ACCOUNT, answer(missing[0], status=missing[1]))
    exchange.on(BALANCES, {"assets": []})
    exchange.on("GET /fapi/v1/positionSide/dual", {"dualSidePosition": False})
    exchange.on("GET /fapi/v1/multiAssetsMargin", {"multiAssetsMargin": True})
    assert (await client.account_modes()).unsupported == ("multi-assets mode",)
    exchange.on("GET /fapi/v1/positionSide/dual", {"dualSidePosition": True})
    exchange.on("GET /fapi/v1/multiAssetsMargin", answer(missing[0], status=missing[1]))
    assert (await client.account_modes()).unsupported == ("hedge mode",)


async def test_where_symbol_config_is_not_served_the_older_position_risk_tells_the_same(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    """Seen: every entry was given up before it left, because one of two calls that tell the leverage was missing."""
    exchange.on(CONFIG, answer(b"<html>404</html>", status=404))
    row = {"symbol": "BTCUSDT", "positionAmt": "0", "leverage": "2", "marginType": "isolated"}
    exchange.on("GET /fapi/v2/positionRisk", [row])
    assert await client.ensure_leverage("BTCUSDT", 2) == Confirmed()
    assert await client.ensure_margin_type("BTCUSDT", MarginType.ISOLATED) == Confirmed()
    exchange.on(CONFIG, answer({"code": -2015, "msg": "no"}, status=401))
    assert isinstance(await client.ensure_leverage("BTCUSDT", 2), Refused)
