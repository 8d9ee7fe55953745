"""Answers questions about the account: balances, positions, income, configuration, limits, and the listen key."""

from __future__ import annotations

from exchange.errors import Refusal
from exchange.sim.server import payloads_account as payloads
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import Endpoint, keyed, signed
from exchange.sim.server.params import Params
from exchange.sim.server.payloads_account import Stake, Totals, stake_of
from exchange.sim.server.weights import by_symbol

Json = dict[str, object]

WEEK_MS = 7 * 86_400_000
INCOME_KEPT_MS = 90 * 86_400_000


def balance(emulator: Emulator, _: Params) -> object:
    return payloads.balance(_totals(emulator), emulator.now_ms)


def account(emulator: Emulator, _: Params) -> object:
    """v3 lists only symbols with a position or an open order."""
    positions = [payloads.account_position(stake) for stake in _stakes(emulator)]
    return payloads.account(_totals(emulator), positions, emulator.now_ms)


def account_v2(emulator: Emulator, _: Params) -> object:
    """v2 lists every symbol, with leverage and margin type."""
    positions = [payloads.account_position_v2(_stake(emulator, symbol)) for symbol in emulator.world.feeds]
    shown = payloads.account(_totals(emulator), positions, emulator.now_ms)
    return {**_config(emulator), **shown}


def position_risk(emulator: Emulator, params: Params) -> object:
    """An empty list means flat. A resting order alone gives a row with a quantity of zero."""
    wanted = set(emulator.symbols(params))
    hedge = emulator.modes.hedge
    return [payloads.position_row(stake, hedge) for stake in _stakes(emulator) if stake.holding.symbol in wanted]


def position_risk_v2(emulator: Emulator, params: Params) -> object:
    return [payloads.position_row_v2(_stake(emulator, symbol)) for symbol in emulator.symbols(params)]


def income(emulator: Emulator, params: Params) -> object:
    limit, now_ms = params.limit(100, 1_000), emulator.now_ms
    start_ms, end_ms = params.whole_or("startTime"), params.whole_or("endTime", now_ms)
    asked = start_ms is not None
    first_ms = start_ms if start_ms is not None else (end_ms or now_ms) - WEEK_MS
    symbol = emulator.symbol(params) if "symbol" in params else None
    found = emulator.venue.income(
        start_ms=max(first_ms, now_ms - INCOME_KEPT_MS),
        end_ms=end_ms,
        symbol=symbol,
        kind=params.text_or("incomeType"),
    )
    return [payloads.income_row(row) for row in (found[:limit] if asked else found[-limit:])]


def account_config(emulator: Emulator, _: Params) -> object:
    return {**_config(emulator), "dualSidePosition": emulator.modes.hedge}


def symbol_config(emulator: Emulator, params: Params) -> object:
    return [payloads.symbol_config_row(_stake(emulator, symbol)) for symbol in emulator.symbols(params)]


def leverage_bracket(emulator: Emulator, params: Params) -> object:
    if "symbol" in params:
        emulator.listing.check_brackets(emulator.symbol(params))
    return [payloads.bracket_rows(symbol, emulator.state.brackets[symbol]) for symbol in emulator.symbols(params)]


def commission_rate(emulator: Emulator, params: Params) -> object:
    symbol, settings = emulator.symbol(params), emulator.state.settings
    return {
        "symbol": symbol,
        "makerCommissionRate": f"{settings.maker_rate:.6f}",
        "takerCommissionRate": f"{settings.taker_rate:.6f}",
        "rpiCommissionRate": "0.00005",
    }


def order_limits(emulator: Emulator, _: Params) -> object:
    limiter = emulator.limiter
    return [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": limiter.orders_10s.limit},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": limiter.orders_1m.limit},
    ]


def trading_status(emulator: Emulator, _: Params) -> object:
    """No quantitative rule is ever broken here."""
    return {"indicators": {}, "updateTime": emulator.now_ms}


def create_listen_key(emulator: Emulator, _: Params) -> object:
    return {"listenKey": emulator.listen_keys.create()}


def extend_listen_key(emulator: Emulator, _: Params) -> object:
    key = emulator.listen_keys.extend()
    if key is None:
        raise Refusal(-1125, "This listenKey does not exist.")
    return {"listenKey": key}


def close_listen_key(emulator: Emulator, _: Params) -> object:
    key = emulator.listen_keys.active()
    if key is not None:
        emulator.listen_keys.forget()
        emulator.user_feed.close(key)
    return {}


def _config(emulator: Emulator) -> Json:
    return {
        "feeTier": 0,
        "canTrade": emulator.modes.can_trade,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": emulator.modes.multi_assets,
        "tradeGroupId": -1,
    }


def _stake(emulator: Emulator, symbol: str) -> Stake:
    return stake_of(emulator.state, symbol, emulator.shown_holding(symbol))


def _stakes(emulator: Emulator) -> list[Stake]:
    """Symbols with a position or an open regular order, by name."""
    state = emulator.state
    held = [symbol for symbol in state.holdings if emulator.shown_holding(symbol).quantity]
    return [_stake(emulator, symbol) for symbol in sorted({*held, *state.orders.open_symbols()})]


def _totals(emulator: Emulator) -> Totals:
    return Totals.of(emulator.state, _stakes(emulator))


ENDPOINTS: tuple[Endpoint, ...] = (
    signed("GET", "/fapi/v2/balance", balance, 5),
    signed("GET", "/fapi/v3/balance", balance, 5),
    signed("GET", "/fapi/v2/account", account_v2, 5),
    signed("GET", "/fapi/v3/account", account, 5),
    signed("GET", "/fapi/v2/positionRisk", position_risk_v2, 5),
    signed("GET", "/fapi/v3/positionRisk", position_risk, 5),
    signed("GET", "/fapi/v1/income", income, 30),
    signed("GET", "/fapi/v1/accountConfig", account_config, 5),
    signed("GET", "/fapi/v1/symbolConfig", symbol_config, 5),
    signed("GET", "/fapi/v1/leverageBracket", leverage_bracket, 1),
    signed("GET", "/fapi/v1/commissionRate", commission_rate, 20),
    signed("GET", "/fapi/v1/rateLimit/order", order_limits, 1),
    signed("GET", "/fapi/v1/apiTradingStatus", trading_status, by_symbol(1, 10)),
    keyed("POST", "/fapi/v1/listenKey", create_listen_key),
    keyed("PUT", "/fapi/v1/listenKey", extend_listen_key),
    keyed("DELETE", "/fapi/v1/listenKey", close_listen_key),
)
