"""What must hold after every step of torture (design: invariants), and the checker that looks for it.

The checker knows the truth, which is the simulator's own state, and what the bot has been told. It only remembers
violations; whoever runs the world asks for them, since the shell would take an exception for a fault of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from exchange.client_ids import ClientId, Leg, parse
from exchange.filters import SymbolFilters
from exchange.sim.core.events import Execution, OrderUpdated, VenueEvent
from exchange.sim.core.venue import Venue
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    MarginType,
    OrderRequest,
    OrderType,
    Position,
    Side,
    SymbolSnapshot,
)
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.intents import CancelAlgo
from fsm.core.model.policy import Risk
from fsm.core.model.records import ZERO, SymbolRecord
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import planned_stop
from fsm.core.releasing import cancels_stop
from fsm.core.stop_route import smallest
from fsm.live.context.live_context import LiveContext
from fsm.proofs.torture.known_rules import KnownRules
from fsm.proofs.torture.naked_time import SLACK_S, UNSEEN_S_MAX, NakedTimeChecker, Verdict
from fsm.proofs.torture.promises import CLAIMS

HOUR_MS = 3_600_000
SMALL_SLACK = Decimal("1.5")
EXPOSURE_TOLERANCE = Decimal("1.05")
"""Limits are judged at the price of the decision; by the time the order leaves, prices may have moved this much."""


class Violation(msgspec.Struct, frozen=True):
    """A claim that does not hold, when (simulated ms), and what was found."""

    claim: str
    found: str
    at_ms: int


class InvariantChecker:
    """One for a whole run; it outlives the daemons. ``committed`` asks the database whether it knows a client id."""

    def __init__(self, venue: Venue, monotonic: Callable[[], float], committed: Callable[[str], bool]) -> None:
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.touched: set[str] = set()
        self.unreliable_until_s = float("-inf")
        self.recent: deque[str] = deque(maxlen=40)
        self._venue = venue
        self._monotonic = monotonic
        self._committed = committed
        self._sent: set[str] = set()
        self._filled: dict[str, int] = {}
        self._executed: dict[tuple[str, int], str] = {}
        self._entered: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
        self._closed: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
        self.judge = NakedTimeChecker(venue.state, monotonic)
        venue.state.witnesses.append(self._happened)
        self.rules = KnownRules(venue.state, monotonic)
        self.never_listed: Callable[[str, int], bool] = lambda symbol, candle_ms: False
        self.taken_over: dict[str, frozenset[str]] = {}
        self.ever_taken_over: set[str] = set()
        self._deadline_s = 0.0
        self._live: LiveContext | None = None

    def follow(self, live: LiveContext | None) -> None:
        """This daemon is the one that acts from now on; None: there is none."""
        self._live = live

    def check(self, claim: str, holds: bool, found: str) -> None:
        assert claim in CLAIMS
        self.counts[claim] += 1
        if not holds:
            self.violations.append(Violation(claim, found, self._venue.now_ms))

    # --- truth --------------------------------------------------------------------------------
    def quantity(self, symbol: str) -> Decimal:
        holding = self._venue.state.holdings.get(symbol)
        return ZERO if holding is None else holding.quantity

    def has_stop(self, symbol: str, but: str = "") -> bool:
        """A stop that would close the whole position lives, or is just being carried out."""
        quantity = self.quantity(symbol)
        for algo in self._venue.state.algos.open(symbol):
            closes = algo.type is ConditionalType.STOP_MARKET and (algo.side.sign * quantity) < 0
            whole = algo.close_position or (algo.quantity or ZERO) >= abs(quantity)
            if closes and whole and algo.client_id != but:
                return True
        return False

    def is_naked(self, symbol: str) -> bool:
        return self.judge.is_naked(symbol)

    # --- what leaves --------------------------------------------------------------------------
    def order_leaves(self, request: OrderRequest) -> None:
        parts = self._ours(request.client_id)
        if parts is None:
            return
        self.check("COMMITTED_FIRST", self._committed(request.client_id), f"{request.client_id} is not in the outbox")
        self._check_filters(request)
        self._check_left_alone(request.symbol, request.client_id)
        if parts.leg is Leg.ENTRY:
            self.check("SENT_ONCE", request.client_id not in self._sent, f"{request.client_id} leaves a second time")
            self._sent.add(request.client_id)
            self._check_limits(request)
        else:
            self.check("REDUCE_ONLY", request.reduce_only, f"{request.client_id} could open a position")

    def algo_leaves(self, request: AlgoRequest) -> None:
        parts = self._ours(request.client_id)
        if parts is None:
            return
        if parts.leg is not Leg.PROBE:
            known = self._follows_from_a_plan(request) or self._committed(request.client_id)
            self.check("COMMITTED_FIRST", known, f"{request.client_id} is not in the outbox")
        reduces = request.close_position or request.reduce_only
        self.check("REDUCE_ONLY", reduces, f"{request.client_id} could open a position")
        self._check_algo_filters(request)
        self._check_left_alone(request.symbol, request.client_id)

    def _check_algo_filters(self, request: AlgoRequest) -> None:
        """By the rules of now, or by those that the bot knows of."""
        known, price, quantity = self.rules.of(request.symbol), request.trigger_price, request.quantity
        on_tick = any((price - filters.price_min) % filters.tick_size == 0 for filters in known)
        self.check("FILTERS", on_tick, f"{request.client_id}: trigger {price} is between ticks")
        if quantity is not None:
            on_step = any(quantity % filters.market_step_size == 0 for filters in known)
            self.check("FILTERS", on_step, f"{request.client_id}: quantity {quantity} is between steps")

    def _check_left_alone(self, symbol: str, client_id: str) -> None:
        """A stop that was on the move as the operator took the position over may come to rest still."""
        parts = parse(client_id)
        if parts is None or parts.leg in (Leg.PROBE, Leg.STOP, Leg.BRIDGE):
            return
        held = symbol in self.taken_over and self.quantity(symbol) != 0
        self.check("HANDED_OVER", not held, f"{client_id} leaves for {symbol}, which the operator took over")

    def _follows_from_a_plan(self, request: AlgoRequest) -> bool:
        """The stop of the trade as it is committed: it leaves at the stream's word of a fill, or as a journal fails."""
        trade = self._live.engine.record(request.symbol).trade if self._live is not None else None
        if trade is None or self._live is None or not request.close_position:
            return False
        return planned_stop(trade, self._live.engine.context(request.symbol)).request == request

    def _happened(self, event: VenueEvent) -> None:
        """An order of ours arrived at the venue or was filled there, whether or not the answer will be heard."""
        if not isinstance(event, OrderUpdated):
            return
        order = event.order
        parts = parse(order.client_id)
        if parts is None:
            return
        if event.fill is not None:
            first = self._filled.setdefault(order.client_id, order.order_id)
            self.check("SENT_ONCE", first == order.order_id, f"{order.client_id} was filled a second time")
            self._fills(parts, event.fill.quantity)
        if parts.leg is Leg.ENTRY and event.execution is Execution.NEW:
            key = (parts.symbol_tag, parts.trade_number)
            other = self._executed.setdefault(key, order.client_id)
            self.check("SENT_ONCE", other == order.client_id, f"{order.client_id} and {other} are entries of one trade")

    def _fills(self, parts: ClientId, quantity: Decimal) -> None:
        trade = (parts.symbol_tag, parts.trade_number)
        if parts.leg is Leg.ENTRY:
            self._entered[trade] += quantity
        elif parts.leg is Leg.CLOSE:
            self._closed[trade] += quantity
            entered, closed = self._entered[trade], self._closed[trade]
            self.check("OURS_ONLY", closed <= entered, f"closes of trade {trade[1]} took {closed}, it had {entered}")

    def algo_is_cancelled(self, symbol: str, client_id: str) -> None:
        self.check("OURS_ONLY", parse(client_id) is not None, f"{client_id} is not ours and is cancelled")
        found = self._venue.state.algos.find(client_id)
        stops = found is not None and found.status.is_open and found.type is ConditionalType.STOP_MARKET
        probes = (parts := parse(client_id)) is not None and parts.leg is Leg.PROBE  # of the self-test: nobody's stop
        if stops and not probes and symbol in self.taken_over and client_id not in self.taken_over[symbol]:
            left = self.quantity(symbol) == 0 or not self.has_stop(symbol) or self.has_stop(symbol, but=client_id)
            self.check("HANDED_OVER", left, f"{client_id} was the stop of {symbol}, which the operator took over")
        if not stops or not self.has_stop(symbol) or not self._is_this_trades(symbol):
            return
        self.check("STOP_KEPT", self.has_stop(symbol, but=client_id), f"{client_id} was the last stop of {symbol}")

    def _is_this_trades(self, symbol: str) -> bool:
        """Something is open, and nothing of it is another hand's or a given-up entry's that came after all."""
        trade = self._live.engine.record(symbol).trade if self._live is not None else None
        held = abs(self.quantity(symbol))
        return trade is not None and symbol not in self.touched and 0 < held <= trade.open_quantity

    def order_is_cancelled(self, client_id: str) -> None:
        self.check("OURS_ONLY", parse(client_id) is not None, f"{client_id} is not ours and is cancelled")

    def _ours(self, client_id: str) -> ClientId | None:
        parts = parse(client_id)
        self.check("COMMITTED_FIRST", parts is not None, f"{client_id} has no name of ours")
        return parts

    def _check_filters(self, request: OrderRequest) -> None:
        mark = self._venue.state.quotes[request.symbol].mark
        wrong = [_against(filters, request, mark) for filters in self.rules.of(request.symbol)]
        self.check("FILTERS", not all(wrong), f"{request.client_id}: {wrong[0]}")

    def _check_limits(self, request: OrderRequest) -> None:
        live = self._live
        read = None if live is None else live.engine.equity
        if live is None or read is None:
            return
        engine, settings = live.engine, live.active.settings
        risk, equity = settings.risk, read.account.equity
        portfolio, config = engine.portfolio(), self._venue.state.config(request.symbol)
        wanted = settings.account.leverage
        self.check("LIMITS", config.leverage == wanted, f"{request.symbol} stands at {config.leverage}×, not {wanted}×")
        isolated = config.margin_type is MarginType.ISOLATED
        self.check("LIMITS", isolated, f"{request.symbol} is not isolated")
        if self._monotonic() < self.unreliable_until_s:
            return
        entering = len(engine.active())
        self.check(
            "LIMITS", entering <= risk.max_open_positions, f"{entering} trades, {risk.max_open_positions} may be"
        )
        records = {record.symbol: record for record in engine.machines.records()}
        held = {name for name, record in records.items() if record.trade is not None and self.quantity(name)}
        really = len(held | {request.symbol})
        self.check("LIMITS", really <= risk.max_open_positions, f"{really} positions with {request.symbol}'s entry")
        allowed = equity * EXPOSURE_TOLERANCE
        exposed = portfolio.exposure * 100 <= allowed * risk.max_exposure_pct
        self.check("LIMITS", exposed, f"exposure {portfolio.exposure:f} of equity {equity:f}")
        risked = portfolio.open_risk * 100 <= allowed * risk.max_open_risk_pct
        self.check("LIMITS", risked, f"open risk {portfolio.open_risk:f} of equity {equity:f}")
        self._check_shared(request.side, portfolio, risk, allowed)
        self._check_small(request, live)

    def _check_small(self, request: OrderRequest, live: LiveContext) -> None:
        """By what the exchange asks for at least, with room for a step and for prices that move. A signal of the very
        millisecond in which they begin may be older than they are."""
        steps, trade = live.engine.account.steps, live.engine.record(request.symbol).trade
        if steps is None or trade is None or not steps.is_smallest or trade.opened_ms <= steps.since_ms:
            return
        least = smallest((trade.entry_price_planned, trade.stop_price_initial), (), live.active.filters[request.symbol])
        is_small = request.quantity <= least * SMALL_SLACK and len(trade.targets) <= 1
        self.check("SMALL_STEPS", is_small, f"{request.quantity:f} of {request.symbol}, {least:f} is the smallest")

    def _check_shared(self, side: Side, portfolio: Portfolio, risk: Risk, allowed: Decimal) -> None:
        """The caps on what moves together, where this run has them. Of one direction it is that of the entry: what a
        hand holds in the other may have grown by itself."""
        one_way = portfolio.risk_long if side is Side.BUY else portfolio.risk_short
        caps = ((portfolio.correlated_risk, risk.max_correlated_risk_pct), (one_way, risk.max_same_direction_risk_pct))
        for used, cap in caps:
            if cap is not None:
                self.check("LIMITS", used * 100 <= allowed * cap, f"{used:f} at risk together, {cap} % may be")

    # --- what is decided ----------------------------------------------------------------------
    def stepped(self, step: Step) -> None:
        self.recent.append(
            f"{step.symbol} {step.source.value} → {step.dest.value} by {step.trigger.value} {step.reason}"
        )
        live = self._live
        if live is None:
            return
        record, account = live.engine.record(step.symbol), live.engine.account
        if step.trigger in (Trigger.SIGNAL, Trigger.ENTER):
            blocked = record.halt or record.quarantine or record.paused or account.halt or account.paused
            self.check("NO_ENTRY_WHILE_BLOCKED", not blocked, f"{step.symbol} {step.trigger.value}: {blocked}")
            if step.trigger is Trigger.SIGNAL:
                candle_ms = step.at_ms - step.at_ms % HOUR_MS - HOUR_MS
                listed = not self.never_listed(step.symbol, candle_ms)
                self.check(
                    "NOTHING_ON_HOLES", listed, f"{step.symbol}: a signal on the candle that opened at {candle_ms}"
                )
        elif step.trigger is Trigger.RELEASE and step.reason != "FOREIGN_GONE":
            self.touched.add(step.symbol)
            self.ever_taken_over.add(step.symbol)
            cancels = {intent.client_id for _, intent in step.intents if isinstance(intent, CancelAlgo)}
            if cancels_stop(record):
                cancels |= {algo.client_id for algo in self._venue.state.algos.open(step.symbol)}
            earlier = self.taken_over.get(step.symbol, frozenset())  # what he asked for a moment ago is on its way
            self.taken_over[step.symbol] = earlier | cancels
        elif step.trigger is Trigger.RELEASE and self.quantity(step.symbol) == 0:
            self.taken_over.pop(step.symbol, None)  # what he took over is closed: what comes now is ours again
        elif step.trigger is Trigger.FLAT and step.symbol not in self.touched:
            left = self.quantity(step.symbol)
            self.check("FLAT_IS_FLAT", left == 0, f"{step.symbol} was booked as flat with {left} open")

    # --- what is seen -------------------------------------------------------------------------
    def saw(self, answer: object) -> None:
        """The bot was told of positions, and by a look also whether they have stops."""
        if isinstance(answer, SymbolSnapshot):
            if answer.position is not None and answer.position.quantity != 0:
                stops = (algo for algo in answer.algo_orders if algo.status.is_open)
                bare = all(algo.type != ConditionalType.STOP_MARKET.value for algo in stops)
                self.judge.word(answer.symbol, of_stop=bare)
        elif isinstance(answer, list):
            for row in answer:
                if isinstance(row, Position) and row.quantity != 0:
                    self.judge.word(row.symbol)

    def look(self, *, fair_since_s: float) -> None:
        """After every step of the world. ``fair_since_s``: since when nothing kept the bot from seeing."""
        live = self._live
        if live is not None:
            self._deadline_s = live.deadline_ms / 1000
            for failure in live.engine.failures:
                self.check("NO_EXCEPTION", False, f"{failure.symbol} {failure.event}: {failure.error}")
        for verdict in self.judge.verdicts():
            symbol = verdict.naked.symbol
            if symbol not in self.touched:
                self._check_naked(verdict, fair_since_s)
        if live is not None:
            for symbol in list(self.touched):
                self._forget_touch(symbol, record_of(live, symbol))

    def _check_naked(self, verdict: Verdict, fair_since_s: float) -> None:
        state = "no process" if self._live is None else record_of(self._live, verdict.naked.symbol).state
        found = f"{verdict.in_words}, {self.quantity(verdict.naked.symbol)} in {state}"
        if verdict.told:
            self.check("NAKED_TOO_LONG", verdict.blamed_s <= self._deadline_s + SLACK_S, found)
        else:
            until_s = verdict.naked.until_s or self._monotonic()
            unseen_s = min(verdict.blamed_s, until_s - max(verdict.naked.from_s, fair_since_s))
            self.check("NAKED_UNSEEN", unseen_s <= UNSEEN_S_MAX, found)

    def _forget_touch(self, symbol: str, record: SymbolRecord) -> None:
        """What a person did by hand is over once nothing is open any more."""
        if self.quantity(symbol) == 0 and record.trade is None:
            names = [order.client_id for order in self._venue.state.orders.open(symbol)]
            names += [algo.client_id for algo in self._venue.state.algos.open(symbol)]
            if all((parts := parse(name)) is not None and parts.leg is Leg.PROBE for name in names):
                self.touched.discard(symbol)
                self.taken_over.pop(symbol, None)


def _against(filters: SymbolFilters, request: OrderRequest, mark: Decimal) -> str:
    """What of these rules the order does not obey; empty: nothing."""
    market = request.type is OrderType.MARKET
    step = filters.market_step_size if market else filters.step_size
    low = filters.market_quantity_min if market else filters.quantity_min
    high = filters.market_quantity_max if market else filters.quantity_max
    if request.quantity % step or not low <= request.quantity <= high:
        return f"quantity {request.quantity} (step {step}, {low} to {high})"
    if request.price is not None and (request.price - filters.price_min) % filters.tick_size:
        return f"price {request.price} is between ticks"
    notional = request.quantity * (request.price or mark)
    if not request.reduce_only and notional < filters.notional_min * Decimal("0.98"):
        return f"{notional:f} is under the least notional"
    return ""


def record_of(live: LiveContext, symbol: str) -> SymbolRecord:
    """An empty one where this process knows nothing of the symbol: disabled, and nothing of ours open there."""
    known = {record.symbol: record for record in live.engine.machines.records()}
    return known.get(symbol, SymbolRecord(symbol=symbol))


def same_records(before: Mapping[str, SymbolRecord], after: Mapping[str, SymbolRecord]) -> str:
    """The first difference between two sets of records in words, or an empty text."""
    for symbol, record in before.items():
        other = after.get(symbol)
        if other is None and record != SymbolRecord(symbol=symbol):
            return f"{symbol} is gone"
        if other is not None and other != record:
            fields = [name for name in record.__struct_fields__ if getattr(record, name) != getattr(other, name)]
            return f"{symbol}: {', '.join(fields)} differ"
    return ""
