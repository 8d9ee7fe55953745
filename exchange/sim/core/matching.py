"""Carries orders out: executions, expiry, conditional orders that trigger, liquidation. It never says no.

A resting limit order fills at its own price, also when the price jumps across it; what executes on arrival or by a
trigger takes the levels of ``pricing``. Reduce-only is checked again at every fill: the excess is clamped, and what
has nothing left to reduce expires, so such an order never enlarges or turns a position (R15).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec.structs import replace

from exchange.errors import Refusal
from exchange.sim.core import admission, pricing
from exchange.sim.core.events import AlgoUpdated, Execution, ExpiryReason, OrderUpdated
from exchange.sim.core.holding import money_up
from exchange.sim.core.ledger import ASSET, FEE_COIN, IncomeType
from exchange.sim.core.orders import AlgoState, OrderState
from exchange.sim.core.state import Taken, TriggerFault, VenueState
from exchange.types import AlgoStatus, ConditionalType, Fill, MarginType, OrderStatus, OrderType, TimeInForce

LEVEL_REFILL_MS = 60_000  # how long a level of limited depth stays eaten


class Matching:
    """Executes orders of one venue against the prices of now."""

    def __init__(self, state: VenueState) -> None:
        self._state = state

    def enter(self, order: OrderState) -> OrderState:
        """A new order arrives: it executes what it can at once; the rest rests or expires."""
        self._put(order, Execution.NEW)
        quote = self._state.quotes[order.symbol]
        crosses = order.price is None or admission.is_marketable(order.side, order.price, quote.last)
        told = self._state.taken(order, self._state.now_ms)
        if told is not None or (crosses and not self._state.fails_to_fill(order)):
            for price, quantity, maker in self._by_the_book(order) if told is None else told:
                order = self._execute(order, price, quantity, maker=maker)
        order = self._rest_or_expire(order)
        if order.executed:
            self._settle(order.symbol)
        return order

    def touch(self, order: OrderState) -> None:
        """The price is at a resting order: it fills at its own price, as maker, or others are served first."""
        state = self._state
        quantity = self._allowed(order)
        if order.price is not None and quantity > 0:
            told = state.taken(order, state.now_ms)
            if told is not None and not told:
                state.orders.put(replace(order, resume_ms=state.now_ms + LEVEL_REFILL_MS))
                return
            here = pricing.level_quantity(order.price, state.filters[order.symbol], state.settings, quantity)
            for price, taken, maker in ((order.price, here, True),) if told is None else told:
                order = self._execute(order, price, taken, maker=maker)
        order = self._rest_or_expire(order)
        if order.executed:
            self._settle(order.symbol)

    def cancel(self, order: OrderState) -> OrderState:
        return self._close(order, OrderStatus.CANCELED, Execution.CANCELED)

    def expire(self, order: OrderState, reason: ExpiryReason = ExpiryReason.NONE) -> OrderState:
        return self._close(order, OrderStatus.EXPIRED, Execution.EXPIRED, reason)

    def update_algo(self, algo: AlgoState) -> AlgoState:
        """Store and tell a conditional order's new self."""
        algo = replace(algo, updated_ms=self._state.now_ms)
        self._state.algos.put(algo)
        self._state.emit(AlgoUpdated(at_ms=self._state.now_ms, algo=algo))
        return algo

    def trigger(self, algo: AlgoState) -> None:
        """A condition is met: only now is a real order made, and may still be refused (REJECTED with its reason)."""
        state = self._state
        algo = self.update_algo(replace(algo, status=AlgoStatus.TRIGGERING, triggered_ms=state.now_ms))
        quantity = algo.quantity if algo.quantity is not None else abs(state.holding(algo.symbol).quantity)
        fault = state.trigger_fault(algo)
        try:
            if fault is TriggerFault.REFUSED:
                raise Refusal(-2010, "NEW_ORDER_REJECTED")
            self._admit_triggered(algo, quantity)
        except Refusal as refusal:
            reason = "Reduce Only reject" if algo.reduce_only else refusal.message
            self.update_algo(replace(algo, status=AlgoStatus.REJECTED, reject_reason=reason))
            return
        order = self._order_of(algo, quantity)
        algo = self.update_algo(replace(algo, status=AlgoStatus.TRIGGERED, actual_order_id=order.order_id))
        self._put(order, Execution.NEW)
        last = self._stop_price(algo)
        for price, here, maker in self._taking(order, last) if fault is None else ():
            order = self._execute(order, price, here, maker=maker)
        order = self._rest_or_expire(order)
        if order.executed:
            self._tell_position(order.symbol)
        self.update_algo(
            replace(algo, status=AlgoStatus.FINISHED, executed=order.executed, actual_price=order.average_price)
        )
        self._expire_close_position(order.symbol)

    def liquidate(self, symbol: str) -> None:
        """The exchange closes the position at the mark; what is left of its margin goes to the insurance fund.

        The remainder pays the clearance fee (liquidationFee × notional) as far as it reaches; a loss beyond the
        margin is covered by the fund. Both are one INSURANCE_CLEAR row.
        """
        state = self._state
        for resting in state.orders.open(symbol):
            self.expire(resting, ExpiryReason.LIQUIDATED)
        holding, filters = state.holding(symbol), state.filters[symbol]
        side = holding.side
        if side is None:
            return
        margin_before = holding.isolated_wallet if holding.isolated else state.cross_wallet
        wallet_before = state.ledger.wallet
        price = pricing.adverse(state.quotes[symbol].mark, side.opposite, filters)
        order = self._forced_order(symbol, price, "autoclose")
        self._put(order, Execution.NEW)
        self._execute(order, price, order.quantity, maker=False, execution=Execution.CALCULATED)
        self._tell_position(symbol)
        left = margin_before + state.ledger.wallet - wallet_before
        fee = min(money_up(price * order.quantity * filters.liquidation_fee), left)
        state.ledger.post(IncomeType.INSURANCE_CLEAR, -fee, symbol=symbol, at_ms=state.now_ms)
        state.emit_account("INSURANCE_CLEAR", symbol, balance_change=-fee)
        self._expire_close_position(symbol)

    def settle(self, symbol: str) -> None:
        """The symbol is delisted: the exchange cancels its orders and closes the position at the mark."""
        state = self._state
        for resting in state.orders.open(symbol):
            self.expire(resting, ExpiryReason.LIQUIDATED)
        if state.holding(symbol).side is not None:
            order = self._forced_order(symbol, state.quotes[symbol].mark, "settlement_autoclose")
            self._put(order, Execution.NEW)
            self._execute(order, state.quotes[symbol].mark, order.quantity, maker=False, execution=Execution.CALCULATED)
            self._tell_position(symbol)
        self._expire_close_position(symbol)

    def _stop_price(self, algo: AlgoState) -> Decimal:
        """A stop fills where the market lets it, inside the bounds of its price; a target where it was touched."""
        state, symbol = self._state, algo.symbol
        quote = state.quotes[symbol]
        if algo.type is not ConditionalType.STOP_MARKET:
            return quote.last
        price = pricing.stop_price(algo.side, quote.last, state.candles.get(symbol), state.settings.stop_depth)
        bound = state.filters[symbol].market_price_limit(algo.side, quote.mark)
        if bound is None or not pricing.is_beyond(price, bound, algo.side):
            return price
        return quote.last if pricing.is_beyond(quote.last, bound, algo.side) else bound

    def _taking(self, order: OrderState, last: Decimal | None = None) -> Iterator[Taken]:
        state = self._state
        if (taken := state.taken(order, state.now_ms)) is not None:
            return iter(taken)
        return self._by_the_book(order, last)

    def _by_the_book(self, order: OrderState, last: Decimal | None = None) -> Iterator[Taken]:
        """At the levels of ``pricing``."""
        state = self._state
        filters, quote = state.filters[order.symbol], state.quotes[order.symbol]
        worst = filters.market_price_limit(order.side, quote.mark) if order.price is None else order.price
        executions = pricing.executions(
            order.side,
            self._allowed(order),
            quote.last if last is None else last,
            worst=worst,
            clip=order.price is not None,
            filters=filters,
            settings=state.settings,
        )
        return ((price, quantity, False) for price, quantity in executions)

    def _allowed(self, order: OrderState) -> Decimal:
        """How much may still execute: reduce-only never more than there is to reduce."""
        if not order.reduce_only:
            return order.remaining
        return min(order.remaining, self._state.holding(order.symbol).reducible(order.side))

    def _execute(
        self,
        order: OrderState,
        price: Decimal,
        quantity: Decimal,
        *,
        maker: bool,
        execution: Execution = Execution.TRADE,
    ) -> OrderState:
        """One fill: position, wallet, fee, and the event."""
        state = self._state
        config = state.config(order.symbol)
        isolated = config.margin_type is MarginType.ISOLATED
        holding, profit = state.holding(order.symbol).after_fill(
            order.side, price, quantity, leverage=config.leverage, isolated=isolated
        )
        fee = money_up(price * quantity * (state.settings.maker_rate if maker else state.settings.taker_rate))
        bnb_price = state.settings.bnb_price
        paid, coin = (fee, ASSET) if bnb_price is None else (money_up(fee / bnb_price), FEE_COIN)
        costs = holding.costs + fee if holding.quantity else holding.costs
        state.holdings[order.symbol] = replace(holding, costs=costs, updated_ms=state.now_ms)
        fill = Fill(
            symbol=order.symbol,
            fill_id=len(state.fills) + 1,
            order_id=order.order_id,
            side=order.side,
            price=price,
            quantity=quantity,
            realized_pnl=profit,
            commission=paid,
            commission_asset=coin,
            maker=maker,
            time_ms=state.now_ms,
            commission_price=bnb_price,
        )
        state.fills.append(fill)
        for kind, amount, asset in ((IncomeType.REALIZED_PNL, profit, ASSET), (IncomeType.COMMISSION, -paid, coin)):
            state.ledger.post(kind, amount, symbol=order.symbol, at_ms=state.now_ms, trade_id=fill.fill_id, asset=asset)
        executed = order.executed + quantity
        done = executed == order.quantity
        order = replace(
            order,
            executed=executed,
            quote=order.quote + price * quantity,
            status=OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED,
            updated_ms=state.now_ms,
            resume_ms=state.now_ms + LEVEL_REFILL_MS,
        )
        state.orders.put(order)
        state.emit(OrderUpdated(at_ms=state.now_ms, order=order, execution=execution, fill=fill))
        return order

    def _rest_or_expire(self, order: OrderState) -> OrderState:
        """What an order does with the quantity that did not execute now."""
        if not order.status.is_open:
            return order
        if order.reduce_only and self._allowed(order) == 0:
            return self.expire(order, ExpiryReason.REDUCE_ONLY)
        if order.type is OrderType.MARKET:
            return self.expire(order, ExpiryReason.MARKET_REMAINDER)
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            return self.expire(order, ExpiryReason.IMMEDIATE_OR_CANCEL)
        return order

    def _admit_triggered(self, algo: AlgoState, quantity: Decimal) -> None:
        state = self._state
        if algo.reduce_only:
            admission.check_reduce_only(state, algo.symbol, algo.side)
        elif not algo.close_position:
            last = state.quotes[algo.symbol].last
            admission.check_opening(state, algo.symbol, algo.side, quantity, last)

    def _order_of(self, algo: AlgoState, quantity: Decimal) -> OrderState:
        """The MARKET order a triggered conditional order becomes; it carries the same client id."""
        state = self._state
        return OrderState(
            symbol=algo.symbol,
            order_id=state.next_order_id(),
            client_id=algo.client_id,
            side=algo.side,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            quantity=quantity,
            price=None,
            reduce_only=algo.reduce_only or algo.close_position,
            close_position=algo.close_position,
            created_ms=state.now_ms,
            updated_ms=state.now_ms,
            original_type=algo.type.value,
            trigger_price=algo.trigger_price,
            working_type=algo.working_type,
            algo_id=algo.algo_id,
        )

    def _forced_order(self, symbol: str, price: Decimal, name: str) -> OrderState:
        state = self._state
        state.liquidations += 1
        holding = state.holding(symbol)
        side = holding.side
        assert side is not None
        return OrderState(
            symbol=symbol,
            order_id=state.next_order_id(),
            client_id=f"{name}-{state.liquidations}",
            side=side.opposite,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            quantity=abs(holding.quantity),
            price=price,
            reduce_only=True,
            created_ms=state.now_ms,
            updated_ms=state.now_ms,
            original_type=OrderType.LIMIT.value,
        )

    def _put(self, order: OrderState, execution: Execution) -> None:
        self._state.orders.put(order)
        self._state.emit(OrderUpdated(at_ms=self._state.now_ms, order=order, execution=execution))

    def _close(
        self,
        order: OrderState,
        status: OrderStatus,
        execution: Execution,
        reason: ExpiryReason = ExpiryReason.NONE,
    ) -> OrderState:
        state = self._state
        order = replace(order, status=status, updated_ms=state.now_ms)
        state.orders.put(order)
        state.emit(OrderUpdated(at_ms=state.now_ms, order=order, execution=execution, expiry_reason=reason))
        return order

    def _settle(self, symbol: str) -> None:
        self._tell_position(symbol)
        self._expire_close_position(symbol)

    def _tell_position(self, symbol: str) -> None:
        self._state.emit_account("ORDER", symbol)

    def _expire_close_position(self, symbol: str) -> None:
        """closePosition orders end with the position they were to close; quantity ones stay behind as orphans."""
        reducible = self._state.holding(symbol).reducible
        for algo in self._state.algos.open(symbol):
            if algo.close_position and reducible(algo.side) == 0:
                self.update_algo(replace(algo, status=AlgoStatus.EXPIRED))
