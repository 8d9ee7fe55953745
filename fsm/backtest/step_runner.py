"""Carries intents out on the in-process exchange at once, and brings each outcome back to the engine as an event."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from exchange.sim.account_api import AccountApi
from exchange.types import Outcome, Refused, Room
from fsm.core.engine import Engine
from fsm.core.model.decision import Step
from fsm.core.model.events import IntentEnded, Means, SetupEnded, SymbolEvent, SymbolObserved
from fsm.core.model.intents import (
    CancelAlgo,
    CancelEntry,
    ClosePosition,
    EnsureSetup,
    Intent,
    Look,
    PlaceEntry,
    PlaceStop,
    PlaceTarget,
    SweepOrders,
)
from fsm.core.model.records import State
from fsm.core.observation import look_request
from fsm.core.step_order import Act, following, in_order

ROUNDS_MAX = 200
"""More steps than this from one event would be a loop, not trading."""

Settle = Callable[[str, Intent, Outcome | None, int], None]
"""Told of each intent's end: its outbox name, the intent, its outcome (None: dropped or only a look), the time."""


class InstantStepRunner:
    """The backtest's executor: the same order of intents and outcomes as the live one, without waiting."""

    def __init__(
        self,
        engine: Engine,
        account: AccountApi,
        settle: Settle,
        on_step: Callable[[Step], None],
        refusal: Callable[[str, int], Refused | None],
    ) -> None:
        """``refusal(symbol, now_ms)``: an entry comes to nothing."""
        self._engine = engine
        self._account = account
        self._settle = settle
        self._on_step = on_step
        self._refusal = refusal

    def run(self, steps: Iterable[Step]) -> None:
        """Carry out every intent of these steps, and of the steps that follow from them, in order."""
        waiting = deque(steps)
        for step in waiting:
            self._on_step(step)
        rounds = 0
        while waiting:
            rounds += 1
            if rounds > ROUNDS_MAX:
                raise RuntimeError(f"{waiting[0].symbol}: more than {ROUNDS_MAX} steps follow from one event")
            for event in self._outcomes(waiting.popleft()):
                followers = self._engine.handle(event)
                for follower in followers:
                    self._on_step(follower)
                waiting.extend(followers)

    def look(self, symbol: str) -> None:
        """Something happened at the exchange: read the symbol back and let the engine judge it."""
        self.run(self._engine.handle(self._observe(symbol)))

    def _outcomes(self, step: Step) -> Iterable[SymbolEvent]:
        """Carry out one row's intents, in the order that the core gives."""
        order = in_order(deque(step.intents), lambda: self._engine.record(step.symbol).state)
        upcoming = next(order, None)
        while upcoming is not None:
            outcome: Outcome | None = None
            name, intent = upcoming.name, upcoming.intent
            if upcoming.act is Act.SEND:
                outcome = self._do(intent)
            self._settle(name, intent, outcome, self._account.now_ms)
            if upcoming.act is Act.LOOK:
                yield self._observe(step.symbol)
            elif outcome is not None:
                yield self._event(intent, outcome)
                if isinstance(intent, PlaceEntry) and self._engine.record(step.symbol).state is State.ENTERING:
                    yield self._observe(step.symbol)
            upcoming = following(order, outcome)

    def _do(self, intent: Intent) -> Outcome:
        account = self._account
        match intent:
            case EnsureSetup(symbol=symbol, margin_type=margin_type, leverage=leverage):
                return account.ensure_setup(symbol, margin_type, leverage)
            case PlaceEntry(symbol=symbol) if (refused := self._refusal(symbol, account.now_ms)) is not None:
                return refused
            case PlaceEntry(request=order) | ClosePosition(request=order):
                return account.place_order(order)
            case PlaceStop(request=algo) | PlaceTarget(request=algo):
                return account.place_algo(algo)
            case CancelEntry(symbol=symbol, client_id=client_id):
                return account.cancel_order(symbol, client_id)
            case CancelAlgo(symbol=symbol, client_id=client_id):
                return account.cancel_algo(symbol, client_id)
            case SweepOrders(symbol=symbol, client_ids=client_ids):
                return account.sweep(symbol, client_ids)
            case Look():
                raise AssertionError("a look is not an order")

    def _event(self, intent: Intent, outcome: Outcome) -> SymbolEvent:
        prices = self._account.prices(intent.symbol)
        if isinstance(intent, EnsureSetup):
            return SetupEnded(
                symbol=intent.symbol,
                at_ms=self._account.now_ms,
                outcome=outcome,
                prices=prices,
                open_quantity=self._account.held(intent.symbol),
                means=self._means(intent.symbol),
            )
        return IntentEnded(
            symbol=intent.symbol, at_ms=self._account.now_ms, intent=intent, outcome=outcome, prices=prices
        )

    def _means(self, symbol: str) -> Means:
        """The assumed book, and no limits of requests: one after the other they never come near any."""
        trade = self._engine.record(symbol).trade
        return Means(room=Room(), book=self._account.book(symbol, None if trade is None else trade.quantity))

    def _observe(self, symbol: str) -> SymbolObserved:
        request = look_request(self._engine.record(symbol), self._engine.context(symbol))
        snapshot = self._account.look(symbol, request)
        return SymbolObserved(symbol=symbol, at_ms=self._account.now_ms, snapshot=snapshot)
