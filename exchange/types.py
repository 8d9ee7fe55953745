"""What passes between us and any exchange: orders, positions, fills, and the outcome of a write.

Money, prices and quantities are ``Decimal``. Times are integer milliseconds UTC. Enum values are
Binance's words. Everything is frozen and travels as JSON through msgspec without loss.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.origin import Stated
from exchange.refusals import RefusalReason


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"


class ConditionalType(StrEnum):
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"


class WorkingType(StrEnum):
    """Which price a trigger price is compared with."""

    MARK_PRICE = "MARK_PRICE"
    CONTRACT_PRICE = "CONTRACT_PRICE"


class MarginType(StrEnum):
    ISOLATED = "ISOLATED"
    CROSSED = "CROSSED"


class OrderStatus(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    UNRECOGNISED = "UNRECOGNISED"

    @property
    def is_open(self) -> bool:
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class AlgoStatus(StrEnum):
    """Life of a conditional order (user-data streams, ALGO_UPDATE; checked 2026-11)."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNRECOGNISED = "UNRECOGNISED"

    @property
    def is_open(self) -> bool:
        return self in (AlgoStatus.NEW, AlgoStatus.TRIGGERING, AlgoStatus.TRIGGERED)


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A regular order we want. ``price`` only for LIMIT; ``good_till_ms`` only for GTD."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    client_id: str
    price: Decimal | None = None
    reduce_only: bool = False
    time_in_force: TimeInForce | None = None
    good_till_ms: int | None = None


class AlgoRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order we want: either ``close_position`` or a ``quantity``, never both."""

    symbol: str
    side: Side
    type: ConditionalType
    trigger_price: Decimal
    working_type: WorkingType
    client_id: str
    quantity: Decimal | None = None
    close_position: bool = False
    reduce_only: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A regular order as the exchange tells it. ``average_price`` is None until known (it may lag).

    ``origin`` is stated where the order is the exchange's own.
    """

    symbol: str
    order_id: int
    client_id: str
    side: Side
    type: str
    status: OrderStatus
    price: Decimal
    quantity: Decimal
    executed_quantity: Decimal
    average_price: Decimal | None
    reduce_only: bool
    update_time_ms: int
    time_in_force: str = "GTC"
    origin: Stated = msgspec.UNSET


class AlgoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order as the exchange tells it. ``actual_order_id`` appears once it has triggered."""

    symbol: str
    algo_id: int
    client_id: str
    side: Side
    type: str
    status: AlgoStatus
    trigger_price: Decimal
    working_type: WorkingType
    quantity: Decimal | None
    close_position: bool
    reduce_only: bool
    update_time_ms: int
    actual_order_id: int | None = None
    executed_quantity: Decimal = Decimal(0)
    reject_reason: str | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. ``commission`` is positive when paid; ``realized_pnl`` excludes it.

    ``commission_price``: USDT for one unit of a commission asset that is not USDT, when the fill was learned of; None
    where that is not known.
    """

    symbol: str
    fill_id: int
    order_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_asset: str
    maker: bool
    time_ms: int
    commission_price: Decimal | None = None


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One-way position: ``quantity`` is signed, zero means flat. ``liquidation_price`` None when there is none."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_pnl: Decimal
    liquidation_price: Decimal | None
    isolated_wallet: Decimal
    update_time_ms: int


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """USDT side of the account from one answer: ``equity`` = wallet balance + unrealised PnL."""

    wallet_balance: Decimal
    unrealized_pnl: Decimal
    equity: Decimal
    available_balance: Decimal
    update_time_ms: int


class IncomeKind(StrEnum):
    """Rows of a ledger that are decided on. There are others, which have the exchange's own names."""

    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING = "FUNDING_FEE"
    SPECIAL_FUNDING = "SPECIAL_FUNDING_FEE"
    LIQUIDATION = "INSURANCE_CLEAR"
    """The insurance fund takes part in every liquidation and in nothing else."""
    SETTLEMENT = "DELIVERED_SETTELMENT"


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the exchange's ledger; ``income`` is signed (fees are negative); ``income_type``: IncomeKind."""

    symbol: str
    income_type: str
    income: Decimal
    asset: str
    time_ms: int
    transaction_id: int
    trade_id: str = ""


class AccountModes(msgspec.Struct, frozen=True, kw_only=True):
    """How the account as a whole is set up. ``credits``: it counts in BNFCR, the unit of the credits trading mode."""

    can_trade: bool = True
    hedge: bool = False
    multi_assets: bool = False
    credits: bool = False
    portfolio_margin: bool = False

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Names of the modes that this bot does not trade in; none where everything is as it must be (R67)."""
        named = {
            "hedge mode": self.hedge,
            "multi-assets mode": self.multi_assets,
            "credits trading mode (BNFCR)": self.credits,
            "portfolio margin": self.portfolio_margin,
        }
        return tuple(name for name, is_so in named.items() if is_so)


class KeyPermissions(msgspec.Struct, frozen=True, kw_only=True):
    """What the key may do, as its owner allowed it. ``restricted``: only from addresses that were named."""

    withdraws: bool
    trades_futures: bool
    restricted: bool


class SymbolConfig(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    margin_type: MarginType
    leverage: int


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the leverage table: it holds for position notionals in (floor, cap]."""

    bracket: int
    initial_leverage: int
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_margin_ratio: Decimal
    cumulative: Decimal


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    mark_price: Decimal
    last_price: Decimal
    time_ms: int


class Level(msgspec.Struct, frozen=True, array_like=True):
    """One price of the book, and how much is wanted or offered there."""

    price: Decimal
    quantity: Decimal


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What rests in the market: bids and asks, the best of each first."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    def against(self, taker: Side) -> tuple[Level, ...]:
        """What a taker of this side meets."""
        return self.asks if taker is Side.BUY else self.bids

    def down_to(self, quantity: Decimal) -> Book:
        """The same without what lies behind so much."""
        return Book(symbol=self.symbol, bids=_down_to(self.bids, quantity), asks=_down_to(self.asks, quantity))


def _down_to(levels: tuple[Level, ...], quantity: Decimal) -> tuple[Level, ...]:
    held = Decimal(0)
    for number, level in enumerate(levels, 1):
        held += level.quantity
        if held >= quantity:
            return levels[:number]
    return levels


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What may still leave for the exchange now, for whatever protects: ``orders``, ``looks`` at a symbol (None: it
    counts none), and how many requests that protect ``wait`` for their turn."""

    orders: int | None = None
    looks: int | None = None
    waiting: int = 0


class LookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a symbol must include beyond position and open orders.

    ``tracked`` are client ids to ask for one by one when they are not among the open orders;
    ``fills_after_id``/``fills_start_ms`` bound the fills wanted (neither: no fills are read). ``side`` is that of the
    entry: it tells which leg is meant in an account that was switched to hedge mode.
    """

    tracked: tuple[str, ...] = ()
    fills_after_id: int | None = None
    fills_start_ms: int | None = None
    income_start_ms: int | None = None
    with_account: bool = False
    side: Side | None = None


class SymbolSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one look at a symbol shows: the truth that reconciliation compares the memory with.

    ``orders`` and ``algo_orders`` are the open ones plus those asked for by client id that are
    still findable (so a tracked order that is absent from both was *not found*, which is evidence
    and not proof). ``fills`` are those after the cursor the look was given, oldest first; ``income``
    is filled only when asked for (booking a trade), and covers the symbol since the given time.
    ``unlisted``: the exchange says that there is no such symbol, so what is absent here proves nothing.
    """

    symbol: str
    at_ms: int
    position: Position | None
    orders: tuple[Order, ...]
    algo_orders: tuple[AlgoOrder, ...]
    fills: tuple[Fill, ...]
    account: Account | None = None
    income: tuple[Income, ...] = ()
    unlisted: bool = False


class Confirmed(msgspec.Struct, frozen=True, tag="CONFIRMED"):
    """The exchange did it. ``order``/``algo_order`` is its answer where there is one."""

    order: Order | None = None
    algo_order: AlgoOrder | None = None


class Refused(msgspec.Struct, frozen=True, tag="REFUSED"):
    """The exchange did not and will not do it. ``code`` is its own number or word, for readers; ``reason`` is ours."""

    code: int | str
    message: str
    reason: RefusalReason = RefusalReason.UNSTATED


class Unknown(msgspec.Struct, frozen=True, tag="UNKNOWN"):
    """Nobody knows yet. Never resent blindly, never assumed refused."""

    reason: str


Outcome = Confirmed | Refused | Unknown


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange wants no requests for a while. ``left_s`` is real time until the end it stated, None: it did not.

    ``orders_only``: cancels and reads go on, new orders do not.
    """

    cause: str
    left_s: float | None
    banned: bool = False
    orders_only: bool = False
