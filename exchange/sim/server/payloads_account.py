"""Balances and positions as Binance's JSON (account and trade pages, checked 2026-11)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.sim.core import margin
from exchange.sim.core.holding import Holding
from exchange.sim.core.state import VenueState
from exchange.sim.server.numerals import money, plain
from exchange.types import Bracket, Income, MarginType, Side, SymbolConfig

Json = dict[str, object]

_ZERO = Decimal(0)
_ADL = 2  # a place in the queue of automatic deleveraging, which does not happen here


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's position with everything that is computed from it."""

    holding: Holding
    config: SymbolConfig
    mark: Decimal
    unrealized: Decimal
    maintenance: Decimal
    position_margin: Decimal
    order_margin: Decimal
    liquidation: Decimal | None
    notional_max: Decimal
    bids: Decimal
    asks: Decimal

    @property
    def notional(self) -> Decimal:
        return self.holding.quantity * self.mark

    @property
    def isolated_margin(self) -> Decimal:
        """Isolated wallet and unrealised profit; zero for a crossed position."""
        return self.holding.isolated_wallet + self.unrealized if self.is_isolated and self.holding.quantity else _ZERO

    @property
    def is_isolated(self) -> bool:
        return self.config.margin_type is MarginType.ISOLATED


def stake_of(state: VenueState, symbol: str, holding: Holding | None = None) -> Stake:
    """The stake in a symbol; ``holding`` instead of the true one shows how it would look with it."""
    quote = state.quotes.get(symbol)
    mark = quote.mark if quote is not None else _ZERO
    actual = state.holding(symbol)
    shown = holding or actual
    config, brackets = state.config(symbol), state.brackets[symbol]
    notional = abs(shown.quantity) * mark
    working = [order for order in state.orders.open(symbol) if order.price is not None]
    worth = dict.fromkeys(Side, _ZERO)
    for order in working:
        worth[order.side] += (order.price or _ZERO) * order.remaining
    return Stake(
        holding=shown,
        config=config,
        mark=mark,
        unrealized=shown.unrealized(mark) if shown.quantity else _ZERO,
        maintenance=margin.maintenance(notional, brackets) if notional else _ZERO,
        position_margin=notional / config.leverage,
        order_margin=state.order_margin(symbol) if working else _ZERO,
        liquidation=state.liquidation_price(symbol) if shown == actual else None,
        notional_max=margin.notional_max(config.leverage, brackets),
        bids=worth[Side.BUY],
        asks=worth[Side.SELL],
    )


def position_row(stake: Stake, hedge: bool = False) -> Json:
    """One row of GET /fapi/v3/positionRisk, which has neither leverage nor margin type."""
    holding = stake.holding
    return {
        "symbol": holding.symbol,
        "positionSide": ("LONG" if holding.quantity > 0 else "SHORT") if hedge else "BOTH",
        "positionAmt": plain(holding.quantity),
        "entryPrice": plain(holding.entry_price),
        "breakEvenPrice": plain(holding.break_even_price),
        "markPrice": money(stake.mark),
        "unRealizedProfit": money(stake.unrealized),
        "liquidationPrice": "0" if stake.liquidation is None else money(stake.liquidation),
        "isolatedMargin": money(stake.isolated_margin),
        "notional": money(stake.notional),
        "marginAsset": "USDT",
        "isolatedWallet": money(holding.isolated_wallet),
        "initialMargin": money(stake.position_margin + stake.order_margin),
        "maintMargin": money(stake.maintenance),
        "positionInitialMargin": money(stake.position_margin),
        "openOrderInitialMargin": money(stake.order_margin),
        "adl": _ADL,
        "bidNotional": money(stake.bids),
        "askNotional": money(stake.asks),
        "updateTime": holding.updated_ms,
    }


def position_row_v2(stake: Stake) -> Json:
    """One row of GET /fapi/v2/positionRisk: margin types in small letters, numbers and flags as texts."""
    return {
        **position_row(stake),
        "leverage": str(stake.config.leverage),
        "marginType": "isolated" if stake.is_isolated else "cross",
        "maxNotionalValue": plain(stake.notional_max),
        "isAutoAddMargin": "false",
    }


def account_position(stake: Stake) -> Json:
    """A position inside GET /fapi/v3/account (small r in unrealizedProfit)."""
    row = position_row(stake)
    names = (
        "symbol", "positionSide", "positionAmt", "isolatedMargin", "notional", "isolatedWallet", "initialMargin",
        "maintMargin", "updateTime",
    )  # fmt: skip
    return {name: row[name] for name in names} | {"unrealizedProfit": row["unRealizedProfit"]}


def account_position_v2(stake: Stake) -> Json:
    """A position inside GET /fapi/v2/account."""
    row = position_row(stake)
    names = (
        "entryPrice", "breakEvenPrice", "positionInitialMargin", "openOrderInitialMargin", "bidNotional", "askNotional",
    )  # fmt: skip
    return {
        **account_position(stake),
        **{name: row[name] for name in names},
        "leverage": str(stake.config.leverage),
        "isolated": stake.is_isolated,
        "maxNotional": plain(stake.notional_max),
    }


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The account as a whole; there is one asset, so its row and the totals are the same numbers."""

    wallet: Decimal
    unrealized: Decimal
    cross_wallet: Decimal
    cross_unrealized: Decimal
    maintenance: Decimal
    position_margin: Decimal
    order_margin: Decimal
    available: Decimal

    @classmethod
    def of(cls, state: VenueState, stakes: list[Stake]) -> Totals:
        crossed = [stake.unrealized for stake in stakes if not stake.is_isolated]
        return cls(
            wallet=state.ledger.wallet,
            unrealized=sum((stake.unrealized for stake in stakes), _ZERO),
            cross_wallet=state.cross_wallet,
            cross_unrealized=sum(crossed, _ZERO),
            maintenance=sum((stake.maintenance for stake in stakes), _ZERO),
            position_margin=sum((stake.position_margin for stake in stakes), _ZERO),
            order_margin=sum((stake.order_margin for stake in stakes), _ZERO),
            available=state.available(),
        )

    @property
    def row(self) -> Json:
        """The common fields under the names of ``assets[]``."""
        return {
            "walletBalance": money(self.wallet),
            "unrealizedProfit": money(self.unrealized),
            "marginBalance": money(self.wallet + self.unrealized),
            "maintMargin": money(self.maintenance),
            "initialMargin": money(self.position_margin + self.order_margin),
            "positionInitialMargin": money(self.position_margin),
            "openOrderInitialMargin": money(self.order_margin),
            "crossWalletBalance": money(self.cross_wallet),
            "crossUnPnl": money(self.cross_unrealized),
            "availableBalance": money(self.available),
            "maxWithdrawAmount": money(self.available),
        }


def account(totals: Totals, positions: list[Json], at_ms: int) -> Json:
    """GET /fapi/v3/account."""
    row = totals.row
    free = ("availableBalance", "maxWithdrawAmount")
    summed = {f"total{name[0].upper()}{name[1:]}": value for name, value in row.items() if name not in free}
    return {
        **summed,
        **{name: row[name] for name in free},
        "assets": [{"asset": "USDT", **row, "marginAvailable": True, "updateTime": at_ms}],
        "positions": positions,
    }


def balance(totals: Totals, at_ms: int) -> list[Json]:
    """GET /fapi/v3/balance and v2."""
    return [
        {
            "accountAlias": "SgsR",
            "asset": "USDT",
            "balance": money(totals.wallet),
            "crossWalletBalance": money(totals.cross_wallet),
            "crossUnPnl": money(totals.cross_unrealized),
            "availableBalance": money(totals.available),
            "maxWithdrawAmount": money(totals.available),
            "marginAvailable": True,
            "updateTime": at_ms,
        }
    ]


def income_row(row: Income) -> Json:
    """GET /fapi/v1/income."""
    return {
        "symbol": row.symbol,
        "incomeType": row.income_type,
        "income": money(row.income),
        "asset": row.asset,
        "info": row.trade_id or row.income_type,
        "time": row.time_ms,
        "tranId": row.transaction_id,
        "tradeId": row.trade_id,
    }


def bracket_rows(symbol: str, brackets: tuple[Bracket, ...]) -> Json:
    """GET /fapi/v1/leverageBracket: here numbers are numbers."""
    return {
        "symbol": symbol,
        "brackets": [
            {
                "bracket": bracket.bracket,
                "initialLeverage": bracket.initial_leverage,
                "notionalCap": int(bracket.notional_cap),
                "notionalFloor": int(bracket.notional_floor),
                "maintMarginRatio": float(bracket.maintenance_margin_ratio),
                "cum": float(bracket.cumulative),
            }
            for bracket in brackets
        ],
    }


def symbol_config_row(stake: Stake) -> Json:
    """GET /fapi/v1/symbolConfig."""
    return {
        "symbol": stake.config.symbol,
        "marginType": stake.config.margin_type.value,
        "isAutoAddMargin": False,
        "leverage": stake.config.leverage,
        "maxNotionalValue": plain(stake.notional_max),
    }
