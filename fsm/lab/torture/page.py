"""Writes what torture tried into the page of proofs, between the marks that are its own."""

from __future__ import annotations

from pathlib import Path

from fsm.lab.torture.fleet import Order, Summary
from fsm.lab.torture.invariants import CLAIMS
from fsm.lab.torture.menu import MENU

BEGIN, END = "<!-- torture: generated -->", "<!-- torture: end -->"
CAUGHT: dict[str, str] = {}
EMPTY = f"\n## Torture\n\n{BEGIN}\n{END}\n"


def write_page(path: Path, order: Order, summary: Summary) -> None:
    """Replace the generated part, or add it at the end; the rest of the page stays as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Proofs\n"
    if BEGIN not in text:
        text += EMPTY
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{generated(order, summary)}\n{END}{after}", encoding="utf-8")


def generated(order: Order, summary: Summary) -> str:
    """The generated part, as Markdown."""
    claims = [f"| `{name}` | {meaning} | {summary.checks.get(name, 0):,} |" for name, meaning in CLAIMS.items()]
    rows = [f"| `{row.name}` | {row.says} |" for row in MENU.values()]
    seeds = f"{order.seeds[0]}..{order.seeds[-1]}"
    return "\n".join(
        (
            f"`python -m fsm torture --seeds {seeds} --days {order.days} --symbols {order.symbols}`: "
            f"{summary.cases:,} runs, {summary.simulated_days:,.0f} simulated days in all, {summary.trades:,} trades, "
            f"{summary.writes:,} orders and cancels sent, {summary.starts:,} starts of the process; "
            f"{summary.cpu_seconds:,.0f} s of one processor ({summary.speed:,.0f} × real time); "
            f"{len(summary.violations)} violations.",
            "",
            "| what holds after every step, or at the end | in words | looked at |",
            "|---|---|---|",
            *claims,
            "",
            "| fault of a call | what it is |",
            "|---|---|",
            *rows,
        )
    )
