"""Risk that adds up: what positions that move together lose together, and what one more would add to it.

Two positions whose prices correlate at ρ add up to √(a² + b² + 2ρab) where they have the same direction. Where they
hedge each other (ρ below 0, or opposite directions) nothing is taken off: what moved apart for a month may fall
together today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from fsm.core.model.decision_context import Commitment
from fsm.core.model.policy import Policy
from fsm.core.model.records import ZERO

Correlation = Callable[[str, str], Decimal]
"""Of two symbols' prices, between -1 and 1."""


class SharedRisk(msgspec.Struct, frozen=True, kw_only=True):
    """USDT that all positions risk together, and the pull of each on one more: Σ risk × shared correlation."""

    together: Decimal
    pull_long: Decimal
    pull_short: Decimal


def as_one(one: str, other: str) -> Decimal:
    """Where nobody measures: as if all prices moved as one."""
    del one, other
    return Decimal(1)


def by_symbol(active: Mapping[str, Commitment], foreign: Mapping[str, Commitment]) -> dict[str, Commitment]:
    """A trade of ours and what is beside it in the same symbol count as one, in the direction of the larger risk."""
    held = dict(active)
    for symbol, other in foreign.items():
        ours = held.get(symbol, other)
        if ours is not other:
            sign = ours.sign if ours.risk >= other.risk else other.sign
            in_flight = ours.margin_in_flight + other.margin_in_flight
            ours = Commitment(ours.risk + other.risk, ours.notional + other.notional, in_flight, sign)
        held[symbol] = ours
    return held


def risk_of(committed: Iterable[Commitment], sign: int) -> Decimal:
    """What one direction risks: +1 long, -1 short."""
    return sum((each.risk for each in committed if each.sign == sign), ZERO)


def shared_risk(held: Mapping[str, Commitment], correlation: Correlation, symbol: str = "") -> SharedRisk:
    """Of what is held; the pulls are those on a position in ``symbol``."""
    names = sorted(held)
    squares = sum((held[name].risk ** 2 for name in names), ZERO)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            shared = max(ZERO, held[one].sign * held[other].sign * correlation(one, other))
            squares += 2 * held[one].risk * held[other].risk * shared
    pulls = {1: ZERO, -1: ZERO}
    for name in names if symbol else ():
        how = Decimal(1) if name == symbol else correlation(symbol, name)
        for sign in pulls:
            pulls[sign] += held[name].risk * max(ZERO, sign * held[name].sign * how)
    return SharedRisk(together=_rounded(squares.sqrt()), pull_long=_rounded(pulls[1]), pull_short=_rounded(pulls[-1]))


def capped_risks(
    held: Mapping[str, Commitment], correlation: Correlation, policy: Policy, symbol: str
) -> dict[str, Decimal]:
    """The fields of a Portfolio that tell of it, measured only where config.yaml caps them."""
    found: dict[str, Decimal] = {}
    if policy.risk.max_same_direction_risk_pct is not None:
        found |= {"risk_long": risk_of(held.values(), 1), "risk_short": risk_of(held.values(), -1)}
    if policy.risk.max_correlated_risk_pct is not None:
        shared = shared_risk(held, correlation, symbol)
        found |= {"correlated_risk": shared.together, "pull_long": shared.pull_long, "pull_short": shared.pull_short}
    return found


def _rounded(amount: Decimal) -> Decimal:
    """To the exchange's eight decimals; nothing is plain 0."""
    return round(amount, 8) if amount else ZERO


def with_one_more(together: Decimal, pull: Decimal, risk: Decimal) -> Decimal:
    """What all positions risk together with one more that risks so much."""
    return round((together**2 + 2 * pull * risk + risk**2).sqrt(), 8)


def independent_positions(held: Mapping[str, Commitment], together: Decimal) -> Decimal:
    """How many independent positions the positions are: (Σ risk / risk together)²; 0 without risk."""
    total = sum((each.risk for each in held.values()), ZERO)
    return round((total / together) ** 2, 2) if together > 0 else ZERO
