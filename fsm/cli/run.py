"""Runs the engine over the shipped candles on the simulated exchange, with every transition scrolling by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit
from fsm.cli.inputs import Inputs, read_inputs
from fsm.cli.logs import configure_logs
from fsm.cli.next_steps import print_next_steps
from fsm.cli.options import command, current
from fsm.cli.summary import print_summary
from fsm.cli.times import shown

if TYPE_CHECKING:
    from fsm.core.move import Step

_COLORS = {"PROTECTED": "green", "EXITING": "cyan", "FLATTEN": "red", "HALT": "red"}
_TIME_WIDTH, _SYMBOL_WIDTH, _STATES_WIDTH, _TRIGGER_WIDTH = 19, 12, 22, 10
_START_OVER = "`make run FRESH=1` sets it aside and starts over; or name another file with --db"


@command()
@click.option("--port", type=click.IntRange(0, 65535), help="port of the dashboard")
@click.option("--no-web", is_flag=True, help="run without the dashboard")
def run(port: int | None, no_web: bool) -> None:
    """Run the bot. For now: over the shipped candles, on the simulated exchange, at full speed."""
    from fsm.bootstrap import run_shipped

    del port, no_web  # this run is over before anyone could open a dashboard
    options = current()
    configure_logs(json=options.json)
    inputs = read_inputs(options, needs_keys=True)
    path = options.db or inputs.config.environment.database_path
    if path.exists():
        _tell_of_earlier(path, inputs, json=options.json)
        return
    on_step = _ignore if options.json else _print_step
    result = run_shipped(inputs.config, inputs.rules, path, on_step=on_step).to_json()
    if options.json:
        output.document({"database": str(path), **result})
        return
    print_summary(result)
    print_next_steps(path)


def _tell_of_earlier(path: Path, inputs: Inputs, *, json: bool) -> None:
    """The shipped candles end, so a run that has reached their end has nothing to go on with."""
    from store import queries
    from store.database import open_store

    with open_store(path, mode="read") as store:
        ended = queries.system_events(store, kind="STOP", limit=1)
        trades = queries.trades_count(store)
        played_by = queries.rule_versions(store)[:1]
    if not ended:
        message = f"{path} holds a run that was interrupted, and the shipped candles cannot be taken up in the middle"
        raise CommandError(message, _START_OVER, exits=Exit.REFUSED, code="RUN_INTERRUPTED")
    present_rules = [version.rules_hash for version in played_by] == [inputs.rules.hash]
    if json:
        output.document({"database": str(path), "finished": True, "trades": trades, "present_rules": present_rules})
        return
    output.line(f"{path} holds a finished run up to {shown(ended[0].at_ms)} UTC with {trades} trades.")
    if not present_rules:
        output.line(f"It was played with other rules than {inputs.rules.name} has now.")
    output.line(f"Nothing was done: {_START_OVER}.")
    print_next_steps(path)


def _ignore(step: Step) -> None:
    del step


def _print_step(step: Step) -> None:
    """One transition as one line; milliseconds are left to `audit`."""
    states = step.dest.value if step.source is step.dest else f"{step.source} → {step.dest}"
    parts = (
        shown(step.at_ms)[:_TIME_WIDTH].ljust(_TIME_WIDTH),
        step.symbol.ljust(_SYMBOL_WIDTH),
        click.style(states.ljust(_STATES_WIDTH), fg=_COLORS.get(step.dest.value)),
        step.trigger.value.ljust(_TRIGGER_WIDTH),
        step.reason,
        f"({step.trade_id})" if step.trade_id else "",
    )
    output.line("  ".join(parts).rstrip())
