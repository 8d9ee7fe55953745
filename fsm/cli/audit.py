"""Answers questions about transitions: which there were, what is behind one, whether any was changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fsm.cli import output
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.names import a_symbol, nothing_matches
from fsm.cli.options import Group, current
from fsm.cli.progress import reporting
from fsm.cli.times import Time, shown
from fsm.cli.transition import print_transition, transition_document
from fsm.core.model.records import State
from fsm.core.model.transition_table import Trigger

if TYPE_CHECKING:
    from store.queries import TransitionFilter
    from store.rows import TransitionRow

LIMIT = 50
LIMIT_MAX = 10_000

Function = TypeVar("Function", bound=Callable[..., Any])

_FILTERS = (
    click.option("--symbol", metavar="SYMBOL", shell_complete=a_symbol, help="of this symbol only"),
    click.option("--state", type=click.Choice(list(State), case_sensitive=False), help="that led to this state"),
    click.option(
        "--trigger",
        type=click.Choice(list(Trigger), case_sensitive=False),
        metavar="TRIGGER",
        help=f"with this trigger ({', '.join(Trigger)})",
    ),
    click.option("--trade", "trade_id", metavar="ID", help="of this trade, as in BTCUSDT-12"),
    click.option("--since", "since_ms", type=Time(), metavar="TIME", help="from this time on"),
    click.option("--until", "until_ms", type=Time(end=True), metavar="TIME", help="before this time (a date: its end)"),
)


def filters(function: Function) -> Function:
    """The options that say which transitions are meant."""
    for option in reversed(_FILTERS):
        function = option(function)
    return function


@click.group(cls=Group, invoke_without_command=True)
@filters
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT, show_default=True, help="the newest so many")
@click.pass_context
def audit(context: click.Context, /, limit: int, **wanted: Any) -> None:
    """List, show, verify, export transitions. Without a verb: the list, the newest last."""
    if context.invoked_subcommand is not None:
        given = [name for name, value in wanted.items() if value is not None]
        if given:
            raise click.UsageError(f"filters go after `{context.invoked_subcommand}`", context)
        return
    from store.database import open_store
    from store.queries import transitions

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        found = _filter(**wanted)
        rows = transitions(store, found, limit=limit).rows[::-1]
        nothing = "" if rows else nothing_matches("no transition matches", store, found.symbol)
    if options.json:
        output.document({"transitions": [_listed(row) for row in rows]})
    else:
        _print(rows, nothing)


@audit.command()
@click.argument("row_id", metavar="ID", type=click.IntRange(1))
def show(row_id: int) -> None:
    """Show everything behind one transition. Facts, guards with numbers, event, effect, orders, hashes."""
    from store.database import open_store
    from store.queries import intents, transition

    options = current()
    path = options.database_path()
    with open_store(path, mode="read") as store:
        row = transition(store, row_id)
        if row is None:
            raise CommandError(f"{path} has no transition {row_id}", "`audit` lists them", code="NOT_FOUND")
        asked = intents(store, row_id)
    if options.json:
        output.document(transition_document(row, asked))
    else:
        print_transition(row, asked)


@audit.command()
@click.option("--head", metavar="HASH", help="a hash kept elsewhere, which must be in the journal: shows a cut-off end")
def verify(head: str | None) -> None:
    """Recompute every hash and projection. Exit code 4 names each table and row that is not as written."""
    from store.verify import verify as check

    options = current()
    path = options.database_path()
    with reporting(json=options.json) as progress:
        report = check(path, progress=lambda table, count: progress(table, count, 0), head=head)
    rows = sum(report.checked.values())
    if options.json:
        problems = [{"table": found.table, "row": found.row_id, "what": found.what} for found in report.problems]
        gone = {table: {"last_id": cut.last_id, "hash": cut.hash} for table, cut in report.gone.cuts.items()}
        output.document(
            {
                "database": str(path),
                "checked": report.checked,
                "problems": problems,
                "omitted": report.omitted,
                "pruned": gone,
            }
        )
    else:
        for found in report.problems:
            output.line(f"{found.table} {found.row_id}: {found.what}")
        if report.omitted:
            output.line(f"… and {report.omitted} more")
        verdict = "fine" if report.fine else f"{len(report.problems) + report.omitted} problems"
        output.line(f"{path}: {verdict}; {rows} rows in {len(report.checked)} tables checked")
        for table, cut in report.gone.cuts.items():
            output.line(
                f"{table} 1..{cut.last_id} were removed by `db prune`; row {cut.last_id} had the hash {cut.hash}"
            )
    if not report.fine:
        raise VerificationFailed


@audit.command()
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="jsonl", show_default=True)
@filters
def export(form: str, **wanted: Any) -> None:
    """Write transitions to stdout. Every column, the oldest first; with --json as one array."""
    from store.database import open_store
    from store.export import export as lines_of

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        if options.json:
            lines = lines_of(store, "jsonl", _filter(**wanted))
            click.echo(f"[{','.join(line.rstrip() for line in lines)}]")
            return
        for line in lines_of(store, "csv" if form == "csv" else "jsonl", _filter(**wanted)):
            click.echo(line, nl=False)
            if output.is_lost():
                return  # nobody reads the rest, and a long journal takes minutes


def _filter(
    symbol: str | None,
    state: State | None,
    trigger: Trigger | None,
    trade_id: str | None,
    since_ms: int | None,
    until_ms: int | None,
) -> TransitionFilter:
    from store.queries import TransitionFilter

    return TransitionFilter(
        symbol=symbol.upper() if symbol else None,
        state=state,
        trigger=trigger,
        trade_id=trade_id,
        since_ms=since_ms,
        until_ms=until_ms,
    )


def _listed(row: TransitionRow) -> dict[str, Any]:
    names = (
        "id",
        "at_ms",
        "symbol",
        "trade_id",
        "source",
        "dest",
        "trigger",
        "reason",
        "rules_hash",
        "config_hash",
        "run_id",
        "hash",
    )
    return {name: getattr(row, name) for name in names}


def _print(rows: list[TransitionRow], nothing: str) -> None:
    if nothing:
        output.line(nothing)
        return
    cells = [
        (row.id, shown(row.at_ms), row.symbol, row.trade_id, f"{row.source} → {row.dest}", row.trigger, row.reason)
        for row in rows
    ]
    output.table(("id", "time UTC", "symbol", "trade", "states", "trigger", "reason"), cells, right=("id",))
