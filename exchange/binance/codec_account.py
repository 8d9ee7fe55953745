"""Understands Binance's account data: balances, positions, configuration, executions and the income ledger.

Endpoints as checked 2026-11: GET /fapi/v3/account, /fapi/v3/positionRisk, /fapi/v1/symbolConfig,
/fapi/v1/accountConfig, /fapi/v1/userTrades, /fapi/v1/income, POST /fapi/v1/listenKey.
"""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from exchange.binance import fields
from exchange.binance.fields import OnUnreadable, Row
from exchange.errors import MalformedReply
from exchange.types import Account, AccountModes, Fill, Income, KeyPermissions, MarginType, Position, Side, SymbolConfig

CREDITS = "BNFCR"
LEGS = {Side.BUY: "LONG", Side.SELL: "SHORT"}
"""The leg that an entry of this side opens in hedge mode."""

_ZERO = Decimal(0)
_LISTEN_KEY = re.compile(r"[A-Za-z0-9._~-]{1,256}", re.ASCII)  # what an address carries as it is
_MARGIN_TYPES = {
    # ISOLATED/CROSSED in symbolConfig and MARGIN_CALL, isolated/cross in v2 and ACCOUNT_UPDATE (checked 2026-11)
    "ISOLATED": MarginType.ISOLATED,
    "CROSSED": MarginType.CROSSED,
    "CROSS": MarginType.CROSSED,
}


class PositionRow(msgspec.Struct, frozen=True):
    """A position and the side it is booked under: BOTH in one-way mode, LONG or SHORT in hedge mode."""

    position: Position
    position_side: str


def side_of(source: Row, name: str, what: str) -> Side:
    """Which way an order or a fill goes is always essential."""
    value = fields.text(source, name, what)
    if value not in Side._value2member_map_:
        raise MalformedReply(f"{what}: {name} is {value[:20]!r}, neither BUY nor SELL")
    return Side(value)


def account(payload: object, *, at_ms: int) -> Account:
    """The USDT side of GET /fapi/v3/account. ``at_ms`` is when the answer was true.

    The row's own updateTime is the last *change*, possibly days ago; an account that never held USDT has no row.
    """
    what = "GET /fapi/v3/account"
    for source in fields.rows(fields.row(payload, what).get("assets"), what):
        if source.get("asset") == "USDT":
            wallet = fields.number(source, "walletBalance", what)
            unrealized = fields.number(source, "unrealizedProfit", what)
            return Account(
                wallet_balance=wallet,
                unrealized_pnl=unrealized,
                equity=wallet + unrealized,
                available_balance=fields.number(source, "availableBalance", what),
                update_time_ms=at_ms,
            )
    return Account(
        wallet_balance=_ZERO, unrealized_pnl=_ZERO, equity=_ZERO, available_balance=_ZERO, update_time_ms=at_ms
    )


def positions(payload: object, on_unreadable: OnUnreadable | None = None) -> list[PositionRow]:
    """GET /fapi/v3/positionRisk, and v2's older spelling: as many rows out as came in, or told of (R27). Asked for one
    symbol it may be told as an object."""
    payload = [payload] if isinstance(payload, dict) else payload
    return fields.readable(payload, "GET /fapi/v3/positionRisk", _position, on_unreadable)


def leg_of(rows: list[PositionRow], symbol: str, side: Side | None) -> Position | None:
    """The symbol's position. In an account that was switched to hedge mode it may be a leg: that of the entry's side,
    or the only one; two legs without a side are an error, never one of them silently (R27)."""
    own = [row for row in rows if row.position.symbol == symbol]
    both = next((row.position for row in own if row.position_side == "BOTH"), None)
    legs = [row for row in own if row.position_side != "BOTH" and row.position.quantity]
    if (both is not None and both.quantity) or not legs:
        return both
    if side is not None:
        return next((leg.position for leg in legs if leg.position_side == LEGS[side]), both)
    if len(legs) > 1:
        raise MalformedReply(
            f"positionRisk {symbol}: {len(legs)} hedge-mode legs are open; close them and set one-way mode"
        )
    return legs[0].position


def symbol_config(payload: object, symbol: str) -> SymbolConfig:
    """GET /fapi/v1/symbolConfig, where leverage and margin type live since v3 of positionRisk."""
    what = f"GET /fapi/v1/symbolConfig {symbol}"
    candidates = [fields.row(payload, what)] if isinstance(payload, dict) else fields.rows(payload, what)
    for source in candidates:
        if source.get("symbol") == symbol:
            margin_type = _MARGIN_TYPES.get(fields.text(source, "marginType", what).upper())
            if margin_type is None:
                raise MalformedReply(f"{what}: marginType {fields.text(source, 'marginType', what)[:20]!r} is unknown")
            leverage = fields.whole(source, "leverage", what)
            return SymbolConfig(symbol=symbol, margin_type=margin_type, leverage=leverage)
    raise MalformedReply(f"{what}: the symbol is not in the answer")


def leverage_set(payload: object) -> int:
    """The leverage that POST /fapi/v1/leverage says is now in force."""
    what = "POST /fapi/v1/leverage"
    return fields.whole(fields.row(payload, what), "leverage", what)


def account_modes(payload: object, *, credits: bool = False) -> AccountModes:
    """GET /fapi/v1/accountConfig: both modes at weight 5 instead of 30 + 30 (checked 2026-11)."""
    what = "GET /fapi/v1/accountConfig"
    source = fields.row(payload, what)
    return AccountModes(
        can_trade=fields.flag_or(source, "canTrade", True),
        hedge=fields.flag(source, "dualSidePosition", what),
        multi_assets=fields.flag_or(source, "multiAssetsMargin", False),
        credits=credits,
    )


def key_permissions(payload: object) -> KeyPermissions:
    """GET /sapi/v1/account/apiRestrictions (checked 2026-11). What is not said counts as the worse of both."""
    source = fields.row(payload, "GET /sapi/v1/account/apiRestrictions")
    return KeyPermissions(
        withdraws=fields.flag_or(source, "enableWithdrawals", True),
        trades_futures=fields.flag_or(source, "enableFutures", False),
        restricted=fields.flag_or(source, "ipRestrict", False),
    )


def counts_in_credits(payload: object) -> bool:
    """GET /fapi/v3/account: something other than zero stands in BNFCR, the unit of the credits trading mode."""
    what = "GET /fapi/v3/account"
    rows = (row for row in fields.rows(fields.row(payload, what).get("assets"), what) if row.get("asset") == CREDITS)
    return any(fields.number_or(row, "walletBalance", _ZERO) for row in rows)


def fee_burn(payload: object) -> bool:
    """GET /fapi/v1/feeBurn: True when commission is paid in BNB while there is some (checked 2026-11)."""
    what = "GET /fapi/v1/feeBurn"
    return fields.flag(fields.row(payload, what), "feeBurn", what)


def fills(payload: object) -> list[Fill]:
    """GET /fapi/v1/userTrades. Fills of a triggered stop carry its actualOrderId, never its algoId."""
    what = "GET /fapi/v1/userTrades"
    return [_fill(source, what) for source in fields.rows(payload, what)]


def income(payload: object, on_unreadable: OnUnreadable | None = None) -> list[Income]:
    """GET /fapi/v1/income. New income types appear without notice and are kept as they are."""
    return fields.readable(payload, "GET /fapi/v1/income", _income, on_unreadable)


def listen_key(payload: object) -> str:
    """The key of POST /fapi/v1/listenKey."""
    what = "POST /fapi/v1/listenKey"
    value = fields.row(payload, what).get("listenKey")
    if not isinstance(value, str) or not _LISTEN_KEY.fullmatch(value):
        raise MalformedReply(f"{what}: no usable key in the answer")
    return value


def _position(source: Row, what: str) -> PositionRow:
    symbol = fields.text(source, "symbol", what)
    quantity = fields.number(source, "positionAmt", what)
    # capital R in positionRisk, small r in account.positions (checked 2026-11)
    unrealized = fields.number_or(source, "unRealizedProfit", fields.number_or(source, "unrealizedProfit", _ZERO))
    # older v2 answers have no isolatedWallet; isolatedMargin = isolated wallet + unrealised PnL
    margin = fields.number_or(source, "isolatedMargin", _ZERO)
    position = Position(
        symbol=symbol,
        quantity=quantity,
        entry_price=fields.number_or(source, "entryPrice", _ZERO),
        mark_price=fields.number_or(source, "markPrice", _ZERO),
        unrealized_pnl=unrealized,
        liquidation_price=fields.positive_or_none(source, "liquidationPrice"),
        isolated_wallet=fields.number_or(source, "isolatedWallet", margin - unrealized if margin else _ZERO),
        update_time_ms=fields.moment_or(source, "updateTime", 0),
    )
    return PositionRow(position, fields.text_or(source, "positionSide", "BOTH"))


def _income(source: Row, what: str) -> Income:
    return Income(
        symbol=fields.text_or(source, "symbol", ""),
        income_type=fields.text(source, "incomeType", what),
        income=fields.number(source, "income", what),
        asset=fields.text_or(source, "asset", ""),
        time_ms=fields.moment(source, "time", what),
        transaction_id=fields.whole(source, "tranId", what),
        trade_id=_text_or_number(source.get("tradeId")),
    )


def _fill(source: Row, what: str) -> Fill:
    return Fill(
        symbol=fields.text(source, "symbol", what),
        fill_id=fields.whole(source, "id", what),
        order_id=fields.whole(source, "orderId", what),
        side=side_of(source, "side", what),
        price=fields.number(source, "price", what),
        quantity=fields.number(source, "qty", what),
        realized_pnl=fields.number_or(source, "realizedPnl", _ZERO),
        commission=fields.number_or(source, "commission", _ZERO),
        commission_asset=fields.text_or(source, "commissionAsset", ""),
        maker=fields.flag_or(source, "maker", False),
        time_ms=fields.moment(source, "time", what),
    )


def _text_or_number(value: object) -> str:
    if isinstance(value, bool):
        return ""
    return str(value) if isinstance(value, str | int) else ""
