"""Binance's numbers in our words (error catalogue of USDⓈ-M futures, checked 2026-11).

Journals from before reasons were written down hold numbers of Binance alone and are read by this table too: what a
number means here may be made more precise, never turned into something that is decided otherwise.
"""

from __future__ import annotations

from exchange.errors import Refusal
from exchange.refusals import RefusalReason
from exchange.types import Refused

REASONS = {
    RefusalReason.NOT_ALLOWED: (-1002,),
    RefusalReason.KEY_MALFORMED: (-2014,),
    RefusalReason.KEY_NOT_ACCEPTED: (-2015,),
    RefusalReason.KEY_LOCKED: (-2017,),
    RefusalReason.BAD_SIGNATURE: (-1022,),
    RefusalReason.NOT_UNDERSTOOD: (-1102,),
    RefusalReason.WRONG_ROUTE: (-4120,),
    RefusalReason.NOT_SERVED: (451,),
    RefusalReason.BARRED_FOR_NOW: (-2023, -4087, -4192),
    RefusalReason.NO_ORDERS: (-4088,),
    RefusalReason.WRONG_MODE: (-4061, -4062, -4168),
    RefusalReason.TRY_LATER: (-1003, -1008, -1015, 503),
    RefusalReason.CLOCK_OFF: (-1021, -5028),
    RefusalReason.DUPLICATE_ID: (-4116,),
    RefusalReason.ALREADY_RESTS: (-4130,),
    RefusalReason.NO_SUCH_ORDER: (-2011, -2013),
    RefusalReason.IS_TRIGGERING: (-4117,),
    RefusalReason.WOULD_TRIGGER: (-2021, -4142),
    RefusalReason.NO_POSITION: (-4509, -4129),
    RefusalReason.NOTHING_TO_REDUCE: (-2022,),
    RefusalReason.NO_COUNTERPARTY: (-4131,),
    RefusalReason.NO_MARGIN: (-2019,),
    RefusalReason.NO_ROOM: (-4045,),
    RefusalReason.TOO_LARGE: (-4005,),
    RefusalReason.TOO_SMALL: (-4003, -4004),
    RefusalReason.WORTH_TOO_LITTLE: (-4164,),
    RefusalReason.TOO_PRECISE: (-1111,),
    RefusalReason.OFF_TICK: (-4014,),
    RefusalReason.OFF_STEP: (-4023,),
    RefusalReason.PRICE_TOO_LOW: (-4013,),
    RefusalReason.PRICE_TOO_FAR: (-4002, -4016, -4024),
    RefusalReason.NOT_TRADING: (-4140,),
    RefusalReason.NO_SUCH_SYMBOL: (-1121,),
    RefusalReason.ABOVE_LEVERAGE: (-2027,),
}
_BY_NUMBER = {number: reason for reason, numbers in REASONS.items() for number in numbers}


def reason_of(code: int | str) -> RefusalReason:
    """What a number of Binance's, or the status of an answer without one, means."""
    return _BY_NUMBER.get(code, RefusalReason.OTHER) if isinstance(code, int) else RefusalReason.OTHER


def refusal(code: int, message: str) -> Refusal:
    """The same as an error."""
    return Refusal(code, message, reason_of(code))


def refused(code: int, message: str) -> Refused:
    """The outcome of a request that was answered with this number, or that we kept back ourselves for it."""
    return Refused(code, message, reason_of(code))
