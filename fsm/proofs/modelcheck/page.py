"""Writes what the model check tried into the page of proofs, between the marks that are its own."""

from __future__ import annotations

from pathlib import Path

from fsm.proofs.modelcheck.invariants import CLAIMS
from fsm.proofs.modelcheck.search import DEPTH_DEFAULT, ROOTS, Report, check_variant
from fsm.proofs.testkit.breaking import BrokenEngine
from fsm.proofs.testkit.broken_engines import VARIANTS

BEGIN, END = "<!-- modelcheck: generated -->", "<!-- modelcheck: end -->"
EMPTY = f"# Proofs\n\n{BEGIN}\n{END}\n"


def write_page(path: Path, report: Report) -> None:
    """Replace the generated part; the rest of the page stays as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else EMPTY
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{generated(report)}\n{END}{after}", encoding="utf-8")


def generated(report: Report) -> str:
    """The generated part, as Markdown."""
    claims = [f"| `{name}` | {meaning} |" for name, meaning in CLAIMS.items()]
    roots = [
        f"| {root.name} | {max(report.depth - root.less, 1)} | {report.by_root.get(root.name, 0):,} |" for root in ROOTS
    ]
    variants = [f"| `{variant.name}` | {variant.fault} | {_caught_by(variant)} |" for variant in VARIANTS.values()]
    return "\n".join(
        (
            f"`python -m fsm modelcheck --depth {report.depth}`: {report.states:,} states, {report.transitions:,} "
            f"transitions and {report.fair_steps:,} steps to rest in {report.cpu_seconds:.0f} s of one processor, "
            f"which wrote {report.rows} kinds of journal rows (state, trigger, reason); "
            f"{len(report.violations)} violations.",
            "",
            "| what holds after every transition | in words |",
            "|---|---|",
            *claims,
            "",
            "| explored from | choices deep | states |",
            "|---|---|---|",
            *roots,
            "",
            "Each of these broken engines is caught (`python -m fsm modelcheck --variant NAME`):",
            "",
            "| variant | what is wrong with it | caught by |",
            "|---|---|---|",
            *variants,
        )
    )


def _caught_by(variant: BrokenEngine) -> str:
    """The first claim that it breaks, found anew each time."""
    stories = check_variant(variant, DEPTH_DEFAULT).violations
    return f"`{stories[0].claim}`" if stories else "nothing"
