"""Keeps account of one row: each stretch without a stop, how long it may have been, how it ended, and what struck when.

A stretch may last until the first word of it has reached the bot, then as long as the deadline, one round trip, one
more for each close that was refused or filled only in part, the step of the ladder of probes that was in force, and the
time for which the process stood still. While nothing at all is answered, it may last until that is over; where a pause
with a stated end stands in the way, until that end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from exchange.sim.core.nakedness import Cause, Ending, Naked
from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked
from fsm.proofs.naked.fault_catalog import Row
from fsm.proofs.naked.stroke import Stroke

DEADLINE_S = 5.0
AT_LAST_S = 0.6
"""Once a fault has ended, a position is protected within this time."""

FIRST_AFTER_S = 0.25
"""The first request after a stated end leaves within this time, if something is naked."""

AGAIN_S = 0.5
"""What is not answered is tried again so soon while a position is naked."""

PROBE_S_MAX, BAN_PROBE_S = 10.0, 120.0
SAME_FORM_MAX = 2
STOPS_REFUSED_MAX = 2
"""A stop whose position has gone is refused once; one more may have been under way."""

ROUNDS_UNPROVED = 6
ENTERED_UNPROVED_MAX = 2
"""Rounds with real entries, of so many, where no stop is ever confirmed: the first, and one of the smallest size."""

HEARD_BY_S = 1.0
"""What leaves within this time after a hand has turned a position may have been on its way."""

STUCK_S_MAX = 6.0
"""A trade whose position is gone is over within a look at what is held, and a moment."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch. ``ending`` None: the position is somebody else's, and the time is that until an alert names it.
    ``in_time``: whether it ended protected soon after the fault did, None where that is not asked.
    """

    symbol: str
    cause: Cause
    naked_ms: float
    allowed_ms: float
    ending: Ending | None
    struck: bool
    in_time: bool | None

    @property
    def is_too_long(self) -> bool:
        return self.naked_ms > self.allowed_ms + 1.0


class Tally:
    """``positions`` were opened, ``struck_naked`` of them struck without a stop, ``struck_covered`` with one."""

    def __init__(self, round_trip_s: float) -> None:
        self._round_trip_s = round_trip_s
        self.samples: list[Sample] = []
        self.positions = 0
        self.struck_naked = 0
        self.struck_covered = 0
        self.late_first: list[float] = []
        self.same_form_max = 0
        self.stuck_s_max = 0.0
        self.stops_refused_max = 0
        self.entered: list[int] = []
        self.touched: list[str] = []
        self.begin_round()

    def begin_round(self) -> None:
        self._ended: list[tuple[Naked, float | None]] = []
        self._strikes: dict[str, list[float]] = {}
        self._covered: set[str] = set()
        self._still: list[tuple[float, float]] = []
        self._closes: list[tuple[str, float]] = []
        self._slowed: list[tuple[str, float, float]] = []
        self._forms: Counter[tuple[str, ...]] = Counter()
        self._asked_s: list[float] = []
        self.stops_refused: Counter[str] = Counter()
        self._flat_s: dict[str, float] = {}
        self._turned_s: dict[str, float] = {}
        self.named_s: dict[str, float] = {}

    # --- what happens -------------------------------------------------------------------------
    def struck(self, symbol: str, naked: list[str], now_s: float) -> None:
        hit = naked if symbol == "" else [name for name in naked if name == symbol]
        for name in hit:
            self._strikes.setdefault(name, []).append(now_s)
        if not hit:
            self._covered.add(symbol)

    def stood_still(self, from_s: float, until_s: float) -> None:
        self._still.append((from_s, until_s))

    def asked(self, asked: Asked) -> None:
        self._asked_s.append(asked.at_s)
        turned_s = self._turned_s.get(asked.symbol)
        if turned_s is not None and asked.method == "POST" and asked.at_s > turned_s + HEARD_BY_S:
            self.touched.append(f"{asked.what} {asked.client_id}")

    def turned(self, symbol: str, now_s: float) -> None:
        """From now on the position is none of the bot's, until a hand closes it."""
        self._turned_s[symbol] = now_s

    def named(self, symbol: str, now_s: float) -> None:
        """An alert says what is open there, and that nothing covers it."""
        self.named_s.setdefault(symbol, now_s)

    @property
    def is_all_named(self) -> bool:
        return bool(self._turned_s) and self._turned_s.keys() <= self.named_s.keys()

    def closed(self, asked: Asked, answer: Answer | None, now_s: float) -> None:
        """A close that did not close everything it was sent for. Only where the exchange says so itself it may cost a
        round trip: what was lost, or never left, is part of the fault."""
        value: Any = {} if answer is None else answer.value
        filled = answer is not None and answer.status == 200 and value.get("executedQty") == value.get("origQty")
        if not filled:
            if answer is not None and answer.status in (200, 400):
                self._closes.append((asked.symbol, now_s))
            form = tuple(asked.params.get(name, "") for name in ("symbol", "type", "quantity", "price"))
            self._forms[form] += 1

    def close_slowed(self, symbol: str, now_s: float, request_s: float) -> None:
        """A close takes so much longer than usual to arrive."""
        self._slowed.append((symbol, now_s, request_s))

    def ended(self, naked: Naked, word_s: float | None) -> None:
        self._ended.append((naked, word_s))

    def held(self, symbol: str, *, open_trade: bool, is_flat: bool, now_s: float) -> None:
        """How long a trade outlives its position."""
        if not (open_trade and is_flat):
            self._flat_s.pop(symbol, None)
            return
        since_s = self._flat_s.setdefault(symbol, now_s)
        self.stuck_s_max = max(self.stuck_s_max, now_s - since_s)

    def is_halted(self, row: Row) -> bool:
        """The route is not proved: rounds in which nothing enters say all there is to say."""
        return row.stays_halted and len(self.entered) >= ROUNDS_UNPROVED

    # --- what it comes to ---------------------------------------------------------------------
    def end_round(self, row: Row, stroke: Stroke) -> None:
        self.entered.append(sum(naked.cause is Cause.FILLED for naked, _ in self._ended))
        self.positions += self.entered[-1]
        self.stops_refused_max = max([self.stops_refused_max, *self.stops_refused.values()])
        self.struck_naked += len(self._strikes)
        self.struck_covered += len(self._covered)
        self.same_form_max = max([self.same_form_max, *self._forms.values()])
        step_s = probe_step_s(row, stroke)
        self.samples += [self._sample(row, stroke, step_s, naked, word_s) for naked, word_s in self._ended]
        self._check_first_after(stroke)

    def _sample(self, row: Row, stroke: Stroke, step_s: float, naked: Naked, word_s: float | None) -> Sample:
        ending = naked.ending
        if naked.cause is Cause.FLIPPED:  # somebody else's: the bot owes it a word, and no stop
            until_s, ending = self.named_s.get(naked.symbol, naked.until_s), None
            naked = msgspec.structs.replace(naked, until_s=until_s)
        assert naked.until_s is not None
        word_s = naked.until_s if word_s is None else word_s
        trip_s = self._round_trip_s
        closes = sum(symbol == naked.symbol and naked.from_s <= at_s <= naked.until_s for symbol, at_s in self._closes)
        slow_s = sum(
            request_s
            for symbol, at_s, request_s in self._slowed
            if symbol == naked.symbol and naked.from_s <= at_s <= naked.until_s
        )
        still_s = sum(max(0.0, min(until, naked.until_s) - max(since, word_s)) for since, until in self._still)
        acts_s = word_s + DEADLINE_S + still_s
        over_s = stroke.over_s if row.is_out and stroke.over_s is not None else 0.0
        if over_s > acts_s:  # nothing was answered until then; the next attempt is half a second or a probe away
            acts_s = over_s + (0.0 if row.is_pause else AGAIN_S)
        allowed_s = acts_s - naked.from_s + trip_s * (1 + closes) + slow_s + step_s
        if stroke.stated_end_s is not None and stroke.stated_end_s > naked.from_s:
            after_s = stroke.stated_end_s - naked.from_s + FIRST_AFTER_S + trip_s * (2 + closes)
            allowed_s = max(allowed_s, after_s)
        struck = any(naked.from_s <= at_s <= naked.until_s for at_s in self._strikes.get(naked.symbol, ()))
        return Sample(
            symbol=naked.symbol,
            cause=naked.cause,
            naked_ms=naked.naked_ms(),
            allowed_ms=allowed_s * 1000,
            ending=ending,
            struck=struck,
            in_time=self._in_time(row, stroke, step_s, naked, word_s, still_s),
        )

    def _in_time(
        self, row: Row, stroke: Stroke, step_s: float, naked: Naked, word_s: float, still_s: float
    ) -> bool | None:
        """Only where the fault, and the pause after it, end well before the deadline does."""
        assert naked.until_s is not None
        over_s = stroke.stated_end_s or stroke.over_s or word_s
        ends_s = max(word_s + still_s, over_s + step_s)
        if not row.must_protect or ends_s - word_s > DEADLINE_S - AT_LAST_S:
            return None
        return naked.ending is Ending.PROTECTED and naked.until_s <= ends_s + AT_LAST_S + self._round_trip_s

    def _check_first_after(self, stroke: Stroke) -> None:
        end_s = stroke.stated_end_s
        naked = end_s is not None and any(n.from_s <= end_s <= (n.until_s or end_s) for n, _ in self._ended)
        if end_s is None or not naked:
            return
        first_s = min((at_s for at_s in self._asked_s if at_s >= end_s), default=float("inf"))
        if first_s - end_s > FIRST_AFTER_S:
            self.late_first.append(round(first_s - end_s, 3))


def probe_step_s(row: Row, stroke: Stroke) -> float:
    """The step of the ladder that the answers so far have led to: 1, 2, 4 … 10 s; for a ban minutes, doubling."""
    if not row.is_pause or stroke.refusals == 0:
        return 0.0
    doubled = 2.0 ** (stroke.refusals - 1)
    return BAN_PROBE_S * doubled if row.is_ban else min(doubled, PROBE_S_MAX)
