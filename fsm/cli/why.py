"""Prints why a symbol did, or did not, trade: the decision, its regime, its conditions and the guards that refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError
from fsm.cli.options import command, current
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from fsm.journal.explain import Explanation
    from rules.conditions import ConditionTrace

_CONDITION_COLUMNS = ("condition", "holds", "as written", "numbers", "distance")


@command()
@click.argument("symbol")
@click.option("--at", "at_ms", type=Time(), metavar="TIME", help="the candle that had closed by then (default: newest)")
def why(symbol: str, at_ms: int | None) -> None:
    """Say why SYMBOL did, or did not, trade. Each condition with its numbers and its distance from the threshold."""
    from fsm.journal.explain import NothingDecided, explain
    from store.database import open_store

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        try:
            explanation = explain(store, symbol.upper(), at_ms)
        except NothingDecided as error:
            raise CommandError(str(error), error.hint, code="NOTHING_DECIDED") from error
    if options.json:
        output.document(explanation.document())
    else:
        _print(explanation)


def _print(found: Explanation) -> None:
    output.line(f"{found.symbol}  {found.outcome}  {found.reason}")
    output.line(found.summary)
    output.line()
    output.pairs(_where(found))
    _print_signal(found)
    if found.exit_conditions:
        output.heading("What would end the trade")
        _print_conditions(found.exit_conditions)
    if found.guards:
        output.heading(f"Guards, at the candle of {shown(found.first_ms)}")
        guards = ((guard.passed, guard.name, guard.value, guard.limit) for guard in found.guards)
        output.table(output.GUARD_COLUMNS, output.guard_rows(guards))
    _print_regimes(found)


def _where(found: Explanation) -> Iterator[tuple[str, object]]:
    record = found.record
    if found.asked_ms is not None:
        yield "asked for", f"{shown(found.asked_ms)}: nothing was decided then; this is the last decision before"
    yield "candle", f"{shown(found.candle_ms)} to {shown(found.closed_ms)} UTC"
    if found.count > 1:
        yield "the same since", f"{shown(found.first_ms)} to {shown(found.last_ms)}, {found.count} candles"
    yield "state", record.state
    for name, flag in (("halted", record.halt), ("quarantined", record.quarantine)):
        if flag is not None:
            yield name, f"since {shown(flag.since_ms)}: {flag.cause}"
    if record.paused:
        yield "paused", "by the operator"
    if record.loss_streak:
        yield "losses in a row", record.loss_streak
    yield "regime", found.rules.hysteresis
    yield "numbers", _NUMBERS[found.numbers.value]
    yield "rules", found.rules_hash


_NUMBERS = {
    "recorded": "as journalled",
    "recomputed": "calculated again from the stored candles",
    "first": "of the first candle of the stretch: the stored candles do not give them again",
}


def _print_signal(found: Explanation) -> None:
    signal = found.rules.signal
    for side in signal.traces if signal else ():
        output.heading(f"{signal.strategy if signal else ''} {side.side}: setup {_answer(side.result)}")
        _print_conditions(side.setup)
        if side.accept:
            output.line("accept:")
            _print_conditions(side.accept)


def _print_regimes(found: Explanation) -> None:
    for regime in found.rules.regimes:
        output.heading(
            f"Regime {regime.regime}: confidence {regime.confidence:.2f}, "
            f"enter {_answer(regime.enter)}, stay {_answer(regime.stay)}"
        )
        _print_conditions(regime.enter_conditions)
        output.line("stay:")
        _print_conditions(regime.stay_conditions)


def _print_conditions(traces: Iterable[ConditionTrace]) -> None:
    from rules.explain import rows

    cells = [(row.id, row.result, row.condition, row.numbers, row.distance) for row in rows(traces)]
    output.table(_CONDITION_COLUMNS, cells, right=("distance",))


def _answer(truth: object) -> str:
    return {"TRUE": "yes", "FALSE": "no"}.get(str(truth), "unknown")
