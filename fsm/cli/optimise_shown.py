"""Prints what a study came to: out of sample first and large, then how much of it luck would give, then the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from csv import writer
from io import StringIO
from pathlib import Path
from typing import Any

from fsm.cli import output
from fsm.cli.invocation import invocation
from fsm.cli.options import current
from fsm.optimise.keeping import study_name
from fsm.optimise.telling import told_of_luck

ROWS_SHOWN = 20


def show_study(path: Path, found: dict[str, Any], *, csv: Path | None) -> None:
    """With --json the whole document; else what a person reads of it. ``csv``: where the table is written, too."""
    if csv is not None:
        csv.write_text(as_csv(found), encoding="utf-8", newline="")
    if current().json:
        output.document({"study": study_name(path), "path": str(path), **found})
        return
    output.line(f"Study {study_name(path)} ({path}): {found['trials']:,} variants, {found['sampler']}")
    output.line(f"{', '.join(found['symbols'])}, {found['from']} to {found['to']}, for the {found['goal']}")
    if found["walk_forward"] is not None:
        _print_walk(found["walk_forward"])
    else:
        output.line("Without --folds nothing was kept from the search: what follows says nothing about tomorrow.")
    if found["honesty"] is not None:
        output.heading(f"How much of the best in sample (trial {found['honesty']['trial']}) is luck?")
        output.pairs(told_of_luck(found["honesty"], found["trials"]))
    _print_inside(found)
    _print_table(found)
    if found["in_sample"] is not None:
        trial = found["in_sample"]["trial"]
        output.line()
        output.line("To write a rules file with a trial's values, and see what it changes (nothing live does):")
        output.verbatim(f"  {invocation()} optimise apply {study_name(path)} --trial {trial}")


def _print_walk(walk: dict[str, Any]) -> None:
    output.heading("OUT OF SAMPLE: what was searched for before each window, in that window")
    columns = ("window", "from", "to", "trial", "values", "trades", "net USDT", "return", "sharpe", "unchanged rules")
    output.table(columns, [_window(each) for each in walk["windows"]], right=(*columns[5:],))
    sums, before = walk["out_of_sample"], walk["rules_as_they_are"]
    output.line()
    output.pairs(
        [
            ("searched anew each time", _sums(sums)),
            ("rules as they are", _sums(before)),
            ("stability", _stability(walk["stability"])),
            *((f"chosen {name}", _values(each)) for name, each in walk["stability"]["values"].items()),
        ]
    )


def _window(each: dict[str, Any]) -> tuple[object, ...]:
    test, before = each["test"], each["rules_as_they_are"]
    unchanged = "" if before is None else f"{before['return_pct']:+.2f} %"
    start = (each["window"], each["test_from"][:10], each["test_to"][:10])
    if test is None:
        return (*start, "none", "no variant fulfilled what is required", "", "", "", "", unchanged)
    values = ", ".join(f"{name} {value}" for name, value in each["values"].items())
    return (
        *start, each["trial"], values, test["trades"], f"{test['net_pnl_usdt']:+,.2f}", f"{test['return_pct']:+.2f} %",
        f"{test['sharpe']:.2f}", unchanged,
    )  # fmt: skip


def _sums(sums: dict[str, Any]) -> str:
    return (
        f"{sums['return_pct']:+.2f} %, {sums['net_pnl_usdt']:+,.2f} USDT in {sums['trades']} trades, "
        f"Sharpe {sums['sharpe']:.2f}, drawdown {sums['max_drawdown_pct']:.2f} %"
    )


def _stability(found: dict[str, Any]) -> str:
    told = f"{found['earned']} of {found['windows']} windows earned"
    if found["worst_return_pct"] is not None:
        told += f", the worst {found['worst_return_pct']:+.2f} %"
    if found["efficiency"] is not None:
        told += f"; {100 * found['efficiency']:.0f} % of what the search promised was earned afterwards"
    return told


def _values(each: dict[str, Any]) -> str:
    return ", ".join(map(str, each["chosen"]))


def _print_inside(found: dict[str, Any]) -> None:
    inside = found["in_sample"]
    output.heading("In sample: the best over all the data, from which nothing was kept")
    if inside is None:
        output.line("No variant fulfils what is required.")
        return
    figures = inside["figures"]
    output.pairs(
        [
            ("trial", f"{inside['trial']}: {', '.join(f'{name} {value}' for name, value in inside['values'].items())}"),
            ("in sample", _sums(figures)),
            ("around it", inside["plateau"]["told"]),
        ]
    )


def _print_table(found: dict[str, Any]) -> None:
    rows = [row for row in found["table"] if row["figures"] is not None and row["trial"] != 0]
    order = {trial: place for place, trial in enumerate(found["order"])}
    rows.sort(key=lambda row: (order.get(row["trial"], len(order)), row["trial"]))
    further = [name for name in found["objectives"] if name not in SHOWN]
    columns = ("trial", "values", "trades", "net USDT", "return", "drawdown", "sharpe", *further)
    shown = [_row(row, further) for row in rows[:ROWS_SHOWN]]
    output.heading(f"Variants in sample, the best {len(shown)} of {len(rows):,}; --json has all")
    output.table(columns, shown, right=(*columns[2:], "trial"))
    if found["refused"]:
        output.line(f"{found['refused']:,} more would not pass `rules check` and were not run.")


SHOWN = ("trades", "net_pnl_usdt", "return_pct", "max_drawdown_pct", "sharpe")


def _row(row: dict[str, Any], further: Sequence[str]) -> tuple[object, ...]:
    figures = row["figures"]
    return (
        row["trial"], ", ".join(f"{name} {json.dumps(value)}" for name, value in row["values"].items()),
        figures["trades"], f"{figures['net_pnl_usdt']:+,.2f}", f"{figures['return_pct']:+.2f} %",
        f"{figures['max_drawdown_pct']:.2f} %", f"{figures['sharpe']:.2f}", *(figures[name] for name in further),
    )  # fmt: skip


def as_csv(found: dict[str, Any]) -> str:
    """The table of every variant: numbers as they are, nothing where there is none."""
    rows = found["table"]
    names = list(next((row["values"] for row in rows if row["values"]), {}))
    figures = list(next((row["figures"] for row in rows if row["figures"]), {}))
    windows = [f"window_{number}" for number in range(1, len(rows[0]["windows"]) + 1)] if rows else []
    text = StringIO()
    out = writer(text, lineterminator="\n")
    out.writerow(["trial", *names, *figures, *windows, "refused"])
    for row in rows:
        values, own = row["values"], row["figures"] or {}
        cells = (*(values.get(name) for name in names), *(own.get(name) for name in figures), *row["windows"])
        out.writerow([row["trial"], *("" if cell is None else cell for cell in cells), row["refused"] or ""])
    return text.getvalue()
