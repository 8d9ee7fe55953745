"""Takes every recorded decision again from the journal and says how many come out the same."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from fsm.cli import output
from fsm.cli.errors import CommandError, Exit, VerificationFailed
from fsm.cli.options import command, current
from fsm.cli.progress import reporting

SHOWN_MAX = 20
"""Differences that are listed for a person; --json has all that were kept."""
_PART_MAX = 120


@command()
@click.argument("database", type=click.Path(path_type=Path), required=False, metavar="[DB]")
def replay(database: Path | None) -> None:
    """Decide everything in DB again. Exit code 4 if anything comes out differently."""
    from fsm.bootstrap import RECORDED_WORDS
    from fsm.journal.replay import replay as decide_again
    from rules.source.yaml_source import SourceError

    options = current()
    path = database or options.database_path()
    try:
        with reporting(json=options.json) as progress:
            report = decide_again(path, words=RECORDED_WORDS, progress=progress)
    except (msgspec.MsgspecError, ArithmeticError, ValueError, SourceError) as error:
        what = str(error).partition("\n")[0]
        message = f"{path}: what is stored cannot be read: {what}"
        hint = "find the row with `audit verify`"
        raise CommandError(message, hint, exits=Exit.VERIFICATION, code="DatabaseDamaged") from error
    if options.json:
        output.document({"database": str(path), **msgspec.to_builtins(report)})
    else:
        output.line(f"identical: {report.identical}, different: {report.different}")
        for found in report.differences[:SHOWN_MAX]:
            output.line(
                f"{found.table} {found.id}: {found.what} was {_part(found.recorded)}, now {_part(found.decided)}"
            )
        if report.different > SHOWN_MAX:
            output.line(f"… and {report.different - SHOWN_MAX} more")
    if report.different:
        raise VerificationFailed


def _part(text: str) -> str:
    return text if len(text) <= _PART_MAX else f"{text[:_PART_MAX]}…"
