"""Every way a call to an exchange can go wrong, as types.

ExchangeError
├── Refusal            the exchange said no, for good: nothing happened (carries its code)
├── UnknownOutcome     nobody can say whether it happened: look before doing anything
├── RateLimited        we must wait (429, 418, or our own budget); nothing was sent or it was refused
├── Unreachable        a read could not be answered (transport, time-out, 5xx)
│   └── CandlesMissing it was answered, but with a hole that is not confirmed yet
└── MalformedReply     an answer arrived that does not mean what its shape promises
"""

from __future__ import annotations

from exchange.refusals import RefusalReason


class ExchangeError(Exception):
    """Base of everything the exchange room raises."""


class Refusal(ExchangeError):
    """A definite no. ``code`` is the exchange's own number, for readers; ``reason`` is what it means to us."""

    def __init__(self, code: int, message: str, reason: RefusalReason = RefusalReason.UNSTATED) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class UnknownOutcome(ExchangeError):
    """A write whose fate is not known (time-out, most 5xx, -1000, -1001, -1006, -1007, dropped connection)."""


class RateLimited(ExchangeError):
    """The request budget is spent. ``retry_after_ms`` says when to try again; ``banned`` is a 418."""

    def __init__(self, message: str, *, retry_after_ms: int, banned: bool = False) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms
        self.banned = banned


class Unreachable(ExchangeError):
    """A read failed after its retries; what was asked is simply not known now."""


class CandlesMissing(Unreachable):
    """Candles are missing between others. Asked again at ``again_ms`` of the exchange's time, that may be confirmed."""

    def __init__(self, message: str, *, again_ms: int) -> None:
        super().__init__(message)
        self.again_ms = again_ms


class MalformedReply(ExchangeError):
    """The answer cannot be understood; it is never guessed at."""
