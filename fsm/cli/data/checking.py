"""Looks after the recorded candles: says what is wrong with them, file by file and line by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import candle_options, chosen
from fsm.cli.errors import VerificationFailed
from fsm.cli.options import Command, current

if TYPE_CHECKING:
    from exchange.candle_faults import Fault, Findings


@click.command(cls=Command)
@candle_options
def check(data: tuple[Path, ...], symbols: tuple[str, ...]) -> None:
    """Name what is wrong with candle and funding files: file, line and kind. Exit 4 if anything is.

    In a store rows are counted, and its files are compared with the hashes of its manifest.

    Candles that are missing, contradict themselves or each other, are told twice or in wrong order, begin at the wrong
    time, have no numbers, or prices far off their neighbours'. Without --symbols all are looked at.
    """
    from collections import Counter

    from exchange.candle_faults import files_in, look_through

    folders, _ = chosen(data)
    reports = list(look_through(files_in(folders, symbols)))
    counts: Counter[str] = Counter()
    for found in reports:
        counts.update(found.counts)
    faults = [fault for found in reports for fault in found.faults]
    if current().json:
        output.document(_document(reports, faults, counts))
    else:
        _print(reports, faults, counts)
    if faults:
        raise VerificationFailed


def _document(reports: list[Findings], faults: list[Fault], counts: dict[str, int]) -> dict[str, object]:
    return {
        "files": len(reports),
        "rows": sum(found.rows for found in reports),
        "counts": counts,
        "faults": [
            {
                "file": str(fault.file),
                "line": fault.line,
                "row": fault.row,
                "kind": fault.kind,
                "open_time_ms": fault.open_ms or None,
                "message": fault.message,
            }
            for fault in faults
        ],
        "unlisted": sum(counts.values()) - len(faults),
    }


def _print(reports: list[Findings], faults: list[Fault], counts: dict[str, int]) -> None:
    if faults:
        rows = [(f"{fault.file}:{fault.line}", fault.kind.value, fault.message) for fault in faults]
        output.table(("file:line", "kind", "what"), rows)
        output.line()
    looked = f"{output.counted(len(reports), 'file')}, {output.counted(sum(found.rows for found in reports), 'row')}"
    if not faults:
        output.line(f"{looked}: fine")
        return
    named = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    unlisted = sum(counts.values()) - len(faults)
    output.line(f"{looked}: {named}" + (f"; {unlisted:,} of them not listed" if unlisted else ""))
