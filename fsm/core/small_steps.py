"""Small steps: the first trades after something new are as small as the exchange allows, and the next ones grow.

What is new (real money, another release, a looser edit) shows its mistakes in its first trades, so those must be cheap.
A count that has begun is kept with the account: no edit and no restart shortens it, only the operator does.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from fsm.core.model.policy import Policy
from fsm.core.model.records import AccountRecord, SmallSteps, Trade

ENDED = "SMALL_STEPS_ENDED"
BEGUN = "SMALL_STEPS_BEGUN"


def begun(account: AccountRecord, cause: str, at_ms: int, policy: Policy) -> AccountRecord:
    """From the first trade on, also where an earlier count was not over."""
    wanted = policy.small_steps
    if wanted.trades == 0:
        return account
    counted = SmallSteps(cause=cause, since_ms=at_ms, trades=wanted.trades, ramp_trades=wanted.ramp_trades)
    return replace(account, steps=counted)


def counted(account: AccountRecord, booked: Trade) -> tuple[AccountRecord, tuple[str, ...]]:
    """One more is over from its entry to its booking, and how the journal calls it when that was the last."""
    steps = account.steps
    if steps is None or _shows_nothing(booked, steps):
        return account, ()
    after = replace(steps, done=steps.done + 1)
    return (replace(account, steps=None), (ENDED,)) if after.is_over else (replace(account, steps=after), ())


def _shows_nothing(booked: Trade, steps: SmallSteps) -> bool:
    """What was taken over, opened before, or never filled says nothing about how the new rules trade."""
    return booked.adopted or booked.first_fill_ms is None or booked.opened_ms < steps.since_ms


def allowed(sized: Decimal, smallest: Decimal, held_back: Decimal) -> Decimal:
    """What of a sized quantity may be traded: what is not held back, or the smallest that can be; never more than
    sized."""
    return min(sized, max(sized * (1 - held_back), smallest)) if held_back else sized
