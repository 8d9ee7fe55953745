"""Says how well trades were carried out: times, slippage, costs against what was assumed, and missed signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.names import a_strategy, a_symbol, nothing_matches
from fsm.cli.options import command, current
from fsm.cli.times import Time, shown

if TYPE_CHECKING:
    from store.queries.execution_figures import ExecutionGroup, ExecutionReport, MissedSignals, Spread

_SPREAD = ("count", "median", "90 %", "worst", "mean")
_TIMES = (
    ("decided to sent", "decided_to_sent"),
    ("sent to acknowledged", "sent_to_acknowledged"),
    ("sent to first fill", "sent_to_filled"),
    ("first fill to stop confirmed", "filled_to_protected"),
)
_ORDERS = (
    ("entry, against the signal's price", "entry"),
    ("stop, against its trigger", "stop"),
    ("targets, against their triggers", "target"),
    ("closes, against the price of the decision", "close"),
)
_HOW = {"GUARD": "refused by a limit or guard", "NOT_FILLED": "sent or dropped, never filled"}


@command()
@click.option("--symbol", metavar="SYMBOL", shell_complete=a_symbol, help="of this symbol only")
@click.option("--strategy", metavar="NAME", shell_complete=a_strategy, help="trades of this strategy only")
@click.option("--since", "since_ms", type=Time(), metavar="TIME", help="signals from this time on")
@click.option("--until", "until_ms", type=Time(end=True), metavar="TIME", help="signals before this time")
def execution(symbol: str | None, strategy: str | None, since_ms: int | None, until_ms: int | None) -> None:
    """Say how well trades were carried out. From signal to stop: times, slippage, costs, missed signals.

    It warns where the slippage that sizing assumes no longer holds. Everything comes from the journal alone.
    """
    from store.database import open_store
    from store.queries.execution_figures import execution_report

    options = current()
    with open_store(options.database_path(), mode="read") as store:
        wanted = symbol.upper() if symbol else None
        report, rows = execution_report(
            store,
            symbol=wanted,
            strategy=strategy,
            since_ms=since_ms,
            until_ms=until_ms,
        )
        identity = store.identity
        nothing = "" if report.total.trades else nothing_matches("no trade was filled", store, wanted)
    if options.json:
        output.document({"report": report, "trades": rows})
        return
    output.banner(identity.environment if identity else None)
    _print(report, nothing)


def _print(report: ExecutionReport, nothing: str) -> None:
    total = report.total
    if nothing:
        output.line(nothing)
    else:
        output.line(f"{output.counted(total.trades, 'trade')} filled; times are the exchange's")
        output.line()
        times = [(name, *_lasting(getattr(total, field))) for name, field in _TIMES]
        output.table(("time", *_SPREAD), times, right=_SPREAD)
        output.heading("Slippage in basis points (0.01 %) of the price; above zero it cost")
        output.table(("order", *_SPREAD, "R", "USDT"), list(_slippage(total)), right=(*_SPREAD, "R", "USDT"))
        output.line()
        output.pairs(_costs(report))
        _print_groups("By strategy", report.strategy)
        _print_groups("By symbol", report.symbol)
    _print_missed(report)
    for text in report.warnings:
        output.line()
        output.line(f"WARNING: {text}")


def _slippage(total: ExecutionGroup) -> Iterator[tuple[object, ...]]:
    for name, field in _ORDERS:
        found = getattr(total, field)
        if found is not None:
            r = "" if found.r_mean is None else f"{found.r_mean:+.4f}"
            yield (name, *_in_bp(found.bp), r, f"{found.usdt:+.2f}")
        if field == "entry" and total.delay_bp is not None:
            yield ("  of it while the order was on its way", *_in_bp(total.delay_bp), "", "")


def _costs(report: ExecutionReport) -> Iterator[tuple[str, object]]:
    total = report.total
    paid = f"{total.fees:,.2f} USDT"
    if total.fee_pct is not None:
        paid += f", {total.fee_pct:.4f} % of {total.turnover:,.0f} USDT turnover"
    if total.maker_share is not None:
        paid += f" ({total.maker_share * 100:.0f} % of it waited in the book)"
    yield "fees", paid
    if report.assumed is not None and total.fees_assumed is not None:
        yield "sizing assumes", f"{total.fees_assumed:,.2f} USDT ({report.assumed.taker_fee_pct} %)"
    yield "funding", f"{total.funding:+,.2f} USDT; sizing assumes none"
    yield "slippage", f"{-total.slippage_usdt:+,.2f} USDT"
    for each in report.assumptions:
        mean = "no fill yet" if each.mean_bp is None else f"{each.mean_bp:+.1f} bp, mean of the newest {each.fills}"
        yield f"at the {each.at}", f"{mean}; sizing assumes {each.assumed_bp:.1f} bp"


def _print_groups(title: str, groups: list[ExecutionGroup]) -> None:
    from store.queries.execution_figures import r_lost

    output.heading(title)
    numbers = ("trades", "entry bp", "stop bp", "R a trade", "slippage USDT", "fees USDT", "funding USDT")
    rows = [
        (
            each.key, each.trades, _mean_bp(each.entry), _mean_bp(each.stop), _signed(r_lost(each)),
            f"{-each.slippage_usdt:+,.2f}", f"{-each.fees:+,.2f}", f"{each.funding:+,.2f}",
        )
        for each in groups
    ]  # fmt: skip
    output.table(("", *numbers), rows, right=numbers)


def _mean_bp(found: object) -> str:
    return "" if found is None else f"{found.bp.mean:+.1f}"  # type: ignore[attr-defined]


def _signed(value: float | None) -> str:
    return "" if value is None else f"{-value:+.4f}"


def _print_missed(report: ExecutionReport) -> None:
    output.heading("Signals that led to no position")
    if report.missed:
        rows = [(each.count, _HOW[each.how], each.reason, shown(each.last_candle_ms)) for each in report.missed]
        output.table(("signals", "how", "reason", "last candle UTC"), rows, right=("signals",))
    else:
        output.line("none")
    if report.not_looked_for:
        output.line(f"No signal was looked for at {_listed(report.not_looked_for)}.")


def _listed(missed: list[MissedSignals]) -> str:
    return ", ".join(f"{output.counted(each.count, 'candle')} ({each.reason})" for each in missed)


def _lasting(found: Spread | None) -> tuple[str, ...]:
    if found is None:
        return ("0", "", "", "", "")
    return (str(found.count), *(_duration(ms) for ms in (found.median, found.p90, found.worst, found.mean)))


def _duration(ms: float) -> str:
    if abs(ms) < 10_000:
        return f"{ms:,.0f} ms"
    return f"{ms / 1_000:,.1f} s" if abs(ms) < 7_200_000 else f"{ms / 3_600_000:,.1f} h"


def _in_bp(found: Spread) -> tuple[str, ...]:
    return (str(found.count), *(f"{bp:+.1f}" for bp in (found.median, found.p90, found.worst, found.mean)))
