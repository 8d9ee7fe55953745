"""Prints why symbols did, or did not, trade: a decision with its conditions, who is nearest, how often each reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from fsm.cli import output
from fsm.cli.errors import CommandError
from fsm.cli.lists import standing_in_words
from fsm.cli.names import a_symbol, meant, symbols_in
from fsm.cli.options import command, current
from fsm.cli.times import Time, shown
from fsm.live.operator.wording import because

if TYPE_CHECKING:
    from fsm.journal.explain import Explanation
    from rules.condition_tree import ConditionTree
    from store.database import Store
    from store.queries.reasons import ReasonCount

_CONDITION_COLUMNS = ("condition", "holds", "as written", "numbers", "distance")
INDENT = "  "


@command()
@click.argument("symbol", required=False, shell_complete=a_symbol)
@click.option("--at", "at_ms", type=Time(), metavar="TIME", help="the candle that had closed by then (default: newest)")
@click.option("--since", "since_ms", type=Time(), metavar="TIME", help="count the reasons of candles from then on")
@click.option("--until", "until_ms", type=Time(end=True), metavar="TIME", help="with --since: up to then")
def why(symbol: str | None, at_ms: int | None, since_ms: int | None, until_ms: int | None) -> None:
    """Say why SYMBOL did, or did not, trade. Each condition with its numbers and its distance from the threshold.

    Without SYMBOL: all symbols, the nearest to a trade first. With --since: how often each reason stood.
    """
    from store.database import open_store

    if until_ms is not None and since_ms is None:
        raise click.UsageError("--until belongs to --since")
    if at_ms is not None and (since_ms is not None or symbol is None):
        raise click.UsageError("--at is one moment of one symbol: `why SYMBOL --at TIME`")
    name = symbol.upper() if symbol else None
    with open_store(current().database_path(), mode="read") as store:
        if since_ms is not None:
            _count(store, name, since_ms, until_ms)
        elif name is None:
            _rank(store)
        else:
            _explain(store, name, at_ms)


def _explain(store: Store, symbol: str, at_ms: int | None) -> None:
    from fsm.journal.explain import NothingDecided, explain

    standing = standing_in_words(store, symbol, at_ms)
    try:
        explanation = explain(store, symbol, at_ms)
    except NothingDecided as error:
        hint = f"of the list of symbols: {standing}" if standing else error.hint
        known = symbols_in(store)
        if symbol not in known:
            hint = f"{meant(symbol, known)} {hint}".strip()
        raise CommandError(str(error), hint, code="NOTHING_DECIDED") from error
    if current().json:
        output.document({**explanation.document(), **({"symbol_list": standing} if standing else {})})
    else:
        _print(explanation, standing)


def _rank(store: Store) -> None:
    """All symbols; those whose setup lacks the least come first, those of which none was asked last."""
    rows = closest(store)
    if current().json:
        output.document({"symbols": rows})
        return
    if not rows:
        output.line("nothing has been decided yet")
        return
    cells = [
        (
            row["symbol"], row["regime"], because(row["reason"]),
            "" if (near := row["nearest"]) is None else f"{near.strategy} {near.side}",
            "" if near is None else "holds" if not near.lacking else f"{near.lacking} of {near.groups}",
            "" if near is None else near.first,
        )
        for row in rows
    ]  # fmt: skip
    output.table(("symbol", "regime", "last decision", "nearest", "lacks", "first of all"), cells)


def closest(store: Store) -> list[dict[str, Any]]:
    """Every symbol's newest decision, the nearest to a trade first."""
    from fsm.journal.explain import NothingDecided, explain
    from store import queries
    from store.errors import StoreError

    rows = []
    for decided in queries.latest_decisions(store):
        try:
            near = next(iter(explain(store, decided.symbol).nearest), None)
        except (NothingDecided, StoreError):
            near = None
        rows.append(
            {
                "symbol": decided.symbol,
                "regime": decided.regime,
                "outcome": decided.outcome,
                "reason": decided.reason,
                "candle_ms": decided.last_ms,
                "nearest": near,
            }
        )
    return sorted(rows, key=_order)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    near = row["nearest"]
    return (near is None, near.lacking if near else 0, near.steps if near else 0.0, row["symbol"])


def _count(store: Store, symbol: str | None, since_ms: int, until_ms: int | None) -> None:
    from store.queries.reasons import reason_counts

    found = reason_counts(store, symbol=symbol, since_ms=since_ms, until_ms=until_ms)
    if current().json:
        output.document({"since_ms": since_ms, "until_ms": until_ms, "reasons": found})
        return
    if not found:
        output.line("nothing was decided in that time")
        return
    totals: dict[str, int] = {}
    for row in found:
        totals[row.symbol] = totals.get(row.symbol, 0) + row.candles
    numbers = ("candles", "share")
    cells = [_counted(row, totals[row.symbol]) for row in found]
    output.table(("symbol", *numbers, "outcome", "reason", "last candle UTC"), cells, right=numbers)


def _counted(row: ReasonCount, total: int) -> tuple[object, ...]:
    share = f"{100 * row.candles / total:.1f} %"
    return (row.symbol, row.candles, share, row.outcome, row.reason, shown(row.last_candle_ms))


def _print(found: Explanation, standing: str) -> None:
    words = because(found.reason)
    output.line(f"{found.symbol}  {found.outcome}  {found.reason}" + ("" if words == found.reason else f": {words}"))
    output.line(found.summary)
    output.line()
    output.pairs((*_where(found), *([("list of symbols", standing)] if standing else [])))
    _print_conditions(found, regimes=False)
    if found.guards:
        output.heading(f"Guards, at the candle of {shown(found.first_ms)}")
        guards = ((guard.passed, guard.name, guard.value, guard.limit) for guard in found.guards)
        output.table(output.GUARD_COLUMNS, output.guard_rows(guards))
    _print_conditions(found, regimes=True)


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


def _print_conditions(found: Explanation, *, regimes: bool) -> None:
    """Lists of conditions as trees: those of setups and ends of trades, or those of regimes."""
    names = {regime.regime: regime for regime in found.rules.regimes}
    strategy = found.rules.signal.strategy if found.rules.signal else ""
    for each in found.conditions:
        of, _, what = each.scope.rpartition(" ")
        regime = names.get(of)
        if (regime is not None and what in ("enter", "stay")) is not regimes:
            continue
        if regime is not None and what == "enter":
            told = f"enter {_answer(regime.enter)}, stay {_answer(regime.stay)}"
            output.heading(f"Regime {of}: confidence {regime.confidence:.2f}, {told}")
        elif what == "setup":
            output.heading(f"{strategy} {of}: setup {_answer(each.result)}")
        elif what == "exit":
            output.heading("What would end the trade")
        else:
            output.line(f"{what}:")
        _print_tree(each.nodes)


def _print_tree(nodes: Iterable[ConditionTree]) -> None:
    from rules.condition_tree import flattened

    cells = [
        (
            f"{INDENT * depth}{node.id}".rstrip(), _answer(node.result), node.text, node.numbers,
            "" if node.distance is None else node.distance.words,
        )
        for depth, node in flattened(nodes)
    ]  # fmt: skip
    output.table(_CONDITION_COLUMNS, cells, right=("distance",))


def _answer(truth: object) -> str:
    return {"TRUE": "yes", "FALSE": "no"}.get(str(truth), "unknown")
