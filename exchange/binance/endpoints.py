"""The table of every endpoint the client calls: weight, order count, security and whose turn it is.

Weights from the endpoint pages of the official SDK 18.0.1 and the change log, checked 2026-11.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from exchange.priority import Priority


class Security(StrEnum):
    """What a call must carry."""

    NONE = "NONE"
    KEY = "KEY"
    SIGNED = "SIGNED"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One call. ``weight_all`` is its weight when no symbol is given.

    ``repeatable``: sending it twice does no harm, so an unknown outcome may simply be tried again.
    """

    method: str
    path: str
    weight: int
    security: Security
    priority: Priority
    weight_all: int = 0
    orders: int = 0
    is_write: bool = False
    repeatable: bool = True
    timeout_s: float = 5.0
    of_wallet: bool = False
    """It belongs to the exchange's other half, which has a host of its own."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _public(
    path: str, weight: int, *, weight_all: int = 0, timeout_s: float = 5.0, priority: Priority = Priority.READ
) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        weight=weight,
        weight_all=weight_all,
        security=Security.NONE,
        priority=priority,
        timeout_s=timeout_s,
    )


def _read(path: str, weight: int, *, weight_all: int = 0, priority: Priority = Priority.READ) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        weight=weight,
        weight_all=weight_all,
        security=Security.SIGNED,
        priority=priority,
    )


def _write(
    method: str, path: str, weight: int, priority: Priority, *, orders: int = 0, repeatable: bool = False
) -> Endpoint:
    return Endpoint(
        method=method,
        path=path,
        weight=weight,
        orders=orders,
        security=Security.SIGNED,
        priority=priority,
        is_write=True,
        repeatable=repeatable,
    )


def _listen_key(method: str) -> Endpoint:
    return Endpoint(method=method, path="/fapi/v1/listenKey", weight=1, security=Security.KEY, priority=Priority.TRADE)


TIME = _public("/fapi/v1/time", 1, priority=Priority.TRADE)
EXCHANGE_INFO = _public("/fapi/v1/exchangeInfo", 1, timeout_s=15.0)
FUNDING_INFO = _public("/fapi/v1/fundingInfo", 0)  # counted by itself: 500 in five minutes
KLINES = _public("/fapi/v1/klines", 10, timeout_s=10.0)
MARK_KLINES = _public("/fapi/v1/markPriceKlines", 10, timeout_s=10.0)
FUNDING_RATE = _public("/fapi/v1/fundingRate", 0, timeout_s=10.0)  # counted with fundingInfo: 500 in five minutes
PREMIUM_INDEX = _public("/fapi/v1/premiumIndex", 1, weight_all=10)
DEPTH = _public("/fapi/v1/depth", 5, priority=Priority.TRADE)  # of 100 levels, which is asked before an entry
TICKER_DAY = _public("/fapi/v1/ticker/24hr", 1, weight_all=40, timeout_s=15.0)
TICKER_PRICE = _public("/fapi/v2/ticker/price", 1, weight_all=2)

# What is held and what rests: needed to protect and to close.
POSITION_RISK = _read("/fapi/v3/positionRisk", 5, priority=Priority.LOOK)
OPEN_ORDERS = _read("/fapi/v1/openOrders", 1, weight_all=40, priority=Priority.LOOK)
ALL_ORDERS = _read("/fapi/v1/allOrders", 5, priority=Priority.LOOK)
OPEN_ALGO_ORDERS = _read("/fapi/v1/openAlgoOrders", 1, weight_all=40, priority=Priority.LOOK)
ORDER_QUERY = _read("/fapi/v1/order", 1, priority=Priority.LOOK)
ALGO_QUERY = _read("/fapi/v1/algoOrder", 1, priority=Priority.LOOK)

ACCOUNT = _read("/fapi/v3/account", 5, priority=Priority.TRADE)
SYMBOL_CONFIG = _read("/fapi/v1/symbolConfig", 5, priority=Priority.TRADE)
POSITION_RISK_OLD = _read("/fapi/v2/positionRisk", 5, priority=Priority.TRADE)
ACCOUNT_CONFIG = _read("/fapi/v1/accountConfig", 5, priority=Priority.TRADE)
POSITION_MODE_READ = _read("/fapi/v1/positionSide/dual", 30, priority=Priority.TRADE)
MULTI_ASSETS_READ = _read("/fapi/v1/multiAssetsMargin", 30, priority=Priority.TRADE)
LEVERAGE_BRACKET = _read("/fapi/v1/leverageBracket", 1)
COMMISSION_RATE = _read("/fapi/v1/commissionRate", 20)
USER_TRADES = _read("/fapi/v1/userTrades", 5, priority=Priority.TRADE)
FEE_BURN = _read("/fapi/v1/feeBurn", 30)
INCOME = _read("/fapi/v1/income", 30)

ORDER_PLACE = _write("POST", "/fapi/v1/order", 0, Priority.TRADE, orders=1)
ALGO_PLACE = _write("POST", "/fapi/v1/algoOrder", 0, Priority.COVER, orders=1)  # order counts since 2026-06-20
ORDER_CANCEL = _write("DELETE", "/fapi/v1/order", 1, Priority.COVER, repeatable=True)
ALGO_CANCEL = _write("DELETE", "/fapi/v1/algoOrder", 1, Priority.COVER, repeatable=True)
ALL_ORDERS_CANCEL = _write("DELETE", "/fapi/v1/allOpenOrders", 1, Priority.COVER, repeatable=True)
ALL_ALGOS_CANCEL = _write("DELETE", "/fapi/v1/algoOpenOrders", 1, Priority.COVER, repeatable=True)

LEVERAGE = _write("POST", "/fapi/v1/leverage", 1, Priority.TRADE, repeatable=True)
MARGIN_TYPE = _write("POST", "/fapi/v1/marginType", 1, Priority.TRADE, repeatable=True)
POSITION_MODE = _write("POST", "/fapi/v1/positionSide/dual", 1, Priority.TRADE, repeatable=True)

KEY_PERMISSIONS = msgspec.structs.replace(_read("/sapi/v1/account/apiRestrictions", 1), of_wallet=True)
WALLET_HOSTS = {"https://fapi.binance.com": "https://api.binance.com"}
"""By the host of the futures. The demo exchange has no such half (checked 2026-11); an emulator is both in one."""

LISTEN_KEY_CREATE = _listen_key("POST")
LISTEN_KEY_EXTEND = _listen_key("PUT")
LISTEN_KEY_CLOSE = _listen_key("DELETE")


def klines_weight(limit: int) -> int:
    """Weight of GET /fapi/v1/klines by its limit: <100, <500, ≤1000, more (checked 2026-11)."""
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1_000 else 10
