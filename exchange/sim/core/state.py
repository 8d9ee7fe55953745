"""Everything the simulated exchange remembers: one account, its orders, and the prices of now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.errors import Refusal
from exchange.filters import SymbolFilters
from exchange.sim.core import margin
from exchange.sim.core.events import AccountUpdated, Batch, HoldingView, VenueEvent
from exchange.sim.core.holding import Holding
from exchange.sim.core.ledger import Ledger
from exchange.sim.core.orders import AlgoState, OrderState, Register
from exchange.sim.playback.candle_path import Quote, Stretch
from exchange.types import Bracket, Fill, MarginType, Side, SymbolConfig

ZERO = Decimal(0)
_ORDER_ID_FIRST = 4_611_875_134_427_365_377  # above 2^53, as real ones can be: no client may read them as floats
_ALGO_ID_FIRST = 4_000_001_783_523_430


class TriggerFault(StrEnum):
    """What can go wrong with a conditional order at its trigger beside what the account itself makes go wrong."""

    REFUSED = "REFUSED"
    UNFILLED = "UNFILLED"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this exchange executes and what a new account looks like.

    ``slippage`` is a fraction of the price, always against us. ``depth_usdt`` is the notional that one price level
    holds; None means that any quantity is filled at the first level. A new account is CROSSED at 20×, as on Binance.
    With ``bnb_price`` (USDT) commission is paid in BNB. The ledger shows a transfer ``transfer_delay_ms`` after the
    balance does. ``stop_depth`` is how far a triggered stop fills between the price at its trigger and the worst one of
    a candle of one minute; of longer candles the share is smaller (``pricing.depth_share``). 0: at its trigger.
    """

    maker_rate: Decimal
    taker_rate: Decimal
    slippage: Decimal
    depth_usdt: Decimal | None
    leverage: int = 20
    margin_type: MarginType = MarginType.CROSSED
    bnb_price: Decimal | None = None
    transfer_delay_ms: int = 0
    stop_depth: Decimal = ZERO


Taken = tuple[Decimal, Decimal, bool]
"""An execution: price, quantity, and whether the order had waited for it (as maker)."""


class VenueState:
    """Mutable memory of one venue. Only the modules of this package change it."""

    def __init__(
        self,
        *,
        settings: Settings,
        filters: Mapping[str, SymbolFilters],
        brackets: Mapping[str, tuple[Bracket, ...]],
        ledger: Ledger,
    ) -> None:
        self.settings = settings
        self.filters = {symbol: filters[symbol] for symbol in filters if symbol in brackets}
        self.brackets = dict(brackets)
        self.ledger = ledger
        self.now_ms = 0
        self.quotes: dict[str, Quote] = {}
        self.candles: dict[str, Stretch] = {}
        """The finest candles that prices are on their way through; nobody else moves them."""

        self.orders: Register[OrderState] = Register()
        self.algos: Register[AlgoState] = Register()
        self.holdings: dict[str, Holding] = {}
        self._liquidations: dict[str, tuple[Holding, Decimal | None]] = {}
        self.configs: dict[str, SymbolConfig] = {}
        self.fills: list[Fill] = []
        self.liquidations = 0
        self.trigger_fault: Callable[[AlgoState], TriggerFault | None] = _no_fault
        self.taken: Callable[[OrderState, int], Sequence[Taken] | None] = _by_the_market
        self.fails_to_fill: Callable[[OrderState], bool] = lambda order: False
        self.witnesses: list[Callable[[VenueEvent], None]] = []
        self._events: list[VenueEvent] = []
        self._orders_made = 0
        self._algos_made = 0

    def next_order_id(self) -> int:
        self._orders_made += 1
        return _ORDER_ID_FIRST + self._orders_made - 1

    def next_algo_id(self) -> int:
        self._algos_made += 1
        return _ALGO_ID_FIRST + self._algos_made - 1

    @property
    def ids_made(self) -> tuple[int, int]:
        """How many order ids and algo ids were given out."""
        return self._orders_made, self._algos_made

    @ids_made.setter
    def ids_made(self, made: tuple[int, int]) -> None:
        self._orders_made, self._algos_made = made

    def emit(self, event: VenueEvent) -> None:
        self._events.append(event)
        for witness in self.witnesses:
            witness(event)

    def drain(self) -> Batch:
        """The events since the last call, in order."""
        drained = tuple(self._events)
        self._events.clear()
        return drained

    def rules(self, symbol: str) -> SymbolFilters:
        """Filters of a symbol; a symbol without filters or brackets does not exist here."""
        found = self.filters.get(symbol)
        if found is None:
            raise Refusal(-1121, "Invalid symbol.")
        return found

    def change_rules(self, symbol: str, filters: SymbolFilters, brackets: tuple[Bracket, ...]) -> None:
        """From now on; what rests goes on resting as it was taken."""
        self.filters[symbol], self.brackets[symbol] = filters, brackets
        self._liquidations.pop(symbol, None)

    def quote(self, symbol: str) -> Quote:
        """Prices of now. A symbol that nothing has priced yet is not trading yet."""
        self.rules(symbol)
        found = self.quotes.get(symbol)
        if found is None:
            raise Refusal(-1122, "Invalid symbol status.")
        return found

    def holding(self, symbol: str) -> Holding:
        """The position of a symbol; a flat one where there never was any."""
        found = self.holdings.get(symbol)
        if found is None:
            found = Holding(symbol=symbol, isolated=self.config(symbol).margin_type is MarginType.ISOLATED)
        return found

    def config(self, symbol: str) -> SymbolConfig:
        """Leverage and margin type of a symbol: as set, else those of a new account."""
        found = self.configs.get(symbol)
        if found is None:
            leverage = min(self.settings.leverage, margin.leverage_max(self.brackets[symbol]))
            found = SymbolConfig(symbol=symbol, margin_type=self.settings.margin_type, leverage=leverage)
        return found

    def is_idle(self, symbols: Iterable[str]) -> bool:
        """Whether no regular order is open anywhere, and in these symbols nothing is held and nothing rests."""
        if self.orders.open_symbols():
            return False
        for symbol in symbols:
            holding = self.holdings.get(symbol)
            if (holding is not None and holding.quantity) or self.algos.open(symbol):
                return False
        return True

    @property
    def cross_wallet(self) -> Decimal:
        """The wallet less what isolated positions hold."""
        return self.ledger.wallet - sum((holding.isolated_wallet for holding in self.holdings.values()), ZERO)

    def unrealized(self, symbol: str) -> Decimal:
        holding = self.holding(symbol)
        return holding.unrealized(self.quotes[symbol].mark) if holding.quantity else ZERO

    def order_margin(self, symbol: str, side: Side | None = None, notional: Decimal = ZERO) -> Decimal:
        """Initial margin of the open orders, with one more of this side and notional.

        Only what could enlarge the position needs margin: orders against it count from the point where they would
        turn it round. Reduce-only orders never do.
        """
        working = [order for order in self.orders.open(symbol) if not order.reduce_only and order.price is not None]
        if not working and side is None:
            return ZERO
        bids = notional if side is Side.BUY else ZERO
        asks = notional if side is Side.SELL else ZERO
        for order in working:
            value = (order.price or ZERO) * order.remaining
            if order.side is Side.BUY:
                bids += value
            else:
                asks += value
        held = self.holding(symbol).quantity * self.quotes[symbol].mark
        worst = max(abs(held + bids), abs(held - asks), abs(held))
        return (worst - abs(held)) / self.config(symbol).leverage

    def available(self) -> Decimal:
        """What a new position or a withdrawal can use: never below zero."""
        return max(self._free(), ZERO)

    def margin_short(self) -> bool:
        """True when positions and orders need more margin than there is."""
        return self._free() < 0

    def _free(self) -> Decimal:
        """The wallet outside isolated positions, with crossed profit or loss, less the margin in use."""
        free = self.cross_wallet
        for symbol, holding in self.holdings.items():
            if holding.quantity and not holding.isolated:
                mark = self.quotes[symbol].mark
                free += holding.unrealized(mark) - abs(holding.quantity) * mark / self.config(symbol).leverage
        for symbol in self.orders.open_symbols():
            free -= self.order_margin(symbol)
        return free

    def liquidation_price(self, symbol: str) -> Decimal | None:
        """Where the position would be liquidated, with the other crossed positions at their marks of now."""
        holding = self.holding(symbol)
        if holding.quantity == 0:
            return None
        if holding.isolated:
            known = self._liquidations.get(symbol)
            if known is None or known[0] is not holding:
                known = self._liquidations[symbol] = (holding, self._liquidation(holding, holding.isolated_wallet))
            return known[1]
        wallet = self.cross_wallet
        for other, held in self.holdings.items():
            if other != symbol and held.quantity and not held.isolated:
                mark = self.quotes[other].mark
                wallet += held.unrealized(mark)
                wallet -= margin.maintenance(abs(held.quantity) * mark, self.brackets[other])
        return self._liquidation(holding, wallet)

    def _liquidation(self, holding: Holding, wallet: Decimal) -> Decimal | None:
        symbol = holding.symbol
        return margin.liquidation_price(holding.quantity, holding.entry_price, wallet, self.brackets[symbol])

    def emit_account(self, reason: str, *symbols: str, balance_change: Decimal = ZERO) -> None:
        """Tell balances and the named positions as they are now."""
        views = tuple(
            HoldingView(holding=self.holding(symbol), unrealized=self.unrealized(symbol)) for symbol in symbols
        )
        self.emit(
            AccountUpdated(
                at_ms=self.now_ms,
                reason=reason,
                wallet_balance=self.ledger.wallet,
                cross_wallet=self.cross_wallet,
                balance_change=balance_change,
                positions=views,
            )
        )


def _by_the_market(_: OrderState, __: int) -> None:
    return None


def _no_fault(_: AlgoState) -> TriggerFault | None:
    return None
