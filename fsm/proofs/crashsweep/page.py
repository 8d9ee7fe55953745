"""Writes what the sweep of crashes tried into the page of proofs, between the marks that are its own."""

from __future__ import annotations

from pathlib import Path

from fsm.proofs.crashsweep.broken_bots import VARIANTS, caught_by
from fsm.proofs.crashsweep.invariants import CLAIMS
from fsm.proofs.crashsweep.scripts import SCRIPTS
from fsm.proofs.crashsweep.sweep import Report

BEGIN, END = "<!-- crashsweep: generated -->", "<!-- crashsweep: end -->"


def write_page(path: Path, report: Report, command: str) -> None:
    """Replace the generated part; the rest of the page stays as it is. The page must have both marks."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{generated(report, command)}\n{END}{after}", encoding="utf-8")


def generated(report: Report, command: str) -> str:
    """The generated part, as Markdown."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in report.by_kind.items())
    claims = [f"| `{name}` | {meaning} |" for name, meaning in CLAIMS.items()]
    scripts = [f"| `{name}` | {SCRIPTS[name].about} | {count} |" for name, count in report.by_script.items()]
    variants = [f"| `{name}` | {broken.fault} | {caught_by(broken)} |" for name, broken in VARIANTS.items()]
    return "\n".join(
        (
            f"`{command}`: {report.points:,} calls ({kinds}) at which the bot can die, {report.possible:,} single "
            f"deaths with both sides and every fate of what is under way; {report.cases:,} cases with "
            f"{report.deaths:,} deaths played in {report.seconds:.0f} s; an entry was missed in "
            f"{report.missed_entries}; {len(report.violations)} violations.",
            "",
            "| what holds after every crash | in words |",
            "|---|---|",
            *claims,
            "",
            "| script | what happens in it | cases |",
            "|---|---|---|",
            *scripts,
            "",
            "Each of these broken bots is caught (`python -m fsm crashsweep --variant NAME`):",
            "",
            "| variant | what is wrong with it | caught by |",
            "|---|---|---|",
            *variants,
        )
    )
