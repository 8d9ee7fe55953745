"""What the simulated exchange means by its numbers, for a bot that stands beside it in one process.

Written out a second time, not shared with the real client: a number that is wrong there must not be wrong here too.
"""

from __future__ import annotations

from collections.abc import Callable

from exchange.errors import Refusal
from exchange.refusals import RefusalReason
from exchange.types import Outcome, Refused

REASONS: dict[int, RefusalReason] = {
    -1002: RefusalReason.NOT_ALLOWED,
    -1003: RefusalReason.TRY_LATER,
    -1008: RefusalReason.TRY_LATER,
    -1015: RefusalReason.TRY_LATER,
    -1021: RefusalReason.CLOCK_OFF,
    -1022: RefusalReason.BAD_SIGNATURE,
    -1102: RefusalReason.NOT_UNDERSTOOD,
    -1111: RefusalReason.TOO_PRECISE,
    -1121: RefusalReason.NO_SUCH_SYMBOL,
    -2011: RefusalReason.NO_SUCH_ORDER,
    -2013: RefusalReason.NO_SUCH_ORDER,
    -2014: RefusalReason.KEY_MALFORMED,
    -2015: RefusalReason.KEY_NOT_ACCEPTED,
    -2017: RefusalReason.KEY_LOCKED,
    -2019: RefusalReason.NO_MARGIN,
    -2021: RefusalReason.WOULD_TRIGGER,
    -2022: RefusalReason.NOTHING_TO_REDUCE,
    -2023: RefusalReason.BARRED_FOR_NOW,
    -2027: RefusalReason.ABOVE_LEVERAGE,
    -4002: RefusalReason.PRICE_TOO_FAR,
    -4003: RefusalReason.TOO_SMALL,
    -4004: RefusalReason.TOO_SMALL,
    -4005: RefusalReason.TOO_LARGE,
    -4013: RefusalReason.PRICE_TOO_LOW,
    -4014: RefusalReason.OFF_TICK,
    -4016: RefusalReason.PRICE_TOO_FAR,
    -4023: RefusalReason.OFF_STEP,
    -4024: RefusalReason.PRICE_TOO_FAR,
    -4045: RefusalReason.NO_ROOM,
    -4061: RefusalReason.WRONG_MODE,
    -4062: RefusalReason.WRONG_MODE,
    -4087: RefusalReason.BARRED_FOR_NOW,
    -4088: RefusalReason.NO_ORDERS,
    -4116: RefusalReason.DUPLICATE_ID,
    -4117: RefusalReason.IS_TRIGGERING,
    -4120: RefusalReason.WRONG_ROUTE,
    -4129: RefusalReason.NO_POSITION,
    -4130: RefusalReason.ALREADY_RESTS,
    -4131: RefusalReason.NO_COUNTERPARTY,
    -4140: RefusalReason.NOT_TRADING,
    -4142: RefusalReason.WOULD_TRIGGER,
    -4164: RefusalReason.WORTH_TOO_LITTLE,
    -4168: RefusalReason.WRONG_MODE,
    -4192: RefusalReason.BARRED_FOR_NOW,
    -4509: RefusalReason.NO_POSITION,
    -5028: RefusalReason.CLOCK_OFF,
    451: RefusalReason.NOT_SERVED,
    503: RefusalReason.TRY_LATER,
}


def refused(code: int, message: str) -> Refused:
    """The outcome of a request that is refused with this number."""
    return Refused(code, message, REASONS.get(code, RefusalReason.OTHER))


def refusal(code: int, message: str) -> Refusal:
    """The same as an error."""
    return Refusal(code, message, REASONS.get(code, RefusalReason.OTHER))


def outcome_of(act: Callable[[], Outcome]) -> Outcome:
    """What becomes of a write that the venue may refuse."""
    try:
        return act()
    except Refusal as error:
        return refused(error.code, error.message)


def is_not_open(outcome: Outcome) -> bool:
    """-2011: ended, or never there; how it ended is the better answer, as the real client finds out too."""
    return isinstance(outcome, Refused) and outcome.reason is RefusalReason.NO_SUCH_ORDER
