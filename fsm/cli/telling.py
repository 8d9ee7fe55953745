"""Tells on a terminal what a running bot does: candles arriving, regimes, transitions, stops with their times."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.core.model.decision import Step
    from fsm.live.context.observer import Close

_COLORS = {"PROTECTED": "green", "EXITING": "cyan", "FLATTEN": "red", "HALT": "red"}
_TIME_WIDTH, _SYMBOL_WIDTH, _STATES_WIDTH, _TRIGGER_WIDTH = 19, 12, 22, 10


def _result(step: Step) -> str:
    """What a trade brought, once its books are closed."""
    trade = step.booked
    if trade is None or trade.net_pnl is None or trade.r is None:
        return ""
    return click.style(f"{trade.net_pnl:+,.2f} USDT net, {trade.r:+.2f} R", fg="green" if trade.net_pnl > 0 else "red")


def _counted(reason: str, count: int) -> str:
    """A reason with the number of symbols that have it, before what it says beside its name."""
    name, _, rest = reason.partition(" ")
    return f"{name} {count} ({rest})" if rest else f"{name} {count}"


class Teller:
    """One line for everything worth a look. ``mark`` stands before each where mistakes cost real money."""

    def __init__(self, mark: str = "") -> None:
        self._mark = f"{click.style(mark, fg='white', bg='red', bold=True)} " if mark else ""
        self._latest_ms = 0

    def step(self, step: Step) -> None:
        """One transition; milliseconds are left to `audit`."""
        self._latest_ms = step.at_ms
        states = step.dest.value if step.source is step.dest else f"{step.source} → {step.dest}"
        parts = (
            click.style(states.ljust(_STATES_WIDTH), fg=_COLORS.get(step.dest.value)),
            step.trigger.value.ljust(_TRIGGER_WIDTH),
            step.reason,
            f"({step.trade_id})" if step.trade_id else "",
            _result(step),
        )
        self._line(step.at_ms, step.symbol, "  ".join(parts))

    def closed(self, close: Close) -> None:
        """The candles that came, in short why nothing was entered, and what is held; then each new regime."""
        self._latest_ms = close.at_ms
        idle = Counter(r.reason for r in close.verdicts.values() if r.outcome not in ("SIGNAL", "IN_TRADE"))
        held = [symbol for symbol, verdict in close.verdicts.items() if verdict.outcome == "IN_TRADE"]
        parts = [f"candles of {output.counted(len(close.verdicts), 'symbol')}"]
        parts += ["no entry: " + ", ".join(_counted(*found) for found in idle.most_common())] if idle else []
        parts += [f"in a trade: {', '.join(held)}"] if held else []
        parts += [f"MISSING: {', '.join(close.missing)}"] if close.missing else []
        self._line(close.at_ms, "close", click.style("; ".join(parts), dim=True))
        for change in close.regimes:
            told = f"regime {change.before} → {change.after} (confidence {change.confidence:.2f})"
            self._line(close.at_ms, change.symbol, click.style(told, fg="magenta"))

    def protected(self, symbol: str, took_ms: float) -> None:
        told = f"stop confirmed at the exchange {took_ms:,.0f} ms (real time) after the fill was seen"
        self._line(self._latest_ms, symbol, click.style(told, fg="green"))

    def _line(self, at_ms: int, symbol: str, text: str) -> None:
        time = shown(at_ms)[:_TIME_WIDTH].ljust(_TIME_WIDTH)
        output.line(f"{self._mark}{time}  {symbol.ljust(_SYMBOL_WIDTH)}  {text}".rstrip())
