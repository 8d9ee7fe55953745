"""Judges how long positions stood without a stop by the exchange's own record, whatever the bot knew or was doing.

A position may be naked for as long as nobody has told the bot of it, plus the protection deadline, plus the time in
which the exchange, the network or the machine kept the bot from acting: a call that went wrong, with a moment to try
again; a pause that the exchange asked for; a process that is dead, stopped or cannot write.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable

import msgspec

from exchange.sim.core.nakedness import Cause, Naked, Nakedness
from exchange.sim.core.state import VenueState

AGAIN_S = 1.0
"""How long after a call that went wrong the next one may take to leave."""

SLACK_S = 1.0
"""A step of the world is so long at most while something is under way."""

UNSEEN_S_MAX = 60.0
SPANS_MAX = 1_000
EVERYBODY = ""

Span = tuple[float, float]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said of one stretch: how long it may still be blamed on the bot."""

    naked: Naked
    told: bool
    blamed_s: float

    @property
    def in_words(self) -> str:
        told = "since the first word of it" if self.told else "with nothing in the way of noticing it"
        return f"{self.naked.symbol}: without a stop ({self.naked.cause}) for {self.blamed_s:.1f} s {told}"


class NakedTimeChecker:
    """``excused(symbol)`` says whose nakedness is none of the bot's doing. Times are seconds of the loop."""

    def __init__(self, state: VenueState, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.record = Nakedness(state, monotonic)
        self.record.observers.append(self._changed)
        self._word_s: dict[str, float] = {}
        self._spans: defaultdict[str, deque[Span]] = defaultdict(lambda: deque(maxlen=SPANS_MAX))
        self._ended: list[tuple[Naked, float | None]] = []

    # --- what happens -------------------------------------------------------------------------
    def is_naked(self, symbol: str) -> bool:
        return symbol in self.record.lasting

    @property
    def naked(self) -> Iterable[str]:
        return self.record.lasting

    def word(self, symbol: str, *, of_stop: bool = False) -> None:
        """The bot was told of a position (``of_stop``: that it has no stop). A stop that is gone is news of its own."""
        naked = self.record.lasting.get(symbol)
        if naked is not None and (naked.cause is not Cause.STOP_GONE or of_stop):
            self._word_s.setdefault(symbol, self._monotonic())

    def hindered(self, symbol: str, from_s: float, until_s: float) -> None:
        """Something kept the bot from acting on this symbol, or on all of them, for so long."""
        self._spans[symbol].append((from_s, until_s))

    def _changed(self, naked: Naked) -> None:
        if naked.until_s is None:
            self._word_s.pop(naked.symbol, None)
        else:
            self._ended.append((naked, self._word_s.get(naked.symbol)))

    def word_s(self, symbol: str) -> float | None:
        """When the bot was told of the stretch that lasts, or was the last."""
        return self._word_s.get(symbol)

    # --- what is said of it -------------------------------------------------------------------
    def verdicts(self) -> list[Verdict]:
        """Of what ended since the last call, and of what lasts."""
        if not self._ended and not self.record.lasting:
            return []
        now_s = self._monotonic()
        ended, self._ended = self._ended, []
        found = [self._verdict(naked, word_s, naked.until_s or now_s) for naked, word_s in ended]
        found += [self._verdict(one, self._word_s.get(one.symbol), now_s) for one in self.record.lasting.values()]
        return found

    def _verdict(self, naked: Naked, word_s: float | None, until_s: float) -> Verdict:
        since_s = naked.from_s if word_s is None else word_s
        spans = [*self._spans[EVERYBODY], *self._spans[naked.symbol]]
        blamed_s = until_s - since_s - covered_s(spans, since_s, until_s)
        return Verdict(naked=naked, told=word_s is not None, blamed_s=blamed_s)


def covered_s(spans: Iterable[Span], from_s: float, until_s: float) -> float:
    """How much of the time between is covered by these spans, which may overlap."""
    total, reached_s = 0.0, from_s
    for begin_s, end_s in sorted(spans):
        begin_s, end_s = max(begin_s, reached_s), min(end_s, until_s)
        if end_s > begin_s:
            total += end_s - begin_s
            reached_s = end_s
    return total
