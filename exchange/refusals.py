"""Why an exchange refuses, in our words: each exchange's client translates its own numbers, nobody else knows them."""

from __future__ import annotations

from enum import StrEnum


class RefusalReason(StrEnum):
    """What a refusal says of the request. What decides asks for these, never for a number or a text.

    ``OTHER``: this exchange's client knows no reason for its number. ``UNSTATED``: a row of a journal from before there
    were reasons; it is read by its number (``exchange/binance/refusals.py``).
    """

    # Whether this key, account or place may trade at all
    NOT_ALLOWED = "NOT_ALLOWED"
    KEY_MALFORMED = "KEY_MALFORMED"
    KEY_NOT_ACCEPTED = "KEY_NOT_ACCEPTED"
    """Unknown there, or not allowed from here, or not for this."""
    KEY_LOCKED = "KEY_LOCKED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    NOT_UNDERSTOOD = "NOT_UNDERSTOOD"
    """Malformed: no retry mends it."""
    WRONG_ROUTE = "WRONG_ROUTE"
    """The exchange wants such an order elsewhere: this version of the bot is too old for it."""
    NOT_SERVED = "NOT_SERVED"
    """The exchange does not serve this region."""
    BARRED_FOR_NOW = "BARRED_FOR_NOW"
    """A cooling-off period, only closing orders: it passes."""
    NO_ORDERS = "NO_ORDERS"
    """The account may not place orders at all now."""
    WRONG_MODE = "WRONG_MODE"
    """The account is in another mode (hedge, multi-assets) than the order was written for."""

    # Nothing to do with the request
    TRY_LATER = "TRY_LATER"
    CLOCK_OFF = "CLOCK_OFF"
    """The time stamp is not of its time: our clock is off, or the request was long on its way."""

    # Orders that are there, or not
    DUPLICATE_ID = "DUPLICATE_ID"
    """An order with this id is or was there: an earlier attempt was accepted."""
    ALREADY_RESTS = "ALREADY_RESTS"
    """An order of this kind that closes the position rests already."""
    NO_SUCH_ORDER = "NO_SUCH_ORDER"
    IS_TRIGGERING = "IS_TRIGGERING"
    """It cannot be cancelled: it is becoming an order just now."""

    # The market and the position
    WOULD_TRIGGER = "WOULD_TRIGGER"
    NO_POSITION = "NO_POSITION"
    """It lags behind its own fill, or is gone."""
    NOTHING_TO_REDUCE = "NOTHING_TO_REDUCE"
    NO_COUNTERPARTY = "NO_COUNTERPARTY"
    """The best opposite price is beyond what a market order may take: a LIMIT may step in."""
    NO_MARGIN = "NO_MARGIN"
    NO_ROOM = "NO_ROOM"
    """As many conditional orders rest as the account may have."""

    # The form of the order
    TOO_LARGE = "TOO_LARGE"
    TOO_SMALL = "TOO_SMALL"
    WORTH_TOO_LITTLE = "WORTH_TOO_LITTLE"
    """Below the smallest notional."""
    TOO_PRECISE = "TOO_PRECISE"
    """More decimals than the symbol has."""
    OFF_TICK = "OFF_TICK"
    OFF_STEP = "OFF_STEP"
    PRICE_TOO_LOW = "PRICE_TOO_LOW"
    PRICE_TOO_FAR = "PRICE_TOO_FAR"
    """Beyond what the exchange lets it trade at."""
    NOT_TRADING = "NOT_TRADING"
    """The symbol takes no orders of this kind now."""
    NO_SUCH_SYMBOL = "NO_SUCH_SYMBOL"
    ABOVE_LEVERAGE = "ABOVE_LEVERAGE"
    """The position would be larger than its leverage allows."""

    OTHER = "OTHER"
    UNSTATED = "UNSTATED"
