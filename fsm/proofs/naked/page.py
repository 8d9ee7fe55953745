"""Writes docs/protection.md: what can go wrong, and how long a position can be without a stop in each case."""

from __future__ import annotations

from pathlib import Path

from fsm.proofs.naked.measure import MeasureOrder, Result, Summary
from fsm.proofs.naked.scene import LATENCY_S
from fsm.proofs.naked.tally import DEADLINE_S

BEGIN, END = "<!-- naked: generated -->", "<!-- naked: end -->"


def write_page(path: Path, order: MeasureOrder, summary: Summary) -> None:
    """Replace the generated part, or add it at the end; the rest of the page stays as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Protection\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{generated(order, summary)}\n{END}{after}", encoding="utf-8")


def generated(order: MeasureOrder, summary: Summary) -> str:
    """The generated part, as Markdown."""
    over = sum(bool(row.violations) for row in summary.rows)
    return "\n".join(
        (
            f"`python -m fsm naked --positions {order.positions} --seed {order.seed}`: {summary.cases:,} positions, "
            f"{order.symbols} at a time, a round trip of {LATENCY_S * 1000:.0f} ms, a deadline of {DEADLINE_S:.0f} s; "
            f"{over} of {len(summary.rows)} rows over their bounds.",
            "",
            "| what goes wrong | longest without a stop | 99 % were under | may be | protected | closed | "
            "struck without a stop | with one | held |",
            "|---|---|---|---|---|---|---|---|---|",
            *map(_row, summary.rows),
        )
    )


def _row(row: Result) -> str:
    held = "yes" if not row.violations else "**no**: " + "; ".join(row.violations)
    closed = f"{row.closed:,}" + (f" ({row.named:,} named)" if row.named else "")
    return (
        f"| {row.says} (`{row.row}`) | {row.worst_ms / 1000:.2f} s | {row.p99_ms / 1000:.2f} s | "
        f"{row.allowed_ms / 1000:.2f} s | {row.protected:,} | {closed} | {row.struck_naked:,} | "
        f"{row.struck_covered:,} | {held} |"
    )
