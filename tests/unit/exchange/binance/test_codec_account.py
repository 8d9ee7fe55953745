"""Account data: balances, positions in both spellings, settings, fills and income."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.binance import codec_account
from exchange.errors import MalformedReply
from exchange.types import MarginType, Side

POSITION: dict[str, Any] = {  # v3
    "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.010", "entryPrice": "60000.0",
    "breakEvenPrice": "60030.0", "markPrice": "60250.10000000", "unRealizedProfit": "2.50100000",
    "liquidationPrice": "54216.8", "isolatedMargin": "62.50100000", "notional": "602.50100000", "marginAsset": "USDT",
    "isolatedWallet": "60.00000000", "adl": 2, "updateTime": 1764000000000,
}  # fmt: skip


def test_a_v3_position_is_read() -> None:
    [row] = codec_account.positions([POSITION])
    position = row.position
    assert (position.quantity, position.entry_price) == (Decimal("0.010"), Decimal("60000.0"))
    assert (position.unrealized_pnl, position.isolated_wallet) == (Decimal("2.50100000"), Decimal("60.00000000"))
    assert (position.liquidation_price, row.position_side) == (Decimal("54216.8"), "BOTH")


def test_a_v2_position_has_other_fields_and_gives_the_same_facts(own_payloads: Path) -> None:
    rows = codec_account.positions(
        json.loads((own_payloads / "http_futures_account_positions_hedge.json").read_bytes())
    )
    assert [(row.position_side, row.position.quantity) for row in rows] == [
        ("LONG", Decimal("20.000")),
        ("SHORT", Decimal("-10.000")),
    ]
    assert rows[0].position.isolated_wallet == Decimal("15517.54150468") - Decimal("2316.83423560")


def test_the_small_r_of_account_positions_is_understood_too() -> None:
    source = {k: v for k, v in POSITION.items() if k != "unRealizedProfit"}
    [row] = codec_account.positions([{**source, "unrealizedProfit": "3"}])
    assert row.position.unrealized_pnl == 3


@pytest.mark.parametrize("value", ["0", "0.0", "", None, "-5"])
def test_no_liquidation_price_is_none(value: object) -> None:
    [row] = codec_account.positions([{**POSITION, "liquidationPrice": value}])
    assert row.position.liquidation_price is None


def test_how_much_is_held_is_essential_and_its_prices_are_not() -> None:
    [row] = codec_account.positions(
        [{"symbol": "BTCUSDT", "positionAmt": "-0.010", "entryPrice": "", "markPrice": None}]
    )
    assert (row.position.quantity, row.position.entry_price, row.position.mark_price) == (Decimal("-0.010"), 0, 0)
    with pytest.raises(MalformedReply, match="positionAmt"):
        codec_account.positions([{**POSITION, "positionAmt": ""}])


def test_one_position_may_come_as_an_object() -> None:
    """Every stop had been closed at its deadline, since no look could be read."""
    assert codec_account.positions(POSITION) == codec_account.positions([POSITION])
    with pytest.raises(MalformedReply):
        codec_account.positions({"rows": [POSITION]})


def test_as_many_positions_come_out_as_went_in() -> None:
    assert codec_account.positions([]) == []
    with pytest.raises(MalformedReply):
        codec_account.positions([POSITION, {"symbol": "ETHUSDT"}])


def test_equity_is_wallet_plus_unrealized_of_the_usdt_row() -> None:
    payload = {
        "totalWalletBalance": "999",
        "assets": [
            {"asset": "BNB", "walletBalance": "7", "unrealizedProfit": "0", "availableBalance": "7"},
            {"asset": "USDT", "walletBalance": "1000.5", "unrealizedProfit": "-2.25", "availableBalance": "880.1"},
        ],
    }
    account = codec_account.account(payload, at_ms=5)
    assert (account.wallet_balance, account.equity, account.available_balance) == (
        Decimal("1000.5"),
        Decimal("998.25"),
        Decimal("880.1"),
    )
    assert account.update_time_ms == 5


def test_a_fresh_account_without_usdt_has_nothing() -> None:
    assert codec_account.account({"assets": []}, at_ms=1).equity == 0


@pytest.mark.parametrize("name", ["walletBalance", "unrealizedProfit", "availableBalance"])
def test_a_balance_that_cannot_be_read_is_never_taken_as_zero(name: str) -> None:
    row = {"asset": "USDT", "walletBalance": "1", "unrealizedProfit": "0", "availableBalance": "1", name: None}
    with pytest.raises(MalformedReply, match=name):
        codec_account.account({"assets": [row]}, at_ms=1)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("ISOLATED", MarginType.ISOLATED),
        ("isolated", MarginType.ISOLATED),
        ("CROSSED", MarginType.CROSSED),
        ("cross", MarginType.CROSSED),
    ],
)
def test_all_spellings_of_the_margin_type_are_known(spelling: str, expected: MarginType) -> None:
    payload = [{"symbol": "BTCUSDT", "marginType": spelling, "leverage": "10"}]
    config = codec_account.symbol_config(payload, "BTCUSDT")
    assert (config.margin_type, config.leverage) == (expected, 10)


def test_the_settings_of_the_right_symbol_are_taken_from_a_list(own_payloads: Path) -> None:
    payload = json.loads((own_payloads / "http_futures_account_symbol_config.json").read_bytes())
    assert codec_account.symbol_config(payload, "BTCUSDT").leverage == 25
    assert codec_account.symbol_config(payload, "ETHUSDT").margin_type is MarginType.CROSSED
    with pytest.raises(MalformedReply, match="not in the answer"):
        codec_account.symbol_config(payload, "SOLUSDT")


def test_an_unknown_margin_type_is_malformed() -> None:
    with pytest.raises(MalformedReply, match="PORTFOLIO"):
        codec_account.symbol_config({"symbol": "B", "marginType": "PORTFOLIO", "leverage": 1}, "B")


def test_the_position_mode_is_essential() -> None:
    assert codec_account.account_modes({"dualSidePosition": "true", "canTrade": False}).hedge
    with pytest.raises(MalformedReply, match="dualSidePosition"):
        codec_account.account_modes({"canTrade": True})


def test_fills_keep_the_sign_of_commission_and_the_order_they_belong_to(own_payloads: Path) -> None:
    first, second = codec_account.fills(json.loads((own_payloads / "http_futures_account_trades.json").read_bytes()))
    assert (first.fill_id, first.order_id, first.side) == (82357626, 831238666, Side.SELL)
    assert (second.realized_pnl, second.commission) == (Decimal("-0.00325000"), Decimal("0.00555800"))


def test_income_keeps_types_that_are_new_and_ids_that_are_text() -> None:
    rows = [
        {"incomeType": "INVENTED_2027", "income": "-0.0123", "asset": "USDT", "time": 1, "tranId": "9", "tradeId": 7},
        {"symbol": "BTCUSDT", "incomeType": "TRANSFER", "income": 5, "time": "2", "tranId": 10},
    ]  # fmt: skip
    first, second = codec_account.income(rows)
    assert (first.income_type, first.transaction_id, first.trade_id) == ("INVENTED_2027", 9, "7")
    assert (second.income, second.asset, second.trade_id) == (Decimal(5), "", "")


def test_a_listen_key_may_have_every_letter_that_an_address_carries_as_it_is() -> None:
    """Seen: a key with hyphens was thrown away, and the bot never heard of its fills (R31)."""
    for key in ("pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1", "0b9c-4e51_a.b~c", "x" * 128):
        assert codec_account.listen_key({"listenKey": key}) == key


@pytest.mark.parametrize(
    "payload", [{}, {"listenKey": ""}, {"listenKey": 5}, {"listenKey": "a b"}, {"listenKey": "a&b=c"}]
)
def test_a_listen_key_that_does_not_fit_an_address_is_malformed_and_not_shown(payload: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply) as caught:
        codec_account.listen_key(payload)
    assert "a b" not in str(caught.value)
