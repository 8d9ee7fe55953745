"""Finds where recorded candles are worth watching from: shortly before a trade that is soon over."""

from __future__ import annotations

from fsm.backtest.run import Request, run_backtest
from fsm.core.model.decision import Step
from fsm.core.model.records import State
from fsm.core.model.transition_table import Trigger

LEAD_MS = 2 * 3_600_000
HOLD_MS_MAX = 12 * 3_600_000
"""Whoever begins so long before a trade that is over so soon sees a whole one at once."""


class _Found(Exception):
    """Ends the search at the first such trade: the rest of the candles need not be looked at."""

    def __init__(self, opened_ms: int) -> None:
        super().__init__(opened_ms)
        self.opened_ms = opened_ms


class _Search:
    def __init__(self) -> None:
        self._opened_ms: dict[str, int] = {}
        self._protected: set[str] = set()

    def hear(self, step: Step) -> None:
        """Raises _Found when a trade ends that was covered and brief."""
        if step.trade_id is None:
            return
        if step.trigger is Trigger.SIGNAL:
            self._opened_ms[step.trade_id] = step.at_ms
        elif step.dest is State.PROTECTED:
            self._protected.add(step.trade_id)
        elif step.trigger is Trigger.FLAT and step.trade_id in self._protected:
            opened_ms = self._opened_ms[step.trade_id]
            if step.at_ms - opened_ms <= HOLD_MS_MAX:
                raise _Found(opened_ms)


def worth_seeing(request: Request) -> int | None:
    """The moment, or None if the rules never bring such a trade. Raises BacktestError."""
    try:
        run_backtest(request, on_step=_Search().hear)
    except _Found as found:
        return found.opened_ms - LEAD_MS
    return None
