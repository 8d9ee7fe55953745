"""The simulated exchange: one USDT-M account in one-way mode, without clock, I/O or chance.

Writes raise ``Refusal`` with Binance's code, or happen at once. Time and prices move only by ``tick``, ``jump`` and
``advance``; these are generators that stop after everything that happened to the account, so that the caller can
answer at that very instant (place the stop of an entry that just filled) before prices go on. Not iterating them
moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec.structs import replace

from exchange.errors import Refusal
from exchange.filters import SymbolFilters
from exchange.sim.core import admission, margin, snapshot
from exchange.sim.core.events import Batch, LeverageChanged
from exchange.sim.core.holding import money
from exchange.sim.core.ledger import IncomeType, Ledger
from exchange.sim.core.matching import Matching
from exchange.sim.core.motion import Hit, Leg
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.reads import Reads
from exchange.sim.core.state import Settings, VenueState
from exchange.sim.playback.candle_path import Quote
from exchange.types import (
    AlgoOrder,
    AlgoRequest,
    AlgoStatus,
    Bracket,
    MarginType,
    Order,
    OrderRequest,
    SymbolConfig,
    TimeInForce,
)

_HITS_MAX = 10_000  # of one movement; more means that a caller answers every event with an order that is hit again


class Venue(Reads):
    """One account on one exchange. ``state`` is for reading by the server that shows it to clients."""

    def __init__(
        self,
        *,
        filters: Mapping[str, SymbolFilters],
        brackets: Mapping[str, tuple[Bracket, ...]],
        balance: Decimal,
        maker_rate: Decimal = Decimal("0.0002"),
        taker_rate: Decimal = Decimal("0.0005"),
        slippage: Decimal = Decimal("0.0002"),
        depth_usdt: Decimal | None = None,
        stop_depth: Decimal = Decimal(0),
    ) -> None:
        settings = Settings(
            maker_rate=maker_rate,
            taker_rate=taker_rate,
            slippage=slippage,
            depth_usdt=depth_usdt,
            stop_depth=stop_depth,
        )
        super().__init__(VenueState(settings=settings, filters=filters, brackets=brackets, ledger=Ledger(balance)))
        self._matching = Matching(self.state)
        self._moving = False

    def save(self) -> bytes:
        """The whole account and the prices of now as JSON; events not yet drained are not part of it."""
        return snapshot.save(self.state)

    @classmethod
    def load(
        cls,
        saved: bytes,
        *,
        filters: Mapping[str, SymbolFilters],
        brackets: Mapping[str, tuple[Bracket, ...]],
    ) -> Venue:
        """A venue that goes on where ``save`` was called."""
        venue = cls(filters=filters, brackets=brackets, balance=Decimal(0))
        venue.state = snapshot.load(saved, filters=filters, brackets=brackets)
        venue._matching = Matching(venue.state)
        return venue

    # --- time and prices ----------------------------------------------------------------------

    def drain(self) -> Batch:
        """Events that the caller's own writes produced since the last batch."""
        return self.state.drain()

    def tick(self, symbol: str, *, last: Decimal, mark: Decimal, at_ms: int) -> Iterator[Batch]:
        """Both prices of one symbol jump."""
        return self.jump(at_ms, {symbol: Quote(last, mark)})

    def jump(self, at_ms: int, quotes: Mapping[str, Quote]) -> Iterator[Batch]:
        """Prices jump at this instant: what is crossed executes at the new price, stops worse than they asked."""
        yield from self.advance(at_ms, {})
        for symbol, quote in quotes.items():
            self.state.rules(symbol)
            self.state.quotes[symbol] = quote
        yield from self.advance(at_ms, quotes)

    def advance(self, at_ms: int, quotes: Mapping[str, Quote]) -> Iterator[Batch]:
        """Prices move in a straight line until ``at_ms``: levels are hit exactly, in the order they are reached."""
        if self._moving:
            raise RuntimeError("prices are already moving: iterate that movement to its end, or close it, first")
        if self.state.is_idle(quotes):
            self._pass(at_ms, quotes)
            return
        self._moving = True
        try:
            yield from self._move(Leg(self.state, at_ms, quotes), at_ms)
        finally:
            self._moving = False

    def _pass(self, at_ms: int, quotes: Mapping[str, Quote]) -> None:
        """Nothing can be hit."""
        if at_ms < self.state.now_ms:
            raise ValueError(f"time cannot go back from {self.state.now_ms} to {at_ms} ms")
        self.state.now_ms = at_ms
        self.state.quotes.update(quotes)

    def _move(self, leg: Leg, at_ms: int) -> Iterator[Batch]:
        for _ in range(_HITS_MAX):
            hit = leg.next_hit()
            if hit is None:
                leg.finish()
                return
            leg.move_to(hit.fraction)
            self._strike(hit)
            yield self.state.drain()
        raise RuntimeError(f"more than {_HITS_MAX} account events before {at_ms} ms: the caller's answers never end")

    def _strike(self, hit: Hit) -> None:
        if isinstance(hit.what, AlgoState):
            self._matching.trigger(hit.what)
        elif hit.what is None:
            self._matching.liquidate(hit.symbol)
        elif hit.is_expiry:
            self._matching.expire(hit.what)
        else:
            self._matching.touch(hit.what)

    def settle(self, symbol: str) -> None:
        """Delisted: its orders are cancelled, its position is closed at the mark, and it takes no orders any more."""
        self.state.filters[symbol] = replace(self.state.filters[symbol], status="SETTLING")
        self._matching.settle(symbol)

    def settle_funding(self, symbol: str, rate: Decimal, at_ms: int) -> None:
        """Funding of one symbol: ``positionAmt × mark × rate`` leaves the wallet (comes in when negative)."""
        state = self.state
        if at_ms < state.now_ms:
            raise ValueError(f"funding at {at_ms} ms would be before now ({state.now_ms} ms)")
        state.now_ms = at_ms
        holding = state.holding(symbol)
        if holding.quantity == 0:
            return
        paid = money(holding.quantity * state.quote(symbol).mark * rate)
        state.ledger.post(IncomeType.FUNDING_FEE, -paid, symbol=symbol, at_ms=at_ms)
        symbols: tuple[str, ...] = ()
        if holding.isolated:
            wallet = holding.isolated_wallet - paid
            state.holdings[symbol] = replace(holding, isolated_wallet=wallet, updated_ms=at_ms)
            symbols = (symbol,)
        state.emit_account("FUNDING_FEE", *symbols, balance_change=-paid)

    # --- orders -------------------------------------------------------------------------------
    def place_order(self, request: OrderRequest) -> Order:
        """A regular order. What can execute at once has executed when this returns."""
        admission.admit_order(self.state, request)
        state = self.state
        order = OrderState(
            symbol=request.symbol,
            order_id=state.next_order_id(),
            client_id=request.client_id,
            side=request.side,
            type=request.type,
            time_in_force=request.time_in_force or TimeInForce.GTC,
            quantity=request.quantity,
            price=request.price,
            reduce_only=request.reduce_only,
            created_ms=state.now_ms,
            updated_ms=state.now_ms,
            good_till_ms=request.good_till_ms if request.time_in_force is TimeInForce.GTD else None,
            original_type=request.type.value,
        )
        return self._matching.enter(order).as_order()

    def place_algo(self, request: AlgoRequest) -> AlgoOrder:
        """A conditional order; it rests until its price is reached."""
        admission.admit_algo(self.state, request)
        state = self.state
        algo = AlgoState(
            symbol=request.symbol,
            algo_id=state.next_algo_id(),
            client_id=request.client_id,
            side=request.side,
            type=request.type,
            trigger_price=request.trigger_price,
            working_type=request.working_type,
            quantity=request.quantity,
            close_position=request.close_position,
            reduce_only=request.reduce_only,
            created_ms=state.now_ms,
            updated_ms=state.now_ms,
        )
        return self._matching.update_algo(algo).as_algo()

    def cancel_order(self, symbol: str, *, client_id: str | None = None, order_id: int | None = None) -> Order:
        """-2011 when the order is not open: filled, cancelled, conditional, or never there."""
        found = self._find_order(symbol, client_id, order_id)
        if found is None or not found.status.is_open:
            raise Refusal(-2011, "Unknown order sent.")
        return self._matching.cancel(found).as_order()

    def cancel_algo(self, *, client_id: str | None = None, algo_id: int | None = None) -> AlgoOrder:
        """-2011 when the conditional order is not open."""
        found = self._find_algo(client_id, algo_id)
        if found is None or not found.status.is_open:
            raise Refusal(-2011, "Unknown order sent.")
        return self._matching.update_algo(replace(found, status=AlgoStatus.CANCELED)).as_algo()

    def cancel_all_orders(self, symbol: str) -> list[Order]:
        """Regular orders only, as DELETE /fapi/v1/allOpenOrders (checked 2026-11)."""
        self.state.rules(symbol)
        return [self._matching.cancel(order).as_order() for order in self.state.orders.open(symbol)]

    def cancel_all_algos(self, symbol: str) -> list[AlgoOrder]:
        """Conditional orders only, as DELETE /fapi/v1/algoOpenOrders (checked 2026-11)."""
        self.state.rules(symbol)
        return [self.cancel_algo(algo_id=algo.algo_id) for algo in self.state.algos.open(symbol)]

    # --- account ------------------------------------------------------------------------------
    def set_leverage(self, symbol: str, leverage: int) -> SymbolConfig:
        """POST /fapi/v1/leverage."""
        state = self.state
        state.rules(symbol)
        brackets, config, holding = state.brackets[symbol], state.config(symbol), state.holding(symbol)
        if not 1 <= leverage <= margin.leverage_max(brackets):
            raise Refusal(-4028, f"Leverage {leverage} is not valid")
        if holding.quantity and holding.isolated and leverage < config.leverage:
            raise Refusal(-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
        held = abs(holding.quantity) * state.quotes[symbol].mark if holding.quantity else Decimal(0)
        if held > margin.notional_max(leverage, brackets):
            raise Refusal(-2027, "Exceeded the maximum allowable position at current leverage.")
        changed = replace(config, leverage=leverage)
        state.configs[symbol] = changed
        if leverage < config.leverage and state.margin_short():
            state.configs[symbol] = config
            raise Refusal(-2028, "Leverage is smaller than permitted: insufficient margin balance.")
        state.emit(LeverageChanged(at_ms=state.now_ms, symbol=symbol, leverage=leverage))
        return changed

    def set_margin_type(self, symbol: str, margin_type: MarginType) -> SymbolConfig:
        """POST /fapi/v1/marginType. Whether open conditional orders block it is not documented; here they do not."""
        state = self.state
        state.rules(symbol)
        config = state.config(symbol)
        if config.margin_type is margin_type:
            raise Refusal(-4046, "No need to change margin type.")
        if state.orders.open(symbol):
            raise Refusal(-4047, "Margin type cannot be changed if there exists open orders.")
        if state.holding(symbol).quantity:
            raise Refusal(-4048, "Margin type cannot be changed if there exists position.")
        changed = replace(config, margin_type=margin_type)
        state.configs[symbol] = changed
        state.holdings[symbol] = replace(state.holding(symbol), isolated=margin_type is MarginType.ISOLATED)
        state.emit_account("MARGIN_TYPE_CHANGE", symbol)
        return changed

    def deposit(self, amount: Decimal, *, shown_after_ms: int | None = None) -> None:
        """Money arrives from outside; the ledger shows it that much later, or as the settings say."""
        if amount <= 0:
            raise ValueError(f"a deposit of {amount} USDT is none")
        self._transfer(amount, "DEPOSIT", shown_after_ms)

    def withdraw(self, amount: Decimal, *, shown_after_ms: int | None = None) -> None:
        """Money leaves; only what no position or order uses can."""
        if amount <= 0:
            raise ValueError(f"a withdrawal of {amount} USDT is none")
        if amount > self.state.available():
            raise Refusal(-2018, "Balance is insufficient.")
        self._transfer(-amount, "WITHDRAW", shown_after_ms)

    def _transfer(self, amount: Decimal, reason: str, shown_after_ms: int | None) -> None:
        amount, state = money(amount), self.state
        after_ms = state.settings.transfer_delay_ms if shown_after_ms is None else shown_after_ms
        state.ledger.post(IncomeType.TRANSFER, amount, symbol="", at_ms=state.now_ms, shown_after_ms=after_ms)
        self.state.emit_account(reason, balance_change=amount)
