"""Writes what torture tried into the page of proofs, between the marks that are its own."""

from __future__ import annotations

from pathlib import Path

from fsm.proofs.testkit.broken_engines import VARIANTS
from fsm.proofs.torture.environment_catalog import HELD, MOVING, ROWS
from fsm.proofs.torture.fault_catalog import MENU
from fsm.proofs.torture.fleet import SeedOrder, Summary
from fsm.proofs.torture.promises import CLAIMS
from fsm.proofs.torture.wheel_catalog import ROWS as WHEEL

BEGIN, END = "<!-- torture: generated -->", "<!-- torture: end -->"
CAUGHT: dict[str, tuple[int, int, str]] = {
    "close-can-open": (11, 1, "REDUCE_ONLY"),
    "sweep-before-flat": (1, 1, "STOP_KEPT"),
    "old-stop-first": (11, 1, "STOP_KEPT"),
    "vanished-stop-accepted": (1, 1, "NAKED_TOO_LONG"),
    "targets-are-protection": (1, 1, "NAKED_TOO_LONG"),
    "unknown-entry-is-refused": (8, 2, "NAKED_TOO_LONG"),
}
"""Broken engines that torture catches at once: the seed, the days that it takes, and the claim that fails. Others
need a rarer coincidence, which the model check finds without chance. A test keeps this true."""

EMPTY = f"\n## Torture\n\n{BEGIN}\n{END}\n"


def write_page(path: Path, order: SeedOrder, summary: Summary) -> None:
    """Replace the generated part, or add it at the end; the rest of the page stays as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Proofs\n"
    if BEGIN not in text:
        text += EMPTY
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{generated(order, summary)}\n{END}{after}", encoding="utf-8")


def generated(order: SeedOrder, summary: Summary) -> str:
    """The generated part, as Markdown."""
    claims = [f"| `{name}` | {meaning} | {summary.checks.get(name, 0):,} |" for name, meaning in CLAIMS.items()]
    rows = [f"| `{row.name}` | {row.says} | {_count(summary, row.name)} |" for row in MENU.values()]
    rows += [f"| `{name}` | {says} | {_count(summary, name)} |" for name, says in {**ROWS, **WHEEL}.items()]
    caught = [
        f"| `{name}` | {VARIANTS[name].fault} | `{claim}`, seed {seed}, {days} days |"
        for name, (seed, days, claim) in CAUGHT.items()
    ]
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
            "| fault | what it is | how often |",
            "|---|---|---|",
            *rows,
            "",
            "Each of these broken engines is caught (`python -m fsm torture --variant NAME --seeds SEED --days DAYS`):",
            "",
            "| variant | what is wrong with it | caught by |",
            "|---|---|---|",
            *caught,
        )
    )


def _count(summary: Summary, name: str) -> str:
    """How often it struck, at whatever moment."""
    names = (name, *(f"{name} when {moment}" for moment in (HELD, MOVING)))
    return f"{sum(summary.faults.get(each, 0) for each in names):,}"
