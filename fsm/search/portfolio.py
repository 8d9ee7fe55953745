"""What is free and what is at risk when one more trade is to be opened."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from fsm.backtest.past_closes import PastCloses
from fsm.config import Settings
from fsm.core.model.decision_context import Commitment
from fsm.core.shared_risk import capped_risks
from fsm.search.account import Account
from fsm.search.seat import Seat
from fsm.search.sizing import Room
from fsm.search.terms import ZERO


class Correlated:
    """How far prices move together, where config.yaml caps that."""

    def __init__(self, settings: Settings, closes: PastCloses) -> None:
        risk = settings.risk
        self.settings, self.closes = settings, closes
        self.is_capped = risk.max_correlated_risk_pct is not None or risk.max_same_direction_risk_pct is not None


def free_margin(account: Account, active: Mapping[str, Seat]) -> Decimal:
    """What a new position can use: never below zero."""
    free = account.wallet
    for seat in active.values():
        if seat.trade is not None:
            free -= seat.trade.wallet + seat.trade.order_margin()
    return max(free, ZERO)


def room_for(account: Account, active: Mapping[str, Seat], correlated: Correlated, seat: Seat, now_ms: int) -> Room:
    """Counting what is in flight."""
    risk = exposure = in_flight = ZERO
    held: dict[str, Commitment] = {}
    for symbol, other in active.items():
        assert other.trade is not None
        theirs, notional, flying = other.trade.committed()
        risk, exposure, in_flight = risk + theirs, exposure + notional, in_flight + flying
        if correlated.is_capped:
            held[symbol] = Commitment(theirs, notional, flying, other.trade.sign)
    together = {}
    if correlated.is_capped:
        correlated.closes.now_ms = now_ms
        together = capped_risks(held, correlated.closes.correlation, correlated.settings, seat.symbol)
    return Room(
        equity=account.equity,
        available=account.available - in_flight,
        open_positions=len(active),
        open_risk=risk,
        exposure=exposure,
        **together,
    )
