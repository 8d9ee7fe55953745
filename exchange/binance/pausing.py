"""One pause that the exchange imposes, and the way out of it; in real seconds, which never jump.

    refused ──► stated end known: nothing leaves before it, whoever asks; then a probe
            └─► not known: a ladder of probes, 1, 2, 4, 8, 10, 10 … s apart; in a ban 2, 4, 8, 16, 32, 32 … minutes
    a probe was refused ──► the same again, one step up
    a probe gets no answer ─► the next one after the same step: silence says nothing of the limits
    a probe was answered ─► over at once for what protects; reads come back over a minute, entries after it

One probe leaves at a time, and it is for what protects. Others may have it only after a stated end, or when nothing
that protects has asked for a minute: then nobody is naked, and without any request no pause would ever end.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from exchange.types import Pause

PROBES_S = (1.0, 2.0, 4.0, 8.0, 10.0)

BAN_S_MIN = 120.0
"""Bans last from two minutes to three days (general information, checked 2026-11)."""

BAN_S_MAX = 1_920.0
"""A ban of unknown length is asked about every 32 minutes at the least: what a naked position waits past its end stays
under that, and a request each half hour is no hammering."""

PAUSE_S_MAX = 259_200.0
"""Three days, the longest ban: a longer time is a misreading, or somebody else's answer."""

LATE_S, LATE_S_MAX = 0.1, 3.2
"""So much after a stated end the first request leaves: clocks differ by some ms, and one that comes too early may make
a ban longer. It doubles with each end that turns out to be stated too early, as one in whole seconds may be."""

RETURN_S = 60.0
QUIET_S = 60.0
_SHARE_MAX, _SHARE_MIN = 0.5, 0.05  # of their usual ceiling, for reads, from the first to the last second of the return


@dataclass(slots=True)
class Pausing:
    """``is_on``: of what was sent since the newest refusal, nothing signed has been answered.

    Only what was sent after the newest refusal says anything new, be it another refusal or an answer.
    """

    is_on: bool = False
    banned: bool = False
    cause: str = ""
    _ends_s: float = -inf
    _is_stated: bool = False
    _is_long: bool = False  # the ladder of a ban whose end nobody has stated
    _late_s: float = LATE_S
    _probe_s: float = -inf
    _refusals: int = 0
    _refused_s: float = -inf
    _asked_s: float = -inf
    _proved_s: float = -inf
    _market_s: float | None = None

    def wait_s(self, now_s: float, *, protects: bool, opens: bool, signed: bool) -> float:
        """0 = it may leave. ``opens``: an entry, or a setting for one."""
        if not self.is_on:
            return max(self._proved_s + RETURN_S - now_s, 0.0) if opens else 0.0
        if self._market_s is not None and not signed:
            return 0.0
        until_s = max(self._ends_s, self._probe_s)
        if not protects and not self._is_stated:
            until_s = max(until_s, self._asked_s + QUIET_S)
        return max(until_s - now_s, 0.0)

    def read_share(self, now_s: float) -> float:
        """How much of their usual share reads may use: they come back over a minute."""
        back_s = self._market_s if self.is_on else self._proved_s
        elapsed_s = inf if back_s is None else now_s - back_s
        if elapsed_s >= RETURN_S:
            return 1.0
        return max(_SHARE_MAX * elapsed_s / RETURN_S, _SHARE_MIN)

    def asked(self, now_s: float) -> None:
        """Something that protects wants to leave."""
        self._asked_s = now_s

    def left(self, now_s: float, *, signed: bool) -> bool:
        """A request leaves; returns whether it is a probe. The next one waits the step that is in force."""
        if not self.is_on or (self._market_s is not None and not signed):
            return False
        self._probe_s = now_s + self._step_s()
        return True

    def give_back(self, now_s: float) -> None:
        """A probe did not leave after all."""
        self._probe_s = now_s

    def refused(self, now_s: float, *, sent_s: float, stated_s: float | None, banned: bool, cause: str) -> float:
        """The exchange told us to wait; returns for how long. What was sent before the pause belongs to it."""
        if self.is_on and self._is_stated and sent_s >= self._ends_s:
            self._late_s = min(2 * self._late_s, LATE_S_MAX)
        if sent_s >= self._refused_s:
            self._again(now_s, sent_s=sent_s, is_long=banned and stated_s is None)
            self.cause, self.banned = cause, banned
        if stated_s is not None:
            self.is_on = self._is_stated = True
            self._ends_s = self._probe_s = max(self._ends_s, now_s + stated_s + self._late_s)
            self._refusals, self._is_long = 0, False
        return max(self._ends_s, self._probe_s) - now_s

    def answered(self, now_s: float, *, sent_s: float, signed: bool) -> None:
        """Any answer that is not a pause. An unsigned one proves nothing for what is signed."""
        if not self.is_on or sent_s < self._refused_s:
            return
        if signed:
            self.is_on = self.banned = self._is_stated = False
            self._proved_s, self._refused_s, self._late_s = now_s, sent_s, LATE_S
        elif self._market_s is None:
            self._market_s = now_s

    def shown(self, now_s: float, *, orders_only: bool = False) -> Pause | None:
        """As the port tells it."""
        if not self.is_on:
            return None
        left_s = self._ends_s - now_s if self._is_stated and self._ends_s > now_s else None
        return Pause(cause=self.cause, left_s=left_s, banned=self.banned, orders_only=orders_only)

    def _again(self, now_s: float, *, sent_s: float, is_long: bool) -> None:
        """A refusal that is news: of a probe, or the first one. Steps are counted from probe to probe."""
        is_step = not self.is_on or sent_s > self._refused_s  # what left together is refused together
        if not self.is_on:
            self.is_on, self._is_long, self._refusals, self._probe_s = True, False, 0, -inf
            self._asked_s = max(self._asked_s, now_s)
        if is_long and not self._is_long:
            self._is_long, self._refusals, is_step = True, 0, True
        self._refusals += is_step
        self._refused_s, self._market_s = now_s, None
        self._is_stated = self._ends_s > now_s
        least_s = BAN_S_MIN if self._is_long else PROBES_S[0]
        self._probe_s = max(self._probe_s, sent_s + self._step_s(), now_s + least_s)

    def _step_s(self) -> float:
        step = max(self._refusals - 1, 0)
        if self._is_long:
            return float(min(BAN_S_MIN * 2 ** min(step, 20), BAN_S_MAX))
        return PROBES_S[min(step, len(PROBES_S) - 1)]
