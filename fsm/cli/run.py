"""Runs the bot and its dashboard: on the embedded exchange, on a running one, on paper, testnet or mainnet."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.dashboard import Dashboard
from fsm.cli.errors import CommandError, Exit
from fsm.cli.failures import judged
from fsm.cli.inputs import inputs_to_run, kept_to_oneself
from fsm.cli.logs import configure_logs
from fsm.cli.next_steps import print_next_steps
from fsm.cli.options import Options, command, current
from fsm.cli.outlet import open_outlets
from fsm.cli.telling import JsonTeller, Observing, Silent, Teller

if TYPE_CHECKING:
    from fsm.bootstrap import Run
    from fsm.config.environment import Environment
    from store.views import PositionRow

GARBAGE_USUALLY = (700, 10, 10)
"""Python's own thresholds: what runs for days must not pause for long."""


@command()
@click.option("--port", type=click.IntRange(0, 65535), help="port of the dashboard")
@click.option("--no-web", is_flag=True, help="run without the dashboard")
@click.option("--no-stream", is_flag=True, help="hear nothing from the exchange: find every change by asking")
@click.option(
    "--log",
    "form",
    type=click.Choice(["text", "json"]),
    help="what stdout tells: sentences (the default on a terminal), or one JSON object a line (everywhere else)",
)
def run(port: int | None, no_web: bool, no_stream: bool, form: str | None) -> None:
    """Run the bot until it is told to stop (Ctrl-C, SIGTERM), or until the recorded candles of a simulation end.

    Open positions keep their stops at the exchange, whatever becomes of this process.
    """
    gc.set_threshold(*GARBAGE_USUALLY)
    options = current()
    is_text = not options.json and (form or ("text" if output.is_terminal() else "json")) == "text"
    try:
        with nullcontext() if is_text or options.json else _failure_in_a_line():
            _carry_out(options, is_text=is_text, port=port, no_web=no_web, stream=not no_stream)
    except KeyboardInterrupt:  # while it does not listen for it itself: nothing runs that would have to end
        if is_text:
            output.line("Stopped")


@contextmanager
def _failure_in_a_line() -> Iterator[None]:
    """Whoever reads JSON lines is told in one why there are no more; stderr and the exit code say it as ever."""
    try:
        yield
    except Exception as error:
        output.document({"event": "failed", **judged(error).document()}, indented=False)
        raise


def _carry_out(options: Options, *, is_text: bool, port: int | None, no_web: bool, stream: bool) -> None:
    from fsm.bootstrap import Run

    inputs = inputs_to_run(options)
    environment = inputs.config.environment
    losses = open_outlets(json=not is_text)
    configure_logs(json=not is_text, environment=environment.mark)
    path = options.db or environment.database_path
    teller = _teller(options, environment, is_text=is_text)
    if is_text:
        _tell_beginning(environment, path)
    for told in kept_to_oneself(options, environment):
        click.echo(f"warning: {told}", err=True)
    if inputs.unusable:
        click.echo(f"warning: {inputs.unusable}", err=True)
        click.echo("warning: a trade is open: it is managed to its end, and nothing is entered", err=True)
    with ExitStack() as windows:
        window = None if no_web else Dashboard(windows, inputs, path, port, tell=teller.dashboard, is_json=not is_text)

        def on_ready(network: str, address: str, blocked: Sequence[str]) -> None:
            teller.started(network, address, str(path))
            for line in blocked:
                teller.warned(line)
            if window is not None:
                window.may_open.set()

        ended = _run(
            Run(
                config=inputs.config,
                rules=inputs.rules,
                db=path,
                on_step=teller.step,
                observer=teller,
                config_path=options.config_path,
                rules_path=options.rules_path,
                on_ready=on_ready,
                stream=stream,
                losses=losses,
                unusable=inputs.unusable,
                further=() if window is None else (window.run,),
            )
        )
        teller.ended()
        _sum_up(path, ended, options, is_text=is_text)
        if ended and not no_web:
            _stay_up(is_text=is_text)


def _teller(options: Options, environment: Environment, *, is_text: bool) -> Observing:
    if is_text:
        return Teller(environment.mark if environment.is_real_money else "")
    return Silent() if options.json else JsonTeller()


def _run(run: Run) -> bool:
    """True when the recorded data has ended. A start that is refused is an error of the command."""
    from exchange.environment import UnusableEnvironment
    from exchange.sim.server.launch import LaunchError
    from fsm.bootstrap import run_daemon
    from fsm.live.preflight.meeting import StartRefused

    try:
        return run_daemon(run)
    except StartRefused as refused:
        raise CommandError(str(refused), refused.hint, exits=Exit.REFUSED, code="START_REFUSED") from refused
    except (LaunchError, UnusableEnvironment) as error:
        hint = (
            "if var/sim.exchange is of another version, `make run FRESH=1` sets it aside; "
            "on paper, the exchange whose prices it takes must answer"
        )
        raise CommandError(str(error), hint, exits=Exit.REFUSED, code="NO_EXCHANGE") from error


def _tell_beginning(environment: Environment, path: Path) -> None:
    """Said at once: until the exchange has answered there is nothing else to see."""
    output.banner(environment.name.value)
    fresh = "" if path.exists() else " for the first time (a moment in the shipped candles is looked for)"
    output.line(f"Starting on {environment.mark}{fresh if environment.is_recorded else ''} …")


def _sum_up(path: Path, ended: bool, options: Options, *, is_text: bool) -> None:
    """What came of it so far."""
    from store import queries
    from store.database import open_store

    with open_store(path, mode="read") as store:
        trades = queries.trades(store, status="CLOSED", limit=1_000_000)
        held = queries.positions(store)
    won = sum(1 for trade in trades if (trade.net_pnl or 0) > 0)
    net = float(sum(trade.net_pnl or 0 for trade in trades))
    found: dict[str, Any] = {"database": str(path), "finished": ended, "trades": len(trades), "net_pnl_usdt": net}
    found["open"] = [
        {"symbol": row.symbol, "side": row.side, "size": f"{row.size:f}", "stop": _stop(row)} for row in held
    ]
    if not is_text:
        output.document(found if options.json else {"event": "stopped", **found}, indented=options.json)
        return
    output.heading("The recorded candles have ended" if ended else "Stopped")
    output.pairs([("trades", f"{len(trades)} ({won} won)"), ("net PnL", f"{net:+,.2f} USDT")])
    for row in held:
        output.line(f"  stays open: {row.symbol} {row.side} {row.size:f}, {_in_words(_stop(row))}")
    if held:
        output.line(
            "  Until the bot runs again only its stop and targets close it: nobody follows the rules meanwhile."
        )
    print_next_steps(path)


def _stop(row: PositionRow) -> str | None:
    """Where its stop rests, if that was confirmed."""
    return None if row.protected_ms is None or row.stop_price is None else f"{row.stop_price:f}"


def _in_words(stop: str | None) -> str:
    if stop is None:
        return "and NO STOP of it is confirmed: look at the exchange, and start the bot again"
    return f"its stop at {stop} rests at the exchange"


def _stay_up(*, is_text: bool) -> None:
    """The clock has stopped; the dashboard stays to look around in, until Ctrl-C, SIGTERM or SIGHUP."""
    if is_text:
        output.line()
        output.line("The dashboard stays up; Ctrl-C ends it.")
    signal.sigwait({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
