"""Makes a failing run small: fewer disturbances and an earlier end, as long as the same claim fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from fsm.proofs.torture.plan import HOUR_MS, Disturbance, Plan
from fsm.proofs.torture.run import Outcome

TRIES_MAX = 60
Try = Callable[[Plan], Outcome]


def shrink(plan: Plan, outcome: Outcome, again: Try) -> tuple[Plan, Outcome]:
    """The smallest plan found in ``TRIES_MAX`` runs that still breaks the claim that was broken first."""
    claim = outcome.violations[0].claim
    search = _Search(claim, again)
    end_ms = min(plan.end_ms, outcome.violations[0].at_ms + HOUR_MS)
    kept = [each for each in plan.disturbances if each.at_ms <= outcome.violations[0].at_ms]
    small = replace(plan, disturbances=tuple(kept), end_ms=end_ms)
    found = search.fails(small)
    if found is None:
        return plan, outcome
    best, parts = (small, found), 2
    while len(best[0].disturbances) >= 1 and search.left > 0:
        smaller = _without_a_part(best[0], parts, search)
        if smaller is not None:
            best, parts = smaller, max(parts - 1, 2)
        elif parts >= len(best[0].disturbances):
            break
        else:
            parts = min(parts * 2, len(best[0].disturbances))
    return best


class _Search:
    def __init__(self, claim: str, again: Try) -> None:
        self._claim = claim
        self._again = again
        self.left = TRIES_MAX

    def fails(self, plan: Plan) -> Outcome | None:
        """Run it; the outcome when the same claim is broken."""
        if self.left <= 0:
            return None
        self.left -= 1
        outcome = self._again(plan)
        same = outcome.violations and outcome.violations[0].claim == self._claim
        return outcome if same else None


def _without_a_part(plan: Plan, parts: int, search: _Search) -> tuple[Plan, Outcome] | None:
    """Leave out one of ``parts`` equal pieces of the list of disturbances."""
    pieces = _pieces(plan.disturbances, parts)
    for number in range(len(pieces)):
        rest = tuple(each for place, piece in enumerate(pieces) if place != number for each in piece)
        smaller = replace(plan, disturbances=rest)
        outcome = search.fails(smaller)
        if outcome is not None:
            return smaller, outcome
    return None


def _pieces(found: Sequence[Disturbance], parts: int) -> list[Sequence[Disturbance]]:
    size = max(1, -(-len(found) // parts))
    return [found[start : start + size] for start in range(0, len(found), size)]
