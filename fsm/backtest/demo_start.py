"""Finds where recorded candles are worth watching from: shortly before a stop and a target that are hit soon."""

from __future__ import annotations

from fsm.backtest.run import Request, run_backtest
from fsm.core.model.decision import Step
from fsm.core.model.transition_table import Trigger

LEAD_MS = 2 * 3_600_000
SPAN_MS = 72 * 3_600_000
"""Whoever begins so long before sees both within so much: seven minutes at ten hours a minute."""
BRIEF_MS = 12 * 3_600_000


class _Found(Exception):
    """Ends the search: the rest of the candles need not be looked at."""

    def __init__(self, opened_ms: int) -> None:
        super().__init__(opened_ms)
        self.opened_ms = opened_ms


class _Search:
    def __init__(self) -> None:
        self._opened_ms: dict[str, int] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self.brief_ms: int | None = None

    def hear(self, step: Step) -> None:
        """Raises _Found when a stop and a target were hit in trades that began within one span."""
        if step.trade_id is None:
            return
        if step.trigger is Trigger.SIGNAL:
            self._opened_ms[step.trade_id] = step.at_ms
        elif step.trigger in (Trigger.EXIT, Trigger.REDUCE) and step.reason in ("STOP_HIT", "TARGET_HIT"):
            opened_ms = self._opened_ms[step.trade_id]
            if self.brief_ms is None and step.at_ms - opened_ms <= BRIEF_MS:
                self.brief_ms = opened_ms
            self._last[step.reason] = (opened_ms, step.at_ms)
            first_ms = min(opened for opened, _ in self._last.values())
            if len(self._last) > 1 and step.at_ms - first_ms <= SPAN_MS:
                raise _Found(first_ms)


def worth_seeing(request: Request) -> int | None:
    """The moment; else one before a trade that is soon over; None where there is neither. Raises BacktestError."""
    search = _Search()
    try:
        run_backtest(request, on_step=search.hear)
    except _Found as found:
        return found.opened_ms - LEAD_MS
    return None if search.brief_ms is None else search.brief_ms - LEAD_MS
