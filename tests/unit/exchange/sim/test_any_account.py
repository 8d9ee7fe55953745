"""Whatever is asked of the simulated exchange, in any order: refusals by its rules, money by its book.

Beside it runs a small account of its own: the position and its average entry from the fills, what may be refused from
what is open. It shares no code with the exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exchange.errors import Refusal
from exchange.sim.core import admission
from exchange.sim.core.matching import Matching
from exchange.types import ConditionalType, Side, TimeInForce
from tests.effort import examples
from tests.unit.exchange.sim.conftest import SYMBOL, Desk

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
SIDES = st.sampled_from([BUY, SELL])
LOTS = st.integers(1, 40).map(lambda lots: str(D(lots) / 1000))
OFFSETS = st.integers(-60, 60)
GRAIN = D("1E-6")  # what the ledger's rounding may add up to


class Shadow:
    """Position, average entry and profit, from the fills alone."""

    def __init__(self) -> None:
        self.quantity = self.entry = self.profit = D(0)

    def fill(self, side: Side, price: Decimal, quantity: Decimal) -> None:
        signed = quantity if side is BUY else -quantity
        if self.quantity * signed >= 0:
            held = abs(self.quantity)
            self.entry = (self.entry * held + price * quantity) / (held + quantity)
            self.quantity += signed
            return
        closing = min(quantity, abs(self.quantity))
        self.profit += (price - self.entry) * closing * (1 if self.quantity > 0 else -1)
        self.quantity += closing if signed > 0 else -closing
        if quantity > closing:
            self.entry, self.quantity = price, (quantity - closing) * (1 if signed > 0 else -1)


class AnyAccount(RuleBasedStateMachine):
    """One account, one symbol, and everything that can be done with it."""

    @initialize(shallow=st.booleans(), isolated=st.booleans())
    def an_account_is_opened(self, shallow: bool, isolated: bool) -> None:
        self.desk = Desk(depth_usdt=D("700") if shallow else None, isolated=isolated)
        self.shadow = Shadow()
        self.fills_read = self.rows_read = 0
        self.wallet = D(1000)

    # --- what is asked ----------------------------------------------------------------------------
    @rule(side=SIDES, lots=LOTS)
    def buy_or_sell(self, side: Side, lots: str) -> None:
        self._ask(lambda: self.desk.market(side, lots))

    @precondition(lambda self: self._position())
    @rule(lots=LOTS)
    def reduce(self, lots: str) -> None:
        self._ask(lambda: self.desk.market(self._exit_side(), lots, reduce_only=True))

    @precondition(lambda self: self._position())
    @rule()
    def close_it_all(self) -> None:
        self._ask(lambda: self.desk.market(self._exit_side(), str(abs(self._position()))))

    @rule(side=SIDES, lots=LOTS)
    def reduce_only_of_either_side(self, side: Side, lots: str) -> None:
        """-2022 exactly where nothing is left to reduce beside what already waits to reduce it; -4118 where orders that
        could close stand in the way."""
        same = [order for order in self.desk.venue.open_orders(SYMBOL) if order.side is side]
        waiting = {
            kind: sum((o.quantity - o.executed_quantity for o in same if o.reduce_only is kind), D(0))
            for kind in (True, False)
        }
        reducible = abs(self._position()) if self._position() * side.sign < 0 else D(0)
        code = self._ask(lambda: self.desk.market(side, lots, reduce_only=True))
        assert (code == -2022) == (reducible == 0 or waiting[True] >= reducible)
        if code == -4118:
            assert waiting[False] >= reducible

    @rule(side=SIDES, lots=LOTS, offset=OFFSETS, reduce_only=st.booleans())
    def leave_a_limit(self, side: Side, lots: str, offset: int, reduce_only: bool) -> None:
        price = self._price(offset)
        self._ask(lambda: self.desk.limit(side, lots, price, TimeInForce.GTC, reduce_only=reduce_only))

    @rule(side=SIDES, offset=OFFSETS, stop=st.booleans(), by_mark=st.booleans())
    def close_the_position_at(self, side: Side, offset: int, stop: bool, by_mark: bool) -> None:
        """-4509 exactly without a position to close, -4130 exactly beside one of its kind."""
        kind = ConditionalType.STOP_MARKET if stop else ConditionalType.TAKE_PROFIT_MARKET
        open_ones = [algo for algo in self.desk.venue.open_algos(SYMBOL) if algo.close_position]
        twin = any(algo.side is side and algo.type == kind.value for algo in open_ones)
        closes = self._position() * side.sign < 0
        price = self._price(offset)
        code = self._ask(lambda: self.desk.conditional(kind, side, price, by_mark=by_mark))
        assert (code == -4509) == (not closes)
        assert (code == -4130) == (closes and twin)

    @rule(side=SIDES, lots=LOTS, offset=OFFSETS, stop=st.booleans(), reduce_only=st.booleans())
    def leave_a_conditional(self, side: Side, lots: str, offset: int, stop: bool, reduce_only: bool) -> None:
        place = self.desk.stop if stop else self.desk.target
        price = self._price(offset)
        self._ask(lambda: place(side, price, lots, reduce_only=reduce_only))

    @rule(lots=LOTS)
    def the_same_id_again(self, lots: str) -> None:
        """-4116 while an order of this id is open (R16)."""
        name, price = self.desk.next_id(), self._price(-55)
        first = self._ask(lambda: self.desk.limit(BUY, lots, price, client_id=name))
        again = self._ask(lambda: self.desk.limit(BUY, lots, price, client_id=name))
        if first is None and self.desk.venue.order(SYMBOL, client_id=name).status.is_open:
            assert again == -4116

    @rule()
    def cancel_all(self) -> None:
        self.desk.venue.cancel_all_orders(SYMBOL)
        assert self.desk.venue.open_orders(SYMBOL) == []

    @rule(amount=st.integers(1, 40), out=st.booleans())
    def move_money(self, amount: int, out: bool) -> None:
        available = self.desk.venue.account().available_balance
        code = self._ask(lambda: (self.desk.venue.withdraw if out else self.desk.venue.deposit)(D(amount)))
        assert (code == -2018) == (out and amount > available)

    # --- what happens -----------------------------------------------------------------------------
    @rule(offset=OFFSETS, seconds=st.integers(1, 90))
    def prices_jump(self, offset: int, seconds: int) -> None:
        self.desk.jump(self._price(offset), after_ms=seconds * 1000)

    @rule(offset=OFFSETS, mark_offset=st.integers(-5, 5))
    def prices_move(self, offset: int, mark_offset: int) -> None:
        self.desk.move(self._price(offset), self._price(offset + mark_offset))

    @rule(rate=st.integers(-60, 60))
    def funding_is_settled(self, rate: int) -> None:
        venue, before = self.desk.venue, self.desk.wallet
        share = D(rate) / 10_000
        due = self._position() * venue.mark_price(SYMBOL).mark_price * share
        venue.settle_funding(SYMBOL, share, venue.now_ms)
        assert abs(before - due - self.desk.wallet) <= GRAIN

    # --- what must hold ---------------------------------------------------------------------------
    @invariant()
    def fills_make_the_position_and_the_profit(self) -> None:
        """R15, R43: reduce-only never enlarges or turns; the average entry and the profit are what fills make them."""
        venue = self.desk.venue
        for fill in venue.fills(SYMBOL, after_fill_id=self.fills_read):
            before = self.shadow.quantity
            self.shadow.fill(fill.side, fill.price, fill.quantity)
            self.fills_read = fill.fill_id
            if venue.order(SYMBOL, order_id=fill.order_id).reduce_only:
                assert abs(self.shadow.quantity) < abs(before)
                assert self.shadow.quantity * before >= 0
            assert fill.commission > 0
        position = self.desk.position
        assert position.quantity == self.shadow.quantity
        if position.quantity:
            assert abs(position.entry_price - self.shadow.entry) <= GRAIN
            unrealized = (position.mark_price - self.shadow.entry) * self.shadow.quantity
            assert abs(position.unrealized_pnl - unrealized) <= GRAIN
        realized = sum((row.income for row in venue.income(kind="REALIZED_PNL")), D(0))
        assert abs(realized - self.shadow.profit) <= GRAIN

    @invariant()
    def the_wallet_is_its_book(self) -> None:
        """R43: nothing changes the wallet that has no row."""
        rows = self.desk.venue.income()
        self.wallet += sum((row.income for row in rows[self.rows_read :]), D(0))
        self.rows_read = len(rows)
        account = self.desk.venue.account()
        assert account.wallet_balance == self.wallet
        assert account.equity == account.wallet_balance + account.unrealized_pnl
        assert account.available_balance >= 0

    @invariant()
    def orders_that_close_end_with_their_position(self) -> None:
        for algo in self.desk.venue.open_algos(SYMBOL):
            assert algo.status.is_open
            if algo.close_position:
                assert self._position() * algo.side.sign < 0

    @invariant()
    def nothing_executes_more_than_was_asked(self) -> None:
        for order in self.desk.venue.open_orders(SYMBOL):
            assert order.status.is_open
            assert 0 <= order.executed_quantity < order.quantity

    # --- words ------------------------------------------------------------------------------------
    def _ask(self, call: Callable[[], Any]) -> int | None:
        """The code with which it is refused, if it is: then nothing has changed."""
        before = self.desk.venue.save()
        code: int | None = None
        try:
            call()
        except Refusal as refusal:
            code = refusal.code
        assert code is None or self.desk.venue.save() == before, f"a refusal ({code}) changed something"
        return code

    def _position(self) -> Decimal:
        return self.desk.position.quantity

    def _exit_side(self) -> Side:
        return SELL if self._position() > 0 else BUY

    def _price(self, offset: int) -> str:
        last = self.desk.venue.mark_price(SYMBOL).last_price
        return str((last * (1000 + offset) / 1000).quantize(D("0.1")))


BROKEN: dict[str, tuple[type | ModuleType, str, Any]] = {
    "reduce-only fills are not clamped": (Matching, "_allowed", lambda self, order: order.remaining),
    "closePosition orders outlive their position": (Matching, "_expire_close_position", lambda self, symbol: None),
    "a second closePosition order is accepted": (admission, "_check_close_position", lambda state, request: None),
    "an order can be reduce-only where nothing is": (admission, "check_reduce_only", lambda *given: None),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_exchange_does_not_get_through(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[fault])
    generate_only = settings(
        max_examples=100, stateful_step_count=40, phases=[Phase.generate], print_blob=False, derandomize=True
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(AnyAccount, settings=generate_only)


def test_whatever_is_asked_its_rules_and_its_book_hold() -> None:
    run_state_machine_as_test(AnyAccount, settings=settings(max_examples=examples(60), stateful_step_count=40))
